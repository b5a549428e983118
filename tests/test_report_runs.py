"""What sapwood report compares with what, and runs that are broken, odd or not whole."""
import csv
import json
import os
import re

import pytest
from made_runs import make_run
from report_study import data_of, needs_gnuplot, said, study, svg_texts  # noqa: F401


def names_of(sapwood, *words):
    done = sapwood("report", *words, "--json")
    assert done.returncode == 0, done.stderr
    return [series["name"] for series in json.loads(done.stdout)["series"]], done


def test_series_are_named_by_what_differs(sapwood, tmp_path):
    make_run(tmp_path / "runs/a", p=0.5)
    make_run(tmp_path / "runs/b", p=0.8)
    make_run(tmp_path / "runs/c", p=0.8, seed="1")
    make_run(tmp_path / "runs/d", method="lt", ratio=0.3, gamma=2.0)
    make_run(tmp_path / "runs/e", method="lt", ratio=0.2, gamma=1.0)
    make_run(tmp_path / "runs/f", method="lt", ratio=0.2, gamma=3.0, seed="1")
    names, _ = names_of(sapwood, tmp_path / "runs", "-o", tmp_path / "r.html")
    # gamma means nothing to lt, ratio nothing to sap; lt's series do not differ in p.
    assert names == ["sap p 0.5", "sap p 0.8", "lt ratio 0.3", "lt ratio 0.2"]


def test_names_leave_out_what_is_at_its_default(sapwood, tmp_path):
    for name, settings in {"a": {}, "b": {"eta": 0.1}, "c": {"gamma": 2.0}, "d": {"method": "lt"}}.items():
        make_run(tmp_path / "runs" / name, **settings)
    names, _ = names_of(sapwood, tmp_path / "runs", "-o", tmp_path / "r.html")
    assert names == ["sap", "sap eta 0.1", "sap gamma 2", "lt"]


def test_networks_are_sections(sapwood, tmp_path):
    make_run(tmp_path / "runs/a")
    make_run(tmp_path / "runs/b", model="linear")
    names, done = names_of(sapwood, tmp_path / "runs", "-o", tmp_path / "r.html")
    assert names == ["sap", "sap"]
    assert len(json.loads(done.stdout)["words"]) == 2
    assert len(data_of((tmp_path / "r.html").read_text())["sections"]) == 2


def test_a_second_run_of_a_seed_is_left_out(sapwood, tmp_path):
    make_run(tmp_path / "runs/a", lines=4)
    make_run(tmp_path / "runs/b")
    done = sapwood("report", tmp_path / "runs", "-o", tmp_path / "r.html", "--json")
    (series,) = json.loads(done.stdout)["series"]
    assert (series["runs"], series["iterations"]) == (1, 9)
    assert "runs/a: left out: same settings and seed as" in done.stderr


def test_runs_of_different_length_are_compared_with_their_own_beginning(sapwood, tmp_path):
    """A run that began 3 points higher and went on alone is not within a point of the mean of both."""
    for seed, (dense, count) in enumerate([(0.90, 3), (0.93, 9)]):
        lines = make_run(tmp_path / f"runs/{seed}", lines=count, seed=str(seed))
        for line in lines:
            line["test_accuracy"] = dense - (0.02 if line["iteration"] > 2 else 0.001 * line["iteration"])
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / f"runs/{seed}/metrics.jsonl").write_text(text)
    done = sapwood("report", tmp_path / "runs", "-o", tmp_path / "r.html", "--json")
    (series,) = json.loads(done.stdout)["series"]
    assert [limit["iteration"] for limit in series["within"]] == [2, 2]


def test_a_terminal_sees_no_control_characters(sapwood, tmp_path):
    make_run(tmp_path / "run", data="fashion-mnist:/\x1b[31m", engine="\x1b]0;x\x07")
    done = sapwood("report", tmp_path / "run", "-o", tmp_path / "r.html")
    assert done.returncode == 0 and "\x1b" not in done.stdout + done.stderr


def test_signs_in_other_locales(sapwood, study, tmp_path):
    folder, _ = study
    for locale, sign in (("C.UTF-8", "±"), ("C", "+-")):
        done = sapwood("report", folder, "-o", tmp_path / f"{locale}.html", env={**os.environ, "LC_ALL": locale})
        assert sign in done.stdout and done.stdout.isascii() == (locale == "C")


def test_deeper_folders_and_other_files_beside_runs(sapwood, tmp_path):
    make_run(tmp_path / "runs/one/a")
    make_run(tmp_path / "runs/two/b", seed="1")
    (tmp_path / "runs/plan.json").write_text("{}")
    (tmp_path / "runs/empty").mkdir()
    names, done = names_of(sapwood, tmp_path / "runs", "-o", tmp_path / "r.html")
    assert names == ["sap"] and json.loads(done.stdout)["series"][0]["runs"] == 2


# ---- runs that are not whole ----


def test_a_run_that_is_still_going(sapwood, tmp_path):
    make_run(tmp_path / "runs/a")
    make_run(tmp_path / "runs/b", lines=3, seed="1")
    epoch = {"event": "epoch", "iteration": 3, "epoch": 1}
    with (tmp_path / "runs/b/metrics.jsonl").open("a") as metrics:
        metrics.write(json.dumps(epoch) + "\n" + '{"event":"epoch","iteration":3,"ep')
    done = sapwood("report", tmp_path / "runs", "-o", tmp_path / "r.html")
    assert done.returncode == 0
    assert len(said(done)) == 1 and "runs/b: 1 line of metrics.jsonl left out" in done.stderr
    page = (tmp_path / "r.html").read_text()
    assert "3 of 9 iterations, epoch 1 of 2" in page and "1 of them not finished" in page
    (series,) = data_of(page)["sections"][0]["series"]
    assert series["n"] == [2, 2, 2, 1, 1, 1, 1, 1, 1]
    # What the one that still goes would recommend so far, its newest iteration, is no advice.
    assert not re.search(r"<td>2 to \d</td>", page)
    assert series["accuracy_sd"][3] is None


@pytest.mark.parametrize(
    "line",
    [
        "nonsense", "{}", "[]", "null", "7", '{"event":"iteration"}', '{"event":"iteration","iteration":-1}',
        '{"event":"iteration","iteration":1001}', '{"event":"iteration","iteration":1e9}',
        '{"event":"iteration","iteration":99999999999999999999}', '{"event":"other","iteration":1}', "\x00", "[" * 3000,
    ],
)  # fmt: skip
def test_lines_that_are_none_are_skipped_with_a_count(sapwood, tmp_path, line):
    make_run(tmp_path / "run")
    metrics = tmp_path / "run/metrics.jsonl"
    lines = metrics.read_text().splitlines()
    metrics.write_text("\n".join([line, *lines[:3], line, "", "  ", *lines[3:]]) + "\n")
    done = sapwood("report", tmp_path / "run", "-o", tmp_path / "r.html", "--json")
    assert done.returncode == 0, done.stderr
    assert "2 lines of metrics.jsonl left out" in done.stderr
    assert json.loads(done.stdout)["series"][0]["iterations"] == 9


def test_lines_with_odd_values(sapwood, tmp_path):
    make_run(tmp_path / "run", lines=3)
    odd = {"event": "iteration", "iteration": 3, "density": "much", "test_accuracy": None, "pqi": [], "layers": 5,
           "pruned_model": 3}  # fmt: skip
    layers = [{}, {"name": 7, "total": -4, "kept": 1e9}]
    other = {"event": "iteration", "iteration": 5, "density": 0.1, "layers": layers}
    with (tmp_path / "run/metrics.jsonl").open("a") as metrics:
        metrics.write(json.dumps(odd) + "\n" + json.dumps(other) + "\n")
    done = sapwood("report", tmp_path / "run", "-o", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    (series,) = data_of((tmp_path / "r.html").read_text())["sections"][0]["series"]
    assert series["n"] == [1, 1, 1, 0, 0, 0] and series["density"][3:] == [None, None, 0.1]


def test_settings_out_of_range(sapwood, tmp_path):
    """The file of a run may say anything; what it says is told, and no reason to fail."""
    make_run(tmp_path / "run", lines=3, **{"stop-after": -5, "p": 7.0, "q": -1.0, "ratio": 1e300})
    config = json.loads((tmp_path / "run/config.json").read_text())
    config["settings"]["iterations"] = 2**31 - 1
    (tmp_path / "run/config.json").write_text(json.dumps(config))
    done = sapwood("report", tmp_path / "run", "-o", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    assert "3 of 2147483648 iterations" in (tmp_path / "r.html").read_text()


@needs_gnuplot
def test_values_that_cannot_be(sapwood, tmp_path):
    """A density above 1, a negative accuracy: no values, and figures all the same."""
    lines = make_run(tmp_path / "run")
    for line in lines:
        line.update(density=1.5, test_accuracy=-0.1, pqi=2, gini=1e300)
    (tmp_path / "run/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = sapwood("report", tmp_path / "run", "--format", "svg", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "no values yet" in svg_texts(tmp_path / "out/tradeoff.svg")
    done = sapwood("report", tmp_path / "run", "--format", "csv", "-o", tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out/iterations.csv").open(newline="")))
    assert {row[key] for row in rows for key in ("density", "accuracy", "pqi", "gini")} == {""}


def test_without_the_first_iteration(sapwood, tmp_path):
    lines = make_run(tmp_path / "run")[1:]
    (tmp_path / "run/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = sapwood("report", tmp_path / "run", "-o", tmp_path / "r.html", "--json")
    (series,) = json.loads(done.stdout)["series"]
    assert series["dense_accuracy"] is None and [limit["iteration"] for limit in series["within"]] == [None, None]


def test_of_two_lines_for_an_iteration_the_later_counts(sapwood, tmp_path):
    lines = make_run(tmp_path / "run")
    again = {**lines[2], "test_accuracy": 0.25}
    with (tmp_path / "run/metrics.jsonl").open("a") as metrics:
        metrics.write(json.dumps(again) + "\n")
    sapwood("report", tmp_path / "run", "-o", tmp_path / "r.html")
    assert data_of((tmp_path / "r.html").read_text())["sections"][0]["series"][0]["accuracy"][2] == 0.25


def broken(make):
    """A change to a good run directory."""
    return pytest.param(make, id=make.__name__)


def no_config(run):
    (run / "config.json").unlink()
    return "neither a run (no config.json) nor a folder with runs"


def no_metrics(run):
    (run / "metrics.jsonl").unlink()
    return "metrics.jsonl: no such file"


def metrics_is_a_folder(run):
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").mkdir()
    return "a folder, expected a file"


def empty_metrics(run):
    (run / "metrics.jsonl").write_text("")
    return "no iteration has finished yet"


def config_is_cut(run):
    text = (run / "config.json").read_text()
    (run / "config.json").write_text(text[: len(text) // 2])
    return "config.json: line 1"


def config_of_something_else(run):
    (run / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    return "config.json: no settings"


def config_with_a_wrong_value(run):
    config = json.loads((run / "config.json").read_text())
    config["settings"]["method"] = "magic"
    (run / "config.json").write_text(json.dumps(config))
    return "method magic: expected sap, lt, os or dense"


BROKEN = [broken(f) for f in (no_config, no_metrics, metrics_is_a_folder, empty_metrics, config_is_cut,
                              config_of_something_else, config_with_a_wrong_value)]  # fmt: skip


@pytest.mark.parametrize("spoil", BROKEN)
def test_a_broken_run_is_named_in_one_line(sapwood, tmp_path, spoil):
    make_run(tmp_path / "the run")
    text = spoil(tmp_path / "the run")
    done = sapwood("report", tmp_path / "the run", "-o", tmp_path / "r.html")
    assert done.returncode == 1 and done.stdout == ""
    assert len(said(done)) == 1 and text in done.stderr and "the run" in done.stderr
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize("spoil", BROKEN)
def test_a_broken_run_in_a_folder_does_not_stop_the_others(sapwood, tmp_path, spoil):
    make_run(tmp_path / "runs/good")
    make_run(tmp_path / "runs/broken", seed="1")
    text = spoil(tmp_path / "runs/broken")
    done = sapwood("report", tmp_path / "runs", "-o", tmp_path / "r.html")
    assert done.returncode == 0
    if spoil is not no_config:
        assert len(said(done)) == 1 and text in done.stderr and "runs/broken" in done.stderr
        assert "runs/broken" in (tmp_path / "r.html").read_text()


def test_a_path_that_is_not_there(sapwood, tmp_path):
    done = sapwood("report", tmp_path / "none", "-o", tmp_path / "r.html")
    assert done.returncode == 1 and "none: not a run" in done.stderr and len(said(done)) == 1
