#!/usr/bin/env python3
"""Training steps of cnn and resnet18: sapwood against PyTorch, step by step in turn, on the same threads.

  python3 bench/peer_step.py [--program build/bench/bench_train] [--models cnn,resnet18] [--batches 64,250]
                             [--threads 1,2] [--precision fp32] [--rounds 5]

A step is forward, loss, backward, clipping to norm 1, mask, Nesterov SGD, on pictures of 1x28x28. PyTorch runs in NCHW
and in channels-last; the better of the two counts. Wall time is what users see; on a machine that others use as well,
the processor time of the step says more. Ratios are of minima and of medians.
"""
import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

try:
    import torch
except ImportError as missing:
    sys.exit(f"left out: {missing}")

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from torch_networks import network  # noqa: E402


class Peer:
    """PyTorch's step; with `last` in channels-last."""

    def __init__(self, model, batch, last, bf16):
        torch.manual_seed(0)
        layout = torch.channels_last if last else torch.contiguous_format
        self.net = network(model, (1, 28, 28), 10).to(memory_format=layout)
        self.x = torch.rand(batch, 1, 28, 28).to(memory_format=layout)
        self.y, self.bf16 = torch.arange(batch) % 10, bf16
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, nesterov=True)
        self.masks = [(p, torch.ones_like(p)) for p in self.net.parameters() if p.dim() > 1]

    def step(self):
        wall, used = time.perf_counter(), time.process_time()
        self.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            loss = torch.nn.functional.cross_entropy(self.net(self.x), self.y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1)
        for parameter, mask in self.masks:
            parameter.grad.mul_(mask)
        self.optimizer.step()
        return time.perf_counter() - wall, time.process_time() - used


class Ours:
    def __init__(self, program, model, batch, threads, precision):
        command = [program, "--model", model, "--batch", str(batch), "--threads", str(threads), "--serve"]
        command += ["--engine", "onednn-bf16"] if precision == "bf16" else []
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def step(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        wall, used, _ = map(float, self.child.stdout.readline().split())
        return wall, used

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def compare(options, model, batch, threads):
    torch.set_num_threads(threads)
    ours = Ours(options.program, model, batch, threads, options.precision)
    sides = {"sapwood": ours}
    if options.precision == "bf16":
        sides["sapwood fp32"] = Ours(options.program, model, batch, threads, "fp32")
    for last in (False, True):
        sides["channels-last" if last else "nchw"] = Peer(model, batch, last, options.precision == "bf16")
    times = {name: [] for name in sides}
    for turn in range(options.rounds + 1):
        for name, side in sides.items():
            spent = side.step()
            if turn:  # the first warms up
                times[name].append(spent)
    for side in sides.values():
        if isinstance(side, Ours):
            side.close()
    print(f"{model}, batch {batch}, {threads} thread(s), {options.precision}, PyTorch {torch.__version__}")
    for name, values in times.items():
        line = f"  {name:14}"
        for kind, at in (("wall", 0), ("processor", 1)):
            low, middle = min(v[at] for v in values), statistics.median(v[at] for v in values)
            first = [v[at] for v in times["sapwood"]]
            line += (f"  {kind} {batch / low * (threads if at else 1):7.1f} img/s: sapwood is {low / min(first):4.2f} x (min),"
                     f" {middle / statistics.median(first):4.2f} x (median)")
        print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/bench/bench_train")
    parser.add_argument("--models", default="cnn,resnet18")
    parser.add_argument("--batches", default="64,250")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for model in options.models.split(","):
        for batch in options.batches.split(","):
            for threads in options.threads.split(","):
                compare(options, model, int(batch), int(threads))


if __name__ == "__main__":
    main()
