"""da4ml: a dense network as combinational shift-and-add logic, run by its own interpreter. da4ml reads no QKeras, so the
network is traced operation by operation; its rounding is half up where QKeras's is half to even. Variant: `logic`."""
import math
import os

import worker


def trace(operations):
    from da4ml.trace import FixedVariableArrayInput, HWConfig, comb_trace
    value = None
    for op in operations:
        if op.kind == "input":
            first = value = FixedVariableArrayInput(tuple(op.shape), HWConfig(1, -1, -1))
        elif op.kind == "quantize":
            fraction = -int(math.log2(op.step))
            integer = int(op.highest + 1).bit_length() - 1 - fraction
            entry = operations[0].name in op.inputs  # inputs lie on the grid: nothing to saturate
            value = value.quantize(int(op.lowest < 0), integer, fraction, "WRAP" if entry else "SAT", "RND")
        elif op.kind == "dense":
            value = value @ (op.codes.astype("float64") * op.step)
            value = value if op.bias is None else value + op.bias.astype("float64")
        else:
            raise ValueError(f"{op.name}: no {op.kind} in a dense network")
    return comb_trace(first, value)


def load(args):
    os.environ["DA_DEFAULT_THREADS"] = "1"
    import da4ml
    import plain
    logic = trace(plain.read(args.folder, args.model))

    def prepare(x):
        x = x.astype("float64")
        return lambda: logic.predict(x, n_threads=1)
    return prepare, da4ml.__version__


worker.serve("da4ml", load, batches=[1, 1024])
