"""PQ Index, Gini and pruning of the shared library against NumPy in float64."""

import ctypes
import os
import pathlib

import numpy as np
import pytest
from structs import Error, Layer, Norms, Selection

LIBRARY = pathlib.Path(os.environ["SAPWOOD_BUILD"]) / "libsapwood.so"
F16, BF16, F32 = b"F16", b"BF16", b"F32"


@pytest.fixture(scope="module")
def sap():
    library = ctypes.CDLL(str(LIBRARY))
    library.sap_norms_empty.restype = Norms
    library.sap_norms_empty.argtypes = [ctypes.c_double, ctypes.c_double]
    library.sap_norms_pqi.restype = ctypes.c_double
    library.sap_norms_retain.restype = ctypes.c_double
    library.sap_norms_retain.argtypes = [ctypes.c_void_p, ctypes.c_double]
    library.sap_norms_prune_count.restype = ctypes.c_uint64
    library.sap_norms_prune_count.argtypes = [ctypes.c_void_p] + 3 * [ctypes.c_double]
    library.sap_select_smallest.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64] + 2 * [ctypes.c_void_p]
    library.sap_select_clear.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    library.sap_gini.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 2 * [ctypes.c_void_p]
    library.sap_dtype_from_name.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library


def pack(keep):
    """Mask words of a boolean array."""
    bits = np.packbits(keep, bitorder="little")
    return np.concatenate([bits, np.zeros(-len(bits) % 8, np.uint8)])


def unpack(words, n):
    return np.unpackbits(words, bitorder="little")[:n].astype(bool)


def layer_of(sap, stored, dtype=F32, words=None):
    code = sap.sap_dtype_from_name(dtype, len(dtype))
    pointer = None if words is None else words.ctypes.data
    return Layer(b"w", stored.ctypes.data, code, stored.size, 1, pointer, 0)


def measure(sap, layer, p, q):
    norms, err = sap.sap_norms_empty(p, q), Error()
    status = sap.sap_norms_add_layer(ctypes.byref(norms), ctypes.byref(layer), ctypes.byref(err))
    assert status == 0, err.text
    return norms


def pqi(w, p, q):
    """Definition 1, in float64, on |w| / max|w|."""
    a = np.abs(w.astype(np.float64))
    if a.size <= 1 or a.max() == 0:
        return 0.0
    a /= a.max()
    return -np.expm1(np.log(np.mean(a**p)) / p - np.log(np.mean(a**q)) / q)


def close(found, expected):
    return abs(found - expected) <= 1e-6 * abs(expected) + 1e-12


KINDS = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "cauchy": lambda rng, n: rng.standard_cauchy(n),
    "lognormal": lambda rng, n: np.minimum(np.exp(10 * rng.standard_normal(n)), 3e38),
    "huge": lambda rng, n: 3.4e38 * (1 - rng.random(n) / 2),
    "subnormal": lambda rng, n: 1e-38 * rng.random(n),
    "constant": lambda rng, n: np.full(n, 0.37),
    "ternary": lambda rng, n: 0.21 * rng.integers(-1, 2, n),
}


@pytest.mark.parametrize("kind", KINDS)
def test_index_of_every_size(sap, kind):
    rng = np.random.default_rng(1)
    for n in (1, 2, 3, 10, 33, 100, 1000, 4096, 16385, 100_000, 500_000):
        w = KINDS[kind](rng, n).astype(np.float32)
        for p in (0.1, 0.25, 0.5, 1):
            for q in (1, 1.5, 2):
                if p < q and (n < 100_000 or rng.random() < 0.3):
                    norms = measure(sap, layer_of(sap, w), p, q)
                    assert norms.count == n and norms.zeros == np.sum(w == 0)
                    assert close(sap.sap_norms_pqi(ctypes.byref(norms)), pqi(w, p, q)), (n, p, q)


@pytest.mark.parametrize("p,q", [(0.5, 1), (1, 2), (0.1, 1.3)])
def test_index_of_ten_million(sap, p, q):
    w = np.random.default_rng(2).standard_normal(10_000_000).astype(np.float32)
    norms = measure(sap, layer_of(sap, w), p, q)
    assert close(sap.sap_norms_pqi(ctypes.byref(norms)), pqi(w, p, q))


@pytest.mark.parametrize("dtype", [F16, BF16])
def test_index_of_halves_and_masks(sap, dtype):
    rng = np.random.default_rng(3)
    for n in (5, 64, 777, 50_001):
        w = rng.standard_normal(n).astype(np.float32)
        stored = w.astype(np.float16) if dtype == F16 else (w.view(np.uint32) >> 16).astype(np.uint16)
        wide = stored.astype(np.float32) if dtype == F16 else (stored.astype(np.uint32) << 16).view(np.float32)
        keep = rng.random(n) < 0.4
        words = pack(keep)
        for p, q in ((0.5, 1), (1, 2), (0.3, 0.9)):
            norms = measure(sap, layer_of(sap, stored, dtype, words), p, q)
            assert norms.count == keep.sum()
            assert close(sap.sap_norms_pqi(ctypes.byref(norms)), pqi(wide[keep], p, q))


def test_retain_bound_and_count(sap):
    rng = np.random.default_rng(4)
    for _ in range(200):
        w = rng.standard_cauchy(int(rng.integers(2, 3000))).astype(np.float32)
        p, q = (0.5, 1) if rng.random() < 0.5 else (1, 2)
        eta, gamma, beta = rng.random(), 0.5 + rng.random(), rng.random()
        norms, d = measure(sap, layer_of(sap, w), p, q), w.size
        retain = d * (1 + eta) ** (-q / (q - p)) * (1 - pqi(w, p, q)) ** (q * p / (q - p))
        assert sap.sap_norms_retain(ctypes.byref(norms), eta) == pytest.approx(retain, rel=1e-7)
        share = d * min(gamma * (1 - retain / d), beta)
        if abs(share - round(share)) > 1e-4:  # rounding decides the others
            assert sap.sap_norms_prune_count(ctypes.byref(norms), eta, gamma, beta) == max(int(np.floor(share)), 0)


@pytest.mark.parametrize("kind", ["normal", "ternary", "constant"])
def test_selection_is_that_of_a_stable_sort(sap, kind):
    rng = np.random.default_rng(5)
    for n in (1, 100, 70_000, 600_001):
        w = KINDS[kind](rng, n).astype(np.float32)
        keep = rng.random(n) < 0.8
        words, c = pack(keep), int(keep.sum() * 0.37)
        layer, selection, err = layer_of(sap, w, F32, words), Selection(), Error()
        status = sap.sap_select_smallest(ctypes.byref(layer), 1, c, ctypes.byref(selection), ctypes.byref(err))
        assert status == 0, err.text
        sap.sap_select_clear(ctypes.byref(layer), 1, ctypes.byref(selection))
        kept = np.flatnonzero(keep)
        expected = keep.copy()
        expected[kept[np.argsort(np.abs(w[kept]), kind="stable")[:c]]] = False
        assert np.array_equal(unpack(words, n), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_gini(sap, kind):
    rng = np.random.default_rng(6)
    for n in (1, 2, 1000, 300_000):
        w = KINDS[kind](rng, n).astype(np.float32)
        layer, gini, err = layer_of(sap, w), ctypes.c_double(-1), Error()
        assert sap.sap_gini(ctypes.byref(layer), 1, ctypes.byref(gini), ctypes.byref(err)) == 0, err.text
        a = np.sort(np.abs(w.astype(np.float64)))
        a /= a.max() or 1
        expected = ((2 * np.arange(1, n + 1) - n - 1) * a).sum() / (n * a.sum()) if a.sum() else 0
        assert gini.value == pytest.approx(expected, rel=1e-9, abs=1e-12)
