"""sapwood report: its options, its files, its JSON, and runs of the program itself."""
import json
import re

import pytest
from made_runs import make_run
from report_study import SERIES, data_of, said, study  # noqa: F401


@pytest.mark.parametrize(
    "words, text",
    [
        (["-o", "x"], "a run directory, or a folder of them, is needed"),
        (["RUN"], "-o is needed"),
        (["RUN", "-o", "x", "--format", "pdf"], "--format pdf: expected html, csv, svg or png"),
        (["RUN", "-o", "x", "--only", "summary"], "--only: the page is one file"),
        (["RUN", "-o", "x", "--format", "csv", "--only", "sums"], "--only sums: expected one of the tables"),
    ],
)
def test_usage_errors(sapwood, study, tmp_path, words, text):
    folder, _ = study
    words = [folder if word == "RUN" else word for word in words]
    done = sapwood("report", *words, cwd=tmp_path)
    assert done.returncode == 2 and text in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", ["html", "csv"])
def test_nothing_is_overwritten_without_force(sapwood, study, tmp_path, format):
    folder, _ = study
    out = tmp_path / "out"
    assert sapwood("report", folder, "--format", format, "-o", out).returncode == 0
    done = sapwood("report", folder, "--format", format, "-o", out)
    assert done.returncode == 1 and "exists already; --force overwrites it" in done.stderr
    assert sapwood("report", folder, "--format", format, "-o", out, "--force").returncode == 0


def test_output_that_cannot_be_written(sapwood, study, tmp_path):
    folder, _ = study
    (tmp_path / "file").write_text("")
    csv_words = ["--format", "csv", "-o", tmp_path / "file"]
    for words in (["-o", tmp_path / "no/r.html"], csv_words, ["-o", tmp_path, "-f"]):
        done = sapwood("report", folder, *words)
        assert done.returncode == 1 and len(said(done)) == 1, done.stderr


def test_json(sapwood, study, tmp_path):
    folder, _ = study
    document = json.loads(sapwood("report", folder, "-o", tmp_path / "r.html", "--json").stdout)
    assert document["files"] == [str(tmp_path / "r.html")] and document["notes"] == []
    assert [series["name"] for series in document["series"]] == list(SERIES)
    assert [limit["points"] for limit in document["series"][0]["within"]] == [0.5, 1]


def test_sixteen_runs_of_thirty_iterations_stay_small(sapwood, tmp_path):
    for k in range(16):
        make_run(tmp_path / f"runs/{k}", shrink=0.85, seed=str(k % 4), gamma=1.0 + k // 4, iterations=30)
    done = sapwood("report", tmp_path / "runs", "-o", tmp_path / "r.html", "--json")
    assert [series["runs"] for series in json.loads(done.stdout)["series"]] == [4, 4, 4, 4]
    assert (tmp_path / "r.html").stat().st_size < 3e6


def test_a_run_that_ended_itself_is_finished(sapwood, tmp_path):
    lines = make_run(tmp_path / "run", lines=6)
    lines[-1]["stopped"] = True
    (tmp_path / "run/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = sapwood("report", tmp_path / "run", "-o", tmp_path / "r.html", "--json")
    assert json.loads(done.stdout)["series"][0]["finished"] == 1
    assert "ended itself in iteration 5" in (tmp_path / "r.html").read_text()


def test_a_run_while_it_runs(sapwood, data, tmp_path):
    """Reports on a training that goes on meanwhile, some at any moment of it."""
    words = ["--data", data, "--model", "mlp", "--iterations", 200, "--epochs", 1, "--batch", 50]
    training = sapwood.start("train", *words, "-o", tmp_path / "run")
    try:
        made = []
        while len(made) < 8 and training.poll() is None:
            done = sapwood("report", tmp_path / "run", "-o", tmp_path / "r.html", "--json", "--force")
            if done.returncode == 0:
                made.append(json.loads(done.stdout)["series"][0])
            else:
                assert re.search("no iteration has finished yet|not a run|neither a run|no such file", done.stderr)
    finally:
        training.terminate()
        training.wait()
    assert len(made) == 8 and made[0]["finished"] == 0
    counts = [series["iterations"] for series in made]
    assert counts == sorted(counts) and counts[-1] > 0


def test_a_run_of_the_program_itself(sapwood, data, tmp_path):
    words = ["--data", data, "--model", "mlp", "--iterations", 2, "--epochs", 1, "--batch", 100]
    assert sapwood("train", *words, "-o", tmp_path / "run").returncode == 0
    done = sapwood("report", tmp_path / "run", "-o", tmp_path / "r.html")
    assert done.returncode == 0 and said(done) == []
    (series,) = data_of((tmp_path / "r.html").read_text())["sections"][0]["series"]
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    expected = [line["test_accuracy"] for line in lines if line["event"] == "iteration"]
    assert series["accuracy"] == pytest.approx(expected)
