"""NPY and NPZ: files of NumPy read, files of ours read by NumPy."""
import io
import struct
import zipfile

import numpy
import pytest
from checkpoint_file import Checkpoint, masked, random_masks, refusal
from safetensors_file import write

TYPES = ["<f4", "<f8", "<f2", "<i8", "<i4", "<i2", "|i1", "|u1", "<u2", "<u4", "<u8", "|b1", "<c8", ">f4", ">f8", ">f2",
         ">i8", ">u2", ">c8"]
SHAPES = [(), (1,), (5,), (3, 4), (70, 65), (2, 3, 4), (4, 1, 3, 2), (0, 3), (1, 1)]


def make(kind, shape, seed=0):
    random = numpy.random.RandomState(seed)
    values = random.uniform(-100, 100, shape) + (1j * random.uniform(-9, 9, shape) if "c" in kind else 0)
    values = values > 0 if kind == "|b1" else numpy.abs(values) if "u" in kind else values
    return numpy.asarray(values).astype(kind)  # an array, for scalars have no byte order


def native(array):
    return array.astype(array.dtype.newbyteorder("<"))


def equal(found, expected):
    return found.shape == expected.shape and found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", TYPES)
def test_npy(tmp_path, kind, order):
    for shape in SHAPES:
        array = numpy.asarray(make(kind, shape), order=order)
        numpy.save(tmp_path / "some.name.npy", array)
        with Checkpoint(tmp_path / "some.name.npy") as checkpoint:
            assert checkpoint.names == ["some.name"] and checkpoint.format == "npy"
            assert equal(checkpoint.load("some.name"), native(array))
            plain = kind[0] != ">" and (array.flags.c_contiguous or array.size < 2)
            assert checkpoint.mapped("some.name") == plain
            masks = random_masks({"some.name": array})
            checkpoint.rewrite(tmp_path / "out.npy", masks)
            checkpoint.rewrite(tmp_path / "same.npy")
        assert (tmp_path / "same.npy").read_bytes() == (tmp_path / "some.name.npy").read_bytes()
        again = numpy.load(tmp_path / "out.npy")
        assert again.dtype == array.dtype and again.flags.f_contiguous == array.flags.f_contiguous
        assert equal(native(again), native(masked(array, masks["some.name"])))


def arrays_of_all_kinds():
    return {f"{kind[1:]}.{'x'.join(map(str, shape))}/{order}{kind[0] == '>'}": numpy.asarray(make(kind, shape), order=order)
            for kind in TYPES for shape in SHAPES for order in "CF"}


@pytest.mark.parametrize("save", [numpy.savez, numpy.savez_compressed])
def test_npz(tmp_path, save):
    arrays = arrays_of_all_kinds()
    save(tmp_path / "all.npz", **arrays)
    with Checkpoint(tmp_path / "all.npz") as checkpoint:
        assert checkpoint.names == list(arrays) and checkpoint.format == "npz"
        for name, array in arrays.items():
            assert equal(checkpoint.load(name), native(array)), name
        assert checkpoint.mapped("f4.3x4/CFalse") == (save is numpy.savez)
        checkpoint.rewrite(tmp_path / "same.npz")
        masks = random_masks(arrays)
        checkpoint.rewrite(tmp_path / "out.npz", masks)
        checkpoint.rewrite(tmp_path / "one.npz", {"f4.3x4/CFalse": masks["f4.3x4/CFalse"]})
        checkpoint.convert(tmp_path / "converted.npz", masks)
    assert (tmp_path / "same.npz").read_bytes() == (tmp_path / "all.npz").read_bytes()
    for path in ("out.npz", "converted.npz"):
        assert zipfile.ZipFile(tmp_path / path).testzip() is None
        with numpy.load(tmp_path / path) as found:
            assert found.files == list(arrays)
            for name, array in arrays.items():
                again, expected = found[name], masked(array, masks[name])
                if path == "out.npz":
                    assert again.dtype == array.dtype and again.flags.f_contiguous == array.flags.f_contiguous
                    assert again.tobytes() == expected.tobytes(), name
                assert equal(native(again), native(expected)), name
    assert zipfile.ZipFile(tmp_path / "one.npz").testzip() is None
    with numpy.load(tmp_path / "one.npz") as found:
        for name, array in arrays.items():
            expected = masked(array, masks[name]) if name == "f4.3x4/CFalse" else array
            assert equal(native(found[name]), native(expected)), name


def test_large_member(tmp_path):
    """More than one piece of a stream, with elements that straddle pieces."""
    array = numpy.random.RandomState(1).standard_normal((700, 1001)).astype("f4")
    half = array.astype("f2")
    numpy.savez(tmp_path / "a.npz", x=array, y=half, z=array.T)
    numpy.savez_compressed(tmp_path / "b.npz", x=array, y=half, z=array.T)
    for name in ("a.npz", "b.npz"):
        with Checkpoint(tmp_path / name) as checkpoint:
            assert equal(checkpoint.load("z"), numpy.ascontiguousarray(array.T))
            masks = random_masks(checkpoint.arrays)
            checkpoint.rewrite(tmp_path / "out.npz", masks)
        with numpy.load(tmp_path / "out.npz") as found:
            assert equal(found["x"], masked(array, masks["x"])) and equal(found["y"], masked(half, masks["y"]))
            assert equal(numpy.ascontiguousarray(found["z"]), masked(array.T, masks["z"]))


def test_no_members(tmp_path):
    numpy.savez(tmp_path / "none.npz")
    with Checkpoint(tmp_path / "none.npz") as checkpoint:
        assert checkpoint.names == []
        checkpoint.rewrite(tmp_path / "out.npz")
        checkpoint.convert(tmp_path / "converted.npz")
    assert numpy.load(tmp_path / "converted.npz").files == []


def test_many_members(tmp_path):
    arrays = {f"layer.{i}.weight": numpy.full((2, 3), i, "f4") for i in range(10000)}
    numpy.savez(tmp_path / "many.npz", **arrays)
    with Checkpoint(tmp_path / "many.npz") as checkpoint:
        assert len(checkpoint.names) == 10000 and checkpoint.load("layer.9999.weight")[1, 2] == 9999
        checkpoint.convert(tmp_path / "out.npz", {name: numpy.zeros((2, 3), bool) for name in checkpoint.names[::2]})
    with numpy.load(tmp_path / "out.npz") as found:
        assert found["layer.9998.weight"].max() == 0 and found["layer.9999.weight"].min() == 9999


def test_streamed_archive(tmp_path):
    """A writer that cannot seek puts sizes and checksums behind the data."""

    class Pipe(io.RawIOBase):
        def __init__(self, path):
            self.file = open(path, "wb")

        def writable(self):
            return True

        def write(self, data):
            return self.file.write(data)

        def close(self):
            self.file.close()

    array = numpy.arange(12, dtype="f4").reshape(3, 4)
    content = io.BytesIO()
    numpy.save(content, array)
    pipe = Pipe(tmp_path / "pipe.npz")
    with zipfile.ZipFile(pipe, "w") as archive:
        for name in "ab":
            archive.writestr(name + ".npy", content.getvalue())
    pipe.close()
    with Checkpoint(tmp_path / "pipe.npz") as checkpoint:
        mask = array > 5
        checkpoint.rewrite(tmp_path / "out.npz", {"a": mask})
    assert zipfile.ZipFile(tmp_path / "out.npz").testzip() is None
    with numpy.load(tmp_path / "out.npz") as found:
        assert equal(found["a"], masked(array, mask)) and equal(found["b"], array)
    before, after = (tmp_path / "pipe.npz").read_bytes(), (tmp_path / "out.npz").read_bytes()
    assert len(before) == len(after) and sum(a != b for a, b in zip(before, after)) <= 6 * 4 + 12


# ---- bad files ----


def header(text, version=(1, 0)):
    length = struct.pack("<H" if version[0] == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text


GOOD = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"


@pytest.mark.parametrize("text", [
    GOOD, b'{"shape":(2,),"fortran_order":True,"descr":"<f4"}\n', b" { 'shape' : ( 2 , ) , 'descr':'<f4','fortran_order':False}  \n",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (2L,)}", b"{'descr': '=f4', 'fortran_order': False, 'shape': (1, 2)}",
])
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_spellings(tmp_path, text, version):
    path = tmp_path / "x.npy"
    path.write_bytes(header(text, version) + struct.pack("<2f", 1, 2))
    with Checkpoint(path) as checkpoint:
        assert checkpoint.load("x").ravel().tolist() == [1, 2]


@pytest.mark.parametrize("text, expected", [
    (b"", "a dict"), (b"{", "a key"), (b"{}", "each once"), (GOOD[:-1], "a key"), (GOOD + b"x", "nothing but spaces"),
    (GOOD.replace(b"<f4", b"|O"), "holds Python objects"), (GOOD.replace(b"<f4", b"<U5"), "elements of type <U5"),
    (GOOD.replace(b"<f4", b"|V2"), "elements of type |V2"), (GOOD.replace(b"<f4", b"<f16"), "elements of type <f16"),
    (GOOD.replace(b"<f4", b"<M8[ns]"), "elements of type <M8[ns]"), (GOOD.replace(b"<f4", b"<c16"), "elements of type"),
    (GOOD.replace(b"'<f4'", b"[('a', '<f4')]"), "records of several fields"), (GOOD.replace(b"'<f4'", b"4"), "the type as a string"),
    (GOOD.replace(b"<f4", b"?f4"), "elements of type ?f4"), (GOOD.replace(b"<f4", b""), "elements of type "),
    (GOOD.replace(b"False", b"Flase"), "True or False"), (GOOD.replace(b"False", b"0"), "True or False"),
    (GOOD.replace(b"shape", b"shapes"), "each once"), (GOOD.replace(b"shape", b"descr"), "each once"),
    (GOOD[:-1] + b"'extra': 1}", "each once"), (GOOD.replace(b"(2,)", b"2"), "the shape as a tuple"),
    (GOOD.replace(b"(2,)", b"(2)"), "a comma behind its only length"), (GOOD.replace(b"(2,)", b"(-2,)"), "a length of the shape"),
    (GOOD.replace(b"(2,)", b"(2 2)"), "a comma or a closing parenthesis"), (GOOD.replace(b"(2,)", b"(2,,)"), "a length of the shape"),
    (GOOD.replace(b"(2,)", b"(2.0,)"), "a comma or"), (GOOD.replace(b"(2,)", b"(2**3,)"), "a comma or"),
    (GOOD.replace(b"(2,)", b"(99999999999999999999,)"), "a length below 2^63"), (GOOD.replace(b"(2,)", b"(9223372036854775808,)"), "below 2^63"),
    (GOOD.replace(b"(2,)", b"(4294967296, 4294967296)"), "overflows"), (GOOD.replace(b"(2,)", b"(4611686018427387904, 4)"), "overflows"),
    (GOOD.replace(b"(2,)", b"(4611686018427387906,)"), "overflows"), (GOOD.replace(b"(2,)", b"(1, 1, 1, 1, 1, 1, 1, 1, 2)"), "more than 8 axes"),
    (GOOD.replace(b"(2,)", b"(3,)"), "8 bytes of data, expected 12"), (GOOD.replace(b"(2,)", b"(1,)"), "8 bytes of data, expected 4"),
    (GOOD.replace(b"(2,)", b"()"), "8 bytes of data, expected 4"), (GOOD.replace(b"'descr'", b"'de\\x73cr'"), "a key"),
    (GOOD + b" " * 10000, "NumPy header of 10057 bytes"), (b"{" * 9000, "a key"), (b"{'descr': __import__('os')}", "the type as a string"),
])
def test_bad_headers(tmp_path, text, expected):
    path = tmp_path / "bad.npy"
    path.write_bytes(header(text) + struct.pack("<2f", 1, 2))
    code, found = refusal(path)
    assert code in ("SAP_ERROR_FORMAT", "SAP_ERROR_UNSUPPORTED") and expected in found, found
    assert "bad.npy: bad: " in found
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
        archive.write(path, "inner.npy")
    code, found = refusal(tmp_path / "bad.npz")
    assert code in ("SAP_ERROR_FORMAT", "SAP_ERROR_UNSUPPORTED") and "bad.npz: inner: " in found and expected in found


def test_lying_length(tmp_path):
    path = tmp_path / "x.npy"
    for content in (b"\x93NUMPY", b"\x93NUMPY\1\0", b"\x93NUMPY\1\0\xff\xff", b"\x93NUMPY\2\0\xff\xff\xff\xff" + GOOD,
                    b"\x93NUMPY\4\0\0\0", b"\x93NUMPY\1\1\0\0{}", header(GOOD)[:-1]):
        path.write_bytes(content)
        code, text = refusal(path)
        assert code in ("SAP_ERROR_FORMAT", "SAP_ERROR_UNSUPPORTED") and "x.npy: x: " in text


def test_trailing_bytes(tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(header(GOOD) + bytes(9))
    assert "9 bytes of data, expected 8" in refusal(path)[1]
    assert refusal(path, lenient=True)[0] == "SAP_OK"
    numpy.savez(tmp_path / "x.npz", a=numpy.ones(3))
    with open(tmp_path / "x.npz", "ab") as file:
        file.write(b"garbage")
    assert "no end of a zip directory" in refusal(tmp_path / "x.npz")[1]
    assert refusal(tmp_path / "x.npz", lenient=True)[0] == "SAP_OK"


def test_zip_bomb(tmp_path):
    numpy.savez_compressed(tmp_path / "bomb.npz", a=numpy.zeros(10**7, "f4"))
    code, text = refusal(tmp_path / "bomb.npz", max_expand=100.0)
    assert code == "SAP_ERROR_FORMAT" and "bomb.npz: a: decoded it has 40000000 bytes, expected at most 100 times" in text
    with Checkpoint(tmp_path / "bomb.npz", max_expand=100.0) as checkpoint:
        with pytest.raises(Exception, match="expected at most 100 times"):
            checkpoint.rewrite(tmp_path / "out.npz", {"a": numpy.zeros(10**7, bool)})
        assert not (tmp_path / "out.npz").exists()
    assert refusal(tmp_path / "bomb.npz", max_expand=2000.0)[0] == "SAP_OK"


def test_damaged_data(tmp_path):
    numpy.savez_compressed(tmp_path / "x.npz", a=numpy.random.RandomState(0).uniform(size=5000))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[2000] ^= 255
    (tmp_path / "x.npz").write_bytes(content)
    code, text = refusal(tmp_path / "x.npz")
    assert code == "SAP_ERROR_FORMAT" and ("damaged" in text or "checksum" in text)


@pytest.mark.parametrize("method, expected", [(zipfile.ZIP_BZIP2, "another way than deflate"), (zipfile.ZIP_LZMA, "another way")])
def test_other_compressions(tmp_path, method, expected):
    content = io.BytesIO()
    numpy.save(content, numpy.ones(3))
    with zipfile.ZipFile(tmp_path / "x.npz", "w", method) as archive:
        archive.writestr("a.npy", content.getvalue())
    code, text = refusal(tmp_path / "x.npz")
    assert code == "SAP_ERROR_UNSUPPORTED" and f"a.npy: compressed in {expected}" in text


def test_no_arrays(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "without .npy members" in refusal(tmp_path / "x.npz")[1]


def test_same_name_twice(tmp_path):
    content = io.BytesIO()
    numpy.save(content, numpy.ones(3))
    with pytest.warns(UserWarning), zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", content.getvalue())
        archive.writestr("a.npy", content.getvalue())
    assert "two members of this name" in refusal(tmp_path / "x.npz")[1]


def test_overlapping_members(tmp_path):
    """Two records of the directory that point to the same bytes."""
    numpy.savez(tmp_path / "x.npz", a=numpy.ones(3), b=numpy.ones(3))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    first = content.index(b"PK\1\2")
    second = content.index(b"PK\1\2", first + 4)
    content[second + 42 : second + 46] = content[first + 42 : first + 46]
    content[second + 46] = ord("a")  # the local header's name is checked before
    (tmp_path / "x.npz").write_bytes(content)
    code, text = refusal(tmp_path / "x.npz")
    assert code == "SAP_ERROR_FORMAT" and "overlaps another member" in text


def test_types_without_a_name(tmp_path):
    """What NumPy has no type for is not written, and the way out is named."""
    write(tmp_path / "x.safetensors", {"w": ("BF16", numpy.zeros(1, "<u2"))})
    with Checkpoint(tmp_path / "x.safetensors") as checkpoint:
        with pytest.raises(Exception, match="w: NumPy has no type BF16; write to a .safetensors file"):
            checkpoint.convert(tmp_path / "x.npz")
    assert not (tmp_path / "x.npz").exists()
