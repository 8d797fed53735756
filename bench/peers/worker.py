"""What the scripts of the peers share: a process that measures a slice of time whenever it is asked.

    python onnx_runtime.py --folder MODELS --model resnet8_w4a4 --variant qdq --core 1 --peak libqloom-peers-peak.so

Each line of standard input is a number of seconds; the answer is one JSON line, the best seen so far. That way the driver
(run.py) lets all systems take turns, and a slow spell of the machine hits everyone. The first line tells that the process is
ready, or why it cannot be: {"error": …}.
"""
import argparse
import contextlib
import ctypes
import json
import os
import statistics
import sys
import time
import traceback

PEAK_MICROSECONDS = 2000  # one look at what the core can do, before each batch size of a slice


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--variant", required=True)
    parser.add_argument("--core", type=int, required=True)
    parser.add_argument("--peak", required=True)
    parser.add_argument("--qloom", default="")
    args = parser.parse_args()
    os.sched_setaffinity(0, {args.core})  # before any library counts the cores
    for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[variable] = "1"
    os.environ.update(CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="1")
    return args


def batch_sizes(macs):
    """Batches worth trying beside 1: about 50 to 200 million multiply-accumulates a call."""
    for limit, sizes in ((1e8, [4]), (5e6, [8, 64]), (1e6, [32, 256]), (1e5, [64, 1024]), (0, [64, 1024, 8192])):
        if macs >= limit:
            return [1] + sizes
    return [1]


def macs_of(folder, model):
    """Multiply-accumulates of a sample, as `qloom summary` counts them (run.py asks it)."""
    with open(os.path.join(folder, model + "_macs.txt"), encoding="utf-8") as file:
        return int(file.read())


class Peak:
    def __init__(self, path):
        self.function = ctypes.CDLL(path).qloom_fp32_peak_gmacs
        self.function.restype, self.function.argtypes = ctypes.c_double, [ctypes.c_double]
        self.best = 0.0

    def look(self):
        self.best = max(self.best, self.function(PEAK_MICROSECONDS))


class Runs:
    """Times of calls with one batch size."""

    def __init__(self, call):
        self.call, self.times = call, []
        call()

    def measure(self, seconds):
        end = time.perf_counter() + seconds
        while True:
            start = time.perf_counter()
            self.call()
            now = time.perf_counter()
            self.times.append(now - start)
            if now > end:
                return


def row_of(args, system, macs, runs, peak, more):
    """The figures of this process so far; times are of whole calls, throughput is that of the best batch size."""
    rates = {batch: batch / min(r.times) for batch, r in runs.items() if r.times}
    batch = max(rates, key=rates.get)
    row = dict(model=args.model, system=system, variant=args.variant, batch=batch, samples_per_second=rates[batch],
               gmacs=rates[batch] * macs / 1e9, fp32_peak_gmacs=peak.best,
               ratio_to_fp32_peak=rates[batch] * macs / 1e9 / peak.best, by_batch=rates, **more)
    if 1 in runs and runs[1].times:
        row["latency_ns"] = {"min": min(runs[1].times) * 1e9, "p50": statistics.median(runs[1].times) * 1e9}
    return row


def answer(stream, row):
    stream.write(json.dumps(row) + "\n")
    stream.flush()


def agreement(results, expected):
    """How near a peer comes to QKeras: largest difference, and how often the largest output is the same one."""
    import numpy as np
    results = np.asarray(results, np.float32).reshape(expected.shape)
    return dict(max_abs=float(np.abs(results - expected).max()),
                argmax_equal=float((results.argmax(-1) == expected.argmax(-1)).mean()))


def serve(system, load, batches=None):
    """`load(args)` gives (prepare, version); prepare(x) gives a call without arguments that runs x and returns its outputs.
    batches: sizes to try, where a system does not do all."""
    args = arguments()
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print is not an answer
    try:
        import numpy as np
        macs = macs_of(args.folder, args.model)
        x = np.load(os.path.join(args.folder, args.model + "_x.npy"))
        expected = np.load(os.path.join(args.folder, args.model + "_y.npy"))
        prepare, version = load(args)
        sizes = batches or batch_sizes(macs)
        checked = x if max(sizes) > 1 else x[:1]
        more = dict(agreement(prepare(checked)(), expected[:len(checked)]), version=version)
        runs = {n: Runs(prepare(np.ascontiguousarray(np.resize(x, (n, *x.shape[1:]))))) for n in sizes}
        peak = Peak(args.peak)
    except BaseException as error:  # also SystemExit: the reason belongs into the table
        traceback.print_exc()
        answer(replies, dict(error=f"{type(error).__name__}: {error}".splitlines()[0][:200]))
        return
    answer(replies, dict(ready=True))
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            for each in runs.values():
                peak.look()
                each.measure(float(line) / len(runs))
            answer(replies, row_of(args, system, macs, runs, peak, more))
