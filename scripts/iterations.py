#!/usr/bin/env python3
"""The iterations of the runs in folders as one small CSV, from which the figures can be drawn again without the runs.

Five digits; a value that does not exist is empty. What is not finished is left out.
"""
import argparse

from claims import load

SETTINGS = ("model", "method", "scope", "p", "q", "eta", "gamma", "seed")
VALUES = {
    "density": lambda line: line["density"],
    "accuracy": lambda line: line["test_accuracy"],
    "pruned_accuracy": lambda line: line["pruned_model"]["test_accuracy"],
    "pqi": lambda line: line["pqi"],
    "scope_pqi": lambda line: line["scope_pqi"],
    "pruned_pqi": lambda line: line["pruned_model"]["pqi"],
    "gini": lambda line: line["gini"],
    "train_loss": lambda line: line["train_loss"],
}


def text(value):
    return "" if value is None else f"{value:.5g}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", metavar="FOLDER")
    print(",".join([*SETTINGS, "iteration", *VALUES]))
    for run in load(parser.parse_args().folders):
        of_sap = run.settings["method"] == "sap"
        keys = [run.settings[key] if of_sap or key not in ("p", "q", "eta", "gamma") else None for key in SETTINGS]
        keys = [key if isinstance(key, str) else text(key) for key in keys]
        for line in run.lines:
            values = [text(value(line)) for value in VALUES.values()]
            print(",".join([*keys, str(line["iteration"]), *values]))


main()
