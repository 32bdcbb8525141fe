"""Is what a training will take known before it begins? Against arithmetic by hand, and against a process that does it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import nacre
from nacre import capacity
from nacre.cli import main
from nacre.errors import NotBuiltError, UsageError
from nacre.layers import BatchNormalization, Dense, Reshape
from nacre.training.forecast import undisturbed

GB = 10**9


def network(inputs: int, *units: int, optimizer: Any = "sgd", shape: tuple[int, ...] = ()) -> nacre.Sequential:
    flat = [nacre.layers.Flatten()] if shape else []
    layers = [*flat, *(Dense(n, "relu") for n in units[:-1]), Dense(units[-1], "softmax")]
    model = nacre.Sequential([nacre.Input(shape or (inputs,)), *layers])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rates that need not be measured: a billion operations and bytes in a second."""
    monkeypatch.setattr(capacity, "_rates", lambda: (1e9, 1e9))
    monkeypatch.setattr(capacity, "_CHEAP_BYTES", 0)


# ------------------------------------------------------------------ parameters


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 5000), k=st.integers(1, 500))
def test_a_layer_of_k_units_on_n_inputs_has_n_plus_1_times_k_parameters(n, k):
    model = nacre.Sequential([nacre.Input((n,)), Dense(k)])
    (layer,) = capacity._layers(model)
    assert layer.parameters == model.count_params() == n * k + k
    assert layer.formula == f"({n:,} + 1) x {k:,}"


@pytest.mark.parametrize(
    ("shape", "units", "parameters"),
    [
        ((30, 30), [5], 4_505),
        ((784,), [15, 10], 11_935),
        ((784,), [1000, 10], 795_010),
        ((224, 224), [1000], 50_177_000),
        ((3_000_000,), [1000], 3_000_001_000),
    ],
)
@pytest.mark.usefixtures("untimed")
def test_known_networks_have_the_known_numbers_of_parameters(shape, units, parameters):
    model = network(0, *units, shape=shape)
    assert nacre.budget(model).parameters == model.count_params() == parameters
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert f"{parameters:,}" in lines[0]


@pytest.mark.usefixtures("untimed")
def test_the_shapes_of_1000_teams_that_see_784_numbers():
    found = nacre.budget(network(784, 1000, 10))
    assert [layer.formula for layer in found.layers] == ["(784 + 1) x 1,000", "(1,000 + 1) x 10"]
    other = nacre.Sequential([nacre.Input((6,)), Dense(4, use_bias=False), BatchNormalization()])
    assert [(one.formula, one.parameters) for one in nacre.budget(other).layers] == [
        ("6 x 4", 24),
        ("4 + 4 + 4 + 4", 16),
    ]


# ------------------------------------------------------------------ memory


@pytest.mark.usefixtures("untimed")
def test_weights_their_padding_and_slots_take_what_their_sizes_say():
    # Panels have 32 columns; 1000 units fill 31.25 of them, and the 10 units of the last layer lie as a transpose.
    weights = 4 * (784 * 1000 + 1000 * 10 + 1000 + 10)
    padded = 4 * (784 * 1024 + 1024 * 10 + 1024 + 32)
    for optimizer, slots in (
        ("sgd", 0),
        (nacre.optimizers.SGD(0.1, momentum=0.9), 1),
        ("adam", 2),
    ):
        use = nacre.budget(network(784, 1000, 10, optimizer=optimizer), rows=100).training
        assert use is not None
        assert (use.weights, use.padding) == (weights, padded - weights)
        assert use.slots == slots * padded
        assert use.data == 100 * (784 * 4 + 4 + 8)  # numbers, label, place in the order
        assert use.total <= use.most


@pytest.mark.usefixtures("untimed")
def test_prediction_needs_less_memory_than_training():
    found = nacre.budget(network(784, 1000, 1000, 10, optimizer="adam"), batch_size=256)
    training, prediction = found.training, found.prediction
    assert training is not None
    assert (prediction.slots, prediction.gradients) == (0, 0)
    assert prediction.activations < training.activations
    # Two hidden layers of 1024 columns for 256 rows stay until the way back; in prediction, only what comes next is needed.
    assert training.activations >= 2 * 256 * 1024 * 4


@pytest.mark.usefixtures("untimed")
def test_drawing_the_first_weights_takes_more_than_they_do():
    kernel = 4 * 4096 * 1024
    # Numbers are drawn, and then put into panels beside them; normal ones are made in float64.
    for name, times in (("glorot_uniform", 2), ("he_normal", 8), ("zeros", 2)):
        model = nacre.Sequential([nacre.Input((4096,)), Dense(1024, use_bias=False, kernel_initializer=name)])
        assert nacre.budget(model).prediction.most == times * kernel


@pytest.mark.usefixtures("untimed")
def test_fewer_rows_than_a_batch_are_a_batch():
    found = nacre.budget(network(20, 3), rows=10, batch_size=32)
    assert (found.batch_size, found.steps_per_epoch) == (10, 1)


@pytest.mark.usefixtures("untimed")
def test_gradients_are_counted_where_they_are_kept():
    plain = nacre.budget(network(512, 256, 10)).training
    clipped = nacre.budget(network(512, 256, 10, optimizer=nacre.optimizers.SGD(0.1, global_clipnorm=1.0))).training
    assert plain is not None
    assert clipped is not None
    assert plain.gradients < 512 * 256 * 4 <= clipped.gradients  # whose norm is known only when all are there


def test_three_billion_parameters_are_counted_where_there_is_no_memory_for_them():
    code = """
import json, re, resource
from pathlib import Path
import nacre
resource.setrlimit(resource.RLIMIT_AS, (4 * 10**9, 4 * 10**9))
found = {}
for name in ("sgd", "adam"):
    model = nacre.Sequential([nacre.Input((3_000_000,)), nacre.layers.Dense(1000, "softmax")])
    model.compile(name, "sparse_categorical_crossentropy")
    found[name] = nacre.budget(model, memory=23 * 10**9).document()
    assert not any(w.memory.begun for w in model.weights)
most = re.search("VmHWM:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1]  # since exec, not that of the parent
print(json.dumps([found, int(most)]))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found, most = json.loads(run.stdout)
    assert most * 1024 < GB
    sgd, adam = found["sgd"], found["adam"]
    assert sgd["parameters"] == 3 * 10**9 + 1000
    assert sgd["training"]["weights"] == pytest.approx(12 * GB, rel=1e-4)
    assert sgd["slots"] == {"SGD": 4 * 3_000_001_000, "momentum": 8 * 3_000_001_000, "Adam": 12 * 3_000_001_000}
    assert adam["training"]["slots"] == 2 * (adam["training"]["weights"] + adam["training"]["padding"])
    assert not sgd["fits"]
    assert [change["parameters"] for change in sgd["changes"]] == [786_433_000, 196_609_000, 49_153_000]
    assert sgd["timed"] == "from rates"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="what is resident is read from /proc")
def test_a_process_grows_by_what_was_predicted():
    code = """
import json
from pathlib import Path
import numpy as np, nacre
from nacre.layers import Dense
def resident(what):
    return next(int(l.split()[1]) * 1024 for l in Path("/proc/self/status").read_text().splitlines() if l.startswith(what))
def train(n, k, rows):
    x, y = np.full((rows, n), 0.5, np.float32), np.zeros(rows, np.int32)
    model = nacre.Sequential([nacre.Input((n,)), Dense(k, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=64, verbose=0)
    return model, x, y
train(256, 64, 2000)  # what a process takes once: threads among it
before = resident("VmRSS")
kept = train(32768, 320, 256)
print(json.dumps([resident("VmRSS") - before, resident("VmHWM") - before]))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    total, most = json.loads(run.stdout)
    use = nacre.budget(network(32768, 320, optimizer="adam"), rows=256, batch_size=64).training
    assert use is not None
    assert use.total == pytest.approx(total, rel=0.03)
    assert use.most == pytest.approx(most, rel=0.03)


# ------------------------------------------------------------------ operations and time


@pytest.mark.usefixtures("untimed")
def test_operations_are_those_of_the_products():
    found = nacre.budget(network(784, 1000, 10), rows=1000, batch_size=50)
    products = 2 * (784 * 1000 + 1000 * 10)
    assert products <= found.flops_forward < 1.02 * products
    # Back, each product comes twice, but for that by the inputs, which need no gradient.
    there_and_back = 50 * (3 * products - 2 * 784 * 1000)
    assert there_and_back <= found.flops_per_step < 1.1 * there_and_back
    assert found.steps_per_epoch == 20
    assert found.flops_per_epoch == 20 * found.flops_per_step
    assert found.timed == "from rates"
    assert found.seconds_per_step >= found.flops_per_step / 1e9
    assert found.seconds_per_epoch == pytest.approx(20 * found.seconds_per_step)


def test_a_small_step_is_measured_and_leaves_the_model_as_it_was():
    model = network(64, 32, 10, optimizer="adam")
    found = nacre.budget(model, rows=1000)
    assert found.timed == "measured"
    assert 0 < found.seconds_per_step < 1
    assert model.optimizer.iterations == 0
    assert not any(w.memory.begun for w in model.weights)
    assert "measured on a few batches" in str(found)


def test_a_step_is_measured_up_to_a_second_of_it(monkeypatch):
    model = network(64, 32, 10)
    monkeypatch.setattr(capacity, "_rates", lambda: (1.0, 1.0))
    flops = nacre.budget(model).flops_per_step
    for seconds, timed in ((0.9, "measured"), (1.1, "from rates")):
        monkeypatch.setattr(capacity, "_rates", lambda seconds=seconds: (flops / seconds, 1e15))
        assert nacre.budget(model).timed == timed


@pytest.mark.parametrize("share", [0.0, 0.2, 0.45])
def test_what_others_do_for_less_than_half_of_the_time_does_not_count(share):
    random = np.random.default_rng(0)
    alone = random.uniform(1.0, 1.02, size=100)
    seen = alone + np.where(np.arange(100) < 100 * share, random.uniform(0.5, 5.0, size=100), 0)
    assert 1.0 <= undisturbed(random.permutation(seen).tolist()) <= 1.02


@pytest.mark.usefixtures("untimed")
def test_weights_are_counted_by_rows_and_many_are_told():
    model = network(64, 10)  # 650 weights
    few, many = nacre.budget(model, rows=65), nacre.budget(model, rows=6500)
    assert (few.weights_per_row, many.weights_per_row) == (10, 0.1)
    assert few.document()["weights_per_row"] == 10
    assert "10 for each row, which can learn rows by heart" in str(few)
    assert "Weights: 0.1 for each row\n" in str(many)
    half = network(64, 32, 10)
    half.layers[0].trainable = False  # 330 weights are left
    assert nacre.budget(half, rows=33).weights_per_row == 10
    assert nacre.budget(network(64, 10)).weights_per_row is None


# ------------------------------------------------------------------ what would fit


@pytest.mark.usefixtures("untimed")
def test_each_change_that_is_named_fits_and_the_next_larger_one_does_not():
    model = network(0, 512, 10, optimizer="adam", shape=(200, 200, 3))
    found = nacre.budget(model, memory=2 * GB)
    assert found.fits
    room = found.memory.most
    assert nacre.budget(model, memory=room).fits
    assert not nacre.budget(model, memory=room - 1).fits
    whats = [change.what for change in nacre.budget(model, memory=room // 2).changes]
    assert whats == [
        "resize to 128 x 128 x 3",
        "resize to 64 x 64 x 3",
        "resize to 32 x 32 x 3",
        "1/4 of the hidden units",
    ]
    again = network(0, 512, 10, optimizer="adam", shape=(128, 128, 3))
    change = nacre.budget(model, memory=room // 2).changes[0]
    assert (change.parameters, change.nbytes) == (again.count_params(), nacre.budget(again).memory.most)
    fewer = nacre.budget(network(0, 256, 10, optimizer="adam", shape=(200, 200, 3))).memory.most
    assert fewer > room // 2  # half of the units would not have done


@pytest.mark.usefixtures("untimed")
def test_smaller_batches_lose_least_and_come_first():
    model = network(100, 200, 10, optimizer="adam")
    most = nacre.budget(model, batch_size=4096).memory.most
    small = nacre.budget(model, batch_size=4096, memory=most - 1)
    assert small.changes[0] == capacity.Change(
        "batches of 2,048 rows", model.count_params(), nacre.budget(model, batch_size=2048).memory.most
    )
    assert len(small.changes) > 2


@pytest.mark.usefixtures("untimed")
def test_a_function_of_ones_own_is_no_hindrance():
    model = nacre.Sequential([nacre.Input((900,)), Dense(1000, activation=lambda x: x * x), Dense(2)])
    model.compile("sgd", "mse")
    room = nacre.budget(model).memory.most
    model.compile("adam", "mse", metrics=["mae"])
    assert [change.what for change in nacre.budget(model, memory=room).changes] == ["plain SGD"]


@pytest.mark.usefixtures("untimed")
def test_plain_sgd_is_named_where_the_slots_are_too_much():
    model = network(4000, 3000, 10, optimizer="adam")
    sgd = nacre.budget(network(4000, 3000, 10), memory=GB).memory.most
    (first, *_) = nacre.budget(model, memory=sgd).changes
    assert (first.what, first.nbytes) == ("plain SGD", sgd)


@pytest.mark.usefixtures("untimed")
def test_a_network_that_goes_with_one_size_only_is_not_resized():
    model = nacre.Sequential([nacre.Input((300, 300)), Reshape((90_000,)), Dense(100)])
    model.compile("sgd", "mse")
    assert nacre.budget(model, memory=10**6).changes == ()
    assert "No single change" in str(nacre.budget(model, memory=10**6))


@pytest.mark.usefixtures("untimed")
def test_the_last_layer_with_units_is_spared_and_the_others_are_not():
    layers = [Dense(400, "relu"), Dense(10), nacre.layers.Softmax()]
    model = nacre.Sequential([nacre.Input((900,)), *layers])
    model.compile("sgd", "sparse_categorical_crossentropy")
    room = nacre.budget(model).memory.most
    whats = [change.what for change in nacre.budget(model, memory=room * 2 // 3).changes]
    assert "1/2 of the hidden units" in whats


@pytest.mark.parametrize(
    ("shape", "resized"),
    [((64, 48), True), ((64, 48, 3), True), ((500, 6), False), ((64, 48, 7), False), ((4, 20, 20, 3), False)],
)
def test_only_pictures_are_resized_and_never_to_something_larger(shape, resized):
    pictures, fewer = capacity._smaller_inputs(shape)
    assert (bool(pictures), fewer) == (resized, [])
    assert all(a < b for _, smaller in pictures for a, b in zip(smaller[:2], shape, strict=False))


def test_figures_that_are_rounded_up_get_the_next_unit():
    assert [capacity.size(n) for n in (999, 999_499, 999_950, 999_999_999)] == [
        "999 bytes",
        "999 kB",
        "1.00 MB",
        "1.00 GB",
    ]
    assert [capacity.metric(n) for n in (999, 999_499, 999_600)] == ["999", "999 k", "1.00 M"]
    durations = {
        0.9996: "1 s",
        0.0009996: "1 ms",
        0.9994: "999 ms",
        59.98: "1 min 0 s",
        59.94: "59.9 s",
        3599.7: "1 h 0 min",
    }
    assert {seconds: capacity.duration(seconds) for seconds in durations} == durations


def test_mistakes_are_told():
    with pytest.raises(UsageError, match="rows is a whole number"):
        nacre.budget(network(4, 2), rows=0)
    with pytest.raises(UsageError, match="looks at a model"):
        nacre.budget("digits")  # type: ignore[arg-type]
    with pytest.raises(NotBuiltError):
        nacre.budget(nacre.Sequential([Dense(3)]))


def test_free_memory_is_no_more_than_the_control_group_leaves(tmp_path, monkeypatch):
    limit, used = tmp_path / "limit", tmp_path / "used"
    limit.write_text("5000\n")
    used.write_text("2000\n")
    assert capacity.free_memory() > 10**6
    monkeypatch.setattr(capacity, "_GROUPS", [(limit, used)])
    assert capacity.free_memory() == 3000
    limit.write_text("max\n")
    assert capacity.free_memory() > 10**6


# ------------------------------------------------------------------ the command


def asked(*words: str) -> Any:
    result = CliRunner().invoke(main, ["budget", *words, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.usefixtures("untimed")
def test_the_command_answers_for_shapes_data_and_models(tmp_path):
    large = asked("--input", "3000000", "--classes", "1000", "--memory", "23GB")
    assert (large["parameters"], large["fits"]) == (3_000_001_000, False)
    assert large["changes"][-1]["what"] == "resize to 128 x 128 x 3"
    picture = asked(
        "--input", "224x224x1", "--classes", "10", "--model", "mlp:1000", "--rows", "10", "--memory", "64GB"
    )
    assert picture["layers"][0]["parameters"] == 50_177_000
    assert picture["fits"]
    digits = asked("digits", "--optimizer", "adam")
    assert (digits["rows"], digits["parameters"], digits["epochs"]) == (1437, 9_610, 30)
    path = tmp_path / "model.safetensors"
    network(64, 10).save(path)
    assert asked(str(path))["training"]["slots"] == 0
    assert asked(str(path), "--optimizer", "adam")["training"]["slots"] > 2 * 64 * 10 * 4


@pytest.mark.usefixtures("untimed")
def test_the_command_counts_bytes_as_bytes_and_takes_tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("bytes.npz", x=np.zeros((50, 5, 4), np.uint8), y=np.arange(50) % 3)
    assert asked("bytes.npz")["training"]["data"] == 50 * (5 * 4 + 4 + 8)
    lines = [f"{n},{n % 7},{'yes' if n % 2 else 'no'}" for n in range(100)]
    Path("table.csv").write_text("\n".join(["a,b,paid", *lines]))
    table = asked("table.csv", "--target", "paid", "--model", "mlp:16")
    assert (table["rows"], table["training"]["slots"] > 0) == (70, True)  # the rest is to watch by and to test on; Adam


@pytest.mark.usefixtures("untimed")
def test_the_command_prints_for_people_and_names_mistakes():
    shown = CliRunner().invoke(main, ["budget", "--input", "3000000", "--classes", "1000", "--memory", "23GB"])
    assert shown.exit_code == 0
    assert "(3,000,000 + 1) x 1,000" in shown.stdout
    assert "12.0 GB with SGD, 24.0 GB with momentum, 36.0 GB with Adam" in shown.stdout
    assert "resize to 128 x 128 x 3: 49,153,000 parameters" in shown.stdout
    for words, said in (
        (["--input", "28x", "--classes", "3"], "no shape of a row"),
        (["--input", "28", "--classes", "3", "--memory", "much"], "no amount of memory"),
        (["--input", "28", "--classes", "3", "--memory", "3kiB"], "no amount of memory"),
        (["--input", "28"], "with a number of classes"),
        (["--input", "28", "--classes", "3", "--target", "paid"], "no columns"),
        (["--input", "28", "--classes", "3", "--model", "rnn:3"], "no network"),
    ):
        result = CliRunner().invoke(main, ["budget", *words])
        assert result.exit_code != 0
        assert said in result.stderr
