"""The page of sapwood report in a browser: charts drawn, nothing said on the console. Skipped without Chromium."""
import json
import re
import shutil
import subprocess

import pytest
from made_runs import make_run, make_study

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")


def browse(page, folder, *flags):
    """The document after its script ran, and what the browser said."""
    words = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}",
             "--enable-logging=stderr", "--virtual-time-budget=5000", *flags]  # fmt: skip
    done = subprocess.run([*words, f"file://{page}"], capture_output=True, text=True, timeout=120)
    if "Trace/breakpoint trap" in done.stderr or done.returncode:
        pytest.skip(f"Chromium does not run here: {done.stderr[-200:]}")
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return done.stdout, console


@pytest.fixture(scope="module")
def page(sapwood, tmp_path_factory):
    if '"charts",\n      "enabled": true' not in sapwood("info", "--json").stdout:
        pytest.skip("this build has no Chart.js")
    folder = tmp_path_factory.mktemp("page")
    make_study(folder / "runs")
    make_run(folder / "runs/other", model="linear")
    done = sapwood("report", folder / "runs", "-o", folder / "report.html", "--json")
    assert done.returncode == 0, done.stderr
    return folder / "report.html", json.loads(done.stdout)["series"]


WIDE = ["--window-size=1300,900"]
NARROW_AND_DARK = ["--window-size=400,800", "--blink-settings=preferredColorScheme=0"]


@pytest.mark.parametrize("flags", [WIDE, NARROW_AND_DARK], ids=["wide and light", "narrow and dark"])
def test_every_chart_is_drawn(page, tmp_path, flags):
    path, series = page
    document, console = browse(path, tmp_path, "--dump-dom", *flags)
    assert console == []
    figures = json.loads(re.search(r'id="data">(.*?)</script>', document, re.S)[1])["figures"]
    assert f'data-charts="{2 * len(figures)}"' in document
    assert bool(re.search('<html[^>]* data-theme="dark"', document)) == any("ColorScheme" in flag for flag in flags)
    for part in (0, 1):
        drawn = dict(re.findall(rf'<figure id="part-{part}-([\w-]+)" data-drawn="(\d+)"', document))
        count = str(sum(one["model"] == ("mlp", "linear")[part] for one in series))
        assert drawn == {**{figure["name"]: count for figure in figures}, "layers-density": "3", "layers-pqi": "3"}
    assert document.count('aria-pressed="true"') == len(series)
    assert document.count('<canvas tabindex="0"') == 2 * len(figures), "reached by the keyboard"


def test_it_prints(page, tmp_path):
    path, _ = page
    browse(path, tmp_path / "profile", f"--print-to-pdf={tmp_path / 'report.pdf'}")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
