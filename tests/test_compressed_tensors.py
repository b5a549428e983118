"""Files of the compressed-tensors library: read, whatever their version; broken ones refused."""
import json

import numpy
import pytest
from checkpoint_file import Checkpoint, refusal
from conversion import assert_refused, assert_same, convert, pruned
from safetensors_file import header_of, taken_apart, write


def bitmask(array):
    """The parts of a tensor in sparse-bitmask, made as the library makes them."""
    mask = array != 0
    counts = mask.sum(-1)
    return {
        "compressed": array[mask],
        "bitmask": numpy.packbits(mask, axis=-1, bitorder="little"),
        "shape": numpy.array(array.shape, "<i8"),
        "row_offsets": numpy.asarray(numpy.cumsum(counts, 0) - counts, "<i8"),
    }


def bitmask_24(array):
    """In sparse-24-bitmask: the two largest of every four, zeros among them where there are no others."""
    order = numpy.argsort(-numpy.abs(array.reshape(-1, 4).astype("f8")), axis=1, kind="stable")
    mask = numpy.zeros((array.size // 4, 4), bool)
    numpy.put_along_axis(mask, order[:, :2], True, 1)
    mask = mask.reshape(array.shape)
    return {
        "compressed": array[mask].reshape(array.shape[0], array.shape[1] // 2),
        "bitmask": numpy.packbits(mask, axis=-1, bitorder="little"),
        "shape": numpy.array(array.shape, "<i8").reshape(-1, 1),
    }, mask


TYPES = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I8": "i1", "BF16": "<u2", "F8_E4M3": "u1"}
KINDS = {"compressed": None, "bitmask": "U8", "shape": "I64", "row_offsets": "I64"}


def parts(stem, dtype, found):
    return {f"{stem}.{name}": (KINDS[name] or dtype, array) for name, array in found.items()}


SHAPES = [(1,), (13,), (64, 3, 3, 3), (5, 8), (7, 64), (33, 129), (300, 1), (1, 300), (2, 3, 4, 5, 6), (0, 4), (4, 0)]


@pytest.mark.parametrize("dtype", TYPES)
def test_bitmask(sapwood, tmp_path, dtype):
    tensors, expected = {}, {}
    for i, shape in enumerate(SHAPES):
        for density in (0, 0.1, 0.6, 1):
            array = pruned(shape, density, i).astype(TYPES[dtype])
            expected[f"layers.{i}.{density}.weight"] = array
            tensors.update(parts(f"layers.{i}.{density}", dtype, bitmask(array)))
    expected["norm.weight"] = numpy.ones(5, "<f4")
    tensors["norm.weight"] = ("F32", expected["norm.weight"])
    path = write(tmp_path / "model.safetensors", tensors, {"format": "pt"})
    with Checkpoint(path) as found:
        assert sorted(found.names) == sorted(expected)
        for name, array in expected.items():
            assert found.shapes[name] == array.shape
            assert found.load(name).tobytes() == array.tobytes(), name
    convert(sapwood, path, tmp_path / "dense.safetensors", "--dense")
    convert(sapwood, path, tmp_path / "sparse.safetensors")
    for name in ("dense", "sparse"):
        assert_same(path, tmp_path / f"{name}.safetensors")


def test_names_of_the_first_versions(tmp_path):
    """They put the whole name before, and pack biases, too."""
    arrays = {"fc.weight": pruned((10, 20), 0.3), "fc.bias": pruned((10,), 0.5), "conv.weight": pruned((4, 3, 3, 3), 0.2)}
    tensors = {}
    for name, array in arrays.items():
        tensors.update(parts(name, "F32", bitmask(array)))
    with Checkpoint(write(tmp_path / "model.safetensors", tensors)) as found:
        assert sorted(found.names) == sorted(arrays)
        for name, array in arrays.items():
            assert found.load(name).tobytes() == array.tobytes()


def test_two_of_four(sapwood, tmp_path):
    """Zeros that the format keeps stay kept."""
    array = pruned((64, 128), 0.3)
    found, mask = bitmask_24(array)
    array = numpy.where(mask, array, numpy.float32(0))
    path = write(tmp_path / "model.safetensors", parts("fc", "F32", found))
    with Checkpoint(path) as checkpoint:
        assert checkpoint.load("fc.weight").tobytes() == array.tobytes()
    for name in (path, tmp_path / "sparse.safetensors"):
        if name != path:
            convert(sapwood, path, name, "--sparse")
        done = sapwood("measure", name, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["tensors"][0]["kept"] == mask.sum() == array.size / 2


def test_a_repository_of_one_file(sapwood, tmp_path):
    """The folder with config.json and model.safetensors, as the library saves it."""
    folder = tmp_path / "model"
    folder.mkdir()
    array = pruned((30, 40), 0.3)
    write(folder / "model.safetensors", parts("fc", "F32", bitmask(array)))
    (folder / "config.json").write_text(json.dumps({"quantization_config": {"sparsity_config": {"format": "sparse-bitmask"}}}))
    done = sapwood("measure", folder, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tensors"][0]["name"] == "fc.weight"
    convert(sapwood, folder, tmp_path / "dense.safetensors", "--dense")
    with Checkpoint(tmp_path / "dense.safetensors") as found:
        assert found.load("fc.weight").tobytes() == array.tobytes()


def test_a_repository_of_shards(sapwood, tmp_path):
    """The index names the parts, which all lie in one file."""
    folder = tmp_path / "model"
    folder.mkdir()
    arrays = {f"l{i}": pruned((30, 40), 0.3, i) for i in range(4)}
    files = {"a.safetensors": ["l0", "l1"], "b.safetensors": ["l2", "l3"]}
    weights, total = {}, 0
    for file, stems in files.items():
        tensors = {}
        for stem in stems:
            tensors.update(parts(stem, "F32", bitmask(arrays[stem])))
        write(folder / file, tensors)
        weights.update({name: file for name in tensors})
        total += sum(array.nbytes for _, array in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weights}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with Checkpoint(folder) as found:
        assert sorted(found.names) == [f"{stem}.weight" for stem in arrays]
        for stem, array in arrays.items():
            assert found.load(f"{stem}.weight").tobytes() == array.tobytes()
    convert(sapwood, folder, tmp_path / "one.safetensors")
    assert_same(folder, tmp_path / "one.safetensors")
    index["weight_map"]["l2.bitmask"] = "a.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "l2.bitmask: in file b.safetensors, expected in a.safetensors" in refusal(folder)[1]


@pytest.mark.parametrize("two_of_four", [False, True])
def test_prune_writes_dense(sapwood, tmp_path, two_of_four):
    array = pruned((32, 40), 0.6)
    norm = {"norm.weight": ("F32", numpy.ones(5, "<f4"))}
    packed = parts("fc", "F32", bitmask_24(array)[0] if two_of_four else bitmask(array))
    path = write(tmp_path / "model.safetensors", {**packed, **norm}, {"format": "pt"})
    done = sapwood("prune", path, "-o", tmp_path / "out.safetensors", "--density", "0.2")
    assert done.returncode == 0 and "out.safetensors, whose tensors are all dense; mask: " in done.stdout, done.stderr
    convert(sapwood, path, tmp_path / "dense.safetensors", "--dense")
    done = sapwood("prune", tmp_path / "dense.safetensors", "-o", tmp_path / "same.safetensors", "--density", "0.2")
    assert done.returncode == 0 and "dense;" not in done.stdout
    assert (tmp_path / "out.safetensors").read_bytes() == (tmp_path / "same.safetensors").read_bytes()
    masks = [(tmp_path / f"{name}.safetensors.mask.safetensors").read_bytes() for name in ("out", "same")]
    assert masks[0] == masks[1]


INDEX = "model.safetensors.index.json"


def write_index(folder, files, **metadata):
    """As Hugging Face's libraries write it, for files that are there."""
    weights = {name: file for file in files for name in header_of(folder / file) if name != "__metadata__"}
    total = sum(len(taken_apart(folder / file)[1]) for file in files)
    index = {"metadata": {**metadata, "total_size": total}, "weight_map": weights}
    (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")


def write_shards(folder, files, **metadata):
    folder.mkdir()
    for file, tensors in files.items():
        write(folder / file, tensors, {"format": "pt", "file": file})
    write_index(folder, files, **metadata)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("words", [["--density", "0.2"], ["--mask-in", "zeros", "--density", "0.1"],
                                   ["--mask-in", "zeros", "--nm", "2:8"]], ids=" ".join)
def test_prune_writes_dense_shards(sapwood, tmp_path, words):
    """As if each file had been dense before: weights, order, masks, metadata and index, byte by byte."""
    two_of_four = bitmask_24(pruned((24, 16), 1, 3))[0]
    files = {
        "a.safetensors": {**parts("é", "F32", bitmask(pruned((32, 40), 0.6, 1))), "n.weight": ("F32", numpy.ones(7, "<f4")),
                          **parts("m", "F32", two_of_four)},
        "b.safetensors": {"z.weight": ("F32", pruned((20, 10), 1, 4)), "z.bias": ("F32", numpy.ones(5, "<f4"))},
        "c.safetensors": parts("c", "F32", bitmask(pruned((16, 24), 0.5, 2))),
    }
    packed = write_shards(tmp_path / "packed", files, by="Zoë", scale=0.1)
    dense = write_shards(tmp_path / "dense", files, by="Zoë", scale=0.1)
    for file in ("a.safetensors", "c.safetensors"):
        convert(sapwood, packed / file, dense / file, "--dense", "--force")
    write_index(dense, files, by="Zoë", scale=0.1)
    for name, source in (("out", packed), ("same", dense)):
        done = sapwood("prune", source, "-o", tmp_path / name, *words)
        assert done.returncode == 0, done.stderr
        assert ("whose tensors are all dense; mask: " in done.stdout) == (name == "out")
    out, same = contents(tmp_path / "out"), contents(tmp_path / "same")
    indexes = [json.loads(files.pop(INDEX)) for files in (out, same)]
    assert out == same and indexes[0] == indexes[1] == json.loads((dense / INDEX).read_text())
    assert [*indexes[0]["weight_map"]] == [*indexes[1]["weight_map"]]
    masks = [(tmp_path / f"{name}.mask.safetensors").read_bytes() for name in ("out", "same")]
    assert masks[0] == masks[1]


def test_prune_of_shards_that_their_index_misstates(sapwood, tmp_path):
    files = {"a.safetensors": parts("a", "F32", bitmask(pruned((32, 40), 0.6)))}
    packed = write_shards(tmp_path / "packed", files)
    index = json.loads((packed / INDEX).read_text())
    del index["weight_map"]["a.bitmask"]
    index["metadata"]["total_size"] = 7
    (packed / INDEX).write_text(json.dumps(index))
    assert_refused(sapwood("prune", packed, "-o", tmp_path / "out"), "a.bitmask: in file a.safetensors, but not in the index")
    assert sapwood("prune", packed, "-o", tmp_path / "out", "--lenient").returncode == 0
    assert sapwood("measure", tmp_path / "out").returncode == 0  # now it is right
    del index["metadata"]
    (packed / INDEX).write_text(json.dumps(index))
    assert sapwood("prune", packed, "-o", tmp_path / "other", "--lenient").returncode == 0
    assert json.loads((tmp_path / "other" / INDEX).read_text()) == {"weight_map": {"a.weight": "a.safetensors"}}


def test_a_shard_that_is_damaged(sapwood, tmp_path):
    """Found while it is read: nothing is written."""
    good = bitmask(pruned((32, 40), 0.6))
    files = {"a.safetensors": {"z.weight": ("F32", pruned((20, 10), 1))},
             "b.safetensors": parts("b", "F32", {**good, "compressed": good["compressed"][:-1]})}
    packed = write_shards(tmp_path / "packed", files)
    for words in ([], ["--include", "z.*"]):  # while it is chosen, and while it is written
        done = sapwood("prune", packed, "-o", tmp_path / "out", *words)
        assert_refused(done, "b.weight: the bitmask keeps another number than there are values")
        assert [path.name for path in tmp_path.iterdir()] == ["packed"]


def test_shards_in_the_own_sparse_form_keep_it(sapwood, tmp_path):
    files = {f"{i}.safetensors": {f"l{i}.weight": ("F32", pruned((64, 80), 0.2, i))} for i in range(2)}
    dense = write_shards(tmp_path / "dense", files)
    sparse = write_shards(tmp_path / "sparse", files)
    for file in files:
        convert(sapwood, dense / file, sparse / file, "--sparse", "--force")
    write_index(sparse, files)
    for name in ("dense", "sparse"):
        done = sapwood("prune", tmp_path / name, "-o", tmp_path / f"{name}-out", "--density", "0.1")
        assert done.returncode == 0 and "all dense" not in done.stdout, done.stderr
    assert_same(tmp_path / "dense-out", tmp_path / "sparse-out")
    out = json.loads((tmp_path / "sparse-out" / INDEX).read_text())["weight_map"]
    assert sorted(out) == [f"l{i}.weight{suffix}" for i in range(2) for suffix in (".sapwood.index", ".sapwood.values")]


def test_names_alike(tmp_path):
    """A tensor that is named like a part, without the others, is one like any other."""
    tensors = {"a.shape": ("I64", numpy.arange(3)), "b.bitmask": ("U8", numpy.zeros(3, "u1")), ".compressed": ("F32", numpy.ones(2, "<f4")),
               "c.compressed": ("F32", numpy.ones(2, "<f4")), "c.bitmask": ("U8", numpy.ones(1, "u1"))}
    with Checkpoint(write(tmp_path / "model.safetensors", tensors)) as found:
        assert sorted(found.names) == sorted(tensors)


def test_broken_files(sapwood, tmp_path):
    good = bitmask(pruned((6, 13), 0.4))
    path = tmp_path / "bad.safetensors"

    def refused(expected, dtype="F32", **changes):
        kinds = {"bitmask": "U8", "shape": "I64", **changes.pop("kinds", {})}
        tensors = {}
        for name, array in {**good, **changes}.items():
            tensors[f"fc.{name}"] = (kinds.get(name, KINDS[name] or dtype), array)
        code, text = refusal(write(path, tensors))
        assert code == "SAP_ERROR_FORMAT" and expected in text and "bad.safetensors: fc.weight: " in text, text
        assert_refused(sapwood("measure", path), expected)

    shape = good["shape"]
    refused("not a list of I64", shape=shape.astype("<i4"), kinds={"shape": "I32"})
    refused("not a list of I64", shape=shape.reshape(1, 2))
    refused("1 to 8 axes", shape=numpy.zeros(0, "<i8"))
    refused("1 to 8 axes", shape=numpy.ones(9, "<i8"))
    refused("below 0", shape=numpy.array([-6, 13], "<i8"))
    refused("overflows", shape=numpy.array([2**62, 2**62], "<i8"))
    refused("a bit an element", shape=numpy.array([6, 2**40], "<i8"))
    refused("a bit an element", shape=numpy.array([2**40, 13], "<i8"))
    refused("a bit an element", shape=numpy.array([6, 17], "<i8"))
    refused("a bit an element", shape=numpy.array([78], "<i8"))
    refused("a bit an element", bitmask=good["bitmask"].astype("<i2"), kinds={"bitmask": "I16"})
    refused("past the last column", bitmask=good["bitmask"] | numpy.array([0, 0x20], "u1"))
    refused("another number", compressed=good["compressed"][:-1])
    refused("another number", compressed=numpy.concatenate([good["compressed"], numpy.ones(1, "<f4")]))
    refused("half as wide", compressed=good["compressed"][: good["compressed"].size // 2 * 2].reshape(2, -1))
    write(path, parts("fc", "F32", {name: array for name, array in good.items() if name != "row_offsets"}))
    assert refusal(path)[0] == "SAP_OK"


def test_cut_at_every_byte(tmp_path):
    tensors = parts("fc", "F32", bitmask(pruned((6, 13), 0.4)))
    content = write(tmp_path / "a.safetensors", tensors).read_bytes()
    for cut in range(len(content)):
        (tmp_path / "cut.safetensors").write_bytes(content[:cut])
        assert refusal(tmp_path / "cut.safetensors")[0] in ("SAP_ERROR_FORMAT", "SAP_ERROR_UNSUPPORTED")
