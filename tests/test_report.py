"""sapwood report: the numbers against NumPy, the page against what browsers load, and broken run directories."""
import csv
import json
import os
import re
import shutil
from xml.etree import ElementTree

import numpy
import pytest
from made_runs import LAYERS, make_run, make_study

QUANTITIES = {
    "accuracy": lambda line: line["test_accuracy"],
    "loss": lambda line: line["test_loss"],
    "density": lambda line: line["density"],
    "pqi": lambda line: line["pqi"],
    "gini": lambda line: line["gini"],
    "retain": lambda line: line["retain"],
    "prune_ratio": lambda line: line["prune_ratio"],
    "pruned": lambda line: line["pruned"],
    "pruned_accuracy": lambda line: line["pruned_model"]["test_accuracy"],
    "pruned_pqi": lambda line: line["pruned_model"]["pqi"],
    "accuracy_difference": lambda line: difference(line, "test_accuracy"),
    "pqi_difference": lambda line: difference(line, "pqi"),
}
SERIES = {"lt global": "lt-global", "sap layer": "sap-layer", "sap neuron": "sap-neuron"}


def difference(line, key):
    return None if line["pruned_model"][key] is None else line[key] - line["pruned_model"][key]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "runs"
    return folder, make_study(folder)


@pytest.fixture(scope="module")
def tables(sapwood, study):
    """The rows of every CSV file, by name."""
    folder, _ = study
    out = folder.parent / "tables"
    done = sapwood("report", folder, "--format", "csv", "-o", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return {path.stem: list(csv.DictReader(path.open(newline=""))) for path in out.iterdir()}


@pytest.fixture(scope="module")
def page(sapwood, study):
    folder, _ = study
    done = sapwood("report", folder, "-o", folder.parent / "report.html")
    assert done.returncode == 0, done.stderr
    return (folder.parent / "report.html").read_text(encoding="utf-8")


def number(field):
    return float(field) if field else None


def data_of(page):
    return json.loads(re.search(r'<script type=application/json id=data>(.*?)</script>', page, re.S)[1])


# ---- tables ----


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
        assert 3 < int(row["passed"]) <= 7 and 3 <= int(row["recommended"]) < int(row["passed"])
        (at,) = [x for x in tables["series"] if x["series"] == row["series"] and x["iteration"] == row["recommended"]]
        assert row["density"] == at["density"] and row["accuracy"] == at["accuracy"]


def test_only_one_table(sapwood, study, tmp_path):
    folder, _ = study
    done = sapwood("report", folder, "--format", "csv", "--only", "summary", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.csv"]


# ---- figures ----

needs_gnuplot = pytest.mark.skipif(not shutil.which("gnuplot"), reason="gnuplot is not installed")
FIGURES = ["tradeoff", "tradeoff-top", "accuracy", "density", "pqi", "gini", "pruned-accuracy", "pruned-pqi",
           "accuracy-difference", "pqi-difference", "phases", "layers-density", "layers-pqi"]  # fmt: skip


def svg_texts(path):
    nodes = ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(node.itertext()).strip() for node in nodes]


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


# ---- the page ----


def test_page_loads_nothing(page):
    """No element asks for another file, no script fetches one; and a policy forbids it besides."""
    markup = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.S)
    assert not re.search(r"<(link|img|iframe|object|embed|base)\b", markup)
    assert not re.search(r"\b(src|href|action|poster)\s*=", markup)
    style = "".join(re.findall(r"<style>(.*?)</style>", page, re.S))
    assert "@import" not in style and "url(" not in style
    assert not re.search(r"<script[^>]*\bsrc", page)
    assert "default-src 'none'" in page
    assert not re.search(r"\b(fetch|XMLHttpRequest|importScripts|WebSocket|sendBeacon)\s*\(", page)


def test_page_has_the_numbers(study, page):
    _, runs = study
    part = data_of(page)["sections"][0]
    assert [series["name"] for series in part["series"]] == list(SERIES)
    for series in part["series"]:
        lines = [runs[f"{SERIES[series['name']]}-{seed}"] for seed in range(3)]
        for key, field in (("accuracy", "test_accuracy"), ("density", "density"), ("pqi", "pqi")):
            mean = numpy.mean([[line[field] for line in run] for run in lines], axis=0)
            assert series[key] == pytest.approx(mean, rel=1e-5)
        assert series["n"] == [3] * 9
        assert series["pruned_accuracy"][-1] is None
        assert [layer["name"] for layer in series["layers"]] == list(LAYERS)
    names = {figure["name"] for figure in data_of(page)["figures"]}
    assert {"tradeoff", "accuracy", "density", "pqi", "gini", "pruned-accuracy", "pqi-difference"} <= names


def test_words_are_calculated(study, page, tables):
    words = re.search(r"<p class=words>(.*?)</p>", page, re.S)[1]
    best = min((row for row in tables["summary"] if row["points"] == "0.5"), key=lambda row: float(row["density"]))
    assert f"{best['series']} gets down to" in words
    assert f"in iteration {best['iteration']}" in words
    # Gini is a linear function of PQI in these runs.
    assert "r = 1.00" in words


def test_page_shades_the_phases(page, tables):
    for series, row in zip(data_of(page)["sections"][0]["series"], tables["phases"]):
        phases = [(phase["name"], phase["from"], phase["to"]) for phase in series["phases"]]
        assert phases == [("regularization", 0, 3), ("compression", 3, 8)]
        assert series["recommended"] == int(row["recommended"])


def test_page_does_not_depend_on_the_order_of_seeds(sapwood, study, tmp_path):
    folder, _ = study
    runs = sorted(folder.iterdir())
    for name, order in (("a", runs), ("b", [*runs[2::-1], *runs[5:2:-1], *runs[:5:-1]])):
        assert sapwood("report", *order, "-o", tmp_path / f"{name}.html").returncode == 0
    a, b = ((tmp_path / f"{name}.html").read_text() for name in "ab")
    assert data_of(a)["sections"][0]["series"][0]["name"] == data_of(b)["sections"][0]["series"][0]["name"]
    for x, y in zip(data_of(a)["sections"][0]["series"], data_of(b)["sections"][0]["series"]):
        assert x["accuracy"] == pytest.approx(y["accuracy"], abs=1e-9)


# Machado, Oliveira and Fernandes (2009): what the three kinds of dichromats see of linear RGB.
SIGHT = numpy.array(
    [
        numpy.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
)
XYZ = numpy.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear_rgb(colours):
    values = numpy.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours])
    return numpy.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def cie_lab(rgb):
    f = numpy.clip(rgb, 0, 1) @ XYZ.T / XYZ.sum(axis=1)
    f = numpy.where(f > 0.008856, numpy.cbrt(f), 7.787 * f + 16 / 116)
    return numpy.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


@pytest.mark.parametrize("theme, ground", [("light", "#f7f8f9"), ("dark", "#1c2127")])
def test_the_colour_blind_can_tell_series_apart(page, theme, ground):
    """Any two colours lie further apart than what is seen at a glance (a ΔE of about 10), and off the ground."""
    assert f"--card: {ground}" in page
    colours = data_of(page)[theme]
    assert len(colours) == 8
    for sight in SIGHT:
        seen = cie_lab(linear_rgb(colours) @ sight.T)
        apart = numpy.linalg.norm(seen[:, None] - seen[None], axis=-1) + 1000 * numpy.eye(8)
        assert apart.min() > 15
    luminance = linear_rgb([*colours, ground]) @ XYZ[1] + 0.05
    contrast = numpy.maximum(luminance[:-1], luminance[-1]) / numpy.minimum(luminance[:-1], luminance[-1])
    assert contrast.min() > 2.7


EVIL = "<img src=x onerror=alert(1)>&'\"</script><b>"


def test_names_are_text_not_markup(sapwood, tmp_path):
    run = tmp_path / EVIL.replace("/", "_")
    lines = make_run(run)
    for line in lines:
        line["layers"][0]["name"] = EVIL
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = json.loads((run / "config.json").read_text())
    config["sapwood"] = EVIL
    (run / "config.json").write_text(json.dumps(config))
    done = sapwood("report", run, "-o", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "r.html").read_text()
    assert "<img" not in text and "<b>" not in text and "onerror=alert(1)&gt;" in text
    assert data_of(text)["sections"][0]["series"][0]["layers"][0]["name"] == EVIL


def test_control_characters_and_bad_utf8_in_names(sapwood, tmp_path):
    run = os.fsencode(tmp_path) + b"/run\x1b[31m\xff"
    make_run(tmp_path / "plain")
    os.rename(tmp_path / "plain", run)
    done = sapwood("report", os.fsdecode(run), "-o", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in (tmp_path / "r.html").read_text(encoding="utf-8")


# ---- what is compared with what ----


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
    assert done.stderr.count("\n") == 1 and "runs/b: 1 line of metrics.jsonl left out" in done.stderr
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
    assert done.stderr.count("\n") == 1 and text in done.stderr and "the run" in done.stderr
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize("spoil", BROKEN)
def test_a_broken_run_in_a_folder_does_not_stop_the_others(sapwood, tmp_path, spoil):
    make_run(tmp_path / "runs/good")
    make_run(tmp_path / "runs/broken", seed="1")
    text = spoil(tmp_path / "runs/broken")
    done = sapwood("report", tmp_path / "runs", "-o", tmp_path / "r.html")
    assert done.returncode == 0
    if spoil is not no_config:
        assert done.stderr.count("\n") == 1 and text in done.stderr and "runs/broken" in done.stderr
        assert "runs/broken" in (tmp_path / "r.html").read_text()


def test_a_path_that_is_not_there(sapwood, tmp_path):
    done = sapwood("report", tmp_path / "none", "-o", tmp_path / "r.html")
    assert done.returncode == 1 and "none: not a run" in done.stderr and done.stderr.count("\n") == 1


# ---- the command ----


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
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr


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
    assert done.returncode == 0 and done.stderr == ""
    (series,) = data_of((tmp_path / "r.html").read_text())["sections"][0]["series"]
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    expected = [line["test_accuracy"] for line in lines if line["event"] == "iteration"]
    assert series["accuracy"] == pytest.approx(expected)
