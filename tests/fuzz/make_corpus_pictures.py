"""Writes the seed pictures of the fuzz target into corpus_picture/; needs Pillow, whose bytes may differ by version."""

import io
import pathlib
import struct
import zlib

import numpy
from PIL import Image

FOLDER = pathlib.Path(__file__).parent / "corpus_picture"


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, colour, interlace, rows, *between):
    head = struct.pack(">2I5B", width, height, depth, colour, 0, 0, interlace)
    chunks = [chunk(b"IHDR", head), *between, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def main():
    FOLDER.mkdir(exist_ok=True)
    y, x = numpy.mgrid[0:13, 0:17]
    colour = numpy.stack([15 * x, 19 * y, 255 - 9 * (x + y)], -1).astype(numpy.uint8)
    picture = Image.fromarray(colour)
    kinds = {
        "grey": ("L", {"quality": 80}),
        "colour": ("RGB", {"quality": 80}),
        "fine": ("RGB", {"quality": 80, "subsampling": 0, "optimize": True}),
        "progressive": ("RGB", {"quality": 80, "progressive": True}),
        "progressive_grey": ("L", {"quality": 80, "progressive": True}),
        "restarts": ("L", {"quality": 80, "restart_marker_blocks": 1}),
        "inks": ("CMYK", {"quality": 60}),
    }
    for name, (mode, options) in kinds.items():
        stream = io.BytesIO()
        picture.convert(mode).save(stream, "JPEG", **options)
        (FOLDER / f"{name}.jpg").write_bytes(stream.getvalue())
    colour_jpeg = bytearray((FOLDER / "colour.jpg").read_bytes())
    at = colour_jpeg.index(b"\xff\xc0") + 5
    colour_jpeg[at : at + 4] = struct.pack(">2H", 60000, 60000)
    (FOLDER / "huge.jpg").write_bytes(colour_jpeg)
    palette = chunk(b"PLTE", bytes(range(12))), chunk(b"tRNS", b"\0\x80")
    pngs = {
        "grey1": png(3, 2, 1, 0, 0, b"\0\xa0\0\x40"),
        "grey16": png(2, 2, 16, 0, 0, b"\0" + b"\1\2\3\4" + b"\1" + b"\5\6\7\x08"),
        "rgb": png(2, 2, 8, 2, 0, b"\2" + bytes(range(6)) + b"\4" + bytes(range(6))),
        "rgba": png(1, 2, 8, 6, 0, b"\0\1\2\3\4\3\5\6\7\x08"),
        "grey_alpha": png(1, 1, 16, 4, 0, b"\0\1\2\3\4"),
        "palette": png(4, 1, 2, 3, 0, b"\0\x1b", *palette),
        "interlaced": png(2, 3, 8, 0, 1, b"\0\1" + b"\0\2" + b"\0\3" + b"\0\4" + b"\0\5\6"),
        "text": png(1, 1, 8, 0, 0, b"\0\7", chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1000)))),
        "huge": png(60000, 60000, 8, 2, 0, bytes(5000)),
        "long": png(1, 4000, 1, 0, 0, bytes(8000)),
    }
    for name, content in pngs.items():
        (FOLDER / f"{name}.png").write_bytes(content)
    text = pngs["text"].index(b"zTXt")  # a chunk that says it has 1.8 GB
    promise = pngs["text"][: text - 4] + struct.pack(">I", 0x6B000014) + pngs["text"][text:]
    (FOLDER / "huge_text.png").write_bytes(promise)
    (FOLDER / "none").write_bytes(b"GIF89a")


if __name__ == "__main__":
    main()
