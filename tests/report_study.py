"""A small study and what sapwood report makes of it, for the tests of its tables, figures and page."""
import csv
import json
import re
import shutil
from xml.etree import ElementTree

import pytest
from made_runs import make_study

SERIES = {"lt global": "lt-global", "sap layer": "sap-layer", "sap neuron": "sap-neuron"}
needs_gnuplot = pytest.mark.skipif(not shutil.which("gnuplot"), reason="gnuplot is not installed")


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


def said(done):
    """The lines on stderr, but for what a build without Chart.js says of every page."""
    return [line for line in done.stderr.splitlines() if "this build has no Chart.js" not in line]


def number(field):
    return float(field) if field else None


def data_of(page):
    """What the page draws."""
    return json.loads(re.search(r"<script type=application/json id=data>(.*?)</script>", page, re.S)[1])


def svg_texts(path):
    nodes = ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(node.itertext()).strip() for node in nodes]
