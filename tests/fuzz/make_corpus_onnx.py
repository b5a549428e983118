"""Writes the seed inputs of fuzz_onnx into the folder beside this file; the same bytes every time."""

import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import tiny_onnx as o  # noqa: E402


def external(name, shape, *pairs, data_type=o.FLOAT):
    return ([(1, n) for n in shape] + [(2, data_type), (8, name)] +
            [(13, [(1, k), (2, v)]) for k, v in (("location", "w"), *pairs)] + [(14, 1)])


def main():
    f = np.array([[1.5, 0, 0, -2], [0, 0, 0, 3]], "f4")
    wide = np.zeros((4, 50), "f4")
    wide[2, 3], wide[3, 49] = 1, -7
    half = [(1, 2), (1, 2), (2, o.FLOAT16), (5, b"".join(o.varint(v) for v in (0x3C00, 0, 0x8000, 0xFFFF))), (8, "h")]
    typed = [(1, 2), (2, o.FLOAT), (4, o.floats([1, 2])), (8, "t")]
    signed = [(1, 3), (2, 3), (5, b"".join(o.varint(v) for v in (-128, 0, 127))), (8, "i")]
    branch = o.graph([o.constant("c", wide)], [o.tensor("w", f)], name="b")
    branches = [[(1, name), (6, branch), (20, 5)] for name in ("then_branch", "else_branch")]
    nested = o.node("If", ["x"], ["y"], branches)
    linear = o.sparse("w", (40, 50), np.float32([1, 2]), [3, 1999])
    pairs = o.sparse("v", (3, 4), np.float32([0, -1]), [[0, 1], [2, 3]], raw=True)
    files = {
        "empty": b"",
        "no_graph": o.encode([(1, 8)]),
        "raw": o.model(o.graph(initializers=[o.tensor("w", f), o.tensor("wide", wide), o.tensor("s", np.float32(3))])),
        "typed": o.model(o.graph(initializers=[half, typed, signed])),
        "sparse": o.model(o.graph(sparse_initializers=[linear, pairs])),
        "constants": o.model(o.graph([o.constant("c", wide, "n", extra=[(13, "doc")]), o.constant("d", f)])),
        "sparse_constant": o.model(o.graph([o.node("Constant", [], ["c"], [
            [(1, "sparse_value"), (22, o.sparse("", (9, 9), np.float32([1]), [80])), (20, 11)]])])),
        "nested": o.model(o.graph([nested], [o.tensor("w", f)])),
        "external": o.model(o.graph(initializers=[
            external("e", (4,)), external("g", (2, 2), ("offset", "8"), ("length", "16")),
            external("h", (3,), data_type=22)])),
        "metadata": o.model(o.graph(initializers=[o.tensor("w", f)]), metadata=[("a", "b"), ("c", "")]),
        "function": o.model(o.graph(), functions=[[(1, "f"), (7, o.constant("c", wide))]]),
        "huge_dims": o.model(o.graph(sparse_initializers=[o.sparse("w", (2**32, 2**31), np.float32([1]), [5])])),
    }
    for name, data in files.items():
        (HERE / "corpus_onnx").mkdir(exist_ok=True)
        (HERE / "corpus_onnx" / name).write_bytes(data)


if __name__ == "__main__":
    main()
