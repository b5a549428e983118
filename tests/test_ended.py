"""File commands that are ended in the middle: one line, and a folder as it was."""
import json
import os
import signal
import struct
import subprocess
import time

import pytest

BYTES = 6 << 30  # a hole: more than is read before the signal comes


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.safetensors"
    header = json.dumps({"l.weight": {"dtype": "F32", "shape": [1024, BYTES // 4096], "data_offsets": [0, BYTES]}})
    header += " " * (-len(header) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header.encode())
        file.truncate(8 + len(header) + BYTES)
    return path


def end_in_the_middle(sapwood, number, path, *words, output):
    """Starts the command, sends the signal once it has the file open and, if it writes one, an output."""
    process = subprocess.Popen(sapwood.command(*words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
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


def test_ignored_signals_stay_ignored(sapwood, tmp_path, large):
    process = subprocess.Popen(["sh", "-c", 'trap "" INT; exec "$@"', "sh", *sapwood.command("measure", "--json", large)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate()
    assert process.returncode == 0 and json.loads(out)["global"]["zeros"] == BYTES // 4
