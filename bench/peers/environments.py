"""Python environments of the peers, made once in a folder of the build; a peer that cannot be had keeps its reason."""
import os
import subprocess
import sys
from dataclasses import dataclass

HERE = os.path.dirname(os.path.abspath(__file__))
# environment → the folder it shares, and the packages of its own
ENVIRONMENTS = {"qkeras": "qkeras", "runtimes": "runtimes", "hls4ml": "qkeras", "onednn": "runtimes", "da4ml": "da4ml"}


@dataclass
class Environment:
    python: str = ""
    problem: str = ""  # why there is none
    variables: tuple = ()


def last_line(text):
    lines = [line for line in text.strip().splitlines() if line.strip() and not line.startswith("[notice]")]
    return lines[-1][:200] if lines else "no message"


def run(command, log):
    """None, or what went wrong."""
    with open(log, "a", encoding="utf-8") as file:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        file.write(" ".join(command) + "\n" + done.stdout)
    return None if done.returncode == 0 else f"{last_line(done.stdout)} (log: {log})"


def build_onednn(folder):
    """The program of onednn_layers.cc against the library in the environment; an rpath that its own libraries inherit."""
    program = os.path.join(folder, "onednn_layers")
    problem = run(["g++", "-std=c++20", "-O2", f"-I{folder}/include", os.path.join(HERE, "onednn_layers.cc"), f"-L{folder}/lib",
                   "-ldnnl", f"-Wl,--disable-new-dtags,-rpath,{folder}/lib", "-Wl,--allow-shlib-undefined", "-o", program],
                  program + ".log")
    return problem, (("QLOOM_PEERS_ONEDNN", program),)


def make(name, root):
    """The environment `name` below root; made and filled if it is not there yet."""
    folder = os.path.join(root, "venv-" + ENVIRONMENTS[name])
    python, requirements = os.path.join(folder, "bin", "python"), os.path.join(HERE, "requirements", name + ".txt")
    stamp, log = os.path.join(folder, name + ".done"), os.path.join(root, f"install-{name}.log")
    with open(requirements, encoding="utf-8") as file:
        wanted = file.read()
    if not os.path.exists(stamp) or open(stamp, encoding="utf-8").read() != wanted:
        print(f"peers: install {name}", flush=True)
        problem = None if os.path.exists(python) else run([sys.executable, "-m", "venv", folder], log)
        problem = problem or run([python, "-m", "pip", "install", "--disable-pip-version-check", "-r", requirements], log)
        if problem:
            return Environment(problem=f"not installed: {problem}")
        with open(stamp, "w", encoding="utf-8") as file:
            file.write(wanted)
    variables = ()
    if name == "onednn":
        problem, variables = build_onednn(folder)
        if problem:
            return Environment(problem=f"not built: {problem}")
    return Environment(python=python, variables=variables)
