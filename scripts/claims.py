#!/usr/bin/env python3
"""The paper's claims against the runs in folders, as Markdown.

The folders hold run directories of the plans in experiments/; what is not finished is left out. docs/results/tables.md
is made by this, and the numbers in docs/results/README.md come from there. The program is asked for the iteration to
stop at.
"""
import argparse
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

TOLERANCE = 0.005  # half a point: what a trade-off may give away


def best_of(accuracy):
    """The sparsest iteration within the tolerance of the dense one."""
    return max(t for t, value in enumerate(accuracy) if value >= accuracy[0] - TOLERANCE)


class Run:
    def __init__(self, path):
        self.path, self.name = path, path.name
        self.settings = json.loads((path / "config.json").read_text())["settings"]
        lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines() if line.endswith("}")]
        self.lines = [line for line in lines if line["event"] == "iteration"]
        losses = {line["iteration"]: line["train_loss"] for line in lines if line["event"] == "epoch"}
        for line in self.lines:
            line["train_loss"] = losses[line["iteration"]]  # of the last epoch
        self.seconds = [line["seconds"] for line in lines if line["event"] == "epoch"]
        self.series = self.name.rsplit("-seed", 1)[0]
        self.seed = int(self.settings["seed"])
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
        """By its own accuracies."""
        return best_of(self.column("test_accuracy"))


def load(folders):
    """Finished runs in the order of their names; one that two folders hold counts once."""
    paths = {path.parent.name: path.parent for folder in folders for path in Path(folder).glob("*/config.json")}
    runs = [Run(paths[name]) for name in sorted(paths) if (paths[name] / "metrics.jsonl").exists()]
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
    """From where to where the values rise most; both the last where they only fall."""
    last = len(values) - 1
    highest = [max(range(low, last + 1), key=lambda t: values[t]) for low in range(last + 1)]
    low = max(range(last, -1, -1), key=lambda t: values[highest[t]] - values[t])
    return low, highest[low]


def pruned_pqi(run):
    return [line["pruned_model"]["pqi"] for line in run.lines[:-1]]


def shapes(groups):
    """(a): the mean index from the first iteration over its largest rise to the last."""
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
        "(a) PQ Index: first → beginning (iteration) and end (iteration) of its largest rise → last",
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
        low = min(range(len(run.lines)), key=lambda t: run.lines[t]["pqi"])
        reached = {line["iteration"]: f"{100 * line['density']:.2f}" for line in run.lines}
        densities = [reached.get(t, "–") for t in (1, 5, 10, 20, 30)]
        shape = f"{run.lines[0]['pqi']:.3f} → {run.lines[low]['pqi']:.3f} ({low}) → {run.lines[-1]['pqi']:.3f}"
        rows.append([*[f"{value:g}" for value in key], *densities, shape, f"{100 * run.lines[run.best()]['density']:.2f}"])
    rows.sort(key=lambda row: [float(cell) for cell in row[:4]])
    head = ["p", "q", "η", "γ", *[f"density % at {t}" for t in (1, 5, 10, 20, 30)], "PQ Index", "within 0.5 points %"]
    table("(e) SAP at layer scope by its numbers (the first seed)", head, rows)


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

CHOSEN_ON = (0, 3)  # the seeds whose runs the numbers of --stop auto were chosen on
NEAR = 2  # iterations


class Decision:
    """Where --stop auto ends a run, and the best trade-offs to compare that with."""

    def __init__(self, run, program, best_of_mean):
        command = [program, "train", "-o", run.path, "--resume", "--recommend", "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{run.name}: {done.stderr}")
        found = json.loads(done.stdout)["recommended"]
        self.run, self.valley, self.passed, self.recommended = run, found["valley"], found["passed"], found["iteration"]
        self.end = run.lines[-1]["iteration"] if self.passed is None else self.passed
        self.bests = (run.best(), best_of_mean)
        self.lost = run.lines[self.recommended]["test_accuracy"] - run.dense

    def distances(self):
        return [self.end - best for best in self.bests]

    def row(self):
        def at(t):
            return f"{100 * self.run.lines[t]['density']:.2f} at {100 * self.run.lines[t]['test_accuracy']:.2f}"

        cells = [self.run.name, *("–" if t is None else t for t in (self.valley, self.passed))]
        cells += [self.recommended, at(self.recommended), self.bests[0], at(self.bests[0]), self.bests[1]]
        return [*cells, *(f"{distance:+d}" for distance in self.distances())]


def stops_in_short(title, chosen):
    """How far from the best trade-offs the runs end, and what that costs."""
    rows = []
    for name, decisions in chosen:
        if not decisions:
            continue
        cells = [name, len(decisions)]
        for distances in zip(*(decision.distances() for decision in decisions)):
            cells += [sum(abs(d) <= NEAR for d in distances), sum(d < -NEAR for d in distances), sum(d > NEAR for d in distances)]
        lost = spread([decision.lost for decision in decisions], 100, "{:+.2f}").replace("± +", "± ")
        rows.append([*cells, lost])
    head = ["which", "runs", "within 2 of its own best", "early", "late", "within 2 of the mean's best", "early", "late"]
    table(title, [*head, "recommended less dense, points"], rows)


def stops(runs, program):
    """Each run against the best of its own accuracies, and against that of the mean over its series' seeds."""
    decisions = {}
    for name, group in series_of(runs).items():
        mean = best_of(mean_series(group, lambda run: run.column("test_accuracy")))
        decisions[name] = [Decision(run, program, mean) for run in group]
    every = [decision for group in decisions.values() for decision in group]
    head = ["run", "valley", "`--stop auto` ends", "recommended", "its density, accuracy %", "best", "its density, accuracy %",
            "best of the mean", "end − best", "end − best of the mean"]  # fmt: skip
    table("Where to stop: every run", head, [decision.row() for decision in every])
    seeds = [("seeds of the choice", [d for d in every if d.run.seed in CHOSEN_ON])]
    seeds += [("other seeds", [d for d in every if d.run.seed not in CHOSEN_ON]), ("all", every)]
    stops_in_short("Where to stop, in short: by seeds", seeds)
    stops_in_short("Where to stop, in short: by series", list(decisions.items()))


def times(runs):
    """What the clock said; a machine that does other things beside makes it slow."""
    seconds = sorted(second for run in runs for second in run.seconds)
    least, middle = seconds[0], seconds[len(seconds) // 2]
    print(f"\n{len(seconds)} epochs took {sum(seconds) / 60:.0f} minutes by the clocks of their runs: the fastest "
          f"{least:.2f} s, the median {middle:.2f} s.")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    parser.add_argument("--ablation", metavar="FOLDER", help="more runs, for (e) alone")
    parser.add_argument("--program", default="build/sapwood", help="without it build/sapwood")
    chosen = parser.parse_args()
    program, runs = chosen.program, load(chosen.folders)
    more = load([chosen.ablation]) if chosen.ablation else []
    for model in sorted({run.settings["model"] for run in runs}):
        of_model = [run for run in runs if run.settings["model"] == model]
        groups = series_of(of_model)
        plain = {name: group for name, group in groups.items() if group[0].settings["eta"] == 0
                 and group[0].settings["gamma"] == 1 and (group[0].settings["p"], group[0].settings["q"]) in ((0.5, 1), (1, 2))}  # fmt: skip
        print(f"\n## {model}: {len(of_model)} runs")
        times(of_model)
        shapes(plain)
        compare(model, groups)
        layer_shares(plain)
        ablation(model, {**series_of([run for run in more if run.settings["model"] == model]), **groups})
        gini(plain)
        stops(of_model, program)


if __name__ == "__main__":
    main()
