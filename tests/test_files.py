"""measure, prune and compare on files that NumPy writes: every number calculated again in float64."""
import json

import numpy
import pytest
from conftest import read_safetensors, write_safetensors

SHAPES = {"conv.weight": (6, 4, 3, 3), "fc.weight": (10, 37), "fc.bias": (10,)}
WEIGHTS = ["conv.weight", "fc.weight"]


@pytest.fixture
def arrays():
    random = numpy.random.RandomState(5)
    return {name: random.standard_normal(shape).astype("<f4") for name, shape in SHAPES.items()}


@pytest.fixture
def model(tmp_path, arrays):
    return write_safetensors(tmp_path / "model.safetensors", arrays)


def pq_index(w, p, q):
    w = numpy.abs(w.astype(numpy.float64)).ravel()
    return 1 - numpy.mean(w**p) ** (1 / p) / numpy.mean(w**q) ** (1 / q)


def whole(arrays):
    return numpy.concatenate([arrays[name].ravel() for name in WEIGHTS])


@pytest.mark.parametrize("p,q", [(0.5, 1), (1, 2), (0.3, 1.7)])
def test_measure(sapwood, model, arrays, p, q):
    done = sapwood("measure", model, "--p", p, "--q", q, "--gini", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [tensor["name"] for tensor in found["tensors"]] == WEIGHTS
    for tensor in found["tensors"]:
        w = arrays[tensor["name"]]
        assert tensor["pqi"] == pytest.approx(pq_index(w, p, q), rel=1e-6)
        assert tensor["count"] == w.size and tensor["shape"] == list(w.shape) and tensor["dtype"] == "F32"
    d, index = whole(arrays).size, pq_index(whole(arrays), p, q)
    assert found["global"]["pqi"] == pytest.approx(index, rel=1e-6)
    assert found["global"]["retain"] == pytest.approx(d * (1 - index) ** (q * p / (q - p)), rel=1e-6)


def test_measure_npz_and_numpy_agree(sapwood, tmp_path, arrays):
    numpy.savez(tmp_path / "model.npz", **arrays)
    numpy.savez_compressed(tmp_path / "small.npz", **arrays)
    for name in ("model.npz", "small.npz"):
        done = sapwood("measure", tmp_path / name, "--json")
        assert done.returncode == 0, done.stderr
        for tensor in json.loads(done.stdout)["tensors"]:
            assert tensor["pqi"] == pytest.approx(pq_index(arrays[tensor["name"]], 0.5, 1), rel=1e-6)


def test_measure_rows(sapwood, model, arrays):
    done = sapwood("measure", model, "--scope", "neuron", "--json")
    for tensor in json.loads(done.stdout)["tensors"]:
        w = arrays[tensor["name"]]
        rows = w.reshape(w.shape[0], -1)
        assert tensor["neurons"]["pqi"] == pytest.approx([pq_index(row, 0.5, 1) for row in rows], rel=1e-6)


def smallest(arrays, count):
    """Masks without the `count` smallest magnitudes, ties by position."""
    w = numpy.abs(whole(arrays))
    keep = numpy.ones(w.size, bool)
    keep[numpy.argsort(w, kind="stable")[:count]] = False
    masks, at = {}, 0
    for name in WEIGHTS:
        size = arrays[name].size
        masks[name] = keep[at : at + size].reshape(arrays[name].shape)
        at += size
    return masks


def assert_pruned(path, arrays, masks):
    found = read_safetensors(path)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        expected = numpy.where(masks[name], array, numpy.float32(0)) if name in masks else array
        assert found[name].tobytes() == expected.tobytes(), name


def test_prune_by_the_bound(sapwood, model, arrays, tmp_path):
    done = sapwood("prune", model, "-o", tmp_path / "out.safetensors")
    assert done.returncode == 0, done.stderr
    assert_pruned(tmp_path / "out.safetensors", arrays, smallest(arrays, int(whole(arrays).size * pq_index(whole(arrays), 0.5, 1))))


def test_prune_to_a_density_and_on(sapwood, model, arrays, tmp_path):
    size = whole(arrays).size
    done = sapwood("prune", model, "-o", tmp_path / "half.safetensors", "--density", "0.5")
    assert done.returncode == 0, done.stderr
    assert_pruned(tmp_path / "half.safetensors", arrays, smallest(arrays, size - size // 2))
    done = sapwood("prune", tmp_path / "half.safetensors", "-o", tmp_path / "less.safetensors", "--method", "ratio",
                   "--ratio", "0.5", "--mask-in", tmp_path / "half.safetensors.mask.safetensors")
    assert done.returncode == 0, done.stderr
    assert_pruned(tmp_path / "less.safetensors", arrays, smallest(arrays, size - size // 2 + size // 2 // 2))


def test_prune_refuses(sapwood, model, tmp_path):
    before = model.read_bytes()
    assert sapwood("prune", model, "-o", model, "--force").returncode == 1
    (tmp_path / "there.safetensors").write_text("precious")
    done = sapwood("prune", model, "-o", tmp_path / "there.safetensors")
    assert done.returncode == 1 and "--force" in done.stderr
    assert (tmp_path / "there.safetensors").read_text() == "precious" and model.read_bytes() == before


def test_nonfinite_is_named(sapwood, arrays, tmp_path):
    arrays["fc.weight"][3, 4] = numpy.nan
    model = write_safetensors(tmp_path / "nan.safetensors", arrays)
    done = sapwood("measure", model)
    assert done.returncode == 1 and "fc.weight" in done.stderr and str(3 * 37 + 4) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sapwood("measure", model, "--skip-nonfinite").returncode == 0


def test_compare(sapwood, model, arrays, tmp_path):
    same = write_safetensors(tmp_path / "same.safetensors", arrays)
    assert sapwood("compare", model, same).returncode == 0
    arrays["fc.weight"][2, 5] += 0.25
    other = write_safetensors(tmp_path / "other.safetensors", arrays)
    done = sapwood("compare", model, other)
    assert done.returncode == 1 and "fc.weight" in done.stdout and str(2 * 37 + 5) in done.stdout


@pytest.mark.parametrize("content", [b"", b"hello, world, this is no checkpoint at all", b"\x00" * 100])
def test_unknown_files(sapwood, tmp_path, content):
    (tmp_path / "x.bin").write_bytes(content)
    done = sapwood("measure", tmp_path / "x.bin")
    assert (done.returncode, done.stdout) == (1, "")
    found = "of no known format" if content else "empty"
    assert done.stderr == (f"sapwood measure: {str(tmp_path / 'x.bin')[-120:]}: {found}, expected a checkpoint "
                           "(safetensors, ONNX, NPY, NPZ, or a zip file of PyTorch)\n")


def test_pruning_does_not_write_one_format_under_the_name_of_another(sapwood, model, tmp_path):
    done = sapwood("prune", model, "-o", tmp_path / "out.npz")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (f"sapwood prune: {str(tmp_path / 'out.npz')[-120:]}: would hold the input's format, safetensors: "
                           "expected a name that does not end in .npz, or a conversion\n")
    assert not list(tmp_path.glob("out*"))
    assert sapwood("prune", model, "-o", tmp_path / "no-ending").returncode == 0
