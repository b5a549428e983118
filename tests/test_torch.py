"""Training steps against PyTorch: same weights, same pictures, same losses and weights after them."""
import gzip

import numpy
import pytest
from conftest import IMAGES, LABELS, lines_of, read_safetensors, write_data

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def pictures(folder):
    pixels = numpy.frombuffer(gzip.decompress((folder / IMAGES).read_bytes())[16:], numpy.uint8).reshape(-1, 784)
    labels = numpy.frombuffer(gzip.decompress((folder / LABELS).read_bytes())[8:], numpy.uint8)
    x = ((pixels / 255.0) - 0.2860) / 0.3530
    return torch.tensor(x, dtype=torch.float32), torch.tensor(labels.astype(numpy.int64))


def network(model):
    if model == "linear":
        return torch.nn.ModuleDict({"linear": torch.nn.Linear(784, 10)})
    blocks = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 256), torch.nn.ReLU())
    return torch.nn.ModuleDict({"blocks": blocks, "linear": torch.nn.Linear(256, 10)})


def output(net, x):
    return net["linear"](net["blocks"](x) if "blocks" in net else x)


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
        net = network(model)
        masks = {name: torch.tensor(trained[name + ".mask"]) for name in initial if name + ".mask" in trained}
        state = {name: torch.tensor(value) for name, value in initial.items()}
        net.load_state_dict({name: value * masks[name] if name in masks else value for name, value in state.items()})
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs, eta_min=0)
        for epoch in range(epochs):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(output(net, x), y)
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


def test_weights_load_into_a_network(sapwood, data, tmp_path):
    """The accuracy that PyTorch finds with a file's weights is the one the run reports."""
    folder = data.split(":", 1)[1]
    done = sapwood("train", "--data", data, "--model", "mlp", "--iterations", "1", "--epochs", "3", "--batch", "50", "-o",
                   tmp_path / "run")
    assert done.returncode == 0, done.stderr
    import pathlib

    from conftest import TEST_IMAGES, TEST_LABELS

    path = pathlib.Path(folder)
    pixels = numpy.frombuffer(gzip.decompress((path / TEST_IMAGES).read_bytes())[16:], numpy.uint8).reshape(-1, 784)
    labels = numpy.frombuffer(gzip.decompress((path / TEST_LABELS).read_bytes())[8:], numpy.uint8)
    tensors = read_safetensors(tmp_path / "run" / "iteration-01.safetensors")
    net = network("mlp")
    net.load_state_dict({name: torch.tensor(value) for name, value in tensors.items() if not name.endswith(".mask")})
    x = torch.tensor(((pixels / 255.0) - 0.2860) / 0.3530, dtype=torch.float32)
    accuracy = float((output(net, x).argmax(1).numpy() == labels).mean())
    line = lines_of(tmp_path / "run" / "metrics.jsonl")[-1]
    assert line["event"] == "iteration" and line["test_accuracy"] == pytest.approx(accuracy, abs=0.006)
