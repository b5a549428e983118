"""export, run and bench: sparse networks from the command line, against NumPy in float64."""
import json
import os
import re
import subprocess
from pathlib import Path

import numpy
import pytest

from conftest import SIDE, make_pictures, read_safetensors
from safetensors_file import framed, header_of, taken_apart, write


@pytest.fixture(scope="module")
def trained(sapwood, data, tmp_path_factory):
    """A run of mlp, pruned four times."""
    path = tmp_path_factory.mktemp("run") / "mlp"
    words = ["--data", data, "--model", "mlp", "--method", "lt", "--ratio", 0.5, "--iterations", 4, "--epochs", 1]
    done = sapwood("train", *words, "--batch", 50, "--quiet", "-o", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def model(sapwood, trained, tmp_path_factory):
    """The run's last model as a sparse file."""
    path = tmp_path_factory.mktemp("model") / "mlp.safetensors"
    done = sapwood("export", trained, "--sparse", path)
    assert done.returncode == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Forty pictures, as a file and as numbers."""
    path = tmp_path_factory.mktemp("pictures") / "x.npy"
    x = ((make_pictures(40, 3)[0] / 255 - 0.286) / 0.353).astype("<f4").reshape(-1, 1, SIDE, SIDE)
    numpy.save(path, x)
    return path, x


def by_numpy(weights, x):
    """The logits of mlp."""
    y = x.reshape(len(x), -1).astype(float)
    for layer in ("blocks.0", "blocks.2", "linear"):
        y = y @ weights[f"{layer}.weight"].astype(float).T + weights[f"{layer}.bias"]
        y = numpy.maximum(y, 0) if layer != "linear" else y
    return y


# ---- export ----


def test_export_writes_the_network_and_the_kept_weights(sapwood, trained, model):
    dense = read_safetensors(trained / "iteration-04.safetensors")
    kept = sum(int(mask.sum()) for name, mask in dense.items() if name.endswith(".mask"))
    header = header_of(model)
    values = [entry["shape"][0] for name, entry in header.items() if name.endswith("weight.sapwood.values")]
    assert sum(values) == kept
    graph = json.loads(header["__metadata__"]["sapwood.graph"])
    assert graph["model"] == "mlp" and graph["input"] == [1, SIDE, SIDE]
    assert [node["op"] for node in graph["nodes"]].count("linear") == 3
    done = sapwood("export", model, "--safetensors", model.parent / "dense.safetensors", "--json")
    document = json.loads(done.stdout)
    assert document["kept"] == kept and document["files"][0]["bytes"] > model.stat().st_size
    again = read_safetensors(model.parent / "dense.safetensors")
    for name, weight in again.items():
        numpy.testing.assert_array_equal(weight, dense[name])


def test_export_takes_any_iteration(sapwood, trained, tmp_path):
    done = sapwood("export", trained, "--iteration", 0, "--safetensors", tmp_path / "first.safetensors", "--json")
    document = json.loads(done.stdout)
    assert document["kept"] == document["total"]
    assert document["source"] == str(trained / "iteration-00.safetensors")


def test_onnx_goes_both_ways(sapwood, trained, model, pictures, tmp_path):
    """The file says the same to us, and to ONNX Runtime where that is installed."""
    done = sapwood("export", model, "--onnx", tmp_path / "mlp.onnx")
    assert done.returncode == 0, done.stderr
    outputs = []
    for file in (model, tmp_path / "mlp.onnx"):
        done = sapwood("run", file, "--input", pictures[0], "-o", tmp_path / "y.npy", "-f")
        assert done.returncode == 0, done.stderr
        outputs.append(numpy.load(tmp_path / "y.npy"))
    numpy.testing.assert_array_equal(*outputs)
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(str(tmp_path / "mlp.onnx"), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {session.get_inputs()[0].name: pictures[1]})
    numpy.testing.assert_allclose(outputs[0], y, rtol=0, atol=1e-5 * abs(y).max())


def test_bytes_are_the_weights_rounded(sapwood, trained, model, data, tmp_path):
    small = tmp_path / "small.safetensors"
    done = sapwood("export", trained, "--sparse", small, "--bytes")
    assert done.returncode == 0, done.stderr
    assert small.stat().st_size < model.stat().st_size
    dense = read_safetensors(trained / "iteration-04.safetensors")
    done = sapwood("export", small, "--safetensors", tmp_path / "again.safetensors", "--json")
    assert json.loads(done.stdout)["kept"] == sum(int(m.sum()) for name, m in dense.items() if name.endswith(".mask"))
    for name, weight in read_safetensors(tmp_path / "again.safetensors").items():
        if name.endswith("bias"):
            numpy.testing.assert_array_equal(weight, dense[name])
            continue
        step = abs(dense[name]).max(1, keepdims=True) / 127
        assert (abs(weight - dense[name]) <= step * 0.501).all() and (weight[dense[f"{name}.mask"] == 0] == 0).all()
    accuracy = [
        json.loads(sapwood("eval", file, "--data", data, "--json").stdout)["accuracy"] for file in (model, small)
    ]
    assert abs(accuracy[0] - accuracy[1]) <= 0.02
    assert sapwood("export", trained, "--bytes", "--onnx", tmp_path / "m.onnx").returncode == 2


def test_export_needs_an_output_and_keeps_what_is_there(sapwood, trained, tmp_path):
    assert sapwood("export", trained).returncode == 2
    assert sapwood("export", trained, "--sparse", tmp_path / "model.bin").returncode == 2
    there = tmp_path / "there.safetensors"
    there.write_text("mine")
    done = sapwood("export", trained, "--sparse", there)
    assert done.returncode == 1 and "exists already" in done.stderr and there.read_text() == "mine"
    assert sapwood("export", trained, "--sparse", there, "--force").returncode == 0


# ---- run ----


@pytest.mark.parametrize("way", ["auto", "picture", "lanes", "dense", "mixed"])
def test_run_computes_the_network(sapwood, trained, model, pictures, tmp_path, way):
    path, x = pictures
    done = sapwood("run", model, "--input", path, "-o", tmp_path / "y.npy", "--way", way)
    if "no engine with convolutions" in done.stderr:
        pytest.skip("a build without oneDNN has no dense way")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    y = numpy.load(tmp_path / "y.npy")
    expected = by_numpy(read_safetensors(trained / "iteration-04.safetensors"), x)
    assert y.dtype == numpy.float32 and y.shape == expected.shape
    numpy.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * abs(expected).max())


def test_run_of_a_run_directory_is_run_of_its_model(sapwood, trained, model, pictures):
    outputs = [sapwood("run", what, "--input", pictures[0], "--json").stdout for what in (trained, model)]
    assert outputs[0] == outputs[1] != ""


@pytest.mark.parametrize("threads", [2, 5])
def test_threads_change_no_bit(sapwood, model, pictures, tmp_path, threads):
    files = [tmp_path / f"{n}.npy" for n in (1, threads)]
    for n, file in zip((1, threads), files):
        assert sapwood("run", model, "--input", pictures[0], "-o", file, "--threads", n).returncode == 0
    assert files[0].read_bytes() == files[1].read_bytes()


def test_run_prints_classes_and_probabilities(sapwood, trained, model, pictures):
    expected = by_numpy(read_safetensors(trained / "iteration-04.safetensors"), pictures[1])
    done = sapwood("run", model, "--input", pictures[0], "--softmax", "--json")
    document = json.loads(done.stdout)
    assert document["classes"] == expected.argmax(1).tolist()
    exp = numpy.exp(expected - expected.max(1, keepdims=True))
    numpy.testing.assert_allclose(document["outputs"], exp / exp.sum(1, keepdims=True), atol=1e-5)
    lines = sapwood("run", model, "--input", pictures[0]).stdout.splitlines()
    assert [int(line.split()[1]) for line in lines[1:]] == document["classes"]


def test_nan_passes_through(sapwood, model, pictures, tmp_path):
    x = pictures[1][:2].copy()
    x[0] = numpy.nan
    numpy.save(tmp_path / "x.npy", x)
    for way in ("picture", "lanes", "dense", "mixed"):
        done = sapwood("run", model, "--input", tmp_path / "x.npy", "-o", tmp_path / "y.npy", "-f", "--way", way)
        if way == "dense" and "no engine with convolutions" in done.stderr:
            continue
        assert done.returncode == 0, done.stderr
        y = numpy.load(tmp_path / "y.npy")
        assert numpy.isnan(y[0]).any() and numpy.isfinite(y[1]).all()  # where a kept weight leads there


def test_one_picture_without_an_axis_for_the_batch(sapwood, model, pictures, tmp_path):
    numpy.save(tmp_path / "one.npy", pictures[1][0])
    document = json.loads(sapwood("run", model, "--input", tmp_path / "one.npy", "--json").stdout)
    assert document["count"] == 1


@pytest.mark.parametrize(
    "array, words",
    [
        (numpy.zeros((2, 1, SIDE, SIDE + 1), "<f4"), ["(2, 1, 28, 29)", "expected (N, 1, 28, 28)"]),
        (numpy.zeros((0, 1, SIDE, SIDE), "<f4"), ["(0, 1, 28, 28)", "expected (N, 1, 28, 28), N at least 1"]),
        (numpy.zeros((2, SIDE * SIDE), "<f4"), ["(2, 784)", "expected (N, 1, 28, 28)"]),
        (numpy.zeros((0, 1, SIDE, SIDE), "<f4"), ["(0, 1, 28, 28)", "expected"]),
        (numpy.zeros((2, 1, SIDE, SIDE), "<f8"), ["F64", "expected F32"]),
        (numpy.zeros((2, 1, SIDE, SIDE), "u1"), ["U8", "expected F32"]),
    ],
)
def test_a_wrong_input_is_named(sapwood, model, tmp_path, array, words):
    numpy.save(tmp_path / "x.npy", array)
    done = sapwood("run", model, "--input", tmp_path / "x.npy")
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert all(word in line for word in ["x.npy", *words])


def test_usage(sapwood, model, pictures):
    assert sapwood("run", model).returncode == 2
    assert sapwood("run").returncode == 2
    assert sapwood("run", model, "--input", pictures[0], "--way", "sideways").returncode == 2
    assert sapwood("bench", model, "--batch", 0).returncode == 2
    assert sapwood("run", model, "--input", "nowhere.npy").returncode == 1
    assert sapwood("run", "nowhere", "--input", pictures[0]).returncode == 1
    done = sapwood("run", model, "--input", pictures[0], "-o", pictures[0])
    assert done.returncode == 1 and "output is the input" in done.stderr


# ---- eval ----


def test_eval_by_the_runtime_is_eval(sapwood, trained, model, data):
    results = [
        json.loads(sapwood("eval", *words, "--json").stdout)
        for words in ((trained,), (trained, "--engine", "sparse"), (model, "--data", data))
    ]
    for other in results[1:]:
        assert other["accuracy"] == results[0]["accuracy"] and other["kept"] == results[0]["kept"]
        assert abs(other["loss"] - results[0]["loss"]) < 1e-5 and other["count"] == results[0]["count"]
    assert results[1]["iteration"] == 4 and results[2]["iteration"] is None


def test_what_measuring_found_is_remembered(sapwood, model, data, tmp_path):
    def evaluate():
        environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
        done = sapwood("eval", model, "--data", data, "--threads", 1, "--json", env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = evaluate()
    (file,) = (tmp_path / "sapwood").glob("runtime-*.json")
    choices = json.loads(file.read_text())["choices"]
    ((key, choice),) = [item for item in choices.items() if item[0].startswith("mlp ")]
    assert key.endswith("batch 256 threads 1 auto")
    assert choice.split()[0] in ("picture", "lanes", "dense")
    written = file.stat().st_mtime_ns
    assert evaluate() == first and file.stat().st_mtime_ns == written
    text = file.read_text()
    others = ("sideways", "lanes 9x9", "picture 1", "dense 0", "lanes 3 9x9 ", "picture 2 1x1 ", "lanes 99999999999", "dense 2 dense")
    for broken in ("", "{", *(text.replace(choice, other) for other in others)):
        file.write_text(broken)
        assert json.loads(evaluate())["count"] == json.loads(first)["count"]


# ---- damaged files ----


def with_graph(model, path, change):
    """The model file with another graph."""
    header, data = taken_apart(model)
    text = header["__metadata__"]["sapwood.graph"]
    header["__metadata__"]["sapwood.graph"] = change(text) if callable(change) else change
    path.write_bytes(framed(header, data))
    return path


def edited(**changes):
    def change(text):
        graph = json.loads(text)
        for key, value in changes.items():
            node, _, field = key.partition("__")
            if field:
                graph["nodes"][int(node[1:])][field] = value
            else:
                graph[key] = value
        return json.dumps(graph)

    return change


@pytest.mark.parametrize(
    "change, words",
    [
        ("", "sapwood.graph"),
        ("[]", "not a JSON object"),
        ('{"version":1}', "model"),
        (edited(version=2), "version"),
        (edited(input=[1, 28]), "input"),
        (edited(input=[1, 28, 70000]), "input"),
        (edited(classes=0), "classes"),
        (edited(nodes={}), "nodes"),
        (edited(output=99), "output"),
        (edited(output=0), "784 logits"),
        (edited(n1__op="cross_entropy"), "op"),
        (edited(n1__op="fold"), "op"),
        (edited(n1__inputs=[5]), "inputs"),
        (edited(n1__inputs=[0, 1]), "inputs"),
        (edited(n1__features=10**12), "features"),
        (edited(n1__features=127), "shape"),
        (edited(n1__bias=2), "bias"),
        (edited(n1__extra=1), "key"),
        (edited(n1__name=""), "name"),
        (edited(n1__name="other"), "other.weight"),
    ],
)
def test_a_wrong_graph_is_named(sapwood, model, pictures, tmp_path, change, words):
    broken = with_graph(model, tmp_path / "broken.safetensors", change)
    done = sapwood("run", broken, "--input", pictures[0])
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "broken.safetensors" in line and words in line


def test_a_file_without_a_network_says_so(sapwood, pictures, tmp_path):
    write(tmp_path / "w.safetensors", {"w": ("F32", numpy.zeros(1, "<f4"))})
    done = sapwood("run", tmp_path / "w.safetensors", "--input", pictures[0])
    assert done.returncode == 1 and "holds no network" in done.stderr


@pytest.mark.parametrize("words", [["run", "--input", "x.npy"], ["bench"], ["eval"], ["export", "--onnx", "x.onnx"]], ids=lambda w: w[0])
def test_a_folder_that_is_no_run_says_so(sapwood, tmp_path, words):
    done = sapwood(words[0], tmp_path, *words[1:])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"sapwood {words[0]}: {str(tmp_path)[-120:]}: not a run: it has no config.json\n"
    (tmp_path / "config.json").write_text("{}")  # one that was killed before its first iteration
    done = sapwood(words[0], tmp_path, *words[1:])
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert words[0] == "eval" or done.stderr.endswith(": no finished iteration\n")


def test_a_cut_file_is_refused(sapwood, model, pictures, tmp_path):
    content = model.read_bytes()
    for size in (0, 7, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.safetensors").write_bytes(content[:size])
        done = sapwood("run", tmp_path / "cut.safetensors", "--input", pictures[0])
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1


# ---- bench ----


def test_bench_times_every_layer_and_every_way(sapwood, model):
    done = sapwood("bench", model, "--batch", 3, "--rounds", 2, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    layers = [layer for layer in document["layers"] if layer["total"]]
    assert [layer["name"] for layer in layers] == ["blocks.0", "blocks.2", "linear"]
    assert sum(layer["kept"] for layer in layers) == document["kept"] == document["useful"]
    assert all(layer[way]["seconds"] > 0 for layer in layers for way in ("picture", "lanes"))
    assert all(layer["chosen"] in ("picture", "lanes", "dense") and layer["why"] for layer in layers)
    assert document["ways"]["auto"]["min_seconds"] > 0
    assert document["ways"]["picture"]["min_seconds"] <= document["ways"]["picture"]["median_seconds"]
    assert document["ways"][document["fastest"]] is not None
    text = sapwood("bench", model, "--rounds", 1).stdout
    assert all(name in text for name in ("blocks.0", "picture", "lanes", "dense", "chosen", "GFLOP/s", "the fastest"))


# ---- from C ----


def test_the_example_compiles_and_runs(model, tmp_path):
    root = Path(__file__).resolve().parent.parent
    build = os.environ.get("SAPWOOD_BUILD", root / "build")
    command = [os.environ.get("CC", "cc"), "-std=c11", "-Wall", "-Wextra", "-Werror", root / "examples/classify.c"]
    links = [f"-I{root / 'include'}", f"-L{build}", "-lsapwood", f"-Wl,-rpath,{build}", "-o", tmp_path / "classify"]
    done = subprocess.run([*command, *links], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([tmp_path / "classify", model, "3"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^picture \d: class \d, \d+\.\d %$", done.stdout, re.M)) == 3
