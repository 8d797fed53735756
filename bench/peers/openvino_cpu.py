"""OpenVINO on CPUs. Variants: `fold` (the ONNX form of that name, float32), `int8` (OpenVINO's FakeQuantize with weights as
i8 constants, from which its low-precision passes make integer kernels)."""
import numpy as np

import worker


def fake_quantized(operations):
    import openvino
    from openvino import opset13 as ops

    def constant(value, dtype=np.float32):
        return ops.constant(np.ascontiguousarray(value, dtype))

    def along_channels(vector, op):
        return constant(vector.reshape((1, -1, 1, 1) if len(op.shape) == 3 else (1, -1)))

    def weights(op, codes):
        return ops.multiply(ops.convert(constant(codes, np.int8), "f32"), constant(np.full((1,) * codes.ndim, op.step)))

    def weighted(op, x):
        if op.kind == "dense":
            y = ops.matmul(x, weights(op, op.codes.T), False, True)
        else:
            window = ([op.strides] * 2, op.pads[:2], op.pads[2:], [1, 1])
            if op.kind == "conv":
                y = ops.convolution(x, weights(op, op.codes.transpose(3, 2, 0, 1)), *window)
            else:
                y = ops.group_convolution(x, weights(op, op.codes.transpose(2, 0, 1)[:, None, None]), *window)
        return y if op.bias is None else ops.add(y, along_channels(op.bias, op))

    def quantize(op, x):
        low, high = constant(op.lowest * op.step), constant(op.highest * op.step)
        return ops.fake_quantize(x, low, high, low, high, op.highest - op.lowest + 1)

    def flatten(op, x):
        return ops.reshape(ops.transpose(x, ops.constant([0, 2, 3, 1])), ops.constant([0, -1]), True)

    make = dict(
        conv=weighted, depthwise=weighted, dense=weighted, quantize=quantize, flatten=flatten,
        sign=lambda op, x: ops.select(ops.greater_equal(x, constant(0)), constant(1), constant(-1)),
        affine=lambda op, x: ops.add(ops.multiply(x, along_channels(op.scale, op)), along_channels(op.offset, op)),
        add=lambda op, a, b: ops.add(a, b),
        max_pool=lambda op, x: ops.max_pool(x, op.size, [1, 1], [0, 0], [0, 0], op.size).output(0),
        average_pool=lambda op, x: ops.avg_pool(x, op.size, [0, 0], [0, 0], op.size, True))
    values = {}
    for op in operations:
        if op.kind == "input":
            first = ops.parameter([-1, *op.shape], np.float32, name="x")
            values[op.name] = ops.transpose(first, ops.constant([0, 3, 1, 2])) if len(op.shape) == 3 else first
        else:
            values[op.name] = make[op.kind](op, *[values[i] for i in op.inputs])
    return openvino.Model([values[operations[-1].name]], [first], "plain")


def load(args):
    import openvino
    import plain
    operations, core = plain.read(args.folder, args.model), openvino.Core()
    if args.variant == "int8":
        model = fake_quantized(operations)
    else:
        import onnx_forms
        model = core.read_model(onnx_forms.build(operations, args.variant).SerializeToString())
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32",
                "ENABLE_CPU_PINNING": False}

    def prepare(x):
        fixed = model.clone()
        fixed.reshape([len(x), *x.shape[1:]])  # its documentation advises fixed shapes
        request = core.compile_model(fixed, "CPU", settings).create_infer_request()
        tensor = openvino.Tensor(x, shared_memory=True)

        def call(keep=x):  # a shared tensor does not own its memory
            request.set_input_tensor(tensor)
            request.infer()
            return request.get_output_tensor().data.copy()
        return call
    return prepare, openvino.__version__.split("-")[0]


worker.serve("OpenVINO", load)
