#!/usr/bin/env python3
"""Draws a run: density, accuracy and PQ Index over its iterations, as the README shows it.

  scripts/draw-run.py RUN -o PICTURE.svg        needs Matplotlib (Debian: python3-matplotlib)
"""
import argparse
import json
import pathlib
import sys

try:
    import matplotlib
except ImportError:
    sys.exit("Matplotlib is not installed (Debian: apt-get install python3-matplotlib)")

matplotlib.use("svg")
import matplotlib.pyplot as pyplot  # noqa: E402  (the backend comes first)

INK, GREEN, ORANGE, BLUE = "#6e7781", "#1a7f37", "#bc4c00", "#0969da"  # legible on white and on dark grey


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("-o", "--output", required=True)
    options = parser.parse_args()
    text = (options.run / "metrics.jsonl").read_text()
    lines = [line for line in map(json.loads, text.splitlines()) if line["event"] == "iteration"]
    t = [line["iteration"] for line in lines]
    pyplot.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "run", "font.family": "sans-serif", "font.size": 10,
                            "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK,
                            "ytick.color": INK})
    figure, axes = pyplot.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
    density, accuracy, index = axes
    density.bar(t, [100 * line["density"] for line in lines], color=GREEN, width=0.7)
    density.set(title="weights kept (%)", ylim=(0, 105))
    accuracy.plot(t, [100 * line["test_accuracy"] for line in lines], "o-", color=BLUE, label="retrained")
    accuracy.plot(t[:-1], [100 * line["pruned_model"]["test_accuracy"] for line in lines[:-1]], "s--", color=ORANGE,
                  label="pruned, not retrained")
    accuracy.set(title="test accuracy (%)", ylim=(86, 92))
    accuracy.legend(frameon=False, loc="lower right")
    index.plot(t, [line["pqi"] for line in lines], "o-", color=BLUE, label="retrained")
    index.plot(t[:-1], [line["pruned_model"]["pqi"] for line in lines[:-1]], "s--", color=ORANGE, label="pruned")
    index.set(title="PQ Index", ylim=(0, None))
    index.legend(frameon=False)
    for axis in axes:
        axis.set(xlabel="iteration", xticks=t)
        axis.patch.set_alpha(0)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(options.output, transparent=True, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
