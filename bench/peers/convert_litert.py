"""Writes FOLDER/NAME_VARIANT.tflite:  python convert_litert.py FOLDER NAME float|int8

`float`: weights on their grids, each quantizer as clip(round(x / step)) * step. `int8`: TensorFlow's post-training
quantization with the network's inputs as representative data; each quantizer becomes a clip to its range, since eight bits
hold it, and a binary activation has no such form.
"""
import os
import sys

os.environ.update(CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3")
import numpy as np
import tensorflow as tf

import plain

keras = tf.keras.layers


def weights_of(op):
    weights = op.codes.astype(np.float32) * np.float32(op.step)
    return [weights[..., None] if op.kind == "depthwise" else weights] + ([op.bias] if op.bias is not None else [])


def layer_of(op):
    """A Keras layer for what has weights."""
    if op.kind == "dense":
        return keras.Dense(op.shape[-1], use_bias=op.bias is not None)
    if op.kind == "depthwise":
        return keras.DepthwiseConv2D(op.codes.shape[:2], op.strides, "same", use_bias=False)
    return keras.Conv2D(op.shape[-1], op.codes.shape[:2], op.strides, "same", use_bias=op.bias is not None)


def quantized(op, x, exact):
    low, high = op.lowest * op.step, op.highest * op.step
    if exact:
        return tf.clip_by_value(tf.round(x * (1 / op.step)), op.lowest, op.highest) * op.step
    return tf.minimum(tf.nn.relu(x), high) if low == 0 else tf.clip_by_value(x, low, high)


def keras_model(operations, exact):
    values = {}
    for op in operations:
        x = [values[name] for name in op.inputs]
        if op.kind == "input":
            y = first = tf.keras.Input(op.shape)
        elif op.kind in ("conv", "depthwise", "dense"):
            layer = layer_of(op)
            y = layer(x[0])
            layer.set_weights(weights_of(op))
        elif op.kind == "quantize":
            y = quantized(op, x[0], exact)
        elif op.kind == "sign":
            y = tf.where(x[0] >= 0, tf.ones_like(x[0]), -tf.ones_like(x[0]))
        elif op.kind == "affine":
            y = x[0] * op.scale + op.offset
        elif op.kind == "add":
            y = keras.Add()(x)
        elif op.kind == "max_pool":
            y = keras.MaxPooling2D(op.size)(x[0])
        elif op.kind == "average_pool":
            y = keras.AveragePooling2D(op.size)(x[0])
        elif op.kind == "flatten":
            y = keras.Flatten()(x[0])
        values[op.name] = y
    return tf.keras.Model(first, y)


def convert(folder, name, variant):
    converter = tf.lite.TFLiteConverter.from_keras_model(keras_model(plain.read(folder, name), exact=variant == "float"))
    if variant == "int8":
        samples = np.load(os.path.join(folder, name + "_x.npy"))[:32]
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample[None]] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with open(os.path.join(folder, f"{name}_{variant}.tflite"), "wb") as file:
        file.write(converter.convert())


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")
    convert(*sys.argv[1:4])
