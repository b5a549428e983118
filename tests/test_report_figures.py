"""sapwood report --format svg and png: the figures of gnuplot."""
import json
import os
import re

import numpy
import pytest
from made_runs import LAYERS, make_run
from report_study import SERIES, needs_gnuplot, study, svg_texts  # noqa: F401

FIGURES = ["tradeoff", "tradeoff-top", "accuracy", "density", "pqi", "scope-pqi", "gini", "pruned-accuracy", "pruned-pqi",
           "accuracy-difference", "pqi-difference", "phases", "layers-density", "layers-pqi"]  # fmt: skip


@needs_gnuplot
def test_figures_as_svg(sapwood, study, tmp_path):
    folder, _ = study
    done = sapwood("report", folder, "--format", "svg", "-o", tmp_path / "figures")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {f"{name}.svg" for name in FIGURES}
    for name in FIGURES:
        texts = svg_texts(tmp_path / f"figures/{name}.svg")
        assert set(SERIES) <= set(texts), name
    assert set(LAYERS) <= set(svg_texts(tmp_path / "figures/layers-pqi.svg"))


@needs_gnuplot
def test_curves_of_a_figure_end_where_the_numbers_say(sapwood, tmp_path):
    """The density's curve of one series, from the picture's own coordinates, is straight in the logarithm."""
    lines = make_run(tmp_path / "run", shrink=0.7)
    done = sapwood("report", tmp_path / "run", "--format", "svg", "--only", "density", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out/density.svg").read_text()
    pieces = [piece for path in re.findall(r"<path stroke='[^']*'\s+d='([^']*)'", text) for piece in path.split("M")]
    paths = [re.findall(r"([\d.]+),([\d.]+)", piece) for piece in pieces]
    (curve,) = [numpy.array(points, float) for points in paths if len(points) == len(lines)]
    wanted = numpy.log([line["density"] for line in lines])
    assert numpy.corrcoef(curve[:, 1], wanted)[0, 1] < -0.9999
    assert numpy.corrcoef(curve[:, 0], numpy.arange(len(lines)))[0, 1] > 0.9999


@needs_gnuplot
def test_figures_as_png_and_of_two_sections(sapwood, study, tmp_path):
    folder, _ = study
    make_run(tmp_path / "linear", model="linear")
    words = ["--format", "png", "--only", "pqi", "--only", "phases", "-o", tmp_path / "out"]
    done = sapwood("report", folder, tmp_path / "linear", *words)
    assert done.returncode == 0, done.stderr
    names = {f"{model}-fashion-mnist-{name}.png" for model in ("mlp", "linear") for name in ("pqi", "phases")}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    for name in names:
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@needs_gnuplot
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("layers", [3, 1, 0])
def test_figures_of_a_run_that_just_began(sapwood, tmp_path, count, layers):
    """One iteration has no length, no layers no height, and the pruned model may not be there yet: still figures."""
    lines = make_run(tmp_path / "run", lines=count)
    for line in lines:
        line["layers"] = line["layers"][:layers]
        line["pruned_model"] = None if count == 1 else line["pruned_model"]
    (tmp_path / "run/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = sapwood("report", tmp_path / "run", "--format", "svg", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert {path.stem for path in (tmp_path / "out").iterdir()} == set(FIGURES)
    assert ("no values yet" in svg_texts(tmp_path / "out/pruned-pqi.svg")) == (count == 1)
    assert ("no values yet" in svg_texts(tmp_path / "out/layers-pqi.svg")) == (layers == 0)
    assert sapwood("report", tmp_path / "run", "-o", tmp_path / "r.html").returncode == 0


@needs_gnuplot
def test_names_are_no_commands_of_gnuplot(sapwood, tmp_path):
    lines = make_run(tmp_path / "run")
    evil = "a'b\"`touch x`\nEND\n!touch x\nsystem 'touch x'\\"
    for line in lines:
        line["layers"][0]["name"] = evil
    (tmp_path / "run/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = sapwood("report", "run", "--format", "svg", "--only", "layers-pqi", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"run", "out"}
    assert evil.replace("\n", "?") in svg_texts(tmp_path / "out/layers-pqi.svg")


def test_without_gnuplot(sapwood, study, tmp_path):
    folder, _ = study
    done = sapwood("report", folder, "--format", "svg", "-o", tmp_path / "out", env={**os.environ, "PATH": "/nowhere"})
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "gnuplot is not installed" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "script, text",
    [
        ("echo 'line 3: no such thing' >&2; exit 1", "gnuplot: line 3: no such thing"),
        ("kill -9 $$", "gnuplot: ended by signal 9"),
        ("printf 'plot x\\n   ^\\nline 0: undefined x\\n\\n' >&2; exit 1", "gnuplot: line 0: undefined x"),
        ("exit 0", "gnuplot: drew nothing"),
        ("exit 3", "gnuplot: failed"),
    ],
)
def test_gnuplot_fails(sapwood, study, tmp_path, script, text):
    folder, _ = study
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gnuplot").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "bin/gnuplot").chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    done = sapwood("report", folder, "--format", "png", "-o", tmp_path / "out", env={**os.environ, "PATH": path})
    assert done.returncode == 1 and text in done.stderr and done.stderr.count("\n") == 1
