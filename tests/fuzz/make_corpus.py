"""Writes the seed inputs of the fuzz targets into the folders beside this file; the same bytes every time."""

import gzip
import io
import json
import pathlib
import struct
import zipfile

import numpy

HERE = pathlib.Path(__file__).parent


def write(folder, name, data):
    path = HERE / folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def idx(magic, lengths, data):
    return struct.pack(">%dI" % (1 + len(lengths)), magic, *lengths) + data


def npz(method=zipfile.ZIP_STORED, **arrays):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, values in arrays.items():
            member = io.BytesIO()
            numpy.save(member, values)
            archive.writestr(zipfile.ZipInfo(name + ".npy"), member.getvalue(), method)
    return stream.getvalue()


def main():
    two = {"__metadata__": {"format": "pt"}, "w": entry("F32", [2, 1], 0, 8), "b": entry("BF16", [1], 8, 10)}
    tensors = {
        "empty": b"",
        "nothing": safetensors({}),
        "two": safetensors(two, bytes(10)),
        "padded": safetensors(b" \n" + json.dumps(two).encode() + b"   ", bytes(10)),
        "scalar": safetensors({"s": entry("I64", [], 0, 8)}, bytes(8)),
        "zero_axis": safetensors({"a": entry("U8", [0, 5], 0, 0), "b": entry("U8", [1], 0, 1)}, b"x"),
        "sub_byte": safetensors({"f": entry("F4", [2], 0, 1), "g": entry("F6_E2M3", [4], 1, 4)}, bytes(4)),
        "names": safetensors(b'{"\\u00e9\\n\xf0\x9f\x8c\xb3":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}', b"\1"),
        "overflow": safetensors({"a": entry("U8", [1 << 32, 1 << 32], 0, 0)}),
        "overlap": safetensors({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)}, bytes(3)),
        "rank9": safetensors({"a": entry("U8", [1] * 9, 0, 1)}, b"x"),
        "huge_header": struct.pack("<Q", 2**64 - 8) + b"{}",
    }
    for name, data in tensors.items():
        write("corpus_safetensors", name, data)

    names = '{"metadata": %s, "weight_map": %s}'
    good = safetensors({"a": entry("F32", [2], 0, 8), "b": entry("F16", [2], 8, 12)}, bytes(range(12)))
    indexes = {
        "good": names % ('{"total_size": 16}', '{"a": "a.safetensors", "b": "a.safetensors", "c": "b.safetensors"}'),
        "one": names % ("{}", '{"c": "b.safetensors"}'),
        "none": names % ("{}", "{}"),
        "size": names % ('{"total_size": 15}', '{"c": "b.safetensors"}'),
        "up": names % ("{}", '{"c": "../b.safetensors"}'),
        "link": names % ("{}", '{"c": "link.safetensors"}'),
        "wrong": names % ("{}", '{"a": "b.safetensors", "c": "b.safetensors"}'),
    }
    for name, text in indexes.items():
        write("corpus_shards", name, text.encode() + b"\0" + good)

    block = '{"common": {"data": "mnist", "model": "mlp", "seed": [0, 1]}, "runs": [%s]}'
    plans = {
        "lists": block % '{"method": ["sap", "lt"], "scope": "layer"}, {"p": [1, 0.5], "q": 2}',
        "comments": "// one\n" + block % '/* two */ {"lr": 1e-1}' + " // three",
        "words": block % '{"rewind": "epoch:2", "data": "mnist:a \\u00e9/b", "seed": "18446744073709551615"}',
        "unknown": block % '{"scop": 1}',
        "open": block % "{}" + "/*",
        "same_name": block % '{"data": "mnist:a/"}, {"data": "mnist:a_"}',
    }
    for name, text in plans.items():
        write("corpus_plan", name, text.encode())

    images = idx(0x803, [2, 2, 3], bytes(range(12)))
    labels = idx(0x801, [4], bytes([0, 9, 10, 255]))
    files = {
        "empty": b"",
        "images": images,
        "labels": labels,
        "images_gzip": gzip.compress(images, mtime=0),
        "labels_gzip": gzip.compress(labels, mtime=0),
        "two_streams": gzip.compress(images[:9], mtime=0) + gzip.compress(images[9:], mtime=0),
        "trailing": labels + b"x",
        "trailing_gzip": gzip.compress(labels + b"x", mtime=0),
        "lying_count": idx(0x801, [2**32 - 1], b"\1"),
        "lying_count_gzip": gzip.compress(idx(0x803, [2**32 - 1, 2, 3], bytes(50)), mtime=0),
        "zeros_gzip": gzip.compress(idx(0x801, [20000], bytes(20000)), mtime=0),
        "bad_checksum": gzip.compress(labels, mtime=0)[:-8] + bytes(8),
    }
    for name, data in files.items():
        write("corpus_idx", name, data)

    record = bytes([19, 99]) + bytes(range(256)) * 12
    files = {"one": record, "two": 2 * record, "coarse": b"\x14" + record[1:], "fine": b"\1\x64" + record[2:]}
    for name, data in files.items():
        write("corpus_cifar", name, data)

    x, y = numpy.arange(60, dtype="u1").reshape(2, 5, 2, 3), numpy.array([0, 1])
    grey = x[..., 0].astype("f4")
    sets = {
        "bytes": npz(x_train=x, y_train=y, x_test=x[:1], y_test=y[:1]),
        "deflated": npz(zipfile.ZIP_DEFLATED, x_train=grey, y_train=y, x_test=grey, y_test=y),
        "labels": npz(x_train=grey, y_train=y.astype("i1") - 1, x_test=grey, y_test=y),
        "shapes": npz(x_train=x, y_train=y, x_test=grey, y_test=y),
        "missing": npz(x_train=x, y_train=y),
    }
    for name, data in sets.items():
        write("corpus_npz", name, data)


if __name__ == "__main__":
    main()
