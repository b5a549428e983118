"""What a run writes, calculated again in NumPy: masks, indices, counts, methods, rewinding, selection."""
import numpy
import pytest
from conftest import lines_of, read_safetensors

SMALL = ["--model", "mlp", "--iterations", "3", "--epochs", "3", "--batch", "50", "--threads", "2"]
LAYERS = ["blocks.0.weight", "blocks.2.weight", "linear.weight"]
SCOPES = ["global", "layer", "neuron"]


@pytest.fixture(scope="module")
def run(sapwood, data, tmp_path_factory):
    """Makes a run with some options, once for each set of them."""
    made = {}

    def make(*options):
        if options not in made:
            path = tmp_path_factory.mktemp("run") / "run"
            done = sapwood("train", "--data", data, *SMALL, *options, "-o", path)
            assert done.returncode == 0, done.stderr
            made[options] = path
        return made[options]

    return make


def iterations(path):
    return [line for line in lines_of(path / "metrics.jsonl") if line["event"] == "iteration"]


def epochs(path):
    return [line for line in lines_of(path / "metrics.jsonl") if line["event"] == "epoch"]


def weights(path, iteration):
    return read_safetensors(path / f"iteration-{iteration:02d}.safetensors")


def masks(path, iteration):
    tensors = weights(path, iteration)
    return {name: tensors[name + ".mask"] for name in LAYERS}


def pq_index(w, p, q):
    w = numpy.abs(w.astype(numpy.float64))
    return 1 - numpy.mean(w**p) ** (1 / p) / numpy.mean(w**q) ** (1 / q)


def gini(w):
    w = numpy.sort(numpy.abs(w.astype(numpy.float64)))
    d = len(w)
    return numpy.sum((2 * numpy.arange(1, d + 1) - d - 1) * w) / (d * numpy.sum(w))


def groups(tensors, scope):
    """Lists of (layer, flat positions) that are pruned as one."""
    if scope == "global":
        return [[(name, numpy.arange(tensors[name].size)) for name in LAYERS]]
    if scope == "layer":
        return [[(name, numpy.arange(tensors[name].size))] for name in LAYERS]
    rows = []
    for name in LAYERS:
        positions = numpy.arange(tensors[name].size).reshape(tensors[name].shape[0], -1)
        rows += [[(name, row)] for row in positions]
    return rows


def prune(magnitudes, kept, scope, count):
    """The masks after one pruning: count(kept weights of a group) of the smallest go, ties by position."""
    result = {name: kept[name].reshape(-1).copy() for name in LAYERS}
    for group in groups(magnitudes, scope):
        names = numpy.concatenate([numpy.full(len(positions), LAYERS.index(name)) for name, positions in group])
        places = numpy.concatenate([positions for _, positions in group])
        alive = numpy.concatenate([result[name][positions] for name, positions in group])
        values = numpy.concatenate([magnitudes[name].reshape(-1)[positions] for name, positions in group])
        names, places, values = names[alive], places[alive], numpy.abs(values[alive])
        for k in numpy.argsort(values, kind="stable")[: count(values)]:
            result[LAYERS[names[k]]][places[k]] = False
    return result


def sap_count(p, q, eta=0.0, gamma=1.0, beta=0.9):
    def count(values):
        d = len(values)
        if d == 0 or not values.any():
            return 0
        bound = d * (1 + eta) ** (-q / (q - p)) * (1 - pq_index(values, p, q)) ** (q * p / (q - p))
        return int(max(0, numpy.floor(d * min(gamma * (1 - bound / d), beta))))

    return count


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("p,q", [(0.5, 1.0), (1.0, 2.0), (0.3, 1.4)])
def test_sap_prunes_what_the_bound_says(run, scope, p, q):
    path = run("--scope", scope, "--p", str(p), "--q", str(q))
    for t in range(3):
        expected = prune(weights(path, t), masks(path, t), scope, sap_count(p, q))
        found = masks(path, t + 1)
        differing = sum(int((found[name].reshape(-1) != expected[name]).sum()) for name in LAYERS)
        # A bound that falls on a whole number within rounding may give one more or one less.
        assert differing <= (2 if scope == "global" else 6), (t, differing)
        pruned = sum(int(masks(path, t)[name].sum() - found[name].sum()) for name in LAYERS)
        assert iterations(path)[t]["pruned"] == pruned


def test_bound_options(run):
    path = run("--eta", "0.2", "--gamma", "1.5", "--beta", "0.3", "--iterations", "1")
    expected = prune(weights(path, 0), masks(path, 0), "global", sap_count(0.5, 1.0, 0.2, 1.5, 0.3))
    found = masks(path, 1)
    assert all((found[name].reshape(-1) == expected[name]).all() for name in LAYERS)
    assert iterations(path)[0]["prune_ratio"] == pytest.approx(0.3)


@pytest.mark.parametrize("scope", SCOPES)
def test_lottery_ticket_prunes_a_fixed_ratio(run, scope):
    path = run("--method", "lt", "--ratio", "0.3", "--scope", scope)
    for t in range(3):
        expected = prune(weights(path, t), masks(path, t), scope, lambda values: int(numpy.floor(0.3 * len(values))))
        found = masks(path, t + 1)
        assert all((found[name].reshape(-1) == expected[name]).all() for name in LAYERS)


def test_one_shot_looks_at_the_first_trained_model(run):
    path = run("--method", "os", "--ratio", "0.3")
    first = weights(path, 0)
    for t in range(3):
        expected = prune(first, masks(path, t), "global", lambda values: int(numpy.floor(0.3 * len(values))))
        found = masks(path, t + 1)
        assert all((found[name].reshape(-1) == expected[name]).all() for name in LAYERS)


def test_dense_prunes_nothing(run):
    path = run("--method", "dense")
    assert [line["pruned"] for line in iterations(path)] == [0, 0, 0, 0]
    assert all(masks(path, 3)[name].all() for name in LAYERS)


@pytest.mark.parametrize("p,q", [(0.5, 1.0), (0.3, 1.4)])
def test_reported_measures(run, p, q):
    path = run("--scope", "layer", "--p", str(p), "--q", str(q))
    for line in iterations(path):
        tensors, kept = weights(path, line["iteration"]), masks(path, line["iteration"])
        vectors = {name: tensors[name][kept[name]] for name in LAYERS}
        whole = numpy.concatenate([vectors[name] for name in LAYERS])
        assert line["total"] == 784 * 128 + 128 * 256 + 256 * 10
        assert line["kept"] == len(whole)
        assert line["density"] == pytest.approx(len(whole) / line["total"])
        assert line["pqi"] == pytest.approx(pq_index(whole, p, q), rel=1e-6)
        layers = [(pq_index(vector, p, q), len(vector)) for vector in vectors.values()]
        mean = sum(index * kept for index, kept in layers) / len(whole)
        assert line["scope_pqi"] == pytest.approx(mean, rel=1e-6)
        assert line["gini"] == pytest.approx(gini(whole), rel=1e-6)
        assert line["retain"] == pytest.approx(len(whole) * (1 - line["pqi"]) ** (q * p / (q - p)), rel=1e-6)
        assert [layer["name"] for layer in line["layers"]] == LAYERS
        for layer in line["layers"]:
            assert layer["kept"] == len(vectors[layer["name"]])
            assert layer["pqi"] == pytest.approx(pq_index(vectors[layer["name"]], p, q), rel=1e-6)
            assert layer["gini"] == pytest.approx(gini(vectors[layer["name"]]), rel=1e-6)
        if line["iteration"] < 3:
            left = masks(path, line["iteration"] + 1)
            pruned = numpy.concatenate([tensors[name][left[name]] for name in LAYERS])
            assert line["pruned_model"]["pqi"] == pytest.approx(pq_index(pruned, p, q), rel=1e-6)
    last = iterations(path)[-1]
    assert last["pruned"] == 0 and last["pruned_model"] == {"test_accuracy": None, "pqi": None}


def test_pruned_weights_are_zero_and_kept_ones_train(run):
    path = run()
    for t in range(4):
        tensors, kept = weights(path, t), masks(path, t)
        for name in LAYERS:
            assert (tensors[name][~kept[name]] == 0).all()
            assert (tensors[name][kept[name]] != 0).mean() > 0.99


def test_accuracies_of_saved_weights(sapwood, run):
    """eval on an iteration's file finds what the run reported."""
    path = run()
    for t in (0, 3):
        done = sapwood("eval", path, "--iteration", str(t), "--json")
        assert done.returncode == 0, done.stderr
        assert f'"accuracy": {iterations(path)[t]["test_accuracy"]:.9g}'.rstrip("0") in done.stdout


@pytest.mark.parametrize("rewind", ["init", "epoch:2", "none"])
def test_rewind(run, rewind):
    """Training goes on from where it should: after one more epoch at a tiny rate, weights lie near their start."""
    path = run("--rewind", rewind, "--lr", "1e-6", "--momentum", "0", "--weight-decay", "0")
    initial, first = read_safetensors(path / "initial.safetensors"), weights(path, 0)
    start = {"init": initial, "epoch:2": first, "none": first}[rewind]
    kept = masks(path, 1)
    for name in LAYERS:
        assert numpy.abs(weights(path, 1)[name] - numpy.where(kept[name], start[name], 0)).max() < 1e-5
    # These rates hardly move a weight, so tell the cases apart by exactly where they began.
    moved = numpy.abs(weights(path, 1)["linear.bias"] - initial["linear.bias"]).max()
    again = numpy.abs(first["linear.bias"] - initial["linear.bias"]).max()
    if rewind == "init":
        assert moved == pytest.approx(again, rel=0.5)
    else:
        assert moved > 1.3 * again


def test_select_best_test(run):
    """The iteration's accuracy is the best of its epochs, the first of equals."""
    path = run("--select", "best-test", "--lr", "0.5")
    for t, line in enumerate(iterations(path)):
        accuracies = [epoch["test_accuracy"] for epoch in epochs(path) if epoch["iteration"] == t]
        assert line["test_accuracy"] == max(accuracies)


def test_select_best_validation(run):
    path = run("--select", "best-validation", "--validation", "100", "--lr", "0.5")
    for t, line in enumerate(iterations(path)):
        rows = [epoch for epoch in epochs(path) if epoch["iteration"] == t]
        best = max(rows, key=lambda row: row["validation_accuracy"])
        assert line["test_accuracy"] == best["test_accuracy"]


def test_same_bytes_for_any_number_of_threads(sapwood, data, tmp_path):
    for threads in (1, 2, 3):
        done = sapwood("train", "--data", data, *SMALL, "--threads", str(threads), "-o", tmp_path / str(threads))
        assert done.returncode == 0, done.stderr
    for name in [f"iteration-{t:02d}.safetensors" for t in range(4)] + ["initial.safetensors"]:
        first = (tmp_path / "1" / name).read_bytes()
        assert all((tmp_path / str(threads) / name).read_bytes() == first for threads in (2, 3)), name


def test_seeds_differ(sapwood, data, tmp_path):
    for seed in ("0", "1"):
        sapwood("train", "--data", data, *SMALL, "--iterations", "0", "--seed", seed, "-o", tmp_path / seed)
    a, b = (read_safetensors(tmp_path / seed / "initial.safetensors") for seed in ("0", "1"))
    assert numpy.corrcoef(a[LAYERS[0]].ravel(), b[LAYERS[0]].ravel())[0, 1] < 0.02
    bound = 1 / numpy.sqrt(784)
    assert numpy.abs(a[LAYERS[0]]).max() <= bound and a[LAYERS[0]].std() == pytest.approx(bound / 3**0.5, rel=0.01)
    assert not a["linear.bias"].any()


def test_engines_agree(sapwood, data, tmp_path):
    """The reference engine, in double, goes the same way."""
    available = sapwood("info", "--json").stdout
    if '"onednn"' not in available:
        pytest.skip("this build has the reference engine only")
    for engine in ("ref", "onednn"):
        done = sapwood("train", "--data", data, "--model", "linear", "--iterations", "1", "--epochs", "4", "--batch",
                       "50", "--engine", engine, "-o", tmp_path / engine)
        assert done.returncode == 0, done.stderr
    a, b = iterations(tmp_path / "ref"), iterations(tmp_path / "onednn")
    for x, y in zip(a, b):
        assert x["test_loss"] == pytest.approx(y["test_loss"], rel=1e-3)
        assert x["pqi"] == pytest.approx(y["pqi"], rel=1e-3)
