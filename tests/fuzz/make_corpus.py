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


def sparse_code(mask):
    """Kept, k and the code of a block, docs/sparse-format.md."""
    places = [i for i, kept in enumerate(mask) if kept]
    if len(places) in (0, len(mask)):
        return len(places), 0, b""
    gaps = [place - before - 1 for before, place in zip([-1] + places, places)]
    codes = []
    for k in range(16):
        bits = "".join("0" * (gap >> k) + "1" + "".join(str(gap >> i & 1) for i in range(k)) for gap in gaps)
        codes.append(bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8)))
    k = min(range(16), key=lambda i: len(codes[i]))
    return len(places), k, codes[k]


def sparse_index(shape, mask):
    blocks = [sparse_code(mask[i : i + 65536]) for i in range(0, len(mask), 65536)]
    head = struct.pack(f"<BB6x{len(shape)}Q", 1, len(shape), *shape)
    return head + b"".join(struct.pack("<IHH", n, len(c), k) for n, k, c in blocks) + b"".join(c for _, _, c in blocks)


def packed():
    """Files of packed tensors; and inputs of a type, a number of values, the values and an index."""
    masks = {
        "dense": ((2, 9), [i % 5 != 3 for i in range(18)]),
        "tenth": ((4, 50), [i % 11 == 3 or i == 199 for i in range(200)]),
        "few": ((3000,), [i in (0, 1, 700, 2999) for i in range(3000)]),
        "none": ((5,), [False] * 5),
        "all": ((3, 1), [True] * 3),
        "blocks": ((65537,), [i in (65535, 65536) for i in range(65537)]),
    }
    files = {f"index_{name}": bytes([1, sum(mask)]) + bytes([0x80, 7] * sum(mask)) + sparse_index(shape, mask)
             for name, (shape, mask) in masks.items()}
    index = sparse_index(*masks["tenth"])
    values = struct.pack("<19f", *range(19))
    header = {"__metadata__": {"sapwood.sparse": "1"}, "w.sapwood.values": entry("F32", [19], 0, 76),
              "w.sapwood.index": entry("U8", [len(index)], 76, 76 + len(index))}
    files["sparse"] = safetensors(header, values + index)
    for name, kept, shape in (("bitmask", [8], [2]), ("bitmask_24", [2, 4], [2, 1])):
        header = {"m.compressed": entry("F16", kept, 0, 16), "m.shape": entry("I64", shape, 16, 32),
                  "m.bitmask": entry("U8", [2, 1], 32, 34)}
        files[name] = safetensors(header, bytes(range(16)) + struct.pack("<2Q", 2, 8) + b"\x35\xca")
    return files


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
    for name in ("sparse", "bitmask", "bitmask_24"):
        data = packed()[name]
        header = json.loads(data[8 : 8 + struct.unpack_from("<Q", data)[0]])
        weights = {part: "a.safetensors" for part in header if part != "__metadata__"}
        total = max(header[part]["data_offsets"][1] for part in weights)
        text = json.dumps({"metadata": {"total_size": total}, "weight_map": weights})
        write("corpus_shards", name, text.encode() + b"\0" + data)

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

    for name, data in packed().items():
        write("corpus_packed", name, data)

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


def main_choices():
    """The plan.json of a run, with choices for the one convolution that the target plans."""
    shape = "n1 16x4x4 to 16x4x4 kernel 3x3 stride 1,1 pad 1,1 dilation 1,1 groups 1"
    keys = {layout: f"conv2d forward f32 {layout} {shape}" for layout in ("blocked", "channels-last")}
    wino = dict.fromkeys(keys.values(), "winograd 0 jit_wino_4x3:avx512_core")
    plans = {
        "direct": {keys["blocked"]: "direct 0 jit:avx512_core", keys["channels-last"]: "direct 1 jit:avx2"},
        "winograd": wino,
        "product": dict.fromkeys(keys.values(), "product 0 brg:avx512_core"),
        "numbers": {keys["blocked"]: "direct 99999999999 x", keys["channels-last"]: "direct -1 x"},
        "words": {keys["blocked"]: "", keys["channels-last"]: "x" * 99, "": "direct 0 x", "a": 1},
    }
    for name, choices in plans.items():
        write("corpus_choices", name, json.dumps({"machine": "this one", "choices": choices}).encode())
    write("corpus_choices", "another", json.dumps({"machine": "another", "choices": wino}).encode())
    write("corpus_choices", "twice", b'{"machine": "this one", "choices": {"a": "b", "a": "c"}}')
    write("corpus_choices", "no_object", b'{"machine": "this one", "choices": []}')


def main_metrics():
    layer = {"name": "a", "total": 10, "kept": 5, "pqi": 0.2, "gini": None}
    whole = {"event": "iteration", "iteration": 0, "total": 10, "kept": 5, "density": 0.5, "test_accuracy": 0.9,
             "pqi": 0.2, "gini": 0.4, "retain": 4, "prune_ratio": 0.2, "pruned": 1,
             "pruned_model": {"test_accuracy": None, "pqi": 0.1}, "guarded": [], "layers": [layer]}  # fmt: skip
    odd = [
        {"event": "iteration", "iteration": 3, "layers": [1, {}, {"name": None}]},
        {"event": "iteration", "iteration": 3, "layers": 7, "pruned_model": [], "stopped": True},
        {"event": "epoch", "iteration": 1, "epoch": -1},
    ]
    epoch = {"event": "epoch", "iteration": 0, "epoch": 1, "lr": 0.1}
    lines = {
        "empty": [],
        "whole": [json.dumps(epoch), json.dumps(whole), ""],
        "cut": ['{"event":"iteration","iteration":1000}', '{"event":"iteration","iterat'],
        "odd": [*map(json.dumps, odd), "", "   ", "x", "[[[", ""],
        "bytes": ["\0", "\xff", '{"event":"iteration","iteration":1e400}',
                  '{"event":"iteration","iteration":99999999999999999999}', ""],
    }  # fmt: skip
    for name, texts in lines.items():
        write("corpus_metrics", name, "\n".join(texts).encode("latin-1"))


if __name__ == "__main__":
    main()
    main_choices()
    main_metrics()
