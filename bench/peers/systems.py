"""Who is compared: a system has a script, an environment, and variants with what each needs of a network."""
from dataclasses import dataclass

# What a network is. `written`: plain.py can write it. `plain`: and without recurrent layers. `codes`: activations of more than
# one bit, so that 8-bit forms exist. `dense`: dense layers only. `bare`: dense layers without normalization.
RECURRENT, BARE, DENSE, PLAIN = ("lstm",), ("jets",), ("jets", "ae"), ("jets", "digits", "resnet8", "quicknet", "vww", "kws", "ae")


def properties(model, own=False):
    """`own`: a file of the user's, of which nothing is known."""
    if own:
        return {"any"}
    family = model.split("_")[0]
    found = {"any"}
    found |= {"written"} if family in PLAIN + RECURRENT else set()
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

    def variants_for(self, model, own=False):
        return [v for v, needed in self.variants.items() if needed in properties(model, own)]


SYSTEMS = (
    System("qloom", "qloom.py", "runtimes", {"exact": "any"}),
    System("LiteRT", "litert.py", "runtimes", {"float": "plain", "int8": "codes"}),
    System("ONNX Runtime", "onnx_runtime.py", "runtimes",
           {"fake": "plain", "fold": "written", "integer": "codes", "qdq": "codes", "nbits": "dense"}),
    System("OpenVINO", "openvino_cpu.py", "runtimes", {"fold": "written", "int8": "codes"}),
    System("oneDNN (layers only)", "onednn.py", "onednn", {"f32": "plain", "int8": "codes"}),
    System("TensorFlow+QKeras", "tensorflow_qkeras.py", "qkeras", {"function": "any", "predict": "any"}),
    System("hls4ml", "hls4ml_simulation.py", "hls4ml", {"parallel": "bare"}),
    System("da4ml", "da4ml_logic.py", "da4ml", {"logic": "bare"}),
)
