"""Random QKeras networks: does `qloom stats` say what QTools says?

    python tests/scripts/qtools_cross_check.py --qloom build/release/bin/qloom --style grid --seeds 0:50

A seed gives a network and weights, those of qkeras_cross_check.py; the style `layers` draws from separable, folded, transposed and recurrent
layers beside others. QTools maps it in the ways of WAYS below; `qloom stats --json --qstats`
maps the saved file with the options that stand beside each. Everything is compared: types field by field, operation counts, order
of layers, energies to the printed digits, roofline numbers, and what print_qstats prints. Where QTools raises, qloom must name the
same exception among its refusals. The exit code is 1 if a network differs; --keep leaves its file in --folder.

The edges of QTools's graph come out of an unordered set; they are put in the order of layers and arguments here, as in qloom.

Needs TensorFlow 2.15 and QKeras of commit 78ea90f on PYTHONPATH (bench/peers/requirements/qkeras.txt for the rest).
"""
import argparse
import collections
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import traceback

import qkeras_cross_check as networks  # first: sets TensorFlow's environment
import networkx
import numpy as np
import qkeras
import tensorflow as tf
from qkeras import estimate
from qkeras.qtools import qgraph, settings
from qkeras.qtools.run_qtools import QTools

ENERGY = dict(weights_on_memory="sram", activations_on_memory="dram", min_sram_size=8192, rd_wr_on_io=False)
ENERGY_OPTIONS = ["--weights-memory", "sram", "--min-sram", "8192", "--inputs-in-sram"]
REFERENCE = dict(keras_quantizer="int8", keras_accumulator="int32", for_reference=True)
# (arguments of QTools, called before, options of qloom)
WAYS = [
    ({}, False, []),
    ({}, True, ["--learned-scales"]),
    (dict(is_inference=True), False, ["--trained"]),
    (dict(is_inference=True, model_weights_already_quantized=False), False, ["--trained", "--quantize-weights"]),
    (dict(keras_quantizer="fp16", keras_accumulator="fp32"), False, ["--keras-quantizer", "fp16", "--keras-accumulator", "fp32"]),
    (REFERENCE, False, ["--keras-quantizer", "int8", "--keras-accumulator", "int32", "--reference"]),
]
# Layers that qkeras_cross_check.py does not draw.
def separable(d, x):
    layer = qkeras.QSeparableConv2D if len(x.shape) == 4 else qkeras.QSeparableConv1D
    settings = d.quantizers("depthwise_quantizer")
    return layer(d.between(1, 4), d.between(1, 3), padding="same", depth_multiplier=d.of(1, 1, 2),
                 pointwise_quantizer=d.as_object_or_text(d.weight_quantizer()), **settings)(x)


def folded(d, x):
    settings = dict(strides=d.of(1, 2), padding=d.of("same", "valid"), use_bias=d.chance(0.8),
                    bias_quantizer=d.of(None, "quantized_bits(8,2,1,alpha=1)"),
                    folding_mode=d.of("ema_stats_folding", "batch_stats_folding"))
    size = tuple(d.between(1, min(3, n)) for n in x.shape[1:3])
    if d.chance(0.5):
        return qkeras.QConv2DBatchnorm(d.between(1, 4), size, kernel_quantizer=d.as_object_or_text(d.weight_quantizer()), **settings)(x)
    return qkeras.QDepthwiseConv2DBatchnorm(size, depthwise_quantizer=d.as_object_or_text(d.weight_quantizer()), **settings)(x)


def transposed(d, x):
    return qkeras.QConv2DTranspose(d.between(1, 4), d.between(1, 3), strides=d.of(1, 2), padding=d.of("same", "valid"),
                                   **d.quantizers("kernel_quantizer"))(x)


def recurrent(d, x):
    layer = d.of(qkeras.QSimpleRNN, qkeras.QLSTM, qkeras.QGRU)
    settings = d.quantizers("kernel_quantizer")
    settings["activation"] = d.of("quantized_tanh(4)", "tanh", "quantized_bits(4,0,1,alpha=1)")
    return layer(d.between(1, 4), return_sequences=d.chance(0.5), recurrent_quantizer=d.as_object_or_text(d.weight_quantizer()), **settings)(x)


def averaged(d, x):
    average = dict(average_quantizer=d.of(None, "quantized_bits(4,0,1,alpha=1)", "binary(alpha=1)"))
    if d.chance(0.5):
        return qkeras.QGlobalAveragePooling2D(**average)(x)
    return qkeras.QAveragePooling2D(tuple(min(2, n) for n in x.shape[1:3]), **average)(x)


MORE_LAYERS = {**networks.LAYERS, separable: (20, (3, 4)), folded: (24, (4,)), transposed: (16, (4,)), recurrent: (16, (3,)),
               averaged: (8, (4,)), networks.conv_2d: (8, (4,)), networks.conv_1d: (8, (3,)), networks.activation: (14, (2, 3, 4))}
STYLES = (*networks.STYLES, "layers")


def draw_network(style, seed):
    """A Draw and its network."""
    if style != "layers":
        draw = networks.Draw(style, seed)
        return draw, networks.network(draw)
    kept, networks.LAYERS = networks.LAYERS, MORE_LAYERS
    try:
        draw = networks.Draw("grid", 1_000_000 + seed)
        return draw, networks.network(draw)
    finally:
        networks.LAYERS = kept


SOURCES = ["int8", "quantized_relu(6,2)", "quantized_po2(4,2)", "fp32"]


def in_order(model, *arguments, make=qgraph.GenerateGraphFromModel):
    """The graph with its edges by consumer, and there by argument."""
    graph, sources = make(model, *arguments)
    listed = lambda x: x if isinstance(x, (list, tuple)) else [x]
    maker = {t.ref(): k for k, layer in enumerate(model.layers) for t in listed(layer.output)}
    wanted = [(maker.get(t.ref()), k) for k, layer in enumerate(model.layers) for t in listed(layer.input)]
    rank = {edge: place for place, edge in reversed(list(enumerate(wanted)))}
    ordered = networkx.DiGraph()
    ordered.add_nodes_from(graph.nodes(data=True))
    ordered.add_edges_from(sorted(graph.edges(data=True), key=lambda e: rank.get(e[:2], len(wanted))))
    return ordered, sources


qgraph.GenerateGraphFromModel = in_order


@contextlib.contextmanager
def silence():
    with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.redirect_stderr(io.StringIO()), np.errstate(all="ignore"):
        yield text


def plain(x):
    """Numbers, lists and dictionaries as JSON has them; truth values are numbers."""
    if hasattr(x, "numpy"):
        x = x.numpy()
    if isinstance(x, dict):
        return {str(k): plain(v) for k, v in x.items()}
    if isinstance(x, (list, tuple, tf.TensorShape)):
        return [plain(v) for v in x]
    if isinstance(x, np.ndarray):
        return plain(x.tolist()) if x.size != 1 else plain(x.item())
    if isinstance(x, (bool, np.bool_)):
        return int(x)
    return x.item() if isinstance(x, np.generic) else x


def difference(got, want, path=""):
    """"" or where both differ first."""
    if isinstance(got, dict) and isinstance(want, dict):
        for key in list(want) + [k for k in got if k not in want]:
            if key not in got or key not in want:
                return f"{path}.{key} is {'missing' if key not in got else 'too much'}"
            if text := difference(got[key], want[key], f"{path}.{key}"):
                return text
        return ""
    if isinstance(got, list) and isinstance(want, list) and len(got) == len(want):
        return next((t for k, (a, b) in enumerate(zip(got, want)) if (t := difference(a, b, f"{path}[{k}]"))), "")
    numbers = all(isinstance(v, (int, float)) for v in (got, want))
    same = abs(got - want) <= 1e-9 * max(abs(got), abs(want)) if numbers else got == want
    return "" if same else f"{path} is {got}, QTools says {want}"


def run_qtools(build, arguments, called, sources):
    """({part: value}, {part: exception}): what QTools says and where it raises."""
    said, raised = {}, {}
    settings.cfg.__init__()  # as at program start
    with silence():
        model = build()
        if called:
            zeros = [tf.zeros([1] + t.shape[1:]) for t in model.inputs]
            model(zeros if len(zeros) > 1 else zeros[0], training=False)
        try:
            tools = QTools(model, "horowitz", source_quantizers=sources, **arguments)
        except Exception as error:
            return {}, {"map": type(error).__name__}
        said["data_type_map"] = plain(tools._output_dict)
        for part, ask in (("energy", lambda: energy_of(tools)), ("roofline", tools.get_roofline_numbers)):
            try:
                said[part] = plain(ask())
            except Exception as error:
                raised[part] = type(error).__name__
    return said, raised


def energy_of(tools):
    result = tools.pe(**ENERGY)
    return {**result, "counted_sum": tools.extract_energy_sum(settings.cfg.include_energy, result)}


def run_qstats(build):
    """What print_qstats prints, and the exception if it raises one. QKeras clones the network first, which may fail on its own (recurrent
    layers in Keras 2.15, quantized_linear): then only what was printed before counts."""
    raised = ""
    with silence() as text:
        try:
            estimate.print_qstats(build())
        except Exception as error:
            in_clone = any(frame.name == "clone_model" for frame in traceback.extract_tb(error.__traceback__))
            raised = "" if in_clone else type(error).__name__
    numbers = lambda pattern: re.findall(pattern, text.getvalue(), re.M)
    printed = {"operations": sorted([n, int(c), op] for n, c, op in numbers(r"^    (\S+) +: +(\d+) +\((\w+)\)$"))}
    for key, pattern in (("weight_bits", r"Total Bits +: +(\d+)"), ("sparsity", r"Total Sparsity +: +([\d.]+)")):
        if found := numbers(pattern):
            printed[key] = float(found[0])
    return printed if "weight_bits" in printed else {}, raised


def run_qloom(qloom, file, options, sources):
    command = [qloom, "stats", file, "--json", "--qstats", *ENERGY_OPTIONS, *options]
    for source in sources:
        command += ["--input-quantizer", source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (json.loads(done.stdout), "") if done.returncode == 0 else ({}, done.stderr.strip()[-300:])


def check(qloom, style, seed, file):
    """"" or what differs; none where QKeras itself cannot build the network."""
    def build():
        tf.keras.backend.clear_session()
        draw, model = draw_network(style, seed)
        networks.fill(draw, model)
        return model
    try:
        with silence():
            model = build()
            model.save(file, include_optimizer=False)
    except (AssertionError, AttributeError, NotImplementedError, TypeError, ValueError, tf.errors.OpError):
        return None
    for number, (arguments, called, options) in enumerate(WAYS):
        sources = [SOURCES[(seed + number) % len(SOURCES)]] * len(model.inputs)
        objects = [networks.qkeras.get_quantizer(s) if "(" in s else s for s in sources]
        said, raised = run_qtools(build, arguments, called, objects)
        ours, error = run_qloom(qloom, file, options, sources)
        if error:
            return f"{' '.join(options) or 'plain'}, inputs {sources[0]}: {error}"
        refused = {r["exception"] for r in ours["refusals"]}
        where = f"{' '.join(options) or 'plain'}, inputs {sources[0]}: "
        for part, name in raised.items():
            if name not in refused:
                return where + f"QTools raises {name} for the {part}, qloom refuses {sorted(refused) or 'nothing'}"
        for part, want in said.items():
            if text := difference(ours[part], want, part):
                return where + text
        if "data_type_map" in said and list(ours["data_type_map"]) != list(said["data_type_map"]):
            return where + "the layers are in another order"
    printed, error = run_qstats(build)
    if error:
        return "" if error in refused else f"print_qstats raises {error}, qloom refuses {sorted(refused) or 'nothing'}"
    ours_printed = {"operations": sorted([o["layer"], o["count"], o["operation"]] for o in ours["operations"]),
                    "weight_bits": ours["weight_bits"], "sparsity": float("%.4f" % ours["sparsity"]["total"])}
    return difference({key: ours_printed[key] for key in printed}, printed, "qstats")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qloom", default="build/release/bin/qloom")
    parser.add_argument("--style", choices=STYLES, default="grid")
    parser.add_argument("--seeds", default="0:50", help="FIRST:END")
    parser.add_argument("--folder", default="", help="where files go; default: a temporary folder")
    parser.add_argument("--keep", action="store_true", help="keep the files of networks that differ")
    args = parser.parse_args()
    if not os.path.exists(args.qloom):
        parser.error(f"{args.qloom} is not there")
    tf.get_logger().setLevel("ERROR")
    first, end = map(int, args.seeds.split(":"))
    counts, folder = collections.Counter(), args.folder or tempfile.mkdtemp(prefix="qtools-cross-check-")
    os.makedirs(folder, exist_ok=True)
    for seed in range(first, end):
        file = os.path.join(folder, f"{args.style}_{seed}.h5")
        text = check(args.qloom, args.style, seed, file)
        kind = "no network" if text is None else "differ" if text else "agree"
        counts[kind] += 1
        if text:
            print(f"{args.style} {seed}: {text}", flush=True)
        if os.path.exists(file) and not (args.keep and text):
            os.remove(file)
    print(f"{end - first} seeds of {args.style}: " + ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())))
    return 1 if counts["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
