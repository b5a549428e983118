#!/usr/bin/env python3
"""How far can this checkpoint be pruned? The program against Python with safetensors, NumPy and PyTorch, in turn.

  python3 bench/peer_measure.py [--program build/sapwood] [--gib 2] [--rounds 3] [--dtype BF16|F32]

One safetensors file of 16 matrices, in the page cache. The program is run as a whole, with its start and its output;
the peers only open the file and compute the index of each tensor and of all, in the best of some expressions.
"""
import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

try:
    import numpy
    import safetensors
except ImportError as missing:
    sys.exit(f"left out: {missing}")
from turns import in_turn, optional, summary

torch = optional("torch")

LAYERS, ROWS = 16, 1024


def write_file(path, dtype, total):
    size = 4 if dtype == "F32" else 2
    columns = total // size // LAYERS // ROWS
    layer = ROWS * columns * size
    header = {f"l{i}.weight": {"dtype": dtype, "shape": [ROWS, columns], "data_offsets": [i * layer, (i + 1) * layer]}
              for i in range(LAYERS)}
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 4096)
    random = numpy.random.default_rng(1)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for i in range(LAYERS):
            floats = random.standard_normal(1 << 20, dtype=numpy.float32) * numpy.float32(0.02 * (1 + i / LAYERS))
            part = (floats if dtype == "F32" else (floats.view(numpy.uint32) >> 16).astype(numpy.uint16)).tobytes()
            for done in range(0, layer, len(part)):
                file.write(part[: layer - done])


def index(sums):
    """From the sums of |w|^0.5 and |w|, and how many there are."""
    root, one, count = (sum(part) for part in zip(*sums))
    return 1 - (root / count) ** 2 / (one / count)


def torch_plain(w):
    a = w.float().abs()
    return float(a.sqrt().sum(dtype=torch.float64)), float(a.sum(dtype=torch.float64)), w.numel()


def torch_in_place(w):
    a = w.float().abs_() if w.dtype != torch.float32 else w.abs()
    one = float(a.sum(dtype=torch.float64))
    return float(a.sqrt_().sum(dtype=torch.float64)), one, w.numel()


def torch_norms(w):
    w = w.float()
    return float(torch.linalg.vector_norm(w, 0.5)) ** 0.5, float(torch.linalg.vector_norm(w, 1)), w.numel()


def numpy_plain(w):
    a = numpy.abs(w)
    return float(numpy.sqrt(a).sum(dtype=float)), float(a.sum(dtype=float)), w.size


def peer(path, framework, sums):
    with safetensors.safe_open(path, framework) as file:
        return index([sums(file.get_tensor(name)) for name in file.keys()])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=pathlib.Path(__file__).parent.parent / "build/sapwood")
    parser.add_argument("--gib", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", choices=["BF16", "F32"])
    options = parser.parse_args()
    for dtype in [options.dtype] if options.dtype else ["BF16", "F32"]:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.safetensors")
            write_file(path, dtype, int(options.gib * 2**30))

            def ours():
                done = subprocess.run([options.program, "measure", path, "--json"], capture_output=True, check=True)
                return json.loads(done.stdout)["global"]["pqi"]

            calls = {"sapwood measure": ours}
            if torch:
                calls |= {f"torch, {f.__name__[6:]}": lambda f=f: peer(path, "pt", f)
                          for f in (torch_plain, torch_in_place, torch_norms)}
            if dtype == "F32":
                calls["numpy"] = lambda: peer(path, "np", numpy_plain)
            expected = ours()
            for name, call in calls.items():
                found = call()
                # The sums of torch's norms are floats, and wrong in the third digit.
                assert name == "torch, norms" or abs(found - expected) < 1e-6, (name, found, expected)
            times = in_turn(calls, options.rounds)
        print(f"{dtype}, {options.gib:g} GiB")
        for name, (least, middle, ratio, medians) in summary(times, "sapwood measure").items():
            print(f"  {name:18} min {1e3 * least:9.1f} ms  median {1e3 * middle:9.1f} ms"
                  f"  {ratio:6.1f} times (medians {medians:.1f})")


if __name__ == "__main__":
    main()
