"""What the documents say is so: links lead somewhere, examples compile and run, commands are taken."""
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("SAPWOOD_BUILD", ROOT / "build"))
CC = os.environ.get("CC", "cc")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(document, language):
    """The code blocks of that language; "" for those that name none."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [code for name, code in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S) if name == language]


def anchors(document):
    """The anchors of a document's headings, as a renderer of Markdown makes them."""
    titles = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("document", ["README.md", "docs/measure.md"])
def test_example_in_c_prints_what_the_text_says(document, tmp_path):
    (code,) = [code for code in blocks(document, "c") if "int main" in code]
    source, program = tmp_path / "example.c", tmp_path / "example"
    source.write_text(code)
    command = [CC, "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}", source, "-o", program]
    done = subprocess.run([*command, f"-L{BUILD}", "-lsapwood", f"-Wl,-rpath,{BUILD}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (expected,) = re.findall(r"\( ?4  2  1  1\) +I = ([\d.]+)", (ROOT / "docs/measure.md").read_text())
    assert subprocess.run([program], capture_output=True, text=True).stdout == expected + "\n"


@pytest.fixture(scope="module")
def run(sapwood, data, tmp_path_factory):
    """A small finished run."""
    path = tmp_path_factory.mktemp("docs") / "run"
    words = ["--data", data, "--model", "mlp", "--iterations", 2, "--epochs", 1, "--batch", 50, "-o", path]
    done = sapwood("train", *words)
    assert done.returncode == 0, done.stderr
    return path


def test_snippet_reads_a_run_with_numpy_alone(run):
    (code,) = [code for code in blocks("docs/run-directory.md", "python") if "np.frombuffer" in code]
    done = subprocess.run(
        [sys.executable, "-B", "-c", code.replace("RUN/", f"{run}/")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["blocks.0.weight", "blocks.2.weight", "linear.weight", "0", "1", "2"]
    densities = [float(line.split()[1]) for line in lines[3:]]
    assert densities[0] == 1 and densities[1] > densities[2] > 0
    kept = sum(int(line.split()[1]) for line in lines[:3])
    assert abs(kept / (128 * 784 + 256 * 128 + 10 * 256) - densities[2]) < 1e-3


def test_table_of_the_run_directory_is_complete(run):
    import json

    text = (ROOT / "docs/run-directory.md").read_text(encoding="utf-8")
    for path in run.iterdir():
        name = re.sub(r"iteration-\d+", "iteration-00", path.name)
        assert f"| `{name}`" in text, f"{path.name} is not described"
    for line in (run / "metrics.jsonl").read_text().splitlines():
        for key in json.loads(line):
            assert f"`{key}`" in text, f"{key} is not described"


def readme_commands():
    lines = "".join(blocks("README.md", "")).splitlines()
    return [line for line in lines if line.startswith("sapwood ") and "--resume" not in line]


def on_files(line):
    return line.split()[1] in ("measure", "prune", "convert", "compare")


def test_commands_on_files_of_the_readme(sapwood, run, tmp_path):
    """One after the other, on a model that a run left; what was pruned differs."""
    shutil.copy(run / "iteration-00.safetensors", tmp_path / "model.safetensors")
    lines = [line for line in readme_commands() if on_files(line)]
    assert len(lines) >= 5
    for line in lines:
        done = sapwood(*shlex.split(line)[1:], cwd=tmp_path)
        assert done.returncode == (1 if line.split()[1] == "compare" else 0), done.stderr


def on_runs(line):
    return line.split()[1] == "report"


def test_commands_on_runs_of_the_readme(sapwood, run, tmp_path):
    shutil.copytree(run, tmp_path / "runs/one")
    lines = [line for line in readme_commands() if on_runs(line)]
    assert lines
    for line in lines:
        done = sapwood(*shlex.split(line)[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr


def runs_models(line):
    return line.split()[1] in ("export", "run", "bench")


def test_commands_that_run_models_of_the_readme(sapwood, run, tmp_path):
    """One after the other: a run's model, on pictures."""
    import numpy

    shutil.copytree(run, tmp_path / "runs/paper")
    numpy.save(tmp_path / "pictures.npy", numpy.zeros((2, 1, 28, 28), "<f4"))
    lines = [line for line in readme_commands() if runs_models(line)]
    assert len(lines) == 3
    for line in lines:
        done = sapwood(*shlex.split(line)[1:], cwd=tmp_path)
        assert done.returncode == 0, done.stderr


OTHER = [line for line in readme_commands() if not (on_files(line) or on_runs(line) or runs_models(line))]


@pytest.mark.parametrize("line", OTHER)
def test_command_of_the_readme_is_taken(line, sapwood, data, tmp_path):
    words = [word.replace("runs/", f"{tmp_path}/") for word in shlex.split(line)[1:]]
    words = [data if word == "fashion-mnist" else word for word in words]
    short = ["--iterations", 1, "--epochs", 1, "--batch", 100]
    if words[0] == "eval":
        options = ["--data", data, "--model", "mlp", *short[2:]]
        assert sapwood("train", *options, "--iterations", 4, "-o", words[1]).returncode == 0
        short = []
    if words[0] == "sweep":
        words[1], short = ROOT / words[1], ["--list"]
    done = sapwood(*words, *short)
    assert done.returncode == 0, done.stderr


def test_there_are_commands_to_try():
    assert len(readme_commands()) >= 5
