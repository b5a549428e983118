"""File commands that are ended in the middle: one line, and a folder as it was."""
import json
import os
import resource
import signal
import struct
import subprocess
import time

import pytest

BYTES = 6 << 30  # a hole: more than is read before the signal comes


def write_hole(path, name, size):
    """A file with one tensor of zeros."""
    header = json.dumps({name: {"dtype": "F32", "shape": [1024, size // 4096], "data_offsets": [0, size]}})
    header += " " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header.encode())
        file.truncate(8 + len(header) + size)


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.safetensors"
    write_hole(path, "l.weight", BYTES)
    return path


SMALL = 12  # files before the large one


@pytest.fixture
def shards(tmp_path):
    """A repository, nearly all of which is the last file."""
    folder = tmp_path / "shards"
    folder.mkdir()
    names = [f"s{i:02}" for i in range(SMALL)]
    for name in names:
        write_hole(folder / f"{name}.safetensors", f"{name}.weight", 1 << 20)
    write_hole(folder / "t.safetensors", "t.weight", BYTES)
    index = {"weight_map": {f"{name}.weight": f"{name}.safetensors" for name in [*names, "t"]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def end_in_the_middle(sapwood, number, path, *words, output, setup=None):
    """Starts the command, sends the signal once it has the file open and, if it writes one, an output."""
    process = subprocess.Popen(sapwood.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               preexec_fn=setup)
    while process.poll() is None:
        open_files = [f"/proc/{process.pid}/fd/{fd}" for fd in os.listdir(f"/proc/{process.pid}/fd")]
        targets = [os.readlink(fd) for fd in open_files if os.path.lexists(fd)]
        with open(f"/proc/{process.pid}/maps") as maps:
            mapped = str(path) in maps.read()
        written = any(target.startswith(str(path.parent)) and target != str(path) for target in targets)
        if mapped and (written or not output):
            break
        time.sleep(0.001)
    process.send_signal(number)
    out, err = process.communicate()
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals(sapwood, large, number):
    code, out, err = end_in_the_middle(sapwood, number, large, "measure", large, output=False)
    assert (code, out, err) == (130, "", "sapwood measure: interrupted\n")
    place = large.parent / "out.safetensors"
    place.write_bytes(b"old")
    words = ("convert", large, "-o", place, "--force", "--dense")
    code, out, err = end_in_the_middle(sapwood, number, large, *words, output=True)
    assert (code, out, err) == (130, "", "sapwood convert: interrupted\n")
    assert place.read_bytes() == b"old"


def test_nothing_is_left_of_what_a_killed_command_wrote(sapwood, large):
    place = large.parent / "out.safetensors"
    words = ("convert", large, "-o", place, "--dense")
    code, _, err = end_in_the_middle(sapwood, signal.SIGKILL, large, *words, output=True)
    assert (code, err) == (-signal.SIGKILL, "")
    left = [name for name in os.listdir(large.parent) if name != large.name]
    if left and left[0].startswith(".sapwood-"):
        pytest.skip("this file system has no files without a name")
    assert not left


def few_open_files():
    """So few that the command gives its files names before all are whole."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))


def end_prune_of_shards(sapwood, number, shards, out, setup=None):
    """Ends it when the small files are written, and the large one is not."""
    words = ["prune", shards, "-o", out, "--include", "s*", "--no-mask"]
    process = subprocess.Popen(sapwood.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               preexec_fn=setup)

    def written():
        total = 0
        for fd in os.listdir(f"/proc/{process.pid}/fd"):
            path = f"/proc/{process.pid}/fd/{fd}"
            try:
                if os.readlink(path).startswith(str(out.parent)) and os.stat(path).st_size > 1 << 21:
                    return True
            except OSError:
                pass  # it was closed meanwhile
        return False

    while process.poll() is None and not written():
        time.sleep(0.001)
    process.send_signal(number)
    _, err = process.communicate()
    return process.returncode, err


@pytest.mark.parametrize("setup", [None, few_open_files], ids=["unnamed", "named"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_shards(sapwood, shards, tmp_path, number, setup):
    """Nothing is left beside the output. Where the files had names, and it was killed, the next command clears up."""
    out = tmp_path / "place" / "out"
    out.parent.mkdir()
    code, err = end_prune_of_shards(sapwood, number, shards, out, setup)
    left = os.listdir(out.parent)
    if number == signal.SIGKILL:
        assert (code, err) == (-signal.SIGKILL, "")
        if setup is None and left:
            pytest.skip("this file system has no files without a name")
        assert bool(left) == (setup is not None) and all(name.startswith(".sapwood-") for name in left)
    else:
        assert (code, err, left) == (130, "sapwood prune: interrupted\n", [])
    write_hole(shards / "t.safetensors", "t.weight", 1 << 20)
    done = sapwood("prune", shards, "-o", out, "--no-mask")
    assert done.returncode == 0, done.stderr
    assert os.listdir(out.parent) == ["out"] and len(os.listdir(out)) == SMALL + 2


def test_two_commands_at_once(sapwood, shards, tmp_path):
    """What another process is still writing stays."""
    out, other = tmp_path / "place" / "out", tmp_path / "place" / "other"
    out.parent.mkdir()
    with subprocess.Popen(sapwood.command("prune", shards, "-o", out, "--include", "s*", "--no-mask"),
                          stdout=subprocess.DEVNULL, preexec_fn=few_open_files) as process:
        while process.poll() is None and not os.listdir(out.parent):
            time.sleep(0.001)
        (left,) = os.listdir(out.parent)
        done = sapwood("prune", shards, "-o", other, "--include", "s*", "--dry-run")
        assert done.returncode == 0, done.stderr
        write_hole(tmp_path / "x.safetensors", "x.weight", 1 << 20)
        small = tmp_path / "small"
        small.mkdir()
        os.rename(tmp_path / "x.safetensors", small / "x.safetensors")
        (small / "x.safetensors.index.json").write_text(json.dumps({"weight_map": {"x.weight": "x.safetensors"}}))
        done = sapwood("prune", small, "-o", other, "--no-mask")
        assert done.returncode == 0, done.stderr
        assert process.poll() is None and sorted(os.listdir(out.parent)) == sorted([left, "other"])
        process.terminate()
    assert os.listdir(out.parent) == ["other"]


def test_ignored_signals_stay_ignored(sapwood, tmp_path, large):
    process = subprocess.Popen(["sh", "-c", 'trap "" INT; exec "$@"', "sh", *sapwood.command("measure", "--json", large)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate()
    assert process.returncode == 0 and json.loads(out)["global"]["zeros"] == BYTES // 4
