"""Who is compared: a system has a script, an environment, and variants with what each needs of a network."""
from dataclasses import dataclass

# What a network is. `codes`: activations of more than one bit, so that 8-bit forms exist. `plain`: plain.py can write it.
# `dense`: dense layers only. `bare`: dense layers without normalization.
BARE, DENSE, PLAIN = ("jets",), ("jets", "ae"), ("jets", "digits", "resnet8", "quicknet", "vww", "kws", "ae")


def properties(model):
    family = model.split("_")[0]
    found = {"any"}
    found |= {"plain"} if family in PLAIN else set()
    found |= {"dense"} if family in DENSE else set()
    found |= {"bare"} if family in BARE else set()
    found |= {"codes"} if family in PLAIN and not model.endswith("_bb") else set()
    return found


@dataclass(frozen=True)
class System:
    name: str
    script: str
    environment: str
    variants: dict  # name → property that a network needs

    def variants_for(self, model):
        return [v for v, needed in self.variants.items() if needed in properties(model)]


SYSTEMS = (
    System("qloom", "qloom.py", "runtimes", {"exact": "plain"}),
    System("LiteRT", "litert.py", "runtimes", {"float": "plain", "int8": "codes"}),
    System("ONNX Runtime", "onnx_runtime.py", "runtimes",
           {"fake": "plain", "fold": "plain", "integer": "codes", "qdq": "codes", "nbits": "dense"}),
    System("OpenVINO", "openvino_cpu.py", "runtimes", {"fold": "plain", "int8": "codes"}),
    System("oneDNN (layers only)", "onednn.py", "onednn", {"f32": "plain", "int8": "codes"}),
    System("TensorFlow+QKeras", "tensorflow_qkeras.py", "qkeras", {"function": "any", "predict": "any"}),
    System("hls4ml", "hls4ml_simulation.py", "hls4ml", {"parallel": "bare"}),
    System("da4ml", "da4ml_logic.py", "da4ml", {"logic": "bare"}),
)
