"""Data sets whose pictures are files: image folders and TinyImageNet."""
import os
import resource
import shutil
from pathlib import Path

import numpy
import pytest
import tiny_onnx as o
from conftest import lines_of
from data_sets import Set, png, refused

CORPUS = Path(__file__).parent / "fuzz" / "corpus_picture"
JPEG, HUGE = CORPUS / "colour.jpg", CORPUS / "huge.png"


def pictures(count, seed, shape=(32, 32, 3)):
    """Noise with a bright stripe: in class 0 at the top, in class 1 at the bottom."""
    random = numpy.random.RandomState(seed)
    labels = numpy.arange(count) % 2
    pixels = random.randint(0, 120, (count, *shape))
    height = shape[0]
    for pixel, label in zip(pixels, labels):
        pixel[height // 8 : height // 4] += 120 * (1 - label)
        pixel[-height // 4 : -height // 8] += 120 * label
    return pixels.astype(numpy.uint8), labels


def write_folder(path, train=12, test=6, shape=(32, 32, 3), classes=("cat", "dog")):
    """Writes PATH/train and PATH/test; returns pixels (count, C, H, W) in the order of the set, and labels."""
    result = []
    for half, count, seed in (("train", train, 1), ("test", test, 2)):
        pixels, labels = pictures(count, seed, shape)
        for i in range(count):
            folder = path / half / classes[labels[i]]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{i:04d}.png").write_bytes(png(pixels[i]))
        order = numpy.argsort(labels, kind="stable")
        planar = pixels[order].transpose(0, 3, 1, 2) if len(shape) == 3 else pixels[order][:, None]
        result += [planar, labels[order]]
    return result


@pytest.fixture
def folder(tmp_path):
    write_folder(tmp_path / "set")
    return tmp_path / "set"


@pytest.mark.parametrize("shape", [(32, 32, 3), (32, 32)])
def test_folder_is_read_as_written(shape, tmp_path):
    expected = write_folder(tmp_path, shape=shape)
    found = Set(f"folder:{tmp_path}")
    assert found.shape == (3 if len(shape) == 3 else 1, 32, 32) and found.classes == 2
    for array, wanted in zip((found.x_train, found.y_train, found.x_test, found.y_test), expected):
        assert (array == wanted).all()
    scaled = expected[0].astype("f8") / 255
    assert found.mean == pytest.approx(scaled.mean((0, 2, 3)), rel=1e-5)
    assert found.stddev == pytest.approx(scaled.std((0, 2, 3)), rel=1e-5)


def test_size_and_channels_can_be_asked_for(folder):
    assert Set(f"folder:{folder}", image_size=20, channels=1).x_train.shape == (12, 1, 20, 20)
    assert "folder: pictures of 3 x 32 x 32, expected 2 x 32 x 32" in refused(f"folder:{folder}", channels=2)
    assert "image-size 5000: expected 0 <= image-size <= 4096" in refused(f"folder:{folder}", image_size=5000)


def test_one_coloured_picture_makes_a_set_of_colour(tmp_path):
    write_folder(tmp_path, shape=(32, 32))
    shutil.copy(JPEG, tmp_path / "train" / "dog" / "z.JPEG")
    found = Set(f"folder:{tmp_path}")
    assert found.shape == (3, 32, 32)
    assert (found.x_train[0, 0] == found.x_train[0, 1]).all() and (found.x_train[-1, 0] != found.x_train[-1, 1]).any()


def test_other_files_are_left_out_and_val_is_a_test_set(folder):
    before = Set(f"folder:{folder}")
    (folder / "train" / "notes.txt").write_text("x")
    (folder / "train" / "cat" / "Thumbs.db").write_text("x")
    (folder / "train" / "cat" / "._0000.png").write_text("x")
    (folder / "train" / ".cache").mkdir()
    (folder / "test").rename(folder / "val")
    after = Set(f"folder:{folder}")
    assert (after.x_train == before.x_train).all() and (after.x_test == before.x_test).all()


def test_pictures_of_any_size_and_kind(folder):
    paths = [path for path in CORPUS.iterdir() if not path.name.startswith("huge") and path.suffix]
    assert len(paths) > 15
    for path in paths:
        shutil.copy(path, folder / "train" / "cat" / path.name)
    assert len(Set(f"folder:{folder}").x_train) == 12 + len(paths)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_of_several_damaged_files_is_named(folder, threads, sapwood, tmp_path):
    for i in (2, 4, 8):
        path = folder / "train" / "cat" / f"{i:04d}.png"
        path.write_bytes(path.read_bytes()[:-20])
    words = ["--data", f"folder:{folder}", "--model", "linear", "--threads", threads, "-o", tmp_path / "run"]
    done = sapwood("train", *words)
    assert done.returncode == 1 and done.stdout == "" and not (tmp_path / "run").exists()
    assert done.stderr == f"sapwood train: {folder}/train/cat/0002.png: damaged PNG picture: it is cut off\n"


def damage(change):
    return lambda folder: change(folder / "train" / "cat" / "0004.png")


@pytest.mark.parametrize(
    "change,text",
    [
        (lambda folder: shutil.rmtree(folder / "train"), "train: no such folder; expected one with a folder of pictur"),
        (lambda folder: shutil.rmtree(folder / "test"), "test: no such folder; expected one with a folder of pictures"),
        (lambda folder: shutil.rmtree(folder / "train" / "dog"), "test/dog: a class that training lacks"),
        (lambda folder: (folder / "test" / "zebra").mkdir(), "test/zebra: a class that training lacks"),
        (lambda folder: (folder / "train" / "emu").mkdir(), "train/emu: no pictures, expected files that end in .jpg"),
        (lambda folder: [shutil.rmtree(path) for path in (folder / "train").iterdir()], "train: no folders, expected"),
        (damage(lambda path: path.write_bytes(b"")), "0004.png: neither a JPEG nor a PNG picture"),
        (damage(lambda path: path.write_bytes(b"GIF89a....")), "0004.png: neither a JPEG nor a PNG picture"),
        (damage(lambda path: path.write_bytes(HUGE.read_bytes())), "0004.png: 60000 x 60000 pixels, expected at most"),
        (damage(lambda path: path.write_bytes(JPEG.read_bytes()[:-100])), "0004.png: damaged JPEG picture: "),
        (damage(lambda path: (path.unlink(), path.mkdir())), "0004.png: a folder, expected a file"),
        (damage(lambda path: (path.unlink(), path.symlink_to("nowhere"))), "0004.png: no such file or directory"),
        (damage(lambda path: (path.unlink(), os.mkfifo(path))), "0004.png: a pipe or device, expected a file"),
        (damage(lambda path: os.truncate(path, 1 << 34)), "0004.png: 17179869184 bytes, expected at most 268435456"),
    ],
)
def test_broken_folders_are_refused(change, text, folder):
    change(folder)
    assert text in refused(f"folder:{folder}")


def test_too_many_classes(tmp_path):
    for i in range(257):
        (tmp_path / "train" / f"{i:03d}").mkdir(parents=True)
    assert "train: 257 class folders, expected at most 256" in refused(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    "name,text", [("huge.png", "60000 x 60000 pixels"), ("huge.jpg", "60000 x 60000"), ("huge_text.png", "it is cut off")]
)
def test_what_promises_to_be_huge_takes_no_memory(name, text, folder, sapwood, tmp_path):
    (folder / "train" / "cat" / "0002.png").write_bytes((CORPUS / name).read_bytes())
    words = ["--data", f"folder:{folder}", "--model", "linear", "--threads", 1, "-o", tmp_path / "run"]
    limit = 1 << 30
    done = sapwood("train", *words, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    assert done.returncode == 1 and text in done.stderr and done.stderr.count("\n") == 1


# ---- against Pillow ----


def test_resizing_is_that_of_pillow(folder):
    image = pytest.importorskip("PIL.Image", reason="no Pillow")
    random = numpy.random.RandomState(3)
    files = {}
    for i, (height, width) in enumerate([(100, 80), (20, 30), (64, 64), (31, 33), (300, 40), (33, 32), (375, 500)]):
        y, x = numpy.mgrid[0:height, 0:width]
        wave = 127 + 100 * numpy.sin(x / 5) * numpy.cos(y / 7)
        pixels = numpy.clip(wave[..., None] + random.normal(0, 8, (height, width, 3)), 0, 255)
        path = folder / "train" / "dog" / f"z{i}.png"
        path.write_bytes(png(pixels))
        files[path] = (height, width)
    found = Set(f"folder:{folder}", image_size=48).x_train[-len(files) :]
    for (path, (height, width)), pixels in zip(files.items(), found):
        shorter = min(height, width)
        size = (int(48 * width / shorter), int(48 * height / shorter))
        left, top = (round((length - 48) / 2) for length in size)
        resized = image.open(path).resize(size, image.BILINEAR).crop((left, top, left + 48, top + 48))
        assert numpy.abs(numpy.asarray(resized).transpose(2, 0, 1).astype(int) - pixels).max() <= 1, (height, width)


# ---- TinyImageNet ----


def write_tiny(path, side=64):
    """The archive's layout with two classes, whose lines in wnids.txt are not in order."""
    names = ["n02", "n01"]
    path.mkdir(parents=True, exist_ok=True)
    (path / "wnids.txt").write_text("\n".join(names) + "\n")
    train, labels = pictures(10, 1, (side, side, 3))
    for i, (pixels, label) in enumerate(zip(train, labels)):
        images = path / "train" / sorted(names)[label] / "images"
        images.mkdir(parents=True, exist_ok=True)
        (images / f"{i:02d}.JPEG").write_bytes(png(pixels))
    test, test_labels = pictures(6, 2, (side, side, 3))
    (path / "val" / "images").mkdir(parents=True)
    lines = []
    for i, (pixels, label) in enumerate(zip(test, test_labels)):
        (path / "val" / "images" / f"val_{i}.JPEG").write_bytes(png(pixels))
        lines.append(f"val_{i}.JPEG\t{sorted(names)[label]}\t0\t0\t62\t62")
    (path / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    order = numpy.argsort(labels, kind="stable")
    return train[order].transpose(0, 3, 1, 2), labels[order], test.transpose(0, 3, 1, 2), test_labels


@pytest.mark.parametrize("inner", ["", "tiny-imagenet-200"])
def test_tiny_imagenet_is_read_as_written(inner, tmp_path):
    expected = write_tiny(tmp_path / inner)
    found = Set(f"tiny-imagenet:{tmp_path}")
    assert found.shape == (3, 64, 64) and found.classes == 2
    assert found.mean == pytest.approx([0.485, 0.456, 0.406]) and found.stddev == pytest.approx([0.229, 0.224, 0.225])
    for array, wanted in zip((found.x_train, found.y_train, found.x_test, found.y_test), expected):
        assert (array == wanted).all()
    assert Set(f"tiny-imagenet:{tmp_path}", image_size=32).shape == (3, 32, 32)


@pytest.mark.parametrize(
    "file,content,text",
    [
        ("wnids.txt", None, "wnids.txt: no such file"),
        ("wnids.txt", "", "wnids.txt: no classes"),
        ("wnids.txt", "n01\n../n02\n", "wnids.txt: line 2 is no name of a class"),
        ("wnids.txt", "n01\nn02\nn01\n", "wnids.txt: class n01 twice"),
        ("wnids.txt", "n01\nn02\nn03\n", "n03/images: no such file"),
        ("wnids.txt", "".join(f"{i}\n" for i in range(300)), "wnids.txt: more than 256 classes"),
        ("val/val_annotations.txt", None, "val_annotations.txt: no such file"),
        ("val/val_annotations.txt", "", "val_annotations.txt: no pictures"),
        ("val/val_annotations.txt", "val_0.JPEG\tn01\nval_1.JPEG", "line 2: expected the name of a picture, a tab and"),
        ("val/val_annotations.txt", "\nval_0.JPEG\tn77\t0", "line 2: class n77, expected one of wnids.txt"),
        ("val/val_annotations.txt", "val_0.JPEG\tn0\t0", "line 1: class n0, expected one of wnids.txt"),
        ("val/val_annotations.txt", "../../wnids.txt\tn01\t0", "line 1: expected the name of a picture"),
        ("val/val_annotations.txt", "val_9.JPEG\tn01\t0", "val_9.JPEG: no such file"),
        ("val/images/val_3.JPEG", "x", "val_3.JPEG: neither a JPEG nor a PNG picture"),
    ],
)
def test_broken_tiny_imagenet_is_refused(file, content, text, tmp_path):
    write_tiny(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    assert text in refused(f"tiny-imagenet:{tmp_path}")


def test_tiny_imagenet_that_is_not_there(tmp_path):
    text = "no such folder; expected one with wnids.txt, train/CLASS/images and val/val_annotations.txt"
    assert text in refused(f"tiny-imagenet:{tmp_path / 'none'}")


# ---- training and the program ----


def train(sapwood, data, path, *more):
    words = ["--model", "mlp", "--iterations", 1, "--epochs", 8, "--batch", 10, "--lr", 0.05]
    done = sapwood("train", "--data", data, *words, "-o", path, *more)
    assert done.returncode == 0, done.stderr
    return [line for line in lines_of(path / "metrics.jsonl") if line["event"] == "epoch"]


def test_a_network_learns_and_is_tested_at_its_size(sapwood, tmp_path):
    write_folder(tmp_path / "set", train=60, test=40, shape=(40, 50, 3))
    data = f"folder:{tmp_path / 'set'}"
    lines = train(sapwood, data, tmp_path / "run", "--image-size", 20, "--augment", "none")
    assert lines[-1]["test_accuracy"] > 0.9
    for words in ([tmp_path / "run"], [tmp_path / "run" / "iteration-01.safetensors", "--data", data]):
        done = sapwood("eval", *words)
        assert done.returncode == 0, done.stderr
        assert f"accuracy   {100 * lines[-1]['test_accuracy']:.2f} %" in done.stdout


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_become_those_that_a_network_from_a_file_takes(channels, sapwood, tmp_path):
    write_folder(tmp_path / "set", train=60, test=40, shape=(40, 50, 3))
    weights = numpy.random.RandomState(1).uniform(-0.1, 0.1, (2, channels * 144)).astype("f4")
    nodes = [o.node("Flatten", ["x"], ["f"]), o.node("Gemm", ["f", "w"], ["y"], [[(1, "transB"), (3, 1), (20, 2)]])]
    inputs, outputs = [o.value_info("x", (1, channels, 12, 12))], [o.value_info("y", (1, 2))]
    graph = o.graph(nodes, [o.tensor("w", weights)], inputs=inputs, outputs=outputs)
    (tmp_path / "net.onnx").write_bytes(o.model(graph, opset=17))
    data = f"folder:{tmp_path / 'set'}"
    words = ["--iterations", 1, "--epochs", 8, "--batch", 10, "--lr", 0.05, "--augment", "none"]
    done = sapwood("train", "--data", data, "--model", tmp_path / "net.onnx", *words, "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    lines = [line for line in lines_of(tmp_path / "run" / "metrics.jsonl") if line["event"] == "epoch"]
    assert lines[-1]["test_accuracy"] > 0.9
    shown = sapwood("eval", tmp_path / "run" / "iteration-01.onnx", "--data", data)
    assert shown.returncode == 0 and "accuracy" in shown.stdout, shown.stderr


def test_other_pictures_are_normalised_as_those_of_training(sapwood, tmp_path):
    """A brighter and flatter copy of the test set is harder; by its own mean and deviation it would be the same."""
    write_folder(tmp_path / "set", train=60, test=40, shape=(20, 20, 3))
    data = f"folder:{tmp_path / 'set'}"
    lines = train(sapwood, data, tmp_path / "run", "--image-size", 20, "--augment", "none")
    for half in ("train", "test"):
        for i, pixels in enumerate(pictures(40, 2, (20, 20, 3))[0]):
            folder = tmp_path / "other" / half / ("cat", "dog")[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{i}.png").write_bytes(png(pixels // 2 + 120))
    shown = [sapwood("eval", tmp_path / "run", "--data", f"folder:{tmp_path / name}").stdout for name in ("set", "other")]
    losses = [float(text.split("loss")[1].split()[0]) for text in shown]
    assert losses[0] == pytest.approx(lines[-1]["test_loss"], abs=1e-4)
    assert losses[1] > losses[0] + 0.01


def test_info_finds_sets_in_the_usual_places_without_reading_them(sapwood, tmp_path):
    write_tiny(tmp_path / "data" / "tiny-imagenet")
    for path in (tmp_path / "data").rglob("*.JPEG"):
        path.write_bytes(b"")
    environment = {key: value for key, value in os.environ.items() if key not in ("SAPWOOD_DATA", "XDG_DATA_HOME")}
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "sapwood").symlink_to(tmp_path / "data")
    (tmp_path / "home" / ".local").mkdir(parents=True)
    (tmp_path / "home" / ".local" / "share").symlink_to(tmp_path / "share")
    for key, place in (("SAPWOOD_DATA", "data"), ("XDG_DATA_HOME", "share"), ("HOME", "home")):
        shown = sapwood("info", env={**environment, key: str(tmp_path / place)}).stdout
        assert "  tiny-imagenet 3x64x64, 2 classes\n" in shown
