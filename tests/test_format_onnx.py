"""ONNX models against second opinions: tiny_onnx.py, and the packages onnx and onnxruntime where they are installed."""
import os
import struct

import numpy as np
import pytest
import tiny_onnx as o
from checkpoint_file import Checkpoint, Refused, masked, random_masks, refusal


def package_onnx():
    """The package; an empty one of its name comes with Debian's test data."""
    pytest.importorskip("onnx.helper", reason="the package onnx is not installed")
    import onnx

    return onnx


def rng(seed=0):
    return np.random.RandomState(seed)


def thinned(shape, density, kind="f4", seed=0):
    """Random values, all but `density` of them zero."""
    values = rng(seed).standard_normal(shape).astype(kind)
    values[rng(seed + 1).uniform(size=shape) >= density] = 0
    return values


def save(path, *arguments, **options):
    path.write_bytes(o.model(*arguments, **options))
    return path


def graph_of(path):
    """The (number, value) pairs of a model's graph."""
    return o.fields(o.first_of(path.read_bytes(), 7))


def same(found, expected):
    return found.shape == expected.shape and found.tobytes() == expected.tobytes()


# ---- reading ----


def test_raw_types(tmp_path):
    arrays = {f"t{k}": (rng(k).uniform(0, 100, (3, 5)) > 50 if v == "?" else rng(k).uniform(0, 100, (3, 5))).astype(v)
              for k, v in o.TYPES.items()}
    arrays |= {"scalar": np.float32(3).reshape(()), "none": np.zeros((0, 4), "f4"), "high": np.ones((1,) * 8, "f4")}
    path = save(tmp_path / "m.onnx", o.graph(initializers=[
        o.tensor(name, array, int(name[1:]) if name[1:].isdigit() else None) for name, array in arrays.items()]))
    with Checkpoint(path) as checkpoint:
        assert checkpoint.format == "onnx" and checkpoint.names == list(arrays)
        assert checkpoint.dtypes["t16"] == "BF16" and checkpoint.dtypes["t9"] == "BOOL"
        for name, array in arrays.items():
            assert same(checkpoint.load(name), array) and checkpoint.mapped(name)


def typed(name, shape, data_type, *values):
    return [(1, n) for n in shape] + [(2, data_type), (8, name), *values]


def test_typed_values(tmp_path):
    """Packed and unpacked, as one stretch and in several; each kind of field."""
    f = rng().standard_normal(6).astype("f4")
    ints = np.array([-2**31, -1, 0, 1, 127, 2**31 - 1])
    packed = b"".join(o.varint(int(i)) for i in ints)
    fixed = b"".join(o.varint(4 << 3 | 5) + struct.pack("<f", x) for x in f)
    bits = np.array([0x3C00, 0x8000, 0xFFFF], "<u2")
    longs = np.array([-2**63, 2**63 - 1, 5])
    path = save(tmp_path / "m.onnx", o.graph(initializers=[
        typed("floats", (2, 3), 1, (4, o.floats(f))),
        typed("pieces", (6,), 1, (4, o.floats(f[:2])), (4, b""), (4, o.floats(f[2:]))),
        o.encode(typed("unpacked", (6,), 1)) + fixed,
        typed("doubles", (2,), 11, (10, np.float64([1, -2]).tobytes())),
        typed("ints", (6,), 6, (5, packed)),
        typed("ints_unpacked", (6,), 6, *[(5, int(i)) for i in ints]),
        typed("half", (3,), 10, (5, b"".join(o.varint(int(b)) for b in bits))),
        typed("bytes", (3,), 3, (5, b"".join(o.varint(i) for i in (-128, 0, 127)))),
        typed("fp8", (2,), 17, (5, b"\x7f\x00")),
        typed("longs", (3,), 7, (7, b"".join(o.varint(int(i)) for i in longs))),
        typed("unsigned", (1,), 13, (11, o.varint(2**64 - 1))),
        typed("complex", (1,), 14, (4, o.floats([1, 2]))),
        typed("strings", (1,), 8, (6, b"text")),  # no tensor of numbers: not listed
        typed("fours", (2,), 22, (5, b"\x21")),   # of a type that has no name here
    ]))
    expected = {"floats": f.reshape(2, 3), "pieces": f, "unpacked": f, "doubles": np.float64([1, -2]),
                "ints": ints.astype("i4"), "ints_unpacked": ints.astype("i4"), "half": bits.view("f2"),
                "bytes": np.int8([-128, 0, 127]), "fp8": np.uint8([0x7F, 0]), "longs": longs,
                "unsigned": np.uint64([2**64 - 1]), "complex": np.complex64([1 + 2j])}
    with Checkpoint(path) as checkpoint:
        assert checkpoint.names == list(expected)
        for name, array in expected.items():
            assert same(checkpoint.load(name), array), name
            assert checkpoint.mapped(name) == (name in ("floats", "doubles", "complex"))


@pytest.mark.parametrize("raw", [False, True])
def test_sparse_read(tmp_path, raw):
    dense = thinned((7, 9, 11), 0.2)
    flat = np.flatnonzero(dense)
    pairs = np.argwhere(dense)
    path = save(tmp_path / "m.onnx", o.graph(sparse_initializers=[
        o.sparse("linear", dense.shape, dense.reshape(-1)[flat], flat, raw),
        o.sparse("pairs", dense.shape, dense.reshape(-1)[flat], pairs, raw)]))
    with Checkpoint(path) as checkpoint:
        for name in ("linear", "pairs"):
            assert same(checkpoint.load(name), dense) and not checkpoint.mapped(name)


def test_constants_and_subgraphs(tmp_path):
    """Constants of a rank have their output's name, in branches the way to them; a branch may use a name again."""
    a, b, c = (thinned((4, 4), 1, seed=i) for i in range(3))
    branch = [o.graph([o.constant("w", x)], [o.tensor("v", x)]) for x in (a, b)]
    choice = [[(1, "then_branch"), (6, branch[0])], [(1, "else_branch"), (6, branch[1])]]
    custom = [o.node("Constant", [], ["other"], [[(1, "value"), (5, o.tensor("", a))]]) + [(7, "custom.domain")],
              o.node("Constant", [], ["ints"], [[(1, "value_ints"), (8, 3)]]), o.constant("scalar", np.float32(1))]
    function = [(1, "f"), (7, o.constant("inside", a))]
    path = save(tmp_path / "m.onnx", o.graph([
        o.constant("c", c), o.node("If", ["x"], ["y"], choice, "choose"), o.node("If", ["x"], ["z"], choice), *custom]),
        functions=[function])
    with Checkpoint(path) as checkpoint:
        prefixes = [f"{node}/{branch}/" for node in ("choose", "#2") for branch in ("then_branch", "else_branch")]
        assert sorted(checkpoint.names) == sorted(
            ["c", "function/inside"] + [p + name for p in prefixes for name in ("w", "v")])
        assert same(checkpoint.load("#2/else_branch/w"), b) and same(checkpoint.load("c"), c)


def test_lenient(tmp_path):
    path = save(tmp_path / "m.onnx", o.graph(initializers=[[(1, 1), (2, 1), (8, "w"), (9, bytes(8))]]))
    assert refusal(path) == ("SAP_ERROR_FORMAT", f"{path}: w: 8 bytes of raw data, expected 4")
    assert refusal(path, lenient=True) == ("SAP_OK", "")


def test_found_by_content(tmp_path):
    path = save(tmp_path / "model.bin", o.graph(initializers=[o.tensor("w", np.float32([[1]]))]))
    with Checkpoint(path) as checkpoint:
        assert checkpoint.format == "onnx"


def test_expansion_is_bounded(tmp_path):
    path = save(tmp_path / "m.onnx", o.graph(sparse_initializers=[o.sparse("w", (100, 100), np.float32([1]), [5])]))
    size = path.stat().st_size
    assert refusal(path, max_expand=40000 / size - 0.1)[0] == "SAP_ERROR_FORMAT"
    assert refusal(path, max_expand=40000 / size + 0.1)[0] == "SAP_OK"


def test_ten_thousand(tmp_path):
    arrays = {f"w{i}": np.float32([[i]]) for i in range(10000)}
    path = save(tmp_path / "m.onnx", o.graph(initializers=[o.tensor(k, v) for k, v in arrays.items()]))
    with Checkpoint(path) as checkpoint:
        assert len(checkpoint.names) == 10000
        checkpoint.rewrite(tmp_path / "out.onnx", {name: np.array([[False]]) for name in arrays})
    found = [o.read_tensor(value) for number, value in graph_of(tmp_path / "out.onnx") if number == 5]
    assert [name for name, _ in found] == list(arrays) and not any(array.any() for _, array in found)


# ---- writing ----


def mixed(tmp_path):
    """A model with every kind of tensor; the arrays by name."""
    dense, constant, half = thinned((20, 30), 0.1), thinned((9, 40), 0.1, seed=5), np.float16([[1, 0, 2, -3]])
    sparse = thinned((50, 4), 0.1, seed=7)
    flat = np.flatnonzero(sparse)
    branch = o.graph([o.constant("w", constant, extra=[(13, "why")])])
    path = save(tmp_path / "m.onnx", o.graph(
        [o.node("If", ["x"], ["y"], [[(1, "then_branch"), (6, branch), (20, 5)]], "if"), o.node("Relu", ["y"], ["z"])],
        [o.tensor("dense", dense, extra=[(12, "documented"), (16, [(1, "k"), (2, "v")])]),
         typed("half", (1, 4), 10, (5, b"".join(o.varint(int(b)) for b in half.view("u2").reshape(-1)))),
         o.tensor("shape", np.int64([0, 0, 0, 0] * 50))],
        [o.sparse("sparse", sparse.shape, sparse.reshape(-1)[flat], flat)],
        inputs=[o.value_info("x", [1])], outputs=[o.value_info("z", [1])]), metadata=[("author", "nobody")])
    return path, {"if/then_branch/w": constant, "dense": dense, "half": half, "shape": np.int64([0] * 200),
                  "sparse": sparse}


def arrays_of(path):
    with Checkpoint(path) as checkpoint:
        return checkpoint.arrays


def test_rewrite(tmp_path):
    path, arrays = mixed(tmp_path)
    masks = random_masks(arrays)
    del masks["shape"]
    with Checkpoint(path) as checkpoint:
        checkpoint.rewrite(tmp_path / "same.onnx")
        checkpoint.rewrite(tmp_path / "dense.onnx", {"dense": masks["dense"]})
        checkpoint.rewrite(tmp_path / "all.onnx", masks)
    original = path.read_bytes()
    assert (tmp_path / "same.onnx").read_bytes() == original
    where = original.index(arrays["dense"].tobytes())
    pruned = masked(arrays["dense"], masks["dense"]).tobytes()
    assert (tmp_path / "dense.onnx").read_bytes() == original[:where] + pruned + original[where + len(pruned):]
    found = arrays_of(tmp_path / "all.onnx")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert same(found[name], masked(array, masks[name]) if name in masks else array), name
    assert [number for number, _ in graph_of(tmp_path / "all.onnx")] == [number for number, _ in graph_of(path)]
    name, shape, values, positions = o.read_sparse(o.first_of(o.first_of((tmp_path / "all.onnx").read_bytes(), 7), 15))
    kept = np.flatnonzero(masked(arrays["sparse"], masks["sparse"]))
    assert name == "sparse" and shape == [50, 4] and list(positions) == list(kept)
    assert same(values, arrays["sparse"].reshape(-1)[kept])


def test_sparse_and_back(tmp_path):
    path, arrays = mixed(tmp_path)
    with Checkpoint(path) as checkpoint:
        checkpoint.convert(tmp_path / "sparse.onnx", sparse=True)
        checkpoint.convert(tmp_path / "dense.onnx")
    with Checkpoint(tmp_path / "sparse.onnx") as checkpoint:
        checkpoint.convert(tmp_path / "back.onnx")
    for name in ("sparse.onnx", "dense.onnx", "back.onnx"):
        found = arrays_of(tmp_path / name)
        assert list(found) == list(arrays) and all(same(found[k], v) for k, v in arrays.items())
    assert (tmp_path / "back.onnx").stat().st_size == (tmp_path / "dense.onnx").stat().st_size
    assert (tmp_path / "sparse.onnx").stat().st_size < 0.5 * path.stat().st_size
    # Only tensors of floats that get smaller are sparse, in the place where they were; the rest is as it was.
    before, after = graph_of(path), graph_of(tmp_path / "sparse.onnx")
    assert [n for n, _ in after] == [15 if n == 5 and o.first_of(v, 8) == b"dense" else n for n, v in before]
    for (number, old), (_, new) in zip(before, after):
        if number not in (1, 5, 15):
            assert old == new
    one = next(v for n, v in after if n == 15)
    name, shape, values, positions = o.read_sparse(one)
    flat = arrays["dense"].reshape(-1)
    assert name == "dense" and shape == [20, 30]
    assert list(positions) == list(np.flatnonzero(flat)) and same(values, flat[positions])
    assert o.first_of(o.first_of(one, 1), 12) == b"documented" and o.all_of(o.first_of(one, 1), 16)
    model = o.fields((tmp_path / "sparse.onnx").read_bytes())
    assert [pair for pair in model if pair[0] != 7] == [pair for pair in o.fields(path.read_bytes()) if pair[0] != 7]


def test_plain_model_comes_back_byte_for_byte(tmp_path):
    path = save(tmp_path / "m.onnx", o.graph(
        [o.constant("c", thinned((30, 30), 0.1))], [o.tensor("w", thinned((300, 50), 0.05, seed=3))]))
    with Checkpoint(path) as checkpoint:
        checkpoint.convert(tmp_path / "sparse.onnx", sparse=True)
    with Checkpoint(tmp_path / "sparse.onnx") as checkpoint:
        assert not any(checkpoint.mapped(name) for name in checkpoint.names)
        checkpoint.convert(tmp_path / "back.onnx")
    assert (tmp_path / "back.onnx").read_bytes() == path.read_bytes()


def test_never_larger_than_dense(tmp_path):
    path = save(tmp_path / "m.onnx", o.graph(initializers=[
        o.tensor("w", thinned((40, 40), 1)), o.tensor("b", np.zeros(1, "f4"))]))
    with Checkpoint(path) as checkpoint:
        checkpoint.convert(tmp_path / "out.onnx", sparse=True)
    assert (tmp_path / "out.onnx").read_bytes() == path.read_bytes()


def test_masks_are_stored(tmp_path):
    """A kept weight may be zero: it is among the stored values, and a mask without a bit stores none."""
    w = thinned((10, 10), 0.5)
    mask = rng(9).uniform(size=w.shape) < 0.3
    path = save(tmp_path / "m.onnx", o.graph(initializers=[o.tensor("w", w), o.tensor("v", w)]))
    with Checkpoint(path) as checkpoint:
        checkpoint.convert(tmp_path / "out.onnx", {"w": mask, "v": np.zeros_like(mask)}, sparse=True)
    w_out, v_out = (o.read_sparse(value) for number, value in graph_of(tmp_path / "out.onnx") if number == 15)
    assert list(w_out[3]) == list(np.flatnonzero(mask)) and same(w_out[2], w[mask])
    assert len(v_out[2]) == len(v_out[3]) == 0
    assert same(arrays_of(tmp_path / "out.onnx")["v"], np.zeros_like(w))


def test_old_models_stay_dense(tmp_path):
    """No sparse initializer before IR 5, no sparse constant before operator set 11."""
    for options, expected in (({"ir_version": 4}, 5), ({"opset": 10}, 15)):
        path = save(tmp_path / "m.onnx", o.graph([o.constant("c", thinned((50, 50), 0.1))], [
            o.tensor("w", thinned((50, 50), 0.1))]), **options)
        with Checkpoint(path) as checkpoint:
            checkpoint.convert(tmp_path / "out.onnx", sparse=True)
        graph = graph_of(tmp_path / "out.onnx")
        assert [n for n, _ in graph if n in (5, 15)] == [expected]
        attribute = o.first_of(o.first_of(o.first_of((tmp_path / "out.onnx").read_bytes(), 7), 1), 5)
        assert o.first_of(attribute, 1) == (b"sparse_value" if "ir_version" in options else b"value")


def test_other_sources_and_limits(tmp_path):
    np.save(tmp_path / "w.npy", np.float32([[1]]))
    with Checkpoint(tmp_path / "w.npy") as checkpoint:
        with pytest.raises(Refused, match="an ONNX file needs the graph") as refused:
            checkpoint.convert(tmp_path / "w.onnx")
    assert refused.value.code == "SAP_ERROR_UNSUPPORTED"
    huge = o.sparse("w", (2**10, 2**20), np.float32([1]), [5])
    path = save(tmp_path / "m.onnx", o.graph(sparse_initializers=[huge]))
    with Checkpoint(path) as checkpoint, pytest.raises(Refused, match="exceeds 2147483647 bytes"):
        checkpoint.convert(tmp_path / "out.onnx")
    with Checkpoint(path) as checkpoint, pytest.raises(Refused, match="the output is the input"):
        checkpoint.rewrite(path)
    assert sorted(os.listdir(tmp_path)) == ["m.onnx", "w.npy"]
    with open(tmp_path / "large.onnx", "wb") as file:
        file.truncate(2**31)
    assert refusal(tmp_path / "large.onnx")[0] == "SAP_ERROR_FORMAT"


# ---- external data ----


def external(name, array, location, offset=None, data_type=None):
    pairs = o.tensor(name, array, data_type)
    entries = [("location", location)] + ([("offset", str(offset))] if offset is not None else [])
    entries += [("length", str(array.nbytes)), ("checksum", "00" * 20)]
    return [p for p in pairs if p[0] != 9] + [(13, [(1, k), (2, v)]) for k, v in entries] + [(14, 1)]


def external_model(tmp_path):
    """Two tensors in one file, between other bytes; one in a folder; one of a type that is not listed."""
    a, b, c = thinned((300, 40), 0.1), thinned((70, 3), 1, "f8", 3), thinned((5, 5), 1, "f2", 4)
    fours = np.uint8([1, 2, 3, 4])
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "w.data").write_bytes(b"head" + a.tobytes() + b"between" + b.tobytes() + b"tail")
    (tmp_path / "in" / "deep" / "c.data").write_bytes(c.tobytes())
    (tmp_path / "in" / "fours.data").write_bytes(fours.tobytes())
    path = save(tmp_path / "in" / "m.onnx", o.graph(initializers=[
        external("a", a, "w.data", 4), external("c", c, "deep/c.data"),
        external("fours", fours, "./fours.data", data_type=22),
        external("b", b, "w.data", 4 + a.nbytes + 7)]))
    return path, {"a": a, "c": c, "b": b}


def test_external_rewrite(tmp_path):
    path, arrays = external_model(tmp_path)
    masks = random_masks(arrays)
    (tmp_path / "out").mkdir()
    with Checkpoint(path) as checkpoint:
        assert checkpoint.names == list(arrays) and all(checkpoint.mapped(name) for name in arrays)
        assert all(same(checkpoint.load(name), array) for name, array in arrays.items())
        checkpoint.rewrite(tmp_path / "out" / "n.onnx", masks)
        with pytest.raises(Refused, match="exists already"):
            checkpoint.rewrite(tmp_path / "out" / "again.onnx", masks)
    assert sorted(os.listdir(tmp_path / "out")) == ["deep", "fours.data", "n.onnx", "w.data"]
    assert (tmp_path / "out" / "n.onnx").read_bytes() == path.read_bytes()
    assert (tmp_path / "out" / "fours.data").read_bytes() == bytes([1, 2, 3, 4])
    found = arrays_of(tmp_path / "out" / "n.onnx")
    assert all(same(found[name], masked(array, masks[name])) for name, array in arrays.items())
    data = (tmp_path / "out" / "w.data").read_bytes()
    assert data[:4] == b"head" and data[-4:] == b"tail" and data[4 + arrays["a"].nbytes:][:7] == b"between"


@pytest.mark.parametrize("sparse", [False, True])
def test_external_becomes_one_file(tmp_path, sparse):
    path, arrays = external_model(tmp_path)
    with Checkpoint(path) as checkpoint:
        checkpoint.convert(tmp_path / "one.onnx", sparse=sparse)
    found = arrays_of(tmp_path / "one.onnx")
    assert list(found) == list(arrays) and all(same(found[name], array) for name, array in arrays.items())
    fours = [v for n, v in graph_of(tmp_path / "one.onnx") if n == 5 and o.first_of(v, 8) == b"fours"]
    assert o.first_of(fours[0], 9) == bytes([1, 2, 3, 4]) and not o.all_of(fours[0], 13) + o.all_of(fours[0], 14)


def test_shared_bytes_and_pieces(tmp_path):
    """Tensors over the same bytes, odd offsets, and elements that lie across the pieces that are copied."""
    data = rng().standard_normal(700_000).astype("f4")
    (tmp_path / "w.data").write_bytes(b"xyz" + data.tobytes())
    path = save(tmp_path / "m.onnx", o.graph(initializers=[
        external("whole", data, "w.data", 3), external("part", data[1000:600_000], "w.data", 3 + 4000)]))
    masks = {"whole": rng(1).uniform(size=data.shape) < 0.5, "part": rng(2).uniform(size=599_000) < 0.5}
    (tmp_path / "out").mkdir()
    with Checkpoint(path) as checkpoint:
        checkpoint.rewrite(tmp_path / "out" / "m.onnx", masks)
    kept = masks["whole"].copy()
    kept[1000:600_000] &= masks["part"]
    assert (tmp_path / "out" / "w.data").read_bytes() == b"xyz" + masked(data, kept).tobytes()


def test_a_file_for_each_of_many(tmp_path):
    initializers = []
    for i in range(2000):
        array = np.float32([[i]])
        (tmp_path / f"w{i}").write_bytes(array.tobytes())
        initializers.append(external(f"w{i}", array, f"w{i}"))
    path = save(tmp_path / "m.onnx", o.graph(initializers=initializers))
    with Checkpoint(path) as checkpoint:
        assert all(checkpoint.load(f"w{i}")[0, 0] == i for i in range(2000))


# ---- the packages ----


def small_network(onnx):
    """A convolution, a branch and a matrix, as a program with weights in three places."""
    h, t = onnx.helper, onnx.TensorProto
    conv, matrix = thinned((8, 3, 3, 3), 0.3), thinned((8 * 36, 10), 0.2, seed=4)
    ends = [thinned((10, 10), 1, seed=s) for s in (5, 6)]
    branches = [h.make_graph([h.make_node("Constant", [], ["b"], value=onnx.numpy_helper.from_array(b)),
                              h.make_node("MatMul", ["m", "b"], ["r"])], "branch", [],
                             [h.make_tensor_value_info("r", t.FLOAT, [2, 10])]) for b in ends]
    nodes = [h.make_node("Conv", ["x", "conv"], ["c"]), h.make_node("Relu", ["c"], ["d"]),
             h.make_node("Flatten", ["d"], ["e"]),
             h.make_node("Constant", [], ["matrix"], value=onnx.numpy_helper.from_array(matrix)),
             h.make_node("MatMul", ["e", "matrix"], ["m"]),
             h.make_node("If", ["which"], ["y"], "if", then_branch=branches[0], else_branch=branches[1])]
    graph = h.make_graph(nodes, "net", [h.make_tensor_value_info("x", t.FLOAT, [2, 3, 8, 8]),
                                        h.make_tensor_value_info("which", t.BOOL, [])],
                         [h.make_tensor_value_info("y", t.FLOAT, [2, 10])],
                         [onnx.numpy_helper.from_array(conv, "conv")])
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=8)


def test_runtime(tmp_path):
    onnx = package_onnx()
    runtime = pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    x = rng().standard_normal((2, 3, 8, 8)).astype("f4")

    def outputs(path):
        """Checked, too; types are not inferred from sparse initializers, for which the package has no rule."""
        onnx.checker.check_model(str(path), full_check="sparse" not in path.name and path.name != "nothing.onnx")
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return [session.run(None, {"x": x, "which": np.array(which)})[0] for which in (False, True)]

    onnx.save(small_network(onnx), tmp_path / "m.onnx")
    with Checkpoint(tmp_path / "m.onnx") as checkpoint:
        assert sorted(checkpoint.names) == ["conv", "if/else_branch/b", "if/then_branch/b", "matrix"]
        masks = random_masks(checkpoint.arrays)
        checkpoint.rewrite(tmp_path / "same.onnx")
        checkpoint.rewrite(tmp_path / "pruned.onnx", masks)
        checkpoint.convert(tmp_path / "sparse.onnx", sparse=True)
        checkpoint.convert(tmp_path / "pruned_sparse.onnx", masks, sparse=True)
        nothing = {name: np.zeros_like(mask) for name, mask in masks.items()}
        checkpoint.convert(tmp_path / "nothing.onnx", nothing, sparse=True)
        checkpoint.rewrite(tmp_path / "zeros.onnx", nothing)
    with Checkpoint(tmp_path / "pruned_sparse.onnx") as checkpoint:
        checkpoint.convert(tmp_path / "back.onnx")
    loaded = onnx.load(tmp_path / "sparse.onnx")
    assert [s.values.name for s in loaded.graph.sparse_initializer] == ["conv"] and not loaded.graph.initializer
    assert len(loaded.graph.sparse_initializer[0].indices.int64_data)
    assert [a.name for n in loaded.graph.node if n.op_type == "Constant" for a in n.attribute] == ["sparse_value"]
    plain, pruned = outputs(tmp_path / "m.onnx"), outputs(tmp_path / "pruned.onnx")
    assert not any((a == b).all() for a, b in zip(plain, pruned)) and not (plain[0] == plain[1]).all()
    for name, expected in (("same", plain), ("sparse", plain), ("pruned_sparse", pruned), ("back", pruned)):
        assert all((a == b).all() for a, b in zip(outputs(tmp_path / f"{name}.onnx"), expected)), name
    assert all((a == b).all() for a, b in zip(outputs(tmp_path / "nothing.onnx"), outputs(tmp_path / "zeros.onnx")))


@pytest.mark.parametrize("raw", [False, True])
def test_package_types(tmp_path, raw):
    """Every type that the package writes, in both of its forms, read as it reads them."""
    onnx = package_onnx()
    values = [0, 1, 2, 0, 3, 0.5]
    names = {"FLOAT": "F32", "DOUBLE": "F64", "FLOAT16": "F16", "BFLOAT16": "BF16", "INT8": "I8", "UINT8": "U8",
             "INT16": "I16", "UINT16": "U16", "INT32": "I32", "UINT32": "U32", "INT64": "I64", "UINT64": "U64",
             "BOOL": "BOOL", "FLOAT8E4M3FN": "F8_E4M3", "FLOAT8E4M3FNUZ": "F8_E4M3FNUZ", "FLOAT8E5M2": "F8_E5M2",
             "FLOAT8E5M2FNUZ": "F8_E5M2FNUZ"}
    tensors = []
    for name in names:
        kind = onnx.helper.tensor_dtype_to_np_dtype(getattr(onnx.TensorProto, name))
        array = np.array(values).astype(kind)
        if raw:
            tensors.append(onnx.numpy_helper.from_array(array.reshape(2, 3), name))
        else:
            tensors.append(onnx.helper.make_tensor(name, getattr(onnx.TensorProto, name), [2, 3], array))
    graph = onnx.helper.make_graph([], "g", [], [], tensors)
    onnx.save(onnx.helper.make_model(graph), tmp_path / "m.onnx")
    with Checkpoint(tmp_path / "m.onnx") as checkpoint:
        assert checkpoint.dtypes == names
        for tensor in tensors:
            assert checkpoint.load(tensor.name).tobytes() == onnx.numpy_helper.to_array(tensor).tobytes(), tensor.name
        checkpoint.rewrite(tmp_path / "zero.onnx", {name: np.zeros((2, 3), bool) for name in names})
    loaded = onnx.load(tmp_path / "zero.onnx")
    onnx.checker.check_model(loaded)
    assert all(not any(onnx.numpy_helper.to_array(t).tobytes()) for t in loaded.graph.initializer)


def test_package_external_data(tmp_path):
    onnx = package_onnx()
    for one_file in (True, False):
        source, target = tmp_path / f"in{one_file}", tmp_path / f"out{one_file}"
        source.mkdir()
        target.mkdir()
        onnx.save(small_network(onnx), source / "m.onnx", save_as_external_data=True, all_tensors_to_one_file=one_file,
                  location="all.data" if one_file else None, size_threshold=0, convert_attribute=True)
        with Checkpoint(source / "m.onnx") as checkpoint:
            assert len(os.listdir(source)) > 1 and "conv" in checkpoint.names
            arrays = checkpoint.arrays
            masks = random_masks(arrays)
            checkpoint.rewrite(target / "m.onnx", masks)
        assert sorted(os.listdir(source)) == sorted(os.listdir(target))
        onnx.checker.check_model(str(target / "m.onnx"))
        conv = onnx.numpy_helper.to_array(onnx.load(target / "m.onnx").graph.initializer[0])
        assert same(conv, masked(arrays["conv"], masks["conv"]))
