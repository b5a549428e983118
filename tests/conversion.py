"""What the tests of converted files share: tensors to convert, the command, and what must hold afterwards."""
import numpy
from checkpoint_file import Checkpoint

SPARSE = (".sapwood.values", ".sapwood.index")


def pruned(shape, density, seed=0, kind="<f4"):
    random = numpy.random.RandomState(seed)
    values = numpy.asarray(random.standard_normal(shape) * 50).astype(kind)
    values[numpy.asarray(random.uniform(size=shape) >= density)] = 0
    return values


def convert(sapwood, source, target, *words):
    done = sapwood("convert", source, "-o", target, *words)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def assert_same(first, second):
    """Names, types, shapes and every bit."""
    with Checkpoint(first) as a, Checkpoint(second) as b:
        assert sorted(a.names) == sorted(b.names)
        for name in a.names:
            assert (a.dtypes[name], a.shapes[name]) == (b.dtypes[name], b.shapes[name]), name
            assert a.load(name).tobytes() == b.load(name).tobytes(), name


def network(density, kind="<f4"):
    """A small network of the usual shapes; nearly a million weights."""
    shapes = {"conv1": (64, 3, 3, 3), "conv2": (128, 64, 3, 3), "conv3": (256, 128, 3, 3), "fc1": (512, 1024), "fc2": (10, 512)}
    return {f"{name}.weight": ("F32", pruned(shape, density, i, kind)) for i, (name, shape) in enumerate(shapes.items())}


def assert_refused(done, text, code=1):
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr and len(done.stderr.splitlines()) == (2 if code == 2 else 1), done.stderr
