#!/usr/bin/env python3
"""Training epochs of the mlp: sapwood against PyTorch, in turn, on the same machine and number of threads.

  python3 bench/peer_training.py [--program build/sapwood] [--threads 1] [--rounds 5]

Two PyTorch programs: `tensors` has the normalised pictures in one tensor and slices batches out of it; `loader` reads
pictures one by one through a DataLoader with ToTensor-like and Normalize-like steps and keeps running metrics, as
research code commonly does. Both make the same step: forward, loss, backward, clipping, mask, Nesterov SGD, and an
evaluation on the test pictures. Times are of whole epochs with their evaluation; ratios of minima and of medians.
"""
import argparse
import gzip
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

try:
    import numpy
    import torch
except ImportError as missing:
    sys.exit(f"left out: {missing}")

FOLDER = pathlib.Path("/usr/share/datasets/fashion-mnist")
EPOCHS = 3  # of sapwood in a round: its start is then no part of the fastest


def read(stem):
    pixels = gzip.decompress((FOLDER / f"{stem}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((FOLDER / f"{stem}-labels-idx1-ubyte.gz").read_bytes())[8:]
    return numpy.frombuffer(pixels, numpy.uint8).reshape(-1, 28, 28), numpy.frombuffer(labels, numpy.uint8)


def normalised(pixels):
    return torch.tensor((pixels.reshape(-1, 784) / 255.0 - 0.2860) / 0.3530, dtype=torch.float32)


class Pictures(torch.utils.data.Dataset):
    def __init__(self, pixels, labels):
        self.pixels, self.labels = pixels, labels

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, i):
        picture = torch.from_numpy(numpy.array(self.pixels[i])).unsqueeze(0).float().div(255)
        return {"data": picture.sub(0.2860).div(0.3530), "target": torch.tensor(int(self.labels[i]))}


class Peer:
    def __init__(self, train, test):
        torch.manual_seed(0)
        layer = torch.nn.Linear
        self.net = torch.nn.Sequential(layer(784, 128), torch.nn.ReLU(), layer(128, 256), torch.nn.ReLU(), layer(256, 10))
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
        self.masks = [(p, torch.ones_like(p)) for p in self.net.parameters() if p.dim() > 1]
        self.x, self.y = normalised(train[0]), torch.tensor(train[1].astype(numpy.int64))
        self.test_x, self.test_y = normalised(test[0]), torch.tensor(test[1].astype(numpy.int64))
        self.loader = torch.utils.data.DataLoader(Pictures(*train), batch_size=250, shuffle=True)
        self.test_loader = torch.utils.data.DataLoader(Pictures(*test), batch_size=250)

    def step(self, x, y):
        self.optimizer.zero_grad()
        output = self.net(x)
        loss = torch.nn.functional.cross_entropy(output, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1)
        for parameter, mask in self.masks:
            parameter.grad.mul_(mask)
        self.optimizer.step()
        return loss, output

    def tensors(self):
        order = torch.randperm(len(self.y))
        for batch in order.split(250):
            self.step(self.x[batch], self.y[batch])
        with torch.no_grad():
            correct = sum(int((self.net(x).argmax(1) == y).sum())
                          for x, y in zip(self.test_x.split(250), self.test_y.split(250)))
        return correct / len(self.test_y)

    def with_loader(self):
        losses, hits = [], []
        for batch in self.loader:
            x, y = batch["data"].reshape(-1, 784), batch["target"]
            loss, output = self.step(x, y)
            losses.append(loss.item())
            hits.append((output.argmax(1) == y).float().mean().item())
        with torch.no_grad():
            correct = sum(int((self.net(b["data"].reshape(-1, 784)).argmax(1) == b["target"]).sum())
                          for b in self.test_loader)
        return correct / len(self.test_y)


def sapwood(program, threads):
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder) / "run"
        subprocess.run([program, "train", "--data", "fashion-mnist", "--model", "mlp", "--iterations", "0", "--epochs",
                        str(EPOCHS), "--threads", str(threads), "--quiet", "-o", run], check=True, stdout=subprocess.DEVNULL)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["seconds"] for line in lines if line["event"] == "epoch"], lines[-1]["test_accuracy"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/sapwood")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    peer = Peer(read("train"), read("t10k"))
    times, accuracy = {"sapwood": [], "tensors": [], "loader": []}, {}
    for _ in range(options.rounds):
        seconds, accuracy["sapwood"] = sapwood(options.program, options.threads)
        times["sapwood"] += seconds
        for name, epoch in (("tensors", peer.tensors), ("loader", peer.with_loader)):
            start = time.monotonic()
            accuracy[name] = epoch()
            times[name].append(time.monotonic() - start)
    for name, value in accuracy.items():
        if value < 0.84:
            sys.exit(f"wrong result: {name} reaches {value:.3f}")
    print(f"PyTorch {torch.__version__}, {options.threads} thread(s), {options.rounds} rounds")
    for name, values in times.items():
        print(f"  {name:8} epoch min {min(values):6.3f} s  median {statistics.median(values):6.3f} s  "
              f"sapwood is {min(values) / min(times['sapwood']):5.2f} x (min), "
              f"{statistics.median(values) / statistics.median(times['sapwood']):5.2f} x (median) as fast")


if __name__ == "__main__":
    main()
