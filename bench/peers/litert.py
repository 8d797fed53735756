"""LiteRT with XNNPACK on the files of convert_litert.py. Variants: `float` (the network as it is, in float32) and `int8`
(post-training quantization, what one would ship)."""
import importlib.metadata
import os

import worker


def load(args):
    from ai_edge_litert.interpreter import Interpreter
    path = os.path.join(args.folder, f"{args.model}_{args.variant}.tflite")

    def prepare(x):
        engine = Interpreter(path, num_threads=1)
        source, target = engine.get_input_details()[0], engine.get_output_details()[0]
        engine.resize_tensor_input(source["index"], x.shape)
        engine.allocate_tensors()

        def call():
            engine.set_tensor(source["index"], x)
            engine.invoke()
            return engine.get_tensor(target["index"])
        return call
    return prepare, importlib.metadata.version("ai-edge-litert")


worker.serve("LiteRT", load)
