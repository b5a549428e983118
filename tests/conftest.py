"""What the tests of the program share: the program itself, and a data set small enough to train on in moments."""
import fcntl
import gzip
import json
import os
import pty
import struct
import subprocess
import tempfile
import termios
from pathlib import Path

import numpy
import pytest
from safetensors_file import taken_apart, write

ROOT = Path(__file__).resolve().parent.parent
# Choices of plans are not to be left in the home of who runs the tests.
os.environ["XDG_CACHE_HOME"] = os.path.join(tempfile.gettempdir(), f"sapwood-tests-{os.getuid()}")
PROGRAM = os.path.abspath(os.environ.get("SAPWOOD", ROOT / "build" / "sapwood"))
CLASSES, SIDE = 10, 28


def pytest_sessionfinish(session, exitstatus):
    """A file that skips itself as a whole, with a reason, is skipped for Meson, too: exit status 77."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and reporter and reporter.stats.get("skipped"):
        session.exitstatus = 77


class Program:
    """Runs the program under test."""

    path = PROGRAM

    def __call__(self, *words, **more):
        options = {"capture_output": True, "text": True, "timeout": 120, "stdin": subprocess.DEVNULL, **more}
        return subprocess.run(self.command(*words), **options)

    def start(self, *words, **more):
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **more}
        return subprocess.Popen(self.command(*words), **options)

    def command(self, *words):
        return [self.path, *[str(word) for word in words]]


@pytest.fixture(scope="session")
def sapwood():
    if not os.access(PROGRAM, os.X_OK):
        pytest.exit(f"{PROGRAM}: no program; build it, or name it in SAPWOOD", returncode=1)
    return Program()


def on_terminal(sapwood, words, columns=100, **environment):
    """Runs on a pseudo-terminal; all that it showed."""
    keep = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
    try:
        child, terminal = pty.fork()
    except OSError as error:
        pytest.skip(f"no pseudo-terminal here: {error}")
    if child == 0:  # the size is set here, before the program can ask for it
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
        os.execve(sapwood.path, sapwood.command(*words), {**keep, "TERM": "xterm", **environment})
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux's way to say that the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, shown
    return shown.decode()


def idx_images(pixels):
    """The bytes of an IDX file of pictures (n, 28, 28)."""
    return struct.pack(">4I", 0x803, *pixels.shape) + pixels.astype(numpy.uint8).tobytes()


def idx_labels(labels):
    return struct.pack(">2I", 0x801, len(labels)) + labels.astype(numpy.uint8).tobytes()


def make_pictures(count, seed):
    """Ten noisy patterns: a linear model learns them, but not all of them. (count, 28, 28) and (count)."""
    patterns = numpy.random.RandomState(0).uniform(0, 255, (CLASSES, SIDE, SIDE))
    random = numpy.random.RandomState(seed)
    labels = random.randint(0, CLASSES, count)
    noise = random.uniform(0, 255, (count, SIDE, SIDE))
    return 0.12 * patterns[labels] + 0.88 * noise, labels


IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"


def write_data(folder, train=600, test=200):
    folder.mkdir()
    for images, labels, count, seed in ((IMAGES, LABELS, train, 1), (TEST_IMAGES, TEST_LABELS, test, 2)):
        pixels, classes = make_pictures(count, seed)
        (folder / images).write_bytes(gzip.compress(idx_images(pixels), 1))
        (folder / labels).write_bytes(gzip.compress(idx_labels(classes), 1))
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The value of --data for 600 training and 200 test pictures."""
    return f"fashion-mnist:{write_data(tmp_path_factory.mktemp('data') / 'tiny')}"


def lines_of(path):
    """The objects of a file of JSON lines."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


NUMPY_TYPES = {"F32": "<f4", "F64": "<f8", "U64": "<u8", "U8": "u1", "BOOL": "?"}


def read_safetensors(path):
    """The tensors of a file, by the letter of the format and nothing else."""
    header, data = taken_apart(path)
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = numpy.frombuffer(data[begin:end], NUMPY_TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def write_safetensors(path, tensors):
    """NumPy arrays of the types above, as a file."""
    types = {numpy.dtype(text): name for name, text in NUMPY_TYPES.items()}
    return write(path, {name: (types[array.dtype], array) for name, array in tensors.items()})
