"""Where to stop: the turning points again in NumPy, and runs that end by them."""
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


class Options(ctypes.Structure):  # phase.h
    _fields_ = [("confirm", ctypes.c_int), ("tolerance", ctypes.c_double), ("deviations", ctypes.c_double)]


class Phases(ctypes.Structure):  # phase.h
    _fields_ = [(name, ctypes.c_int) for name in FIELDS]
    _fields_ += [("noise", ctypes.c_double), ("threshold", ctypes.c_double)]


# ---- a second opinion ----


def threshold(x, tolerance, deviations):
    """By the documents: the noise of the series so far, from the median of its third differences."""
    third = numpy.abs(numpy.diff(x, 3)) if len(x) > 3 else []
    sigma = 1.4826 * numpy.median(third) / numpy.sqrt(20) if len(third) >= 3 else 0.0
    return max(tolerance, deviations * sigma)


def turn(x, begin, extreme, sign, confirm, tolerance, deviations):
    """(extreme, when its turn is certain), both None if it never is. The search begins at `begin`."""
    beyond = 0
    for t in range(begin, len(x)):
        if sign * x[t] <= sign * x[extreme]:
            extreme, beyond = t, 0
        elif sign * (x[t] - x[extreme]) > threshold(x[: t + 1], tolerance, deviations):
            beyond += 1
        else:
            beyond = 0
        if beyond >= confirm:
            return extreme, t
    return None, None


def phases(pqi, confirm=2, tolerance=0.08, deviations=3):
    x = numpy.log(numpy.maximum(pqi, 1e-12))
    found = {"peak": None, "fallen": None}
    found["valley"], found["passed"] = turn(x, 0, 0, 1, confirm, tolerance, deviations)
    if found["passed"] is None:
        return {**found, "recommended": len(x) - 1}
    between = x[found["valley"] : found["passed"] + 1]
    highest = found["valley"] + len(between) - 1 - int(numpy.argmax(between[::-1]))
    found["peak"], found["fallen"] = turn(x, found["passed"] + 1, highest, -1, confirm, tolerance, deviations)
    return {**found, "recommended": found["passed"] - confirm}


def test_library_agrees_with_numpy():
    library = ctypes.CDLL(str(BUILD / "libsapwood.so"))
    random = numpy.random.RandomState(1)
    seen = {name: 0 for name in FIELDS}
    for _ in range(400):
        count, options = random.randint(1, 50), (int(random.randint(1, 5)), random.uniform(0, 0.2), random.uniform(0, 4))
        steps = random.choice([-0.1, 0.1], count) * random.uniform(0, 1) + random.normal(0, 0.05, count)
        x = numpy.minimum(-0.1, -1.5 + numpy.cumsum(numpy.repeat(steps, 4)[:count]))
        pqi = numpy.exp(x + random.normal(0, random.choice([0, 0.01, 0.1]), count)).clip(0, 1)
        found, err = Phases(), Error()
        values = (ctypes.c_double * count)(*pqi)
        status = library.sap_phases_find(
            values, ctypes.c_size_t(count), ctypes.byref(Options(*options)), ctypes.byref(found), ctypes.byref(err)
        )
        assert status == 0, err.text
        expected = phases(pqi, *options)
        for name in FIELDS:
            value = getattr(found, name)
            assert (None if value < 0 else value) == expected[name], (name, pqi.tolist(), options)
            seen[name] += value >= 0
    assert min(seen.values()) > 20, seen


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
    return numpy.array([line["pqi"] for line in iterations(path)])


def test_recommendation(whole):
    path, document = whole
    expected = phases(series(path))
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
    assert re.search(rf"^why: .* lowest in iteration {found['valley']} .*, up to {found['passed']}, ", text, re.M)
    assert re.search(rf"^phases: regularization 0 to {found['valley']}, compression {found['valley'] + 1} to ", text, re.M)
    assert "recommended" not in sapwood("train", "-o", path, "--resume").stdout


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_run_ends_where_the_whole_one_says(sapwood, data, whole, tmp_path, after):
    path = tmp_path / "auto"
    words = ["--stop", "auto", "--stop-after", after, "-o", path]
    done = sapwood("train", "--data", data, *SMALL, *words)
    assert done.returncode == 0, done.stderr
    passed = phases(series(whole[0]), after)["passed"]
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
    passed = phases(series(whole[0]))["passed"]
    assert iterations(path)[-1]["iteration"] == passed
    assert iterations(path)[:-1] == iterations(whole[0])[:passed]
    stored = read_safetensors(path / "state.safetensors")["pqi"]
    assert len(stored) == 13
    assert numpy.allclose(stored[: passed + 1], series(path), rtol=1e-8) and not stored[passed + 1 :].any()
