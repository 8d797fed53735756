"""ONNX Runtime. Variants: the forms of onnx_forms.py."""
import worker


def load(args):
    import onnxruntime
    import onnx_forms
    import plain
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    model = onnx_forms.build(plain.read(args.folder, args.model), args.variant)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return lambda x: lambda: session.run(None, {"x": x})[0], onnxruntime.__version__


worker.serve("ONNX Runtime", load)
