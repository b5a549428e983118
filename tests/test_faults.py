"""What goes wrong in the world: killed processes, full disks, broken data, numbers that overflow."""
import contextlib
import gzip
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import time

import numpy
import pytest
from conftest import (IMAGES, LABELS, TEST_IMAGES, TEST_LABELS, idx_labels, lines_of, make_pictures, read_safetensors,
                      write_data)

SETTINGS = ["--model", "mlp", "--iterations", "3", "--epochs", "12", "--batch", "50", "--threads", "1"]


def train(data, run, *more):
    return ["train", "--data", data, *SETTINGS, "-o", run, *more]


@pytest.fixture(scope="module")
def reference(sapwood, data, tmp_path_factory):
    """A run that nothing disturbed."""
    path = tmp_path_factory.mktemp("reference") / "run"
    done = sapwood(*train(data, path))
    assert done.returncode == 0, done.stderr
    return path


def timeless(path):
    """The lines of metrics.jsonl without what depends on the clock."""
    clock = ("seconds", "images_per_second")
    return [{key: value for key, value in line.items() if key not in clock} for line in lines_of(path / "metrics.jsonl")]


def assert_same_run(run, expected):
    assert sorted(os.listdir(run)) == sorted(os.listdir(expected))
    assert timeless(run) == timeless(expected)
    for name in sorted(os.listdir(expected)):
        if name == "state.safetensors":
            found, wanted = read_safetensors(run / name), read_safetensors(expected / name)
            # The bytes of metrics.jsonl depend on the digits of its seconds.
            assert found.pop("counts")[:5].tolist() == wanted.pop("counts")[:5].tolist()
            assert set(found) == set(wanted)
            assert all(numpy.array_equal(found[key], wanted[key]) for key in wanted)
        elif name.endswith(".safetensors"):
            assert (run / name).read_bytes() == (expected / name).read_bytes(), name


def assert_one_line(done, code=1):
    """Failed with one line on stderr; returns it."""
    assert done.returncode == code, done.stderr
    assert re.fullmatch(r"sapwood train: [^\n]+\n", done.stderr), done.stderr
    return done.stderr


# ---- killed ----


def kill_after(sapwood, words, delay, begun=None):
    """Starts, kills `delay` seconds after the start or after the file `begun` is there. None if it was
    killed, else what it did before."""
    process = sapwood.start(*words)
    while begun and process.poll() is None and not begun.exists():
        time.sleep(0.001)
    try:
        _, text = process.communicate(timeout=delay)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    return process.returncode, text


def measure_start(sapwood, data, run):
    """Seconds from the start of a process to its first epoch's end, and to its own end."""
    begin = time.monotonic()
    process = sapwood.start(*train(data, run), stdout=subprocess.DEVNULL)
    metrics = run / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.002)
    first = time.monotonic() - begin
    assert process.wait() == 0
    return first, time.monotonic() - begin


def test_killed_twenty_times(sapwood, data, reference, tmp_path):
    first, whole = measure_start(sapwood, data, tmp_path / "timed")
    delays = random.Random(20)
    kills, resumed, finished = 0, 0, 0
    run = tmp_path / "killed-0"
    end = time.monotonic() + 150
    while kills < 20 or not finished:
        config = run / "config.json"
        resume = config.exists()
        resumed += resume
        words = train(data, run, *(["--resume"] if resume else []))
        if kills == 20:  # now to the end
            done = kill_after(sapwood, words, 100)
        elif kills % 2:  # while it trains or writes
            done = kill_after(sapwood, words, delays.uniform(0, first + (whole - first) / 6))
        else:  # likewise, or while it makes the run directory
            done = kill_after(sapwood, words, delays.uniform(0, (whole - first) / 6), begun=config)
        if done is None:
            kills += 1
        else:
            assert done[0] == 0, done[1]
            assert_same_run(run, reference)
            finished += 1
            run = tmp_path / f"killed-{finished}"
        assert time.monotonic() < end, f"{kills} kills, {finished} runs finished"
    assert resumed >= 8


@pytest.mark.parametrize("left", [[".sapwood-1-1"], ["config.json"], ["config.json", "metrics.jsonl"]], ids=" ".join)
def test_killed_before_the_first_state(sapwood, data, reference, tmp_path, left):
    # What a process leaves that is killed while it makes the run directory.
    run = tmp_path / "run"
    run.mkdir()
    for name in left:
        if name == "config.json":
            shutil.copy(reference / name, run)
        else:
            (run / name).touch()
    done = sapwood(*train(data, run, *(["--resume"] if "config.json" in left else [])))
    assert done.returncode == 0, done.stderr
    assert_same_run(run, reference)


def test_lost_state_of_a_finished_run_is_no_fresh_start(sapwood, data, reference, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(reference, run)
    (run / "state.safetensors").unlink()
    before = {entry.name: entry.read_bytes() for entry in run.iterdir()}
    assert "state.safetensors" in assert_one_line(sapwood("train", "-o", run, "--resume"))
    assert {entry.name: entry.read_bytes() for entry in run.iterdir()} == before


def test_interrupted_at_any_step(sapwood, data, reference, tmp_path):
    run = tmp_path / "run"
    delays = random.Random(3)
    words = train(data, run)
    interrupted = 0
    for _ in range(8):
        process = sapwood.start(*words)
        process.stdout.readline()  # the title: the run has begun
        time.sleep(delays.uniform(0, 0.1))
        process.send_signal(signal.SIGINT)
        _, text = process.communicate(timeout=60)
        assert process.returncode in (0, 130), text
        interrupted += process.returncode == 130
        words = train(data, run, "--resume")
    assert interrupted
    assert sapwood(*words).returncode == 0
    assert_same_run(run, reference)


def test_one_process_at_a_time(sapwood, data, tmp_path):
    run = tmp_path / "run"
    process = sapwood.start(*train(data, run, "--epochs", "500"))
    try:
        process.stdout.readline()
        assert "another process" in assert_one_line(sapwood("train", "-o", run, "--resume"))
    finally:
        process.kill()
        process.communicate()


# ---- another configuration ----


@pytest.mark.parametrize(
    "options, named",
    [
        (["--seed", "5"], "seed 0, not 5"),
        (["--lr", "0.05", "--epochs", "13"], "epochs 12, not 13"),
        (["--model", "linear"], "model mlp, not linear"),
        (["--method", "lt"], "method sap, not lt"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_another_configuration_is_refused(sapwood, reference, options, named):
    before = {entry.name: entry.read_bytes() for entry in reference.iterdir()}
    assert named in assert_one_line(sapwood("train", "-o", reference, "--resume", *options))
    assert {entry.name: entry.read_bytes() for entry in reference.iterdir()} == before


# ---- places that cannot be written ----


@contextlib.contextmanager
def small_disk(folder, size):
    """A file system of `size` bytes, or a skip."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("a full disk needs a small file system, and that needs root and mount")
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_full_disk(sapwood, data, reference, tmp_path, share):
    needed = sum(entry.stat().st_size for entry in reference.iterdir())
    with small_disk(tmp_path / "disk", 4 * needed) as disk:
        (disk / "filler").write_bytes(bytes(4 * needed - int(share * needed)))
        run = disk / "run"
        line = assert_one_line(sapwood(*train(data, run)))
        assert re.search(r"run/\S+: no space left on device", line)
        # Still full: nothing gets worse.
        assert "no space left" in assert_one_line(sapwood("train", "-o", run, "--resume"))
        assert all(json.dumps(line) for line in lines_of(run / "metrics.jsonl"))
        (disk / "filler").unlink()
        done = sapwood("train", "-o", run, "--resume")
        assert done.returncode == 0, done.stderr
        assert_same_run(run, reference)


def test_no_room_for_the_first_state(sapwood, data, tmp_path):
    with small_disk(tmp_path / "disk", 64 << 10) as disk:
        assert "no space left on device" in assert_one_line(sapwood(*train(data, disk / "run")))
        assert list(disk.iterdir()) == []


def test_places_that_hold_no_folder(sapwood, data, tmp_path):
    (tmp_path / "file").touch()
    assert "file/run" in assert_one_line(sapwood(*train(data, tmp_path / "file" / "run")))
    assert "file" in assert_one_line(sapwood(*train(data, tmp_path / "file")))
    assert "none/run" in assert_one_line(sapwood(*train(data, tmp_path / "none" / "run")))
    assert_one_line(sapwood(*train(data, "/proc/run")))
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


# ---- broken data ----


def plain(path):
    return gzip.decompress(path.read_bytes())


def rewrite(path, content):
    path.write_bytes(gzip.compress(content, 1))


def swap(folder):
    (folder / IMAGES).rename(folder / "kept")
    (folder / LABELS).rename(folder / IMAGES)
    (folder / "kept").rename(folder / LABELS)


def set_words(path, offset, *values):
    """Overwrites 32-bit numbers of the header."""
    content = bytearray(plain(path))
    struct.pack_into(f">{len(values)}I", content, offset, *values)
    rewrite(path, bytes(content))


BROKEN = {
    "missing folder": (shutil.rmtree, ""),
    "missing file": (lambda folder: (folder / TEST_LABELS).unlink(), "t10k-labels-idx1-ubyte"),
    "empty file": (lambda folder: (folder / LABELS).write_bytes(b""), LABELS),
    "cut compressed file": (lambda folder: os.truncate(folder / IMAGES, 5000), IMAGES),
    "cut pictures": (lambda folder: rewrite(folder / IMAGES, plain(folder / IMAGES)[:-1]), IMAGES),
    "cut header": (lambda folder: rewrite(folder / TEST_LABELS, plain(folder / TEST_LABELS)[:7]), TEST_LABELS),
    "more than it says": (lambda folder: rewrite(folder / LABELS, plain(folder / LABELS) + b"\0"), LABELS),
    "swapped files": (swap, IMAGES),
    "wrong magic number": (lambda folder: set_words(folder / IMAGES, 0, 0x802), IMAGES),
    "lying count": (lambda folder: set_words(folder / IMAGES, 4, 0xFFFFFFFF), IMAGES),
    "lying height": (lambda folder: set_words(folder / TEST_IMAGES, 8, 27), TEST_IMAGES),
    "lying size": (lambda folder: set_words(folder / IMAGES, 4, *[0x7FFFFFFF] * 3), IMAGES),
    "no gzip": (lambda folder: (folder / IMAGES).write_bytes(b"these are not the pictures " * 99), IMAGES),
    "label 10": (lambda folder: rewrite(folder / LABELS, plain(folder / LABELS)[:-1] + b"\x0a"), LABELS[:-3]),
    "other count": (lambda folder: rewrite(folder / LABELS, idx_labels(make_pictures(599, 1)[1])), LABELS[:-3]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_data(sapwood, tmp_path, name):
    folder = write_data(tmp_path / "data", train=40, test=20)
    breaks, named = BROKEN[name]
    breaks(folder)
    line = assert_one_line(sapwood(*train(f"fashion-mnist:{folder}", tmp_path / "run")))
    assert str(folder / named) in line
    assert not (tmp_path / "run").exists()


def test_the_data_that_were_broken_are_good_otherwise(sapwood, tmp_path):
    folder = write_data(tmp_path / "data", train=40, test=20)
    assert sapwood(*train(f"fashion-mnist:{folder}", tmp_path / "run")).returncode == 0


# ---- numbers that overflow ----


def test_overflow_stops_and_says_where(sapwood, data, tmp_path):
    run = tmp_path / "run"
    line = assert_one_line(sapwood(*train(data, run, "--lr", "1e30")))
    assert re.search(r"iteration 0\b.*epoch \d+\b.*step \d+\b", line)
    assert re.search(r"\b(blocks\.0|blocks\.2|linear|loss)", line)
    assert json.loads((run / "config.json").read_text())["settings"]["lr"] == 1e30
    lines_of(run / "metrics.jsonl")
    # The state before the overflow is there: resuming meets the same one again.
    assert assert_one_line(sapwood("train", "-o", run, "--resume")) == line


# ---- memory ----


def peak_memory(sapwood, *words):
    """KiB that the process had at most."""
    process = subprocess.Popen(sapwood.command(*words), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return usage.ru_maxrss


def test_memory_does_not_grow_with_iterations(sapwood, data, tmp_path):
    peaks = []
    for iterations in (2, 8, 26):
        words = train(data, tmp_path / f"run-{iterations}", "--iterations", iterations, "--epochs", 2)
        peaks.append(peak_memory(sapwood, *words))
    # A leak of one copy of the weights an iteration would be 530 KiB each.
    assert max(peaks) - min(peaks) < 2048, peaks


# ---- the files, read by others ----

SHAPES = {
    "blocks.0.weight": (128, 784), "blocks.0.bias": (128,), "blocks.2.weight": (256, 128), "blocks.2.bias": (256,),
    "linear.weight": (10, 256), "linear.bias": (10,),
}  # fmt: skip
PRUNABLE = [name for name in SHAPES if name.endswith(".weight")]


def test_weights_and_masks_of_a_run(reference):
    initial = read_safetensors(reference / "initial.safetensors")
    assert {name: tensor.shape for name, tensor in initial.items()} == SHAPES
    lines = [line for line in lines_of(reference / "metrics.jsonl") if line["event"] == "iteration"]
    masks = {name: numpy.ones(SHAPES[name], bool) for name in PRUNABLE}
    for line in lines:
        tensors = read_safetensors(reference / f"iteration-{line['iteration']:02d}.safetensors")
        assert set(tensors) == set(SHAPES) | {f"{name}.mask" for name in PRUNABLE}
        kept = 0
        for name in PRUNABLE:
            mask = tensors[f"{name}.mask"]
            assert mask.dtype == bool and mask.shape == tensors[name].shape == SHAPES[name]
            assert not tensors[name][~mask].any()
            assert not (mask & ~masks[name]).any(), "a pruned weight came back"
            masks[name] = mask
            kept += int(mask.sum())
        assert all(numpy.isfinite(tensor).all() for tensor in tensors.values())
        assert kept == line["kept"]
    assert lines[-1]["kept"] < lines[0]["kept"] == lines[0]["total"]


def forward(tensors, pixels):
    x = ((pixels.astype(numpy.float64) / 255 - 0.2860) / 0.3530).reshape(len(pixels), -1)
    for layer in ("blocks.0", "blocks.2"):
        x = numpy.maximum(x @ tensors[f"{layer}.weight"].T + tensors[f"{layer}.bias"], 0)
    return x @ tensors["linear.weight"].T + tensors["linear.bias"]


def loss_and_accuracy(scores, labels):
    scores = scores - scores.max(1, keepdims=True)
    losses = numpy.log(numpy.exp(scores).sum(1)) - scores[numpy.arange(len(labels)), labels]
    return losses.mean(), (scores.argmax(1) == labels).mean()


def test_numpy_finds_the_same_accuracy(reference):
    pixels, labels = make_pictures(200, 2)
    for line in lines_of(reference / "metrics.jsonl"):
        if line["event"] != "iteration":
            continue
        tensors = read_safetensors(reference / f"iteration-{line['iteration']:02d}.safetensors")
        loss, accuracy = loss_and_accuracy(forward(tensors, pixels.astype(numpy.uint8)), labels)
        assert accuracy == pytest.approx(line["test_accuracy"], abs=1e-9)
        assert loss == pytest.approx(line["test_loss"], rel=1e-5)


def test_pytorch_loads_the_weights(reference):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: the weights are not loaded into it")

    class Mlp(torch.nn.Module):
        def __init__(self):
            super().__init__()
            relu = torch.nn.ReLU()
            self.blocks = torch.nn.Sequential(torch.nn.Linear(784, 128), relu, torch.nn.Linear(128, 256), relu)
            self.linear = torch.nn.Linear(256, 10)

        def forward(self, x):
            return self.linear(self.blocks(x))

    tensors = read_safetensors(reference / "iteration-03.safetensors")
    model = Mlp()
    weights = {name: torch.from_numpy(tensors[name].copy()) for name in SHAPES}
    model.load_state_dict(weights, strict=True)
    pixels, labels = make_pictures(200, 2)
    x = ((torch.from_numpy(pixels.astype(numpy.uint8)).float() / 255 - 0.2860) / 0.3530).flatten(1)
    with torch.no_grad():
        accuracy = (model(x).argmax(1).numpy() == labels).mean()
    line = [line for line in lines_of(reference / "metrics.jsonl") if line["event"] == "iteration"][-1]
    assert accuracy == pytest.approx(line["test_accuracy"], abs=0.0051)  # a tie may fall the other way


def test_the_safetensors_package_reads_the_weights(reference):
    package = pytest.importorskip("safetensors.numpy", reason="the safetensors package is not installed")
    for path in reference.glob("i*.safetensors"):
        found, expected = package.load_file(path), read_safetensors(path)
        assert set(found) == set(expected)
        assert all(numpy.array_equal(found[name], expected[name]) for name in expected)
