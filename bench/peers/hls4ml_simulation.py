"""hls4ml's C simulation: converted, compiled with g++, predict(). Dense networks without normalization. Variant: `parallel`."""
import os
import tempfile

import worker

COMPILED = tempfile.TemporaryDirectory()  # until the process ends


def load(args):
    import hls4ml
    from qkeras.utils import load_qmodel
    model = load_qmodel(os.path.join(args.folder, args.model + ".h5"), compile=False)
    config = hls4ml.utils.config_from_keras_model(model, granularity="name", backend="Vivado", default_precision="fixed<24,12>")
    for layer in config["LayerName"].values():
        layer["Strategy"] = "Latency"
    net = hls4ml.converters.convert_from_keras_model(model, hls_config=config, backend="Vivado", io_type="io_parallel",
                                                     output_dir=COMPILED.name)
    net.compile()
    return lambda x: lambda: net.predict(x), hls4ml.__version__


worker.serve("hls4ml", load, batches=[1, 256])
