"""Writes the seed inputs of fuzz_network into the folder beside this file; the same bytes every time."""
import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
import tiny_onnx as o  # noqa: E402


def ints(name, *values):
    return [(1, name), *[(8, value) for value in values], (20, 7)]


def model(nodes, tensors=None, picture=(1, 1, 6, 6), opset=17):
    initializers = [o.tensor(name, array) for name, array in (tensors or {}).items()]
    return o.model(o.graph(nodes, initializers, inputs=[o.value_info("x", picture)],
                           outputs=[o.value_info("y", (1, 3))]), opset=opset)


def main():
    def f(*shape):
        return np.ones(shape, "f4")

    flat, gemm = o.node("Flatten", ["x"], ["f"]), o.node("Gemm", ["f", "w", "b"], ["y"], [[(1, "transB"), (3, 1), (20, 2)]])
    mean = [o.node("GlobalAveragePool", ["c"], ["g"]), o.node("Flatten", ["g"], ["y"])]
    files = {
        "gemm": model([flat, gemm], {"w": f(3, 36), "b": f(3)}),
        "conv": model([o.node("Conv", ["x", "w", "b"], ["c"], [ints("pads", 1, 1, 0, 0), ints("strides", 2, 1)], "n"),
                       *mean], {"w": f(3, 1, 2, 2), "b": f(3)}),
        "groups": model([o.node("Conv", ["x", "w"], ["c"], [[(1, "group"), (3, 2), (20, 2)], ints("dilations", 2, 2)]),
                         *mean], {"w": f(4, 1, 2, 2)}, picture=(1, 2, 6, 6)),
        "norm": model([o.node("BatchNormalization", ["x", "s", "s", "s", "v"], ["a"]), o.node("Relu", ["a"], ["r"]),
                       o.node("Conv", ["r", "w"], ["c"]), *mean], {"s": f(1), "v": f(1), "w": f(3, 1, 1, 1)}),
        "pools": model([o.node("MaxPool", ["x"], ["m"], [ints("kernel_shape", 2, 2), [(1, "ceil_mode"), (3, 1), (20, 2)]]),
                        o.node("AveragePool", ["m"], ["a"], [ints("kernel_shape", 3, 3),
                                                             [(1, "auto_pad"), (4, "SAME_UPPER"), (20, 3)]]),
                        o.node("Conv", ["a", "w"], ["c"]), *mean], {"w": f(3, 1, 1, 1)}),
        "residual": model([o.node("Conv", ["x", "w"], ["a"]), o.node("Sigmoid", ["a"], ["s"]),
                           o.node("Add", ["a", "s"], ["c"]), *mean], {"w": f(3, 1, 1, 1)}),
        "matmul": model([o.node("Reshape", ["x", "to"], ["f"]), o.node("MatMul", ["f", "w"], ["m"]),
                         o.node("Add", ["m", "b"], ["l"]), o.node("Softmax", ["l"], ["y"])],
                        {"to": np.int64([0, -1]), "w": f(36, 3), "b": f(3)}),
        "shape": model([o.node("Shape", ["x"], ["h"]), o.node("Gather", ["h", "i"], ["n"]),
                        o.node("Concat", ["n", "r"], ["to"]), o.node("Reshape", ["x", "to"], ["f"]), gemm],
                       {"i": np.int64([0]), "r": np.int64([-1]), "w": f(3, 36), "b": f(3)}),
        "dropout": model([flat, o.constant("p", np.float32(0.5)), o.node("Dropout", ["f", "p"], ["d"]),
                          o.node("Identity", ["d"], ["e"]), o.node("MatMul", ["e", "w"], ["y"])], {"w": f(36, 3)}),
        "mean": model([o.node("Conv", ["x", "w"], ["c"]), o.node("ReduceMean", ["c"], ["y"], [
            ints("axes", -2, -1), [(1, "keepdims"), (3, 0), (20, 2)]])], {"w": f(3, 1, 1, 1)}, opset=13),
        "cycle": model([o.node("Add", ["x", "b"], ["a"]), o.node("Relu", ["a"], ["b"]), o.node("Flatten", ["b"], ["y"])]),
        "features": model([o.node("MatMul", ["x", "w"], ["y"])], {"w": f(36, 3)}, picture=(1, 36)),
        "sparse": o.model(o.graph([o.node("Flatten", ["x"], ["f"]), o.node("MatMul", ["f", "w"], ["y"])],
                                  sparse_initializers=[o.sparse("w", (36, 3), f(2), [5, 100])],
                                  inputs=[o.value_info("x", (1, 1, 6, 6))], outputs=[o.value_info("y", (1, 3))])),
        "huge": o.model(o.graph([o.node("Conv", ["x", "w"], ["c"], [ints("pads", 1 << 20, 1, 1 << 20, 1)]), *mean],
                                sparse_initializers=[o.sparse("w", (2**31, 1, 2**20, 2**31), f(1), [5])],
                                inputs=[o.value_info("x", (1, 1, 6, 6))], outputs=[o.value_info("y", (1, 3))])),
    }
    for name, data in files.items():
        (HERE / "corpus_network").mkdir(exist_ok=True)
        (HERE / "corpus_network" / name).write_bytes(data)


if __name__ == "__main__":
    main()
