"""Opening data sets through the shared library, as NumPy arrays; used by the tests of data sets."""
import ctypes
import os
import struct
import zlib
from pathlib import Path

import numpy
import pytest
from structs import Dataset, DatasetOptions, Error

LIBRARY = Path(os.environ.get("SAPWOOD_BUILD", "build")) / "libsapwood.so"


class Refused(Exception):
    """The library's one line."""


class Set:
    """What an opened set holds, copied."""

    def __init__(self, spec, image_size=0, channels=0):
        library = ctypes.CDLL(str(LIBRARY))
        found, error = ctypes.POINTER(Dataset)(), Error()
        options = DatasetOptions(image_size, channels)
        status = library.sap_dataset_open(
            os.fsencode(str(spec)), ctypes.byref(options), ctypes.byref(found), ctypes.byref(error)
        )
        if status:
            raise Refused(error.text.decode())
        opened = found.contents
        self.name, self.classes = opened.name.decode(), opened.classes
        self.shape = (opened.channels, opened.height, opened.width)
        self.mean, self.stddev = list(opened.mean)[: self.shape[0]], list(opened.stddev)[: self.shape[0]]
        self.x_train, self.y_train = self._arrays(opened.train)
        self.x_test, self.y_test = self._arrays(opened.test)
        library.sap_dataset_free(found)

    def _arrays(self, split):
        size = split.count * int(numpy.prod(self.shape))
        kind, start = (ctypes.c_uint8, split.pixels) if split.pixels else (ctypes.c_float, split.floats)
        pixels = numpy.ctypeslib.as_array((kind * size).from_address(start)).copy()
        labels = numpy.ctypeslib.as_array((ctypes.c_uint8 * split.count).from_address(split.labels)).copy()
        return pixels.reshape(split.count, *self.shape), labels


def refused(spec, **options):
    """The text with which the set is refused: one line."""
    with pytest.raises(Refused) as caught:
        Set(spec, **options)
    text = str(caught.value)
    assert text and "\n" not in text
    return text


def png(pixels):
    """The bytes of a PNG file of pixels (height, width) or (height, width, 3)."""
    pixels = numpy.ascontiguousarray(pixels, numpy.uint8)
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">2I5B", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows, 1)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
