"""Training steps against PyTorch: same weights, same pictures, same losses and weights after them."""
import gzip
from pathlib import Path

import numpy
import pytest
from conftest import IMAGES, LABELS, TEST_IMAGES, TEST_LABELS, lines_of, read_safetensors, write_data

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from torch_networks import network  # noqa: E402


def pictures(folder, images=IMAGES, labels=LABELS):
    pixels = numpy.frombuffer(gzip.decompress((folder / images).read_bytes())[16:], numpy.uint8).reshape(-1, 1, 28, 28)
    classes = numpy.frombuffer(gzip.decompress((folder / labels).read_bytes())[8:], numpy.uint8)
    x = ((pixels / 255.0) - 0.2860) / 0.3530
    return torch.tensor(x, dtype=torch.float32), torch.tensor(classes.astype(numpy.int64))


@pytest.mark.parametrize("model", ["linear", "mlp"])
def test_steps(sapwood, tmp_path, model):
    """One batch holds all pictures, so their order does not matter; ten epochs are ten steps, with clipping, weight
    decay, Nesterov momentum and the cosine schedule; the second iteration also with a mask."""
    data, epochs = write_data(tmp_path / "data", train=300, test=50), 10
    done = sapwood("train", "--data", f"fashion-mnist:{data}", "--model", model, "--iterations", "1", "--epochs", epochs,
                   "--batch", "300", "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    x, y = pictures(data)
    losses = [line["train_loss"] for line in lines_of(tmp_path / "run" / "metrics.jsonl") if line["event"] == "epoch"]
    initial = read_safetensors(tmp_path / "run" / "initial.safetensors")
    for iteration in range(2):
        trained = read_safetensors(tmp_path / "run" / f"iteration-{iteration:02d}.safetensors")
        net = network(model, (1, 28, 28), 10)
        masks = {name: torch.tensor(trained[name + ".mask"]) for name in initial if name + ".mask" in trained}
        state = {name: torch.tensor(value) for name, value in initial.items()}
        net.load_state_dict({name: value * masks[name] if name in masks else value for name, value in state.items()})
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs, eta_min=0)
        for epoch in range(epochs):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x), y)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1)
            for name, parameter in net.named_parameters():
                if name in masks:
                    parameter.grad *= masks[name]
            optimizer.step()
            scheduler.step()
            assert losses[iteration * epochs + epoch] == pytest.approx(float(loss.detach()), rel=1e-3)
        for name, value in net.state_dict().items():
            difference = numpy.abs(value.numpy() - trained[name]).max() / numpy.abs(value.numpy()).max()
            assert difference < 1e-3, (iteration, name, difference)


def train_by_torch(net, x, y, lr, epochs):
    """The losses of full-batch steps with the protocol's optimizer."""
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4, nesterov=True)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs, eta_min=0)
    losses = []
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1)
        optimizer.step()
        scheduler.step()
        losses.append(float(loss.detach()))
    return losses


def train_whole_batches(sapwood, folder, model, pictures, lr, epochs):
    """A run whose only batch is all pictures: its data folder, lines of epochs and initial weights."""
    data = write_data(folder / "data", train=pictures, test=32)
    done = sapwood("train", "--data", f"fashion-mnist:{data}", "--model", model, "--iterations", "0", "--epochs", epochs,
                   "--batch", pictures, "--lr", lr, "-o", folder / "run")
    if "has no op" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    lines = [line for line in lines_of(folder / "run" / "metrics.jsonl") if line["event"] == "epoch"]
    initial = read_safetensors(folder / "run" / "initial.safetensors")
    return data, lines, {name: torch.tensor(value) for name, value in initial.items()}


@pytest.mark.parametrize("model", ["cnn", "resnet18"])
def test_convolutional_steps(sapwood, tmp_path, model):
    """Ten steps from the same weights; batch norm moves its running statistics, which the test loss then uses."""
    data, lines, initial = train_whole_batches(sapwood, tmp_path, model, 32, lr=0.01, epochs=10)
    net = network(model, (1, 28, 28), 10)
    net.load_state_dict(initial)
    for line, loss in zip(lines, train_by_torch(net, *pictures(data), lr=0.01, epochs=10), strict=True):
        assert line["train_loss"] == pytest.approx(loss, rel=1e-3)
    test = pictures(data, TEST_IMAGES, TEST_LABELS)
    net.eval()
    with torch.no_grad():
        loss = float(torch.nn.functional.cross_entropy(net(test[0]), test[1]))
    assert lines[-1]["test_loss"] == pytest.approx(loss, rel=5e-3)


def test_fast_steps(sapwood, tmp_path):
    """At five times the learning rate six steps of resnet18 enlarge rounding to 1e-3 and more, PyTorch's as well as
    ours (docs/networks.md). Ours may not be off by another order than PyTorch's floats are."""
    data, lines, initial = train_whole_batches(sapwood, tmp_path, "resnet18", 8, lr=0.05, epochs=6)
    x, y = pictures(data)

    def losses(dtype, layout):
        net = network("resnet18", (1, 28, 28), 10)
        net.load_state_dict(initial)
        net.to(dtype).to(memory_format=layout)
        return train_by_torch(net, x.to(dtype).to(memory_format=layout), y, lr=0.05, epochs=6)

    exact = losses(torch.float64, torch.contiguous_format)

    def farthest(found):
        return max(abs(loss / expected - 1) for loss, expected in zip(found, exact))

    floats = max(farthest(losses(torch.float32, layout)) for layout in (torch.contiguous_format, torch.channels_last))
    ours = [line["train_loss"] for line in lines]
    assert farthest(ours[:1]) < 1e-5 and farthest(ours) < 10 * floats


def test_weights_load_into_a_network(sapwood, data, tmp_path):
    """The accuracy that PyTorch finds with a file's weights is the one the run reports."""
    folder = data.split(":", 1)[1]
    done = sapwood("train", "--data", data, "--model", "mlp", "--iterations", "1", "--epochs", "3", "--batch", "50", "-o",
                   tmp_path / "run")
    assert done.returncode == 0, done.stderr
    x, labels = pictures(Path(folder), TEST_IMAGES, TEST_LABELS)
    tensors = read_safetensors(tmp_path / "run" / "iteration-01.safetensors")
    net = network("mlp", (1, 28, 28), 10)
    net.load_state_dict({name: torch.tensor(value) for name, value in tensors.items() if not name.endswith(".mask")})
    accuracy = float((net(x).argmax(1) == labels).float().mean())
    line = lines_of(tmp_path / "run" / "metrics.jsonl")[-1]
    assert line["event"] == "iteration" and line["test_accuracy"] == pytest.approx(accuracy, abs=0.006)
