"""Writes the networks of networks.py with fixed weights, inputs and QKeras's results.

    python generate.py FOLDER [NAME...]        # all sixteen without names

For each network: NAME.h5 (architecture and weights), NAME_x.npy (inputs) and NAME_y.npy (what QKeras gives for them).
Everything follows from the name alone, so that every program is timed on the same numbers. Weights are drawn, not trained;
mean and variance of each batch normalization are those of a few inputs, layer by layer, so that every activation uses its
range as it would after training. Outputs are logits: a difference of a single code shows.

TensorFlow runs with oneDNN whatever the processor: that path rounds batch normalization the same way everywhere, while
Eigen's reciprocal square root differs between makes of processors. `qloom compare --evaluation predict_onednn` follows it.
"""
import os
import sys
import zlib

os.environ.update(TF_ENABLE_ONEDNN_OPTS="1", CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3")
import numpy as np

NAMES = ("jets_w6a6", "digits_w4a4", "resnet8_w8a8", "resnet8_w4a4", "resnet8_w2a2", "resnet8_ta4", "resnet8_ba4", "resnet8_bb",
         "quicknet_bb", "vww_w4a4", "vww_w8a8", "kws_w8a8", "kws_w4a4", "ae_w8a8", "ae_w4a4", "lstm_w4a4")
CHUNK = 16  # samples that go through QKeras at once


def sample_count(name):
    return {"quicknet": 4, "vww": 16, "resnet8": 32}.get(name.split("_")[0], 128)


def draw_inputs(name, shape, count, seed=11):
    """float32 [count, *shape] on the grid of the network's input quantizer: features are normal, images are smooth."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, *shape))
    if len(shape) == 1 or name.startswith("kws"):
        return (np.clip(np.rint(x * 2 * 16), -127, 127) / 16).astype(np.float32)
    for axis in (1, 2):
        for _ in range(3):
            x = x + np.roll(x, 1, axis)
    x = 0.5 + x / x.std() / 4
    levels = 16 if name.startswith("lstm") else 256
    return (np.clip(np.rint(x * levels), 0, levels - 1) / levels).astype(np.float32)


def draw_weights(model, rng, bounded):
    """`bounded`: without normalization, kernels shrink with the fan-in so that sums stay in range."""
    for layer in model.layers:
        if not type(layer).__name__ in ("QConv2D", "QDepthwiseConv2D", "QDense", "QLSTM"):
            continue
        drawn = []
        for old in layer.get_weights():
            if old.ndim == 1:
                new = rng.uniform(-0.3, 0.3, old.shape)
            else:
                new = rng.uniform(-1, 1, old.shape)
                if bounded:
                    fan_in = int(np.prod(old.shape[:-1])) if old.ndim == 4 else old.shape[0]
                    new = new * min(1.0, 3.0 / np.sqrt(fan_in))
            drawn.append(new.astype(np.float32))
        layer.set_weights(drawn)


def calibrate(model, rng, x):
    """Scale and offset of each normalization are drawn; mean and variance are those of what reaches it."""
    results = {}
    for layer in model.layers:
        if type(layer).__name__ == "InputLayer":
            results[layer.output.name] = x
            continue
        operands = [results[t.name] for t in (layer.input if isinstance(layer.input, list) else [layer.input])]
        if type(layer).__name__ == "BatchNormalization":
            seen = operands[0].astype(np.float64)
            axes, channels = tuple(range(seen.ndim - 1)), seen.shape[-1]
            statistics = [rng.uniform(0.5, 1.5, channels), rng.uniform(-0.5, 0.5, channels), seen.mean(axes), seen.var(axes)]
            layer.set_weights([v.astype(np.float32) for v in statistics])
        results[layer.output.name] = layer(operands if len(operands) > 1 else operands[0], training=False).numpy()


def generate(name, folder):
    import tensorflow as tf
    import networks
    tf.get_logger().setLevel("ERROR")
    tf.keras.backend.clear_session()
    model = networks.build(name)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    shape = model.input_shape[1:]
    draw_weights(model, rng, bounded=name.startswith(("jets", "digits", "lstm")))
    calibrate(model, rng, draw_inputs(name, shape, 2 if name.startswith("quicknet") else 16, seed=12))

    x = draw_inputs(name, shape, sample_count(name))
    y = np.concatenate([model(x[i:i + CHUNK], training=False).numpy() for i in range(0, len(x), CHUNK)])
    np.save(os.path.join(folder, name + "_x.npy"), x)
    np.save(os.path.join(folder, name + "_y.npy"), y)
    model.save(os.path.join(folder, name + ".h5"), include_optimizer=False)
    print(f"{name}: {model.count_params()} weights, outputs {y.mean():.3f} +- {y.std():.3f}", flush=True)


def main(arguments):
    if not arguments or arguments[0].startswith("-"):
        sys.exit(__doc__)
    unknown = [n for n in arguments[1:] if n not in NAMES]
    if unknown:
        sys.exit(f"unknown network {', '.join(unknown)}; there are {', '.join(NAMES)}")
    os.makedirs(arguments[0], exist_ok=True)
    for name in arguments[1:] or NAMES:
        generate(name, arguments[0])


if __name__ == "__main__":
    main(sys.argv[1:])
