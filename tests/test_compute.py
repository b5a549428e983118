"""How convolutional networks are computed: choices kept with the run, bf16, and where the time goes."""
import json

import pytest
from conftest import lines_of, read_safetensors, write_data


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return f"fashion-mnist:{write_data(tmp_path_factory.mktemp('compute') / 'data', train=64, test=20)}"


def train(sapwood, pictures, run, *words):
    return sapwood("train", "--data", pictures, "--model", "cnn", "--iterations", "0", "--epochs", "2", "--batch", "32",
                   "--lr", "0.02", "-o", run, *words)


def has_onednn(sapwood):
    return "onednn" in json.loads(sapwood("info", "--json").stdout)["engines"]


def test_choices_stay_with_the_run(sapwood, pictures, tmp_path):
    if not has_onednn(sapwood):
        pytest.skip("no engine that chooses in this build")
    for name in ("a", "b"):
        done = train(sapwood, pictures, tmp_path / name)
        assert done.returncode == 0, done.stderr
    plan = json.loads((tmp_path / "a" / "plan.json").read_text())
    assert "oneDNN" in plan["machine"] and len(plan["choices"]) >= 11
    assert all(key.startswith("conv2d ") for key in plan["choices"])
    a, b = (read_safetensors(tmp_path / name / "iteration-00.safetensors") for name in ("a", "b"))
    assert all((a[key] == b[key]).all() for key in a)


def test_broken_plan(sapwood, pictures, tmp_path):
    if not has_onednn(sapwood):
        pytest.skip("no engine that chooses in this build")
    assert train(sapwood, pictures, tmp_path / "run").returncode == 0
    for text, reason in (("{", "plan: string or '}' expected near end of file at byte 1"),
                         ("[]", "the plan is not a JSON object"),
                         ("{}", 'expected "machine", a text, and "choices", an object')):
        (tmp_path / "run" / "plan.json").write_text(text)
        done = sapwood("train", "-o", tmp_path / "run", "--resume")
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1 and f"plan.json: {reason}" in done.stderr


def test_profile(sapwood, pictures, tmp_path):
    done = train(sapwood, pictures, tmp_path / "run", "--profile", "--json")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)
    shares = {line.split()[0]: float(line.split()[-1][:-1]) for line in done.stderr.splitlines() if line.endswith("%")}
    assert shares["conv2d"] > shares["linear"]
    assert sum(shares.values()) == pytest.approx(100, abs=1)


def test_bf16(sapwood, pictures, tmp_path):
    done = train(sapwood, pictures, tmp_path / "half", "--precision", "bf16")
    if "precision bf16" in done.stderr or "oneDNN has no such convolution" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    assert train(sapwood, pictures, tmp_path / "full").returncode == 0
    half, full = ([line["train_loss"] for line in lines_of(tmp_path / name / "metrics.jsonl") if line["event"] == "epoch"]
                  for name in ("half", "full"))
    assert half != full and half == pytest.approx(full, rel=0.05)


def test_reference_has_no_bf16(sapwood, pictures, tmp_path):
    done = train(sapwood, pictures, tmp_path / "run", "--engine", "ref", "--precision", "bf16")
    assert done.returncode == 1 and "precision bf16: engine ref has none" in done.stderr
    assert not (tmp_path / "run").exists()


def test_info_plan(sapwood):
    words = ["info", "--model", "resnet18", "--input", "1x12x12", "--plan", "--batch", "4"]
    plan = json.loads(sapwood(*words, "--json").stdout)
    nodes = {node["name"]: node for node in plan["nodes"]}
    assert plan["batch"] == 4 and plan["bytes"] < plan["unshared_bytes"]
    if has_onednn(sapwood):
        assert plan["reorders"] == 0 and not nodes["layer1.0.relu1"]["runs"]
        assert {"forward", "backward_data", "backward_weights"} <= set(nodes["layer1.0.conv1"])
        assert "backward_data" not in nodes["conv1"]
    text = sapwood(*words).stdout
    assert "layer4.1.conv2" in text and "batch 4 in 1 slices" in text
    assert sapwood("info", "--plan").returncode == 2
    refused = sapwood("info", "--model", "cnn", "--batch", "4")
    assert refused.returncode == 2 and "--batch and --precision go with --plan" in refused.stderr
