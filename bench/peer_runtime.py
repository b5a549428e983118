#!/usr/bin/env python3
"""Sparse inference beside ONNX Runtime on the same network, in turns in one process.

    bench_runtime --density 0.1 --rounds 1 --write dense.safetensors
    sapwood export dense.safetensors --safetensors model.safetensors
    peer_runtime.py model.safetensors [--batch 1 16] [--threads 1] [--rounds 20] [--library build/libsapwood.so]

The ONNX model is made from the file's own graph and dense weights, and the outputs are compared before anything is timed.
Every timed run follows an untimed one of the same side. Printed are minimum and median of the wall clock, and of the
processor time where one thread computes, which other work on the machine does not change. Needs onnx and onnxruntime.
"""
import argparse
import ctypes
import json
import os
import statistics
import struct
import time
from pathlib import Path

import numpy as np

try:
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper
except ImportError as problem:
    raise SystemExit(f"peer_runtime.py: {problem}")

ROOT = Path(__file__).resolve().parent.parent


def read_model(path):
    """The graph and the dense tensors of a file that `sapwood export --safetensors` wrote."""
    content = Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    graph = json.loads(header.pop("__metadata__")["sapwood.graph"])
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(content[begin:end], "<f4").reshape(entry["shape"])
    return graph, tensors


def window(node):
    return {"kernel_shape": node["kernel"], "strides": node["stride"], "pads": node["pad"]}


def onnx_node(node, inputs, output):
    """One node of ours in ONNX's words."""
    named = [f"{node['name']}.{suffix}" for suffix in ("weight", "bias", "running_mean", "running_var")]
    make = helper.make_node
    if node["op"] == "conv2d":
        parameters = named[: 1 + node["bias"]]
        more = {**window(node), "dilations": node["dilation"], "group": node["groups"]}
        return make("Conv", inputs + parameters, [output], **more)
    if node["op"] == "linear":
        return make("Gemm", inputs + named[: 1 + node["bias"]], [output], transB=1)
    if node["op"] == "batch_norm":
        return make("BatchNormalization", inputs + named, [output], epsilon=node["eps"])
    if node["op"] == "max_pool":
        return make("MaxPool", inputs, [output], ceil_mode=node["ceil"], **window(node))
    if node["op"] == "avg_pool":
        more = {"ceil_mode": node["ceil"], "count_include_pad": node["count_include_pad"]}
        return make("AveragePool", inputs, [output], **more, **window(node))
    names = {"relu": "Relu", "sigmoid": "Sigmoid", "add": "Add", "flatten": "Flatten", "dropout": "Identity",
             "global_avg_pool": "GlobalAveragePool"}  # fmt: skip
    return make(names[node["op"]], inputs, [output])


def make_onnx(graph, tensors):
    nodes = [
        onnx_node(node, [f"v{i}" for i in node["inputs"]], f"v{n + 1}") for n, node in enumerate(graph["nodes"])
    ]
    float32, shape = onnx.TensorProto.FLOAT, graph["input"]
    inputs = [helper.make_tensor_value_info("v0", float32, ["n", *shape])]
    outputs = [helper.make_tensor_value_info(f"v{graph['output']}", float32, ["n", graph["classes"]])]
    weights = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "peer", inputs, outputs, weights), opset_imports=[helper.make_opsetid("", 13)]
    )
    model.ir_version = 8
    return model.SerializeToString()


class Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("text", ctypes.c_char * 240)]


class SessionOptions(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("batch", "threads", "way", "measure")]


class Ours:
    """A session of libsapwood."""

    def __init__(self, library, path, batch, threads):
        self.library, self.error = library, Error()
        self.model, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        options = SessionOptions(batch, threads, 3, 1)
        self.check(library.sap_model_open(str(path).encode(), None, ctypes.byref(self.model), self.by_error()))
        self.check(library.sap_session_new(self.model, ctypes.byref(options), ctypes.byref(self.session), self.by_error()))

    def by_error(self):
        return ctypes.byref(self.error)

    def check(self, status):
        if status:
            raise SystemExit(self.error.text.decode())

    def run(self, x, y):
        pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (x, y)]
        self.check(self.library.sap_session_run(self.session, pointers[0], ctypes.c_size_t(len(x)), pointers[1], self.by_error()))


def timed(run):
    run()
    wall, cpu = time.perf_counter(), time.thread_time()
    run()
    return time.perf_counter() - wall, time.thread_time() - cpu


def compare(library, path, model, batch, threads, rounds, shape, classes):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    peer = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    ours = Ours(library, path, batch, threads)
    x = np.random.default_rng(0).standard_normal((batch, *shape)).astype("<f4")
    y = np.empty((batch, classes), "<f4")
    (expected,) = peer.run(None, {"v0": x})
    ours.run(x, y)
    worst = abs(y - expected).max() / abs(expected).max()
    if not worst < 1e-4:
        raise SystemExit(f"wrong result: {worst:.2g} of the largest output")
    times = {"sapwood": [], "onnxruntime": []}
    for _ in range(rounds):
        times["sapwood"].append(timed(lambda: ours.run(x, y)))
        times["onnxruntime"].append(timed(lambda: peer.run(None, {"v0": x})))
    print(f"batch {batch}, {threads} threads, outputs within {worst:.1e}")
    clocks = [("wall", 0)] + ([("processor", 1)] if threads == 1 else [])
    for clock, i in clocks:
        values = {side: sorted(t[i] for t in list_) for side, list_ in times.items()}
        least = {side: v[0] for side, v in values.items()}
        middle = {side: statistics.median(v) for side, v in values.items()}
        parts = [f"{side} {1e3 * least[side]:.2f} / {1e3 * middle[side]:.2f} ms" for side in values]
        ratios = [side["onnxruntime"] / side["sapwood"] for side in (least, middle)]
        print(f"  {clock:9} min / median: {', '.join(parts)}: {ratios[0]:.2f} / {ratios[1]:.2f} times faster")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--library", default=ROOT / "build" / "libsapwood.so")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    graph, tensors = read_model(options.model)
    library = ctypes.CDLL(str(options.library))
    kept = sum(int(np.count_nonzero(t)) for t in tensors.values() if t.ndim > 1)
    print(f"{graph['model']}: {kept / sum(t.size for t in tensors.values() if t.ndim > 1):.2%} of the weights kept; "
          f"onnxruntime {onnxruntime.__version__}")  # fmt: skip
    model = make_onnx(graph, tensors)
    for batch in options.batch:
        compare(library, options.model, model, batch, options.threads, options.rounds, graph["input"], graph["classes"])


if __name__ == "__main__":
    main()
