"""Random QKeras networks: does qloom compute what QKeras computes?

    python tests/scripts/qkeras_cross_check.py --qloom build/release/bin/qloom --style grid --seeds 0:200

A seed gives a network, weights and inputs, always the same ones. QKeras runs it in eager calls, `qloom compare` runs it in
compiled code and in the interpreter. Three styles:

    grid   all scales are powers of two: most networks are certified to be bit-equal
    auto   scales of weights come from the weights (`auto`, `auto_po2`)
    wild   also odd scales, unquantized inputs and the float activations

A network fails if qloom ends in any way but an answer or a message, if outputs that are certified to be bit-equal are not,
or if compiled code and interpreter lie differently far from QKeras. Where the certificate makes no promise a result beyond
the contract is counted and shown, since TensorFlow's own logarithm and reciprocal square root are the usual cause. The exit
code is 1 if a network fails. --keep leaves the files of such networks in --folder.

Needs TensorFlow 2.15 and QKeras 0.9 (bench/peers/requirements/qkeras.txt).
"""
import argparse
import collections
import glob
import json
import os
import subprocess
import sys
import tempfile

os.environ.update(TF_ENABLE_ONEDNN_OPTS="0", CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3", TF_NUM_INTRAOP_THREADS="1",
                  TF_NUM_INTEROP_THREADS="1")  # the preset `eager`: plain batch normalization
import numpy as np
import tensorflow as tf

# tensorflow-model-optimization, which QKeras imports, would resolve a Keras not yet touched to the package tf_keras.
for keras_module in (tf.keras, tf.compat.v1.keras, tf.compat.v2.keras):
    assert keras_module.Model
import qkeras

keras = tf.keras.layers
STYLES = ("grid", "auto", "wild")
LARGEST = 6000  # elements a layer may have: the interpreter is slow
COMPARE_SECONDS = 120
HAS_LINEAR = hasattr(qkeras, "quantized_linear")  # in QKeras's repository, not in the package 0.9.0


class Draw:
    """Random choices of one seed."""

    def __init__(self, style, seed):
        self.style = style
        self.rng = np.random.default_rng([STYLES.index(style), seed])

    def of(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def chance(self, probability):
        return self.rng.random() < probability

    def between(self, low, high):
        return int(self.rng.integers(low, high + 1))

    # Quantizers, as QKeras writes them.
    def scale(self):
        powers = ("1", "1", "1.0", "0.5", "2.0")
        return self.of(*{"grid": powers, "auto": ("None", "'auto'", "'auto_po2'"),
                         "wild": powers + ("None", "'auto'", "'auto_po2'", "0.75", "1.7")}[self.style])

    def weight_quantizer(self):
        scale = self.scale()
        kind = self.of("bits", "bits", "bits", "linear", "binary", "ternary", "po2")
        if kind == "binary":
            return f"binary(alpha={scale})"
        if kind == "ternary":
            return f"ternary(alpha={scale})" if "auto" in scale or scale == "None" else \
                f"ternary(alpha={scale},threshold={self.of('0.33', '0.5', '0.05')})"
        if kind == "po2":
            return f"quantized_po2({self.between(2, 6)},max_value={self.of('None', '1', '2', '0.25')})"
        name = "quantized_linear" if kind == "linear" and HAS_LINEAR else "quantized_bits"
        return f"{name}({self.between(2, 8)},{self.between(0, 2)},{self.between(0, 1)},alpha={scale})"

    def bias_quantizer(self):
        if self.chance(0.2):
            return f"quantized_po2({self.between(2, 5)},max_value={self.of('None', '1', '2')})"
        return f"quantized_bits({self.between(2, 8)},{self.between(0, 2)},{self.between(0, 1)},alpha=1)"

    def activation_quantizer(self):
        bits, integer, kept = self.between(2, 8), self.between(0, 3), self.between(0, 1)
        kinds = [
            f"quantized_relu({bits},{integer})", f"quantized_relu({bits},{integer})", f"quantized_relu(1,{integer})",
            f"quantized_relu({max(bits, 3)},{integer},negative_slope={self.of('0.25', '0.125')})",
            f"quantized_relu({bits},{max(integer, 1)},relu_upper_bound={self.of('1', '1.5', '6')})",
            f"quantized_bits({bits},{integer},{kept},alpha=1)", f"quantized_bits({bits},{integer},{kept},alpha=1)",
            f"quantized_bits({bits},{integer},0,keep_negative=False)",
            f"binary({self.chance(0.4)},alpha={self.of('1', '0.5')})", f"ternary(alpha=1,threshold={self.of('0.5', '0.33', '1.0')})",
            f"quantized_po2({min(bits, 6)},{self.of('None', '1', '4')})", f"quantized_relu_po2({min(bits, 6)},{self.of('None', '2')})",
            f"quantized_tanh({bits},symmetric={self.chance(0.5)})", f"quantized_sigmoid({bits},symmetric={self.chance(0.5)})"]
        if HAS_LINEAR:
            kinds.append(f"quantized_linear({bits},{integer},{kept})")
        if self.style == "wild":
            kinds += ["binary(alpha=0.7)", "ternary()", f"quantized_bits({bits},{integer},{kept},alpha=1.7)",
                      f"quantized_ulaw({max(bits, 3)},{kept})", f"quantized_tanh({bits},use_real_tanh=True)",
                      f"quantized_hswish({max(bits, 4)},{integer},{kept},alpha=1)", "quantized_bits(4,0,1,alpha='auto_po2')"]
        return self.of(*kinds)

    def as_object_or_text(self, text):
        """Both are written to files, differently. QKeras 0.9 reads no quantized_linear and no None from a text."""
        as_text = self.chance(0.5) and "linear" not in text and "None" not in text
        return text if as_text else eval(text, vars(qkeras))  # the texts are this file's own

    def quantizers(self, kernel):
        more = {"activation": self.as_object_or_text(self.activation_quantizer())} if self.chance(0.3) else {}
        return {kernel: self.as_object_or_text(self.weight_quantizer()), "use_bias": self.chance(0.8),
                "bias_quantizer": self.as_object_or_text(self.bias_quantizer()), **more}

    def window(self, *sizes):
        """kernel size, strides and dilation that fit `valid` padding too."""
        kernel = tuple(self.between(1, min(4, size)) for size in sizes)
        strides = self.of(1, 1, 2, 3)
        dilation = 2 if strides == 1 and self.chance(0.2) and all((k - 1) * 2 < s for k, s in zip(kernel, sizes)) else 1
        return dict(kernel_size=kernel, strides=strides, dilation_rate=dilation)

    def groups(self, channels):
        return self.of(*[g for g in (2, 3, 4) if channels % g == 0] or [1]) if self.chance(0.2) else 1


# Layers: each takes a Draw and a tensor and gives a tensor.
def activation(d, x):
    return qkeras.QActivation(d.as_object_or_text(d.activation_quantizer()))(x)


def dense(d, x):
    return qkeras.QDense(d.of(1, 2, 3, 5, 7, 10, 16, 17), **d.quantizers("kernel_quantizer"))(x)


def conv_2d(d, x):
    groups = d.groups(x.shape[-1])
    return qkeras.QConv2D(groups * d.of(1, 2, 3, 4, 8), padding=d.of("same", "valid"), groups=groups,
                          **d.window(*x.shape[1:3]), **d.quantizers("kernel_quantizer"))(x)


def depthwise_2d(d, x):
    window = d.window(*x.shape[1:3])
    return qkeras.QDepthwiseConv2D(window.pop("kernel_size"), padding=d.of("same", "valid"), depth_multiplier=d.of(1, 1, 2),
                                   **window, **d.quantizers("depthwise_quantizer"))(x)


def conv_1d(d, x):
    groups = d.groups(x.shape[-1])
    return qkeras.QConv1D(groups * d.between(1, 5), padding=d.of("same", "valid", "causal"), groups=groups,
                          **d.window(x.shape[1]), **d.quantizers("kernel_quantizer"))(x)


def norm(d, x):
    settings = dict(center=d.chance(0.85), scale=d.chance(0.85), epsilon=d.of(1e-3, 1e-5))
    if d.chance(0.6):
        return keras.BatchNormalization(**settings)(x)
    return qkeras.QBatchNormalization(gamma_quantizer=None, variance_quantizer=None,
                                      mean_quantizer=d.of(None, "quantized_bits(8,2,1)"),
                                      beta_quantizer=d.of(None, "quantized_bits(8,2,1)"), **settings)(x)


def pool(d, x):
    size = min(d.of(2, 2, 3), *x.shape[1:-1])
    rank = len(x.shape) - 2
    if rank == 2 and d.chance(0.3):
        return qkeras.QAveragePooling2D(size, average_quantizer=d.of(None, "quantized_bits(8,0,1,alpha=1)"))(x)
    kinds = {1: (keras.MaxPooling1D, keras.AveragePooling1D), 2: (keras.MaxPooling2D, keras.AveragePooling2D)}[rank]
    return d.of(*kinds)(size, d.of(None, 1, 2), d.of("same", "valid"))(x)


def rectifier(d, x):
    return d.of(keras.ReLU(), keras.ReLU(max_value=6.0), keras.LeakyReLU(alpha=0.25), keras.Activation("relu"),
                *([keras.Activation(d.of("tanh", "sigmoid", "elu", "softplus", "swish", "softmax"))] if d.style == "wild" else []))(x)


def shape_change(d, x):
    choices = [keras.Dropout(0.3), keras.Flatten(), keras.Rescaling(d.of(0.5, 2.0), offset=d.of(0.0, 0.5))]
    if len(x.shape) == 4:
        choices += [keras.ZeroPadding2D(d.of(1, ((0, 1), (1, 0)))), keras.Reshape((x.shape[1] * x.shape[2], x.shape[3])),
                    keras.GlobalAveragePooling2D(), keras.GlobalMaxPooling2D(keepdims=d.chance(0.3))]
    if len(x.shape) == 3:
        choices += [keras.ZeroPadding1D(d.of(1, (1, 0))), keras.GlobalAveragePooling1D(), keras.GlobalMaxPooling1D()]
    return d.of(*choices)(x)


def residual(d, x):
    settings = dict(kernel_quantizer=d.as_object_or_text(d.weight_quantizer()),
                    bias_quantizer=d.as_object_or_text(d.bias_quantizer()))
    make = {4: lambda: qkeras.QConv2D(x.shape[-1], d.of(1, 3), padding="same", **settings),
            3: lambda: qkeras.QConv1D(x.shape[-1], d.of(1, 3), padding="same", **settings),
            2: lambda: qkeras.QDense(x.shape[-1], **settings)}
    y = make[len(x.shape)]()(x)
    y = activation(d, y) if d.chance(0.6) else y
    return merged(d, [x, y] if d.chance(0.5) else [y, x])


def merged(d, tensors):
    if tensors[0].shape[1:] != tensors[1].shape[1:]:
        tensors = [keras.Flatten()(t) for t in tensors]
        return keras.Concatenate()(tensors)
    return d.of(keras.Add, keras.Add, keras.Subtract, keras.Multiply, keras.Maximum, keras.Minimum, keras.Average,
                keras.Concatenate)()(tensors)


# layer → how often, and the ranks (with the batch) that it takes
LAYERS = {activation: (28, (2, 3, 4)), dense: (10, (2, 3, 4)), conv_2d: (26, (4,)), depthwise_2d: (10, (4,)), conv_1d: (22, (3,)),
          norm: (10, (2, 3, 4)), pool: (8, (3, 4)), rectifier: (6, (2, 3, 4)), shape_change: (8, (2, 3, 4)),
          residual: (8, (2, 3, 4))}


def step(d, x):
    fitting = {layer: often for layer, (often, ranks) in LAYERS.items() if len(x.shape) in ranks}
    odds = np.array(list(fitting.values()), float)
    layer = list(fitting)[d.rng.choice(len(odds), p=odds / odds.sum())]
    y = layer(d, x)
    return y if np.prod(y.shape[1:]) <= LARGEST else x


def network(d):
    shape = d.of((d.between(3, 9), d.between(3, 9), d.of(1, 2, 3, 4, 8, 16)), (d.between(4, 12), d.of(1, 2, 3, 6)),
                 (d.of(1, 3, 8, 13, 32, 64),))
    first = [tf.keras.Input(shape) for _ in range(2 if d.chance(0.15) else 1)]
    entries = ("quantized_bits(8,1,1,alpha=1)", "quantized_bits(4,0,0,alpha=1)", "quantized_relu(8)", "quantized_relu(4,2)",
               "binary(alpha=1)", "ternary(alpha=1)", "quantized_bits(16,3,1,alpha=1)")
    ends = [x if d.style == "wild" and d.chance(0.3) else qkeras.QActivation(d.as_object_or_text(d.of(*entries)))(x) for x in first]
    x = ends[0] if len(ends) == 1 else merged(d, ends)
    passed = []
    for _ in range(d.between(1, 7)):
        x = step(d, x)
        passed.append(x)
    if len(x.shape) > 2 and d.chance(0.4):
        x = dense(d, keras.Flatten()(x))
    if d.chance(0.1):
        x = keras.Softmax()(x)
    side = d.of(*passed)
    outputs = [x, side] if d.chance(0.2) and side is not x else [x]
    return tf.keras.Model(first, outputs)


def fill(d, model):
    """Weights: most of them such that sums, ties and saturation all occur."""
    habit = d.of("normal", "normal", "eighths", "zero channels", "saturated", "tiny")
    for variable in model.weights:
        if variable.dtype != tf.float32:
            continue
        shape, name = tuple(variable.shape), variable.name
        if "variance" in name or "gamma" in name:
            values = d.rng.uniform(0.2, 3, shape)
        else:
            values = d.rng.normal(0, 0.6, shape)
            if habit == "eighths":
                values = np.rint(values * 8) / 8
            elif habit == "saturated":
                values = values * 10
            elif habit == "tiny" and len(shape) > 1:
                values = values * 1e-5
            elif habit == "zero channels" and len(shape) > 1:
                values[..., ::2] = 0
        variable.assign(values.astype(np.float32))


def samples(d, model):
    count, habit = d.of(1, 2, 3, 5, 8), d.of("sixteenths", "normal", "integers", "wide")
    arrays = []
    for tensor in model.inputs:
        shape = (count, *tensor.shape[1:])
        values = {"sixteenths": lambda: d.rng.integers(-32, 32, shape) / 16, "normal": lambda: d.rng.normal(size=shape),
                  "integers": lambda: d.rng.integers(-4, 5, shape),
                  "wide": lambda: d.rng.normal(size=shape) * 2.0 ** d.rng.integers(-8, 6, shape)}[habit]()
        arrays.append(values.astype(np.float32))
    return arrays


def prepare(style, seed, base):
    """Writes base.h5, base_x.npz, base_y.npz. False where QKeras itself cannot build, save or run the network."""
    d = Draw(style, seed)
    tf.keras.backend.clear_session()
    try:
        model = network(d)
        fill(d, model)
        x = samples(d, model)
        model.save(base + ".h5", include_optimizer=False)
        y = model([tf.constant(v) for v in x] if len(x) > 1 else tf.constant(x[0]), training=False)
    except (AssertionError, AttributeError, NotImplementedError, TypeError, ValueError, tf.errors.OpError):
        return False
    y = [v.numpy() for v in (y if isinstance(y, (list, tuple)) else [y])]
    if not all(np.isfinite(v).all() for v in y):
        return False  # nothing to compare
    np.savez(base + "_x.npz", **{t.name.split(":")[0]: v for t, v in zip(model.inputs, x)})
    np.savez(base + "_y.npz", **{f"{i}_{name}": v for i, (name, v) in enumerate(zip(model.output_names, y))})
    return True


def verdict(qloom, base):
    """(kind, text): equal, within, beyond, refused, or failed."""
    command = [qloom, "compare", base + ".h5", "--input", base + "_x.npz", "--expected", base + "_y.npz", "--evaluation", "eager",
               "--json"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMPARE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "failed", f"no answer within {COMPARE_SECONDS} s"
    if done.returncode == 2 and done.stderr.strip():
        return "refused", done.stderr.strip().splitlines()[0].replace(base, "MODEL")[:160]
    if done.returncode not in (0, 1):
        return "failed", f"exit code {done.returncode}: {done.stderr.strip()[-160:]}"
    result = json.loads(done.stdout)
    for compiled, interpreted in zip(result["outputs"], result["interpreter"]):
        name = compiled["name"]
        certified = ": bit-equal to " in compiled["certificate"].splitlines()[0]
        if certified and not (compiled["bit_equal"] and interpreted["bit_equal"]):
            return "failed", f"{name} is certified, but differs by {max(compiled['max_abs'], interpreted['max_abs'])}"
        if compiled["max_abs"] != interpreted["max_abs"] and not result["within_contract"]:
            return "failed", f"{name}: compiled code differs by {compiled['max_abs']}, the interpreter by {interpreted['max_abs']}"
    if not result["within_contract"]:
        return "beyond", result["outputs"][0]["certificate"].splitlines()[1].strip()[:160] \
            if "\n" in result["outputs"][0]["certificate"] else "within no promise"
    return ("equal" if all(o["bit_equal"] for o in result["outputs"]) else "within"), ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qloom", default="build/release/bin/qloom")
    parser.add_argument("--style", choices=STYLES, default="grid")
    parser.add_argument("--seeds", default="0:100", help="FIRST:END")
    parser.add_argument("--folder", default="", help="where files go; default: a temporary folder")
    parser.add_argument("--keep", action="store_true", help="keep the files of networks that fail or are beyond the contract")
    args = parser.parse_args()
    if not os.path.exists(args.qloom):
        parser.error(f"{args.qloom} is not there")
    tf.get_logger().setLevel("ERROR")
    first, end = map(int, args.seeds.split(":"))
    counts, folder = collections.Counter(), args.folder or tempfile.mkdtemp(prefix="qkeras-cross-check-")
    os.makedirs(folder, exist_ok=True)
    for seed in range(first, end):
        base = os.path.join(folder, f"{args.style}_{seed}")
        kind, text = verdict(args.qloom, base) if prepare(args.style, seed, base) else ("no network", "")
        counts[kind] += 1
        if text:
            print(f"{args.style} {seed}: {kind}: {text}", flush=True)
        if not (args.keep and kind in ("failed", "beyond")):
            for path in glob.glob(glob.escape(base) + "[._]*"):
                os.remove(path)
    print(f"{end - first} seeds of {args.style}: " + ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
