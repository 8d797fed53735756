"""The networks on which speed is compared, built from QKeras layers.

    import networks
    model = networks.build("resnet8_w4a4")     # a Keras model with Keras's initial weights

A name says the family and the precisions: `w4a4` is 4-bit weights and 4-bit activations, `ta4` ternary weights with 4-bit
activations, `bb` binary weights and binary activations. First and last layers, and whatever carries real values between
binary blocks, have 8 bits, as such networks are trained. Needs TensorFlow 2.15 and QKeras 0.9.
"""
from tensorflow.keras import Input, Model, layers as keras
import qkeras
from qkeras import binary, quantized_bits, quantized_relu, quantized_sigmoid, quantized_tanh, ternary


def weight_quantizer(code):
    """`8` … `2`: signed, symmetric, within (-1, 1); `t`: ternary; `b`: binary."""
    if code == "t":
        return ternary(alpha=1, threshold=0.33)
    if code == "b":
        return binary(alpha=1)
    return quantized_bits(int(code), 0, 1, alpha=1)


class Net:
    """A chain of layers in the making; `x` is its end. Layers are named by the caller."""

    def __init__(self, weights, activations, shape, input_name):
        self.weights, self.activations = weights, activations
        self.input = self.x = Input(shape, name=input_name)

    def activation(self, name, code=None, integer=None):
        """`b`: the sign. Otherwise unsigned with `code` bits, `integer` of them before the point."""
        code = code or self.activations
        if integer is None:
            integer = 2 if code == "8" else 1
        quantizer = binary(alpha=1) if code == "b" else quantized_relu(int(code), integer)
        self.x = qkeras.QActivation(quantizer, name=name)(self.x)

    def signed_input(self):
        self.x = qkeras.QActivation(quantized_bits(8, 3, 1, alpha=1), name="in_q")(self.x)

    def unsigned_input(self, code="8"):
        self.activation("in_q", code, 0)

    def norm(self, name):
        self.x = keras.BatchNormalization(name=name + "_bn")(self.x)

    def conv(self, name, filters, size, strides=1, code=None):
        """Convolution and batch normalization."""
        self.x = qkeras.QConv2D(filters, size, strides=strides, padding="same", use_bias=False,
                                kernel_quantizer=weight_quantizer(code or self.weights), name=name)(self.x)
        self.norm(name)

    def depthwise(self, name, strides=1, code=None):
        self.x = qkeras.QDepthwiseConv2D(3, strides=strides, padding="same", use_bias=False,
                                         depthwise_quantizer=weight_quantizer(code or self.weights), name=name)(self.x)
        self.norm(name)

    def dense(self, name, units, code=None, bias="8"):
        self.x = qkeras.QDense(units, kernel_quantizer=weight_quantizer(code or self.weights),
                               bias_quantizer=weight_quantizer(bias), name=name)(self.x)

    def add(self, name, other):
        self.x = keras.Add(name=name)([other, self.x])

    def flatten_average(self, size):
        self.x = keras.Flatten(name="flat")(keras.AveragePooling2D(size, name="pool")(self.x))


def jets(w, a):
    """Jet tagging at the LHC's trigger: 16-64-32-32-5 (Duarte et al., 2018; Coelho et al., 2021)."""
    net = Net(w, a, (16,), "features")
    net.signed_input()
    for i, units in enumerate((64, 32, 32)):
        net.dense(f"fc{i}", units, bias=w)
        net.activation(f"fc{i}_act", integer=2)
    net.dense("out", 5, bias=w)
    return net


def digits(w, a):
    """Handwritten digits: three convolutions with biases and maximum pooling, no normalization."""
    net = Net(w, a, (28, 28, 1), "image")
    net.unsigned_input()
    for i, filters in enumerate((16, 32, 64)):
        net.x = qkeras.QConv2D(filters, 3, padding="same", kernel_quantizer=weight_quantizer(w),
                               bias_quantizer=weight_quantizer("8"), name=f"conv{i}")(net.x)
        net.activation(f"conv{i}_act", integer=2)
        net.x = keras.MaxPooling2D(2, name=f"pool{i}")(net.x)
    net.x = keras.Flatten(name="flat")(net.x)
    net.dense("fc", 10)
    return net


def resnet8(w, a):
    """Image classification of MLPerf Tiny: three residual blocks on 32 x 32 pixels."""
    net = Net(w, a, (32, 32, 3), "image")
    net.unsigned_input()
    net.conv("stem", 16, 3, code="8")
    net.activation("stem_act")
    for i, width in enumerate((16, 32, 64)):
        entry, strides = net.x, 1 if i == 0 else 2
        net.conv(f"block{i}_conv1", width, 3, strides)
        net.activation(f"block{i}_act1")
        net.conv(f"block{i}_conv2", width, 3)
        if i:
            end, net.x = net.x, entry
            net.conv(f"block{i}_skip", width, 1, strides)
            entry, net.x = net.x, end
        net.add(f"block{i}_add", entry)
        net.activation(f"block{i}_act2")
    net.flatten_average(8)
    net.dense("fc", 10, "8")
    return net


def quicknet(w, a):
    """A binary network in the manner of QuickNet (Bannink et al., 2021): real-valued shortcuts around binary convolutions."""
    net = Net(w, a, (224, 224, 3), "image")
    net.unsigned_input()
    net.conv("stem", 16, 3, 2, "8")
    net.activation("stem_act", "8")
    net.depthwise("stem_dw", 2, "8")
    net.activation("stem_dw_act", "8")
    net.conv("stem_pw", 64, 1, code="8")
    for i, (width, blocks) in enumerate(((64, 2), (128, 3), (256, 3), (512, 2))):
        if i:
            net.x = keras.MaxPooling2D(2, name=f"down{i}_pool")(net.x)
            net.activation(f"down{i}_act", "8")
            net.conv(f"down{i}", width, 1, code="8")
        for j in range(blocks):
            entry = net.x
            net.activation(f"s{i}b{j}_sign")
            net.conv(f"s{i}b{j}_conv", width, 3)
            net.add(f"s{i}b{j}_add", entry)
    net.activation("head_act", "8")
    net.x = keras.GlobalAveragePooling2D(name="gap")(net.x)
    net.dense("fc", 1000, "8")
    return net


def vww(w, a):
    """Visual wake words of MLPerf Tiny: MobileNet v1 of width 0.25 on 96 x 96 pixels."""
    net = Net(w, a, (96, 96, 3), "image")
    net.unsigned_input()
    net.conv("stem", 8, 3, 2, "8")
    net.activation("stem_act")
    widths = (16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)
    for i, width in enumerate(widths):
        net.depthwise(f"dw{i}", 2 if i in (1, 3, 5, 11) else 1)
        net.activation(f"dw{i}_act")
        net.conv(f"pw{i}", width, 1)
        net.activation(f"pw{i}_act")
    net.flatten_average(3)
    net.dense("fc", 2, "8")
    return net


def kws(w, a):
    """Keyword spotting of MLPerf Tiny: a separable convolutional network on 49 x 10 spectra."""
    net = Net(w, a, (49, 10, 1), "spectrum")
    net.signed_input()
    net.conv("stem", 64, (10, 4), 2, "8")
    net.activation("stem_act")
    for i in range(4):
        net.depthwise(f"dw{i}")
        net.activation(f"dw{i}_act")
        net.conv(f"pw{i}", 64, 1)
        net.activation(f"pw{i}_act")
    net.flatten_average((25, 5))
    net.dense("fc", 12, "8")
    return net


def ae(w, a):
    """Anomaly detection of MLPerf Tiny: a dense autoencoder of 640 values."""
    net = Net(w, a, (640,), "spectrum")
    net.signed_input()
    for i, units in enumerate((128, 128, 128, 128, 8, 128, 128, 128, 128)):
        net.dense(f"fc{i}", units)
        net.norm(f"fc{i}")
        net.activation(f"fc{i}_act")
    net.dense("out", 640)
    return net


def lstm(w, a):
    """28 steps of 28 values into 64 units."""
    net = Net(w, a, (28, 28), "rows")
    net.unsigned_input(a)
    net.x = qkeras.QLSTM(64, kernel_quantizer=weight_quantizer(w), recurrent_quantizer=weight_quantizer(w),
                         bias_quantizer=weight_quantizer(w), state_quantizer=weight_quantizer(a),
                         activation=quantized_tanh(int(a)), recurrent_activation=quantized_sigmoid(int(a)),
                         name="lstm")(net.x)
    net.dense("fc", 10)
    return net


FAMILIES = {f.__name__: f for f in (jets, digits, resnet8, quicknet, vww, kws, ae, lstm)}


def build(name):
    family, precision = name.split("_")
    w, a = precision[1:].split("a") if precision[0] == "w" else (precision[0], precision[-1])
    net = FAMILIES[family](w, a)
    return Model(net.input, net.x, name=name)
