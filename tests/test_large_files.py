"""Files that are large, many-parted, odd or failing: measure, prune and compare on them."""
import json
import os
import re
import resource
import signal
import struct
import subprocess
import time

import numpy
import pytest

WIDTHS = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "F8_E4M3": 1, "F8_E5M2": 1}


def write(path, tensors):
    """tensors: name → (dtype, shape, bytes)."""
    header, at = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, data in tensors.values():
            file.write(data)
    return path


def write_hole(path, dtype, rows, columns, **values):
    """One tensor of zeros that take no room on the disk, but for `values`: index → bytes. Returns the data's start."""
    size = WIDTHS[dtype] * rows * columns
    text = json.dumps({"w.weight": {"dtype": dtype, "shape": [rows, columns], "data_offsets": [0, size]}}).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for index, value in values.items():
            file.seek(8 + len(text) + WIDTHS[dtype] * int(index[1:]))
            file.write(value)
        file.truncate(8 + len(text) + size)


def pq_index(w):
    w = numpy.abs(w.astype(numpy.float64)).ravel()
    return 1 - numpy.mean(numpy.sqrt(w)) ** 2 / numpy.mean(w)


def measured(sapwood, *words):
    done = sapwood("measure", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---- large ----


def test_layer_beyond_the_integers_of_float(sapwood, tmp_path):
    """More than 2^24 weights, which a float cannot count."""
    count = (1 << 24) + 4099
    w = numpy.random.default_rng(1).standard_normal((1, count), dtype=numpy.float32)
    path = write(tmp_path / "x.safetensors", {"w.weight": ("F32", w.shape, w.tobytes())})
    found = measured(sapwood, path)["global"]
    assert found["count"] == count and found["pqi"] == pytest.approx(pq_index(w), rel=5e-9)
    done = sapwood("prune", path, "--dry-run", "--density", "0.3", "--json")
    assert json.loads(done.stdout)["global"]["pruned"] == int(count * 0.7)


def test_tensor_beyond_the_integers_of_int(sapwood, tmp_path):
    """More than 2^31 weights, two of which are not zero: I = 1 − 2/d."""
    rows, columns = 1 << 10, (1 << 21) + 64
    path = tmp_path / "x.safetensors"
    write_hole(path, "F8_E5M2", rows, columns, _5=b"\x3c", **{f"_{rows * columns - 1}": b"\xbc"})
    found = measured(sapwood, path)["global"]
    assert found["count"] == rows * columns and found["zeros"] == rows * columns - 2
    assert found["pqi"] == pytest.approx(1 - 2 / (rows * columns), rel=1e-9)


@pytest.mark.parametrize("count", [10000, 20000])
def test_many_tensors(sapwood, tmp_path, count):
    values = numpy.arange(4 * count, dtype="<f4").reshape(count, 2, 2) + 1
    path = write(tmp_path / "x.safetensors",
                 {f"layers.{i}.weight": ("F32", (2, 2), value.tobytes()) for i, value in enumerate(values)})
    found = measured(sapwood, path)
    assert len(found["tensors"]) == count and found["global"]["pqi"] == pytest.approx(pq_index(values), rel=5e-9)
    done = sapwood("prune", path, "-o", tmp_path / "out.safetensors", "--density", "0.5", "--json")
    # the smaller half of the tensors loses all but one weight, the largest, which always stays
    assert json.loads(done.stdout)["global"]["pruned"] == 2 * count - count // 2
    done = sapwood("compare", path, tmp_path / "out.safetensors", "--json")
    different = [tensor for tensor in json.loads(done.stdout)["tensors"] if tensor["result"] != "equal"]
    assert done.returncode == 1 and len(different) == count // 2


# ---- types ----


def decoded(dtype, data):
    if dtype == "F8_E5M2":
        return (data.astype("<u2") << 8).view("<f2").astype(float)
    sign, exponent, fraction = data >> 7, (data >> 3 & 15).astype(int), (data & 7).astype(float)
    magnitude = numpy.where(exponent > 0, (1 + fraction / 8) * 2.0 ** (exponent - 7), fraction * 2.0**-9)
    return numpy.where(sign, -magnitude, magnitude)


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2"])
def test_fp8(sapwood, tmp_path, dtype):
    data = numpy.random.RandomState(2).randint(0, 256, (300, 70)).astype("u1")
    data[(data & 0x7F) >= (0x7F if dtype == "F8_E4M3" else 0x7C)] = 0x21  # no NaN, no infinity
    w = decoded(dtype, data)
    path = write(tmp_path / "x.safetensors", {"w.weight": (dtype, w.shape, data.tobytes())})
    assert measured(sapwood, path)["global"]["pqi"] == pytest.approx(pq_index(w), rel=1e-6)
    assert sapwood("prune", path, "-o", tmp_path / "out.safetensors", "--density", "0.25").returncode == 0
    kept = numpy.frombuffer((tmp_path / "out.safetensors").read_bytes()[-data.size :], "u1").reshape(data.shape)
    expected = numpy.ones(w.size, bool)
    expected[numpy.argsort(abs(w).ravel(), kind="stable")[: int(w.size * 0.75)]] = False
    assert numpy.array_equal(kept, numpy.where(expected.reshape(data.shape), data, 0))


def test_f64(sapwood, tmp_path):
    w = numpy.random.RandomState(3).standard_normal((90, 40)) * 10.0 ** numpy.random.RandomState(4).uniform(-200, 200, (90, 40))
    path = write(tmp_path / "x.safetensors", {"w.weight": ("F64", w.shape, w.tobytes())})
    found = measured(sapwood, path, "--p", "0.1", "--q", "1")["global"]["pqi"]
    a = abs(w).ravel() / abs(w).max()
    assert found == pytest.approx(1 - numpy.mean(a**0.1) ** 10 / numpy.mean(a), rel=1e-6)
    assert sapwood("prune", path, "-o", tmp_path / "out.safetensors", "--density", "0.5").returncode == 0
    kept = numpy.frombuffer((tmp_path / "out.safetensors").read_bytes()[-w.nbytes :], "<f8")
    assert numpy.array_equal(kept, numpy.where(abs(w.ravel()) >= numpy.sort(abs(w).ravel())[w.size // 2], w.ravel(), 0))


@pytest.mark.parametrize("scale", [1, 1e-20, 1e20])
def test_bf16(sapwood, tmp_path, scale):
    """Blocks whose largest weights differ by much, zeros, and the tiny ones in between."""
    random = numpy.random.RandomState(5)
    w = random.standard_normal((64, 4096)).astype("<f4") * numpy.float32(scale) * random.choice([1, 1e-3, 30], (64, 1)).astype("<f4")
    w[random.uniform(size=w.shape) < 1e-3] *= numpy.float32(1e-9)
    w[:, 7] = 0
    data = (w.view("<u4") >> 16).astype("<u2")
    path = write(tmp_path / "x.safetensors", {"w.weight": ("BF16", w.shape, data.tobytes())})
    exact = (data.astype("<u4") << 16).view("<f4")
    for scope in ("global", "neuron"):
        found = measured(sapwood, path, "--scope", scope)
        assert found["global"]["pqi"] == pytest.approx(pq_index(exact), rel=1e-8)
        assert found["global"]["zeros"] == numpy.count_nonzero(exact == 0)
    assert found["tensors"][0]["neurons"]["pqi"] == pytest.approx([pq_index(row) for row in exact], rel=1e-7)


# ---- options ----


def test_threads_change_nothing(sapwood, tmp_path):
    w = numpy.random.default_rng(8).standard_normal((700, 1000), dtype=numpy.float32)
    path = write(tmp_path / "x.safetensors", {"w.weight": ("F32", w.shape, w.tobytes())})
    for command in (["measure", "--gini"], ["prune", "--dry-run"], ["compare", path]):
        outputs = {sapwood(*command[:1], path, *command[1:], "--json", "--threads", n).stdout for n in (0, 1, 2, 3)}
        assert len(outputs) == 1 and outputs.pop()
    assert sapwood("measure", path, "--threads", "-1").returncode == 2


def test_pieces_of_a_file_by_threads(sapwood, tmp_path):
    """Tensors of many pieces between small ones, at odd places: what is written does not depend on who wrote what."""
    random = numpy.random.default_rng(9)
    weights = [random.standard_normal((n, 1000), dtype=numpy.float32) for n in (1900, 3, 2300)]
    content = {"head": ("U8", (3,), b"abc")}
    content |= {f"{i}.weight": ("F32", w.shape, w.tobytes()) for i, w in enumerate(weights)}
    path = write(tmp_path / "x.safetensors", content | {"tail": ("U8", (5,), b"defgh")})
    flat = numpy.concatenate([w.ravel() for w in weights])
    flat[numpy.argsort(numpy.abs(flat), kind="stable")[: flat.size - round(0.3 * flat.size)]] = 0
    expected = path.read_bytes().replace(b"".join(w.tobytes() for w in weights), flat.tobytes())
    assert len(expected) == path.stat().st_size and expected != path.read_bytes()
    for threads in (1, 2, 3):
        out = tmp_path / f"{threads}.safetensors"
        assert sapwood("prune", path, "--density", "0.3", "--threads", threads, "-o", out).returncode == 0
        assert out.read_bytes() == expected


@pytest.fixture
def model(tmp_path):
    w = numpy.random.RandomState(6).standard_normal((12, 32)).astype("<f4")
    return write(tmp_path / "model.safetensors", {"w.weight": ("F32", w.shape, w.tobytes())}), w


def test_pattern(sapwood, model, tmp_path):
    path, w = model
    assert sapwood("prune", path, "-o", tmp_path / "out.safetensors", "--nm", "2:4").returncode == 0
    kept = numpy.frombuffer((tmp_path / "out.safetensors").read_bytes()[-w.nbytes :], "<f4").reshape(-1, 4)
    groups = w.reshape(-1, 4)
    largest = numpy.sort(numpy.argsort(abs(groups), 1)[:, 2:], 1)
    expected = numpy.zeros_like(groups)
    numpy.put_along_axis(expected, largest, numpy.take_along_axis(groups, largest, 1), 1)
    assert numpy.array_equal(kept, expected)
    for pattern in ("4:4", "0:4", "2", "2:65", "a:b", "2:4x"):
        assert sapwood("prune", path, "--dry-run", "--nm", pattern).returncode == 2


def test_histogram(sapwood, model):
    path, w = model
    done = sapwood("measure", path, "--histogram")
    assert done.returncode == 0, done.stderr
    found = {int(power): float(share) for power, share in re.findall(r"^ +(-?\d+)  #* +([\d.]+) %$", done.stdout, re.M)}
    powers, counts = numpy.unique(numpy.floor(numpy.log2(abs(w))).astype(int), return_counts=True)
    for power, count in zip(powers, counts):
        if 100 * count / w.size >= 1:
            assert found[power] == pytest.approx(100 * count / w.size, abs=0.006)


def test_skip_nonfinite(sapwood, model, tmp_path):
    _, w = model
    w = w.copy()
    w[3, 4], w[5, 6] = numpy.nan, -numpy.inf
    path = write(tmp_path / "nan.safetensors", {"w.weight": ("F32", w.shape, w.tobytes())})
    assert "index 100 is nan" in sapwood("measure", path).stderr
    found = measured(sapwood, path, "--skip-nonfinite")["global"]
    assert found["pqi"] == pytest.approx(pq_index(w[numpy.isfinite(w)]), rel=1e-6) and found["kept"] == w.size - 2
    assert sapwood("prune", path, "--dry-run").returncode == 1


# ---- failing ----


def test_output_onto_the_input(sapwood, model, tmp_path):
    path, _ = model
    before = path.read_bytes()
    os.symlink(path, tmp_path / "soft.safetensors")
    os.link(path, tmp_path / "hard.safetensors")
    for name in ("soft", "hard"):
        done = sapwood("prune", path, "-o", tmp_path / f"{name}.safetensors", "--force")
        assert done.returncode == 1 and "the output is the input" in done.stderr and len(done.stderr.splitlines()) == 1
    done = sapwood("prune", path, "-o", tmp_path / "out.safetensors", "--mask-out", tmp_path / "soft.safetensors", "--force")
    assert done.returncode == 1 and path.read_bytes() == before


@pytest.mark.parametrize("limit", [0, 700])
def test_full_disk(sapwood, model, tmp_path, limit):
    path, _ = model

    def small():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    (tmp_path / "out.safetensors").write_text("precious")
    done = subprocess.run([sapwood.path, "prune", path, "-o", tmp_path / "out.safetensors", "--force"], capture_output=True,
                          text=True, preexec_fn=small)
    assert done.returncode == 1 and done.stderr == f"sapwood prune: {tmp_path}/out.safetensors: file too large\n"
    assert (tmp_path / "out.safetensors").read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["model.safetensors", "out.safetensors"]


@pytest.mark.parametrize("command", ["measure", "prune"])
def test_file_that_shrinks(sapwood, tmp_path, command):
    path = tmp_path / "x.safetensors"
    write_hole(path, "BF16", 1 << 10, 1 << 22)  # 8 GiB: reading them takes more than a moment
    process = sapwood.start(command, path, *(["-o", tmp_path / "out.safetensors"] if command == "prune" else []))
    maps = f"/proc/{process.pid}/maps"
    end = time.monotonic() + 60
    while process.poll() is None and str(path) not in open(maps).read():
        assert time.monotonic() < end
        time.sleep(0.001)
    os.truncate(path, 4096)
    _, text = process.communicate(timeout=120)
    assert process.returncode == 1, text
    assert text.startswith(f"sapwood {command}: {path}: cannot be read") and len(text.splitlines()) == 1
    assert os.listdir(tmp_path) == ["x.safetensors"]
