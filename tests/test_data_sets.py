"""Data sets of all kinds: read whole and right, refused in one line where they are broken, and trained on."""
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest
from conftest import lines_of
from data_sets import Set, refused

RECORD = {"cifar10": 3073, "cifar100": 3074}
FILES = {
    "cifar10": [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"],
    "cifar100": ["train.bin", "test.bin"],
}


# ---- CIFAR ----


def records(name, count, seed):
    """The bytes of a file: labels (one or two), pixels. Class k is bright in row 3 k + 1."""
    random = numpy.random.RandomState(seed)
    labels = random.randint(0, 10, count).astype(numpy.uint8)
    pixels = random.randint(0, 120, (count, 3, 32, 32)).astype(numpy.uint8)
    pixels[numpy.arange(count), :, 3 * labels + 1] += 130
    head = [labels[:, None]] if name == "cifar10" else [labels[:, None] * 0 + 19, labels[:, None] * 9]
    content = numpy.concatenate([*head, pixels.reshape(count, -1)], axis=1)
    return content.tobytes(), pixels, labels if name == "cifar10" else labels * 9


def write_cifar(folder, name, train=30, test=20):
    """Writes the files; returns pixels and labels of training and test pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for i, file in enumerate(FILES[name]):
        content, pixels, labels = records(name, test if file == FILES[name][-1] else train, i)
        (folder / file).write_bytes(content)
        parts.append((pixels, labels))
    pixels, labels = (numpy.concatenate([part[k] for part in parts[:-1]]) for k in (0, 1))
    return pixels, labels, *parts[-1]


@pytest.mark.parametrize("name,inner", [("cifar10", "cifar-10-batches-bin"), ("cifar100", "cifar-100-binary")])
@pytest.mark.parametrize("nested", [False, True])
def test_cifar_is_read_as_written(name, inner, nested, tmp_path):
    expected = write_cifar(tmp_path / inner if nested else tmp_path, name)
    found = Set(f"{name}:{tmp_path}")
    assert (found.name, found.shape, found.classes) == (name, (3, 32, 32), 10 if name == "cifar10" else 100)
    for array, wanted in zip((found.x_train, found.y_train, found.x_test, found.y_test), expected):
        assert (array == wanted).all()
    means = {"cifar10": [0.4914, 0.4822, 0.4465], "cifar100": [0.5071, 0.4865, 0.4409]}[name]
    assert found.mean == pytest.approx(means) and max(found.stddev) < 0.28


@pytest.mark.parametrize("name", RECORD)
def test_broken_cifar_is_refused(name, tmp_path):
    write_cifar(tmp_path, name)
    for i, file in enumerate(FILES[name]):
        path, whole = tmp_path / file, (tmp_path / file).read_bytes()
        cases = {
            whole[:-1]: f"expected whole pictures of {RECORD[name]} bytes",
            whole + b"x": f"expected whole pictures of {RECORD[name]} bytes",
            b"": "an empty file",
            whole[: RECORD[name]] + b"\xff" + whole[RECORD[name] + 1 :]: "picture 1 has label 255, expected at most",
        }
        if name == "cifar10" and 0 < i < 5:
            cases[whole[: -RECORD[name]]] = "29 pictures, expected 30 as in data_batch_1.bin"
        for content, text in cases.items():
            path.write_bytes(content)
            message = refused(f"{name}:{tmp_path}")
            assert text in message and file in message
        path.unlink()
        assert "no such file" in refused(f"{name}:{tmp_path}")
        path.write_bytes(whole)


def test_fine_label_of_cifar100_is_checked(tmp_path):
    write_cifar(tmp_path, "cifar100")
    content = bytearray((tmp_path / "test.bin").read_bytes())
    content[3074 + 1] = 100
    (tmp_path / "test.bin").write_bytes(content)
    assert "picture 1 has label 100, expected at most 99" in refused(f"cifar100:{tmp_path}")


def test_large_cifar_is_refused_unread(tmp_path):
    write_cifar(tmp_path, "cifar10")
    with open(tmp_path / "data_batch_2.bin", "r+b") as file:
        file.truncate(3073 << 20)  # sparse: it takes no space
    assert "expected at most 1073741824" in refused(f"cifar10:{tmp_path}")


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist"])
def test_a_folder_that_is_not_there(name, tmp_path):
    assert "no such folder; expected one with" in refused(f"{name}:{tmp_path / 'none'}")
    assert "image-size" not in refused(f"{name}:{tmp_path}")


def test_pictures_of_a_fixed_size_are_not_resized(tmp_path):
    write_cifar(tmp_path, "cifar10")
    assert Set(f"cifar10:{tmp_path}", image_size=32, channels=3).shape == (3, 32, 32)
    assert refused(f"cifar10:{tmp_path}", image_size=64) == "cifar10: pictures of 3 x 32 x 32, expected 3 x 64 x 64"
    assert refused(f"cifar10:{tmp_path}", channels=1) == "cifar10: pictures of 3 x 32 x 32, expected 1 x 32 x 32"


# ---- NPZ ----


def arrays(dtype="u1", shape=(6, 5, 3), train=40, test=10, classes=4):
    random = numpy.random.RandomState(3)
    x = random.randint(0, 255, (train + test, *shape)).astype(dtype)
    y = numpy.arange(train + test) * 7 % classes
    return {"x_train": x[:train], "y_train": y[:train], "x_test": x[train:], "y_test": y[train:]}


def planar(x, last):
    """Pictures as (count, channels, height, width)."""
    return x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2) if last else x


@pytest.mark.parametrize("save", [numpy.savez, numpy.savez_compressed])
@pytest.mark.parametrize("dtype", ["u1", "<f4", ">f4", "<f8", "<f2"])
@pytest.mark.parametrize("shape,last", [((6, 5, 3), 1), ((3, 6, 5), 0), ((6, 5), 1), ((9, 7, 1), 1), ((1, 9, 7), 0)])
def test_npz_is_read_as_written(save, dtype, shape, last, tmp_path):
    content = arrays(dtype, shape)
    save(tmp_path / "a.npz", **content)
    found = Set(f"npz:{tmp_path / 'a.npz'}")
    for x, y in (("x_train", "y_train"), ("x_test", "y_test")):
        assert (getattr(found, x) == planar(content[x], last)).all()
        assert (getattr(found, y) == content[y]).all()
    assert found.classes == 4
    assert found.x_train.dtype == ("u1" if dtype == "u1" else "f4")
    scaled = planar(content["x_train"], last).astype("f8") / (255 if dtype == "u1" else 1)
    assert found.mean == pytest.approx(scaled.mean((0, 2, 3)), rel=1e-5)
    assert found.stddev == pytest.approx(scaled.std((0, 2, 3)), rel=1e-5)


@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i4", "<i8", "<u8", "?"])
def test_labels_of_any_integer_type(dtype, tmp_path):
    content = arrays(classes=2)
    for key in ("y_train", "y_test"):
        content[key] = content[key].astype(dtype).reshape(-1, 1)
    numpy.savez(tmp_path / "a.npz", **content)
    assert (Set(f"npz:{tmp_path / 'a.npz'}").y_train == content["y_train"][:, 0]).all()


def test_fortran_order(tmp_path):
    content = arrays()
    numpy.savez(tmp_path / "a.npz", **{key: numpy.asfortranarray(value) for key, value in content.items()})
    assert (Set(f"npz:{tmp_path / 'a.npz'}").x_test == planar(content["x_test"], 1)).all()


def test_a_constant_channel_is_not_divided_by_nothing(tmp_path):
    content = arrays()
    content["x_train"][..., 1] = 77
    numpy.savez(tmp_path / "a.npz", **content)
    assert Set(f"npz:{tmp_path / 'a.npz'}").stddev[1] == 1


NAN = numpy.full((40, 6, 5, 3), 0.5, "f4")
NAN[17, 3, 2, 1] = numpy.nan


@pytest.mark.parametrize(
    "change,text",
    [
        ({"x_test": None}, "no array x_test, expected x_train, y_train, x_test and y_test"),
        ({"y_train": numpy.zeros(39, int)}, "y_train: I64 of shape (39), expected one label a picture"),
        ({"y_train": numpy.zeros((40, 2), int)}, "y_train: I64 of shape (40, 2), expected one label a picture"),
        ({"y_train": numpy.zeros(40)}, "y_train: F64 of shape (40), expected integers"),
        ({"y_train": numpy.arange(40) - 1}, "y_train: label 0 is no class, expected 0 to 255"),
        ({"y_train": numpy.arange(40) * 100}, "y_train: label 3 is no class, expected 0 to 255"),
        ({"y_test": numpy.arange(10)}, "y_test: label 4 is 4, expected at most 3 as in y_train"),
        ({"x_test": numpy.zeros((10, 5, 5, 3), "u1")}, "x_test: U8 of shape (10, 5, 5, 3), expected pictures of the sh"),
        ({"x_test": numpy.zeros((10, 6, 5, 3), "f4")}, "x_test: F32 of shape (10, 6, 5, 3), expected the type and axes"),
        ({"x_test": numpy.zeros((0, 6, 5, 3), "u1"), "y_test": numpy.zeros(0, int)}, "expected at least one picture"),
        ({"x_train": numpy.zeros((40, 90), "u1")}, "x_train: U8 of shape (40, 90), expected pictures"),
        ({"x_train": numpy.zeros((40, 3, 9, 3), "u1")}, "expected 1 to 4 channels in either the second or the last axis"),
        ({"x_train": numpy.zeros((40, 9, 9, 9), "u1")}, "expected 1 to 4 channels in either the second or the last axis"),
        ({"x_train": numpy.zeros((40, 0, 9, 3), "u1")}, "expected heights and widths of 1 to 4096"),
        ({"x_train": numpy.zeros((40, 6, 5, 3), "i4")}, "x_train: I32 of shape (40, 6, 5, 3), expected U8 or floats"),
        ({"x_train": NAN, "x_test": NAN[:10]}, "x_train: a NaN or infinity in picture 17"),
    ],
)
def test_wrong_arrays_are_refused(change, text, tmp_path):
    content = {key: value for key, value in {**arrays(), **change}.items() if value is not None}
    numpy.savez(tmp_path / "a.npz", **content)
    message = refused(f"npz:{tmp_path / 'a.npz'}")
    assert text in message and "a.npz" in message


@pytest.mark.parametrize("save", [numpy.savez, numpy.savez_compressed])
def test_cut_npz_is_refused(save, tmp_path):
    save(tmp_path / "whole.npz", **arrays(shape=(3, 3, 1), train=4, test=4))
    whole, path = (tmp_path / "whole.npz").read_bytes(), tmp_path / "cut.npz"
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert "cut.npz" in refused(f"npz:{path}")


def test_damaged_npz_is_refused(tmp_path):
    numpy.savez(tmp_path / "a.npz", **arrays())
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[300] ^= 1  # a pixel
    (tmp_path / "a.npz").write_bytes(content)
    assert "x_train" in refused(f"npz:{tmp_path / 'a.npz'}")


def test_another_format_is_no_npz(tmp_path):
    numpy.save(tmp_path / "a.npy", numpy.zeros(3))
    assert "a file of the format npy, expected npz with x_train" in refused(f"npz:{tmp_path / 'a.npy'}")
    assert "no such file" in refused(f"npz:{tmp_path / 'none.npz'}")


# ---- training on them ----


@pytest.fixture(scope="module")
def colour(tmp_path_factory):
    """Small sets of colour pictures: --data values."""
    folder = tmp_path_factory.mktemp("colour")
    x, y, x_test, y_test = write_cifar(folder / "cifar", "cifar10", train=80, test=100)
    numpy.savez(folder / "bytes.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    x, x_test = (pixels.transpose(0, 2, 3, 1).astype("f4") / 255 for pixels in (x, x_test))
    numpy.savez_compressed(folder / "floats.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    return {"cifar10": f"cifar10:{folder / 'cifar'}"} | {
        key: f"npz:{folder / key}.npz" for key in ("bytes", "floats")
    }


def train(sapwood, data, path, *more):
    words = ["--model", "mlp", "--iterations", 1, "--epochs", 6, "--batch", 50, "--lr", 0.05, "--threads", 1]
    done = sapwood("train", "--data", data, *words, "-o", path, *more)
    assert done.returncode == 0, done.stderr
    return [line for line in lines_of(path / "metrics.jsonl") if line["event"] == "epoch"]


@pytest.mark.parametrize("kind", ["cifar10", "bytes", "floats"])
def test_a_network_learns(kind, sapwood, colour, tmp_path):
    lines = train(sapwood, colour[kind], tmp_path / "run", "--augment", "none")
    assert lines[-1]["test_accuracy"] > 0.9  # chance is 0.1
    done = sapwood("eval", tmp_path / "run", "--data", colour[kind])
    assert done.returncode == 0, done.stderr


def test_augmentation_changes_training_and_can_be_left_out(sapwood, colour, tmp_path):
    """auto is crop-flip for colour; what the network then sees differs from epoch to epoch."""
    losses = {}
    for how in ("auto", "crop-flip", "none"):
        lines = train(sapwood, colour["cifar10"], tmp_path / how, "--augment", how)
        losses[how] = [line["train_loss"] for line in lines]
    assert losses["auto"] == losses["crop-flip"] != losses["none"]
    assert losses["none"][-1] < losses["auto"][-1]  # rows shifted by up to four make the classes harder


def files_of(path):
    """The weights of a run, byte for byte."""
    return {file.name: file.read_bytes() for file in sorted(path.glob("i*.safetensors"))}


def test_any_number_of_threads_makes_the_same_batches(sapwood, colour, tmp_path):
    made = []
    for loaders, threads in ((0, 1), (1, 1), (1, 3), (4, 2)):
        path = tmp_path / f"{loaders}-{threads}"
        train(sapwood, colour["cifar10"], path, "--loader-threads", loaders, "--threads", threads)
        made.append(files_of(path))
    assert len(made[0]) == 3 and all(files == made[0] for files in made)


@pytest.mark.parametrize("kind", ["cifar10", "floats"])
def test_a_killed_run_resumes_to_the_same_bytes(kind, sapwood, colour, tmp_path):
    """With augmentation and a background thread, killed again and again."""
    random, path = numpy.random.RandomState(1), tmp_path / "killed"
    words = ["--model", "mlp", "--iterations", 1, "--epochs", 8, "--batch", 16, "--lr", 0.05, "--threads", 1]
    done = sapwood("train", "--data", colour[kind], *words, "-o", tmp_path / "whole")
    assert done.returncode == 0, done.stderr
    kills, finished = 0, False
    while not finished:
        more = ["--resume"] if (path / "config.json").exists() else ["--data", colour[kind], *words]
        process = sapwood.start("train", "-o", path, *more)
        try:
            _, errors = process.communicate(timeout=random.uniform(0.05, 0.4) if kills < 5 else 120)
            assert process.returncode == 0, errors
            finished = True
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    assert kills and files_of(path) == files_of(tmp_path / "whole")


def test_a_signal_is_not_lost_in_the_background(sapwood, colour, tmp_path):
    """Threads that augment leave signals to the one that waits for them."""
    words = ["--model", "linear", "--iterations", 0, "--epochs", 100000, "--batch", 50, "--loader-threads", 8]
    process = sapwood.start("train", "--data", colour["cifar10"], *words, "--threads", 1, "-o", tmp_path / "run")
    while process.poll() is None and not (tmp_path / "run" / "state.safetensors").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted; state saved" in errors


def test_grey_pictures_are_not_augmented(sapwood, data, tmp_path):
    runs = [train(sapwood, data, tmp_path / how, "--augment", how) for how in ("auto", "none")]
    assert [line["train_loss"] for line in runs[0]] == [line["train_loss"] for line in runs[1]]


# ---- what docs/data.md says ----

DOCUMENT = (Path(__file__).resolve().parent.parent / "docs" / "data.md").read_text(encoding="utf-8")


def test_arrays_of_the_document_can_be_trained_on(sapwood, tmp_path):
    (code,) = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.M | re.S)
    subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, check=True)
    lines = train(sapwood, f"npz:{tmp_path / 'mine.npz'}", tmp_path / "run", "--augment", "none")
    assert lines[-1]["test_accuracy"] > 0.9  # chance is 0.25


def test_every_set_is_in_the_document(sapwood):
    names = [entry["name"] for entry in json.loads(sapwood("info", "--json").stdout)["data"]]
    assert re.findall(r"^\| `([\w-]+)` \| [^|]+\| [^|]+\| [^|]+\|$", DOCUMENT, re.M) == names
