"""qloom beside its peers, on the networks of bench/models, in one run:  make bench-peers

    python3 bench/peers/run.py --build build/release [--models a,b] [--files c.h5] [--systems a,b] [--rounds 5] [--seconds 0.3]

Each system runs in processes of its own, one for each form it offers, pinned to one core with one thread. For each network
all of them take turns, a slice of time each, round after round; what counts is the best of all rounds, at each system's best
batch size, as a multiple of the fp32 multiply-add peak that the same process saw between its calls.
"""
import argparse
import contextlib
import json
import os
import platform
import selectors
import subprocess
import sys
import time

import environments
import table
from systems import SYSTEMS, properties

HERE = os.path.dirname(os.path.abspath(__file__))
GENERATOR = os.path.join(HERE, "..", "models", "generate.py")
MODELS = ("jets_w6a6", "digits_w4a4", "resnet8_w8a8", "resnet8_w4a4", "resnet8_w2a2", "resnet8_ta4", "resnet8_ba4", "resnet8_bb",
          "quicknet_bb", "vww_w4a4", "vww_w8a8", "kws_w8a8", "kws_w4a4", "ae_w8a8", "ae_w4a4", "lstm_w4a4")
FILES = (".h5", "_x.npy", "_y.npy")
SAMPLES = os.path.join(HERE, "samples.py")
# How long a process may take until it is ready, beyond its slice, and to end.
START_SECONDS, ANSWER_SECONDS, END_SECONDS = 300, 300, 10


class Contestant:
    """A process that measures when told to (worker.py)."""

    def __init__(self, system, variant, command, variables):
        self.system, self.variant, self.row, self.problem = system, variant, None, ""
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True, env=dict(os.environ, **variables))
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)
        self.read(START_SECONDS)

    def read(self, seconds):
        """The next answer; a problem ends the process."""
        if not self.selector.select(seconds):
            self.fail(f"no answer within {seconds:.0f} s")
            return None
        line = self.process.stdout.readline()
        if not line:
            self.fail(f"ended with {self.end()}")
            return None
        answer = json.loads(line)
        if "error" in answer:
            self.fail(answer["error"])
        return answer

    def end(self):
        """The exit code of a process that has said all it will."""
        try:
            return self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self.selector.close()
            self.process.stdout.close()

    def fail(self, problem):
        if self.problem:
            return
        self.problem = problem
        self.process.kill()
        self.end()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def measure(self, seconds):
        if self.problem:
            return
        try:
            self.process.stdin.write(f"{seconds}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            self.fail(f"ended with {self.end()}")
            return
        answer = self.read(seconds + ANSWER_SECONDS)
        if answer and not self.problem:
            self.row = answer

    def close(self):
        if not self.problem:
            self.process.stdin.close()
            self.end()

    def result(self, model):
        if self.problem or self.row is None:
            return dict(model=model, system=self.system.name, variant=self.variant, problem=self.problem or "no answer")
        return self.row


def count_macs(model, folder, qloom):
    """What `qloom summary` says; None, or a problem."""
    done = subprocess.run([qloom, "summary", os.path.join(folder, model + ".h5"), "--json"], capture_output=True, text=True,
                          check=False)
    if done.returncode:
        return done.stderr.strip() or f"qloom summary ended with {done.returncode}"
    with open(os.path.join(folder, model + "_macs.txt"), "w", encoding="utf-8") as file:
        file.write(str(json.loads(done.stdout)["macs"]))
    return None


def prepare_model(model, folder, qkeras, own, qloom):
    """NAME.h5 with inputs and results, its plain form, its LiteRT files. Returns what went wrong, or None."""
    def missing(*suffixes):
        return [s for s in suffixes if not os.path.exists(os.path.join(folder, model + s))]

    given = os.environ.get("QLOOM_BENCH_MODELS")
    if own:
        link = os.path.join(folder, model + ".h5")
        if os.path.lexists(link):
            os.remove(link)
        os.symlink(os.path.abspath(own), link)
    elif given:
        for suffix in missing(*FILES):
            source = os.path.join(os.path.abspath(given), model + suffix)
            if not os.path.exists(source):
                return f"{source} is not there (QLOOM_BENCH_MODELS)"
            os.symlink(source, os.path.join(folder, model + suffix))
    log = os.path.join(folder, model + ".log")
    steps = [(FILES, [SAMPLES if own else GENERATOR, folder, model])]
    if "written" in properties(model, bool(own)):
        steps.append((("_plain.npz",), [os.path.join(HERE, "plain.py"), folder, model]))
    if "plain" in properties(model, bool(own)):
        for variant in ["float"] + (["int8"] if "codes" in properties(model, bool(own)) else []):
            steps.append(((f"_{variant}.tflite",), [os.path.join(HERE, "convert_litert.py"), folder, model, variant]))
    for suffixes, command in steps:
        if missing(*suffixes):
            if qkeras.problem:
                return qkeras.problem
            problem = environments.run([qkeras.python, *command], log)
            if problem:
                return problem
    return count_macs(model, folder, qloom)


def contest(model, args, folder, made):
    """All rows of one network."""
    problem = prepare_model(model, folder, made["qkeras"], args.own.get(model), args.qloom)
    if problem:
        return [dict(model=model, system=s.name, variant="", problem=problem) for s in args.systems]
    contestants, rows = [], []
    for system in args.systems:
        environment = made[system.environment]
        for variant in system.variants_for(model, model in args.own):
            if environment.problem:
                rows.append(dict(model=model, system=system.name, variant=variant, problem=environment.problem))
                continue
            command = [environment.python, os.path.join(HERE, system.script), "--folder", folder, "--model", model,
                       "--variant", variant, "--core", str(args.core), "--peak", args.peak, "--qloom", args.qloom]
            contestants.append(Contestant(system, variant, command, dict(environment.variables)))
    for _ in range(args.rounds):
        for contestant in contestants:
            contestant.measure(args.seconds)
    for contestant in contestants:
        contestant.close()
        rows.append(contestant.result(model))
    return rows


def machine():
    name = platform.processor()
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return dict(cpu=name, cores=os.cpu_count(), load_average=os.getloadavg()[0], date=time.strftime("%Y-%m-%d %H:%M"))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="build folder of qloom")
    parser.add_argument("--models", help="networks of bench/models; default: all, none where there are --files")
    parser.add_argument("--files", default="", help="QKeras networks of your own (.h5, one input and one output)")
    parser.add_argument("--systems", default=",".join(s.name for s in SYSTEMS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="a slice of one process")
    parser.add_argument("--core", type=int, default=os.cpu_count() - 1)
    parser.add_argument("--json", default="", help="where the rows go; default: BUILD/peers/results.json")
    args = parser.parse_args()
    wanted = args.systems.split(",")
    args.own = {os.path.splitext(os.path.basename(f))[0]: f for f in args.files.split(",") if f}
    models = args.models.split(",") if args.models else [] if args.own else list(MODELS)
    unknown = [n for n in wanted if n not in [s.name for s in SYSTEMS]] + [m for m in models if m not in MODELS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    args.models = models + list(args.own)
    args.systems = [s for s in SYSTEMS if s.name in wanted]
    args.qloom = os.path.abspath(os.path.join(args.build, "bin", "qloom"))
    args.peak = os.path.abspath(os.path.join(args.build, "bin", "libqloom_peers_peak.so"))
    for path in (args.qloom, args.peak):
        if not os.path.exists(path):
            parser.error(f"{path} is not built: make bench-peers builds it")
    return args


def main():
    args = arguments()
    root = os.path.abspath(os.path.join(args.build, "peers"))
    folder = os.path.join(root, "models")
    os.makedirs(folder, exist_ok=True)
    needed = {"qkeras", "runtimes"} | {s.environment for s in args.systems}
    made = {name: environments.make(name, root) for name in environments.ENVIRONMENTS if name in needed}
    output = args.json or os.path.join(root, "results.json")
    rows, about = [], machine()
    for model in args.models:
        found = contest(model, args, folder, made)
        rows += found
        for row in found:
            print(json.dumps(row), flush=True)
        with open(output, "w", encoding="utf-8") as file:
            json.dump(dict(machine=about, rounds=args.rounds, seconds=args.seconds, rows=rows), file, indent=1)
    print(table.text(about, rows))
    print(f"rows: {output}")


if __name__ == "__main__":
    sys.exit(main())
