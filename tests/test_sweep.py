"""sapwood sweep: plans, lists, jobs, runs that fail, are killed, or stop, and two sweeps on one folder."""
import json
import os
import re
import resource
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import lines_of, on_terminal

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def plan(data, tmp_path):
    """Writes a plan of short runs and gives its path."""

    def write(*blocks, name="plan.json", **common):
        document = {
            "common": {"data": data, "model": "linear", "iterations": 1, "epochs": 2, "batch": 50, "threads": 1, **common},
            "runs": blocks,
        }
        path = tmp_path / name
        path.write_text("// a plan\n" + json.dumps(document))
        return path

    return write


def finished(run):
    """A run whose last line is that of its last iteration."""
    config = json.loads((run / "config.json").read_text())["settings"]
    last = lines_of(run / "metrics.jsonl")[-1]
    return last["event"] == "iteration" and last["iteration"] == config["iterations"]


def iterations(run):
    return [line for line in lines_of(run / "metrics.jsonl") if line["event"] == "iteration"]


def sweep_json(sapwood, *words):
    done = sapwood("sweep", *words, "--json")
    return done, json.loads(done.stdout)


# ---- what is asked for ----


def test_usage(sapwood, plan, tmp_path):
    path = plan({})
    for words, line in [
        ([], "a plan is needed"),
        ([path], "missing: -o DIR"),
        ([path, "-o", ""], "-o '': expected the path of a folder"),
        ([path, "-o", "d", "--jobs", "0"], "--jobs 0: expected 1 <= jobs <= 1024"),
        ([path, "-o", "d", "--index", "0"], "--index 0: expected 1 <= index <= number of runs"),
        ([path, "-o", "d", "--index", "2"], "--index 2: expected at most 1, the number of runs"),
        ([path, "-o", "d", "--index", "1", "--list"], "--list and --index: expected one of them"),
    ]:
        done = sapwood("sweep", *words, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert done.stderr.splitlines()[0] == f"sapwood sweep: {line}"
    assert not (tmp_path / "d").exists()


def test_a_broken_plan_is_one_line(sapwood, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text('{"runs": [{"data": "mnist", "model": "mlp", "sope": "layer"}]}')
    for more in ([], ["--list"], ["--index", 1]):
        done = sapwood("sweep", path, "-o", tmp_path / "d", *more)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(r"sapwood sweep: \S+plan\.json: runs\[0\]: sope: unknown setting; .*\n", done.stderr)
    done = sapwood("sweep", tmp_path / "none.json", "-o", tmp_path / "d")
    assert done.returncode == 1 and re.fullmatch(r"sapwood sweep: \S+none\.json: .*\n", done.stderr, re.I)


def test_list_prints_command_lines_that_work(sapwood, plan, tmp_path):
    path, folder = plan({"method": ["sap", "lt"], "seed": [1, 2]}), tmp_path / "my runs"
    done = sapwood("sweep", path, "-o", folder, "--list")
    assert done.returncode == 0 and done.stderr == ""
    assert not folder.exists()
    lines = [shlex.split(line) for line in done.stdout.splitlines()]
    names = ["linear-sap-seed1", "linear-sap-seed2", "linear-lt-seed1", "linear-lt-seed2"]
    assert [line[-2:] for line in lines] == [["-o", str(folder / name)] for name in names]
    assert all(line[:2] == ["sapwood", "train"] for line in lines)
    assert "--method" not in lines[0] and lines[2][lines[2].index("--method") + 1] == "lt"
    folder.mkdir()
    assert sapwood(*lines[2][1:]).returncode == 0
    document = json.loads(sapwood("sweep", path, "-o", folder, "--list", "--json").stdout)
    assert [entry["index"] for entry in document] == [1, 2, 3, 4]
    assert [entry["name"] for entry in document] == names
    assert [entry["command"] for entry in document] == lines


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.json")), ids=lambda path: path.name)
def test_plans_of_the_repository(sapwood, path):
    document = json.loads(sapwood("sweep", path, "-o", "d", "--list", "--json").stdout)
    assert len(document) >= 10
    assert len({entry["name"] for entry in document}) == len(document)


# ---- the examples of docs/sweep.md ----


def example(language):
    text = (ROOT / "docs/sweep.md").read_text(encoding="utf-8")
    return "".join(code for name, code in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S) if name == language)


@pytest.fixture
def queue(sapwood, plan, tmp_path):
    """A folder with a plan.json of three runs, and the environment in which `sapwood` is the program under test."""
    plan({}, seed=[1, 2, 3])
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sapwood").symlink_to(sapwood.path)
    return {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}


def test_plan_of_the_document(sapwood, tmp_path):
    (tmp_path / "plan.json").write_text(example("json"))
    done = sapwood("sweep", "plan.json", "-o", "runs", "--list", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 12 + 16 + 4
    assert "mlp-sap-layer-p0.5-q1-seed0\n" in done.stdout and "mlp-lt-global-seed3\n" in done.stdout


def test_slurm_array(queue, tmp_path):
    """The script as Slurm calls it, task by task."""
    script = tmp_path / "sweep.sh"
    script.write_text(example("sh"))
    for task in (1, 2, 3, 2):
        done = subprocess.run(["sh", script], cwd=tmp_path, env={**queue, "SLURM_ARRAY_TASK_ID": str(task)})
        assert done.returncode == 0
    assert all(finished(tmp_path / "runs" / "study" / f"linear-sap-seed{seed}") for seed in (1, 2, 3))


def test_gnu_parallel(queue, tmp_path):
    if not shutil.which("parallel") or "GNU" not in subprocess.run(
        ["parallel", "--version"], capture_output=True, text=True
    ).stdout:
        pytest.skip("GNU parallel is not installed")
    (line,) = [line for line in example("").splitlines() if line.startswith("seq 32 | parallel --jobs")]
    done = subprocess.run(["sh", "-c", line.replace("seq 32", "seq 3")], cwd=tmp_path, env=queue, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert all(finished(tmp_path / "runs" / "study" / f"linear-sap-seed{seed}") for seed in (1, 2, 3))


# ---- runs ----


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_run_is_that_of_train(sapwood, plan, data, tmp_path, jobs):
    path, folder = plan({"method": ["sap", "lt"]}, seed=[1, 2]), tmp_path / "deep" / "runs"
    done = sapwood("sweep", path, "-o", folder, "--jobs", jobs)
    assert done.returncode == 0, done.stderr
    names = ["linear-lt-seed1", "linear-lt-seed2", "linear-sap-seed1", "linear-sap-seed2"]
    assert sorted(os.listdir(folder)) == names
    assert all(finished(folder / name) for name in names)
    assert sorted(line.split(":")[0] for line in done.stderr.splitlines()) == names
    head, *rows, blank, last = done.stdout.splitlines()
    assert head.split()[0] == "run" and blank == ""
    assert sorted(row.split()[0] for row in rows) == names
    assert re.fullmatch(r"4 of 4 runs finished \(0 before\), 0 failed: .*runs \(0:\d\d\)", last)
    single = tmp_path / "single"
    words = ["--data", data, "--model", "linear", "--iterations", 1, "--epochs", 2, "--batch", 50, "--threads", 1]
    assert sapwood("train", *words, "--seed", 2, "-o", single).returncode == 0
    for file in ("initial.safetensors", "iteration-00.safetensors", "iteration-01.safetensors"):
        assert (single / file).read_bytes() == (folder / "linear-sap-seed2" / file).read_bytes()


def test_finished_runs_are_skipped_and_new_ones_are_made(sapwood, plan, tmp_path):
    folder = tmp_path / "runs"
    assert sapwood("sweep", plan({}, seed=[1]), "-o", folder).returncode == 0
    before = {file.name: file.stat().st_mtime_ns for file in (folder / "linear-sap-seed1").iterdir()}
    done, document = sweep_json(sapwood, plan({}, seed=[1, 2]), "-o", folder, "--quiet")
    assert done.returncode == 0 and done.stderr == ""
    assert (document["finished"], document["earlier"], document["failed"]) == (1, 1, 0)
    assert [run["state"] for run in document["runs"]] == ["earlier", "finished"]
    assert {file.name: file.stat().st_mtime_ns for file in (folder / "linear-sap-seed1").iterdir()} == before
    for run in document["runs"]:
        lines = iterations(Path(run["run"]))
        assert run["iterations"] == 2 and run["reason"] is None
        assert run["dense"]["test_accuracy"] == lines[0]["test_accuracy"]
        assert run["last"]["density"] == lines[1]["density"]


def test_index_does_one_run(sapwood, plan, tmp_path):
    path, folder = plan({}, seed=[1, 2, 3]), tmp_path / "runs"
    done = sapwood("sweep", path, "-o", folder, "--index", 2)
    assert done.returncode == 0 and done.stdout.splitlines()[-1].startswith("run: ")
    assert os.listdir(folder) == ["linear-sap-seed2"]
    again = sapwood("sweep", path, "-o", folder, "--index", 2)
    assert (again.returncode, again.stdout) == (0, "linear-sap-seed2: finished before\n")


def test_a_failing_run_stops_no_other(sapwood, plan, tmp_path):
    path, folder = plan({"lr": [0.1, 1e30, 0.2]}), tmp_path / "runs"
    done, document = sweep_json(sapwood, path, "-o", folder, "--quiet")
    assert done.returncode == 1
    assert [run["state"] for run in document["runs"]] == ["finished", "failed", "finished"]
    assert "NaN or infinity" in document["runs"][1]["reason"]
    assert done.stderr == f"sapwood sweep: linear-sap-lr1e+30: {document['runs'][1]['reason']}\n"
    text = sapwood("sweep", path, "-o", folder)
    assert text.returncode == 1
    assert re.search(r"^linear-sap-lr1e\+30 +failed$", text.stdout, re.M)
    assert "\n2 of 3 runs finished (2 before), 1 failed: " in text.stdout


def test_a_folder_with_another_run_is_left_alone(sapwood, plan, tmp_path):
    folder = tmp_path / "runs"
    assert sapwood("sweep", plan({}, epochs=1), "-o", folder).returncode == 0
    before = (folder / "linear-sap" / "metrics.jsonl").read_bytes()
    done = sapwood("sweep", plan({}, epochs=2), "-o", folder)
    assert done.returncode == 1
    assert done.stderr == "sapwood sweep: linear-sap: the run in its folder has epochs 1, the plan 2\n"
    assert (folder / "linear-sap" / "metrics.jsonl").read_bytes() == before
    (folder / "linear-sap" / "config.json").write_text("{")
    done = sapwood("sweep", plan({}, epochs=1), "-o", folder)
    assert done.returncode == 1 and re.fullmatch(r"sapwood sweep: linear-sap: .*config\.json: .*\n", done.stderr)


def test_settings_that_do_not_fit_the_data(sapwood, plan, tmp_path):
    done, document = sweep_json(sapwood, plan({}, validation=600), "-o", tmp_path / "runs")
    assert done.returncode == 1
    assert document["runs"][0]["reason"].startswith("--validation 600: expected fewer than the 600 training pictures")


def test_data_that_is_not_there(sapwood, plan, tmp_path):
    done, document = sweep_json(sapwood, plan({}, data=f"mnist:{tmp_path / 'none'}"), "-o", tmp_path / "runs")
    assert done.returncode == 1 and str(tmp_path / "none")[-40:] in document["runs"][0]["reason"]


def test_a_folder_that_cannot_be_made(sapwood, plan, tmp_path):
    (tmp_path / "file").write_text("")
    done = sapwood("sweep", plan({}), "-o", tmp_path / "file" / "runs")
    assert done.returncode == 1 and re.fullmatch(r"sapwood sweep: .*file/runs: Not a directory\n", done.stderr)


# ---- what is made of them ----


def test_claims_of_the_paper(sapwood, plan, tmp_path):
    """scripts/claims.py on a small study: every table is there, and one number is that of the runs."""
    folder = tmp_path / "runs"
    path = plan(
        {"method": "sap", "scope": ["layer", "global"], "p": 1, "q": 2},
        {"method": ["lt", "os"], "scope": ["layer", "global"]},
        model="mlp", iterations=4, epochs=1, ratio=0.6, seed=[0, 1],
    )  # fmt: skip
    assert sapwood("sweep", path, "-o", folder, "--quiet").returncode == 0
    done = subprocess.run(
        [sys.executable, "-B", ROOT / "scripts/claims.py", folder, "--program", sapwood.path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^### \((\w)\)", done.stdout, re.M) == list("abcdef")
    lines = {seed: iterations(folder / f"mlp-lt-layer-seed{seed}") for seed in (0, 1)}
    dense = statistics.mean(100 * line[0]["test_accuracy"] for line in lines.values())
    (row,) = re.findall(r"^\| mlp-lt-layer \| 2 \| [^|]* → [^|]*\|[^|]*\| ([\d.]+) → ", done.stdout, re.M)
    assert float(row) == pytest.approx(dense, abs=0.06)
    stops = re.findall(r"^\| (mlp-\S+-seed\d) \|", done.stdout, re.M)
    assert sorted(stops) == sorted(os.listdir(folder))
    in_short = r"^\| seeds of the choice \| 6 \| \d \|.*\n\| other seeds \| 6 \| \d \|.*\n\| all \| 12 \| \d+ \|"
    assert re.search(in_short, done.stdout, re.M)
    assert re.search(r"^60 epochs took ", done.stdout, re.M)

    if shutil.which("gnuplot"):
        made = tmp_path / "results"
        subprocess.run([ROOT / "scripts/results.sh", "-p", sapwood.path, "-o", made, folder], check=True)
        assert (made / "tables.md").read_text().endswith(done.stdout)
        figures = ("layers-density", "phases", "pqi", "pruned-pqi", "tradeoff", "tradeoff-top")
        names = {f"{name}.svg" for name in figures} | {"tables.md"}
        names |= {f"{name}.csv" for name in ("summary", "densities", "phases", "iterations")}
        assert set(os.listdir(made)) == names


# ---- progress ----


def test_progress_on_a_terminal(sapwood, plan, tmp_path):
    path, folder = plan({}, seed=[1, 2], epochs=1200), tmp_path / "runs"  # more than the second before an ETA
    words = ["sweep", path, "-o", folder, "--jobs", 2]
    shown = on_terminal(sapwood, words, columns=120)
    frames = re.findall(r"\r([^\r]*)\033\[K", shown)
    running = [frame for frame in frames if "2 running" in frame]
    assert running
    assert any(re.search(r"linear-sap-seed\d: iteration \d, \d+\.\d %$", frame) for frame in running)
    assert any(" left" in frame for frame in running) and all(len(frame) < 120 for frame in frames)
    assert "started" not in shown and "2 of 2 runs finished" in shown
    short = plan({}, seed=[1, 2], name="short.json")
    narrow = on_terminal(sapwood, ["sweep", short, "-o", tmp_path / "narrow"], columns=30)
    assert all(len(frame) < 30 for frame in re.findall(r"\r(\d of [^\r]*)\033\[K", narrow))
    quiet = on_terminal(sapwood, [*words, "--quiet"])
    assert " running" not in quiet and "2 of 2 runs finished (2 before)" in quiet


# ---- what ends early ----

LONG = {"epochs": 300, "iterations": 2}


def wait_until(ready, process=None):
    end = time.monotonic() + 60
    while not ready():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def epochs_of(folder):
    """Lines of every run."""
    return {path.parent.name: path.read_text().count("\n") for path in folder.glob("*/metrics.jsonl")}


def trains(folder, count):
    """Whether `count` runs have begun and saved a state."""
    return lambda: sum(lines > 1 for lines in epochs_of(folder).values()) >= count


def is_idle(folder):
    """Whether no process holds a run of the folder."""
    runs = [path for path in folder.iterdir() if path.is_dir()]
    return all(subprocess.run(["flock", "-n", path, "true"]).returncode == 0 for path in [folder, *runs])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_then_continued(sapwood, plan, tmp_path, number):
    path, folder = plan({}, seed=[1, 2, 3], **LONG), tmp_path / "runs"
    process = sapwood.start("sweep", path, "-o", folder, "--jobs", 2)
    wait_until(trains(folder, 2), process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"^0 of 3 runs finished \(0 before\), 0 failed, 3 still to do: ", output, re.M)
    assert errors.splitlines()[-1] == "interrupted; every run has saved its state. The same command goes on"
    before = epochs_of(folder)
    assert sorted(before) == ["linear-sap-seed1", "linear-sap-seed2"]
    assert all((folder / name / "state.safetensors").exists() for name in before)
    process = sapwood.start("sweep", path, "-o", folder, "--jobs", 2)
    wait_until(lambda: all(epochs_of(folder)[name] > lines for name, lines in before.items()), process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert "linear-sap-seed1: continued\n" in errors and "linear-sap-seed2: continued\n" in errors


def test_killed_then_continued(sapwood, plan, tmp_path):
    """Without a chance to stop its runs: they notice, and the next sweep takes over where they were."""
    path, folder = plan({}, seed=[1, 2], epochs=60), tmp_path / "runs"
    process = sapwood.start("sweep", path, "-o", folder, "--jobs", 2, "--quiet")
    wait_until(trains(folder, 2), process)
    process.kill()
    process.communicate()
    done = sapwood("sweep", path, "-o", folder, "--jobs", 2)
    assert done.returncode == 0, done.stderr
    whole = tmp_path / "whole"
    assert sapwood("sweep", path, "-o", whole, "--jobs", 2).returncode == 0
    for name in ("linear-sap-seed1", "linear-sap-seed2"):
        for file in ("iteration-00.safetensors", "iteration-01.safetensors"):
            assert (folder / name / file).read_bytes() == (whole / name / file).read_bytes()
        assert epochs_of(folder)[name] == epochs_of(whole)[name]


def test_runs_end_with_a_killed_sweep(sapwood, plan, tmp_path):
    path, folder = plan({}, seed=[1, 2], **LONG), tmp_path / "runs"
    process = sapwood.start("sweep", path, "-o", folder, "--jobs", 2, "--quiet")
    wait_until(trains(folder, 2), process)
    assert not is_idle(folder)
    process.kill()
    process.communicate()
    wait_until(lambda: is_idle(folder))


def test_a_killed_run_is_a_failure_with_its_signal(sapwood, plan, tmp_path):
    path, folder = plan({}, seed=[1, 2], **LONG), tmp_path / "runs"
    process = sapwood.start("sweep", path, "-o", folder, "--quiet")
    wait_until(trains(folder, 1), process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        pytest.skip("this kernel does not list a process's children")
    os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
    wait_until(trains(folder, 2), process)  # the second goes on
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "sapwood sweep: linear-sap-seed1: killed by signal 9 (Killed)\n" in errors


def test_two_sweeps_on_one_folder(sapwood, plan, tmp_path):
    path, folder = plan({}, **LONG), tmp_path / "runs"
    first = sapwood.start("sweep", path, "-o", folder, "--quiet")
    wait_until(trains(folder, 1), first)
    second = sapwood.start("sweep", path, "-o", folder)
    line = second.stderr.readline()
    assert line == f"{folder}: another sweep is at work in this folder; waiting for its end\n"
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=60)
    before = epochs_of(folder)["linear-sap"]
    wait_until(lambda: epochs_of(folder)["linear-sap"] > before, second)
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=60)
    assert second.returncode == 130


def test_train_stops_when_its_input_ends(sapwood, data, tmp_path):
    words = ["train", "--data", data, "--model", "linear", "--epochs", 3000, "-o", tmp_path / "r", "--until-eof"]
    process = sapwood.start(*words, stdin=subprocess.PIPE)
    wait_until(trains(tmp_path, 1), process)
    _, errors = process.communicate(input="ignored\n", timeout=60)
    assert process.returncode == 130 and errors.startswith("interrupted; state saved.")


def test_a_full_disk_stops_the_sweep(sapwood, plan, tmp_path):
    """A small file system of its own; where none can be mounted, a limit on files, whose error is another one."""
    path, folder = plan({}, seed=[1, 2, 3]), tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        limit = (20000, resource.RLIM_INFINITY)
        done = sapwood("sweep", path, "-o", folder, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
        assert done.returncode == 1 and "3 failed" in done.stdout
        pytest.skip("no file system of a size of its own can be mounted here")
    try:
        done = sapwood("sweep", path, "-o", folder)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == (
            "stopped: the disk is full. The same command goes on when there is room again"
        )
        assert finished(folder / "linear-sap-seed1") and "linear-sap-seed3" not in os.listdir(folder)
        subprocess.run(["mount", "-o", "remount,size=16m", folder], check=True)
        again = sapwood("sweep", path, "-o", folder)
        assert again.returncode == 0, again.stderr
        assert all(finished(folder / f"linear-sap-seed{seed}") for seed in (1, 2, 3))
    finally:
        subprocess.run(["umount", folder], check=False)
