"""oneDNN's convolutions and dense layers (onednn_layers.cc): a bound, no network. Variants: `f32`, `int8`."""
import os
import subprocess
import sys

import worker


def write_layers(operations, path):
    """One line a layer, as onednn_layers.cc reads them."""
    shapes = {op.name: op.shape for op in operations}
    with open(path, "w", encoding="ascii") as file:
        for op in operations:
            if op.kind == "dense":
                numbers = [1, 1, 1, op.codes.shape[0], 1, 1, op.codes.shape[1], 1, 1, 1, 0, 0, 0, 0]
            elif op.kind in ("conv", "depthwise"):
                source = shapes[op.inputs[0]]
                groups = source[2] if op.kind == "depthwise" else 1
                numbers = [groups, *source, *op.shape, *op.codes.shape[:2], op.strides, *op.pads]
            else:
                continue
            file.write(" ".join(map(str, numbers)) + "\n")


def main():
    args = worker.arguments()
    import plain
    operations = plain.read(args.folder, args.model)
    macs = worker.macs_of(args.folder, args.model)
    sizes = worker.batch_sizes(macs)
    layers = os.path.join(args.folder, args.model + "_layers.txt")
    write_layers(operations, layers)
    program = subprocess.Popen([os.environ["QLOOM_PEERS_ONEDNN"], layers, args.variant, *map(str, sizes)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    version, peak = program.stdout.readline().strip(), worker.Peak(args.peak)
    if not version:
        worker.answer(sys.stdout, dict(error=f"{program.args[0]} ended with {program.wait()}"))
        return
    worker.answer(sys.stdout, dict(ready=True))
    for line in sys.stdin:
        peak.look()
        program.stdin.write(line)
        program.stdin.flush()
        times = [float(v) * 1e-9 for v in program.stdout.readline().split()]
        rates = {size: size / times[2 * i] for i, size in enumerate(sizes)}
        batch = max(rates, key=rates.get)
        gmacs = rates[batch] * macs / 1e9
        worker.answer(sys.stdout, dict(
            model=args.model, system="oneDNN (layers only)", variant=args.variant, batch=batch,
            samples_per_second=rates[batch], gmacs=gmacs, fp32_peak_gmacs=peak.best, ratio_to_fp32_peak=gmacs / peak.best,
            latency_ns={"min": times[0] * 1e9, "p50": times[1] * 1e9}, version=version))
    program.stdin.close()
    program.wait()


main()
