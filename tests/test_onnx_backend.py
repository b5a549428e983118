"""ONNX's own backend tests, run by the program. docs/onnx-cases.md lists what is covered, and how the rest is refused.

A case gives its weights as inputs; here they are tensors of the file, as in a model. The program's outputs are rows: a
Flatten goes behind an output of higher rank.
"""
import fnmatch
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tiny_onnx as o
from conftest import ROOT

DATA = Path("/usr/share/libonnx-testdata/data")
DOCUMENT = ROOT / "docs" / "onnx-cases.md"
FAMILIES = {
    "node": """basic_conv* conv* averagepool* maxpool* globalaveragepool* globalmaxpool* gemm* matmul* batchnorm* relu*
               add add_* flatten* softmax* logsoftmax* sigmoid* reshape* identity* dropout* reduce_mean*""",
    "pytorch-converted": """AvgPool* BatchNorm* Conv1d* Conv2d* Conv3d* ConvTranspose* Linear* LogSoftmax* MaxPool* ReLU*
                            Sigmoid* Softmax log_softmax* softmax*""",
    "pytorch-operator": "operator_add* operator_conv* operator_flatten operator_maxpool operator_mm operator_view",
    "simple": "single_relu_model",
}


def version():
    """Of the package; the lists are those of one."""
    try:
        words = ["dpkg-query", "-W", "-f", "${Version}", "libonnx-testdata"]
        return subprocess.run(words, capture_output=True, text=True).stdout
    except FileNotFoundError:
        return ""


if not DATA.is_dir() or not version().startswith("1.12."):
    pytest.skip(f"libonnx-testdata {version() or '(none)'}, expected Debian's package 1.12", allow_module_level=True)


def find_cases():
    """Name → folder."""
    found = {}
    for kind, patterns in FAMILIES.items():
        for folder in sorted((DATA / kind).iterdir()):
            name = folder.name.removeprefix("test_")
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns.split()):
                assert name not in found
                found[name] = folder
    return found


def documented():
    """What the document says: the covered cases, and for every other one what the program says of it."""
    text = DOCUMENT.read_text(encoding="utf-8")
    covered, refused = text.split("## Covered")[1].split("## Not covered")
    names = re.findall(r"`(\w+)`", covered)
    reasons = {}
    for line, cases in re.findall(r"^\| `([^|]+)` \| (.*) \|$", refused, re.M):
        for name in re.findall(r"`(\w+)`", cases):
            assert name not in reasons and name not in names
            reasons[name] = line
    assert len(set(names)) == len(names)
    return names, reasons


CASES = find_cases()
COVERED, REFUSED = documented()


def data_set(folder):
    """The contents of the files of a case: inputs, and the first output."""
    first = folder / "test_data_set_0"
    count = len(list(first.glob("input_*.pb")))
    return [(first / f"input_{i}.pb").read_bytes() for i in range(count)], (first / "output_0.pb").read_bytes()


def rank_of(value_info):
    kind = o.first_of(o.first_of(value_info, 2), 1, b"")
    return len(o.all_of(o.first_of(kind, 2, b""), 1))


def as_network(model, inputs):
    """The model with all inputs but the first as tensors of the file, and an output of rank 2."""
    graph = o.fields(o.first_of(model, 7))
    given = {o.first_of(tensor, 8, b"") for number, tensor in graph if number == 5}
    names = [o.first_of(info, 1) for number, info in graph if number == 11 and o.first_of(info, 1) not in given]
    tensors = []
    for name, content in zip(names[1:], inputs[1:]):
        body = [(number, value) for number, value in o.fields(content) if number != 8]
        tensors.append((5, o.encode([*body, (8, name)])))
    graph = [pair for pair in graph if pair[0] != 11 or o.first_of(pair[1], 1) == names[0]] + tensors
    (output, *more) = [info for number, info in graph if number == 12]
    if not more and rank_of(output) > 2:
        name = o.first_of(output, 1).decode()
        graph = [pair for pair in graph if pair[0] != 12]
        graph += [(1, o.node("Flatten", [name], ["flat"])), (12, o.value_info("flat", (1, 1)))]
    pairs = [(number, graph if number == 7 else value) for number, value in o.fields(model)]
    if o.first_of(o.first_of(model, 8), 2) == 1:  # global pools, which are today as they were then
        pairs = [pair for pair in pairs if pair[0] != 8] + [(8, [(1, ""), (2, 13)])]
    return o.encode(pairs)


def write_case(folder, out):
    """The model and its input as files; the output, and the model's last op."""
    inputs, output = data_set(folder)
    model = (folder / "model.onnx").read_bytes()
    (out / "case.onnx").write_bytes(as_network(model, inputs))
    is_tensor = o.first_of(inputs[0], 9) is not None  # no sequence
    np.save(out / "x.npy", o.read_tensor(inputs[0])[1] if is_tensor else np.zeros((1, 1, 1, 1), "f4"))
    return output, o.first_of(o.all_of(o.first_of(model, 7), 1)[-1], 4).decode()


def test_every_case_is_listed():
    assert sorted([*COVERED, *REFUSED]) == sorted(CASES)
    counts = f"{len(CASES)}, of\nwhich the runtime computes {len(COVERED)} and refuses {len(REFUSED)}"
    assert counts in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("way", ["picture", "lanes", "dense"])
@pytest.mark.parametrize("name", COVERED)
def test_covered(sapwood, tmp_path, name, way):
    output, op = write_case(CASES[name], tmp_path)
    expected = o.read_tensor(output)[1]
    more = ["--softmax"] if op.endswith("Softmax") else []
    done = sapwood("run", "case.onnx", "--input", "x.npy", "-o", "y.npy", "--way", way, *more, cwd=tmp_path)
    if "no engine with convolutions" in done.stderr:
        pytest.skip("a build without oneDNN has no dense way")
    assert done.returncode == 0, done.stderr
    y = np.load(tmp_path / "y.npy").astype("f8")
    y = np.log(y) if op == "LogSoftmax" else y
    assert y.size == expected.size
    np.testing.assert_allclose(y.reshape(expected.shape), expected, rtol=0, atol=1e-5 * abs(expected).max())


@pytest.mark.parametrize("name", REFUSED)
def test_refused(sapwood, tmp_path, name):
    write_case(CASES[name], tmp_path)
    done = sapwood("run", "case.onnx", "--input", "x.npy", "-o", "y.npy", cwd=tmp_path)
    assert done.returncode == 1 and not (tmp_path / "y.npy").exists()
    assert re.match(r"sapwood run: (case.onnx|x.npy): ", done.stderr) and len(done.stderr.splitlines()) == 1, done.stderr
    assert REFUSED[name] in done.stderr
