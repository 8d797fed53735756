"""qloom itself: each slice runs `qloom bench` once for each batch size. Variant: `exact`."""
import json
import os
import subprocess
import sys

import worker


def bench(args, batch, seconds):
    command = [args.qloom, "bench", os.path.join(args.folder, args.model + ".h5"), "--batch", str(batch), "--threads", "1",
               "--seconds", f"{seconds:.3f}", "--evaluation", "predict_onednn", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"qloom bench ended with {done.returncode}")
    return json.loads(done.stdout)


def compare(args):
    """How near qloom comes to QKeras, as `qloom compare` says."""
    base = os.path.join(args.folder, args.model)
    command = [args.qloom, "compare", base + ".h5", "--input", base + "_x.npy", "--expected", base + "_y.npy",
               "--evaluation", "predict_onednn", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(done.stderr.strip())
    result = json.loads(done.stdout)
    return dict(max_abs=max(o["max_abs"] for o in result["outputs"]), within_contract=result["within_contract"])


def main():
    args = worker.arguments()
    best, peak = {}, 0.0
    try:
        sizes = worker.batch_sizes(worker.macs_of(args.folder, args.model))
        more = compare(args)
        bench(args, 1, 0.05)  # compiles, and fills the cache
    except (RuntimeError, OSError) as error:
        worker.answer(sys.stdout, dict(error=str(error).splitlines()[0][:200]))
        return
    worker.answer(sys.stdout, dict(ready=True))
    for line in sys.stdin:
        for batch in sizes:  # in the first slice; then only what counts, since each is a process with its own start
            result = bench(args, batch, float(line) / len(sizes))
            peak = max(peak, result["fp32_peak_gmacs"])
            if batch not in best or result["samples_per_second"] > best[batch]["samples_per_second"]:
                best[batch] = result
        batch = max(best, key=lambda b: best[b]["samples_per_second"])
        sizes, latency = sorted({1, batch}), best[1]["latency_ns"]
        worker.answer(sys.stdout, dict(
            model=args.model, system="qloom", variant=args.variant, batch=batch,
            samples_per_second=best[batch]["samples_per_second"], gmacs=best[batch]["gmacs"], fp32_peak_gmacs=peak,
            ratio_to_fp32_peak=best[batch]["gmacs"] / peak, by_batch={b: r["samples_per_second"] for b, r in best.items()}, latency_ns={k: latency[k] for k in ("min", "p50")}, **more))


main()
