"""Run directories with curves that were made up: what a report reads, without training."""
import json

import numpy

SETTINGS = {
    "data": "fashion-mnist", "model": "mlp", "method": "sap", "scope": "layer", "p": 0.5, "q": 1.0, "eta": 0.0,
    "gamma": 1.0, "beta": 0.9, "ratio": 0.2, "iterations": 8, "epochs": 2, "batch": 250, "lr": 0.1, "seed": "0",
}  # fmt: skip
LAYERS = {"blocks.0.weight": 100352, "blocks.2.weight": 32768, "linear.weight": 2560}


def iteration_line(random, t, last, density, collapse):
    """An iteration at some density: accuracy falls where it is below `collapse`, PQI falls, rises, falls."""
    fall = max(0.0, numpy.log(collapse / density)) / 6
    accuracy = 0.9 - fall + random.normal(0, 0.001)
    pqi = 0.2 - 0.015 * t + 0.0025 * t * t + random.normal(0, 0.0005)
    pruned = {"test_accuracy": None, "pqi": None}
    if not last:
        pruned = {"test_accuracy": accuracy - 0.01 * random.uniform(), "pqi": pqi - 0.01}
    layers = []
    for i, (name, total) in enumerate(LAYERS.items()):
        kept = int(total * density ** (1.2 - 0.3 * i))
        layers.append({"name": name, "total": total, "kept": kept, "pqi": pqi + 0.01 * i, "gini": 2 * pqi})
    total = sum(LAYERS.values())
    return {
        "event": "iteration", "iteration": t, "total": total, "kept": int(total * density), "density": density,
        "test_loss": 0.3 + fall, "test_accuracy": accuracy, "pqi": pqi, "scope_pqi": pqi - 0.001, "gini": 2 * pqi + 0.1, "retain": 100.5,
        "prune_ratio": 0.2, "pruned": 0 if last else 500, "pruned_model": pruned, "guarded": [], "layers": layers,
    }  # fmt: skip


def train_loss(line):
    """Of the last epoch of an iteration; derived, so that what was made need not be kept."""
    return line["test_loss"] / 3


def epoch_lines(line):
    """The epochs before an iteration line."""
    losses = (1.5, train_loss(line))
    return [{"event": "epoch", "iteration": line["iteration"], "epoch": i + 1, "train_loss": loss, "test_accuracy": 0.5}
            for i, loss in enumerate(losses)]  # fmt: skip


def make_run(folder, lines=None, shrink=0.7, collapse=0.2, **settings):
    """A run directory with the first so many `lines` of iterations, without it all; these."""
    values = {**SETTINGS, **settings}
    last = values["iterations"]
    random = numpy.random.RandomState(int(values["seed"]) + 1000 * len(str(values["method"])))
    made = []
    for t in range(last + 1 if lines is None else lines):
        shrunk = shrink * (1 + random.normal(0, 0.002))
        made.append(iteration_line(random, t, t == last, shrunk**t if t else 1.0, collapse))
    folder.mkdir(parents=True)
    machine = {"system": "Linux", "processor": "x86_64", "instructions": "avx512", "engine": "onednn", "threads": 2}
    config = {"sapwood": "0.1.0", "settings": values, "machine": machine}
    (folder / "config.json").write_text(json.dumps(config))
    written = [line for end in made for line in [*epoch_lines(end), end]]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in written))
    return made


def make_study(folder, seeds=3, **settings):
    """Three methods with some seeds each; the lines by run name."""
    lines = {}
    kinds = (("lt", "global", 0.8, 0.3), ("sap", "layer", 0.7, 0.1), ("sap", "neuron", 0.6, 0.15))
    for method, scope, shrink, collapse in kinds:
        for seed in range(seeds):
            name = f"{method}-{scope}-{seed}"
            lines[name] = make_run(folder / name, shrink=shrink, collapse=collapse, method=method, scope=scope,
                                   seed=str(seed), **settings)  # fmt: skip
    return lines
