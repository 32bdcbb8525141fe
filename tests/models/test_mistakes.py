"""What a user can do wrong: each mistake is ONE error that says what was found and what was expected, and changes nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nacre import Input, Sequential, losses
from nacre.callbacks import Callback
from nacre.errors import (
    DataError,
    DTypeError,
    NacreError,
    NonFiniteLossError,
    NotBuiltError,
    ShapeError,
    UnknownName,
    UsageError,
)
from nacre.initializers import VarianceScaling
from nacre.layers import Activation, Dense, Dropout, Flatten, Rescaling, Softmax
from nacre.losses import BinaryCrossentropy, MeanSquaredError
from nacre.models import Model
from nacre.optimizers import SGD, RMSprop

Array = npt.NDArray[Any]
Data = tuple[Array, Array]
Make = Callable[..., Sequential]

X = np.random.default_rng(0).standard_normal((10, 4)).astype("float32")
Y = np.arange(10) % 3
HOT = np.eye(3)[Y]
SPARSE, ONE_HOT, SQUARES = "sparse_categorical_crossentropy", "categorical_crossentropy", "mse"


def spoilt(array: Array, value: float, at: tuple[int, ...] = (2, 1)) -> Array:
    array = array.astype("float64")
    array[at] = value
    return array


def says(error: BaseException, *words: str) -> None:
    assert isinstance(error, NacreError)
    for word in words:
        assert word in str(error), f"{word!r} is not in {error}"


# ------------------------------------------------------------------ data

WRONG_DATA: dict[str, tuple[str, Any, Any, type[Exception], list[str]]] = {
    "too many features": (SPARSE, X[:, [0, 1, 2, 3, 0]], Y, ShapeError, ["4 features", "5", "dense"]),
    "too few features": (SPARSE, X[:, :3], Y, ShapeError, ["4 features", "3"]),
    "images": (SPARSE, X.reshape(10, 2, 2), Y, ShapeError, ["4 features", "2 x 2", "Flatten"]),
    "one axis": (SPARSE, X[:, 0], Y, ShapeError, ["4 features"]),
    "a number": (SPARSE, 3.0, Y, DataError, ["3.0"]),
    "ragged rows": (SPARSE, [[1, 2, 3, 4], [1, 2]], Y[:2], ShapeError, ["length"]),
    "a label too large": (SPARSE, X, np.where(Y == 2, 3, Y), DataError, ["3", "3 classes", "0 to 2"]),
    "a negative label": (SPARSE, X, Y - 1, DataError, ["-1", "3 classes"]),
    "a fractional label": (SPARSE, X, Y + 0.5, DataError, ["0.5", "whole"]),
    "one-hot for sparse": (SPARSE, X, HOT, ShapeError, ["one label", "3", "categorical_crossentropy"]),
    "labels for one-hot": (ONE_HOT, X, Y, NacreError, ["sparse_categorical_crossentropy"]),
    "labels 0 and 1 for one-hot": (ONE_HOT, X, Y % 2, ShapeError, ["3", "sparse_categorical_crossentropy"]),
    "one-hot of other classes": (ONE_HOT, X, np.eye(5)[Y], ShapeError, ["3", "5"]),
    "targets that are no probabilities": (ONE_HOT, X, HOT * 2, DataError, ["2", "0 to 1"]),
    "too few target columns": (SQUARES, X, HOT[:, :2], ShapeError, ["3", "2"]),
    "target vectors for matrices": (SQUARES, X, Y, ShapeError, ["3"]),
    "NaN": (SPARSE, spoilt(X, np.nan), Y, DataError, ["1 nan", "row 2, column 1"]),
    "infinity": (SPARSE, spoilt(X, -np.inf), Y, DataError, ["1 inf", "row 2, column 1"]),
    "too large for float32": (SPARSE, spoilt(X, 1e39), Y, DataError, ["1e+39", "row 2, column 1"]),
    "NaN targets": (SQUARES, X, spoilt(HOT, np.nan), DataError, ["nan", "row 2, column 1"]),
    "nothing": (SPARSE, None, Y, DataError, ["None"]),
    "no targets": (SPARSE, X, None, UsageError, ["y"]),
    "no rows": (SPARSE, X[:0], Y[:0], DataError, ["no samples"]),
    "no columns": (SPARSE, X[:, :0], Y, ShapeError, ["4 features", "0"]),
    "objects": (SPARSE, X.astype(object), Y, DTypeError, ["numbers", "object"]),
    "text": (SPARSE, X.astype(str), Y, DTypeError, ["numbers", "<U"]),
    "labels in words": (SPARSE, X, np.array(["cat", "dog"] * 5), DTypeError, ["numbers", "<U3"]),
    "complex numbers": (SPARSE, X + 1j, Y, DTypeError, ["numbers", "complex"]),
    "other lengths": (SPARSE, X, Y[:9], DataError, ["10", "9"]),
}


@pytest.mark.parametrize("mistake", WRONG_DATA)
@pytest.mark.parametrize("verb", ["fit", "train_on_batch", "evaluate"])
def test_wrong_data_is_one_clear_error_and_changes_nothing(make: Make, verb: str, mistake: str) -> None:
    loss, x, y, error, words = WRONG_DATA[mistake]
    model = make(loss=loss)
    before = [w.tobytes() for w in model.get_weights()]
    with pytest.raises(error) as caught:
        getattr(model, verb)(x, y)
    says(caught.value, *words)
    assert [w.tobytes() for w in model.get_weights()] == before
    assert model.optimizer.iterations == 0
    assert model.history is None


@pytest.mark.parametrize("mistake", [m for m, (_, x, *_) in WRONG_DATA.items() if x is not X and m != "no rows"])
def test_wrong_inputs_cannot_be_predicted(make: Make, mistake: str) -> None:
    _, x, _, error, words = WRONG_DATA[mistake]
    with pytest.raises(error) as caught:
        make().predict(x)
    says(caught.value, *words)


@pytest.mark.parametrize("mistake", WRONG_DATA)
def test_wrong_data_for_validation_is_found_before_training(make: Make, mistake: str) -> None:
    loss, x, y, error, words = WRONG_DATA[mistake]
    model = make(loss=loss)
    before = [w.tobytes() for w in model.get_weights()]
    with pytest.raises(error) as caught:
        model.fit(X, Y if loss == SPARSE else HOT, validation_data=(x, y), verbose=0)
    says(caught.value, *words)
    assert [w.tobytes() for w in model.get_weights()] == before
    assert model.optimizer.iterations == 0


def test_after_a_mistake_the_model_trains_as_if_nothing_had_been(make: Make, data: Data) -> None:
    tried, untried = make(), make()
    for loss, x, y, _error, _words in WRONG_DATA.values():
        if loss == SPARSE:
            with pytest.raises(NacreError):
                tried.fit(x, y, verbose=0)
    for model in (tried, untried):
        model.fit(*data, epochs=2, batch_size=8, verbose=0)
    assert [w.tobytes() for w in tried.get_weights()] == [w.tobytes() for w in untried.get_weights()]


# ------------------------------------------------------------------ arguments of fit

WRONG_ARGUMENTS: list[dict[str, Any]] = [
    *({"epochs": n} for n in (0, -1, 1.5, True, "3", None)),
    *({"batch_size": n} for n in (0, -1, 2.5, "32", True)),
    *({"initial_epoch": n} for n in (-1, 1.5, "0", None)),
    *({"validation_split": f} for f in (-0.1, 1.0, 1.5, float("nan"), "half", 0.999)),
    *({"validation_data": d} for d in (X, (X,), (X, Y, Y, Y), "test")),
    *({"callbacks": c} for c in ([Callback], ["early"], [print])),
]


@pytest.mark.parametrize(
    "argument", WRONG_ARGUMENTS, ids=lambda a: f"{next(iter(a))}={str(next(iter(a.values())))[:12]}"
)
def test_a_wrong_argument_of_fit_is_named(make: Make, argument: dict[str, Any]) -> None:
    model = make()
    before = [w.tobytes() for w in model.get_weights()]
    with pytest.raises((UsageError, DataError)) as caught:
        model.fit(X, Y, verbose=0, **argument)
    says(caught.value, "callback" if "callbacks" in argument else next(iter(argument)))
    assert [w.tobytes() for w in model.get_weights()] == before
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.fit(X, Y, validation_freq=2), ["fit", "validation_freq", "call evaluate"]),
        (lambda m: m.fit(X, Y, batchsize=2), ["fit", "batchsize", "did you mean", "batch_size"]),
        (lambda m: m.fit(X, Y, validation_split=0.5, validation_batch_size=0), ["validation_batch_size"]),
        (lambda m: m.evaluate(X, Y, workers=2), ["evaluate", "workers", "iterable"]),
        (lambda m: m.compile("sgd", "mse", run_eagerly=True), ["compile", "run_eagerly", 'device="reference"']),
        (lambda m: m.compile("sgd", "mse", loss_weight=[1]), ["compile", "loss_weight"]),
    ],
)
def test_an_argument_that_is_not_there_is_named_with_what_to_do_instead(make: Make, call: Any, words: Any) -> None:
    with pytest.raises(UsageError) as caught:
        call(make())
    says(caught.value, *words)


@pytest.mark.parametrize("size", [0, -5, 1.5, "256"])
def test_a_wrong_batch_size_is_named_everywhere(make: Make, size: Any) -> None:
    for call in (lambda m: m.evaluate(X, Y, batch_size=size), lambda m: m.predict(X, batch_size=size)):
        with pytest.raises(UsageError, match="batch_size"):
            call(make())


# ------------------------------------------------------------------ names

WRONG_NAMES: dict[str, tuple[Callable[[], Any], str, str]] = {
    "activation": (lambda: Dense(3, activation="rellu"), "rellu", "'relu'"),
    "activation layer": (lambda: Activation("sofmax"), "sofmax", "'softmax'"),
    "initializer": (lambda: Dense(3, kernel_initializer="glorot_unifrom"), "glorot_unifrom", "'glorot_uniform'"),
    "loss": (lambda: Sequential().compile(loss="mean_square_error"), "mean_square_error", "'mean_squared_error'"),
    "optimizer": (lambda: Sequential().compile("sdg", "mse"), "sdg", "'sgd'"),
    "metric": (lambda: Sequential().compile("sgd", "mse", metrics=["acuracy"]), "acuracy", "'accuracy'"),
    "device": (lambda: Sequential().compile("sgd", "mse", device="nativ"), "nativ", "'native'"),
}


@pytest.mark.parametrize("kind", WRONG_NAMES)
def test_an_unknown_name_is_answered_with_a_known_one(kind: str) -> None:
    act, wrong, right = WRONG_NAMES[kind]
    with pytest.raises(UnknownName) as caught:
        act()
    says(caught.value, f"{wrong!r}", f"did you mean {right}")


def test_a_name_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(UnknownName) as caught:
        Activation("zzz")
    says(caught.value, "relu", "sigmoid", "softmax", "tanh")


def test_an_unknown_argument_of_a_layer_is_answered_with_a_known_one() -> None:
    with pytest.raises(UsageError) as caught:
        Dense(3, activatoin="relu")
    says(caught.value, "Dense", "'activatoin'", "did you mean 'activation'")


# ------------------------------------------------------------------ settings

NAN, INF = float("nan"), float("inf")
WRONG_SETTINGS: dict[str, Callable[[Any], Any]] = {
    "units": lambda n: Dense(n),
    "rate": lambda r: Dropout(r),
    "learning rate": lambda r: SGD(r),
    "learning rate of RMSprop": lambda r: RMSprop(r),
    "momentum": lambda m: SGD(momentum=m),
    "rho": lambda r: RMSprop(rho=r),
    "epsilon": lambda e: RMSprop(epsilon=e),
    "input": lambda s: Input(s),
    "input_dim": lambda n: Dense(3, input_dim=n),
    "input_shape": lambda s: Dense(3, input_shape=s),
    "name": lambda n: Dense(3, name=n),
    "dtype": lambda d: Dense(3, dtype=d),
    "layers": lambda x: Sequential(x),
    "scale": lambda s: VarianceScaling(s),
    "mode": lambda m: VarianceScaling(mode=m),
    "reduction": lambda r: MeanSquaredError(reduction=r),
    "loss": lambda x: Sequential().compile("sgd", x),
    "optimizer": lambda o: Sequential().compile(o, "mse"),
    "metrics": lambda m: Sequential().compile("sgd", "mse", metrics=m),
}
WRONG_VALUES: list[tuple[str, Any]] = [
    *(("units", n) for n in (0, -1, 2.5, "3", True, None, NAN)),
    *(("rate", r) for r in (-0.1, 1.5, "half", None, NAN, True)),
    *(("learning rate", r) for r in (-0.1, NAN, INF, "fast", None, True, 1e39)),
    ("learning rate of RMSprop", -1),
    *(("momentum", m) for m in (1.0, -0.1, "much", NAN)),
    ("rho", 2),
    *(("epsilon", e) for e in (-1.0, "small", NAN)),
    *(("input", s) for s in ((0,), (-3,), (None,), "abc", None, 2.5, (2.5,))),
    *(("input_dim", n) for n in (0, -4, "4", 2.5)),
    *(("input_shape", s) for s in ((0,), (-4,), ("4",), (2.5,), 5.5)),
    *(("name", n) for n in ("a/b", "", "a\nb", "a\x00b", "x" * 1000, 5)),
    *(("dtype", d) for d in ("int32", "bfloat16", 32)),
    *(("layers", x) for x in (["dense"], [Dense], Dense(3), [None], 5)),
    *(("scale", s) for s in (0, -1, NAN, "1")),
    ("mode", "fan"),
    ("reduction", "average"),
    *(("loss", x) for x in (None, 5, print, Dense(3))),
    *(("optimizer", o) for o in (None, 3, print, Dense(3))),
    *(("metrics", m) for m in ("accuracy", [3], [None], 5)),
]


@pytest.mark.parametrize(
    ("setting", "value"), WRONG_VALUES, ids=lambda v: str(v)[:16].encode("unicode_escape").decode()
)
def test_a_senseless_setting_is_refused_where_it_is_given(setting: str, value: Any) -> None:
    with pytest.raises(NacreError) as caught:
        WRONG_SETTINGS[setting](value)
    wrong = value[0] if isinstance(value, list) else value
    assert repr(wrong)[:20] in str(caught.value) or str(wrong)[:20] in str(caught.value) or wrong is None


def test_the_same_layer_twice_is_refused() -> None:
    layer = Dense(4)
    with pytest.raises(UsageError, match="already"):
        Sequential([Input((4,)), layer, layer])


def test_an_input_in_the_middle_is_refused() -> None:
    with pytest.raises(UsageError, match="beginning"):
        Sequential([Input((4,)), Dense(3), Input((3,))])


def test_a_metric_twice_is_refused(make: Make) -> None:
    with pytest.raises(UsageError, match="same name"):
        make(metrics=["accuracy", "accuracy"]).fit(X, Y, verbose=0)


def test_a_failed_compile_leaves_the_settings_there_were(make: Make) -> None:
    model = make()
    optimizer = model.optimizer
    with pytest.raises(UnknownName):
        model.compile("sgd", "no such loss")
    assert model.optimizer is optimizer
    model.fit(X, Y, verbose=0)


# ------------------------------------------------------------------ in the wrong order


@pytest.mark.parametrize("verb", ["fit", "evaluate", "train_on_batch"])
def test_a_model_that_was_not_compiled_says_so(verb: str) -> None:
    with pytest.raises(NotBuiltError, match=r"compile"):
        getattr(Sequential([Input((4,)), Dense(3)]), verb)(X, Y)


@pytest.mark.parametrize(
    "ask",
    [Model.get_weights, Model.count_params, Model.summary, lambda m: m.set_weights([]), lambda m: m.output_shape],
    ids=["get_weights", "count_params", "summary", "set_weights", "output_shape"],
)
def test_a_model_without_weights_says_what_it_lacks(ask: Callable[[Sequential], Any]) -> None:
    with pytest.raises(NotBuiltError, match=r"Input"):
        ask(Sequential([Flatten(), Dense(3)]))


def test_a_model_without_layers_cannot_be_trained() -> None:
    model = Sequential()
    model.compile("sgd", "mse")
    with pytest.raises(UsageError, match="no layers"):
        model.fit(X, X)


def test_a_model_with_nothing_to_train_says_so() -> None:
    model = Sequential([Input((4,)), Activation("relu")])
    model.compile("sgd", "mse")
    with pytest.raises(UsageError, match="trained"):
        model.fit(X, X, verbose=0)


@pytest.mark.parametrize(
    "weights",
    [
        [],
        [np.zeros((4, 5))],
        [np.zeros((5, 4)), np.zeros(5), np.zeros((5, 3)), np.zeros(3)],
        [np.zeros((4, 5)), np.zeros(5), np.zeros((5, 3)), np.zeros(4)],
        [np.zeros((4, 5)), np.zeros(5), np.zeros((5, 3)), np.array(["a", "b", "c"])],
    ],
    ids=["none", "one", "transposed", "last wrong", "text"],
)
def test_weights_that_do_not_fit_change_nothing(make: Make, weights: list[Any]) -> None:
    model = make()
    before = [w.tobytes() for w in model.get_weights()]
    with pytest.raises(NacreError):
        model.set_weights(weights)
    assert [w.tobytes() for w in model.get_weights()] == before


# ------------------------------------------------------------------ training that diverges


@pytest.mark.parametrize("device", ["native", "reference", "xla"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_diverging_training_stops_with_finite_weights(device: str, shuffle: bool) -> None:
    model = Sequential([Input((4,)), Dense(5), Dense(1)])
    model.compile(SGD(1e25), "mse", device=device)
    with pytest.raises(NonFiniteLossError) as caught:
        model.fit(X, X[:, 0], batch_size=2, epochs=50, shuffle=shuffle, verbose=0)
    says(caught.value, "learning rate", "1e+25", "step")
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_a_diverging_step_leaves_the_weights_before_it() -> None:
    model = Sequential([Input((4,)), Dense(1)])
    model.set_weights([np.full((4, 1), 1e30), np.zeros(1)])
    model.compile("sgd", "mse")
    before = [w.tobytes() for w in model.get_weights()]
    with pytest.raises(NonFiniteLossError):
        model.train_on_batch(X, X[:, 0])
    assert [w.tobytes() for w in model.get_weights()] == before
    assert model.optimizer.iterations == 0


def test_scores_of_any_size_are_no_divergence() -> None:
    model = Sequential([Input((2,)), Dense(2, activation="softmax")])
    model.set_weights([np.eye(2) * 1e10, np.zeros(2)])
    model.compile("sgd", SPARSE)
    assert np.isfinite(model.evaluate([[1, 0], [0, 1]], [0, 0], verbose=0))
    bits = Sequential([Input((2,)), Dense(1, activation="sigmoid")])
    bits.set_weights([[[1e10], [-1e10]], [0.0]])
    bits.compile("sgd", BinaryCrossentropy())
    assert np.isfinite(bits.evaluate([[1, 0], [0, 1]], [0, 0], verbose=0))


HUGE = """
import resource, numpy as np, nacre
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
def refused(ask):
    try: ask()
    except MemoryError as e: print(e)
for units in (2**20, 2**33):
    refused(nacre.Sequential([nacre.layers.Dense(units, input_dim=units)]).get_weights)
model = nacre.Sequential([nacre.layers.Dense(4000, input_dim=2)])
refused(lambda: model.predict(np.zeros((90000, 2), "f4"), batch_size=90000))
"""


def test_what_does_not_fit_into_memory_is_named_with_its_bytes() -> None:
    run = subprocess.run([sys.executable, "-c", HUGE], capture_output=True, text=True, check=True, timeout=60)
    lines = run.stdout.splitlines()
    assert "4,398,046,511,104 bytes" in lines[0]
    assert "295,147,905,179,352,825,856 bytes" in lines[1]
    assert "90,000 rows" in lines[2]
    assert "smaller batches" in lines[2]


# ------------------------------------------------------------------ outputs and losses that do not fit

SCE, CCE, BCE = (
    losses.SparseCategoricalCrossentropy,
    losses.CategoricalCrossentropy,
    losses.BinaryCrossentropy,
)


@pytest.mark.parametrize(
    ("last", "loss", "said"),
    [
        (
            lambda: Dense(3, name="out"),
            SCE(),
            "'out' gives scores .linear.* end with a softmax, or say from_logits=True",
        ),
        (lambda: Dense(3, "relu"), CCE(), "gives scores .relu.* end with a softmax"),
        (lambda: Dense(1), BCE(), "end with a sigmoid"),
        (lambda: Dense(3, "softmax"), SCE(from_logits=True), "leave out from_logits=True"),
        (lambda: Softmax(), CCE(from_logits=True), "leave out from_logits=True"),
        (lambda: Dense(1, "sigmoid"), BCE(from_logits=True), "leave out from_logits=True"),
        (lambda: Dense(3, "sigmoid"), CCE(), "do not add up to 1"),
        (lambda: Activation("sigmoid"), SCE(), "do not add up to 1"),
        (lambda: Dense(1, "softmax"), BCE(), "1 for every row"),
        (lambda: Dense(3, "softmax"), BCE(), "asks of each class by itself"),
    ],
)
def test_compile_warns_of_a_crossentropy_that_does_not_fit_the_end(last: Any, loss: Any, said: str) -> None:
    a = Input((3,))
    for model in (Sequential([last()]), Sequential([Input((3,)), last()]), Model(a, last()(a))):
        with pytest.warns(UserWarning, match=said) as met:
            model.compile("sgd", loss)
        assert [one.filename for one in met] == [__file__]
        model.compile_from_config(model.get_compile_config())  # said once; warnings are errors here


@pytest.mark.parametrize(
    ("last", "loss"),
    [
        (lambda: Dense(3, "softmax"), SCE()),
        (lambda: Dense(3), SCE(from_logits=True)),
        (lambda: Dense(1, "sigmoid"), BCE()),
        (lambda: Dense(3, "sigmoid"), BCE()),
        (lambda: Dense(3, "softmax"), "mse"),  # Brier's score
        (lambda: Dense(3, lambda z: z), SCE()),  # nobody knows what it gives
        (lambda: Rescaling(0.5), SCE()),
    ],
)
def test_compile_says_nothing_where_the_end_fits_or_is_not_known(last: Any, loss: Any) -> None:
    Sequential([Input((3,)), last()]).compile("sgd", loss)


def test_each_output_is_looked_at_by_itself() -> None:
    a = Input((3,))
    model = Model(a, [Dense(2, "softmax")(a), Dense(2, name="second")(a)])
    with pytest.warns(UserWarning, match="'second' gives scores") as met:
        model.compile("sgd", [SCE(), SCE()])
    assert len(met) == 1
