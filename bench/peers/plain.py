"""A network without QKeras: a list of plain operations on integer codes, for programs that cannot read QKeras files.

    python plain.py FOLDER [NAME...]           # reads FOLDER/NAME.h5 with QKeras, writes FOLDER/NAME_plain.npz
    operations = plain.read(folder, name)      # needs numpy only

An operation is an Op. Its kinds and their fields, beside name, inputs (names), shape (without the batch) and `largest`, the
largest magnitude of its result on a few inputs:

    input
    quantize      step, lowest, highest: clip(round(x / step), lowest, highest) * step
    sign          1 where x >= 0, else -1
    conv          codes [height, width, in, out], step, bias [out], strides, pads (top, left, bottom, right)
    depthwise     codes [height, width, channels], step, strides, pads
    dense         codes [in, out], step, bias [out]
    lstm          codes [in, 4 * units], recurrent [units, 4 * units], gates i, f, c, o; step of both, bias [4 * units]; the state
                  as quantize has it; gate_bits, tanh_bits of quantized_sigmoid and quantized_tanh; gives the last output
    affine        scale, offset [channels]
    add           max_pool: size      average_pool: size (height, width)      flatten
"""
import json
import os
import sys
from types import SimpleNamespace

import numpy as np

ARRAYS = ("codes", "recurrent", "bias", "scale", "offset")


class Op(SimpleNamespace):
    """Fields as above. `bias` is None where every element is zero."""


def read(folder, name):
    data = np.load(os.path.join(folder, name + "_plain.npz"))
    operations = [Op(**fields) for fields in json.loads(str(data["operations"]))]
    for op in operations:
        for key in ARRAYS:
            label = f"{op.name}:{key}"
            setattr(op, key, data[label] if label in data else None)
    return operations


def same_padding(size, kernel, strides):
    """Elements before and after, as TensorFlow's `same` has them."""
    total = max((-(-size // strides) - 1) * strides + kernel - size, 0)
    return total // 2, total - total // 2


def grid(quantizer):
    """step, lowest and highest code of an activation quantizer."""
    bits, integer = int(quantizer.bits), int(quantizer.integer)
    if type(quantizer).__name__ == "quantized_relu":
        return 2.0 ** (integer - bits), 0, 2 ** bits - 1
    lowest = -(2 ** (bits - 1)) + int(quantizer.symmetric)
    return 2.0 ** (integer + 1 - bits), lowest, 2 ** (bits - 1) - 1


def codes_of(quantizer, weights):
    values = np.asarray(quantizer(weights))
    step = 1.0
    if type(quantizer).__name__ == "quantized_bits":
        step = 2.0 ** (int(quantizer.integer) + 1 - int(quantizer.bits))
    codes = np.rint(values / step)
    if not np.array_equal(codes * step, values):
        raise ValueError(f"weights are no multiples of {step}")
    return codes.astype(np.int8), step


def window_fields(layer):
    strides, kernel = int(layer.strides[0]), layer.kernel_size
    top, bottom = same_padding(layer.input_shape[1], kernel[0], strides)
    left, right = same_padding(layer.input_shape[2], kernel[1], strides)
    return dict(strides=strides, pads=[top, left, bottom, right])


def linear(layer, kind):
    codes, step = codes_of(layer.kernel_quantizer_internal, layer.get_weights()[0])
    bias = np.asarray(layer.bias_quantizer_internal(layer.get_weights()[1])) if layer.use_bias else None
    return dict(kind=kind, codes=codes, step=step, bias=bias if bias is not None and np.any(bias) else None)


def batch_norm(layer):
    gamma, beta, mean, variance = layer.get_weights()
    scale = gamma / np.sqrt(variance + np.float32(layer.epsilon))
    return dict(kind="affine", scale=scale, offset=beta - mean * scale)


def activation(layer):
    if type(layer.quantizer).__name__ == "binary":
        return dict(kind="sign")
    step, lowest, highest = grid(layer.quantizer)
    return dict(kind="quantize", step=step, lowest=lowest, highest=highest)


def depthwise(layer):
    codes, step = codes_of(layer.depthwise_quantizer_internal, layer.get_weights()[0])
    return dict(kind="depthwise", codes=codes[..., 0], step=step, **window_fields(layer))


def recurrent(layer):
    """quantized_sigmoid and quantized_tanh with their linear approximations, as QKeras has them by default."""
    cell = layer.cell
    kernel, others, bias = cell.get_weights()
    codes, step = codes_of(cell.kernel_quantizer_internal, kernel)
    others, step_of_others = codes_of(cell.recurrent_quantizer_internal, others)
    gate, tanh = cell.recurrent_activation, cell.activation
    if (step_of_others != step or gate.symmetric or gate.use_real_sigmoid or tanh.symmetric or tanh.use_real_tanh
            or layer.return_sequences or layer.go_backwards):
        raise ValueError(f"{layer.name}: no plain network has such arguments")
    state, lowest, highest = grid(cell.state_quantizer_internal)
    return dict(kind="lstm", codes=codes, recurrent=others, step=step, bias=np.asarray(cell.bias_quantizer_internal(bias)),
                state=state, lowest=lowest, highest=highest, gate_bits=int(gate.bits), tanh_bits=int(tanh.bits))


# What a layer becomes. Global pooling is a pool over everything, then flatten.
LAYERS = {
    "InputLayer": lambda layer: dict(kind="input"),
    "QActivation": activation,
    "QConv2D": lambda layer: dict(linear(layer, "conv"), **window_fields(layer)),
    "QDepthwiseConv2D": depthwise,
    "QDense": lambda layer: linear(layer, "dense"),
    "QLSTM": recurrent,
    "BatchNormalization": batch_norm,
    "Add": lambda layer: dict(kind="add"),
    "MaxPooling2D": lambda layer: dict(kind="max_pool", size=list(layer.pool_size)),
    "AveragePooling2D": lambda layer: dict(kind="average_pool", size=list(layer.pool_size)),
    "GlobalAveragePooling2D": lambda layer: dict(kind="average_pool", size=list(layer.input_shape[1:3])),
    "Flatten": lambda layer: dict(kind="flatten"),
}


def operations_of(model, x):
    """The operations of a Keras model, with `largest` seen for the inputs x."""
    operations, ends, values = [], {}, {}
    for layer in model.layers:
        kind = type(layer).__name__
        if kind not in LAYERS:
            raise ValueError(f"{layer.name}: a plain network has no {kind}")
        fields = LAYERS[kind](layer)
        sources = [] if kind == "InputLayer" else layer.input if isinstance(layer.input, list) else [layer.input]
        operands = [values[t.name] for t in sources]
        result = x if kind == "InputLayer" else np.asarray(layer(operands if len(operands) > 1 else operands[0], training=False))
        values[layer.output.name] = result
        op = dict(fields, name=layer.name, inputs=[ends[t.name] for t in sources], shape=list(result.shape[1:]),
                  largest=float(np.abs(result).max()))
        ends[layer.output.name] = layer.name
        if kind == "GlobalAveragePooling2D":
            flat = dict(op, kind="flatten", name=layer.name + "_flat", inputs=[layer.name])
            op["shape"] = [1, 1] + op["shape"]
            ends[layer.output.name] = flat["name"]
            operations += [op, flat]
        else:
            operations.append(op)
    return operations


def write(folder, name):
    from qkeras.utils import load_qmodel
    model = load_qmodel(os.path.join(folder, name + ".h5"), compile=False)
    x = np.load(os.path.join(folder, name + "_x.npy"))[:16]
    operations, arrays = operations_of(model, x), {}
    for op in operations:
        for key in ARRAYS:
            value = op.pop(key, None)
            if value is not None:
                arrays[f"{op['name']}:{key}"] = value
    np.savez(os.path.join(folder, name + "_plain.npz"), operations=json.dumps(operations), **arrays)


if __name__ == "__main__":
    for each in sys.argv[2:]:
        write(sys.argv[1], each)
