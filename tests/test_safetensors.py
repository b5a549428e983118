"""safetensors against second opinions: a reader and a writer in NumPy, and the reference package where it is installed."""

import ctypes as c
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest

LIBRARY = c.CDLL(str(Path(os.environ["SAPWOOD_BUILD"]) / "libsapwood.so"))

DTYPES = ("BOOL F4 F6_E2M3 F6_E3M2 U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ I16 U16 F16 BF16 I32 U32 F32 "
          "C64 F64 I64 U64").split()
NUMPY = {"BOOL": "?", "U8": "u1", "I8": "i1", "I16": "<i2", "U16": "<u2", "F16": "<f2", "I32": "<i4", "U32": "<u4",
         "F32": "<f4", "C64": "<c8", "F64": "<f8", "I64": "<i8", "U64": "<u8"}
NAME_OF = {np.dtype(code): name for name, code in NUMPY.items()}


class Tensor(c.Structure):
    _fields_ = [("name", c.c_char_p), ("dtype", c.c_int), ("rank", c.c_int), ("shape", c.c_uint64 * 8),
                ("count", c.c_uint64), ("bytes", c.c_uint64), ("data", c.c_void_p)]


class Pair(c.Structure):
    _fields_ = [("key", c.c_char_p), ("value", c.c_char_p)]


class Error(c.Structure):
    _fields_ = [("code", c.c_int), ("text", c.c_char * 240)]


def declare(name, result, *arguments):
    function = getattr(LIBRARY, name)
    function.restype, function.argtypes = result, arguments
    return function


sap_open = declare("sap_safetensors_open", c.c_int, c.c_char_p, c.POINTER(c.c_void_p), c.POINTER(Error))
sap_close = declare("sap_safetensors_close", None, c.c_void_p)
sap_count = declare("sap_safetensors_count", c.c_size_t, c.c_void_p)
sap_at = declare("sap_safetensors_at", c.POINTER(Tensor), c.c_void_p, c.c_size_t)
sap_metadata_all = declare("sap_safetensors_metadata_all", c.POINTER(Pair), c.c_void_p, c.POINTER(c.c_size_t))
sap_write = declare("sap_safetensors_write", c.c_int, c.c_char_p, c.POINTER(Tensor), c.c_size_t, c.POINTER(Pair),
                    c.c_size_t, c.POINTER(Error))


def library_write(path, arrays, metadata=()):
    tensors = (Tensor * len(arrays))()
    for tensor, (name, array) in zip(tensors, arrays.items()):
        tensor.name, tensor.rank, tensor.count, tensor.bytes = name.encode(), array.ndim, array.size, array.nbytes
        tensor.dtype = DTYPES.index(NAME_OF[array.dtype])
        tensor.shape[:array.ndim] = array.shape
        tensor.data = array.ctypes.data
    pairs = (Pair * len(metadata))(*[Pair(k.encode(), v.encode()) for k, v in metadata])
    error = Error()
    status = sap_write(str(path).encode(), tensors, len(tensors), pairs, len(pairs), error)
    assert status == 0, error.text


def library_read(path):
    """Arrays (of bytes where NumPy lacks the type) by name in the order of the data, and the metadata."""
    handle, error = c.c_void_p(), Error()
    status = sap_open(str(path).encode(), handle, error)
    assert status == 0, error.text
    arrays, length = {}, c.c_size_t()
    for i in range(sap_count(handle)):
        tensor = sap_at(handle, i).contents
        shape = tuple(tensor.shape[:tensor.rank])
        data = c.string_at(tensor.data, tensor.bytes)
        arrays[tensor.name.decode()] = decode(DTYPES[tensor.dtype], shape, data)
    pairs = sap_metadata_all(handle, length)
    metadata = {pairs[i].key.decode(): pairs[i].value.decode() for i in range(length.value)}
    sap_close(handle)
    return arrays, metadata


def decode(dtype, shape, data):
    return np.frombuffer(data, NUMPY[dtype]).reshape(shape) if dtype in NUMPY else data


def numpy_read(path):
    """The format as its document says, in a dozen lines; also the promises of our writer beyond it."""
    raw = Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", raw)
    text, data = raw[8:8 + length], raw[8 + length:]
    assert text[:1] == b"{" and (8 + length) % 64 == 0
    header = json.loads(text.decode())
    metadata = header.pop("__metadata__", {})
    arrays, end = {}, 0
    for name, entry in header.items():
        begin, stop = entry["data_offsets"]
        assert begin == end
        end = stop
        if entry["dtype"] in NUMPY:
            assert begin % np.dtype(NUMPY[entry["dtype"]]).itemsize == 0
        arrays[name] = decode(entry["dtype"], entry["shape"], data[begin:stop])
    assert end == len(data)
    return arrays, metadata


def numpy_write(path, entries, data, before=b"", after=b""):
    text = before + json.dumps(entries).encode() + after
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


def sample_arrays():
    rng = np.random.default_rng(1)
    arrays = {}
    for i, code in enumerate(NUMPY.values()):
        for j, shape in enumerate([(), (3,), (2, 5), (0, 4), (1, 2, 3, 1, 2)]):
            data = rng.integers(0, 256, int(np.prod(shape)) * np.dtype(code).itemsize, np.uint8)
            data = data & 1 if code == "?" else data
            arrays[f"layer{i}.{j}.gewicht-é"] = np.frombuffer(data.tobytes(), code).reshape(shape)
    return arrays


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name  # NaN compares as its bits


def test_library_writes_numpy_reads(tmp_path):
    arrays, metadata = sample_arrays(), [("format", "np"), ("by", "ü\"\\\n")]
    library_write(tmp_path / "x", arrays, metadata)
    found, pairs = numpy_read(tmp_path / "x")
    assert_same(found, arrays)
    assert list(pairs.items()) == metadata


def test_numpy_writes_library_reads(tmp_path):
    """Entries out of order, nothing aligned, white space around, every name escaped."""
    arrays = sample_arrays()
    entries, data = {}, b""
    for name, array in sorted(arrays.items(), reverse=True):
        entries[name] = {"data_offsets": [len(data), len(data) + array.nbytes], "shape": list(array.shape),
                         "dtype": NAME_OF[array.dtype]}
        data += array.tobytes()
    shuffled = dict(sorted(entries.items()))
    shuffled["__metadata__"] = {"k": "v"}
    numpy_write(tmp_path / "x", shuffled, data, before=b" \n", after=b"\t  ")
    found, metadata = library_read(tmp_path / "x")
    assert_same(found, arrays)
    assert metadata == {"k": "v"}


@pytest.mark.parametrize("dtype", [name for name in DTYPES if name not in NUMPY])
def test_types_numpy_lacks(tmp_path, dtype):
    data = bytes(range(12))
    shape = {"F4": [4, 6], "F6_E2M3": [16], "F6_E3M2": [16], "BF16": [6]}.get(dtype, [3, 4])
    numpy_write(tmp_path / "x", {"t": {"dtype": dtype, "shape": shape, "data_offsets": [0, 12]}}, data)
    assert library_read(tmp_path / "x")[0] == {"t": data}


def test_larger_than_one_page(tmp_path):
    arrays = {"big": np.arange(1 << 20, dtype="<f4").reshape(1024, 1024), "small": np.arange(3, dtype="u1")}
    library_write(tmp_path / "x", arrays)
    assert_same(library_read(tmp_path / "x")[0], arrays)
    assert_same(numpy_read(tmp_path / "x")[0], arrays)


def test_reference_package_both_ways(tmp_path):
    reference = pytest.importorskip("safetensors.numpy", reason="the reference package safetensors is not installed")
    arrays = {k: v for k, v in sample_arrays().items() if v.dtype != np.dtype("<c8")}
    library_write(tmp_path / "ours", arrays, [("format", "np")])
    assert_same(reference.load_file(tmp_path / "ours"), arrays)
    reference.save_file(arrays, tmp_path / "theirs", metadata={"format": "np"})
    found, metadata = library_read(tmp_path / "theirs")
    assert_same(found, arrays)
    assert metadata == {"format": "np"}
