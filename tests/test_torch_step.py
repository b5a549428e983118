"""A step of each network against PyTorch in double: outputs, loss, gradients, running statistics."""
import itertools
import os
import subprocess
from pathlib import Path

import numpy
import pytest
from conftest import read_safetensors, write_safetensors

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from torch_networks import network  # noqa: E402

BUILD = Path(os.environ.get("SAPWOOD_BUILD", Path(__file__).resolve().parent.parent / "build"))


def random_state(net, seed):
    """Weights that keep the activations in range, and running statistics that are not those of a fresh network."""
    torch.manual_seed(seed)
    state = net.state_dict()
    for name, value in state.items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif name.endswith("running_mean") or name.endswith("bias"):
            value.normal_(0, 0.2)
        elif value.dim() == 1:
            value.uniform_(0.5, 1.5)
        elif value.dim() > 1:
            value.normal_(0, (2 / value[0].numel()) ** 0.5)
    net.load_state_dict(state)


def relative(found, expected):
    expected = expected.detach().numpy().ravel()
    return float(numpy.abs(found.ravel() - expected).max() / numpy.abs(expected).max())


CLASSES = 7
CASES = [("mlp", (3, 9, 7), 40), ("cnn", (3, 16, 16), 8), ("cnn", (1, 28, 28), 70), ("resnet9", (3, 17, 16), 6),
         ("resnet18", (1, 16, 16), 8), ("resnet50", (3, 64, 64), 8), ("wresnet28x2", (3, 16, 16), 6)]


def with_gates(found):
    """A ReLU that is open where the engine's was. They differ from PyTorch's only where rounding decides."""
    gates = (found[f"gate.{i}"] for i in itertools.count())

    def relu(x):
        gate = torch.tensor(next(gates)).reshape(x.shape) != 0
        other = x[gate != (x > 0)].abs()
        assert other.numel() <= 1e-4 * x.numel() and (other <= 1e-4 * x.abs().max()).all()
        return x * gate

    return relu


def train_step(folder, engine, tried, model, net, x, y):
    """Logits, loss, gradients and more of a step from the network's weights: see train_step.c."""
    tensors = {name: value.numpy().astype("<f4") for name, value in net.state_dict().items() if value.dim()}
    write_safetensors(folder / "in", {**tensors, "x": x.numpy(), "labels": y.numpy().astype("u1")})
    done = subprocess.run(
        [BUILD / "tests" / "train_step", engine, model, str(CLASSES), folder / "in", folder / "out", *["tried"] * tried],
        capture_output=True, text=True, check=False)  # fmt: skip
    if "has no op" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return read_safetensors(folder / "out")


@pytest.mark.parametrize("engine, tried", [("onednn", False), ("onednn", True), ("ref", False)])
@pytest.mark.parametrize("model, shape, batch", CASES, ids=lambda value: str(value).replace(" ", ""))
def test_network(tmp_path, monkeypatch, engine, tried, model, shape, batch):
    """Outputs within 1e-4 and gradients within 1e-3 of PyTorch in double, relative to the largest of each tensor; the
    reference engine within the rounding of the floats it is asked in.

    A gradient jumps where the input of a ReLU crosses 0. Of the millions in resnet50, or by Winograd's algorithm, a few
    lie so near to 0 that floats, ours as PyTorch's, decide otherwise than doubles; each moves some gradients by a per
    cent. There PyTorch takes the engine's decisions, and that it would decide so but for rounding is checked."""
    if engine == "ref":
        if batch == 70:
            pytest.skip("too slow in the reference engine; smaller cases are run")
        batch = min(batch, 3)
    net = network(model, shape, CLASSES)
    random_state(net, 3)
    net.double()
    x, y = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(4)), torch.arange(batch) % CLASSES
    found = train_step(tmp_path, engine, tried, model, net, x, y)
    near, near_gradient = (1e-6, 1e-6) if engine == "ref" else (1e-4, 1e-3)
    net.eval()
    assert relative(found["evaluation"], net(x.double())) < near
    net.train()
    if engine == "onednn" and (tried or model == "resnet50"):
        monkeypatch.setattr(torch, "relu", with_gates(found))
    logits = net(x.double())
    loss = torch.nn.functional.cross_entropy(logits, y)
    loss.backward()
    assert relative(found["logits"], logits) < near
    assert relative(found["loss"], loss) < min(near, 1e-5)
    largest = max(float(parameter.grad.abs().max()) for parameter in net.parameters())
    for name, parameter in net.named_parameters():
        if parameter.grad.abs().max() > 1e-9 * largest:  # a bias before a batch norm changes nothing
            assert relative(found["grad." + name], parameter.grad) < near_gradient, name
    for name, value in net.named_buffers():
        if value.dim():
            assert relative(found[name], value) < near, name
