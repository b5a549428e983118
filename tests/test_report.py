"""sapwood report: the numbers of its tables against NumPy."""
import os

import numpy
import pytest
from made_runs import LAYERS, train_loss
from report_study import SERIES, number, study, tables  # noqa: F401

QUANTITIES = {
    "accuracy": lambda line: line["test_accuracy"],
    "loss": lambda line: line["test_loss"],
    "train_loss": train_loss,
    "density": lambda line: line["density"],
    "pqi": lambda line: line["pqi"],
    "scope_pqi": lambda line: line["scope_pqi"],
    "gini": lambda line: line["gini"],
    "retain": lambda line: line["retain"],
    "prune_ratio": lambda line: line["prune_ratio"],
    "pruned": lambda line: line["pruned"],
    "pruned_accuracy": lambda line: line["pruned_model"]["test_accuracy"],
    "pruned_pqi": lambda line: line["pruned_model"]["pqi"],
    "accuracy_difference": lambda line: difference(line, "test_accuracy"),
    "pqi_difference": lambda line: difference(line, "pqi"),
}


def difference(line, key):
    return None if line["pruned_model"][key] is None else line[key] - line["pruned_model"][key]



def test_iterations_are_those_of_the_metrics(study, tables):
    _, runs = study
    rows = {(os.path.basename(row["run"]), int(row["iteration"])): row for row in tables["iterations"]}
    assert len(rows) == sum(len(lines) for lines in runs.values())
    for name, lines in runs.items():
        for line in lines:
            row = rows[name, line["iteration"]]
            assert row["series"] == " ".join(name.split("-")[:2]) and row["seed"] == name.split("-")[2]
            assert row["data"] == "fashion-mnist" and row["model"] == "mlp"
            for quantity, value in QUANTITIES.items():
                expected = value(line)
                found = number(row[quantity])
                assert found == (expected if expected is None else pytest.approx(expected, rel=1e-8, abs=1e-10))


def test_series_are_means_and_sample_deviations(study, tables):
    _, runs = study
    rows = {(row["series"], int(row["iteration"])): row for row in tables["series"]}
    assert len(rows) == 3 * 9
    for series, stem in SERIES.items():
        for t in range(9):
            row = rows[series, t]
            assert row["runs"] == "3"
            for quantity, value in QUANTITIES.items():
                values = [value(runs[f"{stem}-{seed}"][t]) for seed in range(3)]
                if None in values:
                    assert row[quantity] == row[quantity + "_sd"] == ""
                    continue
                assert number(row[quantity]) == pytest.approx(numpy.mean(values), rel=1e-7, abs=1e-9)
                assert number(row[quantity + "_sd"]) == pytest.approx(numpy.std(values, ddof=1), rel=1e-5, abs=1e-9)


def test_layers_are_means(study, tables):
    _, runs = study
    rows = {(row["series"], int(row["iteration"]), row["layer"]): row for row in tables["layers"]}
    assert len(rows) == 3 * 9 * 3
    for series, stem in SERIES.items():
        for t in range(9):
            for i, (name, total) in enumerate(LAYERS.items()):
                layers = [runs[f"{stem}-{seed}"][t]["layers"][i] for seed in range(3)]
                row = rows[series, t, name]
                assert int(row["total"]) == total
                assert number(row["density"]) == pytest.approx(numpy.mean([x["kept"] / total for x in layers]))
                for key in ("pqi", "gini"):
                    assert number(row[key]) == pytest.approx(numpy.mean([x[key] for x in layers]))


def test_summary_is_the_smallest_density_within_the_points(study, tables):
    _, runs = study
    rows = {(row["series"], float(row["points"])): row for row in tables["summary"]}
    assert len(rows) == 6
    for (series, points), row in rows.items():
        lines = [runs[f"{SERIES[series]}-{seed}"] for seed in range(3)]
        accuracy = numpy.mean([[line["test_accuracy"] for line in run] for run in lines], axis=0)
        density = numpy.mean([[line["density"] for line in run] for run in lines], axis=0)
        near = [t for t in range(1, 9) if accuracy[t] >= accuracy[0] - points / 100]
        best = min(near, key=lambda t: density[t])
        assert int(row["iteration"]) == best
        assert number(row["density"]) == pytest.approx(density[best])
        assert number(row["accuracy"]) == pytest.approx(accuracy[best])
        assert number(row["dense_accuracy"]) == pytest.approx(accuracy[0])
        assert (row["runs"], row["finished"]) == ("3", "3")


def test_accuracy_at_equal_density(study, tables):
    _, runs = study
    checked = 0
    for row in tables["densities"]:
        found = []
        for seed in range(3):
            lines = runs[f"{SERIES[row['series']]}-{seed}"]
            densities = numpy.log([line["density"] for line in lines])
            accuracies = [line["test_accuracy"] for line in lines]
            if densities[-1] <= numpy.log(float(row["density"])):
                found.append(numpy.interp(-numpy.log(float(row["density"])), -densities, accuracies))
        assert int(row["runs"]) == len(found)
        if len(found) > 1:
            assert number(row["accuracy"]) == pytest.approx(numpy.mean(found), rel=1e-6)
            assert number(row["accuracy_sd"]) == pytest.approx(numpy.std(found, ddof=1), rel=1e-4)
            checked += 1
    assert checked >= 6


def test_phases_are_those_of_the_index(study, tables):
    """The made-up index falls until iteration 3 and rises to the end."""
    for row in tables["phases"]:
        assert (row["valley"], row["peak"], row["fallen"]) == ("3", "", "")
        assert 3 < int(row["passed"]) <= 7 and int(row["recommended"]) == int(row["passed"]) - 2
        (at,) = [x for x in tables["series"] if x["series"] == row["series"] and x["iteration"] == row["recommended"]]
        assert row["density"] == at["density"] and row["accuracy"] == at["accuracy"]


def test_only_one_table(sapwood, study, tmp_path):
    folder, _ = study
    done = sapwood("report", folder, "--format", "csv", "--only", "summary", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.csv"]
