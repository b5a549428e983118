"""The sparse form of tensors: every bit comes back, sizes, masks, the document; broken files."""
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy
import pytest
from checkpoint_file import DTYPES, NUMPY, Checkpoint, refusal
from conversion import SPARSE, assert_refused, assert_same, convert, network, pruned
from safetensors_file import framed, header_of, taken_apart, write

ROOT = Path(__file__).resolve().parent.parent


# ---- back and forth ----

DENSITIES = [0, 0.001, 0.02, 0.1, 0.4, 0.9, 1]
SHAPES = [(), (1,), (7,), (65,), (64, 3, 3, 3), (31, 33), (256, 256), (257, 256), (1, 1, 70000), (2, 1, 2, 1, 2, 1, 50, 40), (0, 4)]


def all_tensors():
    types = [name for name in NUMPY if name not in ("BOOL", "C64")]
    tensors = {}
    for d, density in enumerate(DENSITIES):
        for s, shape in enumerate(SHAPES):
            dtype = types[(d * len(SHAPES) + s) % len(types)]
            kind = NUMPY[dtype]
            array = numpy.abs(pruned(shape, density, d * 100 + s, "<f4")).astype(kind)
            tensors[f"{dtype}.{density}.{'x'.join(map(str, shape))}.weight"] = (dtype, array)
    tensors["flags"] = ("BOOL", pruned((50, 60), 0.1) != 0)
    tensors["waves"] = ("C64", pruned((50, 60), 0.1).astype("<c8"))
    return tensors


def test_all_types_and_densities(sapwood, tmp_path):
    source = write(tmp_path / "a.safetensors", all_tensors(), {"format": "pt", "é": "\n"})
    convert(sapwood, source, tmp_path / "b.safetensors", "--sparse")
    assert_same(source, tmp_path / "b.safetensors")
    assert (tmp_path / "b.safetensors").stat().st_size < source.stat().st_size / 2
    convert(sapwood, tmp_path / "b.safetensors", tmp_path / "c.safetensors", "--dense")
    assert not [name for name in header_of(tmp_path / "c.safetensors") if name.endswith(SPARSE)]
    assert header_of(tmp_path / "c.safetensors")["__metadata__"] == {"format": "pt", "é": "\n"}
    assert_same(source, tmp_path / "c.safetensors")
    for name in ("b", "c"):
        assert sapwood("compare", source, tmp_path / f"{name}.safetensors").returncode == 0


def test_same_bytes_whatever_way_and_number_of_threads(sapwood, tmp_path):
    source = write(tmp_path / "a.safetensors", all_tensors())
    convert(sapwood, source, tmp_path / "b.safetensors", "--sparse")
    expected = (tmp_path / "b.safetensors").read_bytes()
    convert(sapwood, tmp_path / "b.safetensors", tmp_path / "c.safetensors")  # as the input is: sparse
    assert (tmp_path / "c.safetensors").read_bytes() == expected
    for threads in ("1", "3"):
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        assert sapwood("convert", source, "--sparse", "-o", tmp_path / "d.safetensors", "--force", env=environment).returncode == 0
        assert (tmp_path / "d.safetensors").read_bytes() == expected


def test_minus_zero_survives(sapwood, tmp_path):
    for dtype, kind in (("F32", "<f4"), ("F64", "<f8"), ("F16", "<f2")):
        array = pruned((100, 100), 0.1, kind=kind)
        array[3, 4] = array[99, 99] = -0.0
        source = write(tmp_path / "a.safetensors", {"x.weight": (dtype, array)})
        convert(sapwood, source, tmp_path / "b.safetensors", "--sparse", "--force")
        with Checkpoint(tmp_path / "b.safetensors") as found:
            assert found.load("x.weight").tobytes() == array.tobytes()
            assert not found.mapped("x.weight")


def test_the_layout_of_the_file(sapwood, tmp_path):
    """The order of safetensors' own writer, aligned data, no tensor that is not described."""
    convert(sapwood, write(tmp_path / "a.safetensors", all_tensors()), tmp_path / "b.safetensors", "--sparse")
    content, header = (tmp_path / "b.safetensors").read_bytes(), header_of(tmp_path / "b.safetensors")
    (length,) = struct.unpack_from("<Q", content)
    assert length % 8 == 0 and header.pop("__metadata__") == {"sapwood.sparse": "1"}
    order = sorted(header, key=lambda name: header[name]["data_offsets"])
    ranks = [DTYPES.index(header[name]["dtype"]) for name in order]
    assert [(-rank, name) for rank, name in zip(ranks, order)] == sorted((-rank, name) for rank, name in zip(ranks, order))
    end = 0
    for name in order:
        assert header[name]["data_offsets"][0] == end
        end = header[name]["data_offsets"][1]
        size = numpy.dtype(NUMPY[header[name]["dtype"]]).itemsize
        assert (8 + length + header[name]["data_offsets"][0]) % size == 0, name
    assert 8 + length + end == len(content)


# ---- sizes ----


@pytest.mark.parametrize("density, least", [(0.5, 1.85), (0.2, 4.3), (0.1, 8.0), (0.05, 16), (0.02, 38)])
def test_sizes(sapwood, tmp_path, density, least):
    tensors = network(density)
    source = write(tmp_path / "a.safetensors", tensors)
    found = json.loads(convert(sapwood, source, tmp_path / "b.safetensors", "--sparse", "--json"))
    size = (tmp_path / "b.safetensors").stat().st_size
    print(f"density {density}: {source.stat().st_size / size:.2f} times smaller")
    assert source.stat().st_size / size >= least
    assert found["file_bytes"] == size and found["bytes"] == sum(array.nbytes for _, array in tensors.values())
    assert found["ratio"] == pytest.approx(found["bytes"] / size, rel=1e-8)
    assert {tensor["form"] for tensor in found["tensors"]} == {"sparse"}
    assert sum(tensor["stored"] for tensor in found["tensors"]) < size


def test_never_larger_than_dense(tmp_path):
    for shape in [(1,), (3, 5), (16, 16), (20, 20), (40, 40), (300, 300)]:
        for density in (0.5, 0.8, 0.9, 0.95, 0.97, 0.99, 1):
            for dtype, kind in (("F32", "<f4"), ("I8", "i1"), ("BOOL", "?"), ("F64", "<f8")):
                source = write(tmp_path / "a.safetensors", {"\x01\n" * 9: (dtype, pruned(shape, density).astype(kind))})
                with Checkpoint(source) as checkpoint:
                    checkpoint.convert(tmp_path / "b.safetensors", sparse=True)
                    checkpoint.convert(tmp_path / "c.safetensors")
                assert (tmp_path / "b.safetensors").stat().st_size <= (tmp_path / "c.safetensors").stat().st_size
                assert_same(source, tmp_path / "b.safetensors")


# ---- masks ----


def bits(mask):
    return numpy.packbits(mask.ravel(), bitorder="little")


def test_a_kept_zero_stays_kept(sapwood, tmp_path):
    array = pruned((300, 300), 0.1)
    mask = array != 0
    mask[0, :20] = True
    mask[299, 290:] = False
    source = write(tmp_path / "a.safetensors", {"x.weight": ("F32", array), "x.bias": ("F32", array[0])})
    masks = write(tmp_path / "m.safetensors", {"x.weight.mask": ("U8", bits(mask))})
    convert(sapwood, source, tmp_path / "b.safetensors", "--sparse", "--mask-in", masks)
    convert(sapwood, tmp_path / "b.safetensors", tmp_path / "c.safetensors")  # once more, from the file's own mask
    for name in ("b", "c"):
        path = tmp_path / f"{name}.safetensors"
        values = numpy.prod(header_of(path)["x.weight.sapwood.values"]["shape"])
        assert values == mask.sum()
        with Checkpoint(path) as found:
            assert found.load("x.weight").tobytes() == numpy.where(mask, array, numpy.float32(0)).tobytes()
    done = sapwood("measure", tmp_path / "c.safetensors", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tensors"][0]["kept"] == mask.sum()
    # another mask over the same values is seen
    convert(sapwood, source, tmp_path / "d.safetensors", "--sparse")
    done = sapwood("compare", tmp_path / "c.safetensors", tmp_path / "d.safetensors")
    assert done.returncode == 1


def test_the_mask_of_a_tiny_tensor_survives(sapwood, tmp_path):
    """The sparse form is larger there; the dense one would lose what the mask says."""
    array = pruned((4, 1, 3, 3), 0.5)
    mask = array != 0
    mask[0, 0, 0] = True
    source = write(tmp_path / "a.safetensors", {"x.weight": ("F32", array), "y.weight": ("F32", array)})
    masks = write(tmp_path / "m.safetensors", {"x.weight.mask": ("U8", bits(mask)), "y.weight.mask": ("U8", bits(mask | True))})
    convert(sapwood, source, tmp_path / "b.safetensors", "--sparse", "--mask-in", masks)
    header = header_of(tmp_path / "b.safetensors")
    assert set(header) == {"x.weight" + SPARSE[0], "x.weight" + SPARSE[1], "y.weight", "__metadata__"}
    done = sapwood("measure", tmp_path / "b.safetensors", "--json")
    kept = {tensor["name"]: tensor["kept"] for tensor in json.loads(done.stdout)["tensors"]}
    assert kept == {"x.weight": mask.sum(), "y.weight": mask.size}


def test_zeros_as_the_mask(sapwood, tmp_path):
    """-0, as multiplying by a mask leaves it, is kept bit by bit or pruned when asked."""
    random = numpy.random.RandomState(3)
    array = random.standard_normal((400, 400)).astype("<f4") * (random.uniform(size=(400, 400)) < 0.1)
    array = array.astype("<f4")
    assert numpy.signbit(array[array == 0]).any()
    source = write(tmp_path / "a.safetensors", {"x.weight": ("F32", array)})
    hint = "values stored are 0 or -0: --mask-in zeros prunes them"
    first = convert(sapwood, source, tmp_path / "bits.safetensors", "--sparse").splitlines()[0]
    assert hint in first and first.startswith(f"{(numpy.signbit(array) & (array == 0)).sum():,} of the ")
    assert hint not in convert(sapwood, source, tmp_path / "zeros.safetensors", "--sparse", "--mask-in", "zeros")
    assert source.stat().st_size / (tmp_path / "zeros.safetensors").stat().st_size > 8
    assert source.stat().st_size / (tmp_path / "bits.safetensors").stat().st_size < 2
    assert sapwood("compare", source, tmp_path / "zeros.safetensors").returncode == 0
    assert_same(source, tmp_path / "bits.safetensors")


# ---- the document ----


def test_reader_of_the_document(sapwood, tmp_path):
    """The program in docs/sparse-format.md reads what we write."""
    text = (ROOT / "docs/sparse-format.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    tensors = {f"{d}.weight": ("F32", pruned((80, 1000), density, d)) for d, density in enumerate([0.9, 0.4, 0.1, 0.01, 0, 0.001])}
    convert(sapwood, write(tmp_path / "a.safetensors", tensors), tmp_path / "b.safetensors", "--sparse")
    done = subprocess.run([sys.executable, "-B", "-c", code, tmp_path / "b.safetensors"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = [f"{name} {array.shape} {(array != 0).mean():.4f} {numpy.abs(array.astype('f8')).sum():.6g}"
                for name, (_, array) in tensors.items()]
    assert sorted(done.stdout.splitlines()) == sorted(expected)


def test_sizes_of_the_document(sapwood, tmp_path):
    """The table, from a layer of a million weights: its numbers are correct to the digits that they have."""
    text = (ROOT / "docs/sparse-format.md").read_text(encoding="utf-8")
    row = {name.strip(" `"): numbers.split("|") for name, numbers in re.findall(r"^\| ([^|]*) \|(.*[0-9].*)\|$", text, re.M)}
    ours, least, gzip = row["this form"], row["the least there is (entropy of the positions)"], row["the dense file, `gzip -6"]
    for i, density in enumerate((0.5, 0.2, 0.1, 0.05, 0.02)):
        source = write(tmp_path / "a.safetensors", {"x.weight": ("F32", pruned((1000, 1000), density))})
        convert(sapwood, source, tmp_path / "b.safetensors", "--sparse", "--force")
        size = source.stat().st_size
        assert size / (tmp_path / "b.safetensors").stat().st_size == pytest.approx(float(ours[i]), rel=0.012)
        assert size / len(zlib.compress(source.read_bytes(), 6)) == pytest.approx(float(gzip[i]), rel=0.012)
        entropy = -density * numpy.log2(density) - (1 - density) * numpy.log2(1 - density)
        assert 32 / (32 * density + entropy) == pytest.approx(float(least[i]), rel=0.012)


# ---- broken files, and bombs ----


def test_names_of_parts_are_refused(sapwood, tmp_path):
    for suffix in SPARSE:
        numpy.savez(tmp_path / "a.npz", **{"x" + suffix: numpy.ones(3)})
        assert_refused(sapwood("convert", tmp_path / "a.npz", "-o", tmp_path / "b.safetensors"), "marks parts of sparse tensors")
    assert not (tmp_path / "b.safetensors").exists()



def parts(path):
    """The two parts of a tensor x.weight in sparse form."""
    header, data = taken_apart(path)
    found = {}
    for suffix in SPARSE:
        begin, end = header["x.weight" + suffix]["data_offsets"]
        found[suffix] = bytearray(data[begin:end])
    return found[SPARSE[0]], found[SPARSE[1]]


def write_parts(path, values, index, dtype="F32", names=("x.weight" + SPARSE[0], "x.weight" + SPARSE[1])):
    size = {"F32": 4, "U8": 1, "F4": 1}[dtype]
    header = {names[0]: {"dtype": dtype, "shape": [len(values) // size * (2 if dtype == "F4" else 1)], "data_offsets": [0, len(values)]},
              names[1]: {"dtype": "U8", "shape": [len(index)], "data_offsets": [len(values), len(values) + len(index)]}}
    path.write_bytes(framed(header, bytes(values) + bytes(index)))
    return path


def changed(index, at, data):
    index = bytearray(index)
    index[at : at + len(data)] = data
    return index


def test_broken_sparse_files(sapwood, tmp_path):
    convert(sapwood, write(tmp_path / "a.safetensors", {"x.weight": ("F32", pruned((300, 300), 0.1))}), tmp_path / "b.safetensors", "--sparse")
    values, index = parts(tmp_path / "b.safetensors")
    path = tmp_path / "bad.safetensors"
    write_parts(path, values, index)
    assert refusal(path)[0] == "SAP_OK"
    count = struct.pack("<Q", 2**40)
    cases = [
        ((values, index[:7]), "shorter than its head"), ((values, index[:12]), "shorter than its head"),
        ((values, index[:39]), "too short for the blocks"), ((values, changed(index, 0, b"\2")), "not of version 1"),
        ((values, changed(index, 2, b"\1")), "not of version 1"), ((values, changed(index, 1, b"\x09")), "more than 8 axes"),
        ((values, changed(index, 8, count)), "too short for the blocks"),
        ((values, changed(index, 8, count + count)), "overflows"), ((values, changed(index, 8, bytes(8))), "no elements"),
        ((values, index[:-1]), "another length than its blocks"), ((values, index + b"\0"), "another length than its blocks"),
        ((values[:-4], index), "another number of weights"), ((values + bytes(4), index), "another number of weights"),
        ((values, changed(index, 24, struct.pack("<I", 65537))), "more weights than it has"),
        ((values, changed(index, 30, struct.pack("<H", 16))), "above 15"),
        ((values, changed(index, 28, struct.pack("<H", 5))), "too short for its kept weights"),
        ((values, changed(index, len(index) - 1, bytes([index[-1] | 0x80]))), "code"),
        ((values, changed(index, 60, b"\xff" * 30)), "code"),
    ]
    for (v, i), expected in cases:
        code, text = refusal(write_parts(path, v, i))
        assert code == "SAP_ERROR_FORMAT" and expected in text and "bad.safetensors: x.weight: " in text, (expected, text)
        done = sapwood("measure", path)
        assert_refused(done, expected)
    assert "values of less than a byte" in refusal(write_parts(path, bytes(8), index, "F4"))[1]
    for k, suffix in enumerate(SPARSE):
        names = ["x.weight" + SPARSE[0], "x.weight" + SPARSE[1]]
        names[k] = "other"
        assert f"there is no tensor with {suffix} instead" in refusal(write_parts(path, values, index, names=names))[1]


def test_beside_a_dense_one_of_its_name(sapwood, tmp_path):
    convert(sapwood, write(tmp_path / "a.safetensors", {"x.weight": ("F32", pruned((300, 300), 0.1))}), tmp_path / "b.safetensors", "--sparse")
    values, index = parts(tmp_path / "b.safetensors")
    write(tmp_path / "c.safetensors", {"x.weight" + SPARSE[0]: ("F32", numpy.frombuffer(values, "<f4")), "x.weight": ("F32", numpy.zeros(3, "<f4")),
                                       "x.weight" + SPARSE[1]: ("U8", numpy.frombuffer(index, "u1"))})
    assert "two tensors of this name" in refusal(tmp_path / "c.safetensors")[1]


def test_many_zeros_from_few_bytes(tmp_path):
    """A file of a hundred bytes that stands for more than the reader is ready to take."""
    blocks = 4000
    index = bytes([1, 1]) + bytes(6) + struct.pack("<Q", blocks * 65536) + bytes(8 * blocks)
    code, text = refusal(write_parts(tmp_path / "bomb.safetensors", b"", index))
    assert code == "SAP_ERROR_FORMAT" and "expected at most 1000 times the file's" in text


def test_a_network_of_hardly_any_weights(sapwood, tmp_path):
    """What is pruned that far decodes to more than 1000 times the file, when that is asked for."""
    array = numpy.zeros((2000, 2000), "<f4")
    array[7, 8] = 1
    source = write(tmp_path / "a.safetensors", {"x.weight": ("F32", array)})
    convert(sapwood, source, tmp_path / "b.safetensors", "--sparse")
    assert (tmp_path / "b.safetensors").stat().st_size < source.stat().st_size / 10000
    assert_refused(sapwood("compare", source, tmp_path / "b.safetensors"), "expected at most 1000 times the file's")
    for words in (["--max-expand", "0.5"], ["--max-expand", "many"]):
        assert_refused(sapwood("compare", source, tmp_path / "b.safetensors", *words), "expected 1 <= X", 2)
    done = sapwood("compare", source, tmp_path / "b.safetensors", "--max-expand", "1e6")
    assert done.returncode == 0, done.stderr
    convert(sapwood, tmp_path / "b.safetensors", tmp_path / "c.safetensors", "--dense", "--max-expand", "1e6")
    assert_same(source, tmp_path / "c.safetensors")
