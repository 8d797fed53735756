"""Rows of run.py as one table in Markdown:  python3 table.py RESULTS.json"""
import json
import sys

RIVALS = ("LiteRT", "ONNX Runtime", "OpenVINO")  # whole networks on general runtimes: what qloom is held against


def short(rate):
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if rate >= limit:
            return f"{rate / limit:.3g}{unit}"
    return f"{rate:.3g}"


def best(rows, model, system):
    measured = [r for r in rows if r["model"] == model and r["system"] == system and "samples_per_second" in r]
    return max(measured, key=lambda r: r["samples_per_second"], default=None)


def text(about, rows):
    models = list(dict.fromkeys(r["model"] for r in rows))
    systems = list(dict.fromkeys(r["system"] for r in rows))
    lines = [f"{about['cpu']}, one thread, {about['date']}, load average {about['load_average']:.1f}.",
             "Multiples of the core's fp32 multiply-add peak (form, samples/s), each system at its best form and batch.", "",
             "| network | " + " | ".join(systems) + " | qloom / fastest runtime |", "|---" * (len(systems) + 2) + "|"]
    for model in models:
        cells = []
        for system in systems:
            row = best(rows, model, system)
            cells.append("-" if row is None else
                         f"{row['ratio_to_fp32_peak']:.2g} ({row['variant']}, {short(row['samples_per_second'])})")
        ours = best(rows, model, "qloom")
        theirs = max((r["samples_per_second"] for r in (best(rows, model, s) for s in RIVALS) if r), default=None)
        cells.append(f"{ours['samples_per_second'] / theirs:.2f}" if ours and theirs else "-")
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    problems = {}
    for row in rows:
        if "problem" in row:
            problems.setdefault((row["system"], row["variant"], row["problem"]), []).append(row["model"])
    if problems:
        lines += ["", "Not measured:"]
        lines += [f"- {s}{' ' + v if v else ''} on {', '.join(on)}: {why}" for (s, v, why), on in problems.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as source:
        results = json.load(source)
    print(text(results["machine"], results["rows"]))
