"""Sharded Hugging Face repositories: an index, and the files beside it."""
import json
import os
import resource
import signal
import struct
import subprocess

import numpy
import pytest
from checkpoint_file import Checkpoint, masked, random_masks, refusal

A, B = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


def shard(arrays, metadata=None):
    header, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, array in arrays.items():
        kind = {"f4": "F32", "f2": "F16"}[array.dtype.str[1:]]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def contents():
    random = numpy.random.RandomState(3)
    first = {"a.weight": random.standard_normal((40, 30)).astype("<f4"), "a.bias": random.standard_normal(40).astype("<f4")}
    return {A: first, B: {"b.weight": random.standard_normal((70, 9)).astype("<f2")}}


def index_of(files, **metadata):
    total = sum(array.nbytes for arrays in files.values() for array in arrays.values())
    return {"metadata": {"total_size": total, **metadata},
            "weight_map": {name: file for file, arrays in files.items() for name in arrays}}


def write(folder, files=None, index=None):
    """A repository; returns the folder."""
    files = contents() if files is None else files
    folder.mkdir(exist_ok=True)
    for file, arrays in files.items():
        (folder / file).write_bytes(shard(arrays, {"format": "pt"}))
    (folder / INDEX).write_text(json.dumps(index_of(files) if index is None else index))
    return folder


@pytest.fixture
def repository(tmp_path):
    return write(tmp_path / "repository")


def flat(files):
    return {name: array for arrays in files.values() for name, array in arrays.items()}


@pytest.mark.parametrize("way", ["folder", "folder/", "index"])
def test_read(repository, way):
    path = {"folder": str(repository), "folder/": f"{repository}/", "index": str(repository / INDEX)}[way]
    with Checkpoint(path) as checkpoint:
        assert checkpoint.names == list(flat(contents()))
        for name, array in flat(contents()).items():
            assert checkpoint.mapped(name) and numpy.array_equal(checkpoint.load(name), array)


def test_from_inside(sapwood, repository):
    for path in (".", INDEX):
        done = subprocess.run([sapwood.path, "measure", path, "--json"], cwd=repository, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert [tensor["name"] for tensor in json.loads(done.stdout)["tensors"]] == ["a.weight", "b.weight"]


def test_measure_is_that_of_one_file(sapwood, repository, tmp_path):
    files = contents()
    for name in files[B]:
        files[B][name] = files[B][name].astype("<f4")
    write(repository, files)
    (tmp_path / "one.safetensors").write_bytes(shard(flat(files)))
    documents = [json.loads(sapwood("measure", path, "--json").stdout) for path in (repository, tmp_path / "one.safetensors")]
    assert documents[0]["global"] == documents[1]["global"] and documents[0]["tensors"] == documents[1]["tensors"]
    assert sapwood("compare", repository, tmp_path / "one.safetensors").returncode == 0


@pytest.mark.parametrize("way", ["folder", "index"])
def test_prune(sapwood, repository, tmp_path, way):
    path, out = repository if way == "folder" else repository / INDEX, tmp_path / "out"
    (repository / "config.json").write_text("{}")
    done = sapwood("prune", path, "-o", f"{out}/", "--density", "0.25")
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(out)) == sorted([A, B, INDEX])
    assert sorted(os.listdir(tmp_path)) == ["out", "out.mask.safetensors", "repository"]
    assert (out / INDEX).read_bytes() == (repository / INDEX).read_bytes()
    weights = [array for name, array in flat(contents()).items() if name.endswith("weight")]
    kept = 0
    for name in (A, B):
        before, after = (repository / name).read_bytes(), (out / name).read_bytes()
        assert len(before) == len(after)
        assert before[: 8 + struct.unpack_from("<Q", before)[0]] == after[: 8 + struct.unpack_from("<Q", after)[0]]
    with Checkpoint(out) as pruned:
        for name, array in flat(contents()).items():
            found = pruned.load(name)
            assert numpy.all((found == array) | (found == 0))
            if name.endswith("weight"):
                kept += numpy.count_nonzero(found)
            else:
                assert numpy.array_equal(found, array)
    total = sum(array.size for array in weights)
    assert kept == total - 3 * total // 4
    done = sapwood("prune", out, "-o", tmp_path / "again", "--mask-in", tmp_path / "out.mask.safetensors", "--density", "0.1")
    assert done.returncode == 0, done.stderr


def test_rewrite_keeps_bytes(repository, tmp_path):
    masks = random_masks(flat(contents()))
    with Checkpoint(repository) as checkpoint:
        checkpoint.rewrite(tmp_path / "same")
        checkpoint.rewrite(tmp_path / "pruned", masks)
    for name in os.listdir(repository):
        assert (tmp_path / "same" / name).read_bytes() == (repository / name).read_bytes()
    with Checkpoint(tmp_path / "pruned") as checkpoint:
        for name, array in flat(contents()).items():
            assert checkpoint.load(name).tobytes() == masked(array, masks[name]).tobytes()


def test_places_that_hold_something(sapwood, repository, tmp_path):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("precious")
    (tmp_path / "empty").mkdir()
    os.symlink("empty", tmp_path / "link")
    for place, force in [("file", True), ("full", True), ("file", False), ("full", False), ("missing/out", False),
                         ("repository", True)]:
        done = sapwood("prune", repository, "-o", tmp_path / place, *(["--force"] if force else []))
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and place in done.stderr
    assert (tmp_path / "file").read_text() == (tmp_path / "full" / "file").read_text() == "precious"
    assert sapwood("prune", repository, "-o", tmp_path / "link", "--no-mask").returncode == 0
    assert (tmp_path / "link").is_symlink() and len(os.listdir(tmp_path / "empty")) == 3
    assert sorted(os.listdir(tmp_path)) == ["empty", "file", "full", "link", "repository"]


def test_full_disk_leaves_nothing(sapwood, repository, tmp_path):
    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    done = subprocess.run([sapwood.path, "prune", repository, "-o", tmp_path / "out"], capture_output=True, text=True,
                          preexec_fn=small)
    assert done.returncode == 1
    assert done.stderr == f"sapwood prune: {tmp_path}/out/{A}: file too large\n"
    assert os.listdir(tmp_path) == ["repository"]


def test_hugging_face_cache(sapwood, tmp_path):
    """Links to blobs beside the folder of snapshots, as huggingface_hub leaves them."""
    snapshot, blobs = tmp_path / "models--x" / "snapshots" / "0123abc", tmp_path / "models--x" / "blobs"
    blobs.mkdir(parents=True)
    snapshot.parent.mkdir()
    write(snapshot)
    for i, name in enumerate(os.listdir(snapshot)):
        os.rename(snapshot / name, blobs / str(i))
        os.symlink(f"../../blobs/{i}", snapshot / name)
    for path in (snapshot, snapshot / INDEX):
        done = sapwood("prune", path, "-o", tmp_path / f"out-{path.name}")
        assert done.returncode == 0, done.stderr


def test_links(repository, tmp_path):
    os.rename(repository / B, repository / "other.safetensors")
    os.symlink("other.safetensors", repository / B)  # inside: fine
    with Checkpoint(repository) as checkpoint:
        assert checkpoint.names == list(flat(contents()))
    for place in ("outside", "blobs", "snapshots", "repository/below"):
        (tmp_path / place).mkdir()
        os.unlink(repository / B)
        (tmp_path / place / "b").write_bytes(shard(contents()[B]))
        os.symlink(tmp_path / place / "b", repository / B)
        code, text = refusal(repository)
        assert code == "SAP_ERROR_FORMAT" and B in text and "link out of" in text


def broken(change):
    """A repository with a changed index: change() gets the index and the files."""
    def make(folder):
        files = contents()
        index = index_of(files)
        result = change(index, files)
        return write(folder, files, index if result is None else result)

    return make


def set_map(name, value):
    return broken(lambda index, files: index["weight_map"].__setitem__(name, value))


@pytest.mark.parametrize("make, code, named", [
    (set_map("a.weight", "../secret.safetensors"), "FORMAT", ["../secret.safetensors", "a way to a file"]),
    (set_map("a.weight", "/etc/x.safetensors"), "FORMAT", ["/etc/x.safetensors"]),
    (set_map("a.weight", "sub/x.safetensors"), "FORMAT", ["sub/x.safetensors"]),
    (set_map("a.weight", ".."), "UNSUPPORTED", ["..", "*.safetensors"]),
    (set_map("a.weight", ""), "UNSUPPORTED", ["*.safetensors"]),
    (set_map("a.weight", "pytorch_model-00001-of-00002.bin"), "UNSUPPORTED", [".bin", "*.safetensors"]),
    (set_map("a.weight", 7), "FORMAT", ["a.weight", "no name of a file"]),
    (set_map("a.weight", True), "FORMAT", ["a.weight", "no name of a file"]),
    (set_map("a.weight", None), "FORMAT", ["a.weight", "no name of a file"]),
    (set_map("c.weight", "gone.safetensors"), "NOT_FOUND", ["gone.safetensors", "no such file"]),
    (set_map("a.weight", B), "FORMAT", ["a.weight", A, B, "expected in"]),
    (set_map("c.weight", B), "FORMAT", ["c.weight", "not in file " + B]),
    (broken(lambda index, files: index["weight_map"].pop("b.weight") and None), "FORMAT", ["total_size"]),
    (broken(lambda index, files: index["weight_map"].pop("a.bias") and None), "FORMAT", ["a.bias", "not in the index"]),
    (broken(lambda index, files: files[B].update(files[A])), "FORMAT", ["a.weight", B, "a second time"]),
    (broken(lambda index, files: index["metadata"].update(total_size=5)), "FORMAT", ["total_size", "expected 6220"]),
    (broken(lambda index, files: index["metadata"].update(total_size="6220")), "FORMAT", ["total_size"]),
    (broken(lambda index, files: {"metadata": {}}), "FORMAT", ["weight_map", "expected an object"]),
    (broken(lambda index, files: {"weight_map": []}), "FORMAT", ["weight_map"]),
    (broken(lambda index, files: []), "FORMAT", []),
], ids=lambda value: None)
def test_indexes_that_lie(tmp_path, make, code, named):
    folder = make(tmp_path / "x")
    found, text = refusal(folder / INDEX)
    assert found == ("SAP_ERROR_" + code if isinstance(json.loads((folder / INDEX).read_text()), dict) else
                     "SAP_ERROR_UNSUPPORTED"), text
    for words in named:
        assert words in text


def test_lenient(tmp_path):
    files = contents()
    index = index_of(files)
    index["metadata"]["total_size"] = 1
    del index["weight_map"]["a.bias"]
    folder = write(tmp_path / "x", files, index)
    with Checkpoint(folder, lenient=True) as checkpoint:
        assert checkpoint.names == list(flat(files))
    files[B]["a.bias"] = files[A]["a.bias"]
    assert "two tensors" in refusal(write(tmp_path / "y", files, index), lenient=True)[1]


@pytest.mark.parametrize("text, named", [
    ('{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}', "duplicate"),
    ('{"weight_map": {"a": "x.safetensors"', "index: "),
    ('{"weight_map": {"a": "x\\u0000.safetensors"}}', "index: "),
    ('{"weight_map": {"a": "x\\n.safetensors"}}', "x?.safetensors"),
    ("{" * 5000, "index: "),
])
def test_text_that_is_no_index(tmp_path, text, named):
    (tmp_path / INDEX).write_text(text)
    code, message = refusal(tmp_path / INDEX)
    assert code in ("SAP_ERROR_FORMAT", "SAP_ERROR_NOT_FOUND") and named in message


def test_folders(sapwood, tmp_path, repository):
    done = sapwood("measure", tmp_path)
    assert done.returncode == 1 and "0 files *.safetensors.index.json" in done.stderr
    for i in range(3):  # a run
        (tmp_path / f"iteration-{i:02}.safetensors").write_bytes(b"")
    done = sapwood("measure", tmp_path)
    last = tmp_path / "iteration-02.safetensors"
    assert done.returncode == 1 and done.stderr.endswith(f": a run, expected a file; its last weights are {last}\n")
    (repository / "other.safetensors.index.json").write_text("{}")
    done = sapwood("measure", repository)
    assert done.returncode == 1 and "2 files *.safetensors.index.json" in done.stderr
    assert sapwood("measure", repository / INDEX).returncode == 0
    (tmp_path / "x.json").write_text("{}")
    assert "of no known format" in sapwood("measure", tmp_path / "x.json").stderr


def test_empty_index(tmp_path):
    (tmp_path / INDEX).write_text('{"weight_map": {}}')
    with Checkpoint(tmp_path) as checkpoint:
        assert checkpoint.names == []


def test_many_tensors_in_many_files(sapwood, tmp_path):
    """20,000 tensors in 200 files; a step that is quadratic in them takes minutes."""
    files = {f"model-{i:05d}.safetensors": {f"layer.{i}.{j}.weight": numpy.full((2, 2), i + j + 1, "<f4") for j in range(100)}
             for i in range(200)}
    folder = write(tmp_path / "many", files)
    done = sapwood("measure", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["global"]["count"] == 4 * 20000


def test_index_of_torch_names(sapwood, repository):
    """A pickled repository is named for what it is."""
    index = {"weight_map": {"a.weight": "pytorch_model-00001-of-00001.bin"}}
    (repository / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    done = sapwood("measure", repository / "pytorch_model.bin.index.json")
    assert done.returncode == 1 and "expected a file *.safetensors" in done.stderr
    assert sapwood("measure", repository).returncode == 0


def test_other_readers(repository, tmp_path):
    transformers = pytest.importorskip("safetensors.numpy")
    with Checkpoint(repository) as checkpoint:
        checkpoint.rewrite(tmp_path / "out")
    found = {**transformers.load_file(tmp_path / "out" / A), **transformers.load_file(tmp_path / "out" / B)}
    assert all(numpy.array_equal(found[name], array) for name, array in flat(contents()).items())
