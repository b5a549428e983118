"""scripts/fetch-data.sh against a local server with small stand-ins for the archives."""
import gzip
import hashlib
import http.server
import io
import os
import shutil
import subprocess
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy
import pytest
from conftest import idx_images, idx_labels
from data_sets import Set, png

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "fetch-data.sh"
if not shutil.which("curl"):
    pytest.skip("no curl", allow_module_level=True)


# ---- stand-ins ----


def tar_of(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def zip_of(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def cifar(folder, files, label_bytes):
    record = bytes([1] * label_bytes) + numpy.random.RandomState(1).bytes(3072)
    return {f"{folder}/{file}": record * 3 for file in files}


def stand_ins(name):
    """The files of a set as its server has them."""
    if "mnist" in name:
        parts = {}
        for half, count in (("train", 5), ("t10k", 2)):
            parts[f"{half}-images-idx3-ubyte.gz"] = idx_images(numpy.zeros((count, 28, 28)))
            parts[f"{half}-labels-idx1-ubyte.gz"] = idx_labels(numpy.arange(count))
        return {file: gzip.compress(content) for file, content in parts.items()}
    if name == "cifar10":
        files = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
        return {"cifar-10-binary.tar.gz": tar_of(cifar("cifar-10-batches-bin", files, 1))}
    if name == "cifar100":
        return {"cifar-100-binary.tar.gz": tar_of(cifar("cifar-100-binary", ["train.bin", "test.bin"], 2))}
    picture, root = png(numpy.zeros((64, 64, 3))), "tiny-imagenet-200/"
    files = {"wnids.txt": b"n01\n", "train/n01/images/a.JPEG": picture, "val/images/b.JPEG": picture}
    files["val/val_annotations.txt"] = b"b.JPEG\tn01\t0\t0\t63\t63\n"
    return {"tiny-imagenet-200.zip": zip_of({root + key: value for key, value in files.items()})}


# ---- the server ----


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, name = self.server, self.path.lstrip("/")
        content = server.files.get(name)
        ranged = self.headers.get("Range")
        server.requests.append((name, ranged))
        if content is None:
            return self.send_error(404)
        first = int(ranged.removeprefix("bytes=").rstrip("-")) if ranged and server.ranges else 0
        if first >= len(content):
            return self.send_error(416)
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        part = content[first:]
        if server.cuts:
            server.cuts -= 1
            part = part[: len(part) // 2]
        self.wfile.write(part)
        self.close_connection = True

    def log_message(self, *words):
        pass


class Fetcher:
    """A server, and the script told to use it."""

    def __init__(self, folder, name):
        self.folder, self.name, self.target = folder, name, folder / "data" / name
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.files, self.server.requests, self.server.cuts, self.server.ranges = stand_ins(name), [], 0, True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.sums = {file: hashlib.sha256(content).hexdigest() for file, content in self.server.files.items()}

    def __call__(self, *words):
        lines = "".join(f"{value}  {file}\n" for file, value in self.sums.items())
        (self.folder / "sums").write_text(lines)
        environment = {
            **os.environ,
            "SAPWOOD_FETCH_URL": f"http://127.0.0.1:{self.server.server_port}",
            "SAPWOOD_FETCH_SUMS": str(self.folder / "sums"),
            "SAPWOOD_DATA": str(self.folder / "data"),
            "no_proxy": "*",
        }
        command = [SCRIPT, self.name, *map(str, words)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def fetcher(tmp_path):
    made = []

    def make(name):
        made.append(Fetcher(tmp_path, name))
        return made[-1]

    yield make
    for one in made:
        one.server.shutdown()
        one.server.server_close()


# ---- what it does ----


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist", "cifar10", "cifar100", "tiny-imagenet"])
def test_a_set_is_fetched_and_can_be_opened(name, fetcher, sapwood):
    fetch = fetcher(name)
    done = fetch()
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(f"fetch-data: {fetch.target} is complete; --data {name}\n")
    assert os.listdir(fetch.target.parent) == [name]
    done = sapwood("info", env={**os.environ, "SAPWOOD_DATA": str(fetch.target.parent)})
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(f"  {name} ")]
    assert "missing" not in line
    if name != "tiny-imagenet" or "png           yes" in done.stdout:
        assert len(Set(f"{name}:{fetch.target}").y_test) >= 1


def test_what_is_complete_is_left_alone(fetcher):
    fetch = fetcher("cifar10")
    assert fetch().returncode == 0
    fetch.server.requests.clear()
    done = fetch()
    assert done.returncode == 0 and "is complete already" in done.stderr and fetch.server.requests == []


def test_another_folder(fetcher, tmp_path):
    fetch = fetcher("cifar100")
    done = fetch(tmp_path / "else where" / "set")
    assert done.returncode == 0 and f"--data cifar100:{tmp_path}/else where/set" in done.stderr
    assert Set(f"cifar100:{tmp_path}/else where/set").classes == 100


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_was_cut_off_goes_on(ranges, fetcher):
    fetch = fetcher("cifar10")
    fetch.server.cuts, fetch.server.ranges = 1, ranges
    done = fetch()
    assert done.returncode == 1 and done.stderr.endswith("the download was cut off; run this again to go on\n")
    assert not fetch.target.exists()
    done = fetch()
    assert done.returncode == 0, done.stderr
    (file,) = fetch.server.files
    half = len(fetch.server.files[file]) // 2
    expected = [(file, None), (file, f"bytes={half}-")] + ([] if ranges else [(file, None)])
    assert fetch.server.requests == expected
    assert Set(f"cifar10:{fetch.target}").classes == 10


def test_files_that_arrived_are_not_fetched_again(fetcher):
    fetch = fetcher("mnist")
    missing = "t10k-labels-idx1-ubyte.gz"
    content = fetch.server.files.pop(missing)
    done = fetch()
    assert done.returncode == 1 and f"{missing}: http://127.0.0.1:{fetch.server.server_port} answers 404" in done.stderr
    assert not fetch.target.exists()
    fetch.server.files[missing] = content
    fetch.server.requests.clear()
    assert fetch().returncode == 0
    assert fetch.server.requests == [(missing, None)]


def test_a_wrong_sum_is_refused_and_the_file_not_kept(fetcher):
    fetch = fetcher("cifar10")
    (file,) = fetch.sums
    right, fetch.sums[file] = fetch.sums[file], "0" * 64
    done = fetch()
    assert done.returncode == 1 and f"{file}: SHA-256 {right}, expected {'0' * 64}" in done.stderr
    assert not fetch.target.exists()
    fetch.sums[file] = right
    fetch.server.requests.clear()
    assert fetch().returncode == 0
    assert fetch.server.requests == [(file, None)]


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: tar_of({"x": b"y"})])
def test_an_archive_that_is_not_whole_makes_no_set(damage, fetcher):
    """Even with the right sum: nothing is half unpacked."""
    fetch = fetcher("cifar10")
    (file,) = fetch.server.files
    whole, fetch.server.files[file] = fetch.server.files[file], damage(fetch.server.files[file])
    right, fetch.sums[file] = fetch.sums[file], hashlib.sha256(fetch.server.files[file]).hexdigest()
    assert fetch().returncode == 1 and not fetch.target.exists()
    fetch.server.files[file], fetch.sums[file] = whole, right
    assert fetch().returncode == 0 and Set(f"cifar10:{fetch.target}").classes == 10


def test_a_folder_of_somebody_else_is_left_alone(fetcher):
    fetch = fetcher("cifar10")
    fetch.target.mkdir(parents=True)
    (fetch.target / "mine").write_text("x")
    done = fetch()
    assert done.returncode == 1 and "is there and not from here" in done.stderr
    assert os.listdir(fetch.target) == ["mine"] and fetch.server.requests == []


@pytest.mark.parametrize("words", [[], ["imagenet"], ["npz"]])
def test_unknown_names(words):
    done = subprocess.run([SCRIPT, *words], capture_output=True, text=True)
    assert done.returncode == 2 and "fashion-mnist mnist cifar10 cifar100 tiny-imagenet" in done.stderr
