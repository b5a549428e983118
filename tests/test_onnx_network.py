"""Networks from files in ONNX: the forms that exporters write, what is refused and how, training and writing back."""
import json
import signal
import time

import numpy as np
import pytest
import tiny_onnx as o
from conftest import read_safetensors

RANDOM = np.random.RandomState(7)


def draw(*shape):
    return (RANDOM.uniform(-1, 1, shape) * (2 / max(1, np.prod(shape[1:]))) ** 0.5).astype("f4")


def ints(name, *values):
    return [(1, name), *[(8, value) for value in values], (20, 7)]


def one(name, value):
    return [(1, name), (3, value), (20, 2)]


def text(name, value):
    return [(1, name), (4, value), (20, 3)]


def network(nodes, tensors=None, picture=(1, 1, 6, 6), opset=17, more_inputs=(), outputs=None):
    """A model from x to y; tensors: name → array."""
    initializers = [o.tensor(name, array) for name, array in (tensors or {}).items()]
    inputs = [o.value_info("x", picture), *more_inputs]
    return o.model(o.graph(nodes, initializers, inputs=inputs, outputs=outputs or [o.value_info("y", (picture[0], 3))]),
                   opset=opset)


def small(**more):
    """Convolution, batch norm, ReLU, pools, a residual, and a linear layer to three classes."""
    tensors = {"conv.weight": draw(4, 1, 3, 3), "conv.bias": draw(4), "bn.weight": draw(4) + 1, "bn.bias": draw(4),
               "bn.mean": draw(4), "bn.var": draw(4) ** 2 + 0.5, "second": draw(4, 4, 1, 1),
               "fc.weight": draw(3, 4), "fc.bias": draw(3)}
    nodes = [o.node("Conv", ["x", "conv.weight", "conv.bias"], ["c"], [ints("pads", 1, 1, 1, 1)], "first"),
             o.node("BatchNormalization", ["c", "bn.weight", "bn.bias", "bn.mean", "bn.var"], ["b"]),
             o.node("Relu", ["b"], ["r"]),
             o.node("Conv", ["r", "second"], ["d"], name="second_conv"),
             o.node("Add", ["r", "d"], ["a"]),
             o.node("MaxPool", ["a"], ["m"], [ints("kernel_shape", 2, 2), ints("strides", 2, 2)]),
             o.node("GlobalAveragePool", ["m"], ["g"]),
             o.node("Flatten", ["g"], ["f"]),
             o.node("Gemm", ["f", "fc.weight", "fc.bias"], ["logits"], [one("transB", 1)]),
             o.node("Softmax", ["logits"], ["y"])]
    return network(nodes, tensors, **more)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three noisy patterns of 6 × 6 pixels."""
    path, patterns = tmp_path_factory.mktemp("npz") / "tiny.npz", np.random.RandomState(1).uniform(0, 1, (3, 1, 6, 6))
    arrays = {}
    for part, count in (("train", 120), ("test", 60)):
        labels = np.arange(count) % 3
        arrays["x_" + part] = (patterns[labels] + np.random.RandomState(count).normal(0, 0.3, (count, 1, 6, 6))).astype("f4")
        arrays["y_" + part] = labels.astype("i8")
    np.savez(path, **arrays)
    return f"npz:{path}"


def pictures_of(data):
    """The test pictures as the loader hands them over, and their labels."""
    arrays = np.load(data.split(":", 1)[1])
    train = arrays["x_train"].astype("f8")
    return (arrays["x_test"] - train.mean()) / train.std(), arrays["y_test"]


def info(sapwood, path):
    done = sapwood("info", "--model", path, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run(sapwood, data, model, out, *more):
    return sapwood("train", "--data", data, "--model", model, "--engine", "ref", "--iterations", "1", "--epochs", "2",
                   "--batch", "30", "-o", out, *more)


def test_nodes(sapwood, tmp_path):
    """Names come from the weights, then from the nodes; the softmax is gone, the loss has its own."""
    (tmp_path / "net.onnx").write_bytes(small())
    document = info(sapwood, tmp_path / "net.onnx")
    assert [(node["name"], node["op"]) for node in document["nodes"]] == [
        ("conv", "conv2d"), ("bn", "batch_norm"), ("Relu_2", "relu"), ("second_conv", "conv2d"), ("Add_4", "add"),
        ("MaxPool_5", "max_pool"), ("GlobalAveragePool_6", "global_avg_pool"), ("Flatten_7", "flatten"),
        ("fc", "linear"), ("loss", "cross_entropy")]
    assert document["parameters"] == 36 + 4 + 8 + 16 + 15
    assert document["nodes"][4]["inputs"] == ["Relu_2", "second_conv"]


W, B = draw(3, 36), draw(3)
FLAT = o.node("Flatten", ["x"], ["f"])
GEMM = o.node("Gemm", ["f", "w", "b"], ["y"], [one("transB", 1)])
EQUAL = {
    "gemm": ([FLAT, GEMM], {"w": W, "b": B}, {}),
    "gemm not transposed": ([FLAT, o.node("Gemm", ["f", "w", "b"], ["y"])], {"w": W.T.copy(), "b": B}, {}),
    "bias with an axis more": ([FLAT, GEMM], {"w": W, "b": B[None]}, {}),
    "matmul and add": ([FLAT, o.node("MatMul", ["f", "w"], ["m"]), o.node("Add", ["m", "b"], ["y"])],
                       {"w": W.T.copy(), "b": B}, {}),
    "add and matmul": ([FLAT, o.node("MatMul", ["f", "w"], ["m"]), o.node("Add", ["b", "m"], ["y"])],
                       {"w": W.T.copy(), "b": B}, {}),
    "constants": ([o.constant("w", W), o.constant("b", B), FLAT, GEMM], {}, {}),
    "identities": ([o.node("Identity", ["w0"], ["w"]), o.node("Identity", ["x"], ["z"]), o.node("Flatten", ["z"], ["f"]),
                    GEMM], {"w0": W, "b": B}, {}),
    "reshape": ([o.node("Reshape", ["x", "s"], ["f"]), GEMM], {"w": W, "b": B, "s": np.int64([-1, 36])}, {}),
    "reshape of any batch": ([o.node("Reshape", ["x", "s"], ["f"]), GEMM], {"w": W, "b": B, "s": np.int64([0, -1])}, {}),
    "reshape of one picture": ([o.node("Reshape", ["x", "s"], ["f"]), GEMM],
                               {"w": W, "b": B, "s": np.int64([1, -1])}, {}),
    "reshape by a computed shape": (
        [o.node("Shape", ["x"], ["sh"]), o.node("Gather", ["sh", "zero"], ["n"]), o.node("Unsqueeze", ["n", "axis"], ["n1"]),
         o.node("Concat", ["n1", "rest"], ["s"], [one("axis", 0)]), o.node("Reshape", ["x", "s"], ["f"]), GEMM],
        {"w": W, "b": B, "zero": np.int64(0), "axis": np.int64([0]), "rest": np.int64([-1])}, {}),
    "reshape to what it is": ([o.node("Reshape", ["x", "s"], ["z"]), o.node("Flatten", ["z"], ["f"]), GEMM],
                              {"w": W, "b": B, "s": np.int64([-1, 1, 6, 6])}, {}),
    "softmax": ([FLAT, o.node("Gemm", ["f", "w", "b"], ["l"], [one("transB", 1)]), o.node("LogSoftmax", ["l"], ["y"])],
                {"w": W, "b": B}, {}),
    "dropout of opset 11": ([FLAT, o.node("Dropout", ["f"], ["d"], [[(1, "ratio"), (20, 1)]]),
                             o.node("Gemm", ["d", "w", "b"], ["y"], [one("transB", 1)])], {"w": W, "b": B}, {"opset": 11}),
    "dropout of opset 13": ([FLAT, o.constant("rate", np.float32(0.25)), o.node("Dropout", ["f", "rate"], ["d", "mask"]),
                             o.node("Gemm", ["d", "w", "b"], ["y"], [one("transB", 1)])], {"w": W, "b": B}, {}),
    "weights listed as inputs": ([FLAT, GEMM], {"w": W, "b": B},
                                 {"more_inputs": [o.value_info("w", W.shape), o.value_info("b", B.shape)]}),
    "features": ([o.node("Gemm", ["x", "w", "b"], ["y"], [one("transB", 1)])], {"w": W, "b": B}, {"picture": (1, 36)}),
    "a dead end": ([FLAT, o.node("Nonsense", ["f"], ["nothing"]), GEMM], {"w": W, "b": B}, {}),
}


@pytest.mark.parametrize("name", EQUAL)
def test_forms(sapwood, data, tmp_path, name):
    """However the same linear layer is written, its loss is that of NumPy."""
    nodes, tensors, more = EQUAL[name]
    (tmp_path / "net.onnx").write_bytes(network(nodes, tensors, **more))
    done = sapwood("eval", tmp_path / "net.onnx", "--data", data, "--engine", "ref", "--json")
    assert done.returncode == 0, done.stderr
    x, y = pictures_of(data)
    logits = x.reshape(60, 36) @ W.T.astype("f8") + B
    loss = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(60), y])
    found = json.loads(done.stdout)
    assert found["loss"] == pytest.approx(loss, rel=1e-4)
    assert found["total"] == 108


CONV = {"w": draw(2, 1, 3, 3)}
TAIL = [o.node("GlobalAveragePool", ["c"], ["g"]), o.node("Flatten", ["g"], ["y"])]


@pytest.mark.parametrize(
    "attributes, side",
    [
        ([], 4),
        ([ints("kernel_shape", 3, 3), ints("pads", 1, 1, 1, 1)], 6),
        ([text("auto_pad", "SAME_UPPER"), ints("strides", 2, 2)], 3),
        ([text("auto_pad", "SAME_LOWER"), ints("strides", 4, 4)], 2),
        ([text("auto_pad", "VALID"), ints("dilations", 2, 2)], 2),
    ],
)
def test_windows(sapwood, tmp_path, attributes, side):
    (tmp_path / "net.onnx").write_bytes(network([o.node("Conv", ["x", "w"], ["c"], attributes), *TAIL], CONV))
    assert info(sapwood, tmp_path / "net.onnx")["nodes"][0]["shape"] == [2, side, side]


def test_train_write_back_evaluate(sapwood, data, tmp_path):
    """The file's own weights are the first ones; every iteration leaves a model, the original with other numbers."""
    original = tmp_path / "net.onnx"
    original.write_bytes(small())
    done = run(sapwood, data, original, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    first = {name: array for name, array in map(o.read_tensor, initializers(original))}
    initial = read_safetensors(tmp_path / "run" / "initial.safetensors")
    for ours, theirs in (("conv.weight", "conv.weight"), ("bn.running_var", "bn.var"), ("second_conv.weight", "second")):
        assert (initial[ours] == first[theirs]).all()
    moved = original.rename(tmp_path / "elsewhere.onnx")  # the run keeps a copy
    trained = read_safetensors(tmp_path / "run" / "iteration-01.safetensors")
    written = dict(map(o.read_tensor, initializers(tmp_path / "run" / "iteration-01.onnx")))
    assert list(written) == list(first)
    assert (written["second"] == trained["second_conv.weight"]).all() and (written["fc.bias"] == trained["fc.bias"]).all()
    assert (written["bn.mean"] == trained["bn.running_mean"]).all() and (written["bn.mean"] != first["bn.mean"]).any()
    assert (written["conv.weight"] == 0).sum() == (~trained["conv.weight.mask"]).sum()
    graph = o.first_of(moved.read_bytes(), 7)
    assert o.all_of(o.first_of((tmp_path / "run" / "iteration-01.onnx").read_bytes(), 7), 1) == o.all_of(graph, 1)
    losses = [json.loads(sapwood("eval", path, "--data", data, "--engine", "ref", "--json").stdout)["loss"]
              for path in (tmp_path / "run", tmp_path / "run" / "iteration-01.onnx")]
    assert losses[0] == losses[1]


def initializers(path):
    return o.all_of(o.first_of(path.read_bytes(), 7), 5)


def test_sparse_runtime(sapwood, data, tmp_path):
    """A run of a network in ONNX, its iteration's model, and what export makes of both run in the sparse runtime."""
    (tmp_path / "net.onnx").write_bytes(small())
    assert run(sapwood, data, tmp_path / "net.onnx", tmp_path / "run").returncode == 0
    (tmp_path / "net.onnx").unlink()
    last = tmp_path / "run" / "iteration-01.onnx"
    for source, form in ((tmp_path / "run", "--sparse=a.safetensors"), (last, "--sparse=b.safetensors"),
                         (tmp_path / "run", "--onnx=a.onnx"), ("a.safetensors", "--onnx=b.onnx")):
        done = sapwood("export", source, form, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.onnx").read_bytes() == last.read_bytes()
    np.save(tmp_path / "x.npy", pictures_of(data)[0].astype("f4"))
    logits = []
    for model in (tmp_path / "run", last, "a.safetensors", "b.safetensors", "b.onnx"):
        done = sapwood("run", model, "--input", "x.npy", "-o", "y.npy", "--force", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        logits.append(np.load(tmp_path / "y.npy"))
        assert np.allclose(logits[0], logits[-1], rtol=1e-5, atol=1e-6)
    found = json.loads(sapwood("eval", last, "--data", data, "--engine", "ref", "--json").stdout)
    assert found["accuracy"] == pytest.approx((logits[0].argmax(1) == pictures_of(data)[1]).mean())


@pytest.mark.parametrize("way", ["picture", "lanes", "auto"])
def test_network_that_ends_in_a_picture(sapwood, tmp_path, way):
    """Every pixel is an output. Features may come as rows."""
    flat = [o.node("Relu", ["x"], ["r"]), o.node("Flatten", ["r"], ["y"])]
    x = draw(3, 2, 6, 5)
    for shape, nodes in ((x.shape, flat), ((3, 60), flat[:1] + [o.node("Identity", ["r"], ["y"])])):
        (tmp_path / "net.onnx").write_bytes(network(nodes, picture=shape))
        np.save(tmp_path / "x.npy", x.reshape(shape))
        words = ["--input", tmp_path / "x.npy", "-o", tmp_path / "y.npy", "--way", way, "--force"]
        done = sapwood("run", tmp_path / "net.onnx", *words)
        assert done.returncode == 0, done.stderr
        assert (np.load(tmp_path / "y.npy") == np.maximum(x, 0).reshape(3, 60)).all()
    np.save(tmp_path / "x.npy", x[0])
    done = sapwood("run", tmp_path / "net.onnx", *words)
    assert done.returncode == 1 and "shape (2, 6, 5), expected (N, 60, 1, 1)" in done.stderr


def test_fresh(sapwood, data, tmp_path):
    (tmp_path / "net.onnx").write_bytes(small())
    for name in ("a", "b"):
        done = run(sapwood, data, tmp_path / "net.onnx", tmp_path / name, "--init", "fresh", "--seed", "5")
        assert done.returncode == 0, done.stderr
    tensors = [read_safetensors(tmp_path / name / "initial.safetensors") for name in ("a", "b")]
    own = dict(map(o.read_tensor, initializers(tmp_path / "net.onnx")))
    assert (tensors[0]["fc.weight"] == tensors[1]["fc.weight"]).all()
    assert (tensors[0]["fc.weight"] != own["fc.weight"]).all() and (tensors[0]["bn.running_var"] == 1).all()


def test_interrupted_and_resumed(sapwood, data, tmp_path):
    """The same bytes, also where the model has moved meanwhile and two biases shared a tensor."""
    nodes = [o.node("Conv", ["x", "w1", "zero"], ["c"]), o.node("Relu", ["c"], ["r"]),
             o.node("Identity", ["zero"], ["zero2"]), o.node("Conv", ["r", "w2", "zero2"], ["d"]),
             o.node("GlobalAveragePool", ["d"], ["g"]), o.node("Flatten", ["g"], ["y"])]
    model = tmp_path / "net.onnx"
    model.write_bytes(network(nodes, {"w1": draw(3, 1, 3, 3), "w2": draw(3, 3, 3, 3), "zero": np.zeros(3, "f4")}))
    words = ("--iterations", "2", "--epochs", "30", "--batch", "8", "--threads", "1")
    assert run(sapwood, data, model, tmp_path / "whole", *words).returncode == 0
    process = sapwood.start("train", "--data", data, "--model", model, "--engine", "ref", *words, "-o", tmp_path / "cut")
    while not (tmp_path / "cut" / "iteration-00.onnx").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate()
    model.rename(tmp_path / "moved.onnx")
    if process.returncode == 130:
        done = sapwood("train", "-o", tmp_path / "cut", "--resume")
        assert done.returncode == 0, done.stderr
    for name in ("iteration-02.onnx", "iteration-02.safetensors", "network.onnx"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes(), name
    biases = [read_safetensors(tmp_path / "whole" / "iteration-02.safetensors")[n] for n in ("Conv_0.bias", "Conv_3.bias")]
    assert (biases[0] != biases[1]).any()


def test_external_data(sapwood, data, tmp_path):
    (tmp_path / "weights").write_bytes(W.tobytes())
    outside = [(1, 3), (1, 36), (2, 1), (8, "w"), (13, [(1, "location"), (2, "weights")]), (14, 1)]
    model = o.model(o.graph([FLAT, GEMM], [outside, o.tensor("b", B)], inputs=[o.value_info("x", (1, 1, 6, 6))],
                            outputs=[o.value_info("y", (1, 3))]))
    (tmp_path / "net.onnx").write_bytes(model)
    done = run(sapwood, data, tmp_path / "net.onnx", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert (read_safetensors(tmp_path / "run" / "initial.safetensors")["Gemm_1.weight"] == W).all()
    names = [o.read_tensor(t)[0] for t in initializers(tmp_path / "run" / "iteration-01.onnx")]
    assert sorted(names) == ["b", "w"]  # the values are inside now


REFUSED = {
    "unknown op": (network([o.node("LRN", ["x"], ["y"], name="norm")]),
                   "node norm: LRN: this op is not known to Sapwood"),
    "op of another domain": (network([o.node("Relu", ["x"], ["y"], name="r") + [(7, "com.acme")]]),
                             "node r: Relu: this op is not known"),
    "a nameless node": (network([FLAT, o.node("Gelu", ["f"], ["y"])]), "node #1: Gelu: this op is not known"),
    "cycle": (network([o.node("Add", ["x", "b"], ["a"], name="p"), o.node("Relu", ["a"], ["b"], name="q"),
                       o.node("Flatten", ["b"], ["y"])]), "node p: Add: reads b, which is made later: a cycle"),
    "itself": (network([o.node("Relu", ["y"], ["y"], name="q")]), "node q: Relu: reads y, which is made later"),
    "missing input": (network([o.node("Add", ["x", "ghost"], ["y"], name="p")]),
                      "node p: Add: reads ghost, which nobody makes"),
    "two makers": (network([o.node("Relu", ["x"], ["y"]), o.node("Relu", ["x"], ["y"], name="q")]),
                   "node q: Relu: makes y, which is there already"),
    "no output": (network([o.node("Relu", ["x"], ["z"])]), "output y: no node makes it"),
    "two outputs": (network([FLAT, GEMM], {"w": W, "b": B}, outputs=[o.value_info("y", (1, 3)), o.value_info("f", (1, 36))]),
                    "2 outputs, expected one"),
    "two inputs": (network([FLAT, GEMM], {"w": W, "b": B}, more_inputs=[o.value_info("z", (1, 3))]),
                   "inputs x and z, expected one"),
    "wrong shape": (network([o.node("Conv", ["x", "w"], ["c"], name="k"), *TAIL], {"w": draw(2, 4, 3, 3)}),
                    "node k: Conv: w: another shape, expected (2, 1, 3, 3)"),
    "wrong bias": (network([FLAT, GEMM], {"w": W, "b": draw(4)}), "node #1: Gemm: b: another shape, expected (3)"),
    "wrong features": (network([FLAT, GEMM], {"w": draw(3, 35), "b": B}), "node #1: Gemm: w: another shape, expected (3, 36)"),
    "wrong window": (network([o.node("Conv", ["x", "w"], ["c"], [ints("kernel_shape", 9, 9)]), *TAIL], CONV),
                     "a window of 9 on 6 pixels"),
    "half a window": (network([o.node("Conv", ["x", "w"], ["c"], [ints("strides", 2)]), *TAIL], CONV),
                      "strides has 1 numbers, expected 2"),
    "negative padding": (network([o.node("Conv", ["x", "w"], ["c"], [ints("pads", -1, 0, 0, 0)]), *TAIL], CONV),
                         "padding -1"),
    "weights of double": (network([FLAT, GEMM], {"w": W.astype("f8"), "b": B}), "w: type F64, expected F32"),
    "weights of a node": (network([FLAT, o.node("Relu", ["b"], ["w"]), GEMM], {"b": B}),
                          "node #1: Relu: input b is a constant"),
    "scaled product": (network([FLAT, o.node("Gemm", ["f", "w", "b"], ["y"], [[(1, "alpha"), (20, 1)], one("transA", 1)])],
                               {"w": W, "b": B}), "alpha, beta or transA"),
    "softmax inside": (network([o.node("Softmax", ["x"], ["s"]), o.node("Flatten", ["s"], ["y"])]),
                       "Softmax: expected at the end of the network only"),
    "softmax of pictures": (network([FLAT, o.node("Gemm", ["f", "w", "b"], ["l"], [one("transB", 1)]),
                                     o.node("Softmax", ["l"], ["y"], [one("axis", 0)])], {"w": W, "b": B}),
                            "Softmax: axis 0, expected 1"),
    "bias along the pictures": (network([FLAT, o.node("MatMul", ["f", "w"], ["m"]),
                                         o.node("Add", ["m", "b"], ["y"], [one("broadcast", 1), one("axis", 0)], "a")],
                                        {"w": W.T.copy(), "b": B}, opset=6), "node a: Add: input b is a constant"),
    "training form of opset 6": (network([o.node("BatchNormalization", ["x", "s", "s", "s", "s"], ["y"])],
                                         {"s": np.ones(1, "f4")}, opset=6), "is_test 0, expected 1"),
    "norm of every pixel": (network([o.node("BatchNormalization", ["x", "s", "s", "s", "s"], ["y"], [one("spatial", 0)])],
                                    {"s": np.ones(1, "f4")}, opset=7), "spatial 0, expected 1"),
    "a scalar added": (network([FLAT, o.constant("c", np.float32(1), "one"), o.node("Add", ["f", "c"], ["y"])]),
                       "node one: Constant: known as a weight or a shape only"),
    "reshape to something": (network([o.node("Reshape", ["x", "s"], ["y"])], {"s": np.int64([3, 12])}),
                             "Reshape: expected (pictures, all the rest)"),
    "training form": (network([o.node("BatchNormalization", ["x", "s", "s", "s", "s"], ["y"], [one("training_mode", 1)])],
                              {"s": np.ones(1, "f4")}), "training_mode 1, expected 0"),
    "tied weights": (network([FLAT, o.node("Gemm", ["f", "w"], ["a"]), o.node("Gemm", ["a", "w"], ["y"], name="g")],
                             {"w": draw(36, 36)}), "node g: Gemm: w: read by two nodes, expected one"),
    "opset 5": (network([FLAT, GEMM], {"w": W, "b": B}, opset=5), "opset 5, expected 6 to 21"),
    "opset 30": (network([FLAT, GEMM], {"w": W, "b": B}, opset=30), "opset 30, expected 6 to 21"),
    "other pictures": (network([FLAT, GEMM], {"w": W, "b": B}, picture=(1, 3, 6, 6)),
                       "input x takes pictures (3, 6, 6), these are (1, 6, 6)"),
    "other classes": (network([FLAT, o.node("Gemm", ["f", "w"], ["y"], [one("transB", 1)])], {"w": draw(5, 36)}),
                      "5 logits of rank 1, expected 3 classes"),
    "constant pictures": (network([o.node("Relu", ["w"], ["y"])], {"w": W}), "input w is a constant"),
    "second output": (network([o.node("MaxPool", ["x"], ["m", "i"], [ints("kernel_shape", 2, 2)], "p"),
                               o.node("Add", ["m", "i"], ["y"])]), "node p: MaxPool: its second output is not known"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(sapwood, data, tmp_path, name):
    content, line = REFUSED[name]
    (tmp_path / "net.onnx").write_bytes(content)
    done = run(sapwood, data, tmp_path / "net.onnx", tmp_path / "run")
    assert done.returncode == 1
    assert line in done.stderr and "net.onnx: " in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "run").exists()


def test_refused_files(sapwood, data, tmp_path):
    """External data out of the folder, another format, a file that is cut at any byte, none at all."""
    outside = [(1, 3), (1, 36), (2, 1), (8, "w"), (13, [(1, "location"), (2, "../weights")]), (14, 1)]
    path = tmp_path / "net.onnx"
    path.write_bytes(o.model(o.graph([FLAT, GEMM], [outside, o.tensor("b", B)], inputs=[o.value_info("x", (1, 1, 6, 6))],
                                     outputs=[o.value_info("y", (1, 3))])))
    done = sapwood("info", "--model", path)
    assert done.returncode == 1 and "external data at a location with an empty step, '.' or '..'" in done.stderr
    content = small()
    for size in range(0, len(content), 23):
        path.write_bytes(content[:size])
        done = sapwood("info", "--model", path)
        assert done.returncode == 1 and done.stdout == "" and len(done.stderr.splitlines()) == 1, done.stderr
    done = sapwood("info", "--model", tmp_path / "none.onnx")
    assert done.returncode == 1 and "none.onnx: " in done.stderr


def test_runs_in_onnx_runtime(sapwood, data, tmp_path):
    """What was trained and written back is a sound model, and a stock runtime makes the accuracy that eval reports."""
    checker = pytest.importorskip("onnx.checker", reason="the package onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    (tmp_path / "net.onnx").write_bytes(small(picture=(60, 1, 6, 6)))
    assert run(sapwood, data, tmp_path / "net.onnx", tmp_path / "run").returncode == 0
    path = str(tmp_path / "run" / "iteration-01.onnx")
    checker.check_model(path, full_check=True)
    found = json.loads(sapwood("eval", path, "--data", data, "--engine", "ref", "--json").stdout)
    x, y = pictures_of(data)
    (probabilities,) = runtime.InferenceSession(path).run(None, {"x": x.astype("f4")})
    assert found["accuracy"] == pytest.approx((probabilities.argmax(1) == y).mean(), abs=1e-9)


@pytest.mark.parametrize("model", ["cnn", "resnet18", "wresnet28x2"])
def test_networks_by_name_in_onnx_runtime(sapwood, tmp_path, model):
    """export --onnx: a stock runtime makes the logits of ours."""
    checker = pytest.importorskip("onnx.checker", reason="the package onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    x = np.random.RandomState(3).normal(0, 1, (40, 3, 12, 12)).astype("f4")
    np.savez(tmp_path / "set.npz", x_train=x[:32], y_train=np.arange(32) % 10, x_test=x[32:], y_test=np.arange(8))
    done = sapwood("train", "--data", f"npz:{tmp_path / 'set.npz'}", "--model", model, "--iterations", "1", "--epochs",
                   "1", "--batch", "32", "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert sapwood("export", tmp_path / "run", "--onnx", tmp_path / "net.onnx").returncode == 0
    checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
    np.save(tmp_path / "x.npy", x)
    done = sapwood("run", tmp_path / "run", "--input", tmp_path / "x.npy", "-o", tmp_path / "y.npy")
    assert done.returncode == 0, done.stderr
    (expected,) = runtime.InferenceSession(str(tmp_path / "net.onnx")).run(None, {"input": x})
    found = np.load(tmp_path / "y.npy")
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()
