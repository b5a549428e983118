#!/usr/bin/env python3
"""The paper's claims against the runs in a folder, as Markdown: claims.py FOLDER [PROGRAM]

FOLDER holds run directories of the plans in experiments/. The numbers of docs/results/README.md come from here. PROGRAM
is asked for the iteration to stop at (build/sapwood without it).
"""
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

TOLERANCE = 0.005  # half a point: what a trade-off may give away


class Run:
    def __init__(self, path):
        self.path, self.name = path, path.name
        self.settings = json.loads((path / "config.json").read_text())["settings"]
        lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines() if line.endswith("}")]
        self.lines = [line for line in lines if line["event"] == "iteration"]
        self.series = self.name.rsplit("-seed", 1)[0]
        self.seed = self.settings["seed"]
        self.dense = self.lines[0]["test_accuracy"] if self.lines else math.nan

    def finished(self):
        return bool(self.lines) and self.lines[-1]["iteration"] == self.settings["iterations"]

    def column(self, key):
        return [line[key] for line in self.lines]

    def accuracy_at(self, density):
        """Linear in the logarithm of the density between the iterations around it; None where it was not reached."""
        for before, after in zip(self.lines, self.lines[1:]):
            if before["density"] >= density >= after["density"]:
                width = math.log(before["density"] / after["density"])
                share = math.log(before["density"] / density) / width if width else 0
                return before["test_accuracy"] + share * (after["test_accuracy"] - before["test_accuracy"])
        return None

    def best(self):
        """The sparsest iteration within the tolerance."""
        return max(t for t, line in enumerate(self.lines) if line["test_accuracy"] >= self.dense - TOLERANCE)


def load(folder):
    runs = [Run(path.parent) for path in sorted(Path(folder).glob("*/config.json"))]
    return [run for run in runs if run.finished()]


def series_of(runs):
    groups = {}
    for run in runs:
        groups.setdefault(run.series, []).append(run)
    return groups


def spread(values, scale=1.0, form="{:.2f}"):
    """mean ± standard deviation; the mean alone of one value."""
    values = [value * scale for value in values]
    mean = form.format(statistics.mean(values))
    return f"{mean} ± {form.format(statistics.stdev(values))}" if len(values) > 1 else mean


def table(title, head, rows):
    if not rows:
        return
    print(f"\n### {title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |")


# ---- claims ----


def mean_series(runs, column):
    return [statistics.mean(values) for values in zip(*(column(run) for run in runs))]


def turns(values):
    """Where the lowest value is, and the highest after it."""
    low = min(range(len(values)), key=lambda t: values[t])
    high = max(range(low, len(values)), key=lambda t: values[t])
    return low, high


def pruned_pqi(run):
    return [line["pruned_model"]["pqi"] for line in run.lines[:-1]]


def shapes(groups):
    """(a): the mean index from the first iteration over its valley and the peak after it to the last."""
    rows = []
    for name, runs in groups.items():
        cells = [name, len(runs)]
        accuracy = mean_series(runs, lambda run: run.column("test_accuracy"))
        for column in (lambda run: run.column("pqi"), pruned_pqi):
            values = mean_series(runs, column)
            low, high = turns(values)
            cells.append(f"{values[0]:.3f} → {values[low]:.3f} ({low}) → {values[high]:.3f} ({high}) → {values[-1]:.3f}")
        low, high = turns(mean_series(runs, lambda run: run.column("pqi")))
        cells.append(" → ".join(f"{100 * accuracy[t]:.1f}" for t in (0, low, high, -1)))
        rows.append(cells)
    table(
        "(a) PQ Index: first → lowest (iteration) → highest after it (iteration) → last",
        ["series", "runs", "retrained", "pruned", "accuracy % at these"],
        rows,
    )


DENSITIES = (0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)


def differences(groups, title, pairs):
    """Accuracy of one series less that of another at equal density, seed by seed, in points."""
    rows = []
    for left, right in pairs:
        if left not in groups or right not in groups:
            continue
        other = {run.seed: run for run in groups[right]}
        cells, seeds = [f"{left} − {right}"], 0
        for density in DENSITIES:
            values = []
            for run in groups[left]:
                if run.seed in other:
                    a, b = run.accuracy_at(density), other[run.seed].accuracy_at(density)
                    values += [a - b] if a is not None and b is not None else []
            seeds = max(seeds, len(values))
            cells.append(spread(values, 100, "{:+.2f}").replace("± +", "± ") if values else "–")
        rows.append([cells[0], seeds, *cells[1:]])
    table(title, ["points of accuracy", "seeds", *[f"at {100 * d:g} %" for d in DENSITIES]], rows)


def compare(model, groups):
    sap, lt, os = f"{model}-sap", f"{model}-lt", f"{model}-os"
    kinds = ["p0.5-q1", "p1-q2"]
    fine = [(f"{sap}-{scope}-{pq}", f"{other}-layer") for pq in kinds for scope in ("neuron", "layer") for other in (lt, os)]
    differences(groups, "(b) SAP at neuron and layer scope against lottery ticket and one shot", fine)
    coarse = [(f"{sap}-global-{pq}", other) for pq in kinds for other in (f"{lt}-global", f"{os}-global", f"{lt}-layer")]
    coarse += [(f"{sap}-global-{pq}", f"{sap}-layer-{pq}") for pq in kinds]
    differences(groups, "(c) SAP at global scope", coarse)


def layer_shares(groups, densities=(0.3, 0.1, 0.05)):
    """(d): density of each layer in the iteration nearest to a density of all."""
    rows = []
    for name, runs in groups.items():
        for density in densities:
            if runs[0].lines[-1]["density"] > density or len(runs[0].lines[0]["layers"]) < 2:
                continue
            chosen = [min(run.lines, key=lambda line: abs(math.log(line["density"] / density))) for run in runs]
            shares = [[layer["kept"] / layer["total"] for layer in line["layers"]] for line in chosen]
            cells = [spread(values, 100, "{:.1f}") for values in zip(*shares)]
            rows.append([name, len(runs), spread([line["density"] for line in chosen], 100, "{:.1f}"), *cells])
    if rows:
        names = [layer["name"] for layer in next(iter(groups.values()))[0].lines[0]["layers"]]
        table("(d) Density % of each layer near 30, 10 and 5 % of all", ["series", "runs", "all", *names], rows)


def ablation(model, groups):
    """(e): how fast SAP prunes, and where its index is lowest."""
    rows = []
    for name, runs in groups.items():
        if not name.startswith(f"{model}-sap-layer"):
            continue
        s, run = runs[0].settings, runs[0]
        key = (s["p"], s["q"], s["eta"], s["gamma"])
        low, _ = turns(run.column("pqi"))
        reached = {line["iteration"]: f"{100 * line['density']:.2f}" for line in run.lines}
        densities = [reached.get(t, "–") for t in (1, 5, 10, 20, 30)]
        shape = f"{run.lines[0]['pqi']:.3f} → {run.lines[low]['pqi']:.3f} ({low}) → {run.lines[-1]['pqi']:.3f}"
        rows.append([*[f"{value:g}" for value in key], *densities, shape, f"{100 * run.lines[run.best()]['density']:.2f}"])
    rows.sort(key=lambda row: [float(cell) for cell in row[:4]])
    head = ["p", "q", "η", "γ", *[f"density % at {t}" for t in (1, 5, 10, 20, 30)], "PQ Index", "within 0.5 points %"]
    table("(e) SAP at layer scope by its numbers (seed 0)", head, rows)


def correlation(x, y):
    mx, my = statistics.mean(x), statistics.mean(y)
    cross = sum((a - mx) * (b - my) for a, b in zip(x, y))
    return cross / math.sqrt(sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y))


def gini(groups):
    rows = []
    for name, runs in groups.items():
        values, same = [], []
        for run in runs:
            pqi, other = run.column("pqi"), run.column("gini")
            values.append(correlation(pqi, other))
            signs = [(b - a) * (d - c) > 0 for a, b, c, d in zip(pqi, pqi[1:], other, other[1:])]
            same.append(sum(signs) / len(signs))
        rows.append([name, len(runs), spread(values, 1, "{:.3f}"), spread(same, 100, "{:.0f}")])
    table("(f) Gini and PQ Index over the iterations", ["series", "runs", "correlation", "steps in the same direction %"], rows)


# ---- where to stop ----


def stops(runs, program):
    rows, distances = [], []
    for run in runs:
        done = subprocess.run(
            [program, "train", "-o", run.path, "--resume", "--recommend", "--json"], capture_output=True, text=True
        )
        if done.returncode != 0:
            sys.exit(f"{run.name}: {done.stderr}")
        found, best = json.loads(done.stdout)["recommended"], run.best()
        end = run.lines[-1]["iteration"] if found["passed"] is None else found["passed"]
        kept, accuracy = run.lines[found["iteration"]], lambda t: f"{100 * run.lines[t]['test_accuracy']:.2f}"
        rows.append(
            [
                run.name,
                "–" if found["valley"] is None else found["valley"],
                "–" if found["passed"] is None else end,
                found["iteration"],
                f"{100 * kept['density']:.2f} at {accuracy(found['iteration'])}",
                best,
                f"{100 * run.lines[best]['density']:.2f} at {accuracy(best)}",
                f"{end - best:+d}",
            ]
        )
        distances.append(end - best)
    head = ["run", "valley", "`--stop auto` ends", "recommended", "its density, accuracy %", "best", "its density, accuracy %",
            "end − best"]  # fmt: skip
    table("Where to stop: every run", head, rows)
    near = sum(abs(distance) <= 2 for distance in distances)
    print(f"\nEnds within two iterations of the best trade-off: {near} of {len(runs)}.")


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__.splitlines()[0])
    program = sys.argv[2] if len(sys.argv) == 3 else "build/sapwood"
    runs = load(sys.argv[1])
    for model in sorted({run.settings["model"] for run in runs}):
        of_model = [run for run in runs if run.settings["model"] == model]
        groups = series_of(of_model)
        plain = {name: group for name, group in groups.items() if group[0].settings["eta"] == 0
                 and group[0].settings["gamma"] == 1 and (group[0].settings["p"], group[0].settings["q"]) in ((0.5, 1), (1, 2))}  # fmt: skip
        print(f"\n## {model}: {len(of_model)} runs")
        shapes(plain)
        compare(model, groups)
        layer_shares(plain)
        ablation(model, groups)
        gini(plain)
        stops(of_model, program)


main()
