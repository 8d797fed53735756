"""Inputs and QKeras's results for a network of the user's:  python samples.py FOLDER NAME

FOLDER/NAME.h5 is there; NAME_x.npy and NAME_y.npy are written: normal values, one input, one output.
"""
import os
import sys

import numpy as np

COUNT = 64


def main(folder, name):
    import tensorflow as tf
    from qkeras.utils import load_qmodel
    tf.get_logger().setLevel("ERROR")
    model = load_qmodel(os.path.join(folder, name + ".h5"), compile=False)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        sys.exit(f"{name} has {len(model.inputs)} inputs and {len(model.outputs)} outputs, expected one of each")
    x = np.random.default_rng(1).normal(0.25, 0.7, (COUNT, *model.input_shape[1:])).astype(np.float32)
    np.save(os.path.join(folder, name + "_x.npy"), x)
    np.save(os.path.join(folder, name + "_y.npy"), model(x, training=False).numpy())


if __name__ == "__main__":
    main(*sys.argv[1:])
