"""Writes the seed inputs of fuzz_model into the folder beside this file; the same bytes every time."""

import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent / "corpus_model"


def conv(name, value, channels, kernel=3, stride=1, groups=1, bias=0):
    return {"op": "conv2d", "name": name, "inputs": [value], "out_channels": channels, "kernel": [kernel, kernel],
            "stride": [stride, stride], "pad": [kernel // 2] * 4, "dilation": [1, 1], "groups": groups, "bias": bias}  # fmt: skip


def plain(op, name, *inputs, **more):
    return {"op": op, "name": name, "inputs": list(inputs), **more}


def norm(name, value):
    return plain("batch_norm", name, value, momentum=0.1, eps=1e-5)


def pool(op, name, value):
    return plain(op, name, value, kernel=[2, 2], stride=[2, 2], pad=[0, 0, 0, 0], ceil=0, count_include_pad=0)


def graph(shape, classes, nodes, output=None):
    return {"version": 1, "model": "seed", "input": shape, "classes": classes, "nodes": nodes,
            "output": len(nodes) if output is None else output}  # fmt: skip


def floats(count):
    return struct.pack(f"<{count}f", *((i * 7 % 11 - 5) / 8 * (i % 3 > 0) for i in range(count)))


def write(name, root, tensors):
    header, data = {"__metadata__": {"sapwood.graph": json.dumps(root)}}, b""
    for key, shape in tensors.items():
        count = 1
        for length in shape:
            count *= length
        content = struct.pack(f"<{count}f", *[1.0] * count) if key.endswith("var") else floats(count)
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    (HERE / name).write_bytes(struct.pack("<Q", len(text)) + text + data)


def norms(name, channels):
    return {f"{name}.{key}": [channels] for key in ("weight", "bias", "running_mean", "running_var")}


def main():
    HERE.mkdir(exist_ok=True)
    linear = [plain("flatten", "f", 0), plain("linear", "l", 1, features=3, bias=1)]
    write("linear", graph([1, 2, 2], 3, linear), {"l.weight": [3, 4], "l.bias": [3]})
    block = [conv("a", 0, 4), norm("n", 1), plain("relu", "r", 2), conv("b", 3, 4), plain("add", "s", 4, 1),
             pool("max_pool", "p", 5), conv("c", 6, 8, stride=2, groups=2, bias=1), plain("sigmoid", "g", 7),
             plain("dropout", "d", 8, rate=0.5), plain("global_avg_pool", "m", 9), plain("flatten", "f", 10),
             plain("linear", "l", 11, features=2, bias=0)]  # fmt: skip
    tensors = {"a.weight": [4, 2, 3, 3], **norms("n", 4), "b.weight": [4, 4, 3, 3], "c.weight": [8, 2, 3, 3],
               "c.bias": [8], "l.weight": [2, 8]}  # fmt: skip
    write("block", graph([2, 6, 5], 2, block), tensors)
    late = [norm("n", 0), conv("a", 1, 3, kernel=5), pool("avg_pool", "p", 2), plain("global_avg_pool", "m", 3),
            plain("flatten", "f", 4)]  # fmt: skip
    write("late", graph([2, 7, 7], 3, late), {**norms("n", 2), "a.weight": [3, 2, 5, 5]})
    write("wrong", graph([2, 7, 7], 3, late[1:]), {"a.weight": [3, 2, 5, 5]})


if __name__ == "__main__":
    main()
