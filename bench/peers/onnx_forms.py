"""Plain networks as ONNX files, in the forms that users of ONNX runtimes know.

    model = onnx_forms.build(plain.read(folder, name), "qdq")

    fake    float32 throughout; a quantizer is multiply, round, clip, multiply: what a float runtime makes of QKeras
    fold    float32 in units of codes: scales move into normalizations, a quantizer is round and clip
    integer ConvInteger and MatMulInteger on 8-bit codes, float32 between them: exact
    qdq     per-channel quantize/dequantize pairs, the usual 8-bit deployment; shortcuts get calibrated 8-bit scales
    nbits   dense layers with 4- or 8-bit weights as MatMulNBits with 8-bit activations (com.microsoft)
"""
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import plain  # noqa: F401  (the operations are its)

FORMS = ("fake", "fold", "integer", "qdq", "nbits")
MICROSOFT = "com.microsoft"


@dataclass
class Value:
    """A tensor with what it means: real value = unit * (tensor - zero); zero is None for float tensors."""
    tensor: str
    unit: object = 1.0  # a number
    zero: object = None


class Net:
    """Operations by method, named by kind. This form is `fold`; the others below change some of them."""

    def __init__(self, operations):
        self.operations = {op.name: op for op in operations}
        self.last = operations[-1]
        self.nodes, self.constants, self.values = [], [], {}
        for op in operations:
            self.values[op.name] = getattr(self, op.kind)(op, *[self.values[i] for i in op.inputs])

    # Pieces.
    def constant(self, value, dtype=np.float32):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype), f"c{len(self.constants)}"))
        return self.constants[-1].name

    def emit(self, kind, *inputs, domain="", **attributes):
        inputs = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        self.nodes.append(helper.make_node(kind, inputs, [f"t{len(self.nodes)}"], domain=domain, **attributes))
        return self.nodes[-1].output[0]

    def reader(self, op, kind):
        """The only reader of op's result, if it is of that kind."""
        readers = [o for o in self.operations.values() if op.name in o.inputs]
        return readers[0] if len(readers) == 1 and readers[0].kind == kind else None

    def along_channels(self, vector, op):
        vector = np.asarray(vector, np.float32)
        return vector.reshape(-1, 1, 1) if len(op.shape) == 3 else vector

    def real(self, value):
        tensor = value.tensor
        if value.zero is not None:
            tensor = self.emit("Cast", tensor, to=TensorProto.FLOAT)
            if value.zero:
                tensor = self.emit("Sub", tensor, float(value.zero))
        return tensor if value.unit == 1.0 else self.emit("Mul", tensor, value.unit)

    def window(self, op):
        """Weights in ONNX's order, and the attributes of a convolution."""
        codes = op.codes if op.kind == "conv" else op.codes[:, :, None, :]
        return codes.transpose(3, 2, 0, 1), dict(pads=op.pads, strides=[op.strides] * 2,
                                                 kernel_shape=list(codes.shape[:2]),
                                                 group=1 if op.kind == "conv" else codes.shape[3])

    # Operations.
    def input(self, op):
        return Value(self.emit("Transpose", "x", perm=[0, 3, 1, 2]) if len(op.shape) == 3 else "x")

    def quantize(self, op, x):
        tensor = x.tensor if x.unit == op.step else self.emit("Mul", x.tensor, x.unit / op.step)
        return Value(self.emit("Clip", self.emit("Round", tensor), float(op.lowest), float(op.highest)), op.step)

    def sign(self, op, x):
        return Value(self.emit("Where", self.emit("GreaterOrEqual", x.tensor, 0.0), 1.0, -1.0))

    def weighted(self, op, x):
        """conv, depthwise, dense: codes times codes, so the unit is the product of both steps."""
        unit = op.step * x.unit
        bias = [] if op.bias is None else [op.bias / np.float32(unit)]
        if op.kind == "dense":
            return Value(self.emit("Gemm", x.tensor, op.codes, *bias), unit)
        codes, attributes = self.window(op)
        return Value(self.emit("Conv", x.tensor, codes, *bias, **attributes), unit)

    conv = depthwise = dense = weighted

    def lstm(self, op, x):
        """All steps written out; the products with the inputs of all steps are one. The output gate stands before c, so that
        three gates are one chain."""
        units = op.codes.shape[1] // 4
        order = np.r_[0:2 * units, 3 * units:4 * units, 2 * units:3 * units]
        kernel, recurrent, bias = op.codes[:, order], op.recurrent[:, order], op.bias[order]
        inputs = self.emit("Add", self.emit("MatMul", x.tensor, kernel * np.float32(op.step * x.unit)), bias)
        ints = lambda *values: self.constant(values, np.int64)  # noqa: E731
        part = lambda tensor, begin, end: self.emit("Slice", tensor, ints(begin), ints(end), ints(1))  # noqa: E731
        gate, tanh = 2.0 ** op.gate_bits, 2.0 ** (op.tanh_bits - 1)

        def rounded(tensor, lowest, highest):
            return self.emit("Clip", self.emit("Round", tensor), lowest, highest)

        def state(tensor, unit):
            codes = rounded(self.emit("Mul", tensor, unit / op.state), float(op.lowest), float(op.highest))
            return self.emit("Mul", codes, op.state)

        def shown(tensor):
            return self.emit("Mul", rounded(self.emit("Mul", tensor, tanh), -tanh, tanh - 1), 1 / tanh)

        output = carry = None
        for step in range(self.operations[op.inputs[0]].shape[0]):
            sums = self.emit("Squeeze", self.emit("Gather", inputs, ints(step), axis=1), ints(1))  # constants have an axis
            if output is not None:
                sums = self.emit("Add", sums, self.emit("MatMul", state(output, 1.0), recurrent * np.float32(op.step)))
            half = self.emit("Add", self.emit("Mul", part(sums, 0, 3 * units), gate / 2), gate / 2)
            gates = self.emit("Mul", rounded(half, 0.0, gate - 1), 1 / gate)
            added = self.emit("Mul", part(gates, 0, units), shown(part(sums, 3 * units, 4 * units)))
            kept = None if carry is None else self.emit("Mul", part(gates, units, 2 * units), state(carry, 1.0))
            carry = added if kept is None else self.emit("Add", kept, added)
            output = self.emit("Mul", part(gates, 2 * units, 3 * units), shown(carry))
        return Value(output)

    def affine(self, op, x):
        after = self.reader(op, "quantize")
        unit = after.step if after else 1.0
        scaled = self.emit("Mul", x.tensor, self.along_channels(op.scale * np.float32(x.unit / unit), op))
        return Value(self.emit("Add", scaled, self.along_channels(op.offset / np.float32(unit), op)), unit)

    def add(self, op, a, b):
        return Value(self.emit("Add", self.real(a), self.real(b)))

    def max_pool(self, op, x):
        return Value(self.emit("MaxPool", x.tensor, kernel_shape=op.size, strides=op.size), x.unit, x.zero)

    def average_pool(self, op, x):
        return Value(self.emit("AveragePool", x.tensor, kernel_shape=op.size, strides=op.size), x.unit)

    def flatten(self, op, x):
        return Value(self.emit("Flatten", self.emit("Transpose", x.tensor, perm=[0, 2, 3, 1])), x.unit, x.zero)

    def model(self):
        self.nodes.append(helper.make_node("Identity", [self.real(self.values[self.last.name])], ["y"]))
        first = next(iter(self.operations.values()))
        ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *op.shape])
                 for name, op in (("x", first), ("y", self.last))]
        graph = helper.make_graph(self.nodes, "plain", ports[:1], ports[1:], self.constants)
        return helper.make_model(graph, ir_version=9,
                                 opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)])


class Fake(Net):
    def quantize(self, op, x):
        codes = super().quantize(op, x)
        return Value(self.emit("Mul", codes.tensor, op.step))

    def weighted(self, op, x):
        codes = op.codes
        op.codes, step, op.step = codes.astype(np.float32) * np.float32(op.step), op.step, 1.0
        result = super().weighted(op, x)
        op.codes, op.step = codes, step
        return result

    conv = depthwise = dense = weighted

    def affine(self, op, x):
        return Value(self.emit("Add", self.emit("Mul", x.tensor, self.along_channels(op.scale, op)),
                               self.along_channels(op.offset, op)))


class Nbits(Fake):
    """MatMulNBits takes blocks of 16 or 32 inputs; codes are stored unsigned, about the middle of their range."""

    def dense(self, op, x):
        inputs, outputs = op.codes.shape
        bits = 4 if np.abs(op.codes).max() < 8 else 8
        block = 32 if inputs % 32 == 0 else 16
        blocks, middle = -(-inputs // block), 1 << (bits - 1)
        stored = np.full((outputs, blocks * block), middle, np.uint8)
        stored[:, :inputs] = op.codes.T.astype(np.int16) + middle
        if bits == 4:
            stored = stored[:, ::2] | stored[:, 1::2] << 4
        y = self.emit("MatMulNBits", x.tensor, self.constant(stored.reshape(outputs, blocks, -1), np.uint8),
                      np.full(outputs * blocks, op.step), domain=MICROSOFT, K=inputs, N=outputs, bits=bits,
                      block_size=block, accuracy_level=4)
        return Value(y if op.bias is None else self.emit("Add", y, op.bias))


class Integer(Net):
    def stored(self, op, tensor, divisor):
        """uint8 codes of a quantizer's result; signed ones lie about 128."""
        zero = 128 if op.lowest < 0 else 0
        tensor = self.emit("QuantizeLinear", tensor, float(divisor), self.constant(zero, np.uint8))
        if (op.lowest + zero, op.highest + zero) != (0, 255):
            tensor = self.emit("Clip", tensor, self.constant(op.lowest + zero, np.uint8),
                               self.constant(op.highest + zero, np.uint8))
        return Value(tensor, op.step, zero)

    def quantize(self, op, x):
        return self.stored(op, x.tensor, op.step / x.unit)

    def weighted(self, op, x):
        if x.zero is None:  # behind an average
            return super().weighted(op, x)
        zero, unit = self.constant(x.zero, np.uint8), op.step * x.unit
        if op.kind == "dense":
            y = self.emit("MatMulInteger", x.tensor, self.constant(op.codes, np.int8), zero)
        else:
            codes, attributes = self.window(op)
            y = self.emit("ConvInteger", x.tensor, self.constant(codes, np.int8), zero, **attributes)
        y = self.emit("Cast", y, to=TensorProto.FLOAT)
        if op.bias is not None:
            y = self.emit("Add", y, self.along_channels(op.bias / np.float32(unit), op))
        return Value(y, unit)

    conv = depthwise = dense = weighted

    def average_pool(self, op, x):
        return super().average_pool(op, Value(self.real(x)))


class Qdq(Integer):
    def real(self, value):
        if value.zero is None:
            return super().real(value)
        return self.emit("DequantizeLinear", value.tensor, float(value.unit), self.constant(value.zero, np.uint8))

    def quantize(self, op, x):
        return x if x.zero is not None else super().quantize(op, x)  # the operation before it has done it

    def weighted(self, op, x):
        if x.zero is None:
            return super().weighted(op, x)
        norm = self.reader(op, "affine")
        scale = np.full(op.shape[-1], op.step, np.float32)
        bias = np.zeros_like(scale) if op.bias is None else op.bias
        if norm:
            scale, bias = scale * norm.scale, bias * norm.scale + norm.offset
        dense = op.kind == "dense"
        codes, attributes = (op.codes, {}) if dense else self.window(op)
        weights = self.emit("DequantizeLinear", self.constant(codes, np.int8), scale,
                            self.constant(np.zeros(len(scale)), np.int8), axis=1 if dense else 0)
        unit = scale * np.float32(x.unit)
        bias = self.emit("DequantizeLinear", self.constant(np.rint(bias / unit), np.int32), unit,
                         self.constant(np.zeros(len(scale)), np.int32), axis=0)
        y = self.emit("Gemm" if dense else "Conv", self.real(x), weights, bias, **attributes)
        end = norm or op
        after = self.reader(end, "quantize")
        if after:
            return self.stored(after, y, after.step)
        if end is self.last:
            return Value(y)
        unit = end.largest / 127
        return Value(self.emit("QuantizeLinear", y, unit, self.constant(128, np.uint8)), unit, 128)

    conv = depthwise = dense = weighted

    def affine(self, op, x):
        return x

    def add(self, op, a, b):
        after = self.reader(op, "quantize")
        return self.stored(after, super().add(op, a, b).tensor, after.step)


CLASSES = dict(fake=Fake, fold=Net, integer=Integer, qdq=Qdq, nbits=Nbits)


def build(operations, form):
    return CLASSES[form](operations).model()
