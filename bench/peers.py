#!/usr/bin/env python3
"""Index, selection and one pruning step: the library against NumPy and PyTorch, in turn, in one process.

  python3 bench/peers.py [--library build/libsapwood.so] [--elements 11000000] [--threads 2] [--rounds 5]

  index      Σ|w|^p and Σ|w|^q of (0.5, 1) and (1, 2)   against torch.linalg.norm and NumPy expressions
  selection  the magnitude of rank n/2, exactly         against numpy.partition and torch.kthvalue
  step       index, count, selection and new mask       against torch.linalg.norm and a full torch.sort, which is
                                                         how the paper's own code goes about it

Results are compared before anything is timed. Ratios are of minima and of medians. A peer that is not installed is
left out with a line that says so.
"""
import argparse
import ctypes
import pathlib
import sys

try:
    import numpy
except ImportError as missing:
    sys.exit(f"left out: {missing}")
from turns import in_turn, optional, summary

torch = optional("torch")

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests"))
from structs import Layer, Norms, Selection  # noqa: E402  (its folder comes first)

F32 = b"F32"


class Options(ctypes.Structure):
    _fields_ = [("method", ctypes.c_int), ("scope", ctypes.c_int)]
    _fields_ += [(name, ctypes.c_double) for name in ("p", "q", "eta", "gamma", "beta", "ratio")]


class Sapwood:
    """The calls that are measured, over one vector of floats."""

    def __init__(self, path, w, threads):
        self.call, self.w = ctypes.CDLL(str(path)), w
        self.call.sap_norms_empty.restype = Norms
        self.call.sap_norms_empty.argtypes = [ctypes.c_double, ctypes.c_double]
        self.call.sap_norms_pqi.restype = ctypes.c_double
        self.call.sap_prune_options_default.restype = Options
        self.call.sap_select_smallest.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64] + 2 * [ctypes.c_void_p]
        self.call.sap_mask_count.restype = ctypes.c_uint64
        self.call.sap_mask_count.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
        self.call.sap_mask_fill.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
        self.call.sap_prune_decide.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_void_p]
        self.call.sap_prune_apply.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
        self.call.sap_decision_free.argtypes = [ctypes.c_void_p]
        self.call.sap_threads_set(threads)
        self.mask = numpy.zeros((w.size + 63) // 64, numpy.uint64)
        code = self.call.sap_dtype_from_name(F32, ctypes.c_size_t(len(F32)))
        self.layer = Layer(b"w", w.ctypes.data, code, w.size, 1, self.mask.ctypes.data, 0)
        self.fill()

    def fill(self):
        self.call.sap_mask_fill(self.mask.ctypes.data, self.w.size)

    def index(self, p, q):
        norms = self.call.sap_norms_empty(p, q)
        self.layer.mask = None
        assert self.call.sap_norms_add_layer(ctypes.byref(norms), ctypes.byref(self.layer), None) == 0
        self.layer.mask = self.mask.ctypes.data
        return self.call.sap_norms_pqi(ctypes.byref(norms))

    def select(self, rank):
        selection = Selection()
        assert self.call.sap_select_smallest(ctypes.byref(self.layer), 1, rank, ctypes.byref(selection), None) == 0
        return numpy.uint32(selection.key).view(numpy.float32)  # of floats the key is the bits

    def step(self):
        options, decision = self.call.sap_prune_options_default(), ctypes.c_void_p()
        address = ctypes.byref(self.layer)
        assert self.call.sap_prune_decide(address, 1, ctypes.byref(options), ctypes.byref(decision), None) == 0
        self.call.sap_prune_apply(address, 1, decision)
        self.call.sap_decision_free(decision)

    def kept(self):
        return self.call.sap_mask_count(self.mask.ctypes.data, self.w.size)


def numpy_index(w, p, q):
    a = numpy.abs(w)
    return 1 - numpy.mean(a**p, dtype=float) ** (1 / p) / numpy.mean(a**q, dtype=float) ** (1 / q)


def torch_index(w, p, q):
    d = w.numel()
    norm_p, norm_q = torch.linalg.vector_norm(w, p), torch.linalg.vector_norm(w, q)
    return 1 - float((norm_p**p / d) ** (1 / p) / (norm_q**q / d) ** (1 / q))


def prune_count(d, index, p, q, beta=0.9):
    return int(d * min(1 - (1 - index) ** (q * p / (q - p)), beta))


def torch_step(w, p=0.5, q=1.0, beta=0.9):
    """The index, the bound, then the threshold out of a sorted copy and a comparison with it."""
    count = prune_count(w.numel(), torch_index(w, p, q), p, q, beta)
    magnitude = w.abs()
    threshold = torch.sort(magnitude)[0][count - 1]
    return magnitude > threshold


def compare(name, ours, peers, rounds):
    """Runs all in turn and prints how many times longer each peer takes."""
    found = summary(in_turn({"sapwood": ours, **peers}, rounds), "sapwood")
    print(f"{name:16} sapwood {1e3 * found['sapwood'][0]:9.2f} ms")
    for peer in peers:
        least, _, ratio, medians = found[peer]
        print(f"{'':16} {peer:24} {1e3 * least:9.2f} ms  {ratio:7.1f} times (medians {medians:.1f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = pathlib.Path(__file__).parent.parent
    parser.add_argument("--library", default=root / "build/libsapwood.so")
    parser.add_argument("--elements", type=int, default=11_000_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    w = numpy.random.default_rng(1).standard_normal(options.elements, dtype=numpy.float32) * 0.02
    sapwood, rank = Sapwood(options.library, w, options.threads), options.elements // 2
    tensor = None
    if torch:
        torch.set_num_threads(options.threads)
        tensor = torch.from_numpy(w)
        print(f"PyTorch {torch.__version__}, NumPy {numpy.__version__}, {options.threads} threads")
    for p, q in ((0.5, 1), (1, 2)):
        assert abs(sapwood.index(p, q) - numpy_index(w, p, q)) < 1e-4
        peers = {"numpy": lambda: numpy_index(w, p, q)}
        if torch:
            peers["torch.linalg.vector_norm"] = lambda: torch_index(tensor, p, q)
        compare(f"index {p:g}, {q:g}", lambda: sapwood.index(p, q), peers, options.rounds)
    magnitude = numpy.abs(w)
    assert sapwood.select(rank) == numpy.partition(magnitude, rank - 1)[rank - 1]
    peers = {"numpy.partition": lambda: numpy.partition(magnitude, rank - 1)}
    if torch:
        peers["torch.kthvalue"] = lambda: torch.kthvalue(tensor.abs(), rank)
        peers["torch.sort"] = lambda: torch.sort(tensor.abs())
    compare("selection", lambda: sapwood.select(rank), peers, options.rounds)
    if torch:
        sapwood.step()
        kept = sapwood.kept()
        expected = w.size - prune_count(w.size, numpy_index(w, 0.5, 1), 0.5, 1)
        assert abs(kept - expected) <= 1 + 1e-6 * w.size  # PyTorch's own norms are float, and off by more than that
        sapwood.fill()
        compare("step", lambda: (sapwood.fill(), sapwood.step()), {"norm and sort": lambda: torch_step(tensor)}, options.rounds)
        assert sapwood.kept() == kept


if __name__ == "__main__":
    main()
