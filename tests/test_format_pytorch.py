"""PyTorch files: those of torch.save read and written again, and pickles that are no state dicts refused."""
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy
import pytest
from checkpoint_file import Checkpoint, masked, random_masks, refusal

try:
    import torch
except ImportError:
    torch = None
needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch is not installed")
DTYPES = "float32 float16 bfloat16 float64 int64 int32 int16 int8 uint8 bool complex64".split()
NEWER = "uint16 uint32 uint64 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu".split()
SIZES = {"bfloat16": "int16", "uint16": "int16", "uint32": "int32", "uint64": "int64"}


def load(path, **more):
    try:
        return torch.load(path, weights_only=True, **more)
    except TypeError:  # older than 1.13
        return torch.load(path, **more)


def array(tensor):
    """The tensor's bits as NumPy has them: types that it lacks as integers."""
    name = str(tensor.dtype).removeprefix("torch.")
    tensor = tensor.detach()
    if name.startswith("float8"):
        return tensor.contiguous().view(torch.uint8).numpy()
    return (tensor.contiguous().view(getattr(torch, SIZES[name])) if name in SIZES else tensor).numpy()


def same(found, tensor):
    expected = array(tensor)
    return found.shape == expected.shape and found.tobytes() == expected.tobytes()


def state():
    torch.manual_seed(1)
    tensors = OrderedDict()
    for name in DTYPES + [name for name in NEWER if hasattr(torch, name)]:
        tensors[name] = (torch.randn(3, 5) * 9).to(getattr(torch, name))
    base = torch.randn(6, 8)
    tensors.update({
        "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 3), "ones": torch.randn(1, 4, 1),
        "parameter": torch.nn.Parameter(torch.randn(4, 4)), "transposed": torch.randn(5, 7).t(),
        "channels_last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "rows": base[2:4], "columns": base[:, 1::3], "whole": base, "expanded": torch.randn(3, 1).expand(3, 4),
        "flipped": torch.randn(300, 65).t()[10:40],
    })
    return tensors


@needs_torch
def test_state_dict(tmp_path):
    tensors = state()
    torch.save(tensors, tmp_path / "x.pt")
    with Checkpoint(tmp_path / "x.pt") as checkpoint:
        assert checkpoint.names == list(tensors) and checkpoint.format == "pytorch"
        for name, tensor in tensors.items():
            assert checkpoint.shapes[name] == tuple(tensor.shape)
            assert same(checkpoint.load(name), tensor), name
            assert checkpoint.mapped(name) == tensor.is_contiguous(), name
        checkpoint.rewrite(tmp_path / "same.pt")
    assert (tmp_path / "same.pt").read_bytes() == (tmp_path / "x.pt").read_bytes()


@needs_torch
def test_masks(tmp_path):
    tensors = state()
    torch.save(tensors, tmp_path / "x.pt")
    with Checkpoint(tmp_path / "x.pt") as checkpoint:
        arrays = checkpoint.arrays
        masks = random_masks(arrays)
        masks["rows"] = masks["columns"] = None  # these lie in `whole`
        masks["expanded"][:] = masks["expanded"][:, :1]  # one weight seen four times
        checkpoint.rewrite(tmp_path / "out.pt", masks)
    before, after = zipfile.ZipFile(tmp_path / "x.pt"), zipfile.ZipFile(tmp_path / "out.pt")
    assert after.testzip() is None and after.namelist() == before.namelist()
    assert [m.header_offset for m in after.infolist()] == [m.header_offset for m in before.infolist()]
    found = load(tmp_path / "out.pt")
    assert list(found) == list(tensors)
    masks["rows"], masks["columns"] = masks["whole"][2:4], masks["whole"][:, 1::3]
    for name, tensor in found.items():
        assert tensor.stride() == tensors[name].stride() and tensor.dtype == tensors[name].dtype
        assert same(masked(arrays[name], masks[name]), tensor), name
    try:
        mapped = torch.load(tmp_path / "out.pt", mmap=True, weights_only=True)
    except TypeError:
        return  # older than 2.1
    for name, tensor in mapped.items():
        assert same(masked(arrays[name], masks[name]), tensor), name


@needs_torch
def test_shared_storage(tmp_path):
    """A weight seen by two tensors is zero if either mask prunes it."""
    weight = torch.randn(8, 8)
    torch.save({"a": weight, "b": weight, "t": weight.t()}, tmp_path / "x.pt")
    a, b, t = (numpy.random.RandomState(seed).uniform(size=(8, 8)) < 0.7 for seed in range(3))
    with Checkpoint(tmp_path / "x.pt") as checkpoint:
        checkpoint.rewrite(tmp_path / "ab.pt", {"a": a, "b": b})
        checkpoint.rewrite(tmp_path / "abt.pt", {"a": a, "b": b, "t": t})
    assert same(masked(weight.numpy(), a & b), load(tmp_path / "ab.pt")["a"])
    assert same(masked(weight.numpy(), a & b & t.T), load(tmp_path / "abt.pt")["b"])


@needs_torch
def test_large_storage(tmp_path):
    """More than one piece of a stream."""
    tensors = {"w": torch.randn(1001, 700), "h": torch.randn(1001, 700).half(), "t": torch.randn(700, 1001).t()}
    torch.save(tensors, tmp_path / "x.pt")
    with Checkpoint(tmp_path / "x.pt") as checkpoint:
        masks = random_masks(checkpoint.arrays)
        checkpoint.rewrite(tmp_path / "out.pt", masks)
    for name, tensor in load(tmp_path / "out.pt").items():
        assert same(masked(tensors[name].numpy(), masks[name]), tensor), name


@needs_torch
def test_nested(tmp_path):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    everything = {"epoch": 3, "lr": 0.1, "name": "x", "none": None, "flags": [True, False], "big": 2**80, "neg": -7,
                  "size": torch.Size([1, 2]), "type": torch.float16, "device": torch.device("cpu"),
                  "state_dict": model.state_dict(), "optimizer": optimizer.state_dict(),
                  "list": [torch.ones(2), (torch.zeros(3), 1)], 5: torch.ones(1)}
    torch.save(everything, tmp_path / "x.pth")
    with Checkpoint(tmp_path / "x.pth") as checkpoint:
        names = checkpoint.names
        assert names[:5] == [f"state_dict.{name}" for name in model.state_dict()][:5]
        assert names[-3:] == ["list.0", "list.1.0", "5"] and "optimizer.state.0.exp_avg" in names
        assert same(checkpoint.load("state_dict.0.weight"), model[0].weight)
        assert same(checkpoint.load("state_dict.1.num_batches_tracked"), model[1].num_batches_tracked)


@needs_torch
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_protocols(tmp_path, protocol):
    tensors = {f"layer.{i}.weight": torch.full((2, 2), float(i)) for i in range(300)}
    torch.save(tensors, tmp_path / "x.pt", pickle_protocol=protocol)
    with Checkpoint(tmp_path / "x.pt") as checkpoint:
        assert checkpoint.names == list(tensors) and checkpoint.load("layer.299.weight")[1, 1] == 299


@needs_torch
def test_one_tensor(tmp_path):
    torch.save(torch.arange(6.0), tmp_path / "bias.v1.pt")
    with Checkpoint(tmp_path / "bias.v1.pt") as checkpoint:
        assert checkpoint.names == ["bias.v1"] and checkpoint.load("bias.v1").tolist() == [0, 1, 2, 3, 4, 5]


@needs_torch
def test_converted(tmp_path):
    tensors = {"w": torch.randn(4, 5).t(), "b": torch.randn(5).half()}
    torch.save(tensors, tmp_path / "x.pt")
    with Checkpoint(tmp_path / "x.pt") as checkpoint:
        checkpoint.convert(tmp_path / "x.npz", {"b": numpy.arange(5) > 2})
    with numpy.load(tmp_path / "x.npz") as found:
        expected = torch.where(torch.arange(5) > 2, tensors["b"], torch.zeros(5).half())
        assert same(found["w"], tensors["w"]) and same(found["b"], expected)


@needs_torch
def test_refused_files(tmp_path):
    module = torch.nn.Linear(2, 2)
    torch.save(module, tmp_path / "module.pt")
    code, text = refusal(tmp_path / "module.pt")
    assert code == "SAP_ERROR_UNSUPPORTED" and "holds torch.nn.modules.linear.Linear: only a state dict" in text
    torch.save(module.state_dict(), tmp_path / "legacy.pt", _use_new_zipfile_serialization=False)
    assert "torch.save wrote before version 1.6" in refusal(tmp_path / "legacy.pt")[1]
    torch.jit.script(module).save(str(tmp_path / "script.pt"))
    assert "a TorchScript program" in refusal(tmp_path / "script.pt")[1]
    torch.save({"x": torch.eye(2).to_sparse()}, tmp_path / "sparse.pt")
    assert "holds torch._utils._rebuild_sparse_tensor" in refusal(tmp_path / "sparse.pt")[1]
    torch.save({"x": numpy.float64(3)}, tmp_path / "numpy.pt")
    assert "holds numpy" in refusal(tmp_path / "numpy.pt")[1]


# ---- files made by hand: no PyTorch is needed for these ----


def write(path, code, storages=(), **members):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", code)
        for name, content in members.items():
            archive.writestr("archive/" + name, content)
        for key, content in dict(storages).items():
            archive.writestr(f"archive/data/{key}", content)


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integer(value):
    size = max(1, (value.bit_length() + 8) // 8)
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def storage(kind="FloatStorage", key="0", count=6):
    return tuple_of(text("storage"), f"ctorch\n{kind}\n".encode(), text(key), text("cpu"), integer(count)) + b"Q"


def tensor(shape=(2, 3), strides=(3, 1), offset=0, store=None):
    return (b"ctorch._utils\n_rebuild_tensor_v2\n" + tuple_of(
        store or storage(), integer(offset), tuple_of(*map(integer, shape)), tuple_of(*map(integer, strides)), b"\x89",
        b"ccollections\nOrderedDict\n)R") + b"R")


def state_dict(value, name="w"):
    return b"\x80\x02}" + text(name) + value + b"s."


FLOATS = numpy.arange(6, dtype="<f4")


def check(tmp_path, code, expected, storages=(("0", FLOATS.tobytes()),), **members):
    write(tmp_path / "x.pt", code, storages, **members)
    status, found = refusal(tmp_path / "x.pt")
    assert status in ("SAP_ERROR_FORMAT", "SAP_ERROR_UNSUPPORTED") and expected in found, (status, found)
    assert "x.pt: " in found


def test_by_hand(tmp_path):
    write(tmp_path / "x.pt", state_dict(tensor()), {"0": FLOATS.tobytes()})
    with Checkpoint(tmp_path / "x.pt") as checkpoint:
        assert checkpoint.names == ["w"] and checkpoint.load("w").tolist() == [[0, 1, 2], [3, 4, 5]]
    write(tmp_path / "x.pt", state_dict(tensor((2, 2), (1, 2), 2)), {"0": FLOATS.tobytes()})
    with Checkpoint(tmp_path / "x.pt") as checkpoint:
        assert checkpoint.load("w").tolist() == [[2, 4], [3, 5]] and not checkpoint.mapped("w")
        checkpoint.rewrite(tmp_path / "out.pt", {"w": numpy.array([[True, False], [True, True]])})
    with Checkpoint(tmp_path / "out.pt") as checkpoint:
        assert checkpoint.load("w").tolist() == [[2, 0], [3, 5]]


def test_big_endian(tmp_path):
    write(tmp_path / "x.pt", state_dict(tensor()), {"0": FLOATS.astype(">f4").tobytes()}, byteorder="big")
    with Checkpoint(tmp_path / "x.pt") as checkpoint:
        assert checkpoint.load("w").ravel().tolist() == list(range(6)) and not checkpoint.mapped("w")
        checkpoint.rewrite(tmp_path / "out.pt", {"w": FLOATS.reshape(2, 3) > 3})
    content = zipfile.ZipFile(tmp_path / "out.pt").read("archive/data/0")
    assert numpy.frombuffer(content, ">f4").tolist() == [0, 0, 0, 0, 4, 5]
    check(tmp_path, state_dict(tensor()), "expected little or big", byteorder="middle")


@pytest.mark.parametrize("module, name", [
    ("os", "system"), ("posix", "system"), ("builtins", "eval"), ("builtins", "exec"), ("builtins", "getattr"),
    ("__builtin__", "eval"), ("subprocess", "Popen"), ("torch", "load"), ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2.__globals__"), ("collections", "OrderedDict.fromkeys"), ("torch", "os.system"),
    ("torch.FloatStorage", "x"), ("", ""), ("collections", ""), ("torch.hub", "load_state_dict_from_url"),
    ("numpy.core.multiarray", "_reconstruct"), ("torch", "FloatStorage\0"), ("torch ", "FloatStorage"),
])
def test_names_are_refused(tmp_path, module, name):
    expected = f"holds {module}.{name}: only a state dict of tensors is read".replace("\0", "")
    call = f"c{module}\n{name}\n".encode()
    if "\0" in name:
        expected = "holds torch.FloatStorage"
    check(tmp_path, b"\x80\x02" + call + tuple_of(text("echo pwned")) + b"R.", expected)
    check(tmp_path, b"\x80\x04" + text(module) + text(name) + b"\x93)R.", expected)
    check(tmp_path, state_dict(call), expected)  # the name alone, never called


@pytest.mark.parametrize("value", [lambda: __import__("os").getcwd, lambda: print, lambda: ValueError("x"), lambda: {1, 2},
                                   lambda: OrderedDict(a=pickle.Pickler), lambda: bytearray(b"x"), lambda: range(3)])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_python_objects_are_refused(tmp_path, value, protocol):
    check(tmp_path, pickle.dumps({"w": value()}, protocol), "only a state dict of tensors is read")


@pytest.mark.parametrize("code, expected", [
    (b"", "ends early"), (b"\x80", "ends early"), (b"\x80\x02", "ends early"), (b".", "the stack is empty"),
    (b"\x80\x00N.", "a protocol"), (b"\x80\x06N.", "a protocol"), (b"N.", "neither a tensor nor a state dict"),
    (b"\x80\x02K\x01.", "neither a tensor nor"), (b"(.", "the stack is empty"), (b"t.", "no mark"), (b"e.", "no mark"),
    (b"u.", "no mark"), (b"(u.", "items for what is no dict"), (b"](u.", "items for what is no dict"),
    (b"}(e.", "items for what is no list"), (b"}(Nu.", "a key without a value"), (b"NNs.", "the stack is empty"),
    (b"NNNs.", "items for what is no dict"), (b"Na.", "the stack is empty"), (b"}(s.", "the stack is empty"),
    (b"}(NNs.", "items for what is no dict"), (b"(N\x86.", "a mark, expected a value"), (b"\x87.", "the stack is empty"),
    (b"h\0.", "a memo index that was never set"), (b"j\0\0\0\0.", "never set"), (b"q\0.", "the stack is empty"),
    (b"Nq\xff.", "a memo index beyond the pickle"), (b"Nr\xff\xff\xff\xff.", "a memo index beyond"), (b"(q\0.", "the stack is empty"),
    (b"X\xff\xff\xff\xffabc.", "ends early"), (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffabc.", "ends early"), (b"\x8c\x05abc.", "ends early"),
    (b"B\xff\xff\xff\x7f.", "ends early"), (b"\x8a\xff.", "ends early"), (b"G\0.", "ends early"), (b"\x95\0\0.", "ends early"),
    (b"ctorch", "ends early"), (b"ctorch\nFloatStorage", "ends early"), (b"NN\x93.", "a name that is no text"), (b"NR.", "the stack is empty"),
    (b"NNR.", "a call of what is no function"), (b"N)R.", "a call of what is no function"), (b"ctorch\nFloatStorage\n)R.", "a call of"),
    (b"ccollections\nOrderedDict\nNR.", "or without arguments"), (b"ccollections\nOrderedDict\n}\x85R.", "OrderedDict with arguments"),
    (b"ctorch._utils\n_rebuild_parameter\n)R.", "a call without arguments"), (b"NQ.", "a persistent id that is no tuple"),
    (b"NNb.", "attributes of what is no OrderedDict"), (b"Nb.", "attributes of"), (b"]Nb.", "attributes of what"),
    (b"(S'x'\ni.", "instruction 0x53"), (b"I1\n.", "instruction 0x49"), (b"(ios\nsystem\n.", "instruction 0x69"), (b"\x82\x01.", "instruction 0x82"),
    (b"N)\x81.", "instruction 0x81"), (b"P0\n.", "instruction 0x50"), (b"\x8f.", "instruction 0x8f"), (b"\xff.", "instruction 0xff"),
])
def test_bad_pickles(tmp_path, code, expected):
    check(tmp_path, code, expected)


@pytest.mark.parametrize("value, expected", [
    (tensor((2, 3), (3, 1), 1), "runs past the 24 bytes"), (tensor((3, 3), (3, 1)), "runs past"), (tensor((2, 3), (4, 1)), "runs past"),
    (tensor((2, 3), (3, 1), 2**62), "runs past"), (tensor((2, 3), (2**62, 1)), "runs past"), (tensor((2**62, 2), (0, 0)), "overflows"),
    (tensor((2**32, 2**32), (0, 0)), "overflows"), (tensor((2**63 - 1, 2), (1, 1)), "overflows"), (tensor((2, 3), (3, 1), -1), "no valid place"),
    (tensor((-2, 3), (3, 1)), "axis 0 has no valid length"), (tensor((2, 3), (3, -1)), "axis 1 has no valid stride"),
    (tensor((2**64, 3), (3, 1)), "axis 0 has no valid length"), (tensor((2, 3), (3,)), "2 lengths and 1 strides"),
    (tensor((1,) * 9, (1,) * 9), "rank 9, expected at most 8"), (tensor(store=storage(count=7)), "24 bytes, expected 7 elements of 4"),
    (tensor(store=storage(count=5)), "24 bytes, expected 5"), (tensor(store=storage(count=-1)), "id is not"), (tensor(store=storage(count=2**62)), "expected"),
    (tensor(store=storage("DoubleStorage")), "expected 6 elements of 8"), (tensor(store=storage(key="1")), "storage 1 is not in the file"),
    (tensor(store=storage(key="../data.pkl")), "is not in the file"), (tensor(store=storage(key="k" * 200)), "id is not"), (tensor(store=b"N"), "it has no storage"),
    (tensor(store=storage("UntypedStorage", count=24)), "no type of elements"), (tensor(store=b")Q"), "id is not"), (tensor(store=tuple_of(text("other")) + b"Q"), "id is not"),
    (b"ctorch._utils\n_rebuild_tensor_v2\n)R", "it has no storage"), (b"ctorch._utils\n_rebuild_tensor_v3\n" + tuple_of(storage()) + b"R", "no type of elements"),
    (b"ctorch._utils\n_rebuild_tensor_v2\n" + tuple_of(storage(), integer(0), b"]", b")") + b"R", "its length is no tuple"),
    (tensor((10**9,), (0,)), "expected at most 1000 times the file's"),
])
def test_bad_tensors(tmp_path, value, expected):
    check(tmp_path, state_dict(value), expected)
    check(tmp_path, state_dict(value), ": w: ")


def test_bad_names(tmp_path):
    check(tmp_path, b"\x80\x02}X\2\0\0\0a\xff" + tensor() + b"s.", "the name is not UTF-8")
    check(tmp_path, b"\x80\x02}X\2\0\0\0a\0" + tensor() + b"s.", "the name is not UTF-8")
    check(tmp_path, b"\x80\x02}N" + tensor() + b"s.", "neither text nor a whole number")
    check(tmp_path, state_dict(tensor(), "n" * 2000), "longer than 1024 bytes")
    twice = b"\x80\x02}(" + text("w") + tensor() + text("w") + tensor() + b"u."
    check(tmp_path, twice, "w: two tensors of this name")


def test_depth(tmp_path):
    def nested(depth):
        return b"\x80\x02" + (b"}" + text("a")) * depth + tensor() + b"s" * depth + b"."

    write(tmp_path / "x.pt", nested(32), {"0": FLOATS.tobytes()})
    with Checkpoint(tmp_path / "x.pt") as checkpoint:
        assert checkpoint.names == [".".join("a" * 32)]
    check(tmp_path, nested(33), "nested deeper than 32")
    check(tmp_path, nested(100000), "nested deeper than 32")
    check(tmp_path, b"\x80\x02}q\0" + text("a") + b"h\0s.", "nested deeper than 32")  # a dict that holds itself
    check(tmp_path, b"\x80\x02" + b"(" * 500000 + b".", "the stack is empty")
    check(tmp_path, b"\x80\x02" + b"(" * 500000 + b"t" * 499999 + b".", "nested deeper than 32")


def test_shared_dicts_do_not_unfold(tmp_path):
    """Thirty dicts, each holding the one below twice: a tree of 2^30 tensors."""
    code = b"\x80\x02" + tensor() + b"q\0"
    for level in range(1, 31):
        code += b"}(" + text("a") + b"h" + bytes([level - 1]) + text("b") + b"h" + bytes([level - 1]) + b"uq" + bytes([level])
    check(tmp_path, code + b".", "shared dicts unfold beyond the pickle's size")


def test_shared_once(tmp_path):
    """What is shared sparingly is read under each of its names."""
    code = b"\x80\x02}(" + text("a") + b"}" + text("w") + tensor() + b"sq\0" + text("b") + b"h\0u."
    write(tmp_path / "x.pt", code, {"0": FLOATS.tobytes()})
    with Checkpoint(tmp_path / "x.pt") as checkpoint:
        assert checkpoint.names == ["a.w", "b.w"]


def test_long_lists(tmp_path):
    """Plain values cost no more than they take in the pickle."""
    code = b"\x80\x02}(" + text("flags") + b"](" + b"N\x88\x89" * 300000 + b"e" + text("w") + tensor() + b"u."
    write(tmp_path / "x.pt", code, {"0": FLOATS.tobytes()})
    with Checkpoint(tmp_path / "x.pt") as checkpoint:
        assert checkpoint.names == ["w"]


def test_many_tensors(tmp_path):
    names = [f"layers.{i}.attention.projection.weight" for i in range(10000)]
    code = b"\x80\x02}(" + b"".join(text(name) + tensor(store=storage(key=str(i))) for i, name in enumerate(names)) + b"u."
    write(tmp_path / "x.pt", code, {str(i): FLOATS.tobytes() for i in range(10000)})
    with Checkpoint(tmp_path / "x.pt") as checkpoint:
        assert checkpoint.names == names
        checkpoint.rewrite(tmp_path / "out.pt", {names[9999]: numpy.zeros((2, 3), bool)})
    with Checkpoint(tmp_path / "out.pt") as checkpoint:
        assert checkpoint.load(names[9999]).max() == 0 and checkpoint.load(names[9998]).max() == 5


def test_bad_archives(tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(b"nothing")
    assert "not a zip file" in refusal(path)[1]
    path.write_bytes(b"")
    assert refusal(path)[0] != "SAP_OK"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/version", "3")
    assert "a zip file without data.pkl" in refusal(path)[1]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", state_dict(tensor()))
        archive.writestr("b/data.pkl", state_dict(tensor()))
    assert "two members data.pkl" in refusal(path)[1]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", state_dict(tensor()))
    assert "data.pkl is compressed" in refusal(path)[1]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", state_dict(tensor()))
        archive.writestr("archive/data/0", FLOATS.tobytes(), zipfile.ZIP_DEFLATED)
    assert "w: its storage 0 is compressed" in refusal(path)[1]
    write(path, state_dict(tensor()), {"0": FLOATS.tobytes()})
    content = bytearray(path.read_bytes())
    content[content.index(b"storage") + 2] ^= 1
    path.write_bytes(content)
    assert "data.pkl: the data does not match its checksum" in refusal(path)[1]


def test_every_truncation(tmp_path):
    write(tmp_path / "x.pt", state_dict(tensor()), {"0": FLOATS.tobytes()}, byteorder="little")
    content = (tmp_path / "x.pt").read_bytes()
    for length in range(len(content)):
        (tmp_path / "cut.pt").write_bytes(content[:length])
        for lenient in (False, True):
            code, found = refusal(tmp_path / "cut.pt", lenient=lenient)
            assert code in ("SAP_ERROR_FORMAT", "SAP_ERROR_UNSUPPORTED") and "cut.pt: " in found
