"""The page of sapwood report as text: it loads nothing, its numbers and words, names that would be markup."""
import json
import os
import re

import numpy
import pytest
from made_runs import LAYERS, make_run
from report_study import SERIES, data_of, page, study, tables  # noqa: F401


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
