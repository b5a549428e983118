#!/usr/bin/env python3
"""Training steps of cnn and resnet18: sapwood against PyTorch, step by step in turn, on the same threads.

  python3 bench/peer_step.py [--program build/bench/bench_train] [--python python3,/opt/torch/bin/python]
                             [--models cnn,resnet18] [--batches 64,250] [--threads 1,2] [--precision fp32] [--rounds 5]

A step is forward, loss, backward, clipping to norm 1, mask, Nesterov SGD, on pictures of 1x28x28. Each Python given is
one more PyTorch, by default the one that runs this. PyTorch runs in NCHW and in channels-last; the better of the two
counts. Wall time is what users see; on a machine that others use as well, the processor time of the step says more.
Ratios are of minima and of medians.
"""
import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
LAYOUTS = ("nchw", "channels-last")


def serve(model, batch, threads, precision):
    """In a process of its own: says which PyTorch it is, then makes a step for every layout named on stdin."""
    try:
        import torch
        from torch_networks import network
    except ImportError as missing:
        print("left out:", missing)
        return
    torch.set_num_threads(int(threads))
    batch, bf16 = int(batch), precision == "bf16"

    class Peer:
        def __init__(self, layout):
            torch.manual_seed(0)
            layout = torch.channels_last if layout == "channels-last" else torch.contiguous_format
            self.net = network(model, (1, 28, 28), 10).to(memory_format=layout)
            self.x, self.y = torch.rand(batch, 1, 28, 28).to(memory_format=layout), torch.arange(batch) % 10
            self.optimizer = torch.optim.SGD(self.net.parameters(), 0.01, 0.9, weight_decay=5e-4, nesterov=True)
            self.masks = [(p, torch.ones_like(p)) for p in self.net.parameters() if p.dim() > 1]

        def step(self):
            wall, used = time.perf_counter(), time.process_time()
            self.optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = torch.nn.functional.cross_entropy(self.net(self.x), self.y)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1)
            for parameter, mask in self.masks:
                parameter.grad.mul_(mask)
            self.optimizer.step()
            return time.perf_counter() - wall, time.process_time() - used

    peers = {layout: Peer(layout) for layout in LAYOUTS}
    print(torch.__version__, flush=True)
    for line in sys.stdin:
        print(*peers[line.strip()].step(), flush=True)


class Child:
    """A process that makes a step for every line it is given, and answers with wall and processor seconds."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line(self):
        return self.process.stdout.readline().strip()

    def step(self, what=""):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        wall, used, *_ = map(float, self.line().split())
        return wall, used

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def ours(program, model, batch, threads, precision):
    command = [program, "--model", model, "--batch", str(batch), "--threads", str(threads), "--serve"]
    return Child(command + (["--engine", "onednn-bf16"] if precision == "bf16" else []))


def compare(options, model, batch, threads):
    children = [ours(options.program, model, batch, threads, options.precision)]
    sides = {"sapwood": children[0].step}
    if options.precision == "bf16":
        children.append(ours(options.program, model, batch, threads, "fp32"))
        sides["sapwood fp32"] = children[1].step
    for python in options.python.split(",") if options.python else []:
        child = Child([python, __file__, "--serve", f"{model},{batch},{threads},{options.precision}"])
        version = child.line()
        if not version or "left out" in version:
            print(python, version or "does not run")
            continue
        children.append(child)
        for layout in LAYOUTS:
            sides[f"PyTorch {version} {layout}"] = lambda child=child, layout=layout: child.step(layout)
    times = {name: [] for name in sides}
    for turn in range(options.rounds + 1):
        for name, step in sides.items():
            spent = step()
            if turn:  # the first warms up
                times[name].append(spent)
    for child in children:
        child.close()
    show(f"{model}, batch {batch}, {threads} thread(s), {options.precision}", batch, threads, times)


def show(title, batch, threads, times):
    print(title)
    first = times["sapwood"]
    for name, values in times.items():
        line = f"  {name:34}"
        for kind, at in (("wall", 0), ("processor", 1)):
            low, middle = min(v[at] for v in values), statistics.median(v[at] for v in values)
            line += (f"  {kind} {batch / low * (threads if at else 1):7.1f} img/s: sapwood is"
                     f" {low / min(v[at] for v in first):4.2f} x (min),"
                     f" {middle / statistics.median(v[at] for v in first):4.2f} x (median)")
        print(line, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/bench/bench_train")
    parser.add_argument("--python", default=sys.executable, help="Pythons that have a PyTorch each, by commas; '': none")
    parser.add_argument("--models", default="cnn,resnet18")
    parser.add_argument("--batches", default="64,250")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", metavar="MODEL,BATCH,THREADS,PRECISION", help="be one of the PyTorch sides")
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve.split(","))
        return
    for model in options.models.split(","):
        for batch in options.batches.split(","):
            for threads in options.threads.split(","):
                compare(options, model, int(batch), int(threads))


if __name__ == "__main__":
    main()
