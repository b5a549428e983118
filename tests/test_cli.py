"""The command line: usage errors, help, manual, JSON, terminals, broken output and interruption."""
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time

import pytest
from conftest import lines_of, on_terminal, write_data

COMMANDS = ["train", "eval", "sweep", "measure", "prune", "convert", "compare", "report", "export", "run", "bench", "info"]


def option_names(text):
    return set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", text, re.M))


# ---- usage errors ----

TRAIN = ["train", "--data", "fashion-mnist", "--model", "mlp", "-o", "never-made"]


@pytest.mark.parametrize(
    "words, line",
    [
        ([*TRAIN, "--beta", "1.5"], "train: --beta 1.5: expected 0 <= beta <= 1"),
        (["train", "--beta", "1.5"], "train: --beta 1.5: expected 0 <= beta <= 1"),
        ([*TRAIN, "--beta=1.5"], "train: --beta 1.5: expected 0 <= beta <= 1"),
        ([*TRAIN, "--beta", "nan"], "train: --beta nan: expected 0 <= beta <= 1"),
        ([*TRAIN, "--beta", "0.5x"], "train: --beta 0.5x: expected 0 <= beta <= 1"),
        ([*TRAIN, "--p", "2", "--q", "1"], "train: --p 2, q 1: expected 0 < p < q <= 64"),
        ([*TRAIN, "--p", "-1"], "train: --p -1, q 1: expected 0 < p < q <= 64"),
        ([*TRAIN, "--eta", "-1"], "train: --eta -1: expected eta > -1"),
        ([*TRAIN, "--gamma", "-0.1"], "train: --gamma -0.1: expected gamma >= 0"),
        ([*TRAIN, "--ratio", "1"], "train: --ratio 1: expected 0 <= ratio < 1"),
        ([*TRAIN, "--epochs", "0"], "train: --epochs 0: expected 1 <= epochs <= 100000"),
        ([*TRAIN, "--epochs", "1.5"], "train: --epochs 1.5: expected 1 <= epochs <= 100000"),
        ([*TRAIN, "--iterations", "-1"], "train: --iterations -1: expected 0 <= iterations <= 1000"),
        ([*TRAIN, "--batch", "0"], "train: --batch 0: expected 1 <= batch <= 65536"),
        ([*TRAIN, "--lr", "0"], "train: --lr 0: expected lr > 0"),
        ([*TRAIN, "--momentum", "1"], "train: --momentum 1: expected 0 <= momentum < 1"),
        ([*TRAIN, "--seed", "-1"], "train: --seed -1: expected 0 <= seed < 2^64"),
        ([*TRAIN, "--threads", "1025"], "train: --threads 1025: expected 0 <= threads <= 1024"),
        ([*TRAIN, "--method", "spa"], "train: --method spa: expected sap, lt, os or dense"),
        ([*TRAIN, "--scope", "row"], "train: --scope row: expected global, layer or neuron"),
        ([*TRAIN, "--rewind", "epoch:0"], "train: --rewind epoch:0: expected init, none or epoch:K"),
        ([*TRAIN, "--model", "mlpp"], "train: --model mlpp: expected one of linear, mlp, cnn, resnet9, "),
        ([*TRAIN, "--data", "fashion"], "train: --data fashion: expected one of fashion-mnist, mnist"),
        ([*TRAIN, "--engine", "gpu"], "train: --engine gpu: expected one of"),
        (["train"], "train: missing: --data NAME[:PATH] --model NAME -o RUN"),
        (TRAIN[:-2], "train: missing: -o RUN"),
        ([*TRAIN[:-1], ""], "train: -o '': expected the path of a folder"),
        (TRAIN[:-1], "train: -o: needs a value, RUN"),
        (["train", "--data", "--model", "mlp"], "train: --data: needs a value, NAME[:PATH]"),
        ([*TRAIN, "--resume"], "train: --resume: never-made holds no run to continue"),
        (["train", "--resume"], "train: --resume: needs -o RUN, the run to continue"),
        ([*TRAIN, "--json=yes"], "train: --json: takes no value"),
        ([*TRAIN, "--bta", "1"], "train: --bta: unknown option; did you mean --beta?"),
        ([*TRAIN, "--iter", "1"], "train: --iter: unknown option; did you mean --iterations?"),
        ([*TRAIN, "--zzzzzz"], "train: --zzzzzz: unknown option"),
        ([*TRAIN, "-x"], "train: -x: unknown option"),
        ([*TRAIN, "more"], "train: unexpected argument 'more'"),
        ([*TRAIN, "--", "--quiet"], "train: unexpected argument '--quiet'"),
        (["eval"], "eval: a run directory or a weights file is needed"),
        (["eval", "a", "b"], "eval: unexpected argument 'b'"),
        (["eval", "a", "--iteration", "-1"], "eval: --iteration -1: expected 0 <= iteration"),
        (["eval", "a", "--threads", "two"], "eval: --threads two: expected 0 <= threads <= 1024"),
        (["eval", "a", "--data", "fashion"], "eval: --data fashion: expected one of fashion-mnist, mnist"),
        (["eval", "a", "--model", "mlpp"], "eval: --model mlpp: expected one of linear, mlp, cnn, resnet9, "),
        (["eval", "a", "--engine", "gpu"], "eval: --engine gpu: expected one of auto, "),
        (["info", "--jsn"], "info: --jsn: unknown option; did you mean --json?"),
        (["trian"], "unknown command 'trian'; did you mean 'train'?"),
        (["qqqqq"], "unknown command 'qqqqq'"),
        (["help", "qqqqq"], "help: unknown command 'qqqqq'"),
        (["--nothing"], "--nothing: unknown option"),
        ([], "a command is needed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_error(sapwood, tmp_path, words, line):
    done = sapwood(*words, cwd=tmp_path)
    command = line.split(":")[0] if line.split(":")[0] in COMMANDS else ""
    prefix = f"sapwood {line}" if command else f"sapwood: {line}"
    assert done.returncode == 2
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith(prefix)
    assert second == f"try 'sapwood {command + ' ' if command else ''}--help'"
    assert list(tmp_path.iterdir()) == []


# ---- help and manual ----


def test_help_of_the_program_names_every_command(sapwood):
    done = sapwood("--help")
    assert done.returncode == 0 and done.stderr == ""
    assert re.findall(r"^  ([a-z]+)", done.stdout.split("Options:")[0], re.M) == [*COMMANDS, "help"]
    assert sapwood("help").stdout == sapwood("-h").stdout == done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(sapwood, command):
    done = sapwood(command, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout == sapwood("help", command).stdout == sapwood(command, "--nothing", "-h").stdout
    head = done.stdout.split("Examples:")[0]
    assert max(len(line) for line in head.splitlines()) <= 80
    page = sapwood("--man").stdout.replace("\\-", "-")
    part = page.split(f".SS sapwood {command}\n")[1].split(".SS ")[0].split(".SH ")[0]
    assert option_names(head) - {"help"} == set(re.findall(r"^\\fB(?:-\w, )?--([a-z-]+)\\fR", part, re.M))


def test_help_of_train_mentions_every_setting(sapwood, data, tmp_path):
    done = sapwood("train", "--data", data, "--model", "linear", "--iterations=0", "--epochs=1", "--json", "-o", tmp_path / "r")
    assert done.returncode == 0, done.stderr
    settings = set(json.loads(done.stdout)["settings"])
    assert {"data", "model", "method", "scope", "p", "q", "eta", "gamma", "beta", "ratio", "seed", "threads"} < settings
    assert option_names(sapwood("help", "train").stdout) == settings | {"output", "resume", "json", "quiet", "until-eof", "recommend", "profile",
                                                               "help"}


def test_manual_page(sapwood):
    done = sapwood("--man")
    assert done.returncode == 0 and done.stderr == ""
    titles = re.findall(r"^\.SH (.*)", done.stdout, re.M)
    assert titles == [
        "NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "DATA SETS", "MODELS", "EXIT STATUS", "ENVIRONMENT", "FILES",
        "EXAMPLES",
    ]  # fmt: skip
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed: the page's form is not checked")
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning"], input=done.stdout, capture_output=True, text=True)
    assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")


def test_version(sapwood):
    done = sapwood("--version")
    assert done.returncode == 0 and re.fullmatch(r"sapwood \d+\.\d+\.\d+\n", done.stdout)
    assert sapwood("-V").stdout == done.stdout


# ---- results ----


def quick(data, *more):
    """A run of a moment: three iterations."""
    words = ["--model", "linear", "--iterations", "2", "--epochs", "2", "--batch", "50", "--threads", "1"]
    return ["train", "--data", data, *words, *more]


@pytest.fixture(scope="module")
def run(sapwood, data, tmp_path_factory):
    """A finished run and what the program printed."""
    path = tmp_path_factory.mktemp("runs") / "finished"
    return path, sapwood(*quick(data, "-o", path))


def test_train_prints_tables(sapwood, run):
    path, done = run
    assert done.returncode == 0 and done.stderr == ""
    title, blank, head, *rest = done.stdout.splitlines()
    assert title.startswith("linear on fashion-mnist:") and blank == ""
    assert head.split() == ["iteration", "density", "accuracy", "PQI", "Gini", "retain", "pruned", "pruned", "model"]
    lines = [line for line in lines_of(path / "metrics.jsonl") if line["event"] == "iteration"]
    for t, (row, line) in enumerate(zip(rest, lines)):
        assert len(row) == len(head)
        fields = row.replace(" %", "").split()
        assert int(fields[0]) == t == line["iteration"]
        assert float(fields[1]) == pytest.approx(100 * line["density"], abs=0.006)
        assert float(fields[2]) == pytest.approx(100 * line["test_accuracy"], abs=0.006)
        assert float(fields[3]) == pytest.approx(line["pqi"], abs=6e-5)
        assert float(fields[4]) == pytest.approx(line["gini"], abs=6e-5)
        assert float(fields[5]) == pytest.approx(100 * line["retain"] / line["kept"], abs=0.06)
        assert int(fields[6].replace(",", "")) == line["pruned"]
        assert (fields[7] == "-") == (t == 2)
    assert rest[3] == "" and rest[4].split() == ["layer", "weights", "kept", "density", "PQI", "Gini"]
    assert rest[5].split()[0] == "linear.weight" and rest[6].split()[0] == "all"
    assert rest[-2].startswith(("best trade-off: iteration ", "no pruned iteration is within "))
    assert re.fullmatch(rf"run: {re.escape(str(path))} \(0:\d\d\)", rest[-1])
    assert max(len(line) for line in rest[:-1]) <= 100


def test_best_tradeoff_is_the_sparsest_within_half_a_point(sapwood, data, run):
    path, done = run
    lines = [line for line in lines_of(path / "metrics.jsonl") if line["event"] == "iteration"]
    least = lines[0]["test_accuracy"] - 0.005
    good = [line for line in lines[1:] if line["test_accuracy"] >= least]
    expected = min(good, key=lambda line: line["density"])["iteration"] if good else None
    found = re.search(r"best trade-off: iteration (\d+)", done.stdout)
    assert (int(found[1]) if found else None) == expected


def test_dense_training_says_that_nothing_was_pruned(sapwood, data, tmp_path):
    done = sapwood(*quick(data, "--method", "dense", "-o", tmp_path / "r"))
    assert done.returncode == 0, done.stderr
    assert "nothing was pruned" in done.stdout


def test_train_json_is_one_document_with_the_lines_of_the_run(sapwood, data, tmp_path):
    done = sapwood(*quick(data, "-o", tmp_path / "r", "--json", "--seed", "18446744073709551615"))
    assert done.returncode == 0 and done.stderr == ""
    document = json.loads(done.stdout)
    assert set(document) == {"run", "settings", "iterations", "resumed", "seconds"}
    assert document["run"] == str(tmp_path / "r") and document["resumed"] is False and document["seconds"] > 0
    assert document["settings"]["p"] == 0.5 and document["settings"]["method"] == "sap"
    assert int(document["settings"]["seed"]) == 2**64 - 1
    lines = [line for line in lines_of(tmp_path / "r" / "metrics.jsonl") if line["event"] == "iteration"]
    assert document["iterations"] == lines
    assert document["iterations"][-1]["pruned_model"]["test_accuracy"] is None


def test_no_run_is_overwritten(sapwood, data, run):
    path, _ = run
    before = {entry.name: entry.read_bytes() for entry in path.iterdir()}
    done = sapwood(*quick(data, "-o", path))
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(r"sapwood train: .*finished: .*--resume.*\n", done.stderr)
    assert {entry.name: entry.read_bytes() for entry in path.iterdir()} == before


def test_resuming_a_finished_run_shows_it_again(sapwood, run):
    path, first = run
    done = sapwood("train", "-o", path, "--resume")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:-1] == first.stdout.splitlines()[1:-1]
    document = json.loads(sapwood("train", "-o", path, "--resume", "--json").stdout)
    assert document["resumed"] is True and len(document["iterations"]) == 3


def test_eval_of_a_run_and_of_a_file(sapwood, data, run):
    path, _ = run
    lines = [line for line in lines_of(path / "metrics.jsonl") if line["event"] == "iteration"]
    for t in range(3):
        words = ["eval", path, "--json", "--iteration", t]
        document = json.loads(sapwood(*words).stdout)
        assert document["iteration"] == t and document["model"] == "linear" and document["count"] == 200
        assert document["accuracy"] == lines[t]["test_accuracy"]
        assert document["loss"] == pytest.approx(lines[t]["test_loss"], rel=1e-5)
        assert document["total"] == lines[t]["total"]
    last = json.loads(sapwood("eval", path, "--json").stdout)
    assert last["iteration"] == 2
    by_file = sapwood("eval", last["file"], "--data", data, "--model", "linear", "--json")
    assert by_file.returncode == 0, by_file.stderr
    assert json.loads(by_file.stdout) == {**last, "iteration": None}
    text = sapwood("eval", path).stdout
    assert re.search(rf"^accuracy +{100 * last['accuracy']:.2f} %$", text, re.M)
    assert re.search(r"^test set +200 pictures$", text, re.M)


def test_eval_of_a_file_needs_data_and_model(sapwood, data, run, tmp_path):
    file = run[0] / "iteration-00.safetensors"
    done = sapwood("eval", file)
    assert done.returncode == 2 and done.stderr.startswith("sapwood eval: --data: expected a data set")
    done = sapwood("eval", run[0] / "state.safetensors", "--data", data)
    assert done.returncode == 2 and done.stderr.startswith("sapwood eval: --model: expected a network")
    assert sapwood("eval", file, "--data", data).returncode == 0


def test_eval_of_another_network(sapwood, run):
    done = sapwood("eval", run[0], "--model", "mlp")
    assert done.returncode == 1 and re.fullmatch(r"sapwood eval: .*iteration-02.safetensors: .*\n", done.stderr)


def test_eval_of_nothing(sapwood, tmp_path):
    done = sapwood("eval", tmp_path / "none")
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(r"sapwood eval: .*none.*\n", done.stderr)


def test_info_model(sapwood):
    """The nodes of a network: every input was made before, counts add up, and the text shows the same."""
    document = json.loads(sapwood("info", "--model", "resnet18", "--json").stdout)
    nodes = document["nodes"]
    assert document["parameters"] == sum(node["parameters"] for node in nodes) == 11172170
    assert document["prunable"] == 11172170 - 7818  # batch norm and the bias of the last layer
    assert document["multiplies"] == sum(node["multiplies"] for node in nodes) == 555422720
    seen = {"input"}
    for node in nodes:
        assert set(node["inputs"]) <= seen
        seen.add(node["name"])
    shapes = {node["name"]: node["shape"] for node in nodes}
    assert shapes["layer2.0.conv1"] == [128, 16, 16] and shapes["linear"] == [10] and nodes[-1]["op"] == "cross_entropy"
    lines = sapwood("info", "--model", "resnet18").stdout.splitlines()
    assert len(lines) == len(nodes) + 2 and lines[-1].split() == ["all", "11,172,170", "555,422,720"]
    grey = json.loads(sapwood("info", "--model", "cnn", "--input", "1x28x28", "--classes", "7", "--json").stdout)
    assert grey["parameters"] == 1556874 - 3 * 513


@pytest.mark.parametrize(
    "words, code, text",
    [
        (["--model", "vgg"], 2, "info: --model vgg: expected one of linear, mlp"),
        (["--model", "cnn", "--input", "3x32"], 2, "info: --input 3x32: expected channels x height x width"),
        (["--model", "cnn", "--input", "0x32x32"], 2, "info: --input 0x32x32: expected"),
        (["--model", "cnn", "--classes", "0"], 2, "info: --classes 0: expected 1 <= classes <= 256"),
        (["--classes", "10"], 2, "info: --input and --classes go with --model"),
        (["--model", "cnn", "--input", "3x4x4"], 1, "info: blocks.11: max_pool: a window of 2 on 1 pixels"),
    ],
)
def test_info_model_refuses(sapwood, words, code, text):
    done = sapwood("info", *words)
    assert done.returncode == code and done.stdout == "" and done.stderr.startswith(f"sapwood {text}")


def test_info(sapwood):
    done = sapwood("info", "--json")
    assert done.returncode == 0 and done.stderr == ""
    document = json.loads(done.stdout)
    assert set(document) == {
        "version", "features", "cpu", "threads", "engines", "models", "data", "methods", "scopes",
    }  # fmt: skip
    assert document["methods"] == ["sap", "lt", "os", "dense"]
    assert document["scopes"] == ["global", "layer", "neuron"]
    assert "ref" in document["engines"] and document["threads"] >= 1
    assert {"linear", "mlp"} <= {model["name"] for model in document["models"]}
    for entry in document["data"]:
        assert entry["train"] > 0 if entry["found"] else entry["missing"]
    text = sapwood("info").stdout
    for word in [document["version"], document["cpu"], *document["engines"], *(d["name"] for d in document["data"])]:
        assert word in text


def test_info_follows_the_environment(sapwood):
    document = json.loads(sapwood("info", "--json", env={**os.environ, "SAP_CPU": "scalar"}).stdout)
    assert document["cpu"] == "scalar"


# ---- broken output ----


def test_full_standard_output_fails_but_the_run_is_whole(sapwood, data, tmp_path):
    with open("/dev/full", "w") as full:
        assert_output_error(sapwood("info", stdout=full, stderr=subprocess.PIPE, capture_output=False))
        path = tmp_path / "r"
        done = sapwood(*quick(data, "-o", path), stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert_output_error(done)
    assert sapwood("eval", path).returncode == 0


def assert_output_error(done):
    assert done.returncode == 1
    assert re.fullmatch(r"sapwood: standard output: .+\n", done.stderr)


def test_closed_standard_output_never_becomes_a_file_of_the_run(sapwood, data, tmp_path):
    command = shlex.join(sapwood.command(*quick(data, "-o", tmp_path / "r"))) + " >&-"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True)
    assert_output_error(done)
    events = [line["event"] for line in lines_of(tmp_path / "r" / "metrics.jsonl")]
    assert events == ["epoch", "epoch", "iteration"] * 3


def test_a_reader_that_goes_away(sapwood, data, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    done = sapwood(*quick(data, "-o", tmp_path / "r"), stdout=writer, stderr=subprocess.PIPE, capture_output=False)
    os.close(writer)
    assert_output_error(done)
    assert len(lines_of(tmp_path / "r" / "metrics.jsonl")) == 9


# ---- terminals ----


SLOW_ENOUGH = ["--epochs", "20", "--batch", "5", "--model", "mlp"]
COLOUR = re.compile(r"\033\[\d*m")


def test_progress_and_colour_on_a_terminal(sapwood, data, tmp_path):
    shown = on_terminal(sapwood, quick(data, *SLOW_ENOUGH, "-o", tmp_path / "r"))
    frames = re.findall(r"\r(iteration \d/2  epoch \d+/20[^\r]*)\033\[K", shown)
    assert len(frames) >= 2
    assert all(len(frame) < 100 for frame in frames)
    assert any("img/s" in frame for frame in frames) and any("test " in frame for frame in frames)
    assert COLOUR.search(shown)


def test_no_color(sapwood, data, tmp_path):
    shown = on_terminal(sapwood, quick(data, "-o", tmp_path / "r"), NO_COLOR="1")
    assert not COLOUR.search(shown)
    assert "\riteration " in shown


def test_narrow_terminal(sapwood, data, tmp_path):
    shown = on_terminal(sapwood, quick(data, "-o", tmp_path / "r"), columns=40)
    frames = re.findall(r"\r(iteration [^\r]*)\033\[K", shown)
    assert frames and all(len(frame) < 40 for frame in frames)


@pytest.mark.parametrize("more, environment", [(["--quiet"], {}), ([], {"TERM": "dumb"})], ids=["quiet", "dumb"])
def test_no_progress(sapwood, data, tmp_path, more, environment):
    shown = on_terminal(sapwood, quick(data, *more, "-o", tmp_path / "r"), **environment)
    assert "best trade-off" in shown or "no pruned iteration" in shown
    assert "epoch 1/" not in shown


# ---- interruption ----


def wait_for(path, ready, process):
    """Waits until ready(path) holds; fails if the process ends before."""
    end = time.monotonic() + 60
    while not (path.exists() and ready(path)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, f"{path}: waited in vain"
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_then_resumed(sapwood, data, tmp_path, number):
    path = tmp_path / "a run's folder"
    process = sapwood.start(*quick(data, "--model", "mlp", "--epochs", "200", "-o", path))
    wait_for(path / "metrics.jsonl", lambda file: file.stat().st_size > 0, process)
    process.send_signal(number)
    _, text = process.communicate(timeout=60)
    assert process.returncode == 130
    match = re.fullmatch(r"interrupted; state saved\. Resume with: (sapwood train -o .* --resume)\n", text)
    assert match, text
    # The printed command works as it stands.
    words = shlex.split(match[1])
    assert words == ["sapwood", "train", "-o", str(path), "--resume"]
    again = sapwood.start(*words[1:])
    size = (path / "metrics.jsonl").stat().st_size
    wait_for(path / "metrics.jsonl", lambda file: file.stat().st_size > size, again)
    again.send_signal(number)
    again.communicate(timeout=60)
    assert again.returncode == 130


def test_second_interruption_kills(sapwood, tmp_path):
    # One step of the reference engine over all pictures takes so long that the first signal has no effect yet.
    folder = write_data(tmp_path / "large", train=20000)
    words = ["train", "--data", f"fashion-mnist:{folder}", "--model", "mlp", "--engine", "ref", "--batch", "20000"]
    process = sapwood.start(*words, "--epochs", "1000", "-o", tmp_path / "r")
    while process.stdout.readline().strip():  # the title is printed when the run has begun
        pass
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT


# ---- threads ----


@pytest.mark.parametrize(
    "asked, count", [({}, "1000"), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "passive"}, "0")]
)
def test_waiting_threads_sleep_soon(sapwood, data, tmp_path, asked, count):
    features = json.loads(sapwood("info", "--json").stdout)["features"]
    if not any(feature["name"] == "openmp" and feature["enabled"] for feature in features):
        pytest.skip("this build has no OpenMP")
    bare = {key: value for key, value in os.environ.items() if key not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = sapwood(*quick(data, "-o", tmp_path / "r"), env={**bare, **asked, "OMP_DISPLAY_ENV": "verbose"})
    assert done.returncode == 0, done.stderr
    shown = re.findall(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)
    if not shown:
        pytest.skip("the threads are not those of libgomp")
    assert shown[-1] == count  # what the process that trains was started with
