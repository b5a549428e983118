"""convert: the other commands on what it writes, other formats and programs; refusals; large files."""
import json
import os
import subprocess
import sys

import numpy
import pytest
import tiny_onnx
from checkpoint_file import Checkpoint
from conftest import read_safetensors
from conversion import SPARSE, assert_refused, assert_same, convert, network, pruned
from safetensors_file import header_of, write


# ---- the other commands on sparse files ----


def test_measure_prune_and_compare(sapwood, tmp_path):
    source = write(tmp_path / "a.safetensors", network(0.3))
    convert(sapwood, source, tmp_path / "b.safetensors", "--sparse")
    one, two = (sapwood("measure", tmp_path / f"{name}.safetensors", "--json", "--gini") for name in "ab")
    assert one.returncode == two.returncode == 0, two.stderr
    first, second = json.loads(one.stdout), json.loads(two.stdout)
    assert [t["name"] for t in first["tensors"]] == sorted(t["name"] for t in second["tensors"])
    assert second["global"]["kept"] == second["global"]["count"] - first["global"]["zeros"]
    done = sapwood("prune", tmp_path / "b.safetensors", "-o", tmp_path / "c.safetensors", "--density", "0.1")
    assert done.returncode == 0, done.stderr
    done = sapwood("prune", source, "-o", tmp_path / "d.safetensors", "--density", "0.1", "--mask-in", "zeros")
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "c.safetensors", tmp_path / "d.safetensors")
    assert (tmp_path / "c.safetensors").stat().st_size < (tmp_path / "b.safetensors").stat().st_size / 2
    assert [name for name in header_of(tmp_path / "c.safetensors") if name.endswith(SPARSE)]
    # the sparse file is a mask, too
    done = sapwood("prune", source, "-o", tmp_path / "e.safetensors", "--ratio", "0", "--mask-in", tmp_path / "c.safetensors")
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "c.safetensors", tmp_path / "e.safetensors")


def test_eval(sapwood, data, tmp_path):
    """Weights of a run, in sparse form and as NPZ, are the same network."""
    run = tmp_path / "run"
    words = ["--data", data, "--model", "mlp", "--iterations", 2, "--epochs", 1, "--batch", 50, "-o", run]
    assert sapwood("train", *words).returncode == 0
    convert(sapwood, run / "iteration-02.safetensors", tmp_path / "small.safetensors", "--sparse")
    convert(sapwood, tmp_path / "small.safetensors", tmp_path / "small.npz")
    results = []
    for path in (run / "iteration-02.safetensors", tmp_path / "small.safetensors", tmp_path / "small.npz"):
        done = sapwood("eval", path, "--data", data, "--model", "mlp", "--json")
        assert done.returncode == 0, done.stderr
        results.append({key: value for key, value in json.loads(done.stdout).items() if key not in ("file", "path", "weights")})
    assert results[0] == results[1] == results[2] and results[0]["density"] < 1


# ---- other formats and programs ----


def test_to_and_from_numpy(sapwood, tmp_path):
    arrays = {name: array for name, (_, array) in network(0.1).items()}
    numpy.savez_compressed(tmp_path / "a.npz", **arrays)
    convert(sapwood, tmp_path / "a.npz", tmp_path / "b.safetensors", "--sparse")
    convert(sapwood, tmp_path / "b.safetensors", tmp_path / "c.npz")
    with numpy.load(tmp_path / "c.npz") as found:
        assert sorted(found.files) == sorted(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype and found[name].tobytes() == array.tobytes()
    convert(sapwood, tmp_path / "a.npz", tmp_path / "d.safetensors")
    assert read_safetensors(tmp_path / "d.safetensors")["fc1.weight"].tobytes() == arrays["fc1.weight"].tobytes()
    assert not [name for name in header_of(tmp_path / "d.safetensors") if name.endswith(SPARSE)]


def test_from_onnx(sapwood, tmp_path):
    """Sparse initializers stay sparse, with the zeros that they keep; dense ones stay dense."""
    dense, values = pruned((40, 50), 0.5), numpy.float32([1.5, 0, -2, -0.0])
    positions = [3, 77, 1000, 1999]
    tensors = [tiny_onnx.sparse("w", (40, 50), values, positions)], [tiny_onnx.tensor("d", dense)]
    model = tiny_onnx.model(tiny_onnx.graph(initializers=tensors[1], sparse_initializers=tensors[0]), [("by", "test")])
    (tmp_path / "a.onnx").write_bytes(model)
    convert(sapwood, tmp_path / "a.onnx", tmp_path / "b.safetensors")
    header = header_of(tmp_path / "b.safetensors")
    assert header["w" + SPARSE[0]]["shape"] == [4] and header["__metadata__"]["by"] == "test"
    assert_same(tmp_path / "a.onnx", tmp_path / "b.safetensors")
    with Checkpoint(tmp_path / "b.safetensors") as found:
        assert found.load("w").reshape(-1)[positions].tobytes() == values.tobytes()
    convert(sapwood, tmp_path / "a.onnx", tmp_path / "c.safetensors", "--dense")
    assert set(header_of(tmp_path / "c.safetensors")) == {"w", "d", "__metadata__"}
    convert(sapwood, tmp_path / "a.onnx", tmp_path / "c.onnx", "--dense")
    convert(sapwood, tmp_path / "c.onnx", tmp_path / "d.safetensors")
    assert not [name for name in header_of(tmp_path / "d.safetensors") if name.endswith(SPARSE)]
    convert(sapwood, tmp_path / "a.onnx", tmp_path / "e.onnx")
    assert_same(tmp_path / "a.onnx", tmp_path / "e.onnx")
    assert len((tmp_path / "e.onnx").read_bytes()) < len((tmp_path / "c.onnx").read_bytes())


def test_the_safetensors_package_opens_it(sapwood, tmp_path):
    safetensors = pytest.importorskip("safetensors", reason="the safetensors package is not installed")
    from safetensors.numpy import load_file

    tensors = network(0.1)
    source = write(tmp_path / "a.safetensors", tensors, {"format": "pt"})
    convert(sapwood, source, tmp_path / "b.safetensors", "--sparse")
    convert(sapwood, tmp_path / "b.safetensors", tmp_path / "c.safetensors", "--dense")
    found = load_file(tmp_path / "b.safetensors")
    assert {name.rsplit(".sapwood", 1)[0] for name in found} == set(tensors)
    for name, (_, array) in tensors.items():
        assert found[name + SPARSE[0]].tobytes() == array[array != 0].tobytes()
    with safetensors.safe_open(tmp_path / "c.safetensors", "numpy") as file:
        assert file.metadata() == {"format": "pt"}
        for name, (_, array) in tensors.items():
            assert file.get_tensor(name).tobytes() == array.tobytes()


# ---- showing ----


def test_the_last_line_and_the_table(sapwood, tmp_path):
    source = write(tmp_path / "a.safetensors", {"x.weight": ("F32", pruned((200, 200), 0.1)), "y": ("F32", pruned((4,), 1))})
    line = convert(sapwood, source, tmp_path / "b.safetensors", "--sparse")
    size = (tmp_path / "b.safetensors").stat().st_size
    assert line == f"written: {tmp_path}/b.safetensors: {size:,} bytes for 160,016 bytes of tensors ({160016 / size:.2f}x), 1 of 2 tensors sparse\n"
    table = convert(sapwood, source, tmp_path / "b.safetensors", "--sparse", "--force", "--table").splitlines()
    assert table[0].split() == ["tensor", "dtype", "shape", "bytes", "stored", "smaller", "form"]
    rows = {row.split()[0]: row.split() for row in table[1:] if row.endswith(("sparse", "dense"))}
    assert rows["x.weight"][1:4] == ["F32", "200x200", "160,000"] and rows["x.weight"][-1] == "sparse"
    assert rows["y"][1:] == ["F32", "4", "16", "16", "1.00x", "dense"]
    assert table[-1] + "\n" == line


# ---- refusals ----


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "in.safetensors", {"x.weight": ("F32", pruned((300, 300), 0.1)), "h": ("BF16", numpy.zeros(5, "<u2"))})


def test_refusals(sapwood, tmp_path, source):
    before = source.read_bytes()
    out = tmp_path / "out.safetensors"
    assert_refused(sapwood("convert"), "a file is needed", 2)
    assert_refused(sapwood("convert", source), "missing: -o OUT", 2)
    assert_refused(sapwood("convert", source, "-o", out, "--sparse", "--dense"), "expected one of them", 2)
    assert_refused(sapwood("convert", source, "-o", out, "--include", "*"), "only with --mask-in", 2)
    assert_refused(sapwood("convert", source, "-o", tmp_path / "out.bin"), "out.bin: expected a name that ends in one of .safetensors, .npz")
    assert_refused(sapwood("convert", source, "-o", tmp_path / "out.npz"), "in.safetensors: h: NumPy has no type BF16")
    assert_refused(sapwood("convert", source, "-o", tmp_path / "out.npz", "--sparse"), "out.npz: npz stores tensors dense")
    assert_refused(sapwood("convert", source, "-o", tmp_path / "out.onnx"), "only a model in ONNX")
    assert_refused(sapwood("convert", source, "-o", source, "--force"), "in.safetensors: the output is the input")
    os.symlink(source, tmp_path / "link.safetensors")
    assert_refused(sapwood("convert", source, "-o", tmp_path / "link.safetensors", "--force"), "the output is the input")
    assert_refused(sapwood("convert", tmp_path / "none", "-o", out), "none: no such file or directory")
    assert_refused(sapwood("convert", source, "-o", tmp_path / "none/out.safetensors"), "the folder to write into does not exist")
    assert_refused(sapwood("convert", source, "-o", out, "--mask-in", tmp_path / "none"), "none: no such file")
    out.write_text("precious")
    assert_refused(sapwood("convert", source, "-o", out), "out.safetensors: exists already; --force overwrites it")
    assert out.read_text() == "precious" and source.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.safetensors", "link.safetensors", "out.safetensors"]


def test_trailing_bytes(sapwood, tmp_path, source):
    with open(source, "ab") as file:
        file.write(b"garbage")
    assert_refused(sapwood("convert", source, "-o", tmp_path / "b.safetensors"), "bytes of data, expected")
    convert(sapwood, source, tmp_path / "b.safetensors", "--lenient", "--sparse")
    assert_same(write(tmp_path / "c.safetensors", {"x.weight": ("F32", pruned((300, 300), 0.1)), "h": ("BF16", numpy.zeros(5, "<u2"))}),
                tmp_path / "b.safetensors")


def test_full_disk(sapwood, tmp_path, source):
    limited = f'ulimit -f 8; exec "{sapwood.path}" convert "{source}" --dense -o "{tmp_path}/out.safetensors"'
    done = subprocess.run(["bash", "-c", "trap '' XFSZ; " + limited], capture_output=True, text=True)
    assert_refused(done, "out.safetensors: file too large")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.safetensors"]
    if os.access("/dev/full", os.W_OK):
        assert_refused(sapwood("convert", source, "-o", "/dev/full", "--force"), "expected a name that ends in one of")


# ---- large ones ----


def test_ten_thousand_tensors(sapwood, tmp_path):
    array = pruned((40, 40), 0.05)
    tensors = {f"layer.{i}.weight": ("F32", array) for i in range(10000)}
    convert(sapwood, write(tmp_path / "a.safetensors", tensors), tmp_path / "b.safetensors", "--sparse")
    done = sapwood("compare", tmp_path / "a.safetensors", tmp_path / "b.safetensors", "--json")
    assert done.returncode == 0 and len(json.loads(done.stdout)["tensors"]) == 10000
    assert (tmp_path / "b.safetensors").stat().st_size < (tmp_path / "a.safetensors").stat().st_size / 8


PEAK = """
import resource, subprocess, sys
assert subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode == 0
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_file(sapwood, tmp_path):
    """256 MiB of weights, a tenth kept, in a few MiB."""
    array = numpy.tile(pruned((1 << 20,), 0.1), 16).reshape(1024, -1)
    path = write(tmp_path / "a.safetensors", {f"l{i}.weight": ("F32", array) for i in range(4)})
    for words in ([path, "--sparse", "-o", tmp_path / "b.safetensors"], [path, "-o", tmp_path / "c.safetensors"]):
        command = [sys.executable, "-c", PEAK, *sapwood.command("convert", *words)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) < 40 << 10
    assert path.stat().st_size > 8 * (tmp_path / "b.safetensors").stat().st_size
