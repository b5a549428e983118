"""Where to stop: the phases again in NumPy, real runs, and runs that end by them."""
import csv
import ctypes
import json
import os
import re
from pathlib import Path

import numpy
import pytest
from conftest import lines_of, read_safetensors
from structs import Error

BUILD = Path(os.environ.get("SAPWOOD_BUILD", Path(__file__).resolve().parent.parent / "build"))
FIELDS = ("valley", "passed", "peak", "fallen", "recommended")
RESULTS = Path(__file__).resolve().parent.parent / "docs/results/iterations.csv"


def real_runs():
    """The study's runs by name: columns of numbers, by iteration."""
    runs = {}
    for row in csv.DictReader(RESULTS.open(newline="")):
        if row["eta"] in ("", "0") and row["gamma"] in ("", "1") and (row["p"], row["q"]) in (("", ""), ("0.5", "1"), ("1", "2")):
            exponents = f"-p{row['p']}-q{row['q']}" if row["p"] else ""
            run = runs.setdefault(f"{row['model']}-{row['method']}-{row['scope']}{exponents}-seed{row['seed']}", {})
            for key in ("density", "scope_pqi", "accuracy"):
                run.setdefault(key, []).append(float(row[key]))
    return runs


SERIES = real_runs()


class Options(ctypes.Structure):  # phase.h
    _fields_ = [("confirm", ctypes.c_int), ("span", ctypes.c_double), ("least", ctypes.c_double)]


class Phases(ctypes.Structure):  # phase.h
    _fields_ = [(name, ctypes.c_int) for name in FIELDS] + [("gain", ctypes.c_double)]


# ---- a second opinion ----


def gain(pqi, density, t, span):
    """By the documents: what a halving takes off the index, over the last `span` halvings."""
    halvings = -numpy.log2(numpy.maximum(density[: t + 1], 1e-12))
    if t < 2 or halvings[t] - halvings[0] < span - 1e-9 or pqi[0] == 0:
        return numpy.nan
    begin = min(t - 2, int(numpy.argmax(halvings >= halvings[t] - span - 1e-9)))
    x, y = halvings[begin:], numpy.array(pqi[begin : t + 1]) / pqi[0]
    return -numpy.polyfit(x, y, 1)[0] if numpy.ptp(x) > 0 else numpy.nan


def sure(values, begin, confirm, holds):
    """Where `holds` was true of so many values running, the first of them at `begin` or later."""
    running = 0
    for t in range(begin, len(values)):
        running = running + 1 if holds(values[t]) else 0
        if running >= confirm:
            return t
    return None


def phases(pqi, density, confirm=2, span=1.75, least=0.11):
    gains = [gain(pqi, density, t, span) for t in range(len(pqi))]
    found = {"valley": None, "passed": sure(gains, 0, confirm, lambda g: g < least), "peak": None, "fallen": None}
    if found["passed"] is None:
        return {**found, "recommended": len(pqi) - 1}
    end = found["passed"] + 1
    found["valley"] = end - 1 - int(numpy.argmin(pqi[:end][::-1]))
    found["fallen"] = sure(gains, end, confirm, lambda g: g > least)
    if found["fallen"] is not None:
        between = pqi[found["valley"] : found["fallen"] + 1]
        found["peak"] = found["fallen"] - int(numpy.argmax(between[::-1]))
    return {**found, "recommended": found["passed"] - confirm}


@pytest.fixture(scope="module")
def find():
    """sap_phases_find, as `phases` says it."""
    library = ctypes.CDLL(str(BUILD / "libsapwood.so"))

    def call(pqi, density, *options):
        found, err, count = Phases(), Error(), len(pqi)
        status = library.sap_phases_find(
            (ctypes.c_double * count)(*pqi), (ctypes.c_double * count)(*density), ctypes.c_size_t(count),
            ctypes.byref(Options(*options)) if options else None, ctypes.byref(found), ctypes.byref(err)
        )  # fmt: skip
        assert status == 0, err.text
        return {name: None if getattr(found, name) < 0 else getattr(found, name) for name in FIELDS}

    return call


def test_library_agrees_with_numpy(find):
    random = numpy.random.RandomState(1)
    seen = {name: 0 for name in FIELDS}
    for _ in range(400):
        count = random.randint(1, 50)
        options = (int(random.randint(1, 5)), random.uniform(0.3, 2), random.uniform(0, 0.2))
        density = numpy.cumprod(numpy.append(1, random.uniform(0.6, 0.95, count)))[:count]
        steps = random.choice([-0.1, 0.1], count) * random.uniform(0, 1) + random.normal(0, 0.05, count)
        x = numpy.minimum(-0.1, -1.5 + numpy.cumsum(numpy.repeat(steps, 4)[:count]))
        pqi = numpy.exp(x + random.normal(0, random.choice([0, 0.01, 0.1]), count)).clip(0, 1)
        found = find(pqi, density, *options)
        assert found == phases(pqi, density, *options), (pqi.tolist(), density.tolist(), options)
        for name in FIELDS:
            seen[name] += found[name] is not None
    assert min(seen.values()) > 20, seen


# ---- real runs: Fashion-MNIST, 30 iterations of 20 epochs ----

# Where the run ends more than 2 iterations from the best trade-off of its own accuracies, and from that of the mean over
# the seeds (docs/results).
FAR_FROM_OWN = {"linear-sap-layer-p1-q2-seed3", "linear-sap-neuron-p1-q2-seed0", "linear-sap-neuron-p1-q2-seed2",
                "mlp-sap-layer-p1-q2-seed3", "mlp-sap-neuron-p1-q2-seed3"}  # fmt: skip
FAR_FROM_MEAN = {"mlp-sap-layer-p1-q2-seed1", *(f"mlp-sap-neuron-p1-q2-seed{seed}" for seed in range(4))}


def best(accuracy):
    """The sparsest iteration within half a point of the dense one."""
    return int(numpy.flatnonzero(accuracy >= accuracy[0] - 0.005)[-1])


def end(find, run):
    passed = find(run["scope_pqi"], run["density"])["passed"]
    return len(run["density"]) - 1 if passed is None else passed


@pytest.mark.parametrize("name", SERIES)
def test_real_runs_end_near_their_best_trade_off(find, name):
    distance = end(find, SERIES[name]) - best(numpy.array(SERIES[name]["accuracy"]))
    assert (abs(distance) <= 2) == (name not in FAR_FROM_OWN), distance


@pytest.mark.parametrize("name", SERIES)
def test_real_runs_end_near_the_best_trade_off_of_all_seeds(find, name):
    alike = [run for other, run in SERIES.items() if other.split("-seed")[0] == name.split("-seed")[0]]
    distance = end(find, SERIES[name]) - best(numpy.mean([run["accuracy"] for run in alike], axis=0))
    assert (abs(distance) <= 2) == (name not in FAR_FROM_MEAN), distance


# ---- runs ----

SMALL = ["--model", "mlp", "--method", "os", "--ratio", "0.5", "--iterations", "12", "--epochs", "4", "--batch", "50",
         "--threads", "1", "--lr", "0.2"]  # fmt: skip


def iterations(path):
    return [line for line in lines_of(path / "metrics.jsonl") if line["event"] == "iteration"]


@pytest.fixture(scope="module")
def whole(sapwood, data, tmp_path_factory):
    """A run to the end, past its limit, and what --recommend says."""
    path = tmp_path_factory.mktemp("stop") / "whole"
    done = sapwood("train", "--data", data, *SMALL, "-o", path, "--recommend", "--json")
    assert done.returncode == 0, done.stderr
    return path, json.loads(done.stdout)


def series(path):
    return [[line[key] for line in iterations(path)] for key in ("scope_pqi", "density")]


def test_recommendation(whole):
    path, document = whole
    expected = phases(*series(path))
    assert expected["passed"] is not None and expected["passed"] < 12, "this run is to pass its limit"
    found = document["recommended"]
    assert {name: found[name] for name in ("valley", "passed", "peak", "fallen")} == {
        name: expected[name] for name in ("valley", "passed", "peak", "fallen")
    }
    assert found["iteration"] == expected["recommended"]


def test_recommendation_in_words(sapwood, whole):
    path, document = whole
    found = document["recommended"]
    text = sapwood("train", "-o", path, "--resume", "--recommend").stdout
    line = iterations(path)[found["iteration"]]
    words = rf"recommended: iteration {found['iteration']} keeps {100 * line['density']:.1f} % of the weights"
    assert re.search(rf"^{words} at {100 * line['test_accuracy']:.1f} % accuracy \(dense ", text, re.M)
    change = re.escape(f"{round(-100 * found['gain']):+d} %")
    assert re.search(rf"^why: .* by iteration {found['passed']}: .* changed it by {change}$", text, re.M)
    assert re.search(rf"^phases: regularization 0 to {found['valley']}, compression {found['valley'] + 1} to ", text, re.M)
    assert "recommended" not in sapwood("train", "-o", path, "--resume").stdout


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_run_ends_where_the_whole_one_says(sapwood, data, whole, tmp_path, after):
    path = tmp_path / "auto"
    words = ["--stop", "auto", "--stop-after", after, "-o", path]
    done = sapwood("train", "--data", data, *SMALL, *words)
    assert done.returncode == 0, done.stderr
    passed = phases(*series(whole[0]), after)["passed"]
    assert passed is not None
    lines, expected = iterations(path), iterations(whole[0])[: passed + 1]
    last = lines[-1]
    assert last["iteration"] == passed and last["stopped"] is True
    assert last["pruned"] == 0 and last["pruned_model"]["test_accuracy"] is None
    assert lines[:-1] == expected[:-1] and last["pqi"] == expected[-1]["pqi"]
    assert not any("stopped" in line for line in lines[:-1])
    assert not (path / f"iteration-{passed + 1:02d}.safetensors").exists()
    name = f"iteration-{passed:02d}.safetensors"
    assert (path / name).read_bytes() == (whole[0] / name).read_bytes()
    assert "recommended: iteration " in done.stdout
    # It is finished: nothing more to do, and nothing is done.
    before = (path / "metrics.jsonl").read_bytes()
    assert sapwood("train", "-o", path, "--resume").returncode == 0
    assert (path / "metrics.jsonl").read_bytes() == before


def test_a_stopped_run_is_finished_for_a_sweep(sapwood, data, tmp_path):
    settings = {word[2:]: value for word, value in zip(SMALL[::2], SMALL[1::2])}
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"runs": [{"data": data, **settings, "stop": "auto"}]}))
    first = sapwood("sweep", plan, "-o", tmp_path / "runs", "--json", "--quiet")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["runs"][0]["iterations"] < 13
    again = json.loads(sapwood("sweep", plan, "-o", tmp_path / "runs", "--json", "--quiet").stdout)
    assert again["earlier"] == 1


def test_interrupted_runs_remember_the_series(sapwood, data, whole, tmp_path):
    """Killed again and again, it ends at the same iteration with the same weights."""
    path = tmp_path / "auto"
    words = ["train", "--data", data, *SMALL, "--stop", "auto", "-o", path]
    for attempt in range(200):
        process = sapwood.start(*words, *(["--resume"] if (path / "config.json").exists() else []))
        before = (path / "metrics.jsonl").stat().st_size if (path / "metrics.jsonl").exists() else 0
        while process.poll() is None:
            if (path / "metrics.jsonl").exists() and (path / "metrics.jsonl").stat().st_size > before + 2000:
                process.kill()
        process.communicate()
        if process.returncode == 0:
            break
    assert attempt >= 2, "it was never killed"
    passed = phases(*series(whole[0]))["passed"]
    assert iterations(path)[-1]["iteration"] == passed
    assert iterations(path)[:-1] == iterations(whole[0])[:passed]
    state = read_safetensors(path / "state.safetensors")
    for stored, values in zip((state["pqi"], state["density"]), series(path)):
        assert len(stored) == 13
        assert numpy.allclose(stored[: passed + 1], values, rtol=1e-8) and not stored[passed + 1 :].any()
