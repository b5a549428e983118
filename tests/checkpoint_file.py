"""Checkpoints through the library's own functions, for the tests of formats."""
import ctypes
import os
from pathlib import Path

import numpy
from structs import Error

ROOT = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("SAPWOOD_BUILD", ROOT / "build"))
DTYPES = ["BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
          "I16", "U16", "F16", "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64"]
NUMPY = {"BOOL": "?", "U8": "u1", "I8": "i1", "I16": "<i2", "U16": "<u2", "F16": "<f2", "BF16": "<u2", "I32": "<i4",
         "U32": "<u4", "F32": "<f4", "C64": "<c8", "F64": "<f8", "I64": "<i8", "U64": "<u8", "F8_E5M2": "u1",
         "F8_E4M3": "u1", "F8_E4M3FNUZ": "u1", "F8_E5M2FNUZ": "u1", "F8_E8M0": "u1"}


class Tensor(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("dtype", ctypes.c_int), ("rank", ctypes.c_int),
                ("shape", ctypes.c_uint64 * 8), ("count", ctypes.c_uint64), ("bytes", ctypes.c_uint64),
                ("data", ctypes.c_void_p)]


class Options(ctypes.Structure):
    _fields_ = [("lenient", ctypes.c_int), ("max_expand", ctypes.c_double)]


class Refused(Exception):
    """A call that failed, with the library's text."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def _library():
    library = ctypes.CDLL(str(BUILD / "libsapwood.so"))
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    library.sap_status_name.restype = ctypes.c_char_p
    library.sap_checkpoint_open.argtypes = [ctypes.c_char_p, pointer, pointer, pointer]
    library.sap_checkpoint_close.argtypes = [pointer]
    library.sap_checkpoint_format.argtypes, library.sap_checkpoint_format.restype = [pointer], ctypes.c_char_p
    library.sap_checkpoint_count.argtypes, library.sap_checkpoint_count.restype = [pointer], size
    library.sap_checkpoint_at.argtypes, library.sap_checkpoint_at.restype = [pointer, size], ctypes.POINTER(Tensor)
    library.sap_checkpoint_load.argtypes = [pointer, size, pointer]
    library.sap_checkpoint_mapped.argtypes = [pointer, size]
    library.sap_checkpoint_rewrite.argtypes = [pointer, pointer, ctypes.c_char_p, pointer]
    library.sap_checkpoint_convert.argtypes = [pointer, pointer, ctypes.c_int, ctypes.c_char_p, pointer]
    return library


class Checkpoint:
    """An open checkpoint: `arrays` maps names to NumPy copies (bf16 as its 16 bits, fp8 as bytes)."""

    library = None

    def __init__(self, path, lenient=False, max_expand=1000.0):
        Checkpoint.library = Checkpoint.library or _library()
        self.handle, options = ctypes.c_void_p(), Options(lenient, max_expand)
        self._call("open", os.fsencode(path), ctypes.byref(options), ctypes.byref(self.handle))
        tensors = [self._tensor(i) for i in range(self.library.sap_checkpoint_count(self.handle))]
        self.names = [tensor.name.decode() for tensor in tensors]
        self.dtypes = {tensor.name.decode(): DTYPES[tensor.dtype] for tensor in tensors}
        self.shapes = {tensor.name.decode(): tuple(tensor.shape[: tensor.rank]) for tensor in tensors}
        self.format = self.library.sap_checkpoint_format(self.handle).decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.library.sap_checkpoint_close(self.handle)

    def _tensor(self, i):
        return self.library.sap_checkpoint_at(self.handle, i).contents

    def _call(self, function, *arguments):
        error = Error()
        code = getattr(self.library, "sap_checkpoint_" + function)(*arguments, ctypes.byref(error))
        if code:
            text = error.text.decode()
            assert error.code == code and text and text.isprintable(), (code, text)
            raise Refused(self.library.sap_status_name(code).decode(), text)

    def load(self, name):
        i = self.names.index(name)
        self._call("load", self.handle, i)
        tensor = self._tensor(i)
        kind = NUMPY[DTYPES[tensor.dtype]]
        return numpy.frombuffer(ctypes.string_at(tensor.data, tensor.bytes), kind).reshape(self.shapes[name])

    def mapped(self, name):
        return bool(self.library.sap_checkpoint_mapped(self.handle, self.names.index(name)))

    @property
    def arrays(self):
        return {name: self.load(name) for name in self.names}

    def _masks(self, masks):
        """Boolean arrays by name (None or absent: all kept) as the library's pointers."""
        if masks is None:
            return None
        self.kept_alive, pointers = [], (ctypes.c_void_p * max(1, len(self.names)))()
        for i, name in enumerate(self.names):
            if masks.get(name) is None:
                continue
            bits = numpy.packbits(numpy.ascontiguousarray(masks[name]).ravel(), bitorder="little")
            words = numpy.zeros((len(bits) + 7) // 8 + 1, "<u8")
            words.view("u1")[: len(bits)] = bits
            self.kept_alive.append(words)
            pointers[i] = words.ctypes.data
        return pointers

    def rewrite(self, path, masks=None):
        self._call("rewrite", self.handle, self._masks(masks), os.fsencode(path))

    def convert(self, path, masks=None, sparse=False):
        self._call("convert", self.handle, self._masks(masks), int(sparse), os.fsencode(path))


def refusal(path, **options):
    """The code and text with which a file is refused, when it is opened or when a tensor of it is loaded."""
    try:
        with Checkpoint(path, **options) as checkpoint:
            checkpoint.arrays
    except Refused as refused:
        return refused.code, str(refused)
    return "SAP_OK", ""


def random_masks(arrays, seed=0):
    random = numpy.random.RandomState(seed)
    return {name: random.uniform(size=array.shape) < 0.5 for name, array in arrays.items()}


def masked(array, mask):
    """What a file holds after writing: bits of pruned weights all zero, the others as they were."""
    array = array.copy(order="K")
    array[~mask] = 0
    return array
