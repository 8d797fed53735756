"""TensorFlow with QKeras itself. Variants: `predict` (model.predict), `function` (tf.function)."""
import os

import worker


def load(args):
    import tensorflow as tf
    from qkeras.utils import load_qmodel
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.get_logger().setLevel("ERROR")
    model = load_qmodel(os.path.join(args.folder, args.model + ".h5"), compile=False)
    compiled = tf.function(lambda v: model(v, training=False))

    def prepare(x):
        if args.variant == "predict":
            return lambda: model.predict(x, batch_size=len(x), verbose=0)
        tensor = tf.constant(x)
        return lambda: compiled(tensor).numpy()
    return prepare, tf.__version__


worker.serve("TensorFlow+QKeras", load)
