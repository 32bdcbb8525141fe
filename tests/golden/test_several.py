"""Models with several inputs and outputs train, and call their figures, as in Keras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nacre
from nacre import Input, Model, layers
from nacre.errors import DataError, ShapeError, UsageError
from nacre.models import load_model

KERAS = json.loads((Path(__file__).parent / "several.json").read_text())
DATA = {name: np.asarray(array, "int32" if name == "kind" else "float32") for name, array in KERAS["data"].items()}


def network(numbers: bool = False) -> Model:
    a, b = Input((5,), name="a"), Input((3,), name="b")
    hidden = layers.Concatenate(name="joined")([layers.Dense(4, activation="tanh", name="left")(a), b])
    kind = layers.Dense(1 if numbers else 3, activation=None if numbers else "softmax", name="kind")(hidden)
    size = layers.Dense(1, name="size")(layers.Dense(6, activation="relu", name="deeper")(hidden))
    return Model([a, b], [kind, size])


def given(case: dict[str, Any], rows: slice) -> dict[str, Any]:
    part = {name: array[rows] for name, array in DATA.items()}
    if case.get("numbers"):
        part["kind"] = part["kind"].astype("float32")[:, None]
    found: dict[str, Any] = {"x": [part["a"], part["b"]], "y": [part["kind"], part["size"]]}
    if isinstance(case["loss"], dict):
        found = {"x": {"b": part["b"], "a": part["a"]}, "y": {"size": part["size"], "kind": part["kind"]}}
    if isinstance(case["loss"], list) and None in case["loss"]:
        found["y"] = part["kind"]
    if case.get("weights") == "each":
        found["sample_weight"] = {"size": part["w_size"], "kind": part["w_kind"]}
    if case.get("weights") == "one":
        found["sample_weight"] = part["w_kind"]
    return found


def compiled(case: dict[str, Any], **settings: Any) -> Model:
    model = network(bool(case.get("numbers")))
    told = {k: v for k, v in case.items() if k in ("loss", "loss_weights", "metrics", "weighted_metrics")}
    model.compile(nacre.optimizers.SGD(0.05), **told, **settings)
    return model


@pytest.mark.parametrize("device", ["native", "reference"])
@pytest.mark.parametrize("name", KERAS["cases"])
def test_a_model_with_several_ends_trains_as_in_keras(name: str, device: str) -> None:
    golden = KERAS["cases"][name]
    case = golden["case"]
    model = compiled(case, device=device)
    model.set_weights([np.asarray(w, "float32") for w in golden["begin"]])
    data, judge = given(case, slice(0, 10)), given(case, slice(10, 14))
    history = model.fit(
        **data, batch_size=4, epochs=3, shuffle=False, verbose=0, validation_data=tuple(judge.values())
    ).history
    assert set(history) == set(golden["history"])
    for key, figures in golden["history"].items():
        assert np.allclose(history[key], figures, rtol=1e-5, atol=1e-6), key
    evaluated = model.evaluate(**judge, verbose=0, return_dict=True)
    assert evaluated == pytest.approx(golden["evaluated"], rel=1e-5, abs=1e-6)
    for mine, theirs in zip(model.get_weights(), golden["end"], strict=True):
        assert np.allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    for mine, theirs in zip(model.predict(data["x"], verbose=0), golden["predicted"], strict=True):
        assert np.allclose(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", KERAS["cases"])
def test_it_goes_on_from_its_file(name: str, tmp_path: Path) -> None:
    case = KERAS["cases"][name]["case"]
    model, data = compiled(case), given(case, slice(0, 10))
    model.fit(**data, verbose=0)
    model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    found = [m.fit(**data, epochs=2, batch_size=3, verbose=0).history for m in (model, again)]
    assert found[0] == found[1]
    assert [w.tobytes() for w in model.get_weights()] == [w.tobytes() for w in again.get_weights()]


def test_data_come_in_every_form_that_keras_takes(tmp_path: Path) -> None:
    case = KERAS["cases"]["dictionaries"]["case"]
    ways: list[dict[str, Any]] = []
    a, b, kind, size = (DATA[name] for name in ("a", "b", "kind", "size"))
    ways += [{"x": [a, b], "y": [kind, size]}, {"x": (a, b), "y": (kind, size)}]
    ways += [{"x": {"a": a, "b": b}, "y": {"kind": kind, "size": size}}]
    ways += [{"x": [([a[n : n + 7], b[n : n + 7]], [kind[n : n + 7], size[n : n + 7]]) for n in (0, 7)]}]
    ways += [{"x": [({"b": b[n : n + 7], "a": a[n : n + 7]}, (kind[n : n + 7], size[n : n + 7])) for n in (0, 7)]}]
    found = set()
    for way in ways:
        nacre.utils.set_random_seed(1)
        model = compiled(case)
        arrays = isinstance(way["x"], dict) or len(way) == 2
        model.fit(**way, **({"batch_size": 7, "shuffle": False} if arrays else {}), epochs=2, verbose=0)
        found.add(b"".join(w.tobytes() for w in model.get_weights()))
    assert len(found) == 1
    both = model.predict({"a": a, "b": b}, verbose=0)
    stream = model.predict([({"a": a[:7], "b": b[:7]},), ([a[7:], b[7:]],)], verbose=0)
    assert all(np.array_equal(x, y) for x, y in zip(both, stream, strict=True))


def test_the_names_of_a_dictionary_are_those_of_the_outputs() -> None:
    a = Input((5,))
    wide = layers.Dense(4)
    model = Model({"rows": a}, {"wide": wide(a), "narrow": layers.Dense(2)(a), "again": wide(a * a)})
    assert (model.input_names, model.output_names) == (["rows"], ["wide", "narrow", "again"])
    assert model.output_shape == [(None, 4), (None, 2), (None, 4)]
    found = model.predict({"rows": DATA["a"]}, verbose=0)
    assert {name: y.shape for name, y in found.items()} == {"wide": (14, 4), "narrow": (14, 2), "again": (14, 4)}
    model.compile("sgd", {"narrow": "mse"})
    history = model.fit(DATA["a"], {"narrow": DATA["a"][:, :2]}, verbose=0).history
    assert list(history) == ["loss"]
    assert model.evaluate(DATA["a"], [DATA["a"][:, :2]], verbose=0) == model.evaluate(
        [DATA["a"]], DATA["a"][:, :2], verbose=0
    )
    listed = Model(a, [wide(a), wide(a + a)])
    assert listed.output_names == [wide.name, f"{wide.name}_1"]
    inner = listed(Input((5,)))
    assert [symbol.shape for symbol in inner] == [(None, 4), (None, 4)]


def test_splits_weights_and_gradients_go_with_all_columns() -> None:
    case = KERAS["cases"]["lists"]["case"]
    model, data = compiled(case), given(case, slice(0, 14))
    history = model.fit(**data, validation_split=0.25, epochs=2, verbose=0).history
    assert {"val_loss", "val_kind_loss", "val_size_mae"} <= set(history)
    assert nacre.gradcheck(model, data["x"], data["y"])
    rows = model.gradients(**data, per_sample=True)["kind/bias"]
    whole = model.gradients(**data)["kind/bias"]
    assert np.allclose(rows.mean(0), whole, atol=1e-6)
    figures = model.evaluate(**data, verbose=0)
    assert len(figures) == 5
    assert model.train_on_batch(data["x"], data["y"], return_dict=True).keys() == {
        "loss", "kind_loss", "size_loss", "kind_accuracy", "size_mae",
    }  # fmt: skip
    steps, _ = model.plan(data["x"], data["y"], batch_size=4)
    assert steps


def test_targets_of_outputs_that_are_not_trained_may_be_there() -> None:
    found = []
    kind, size = DATA["kind"], DATA["size"]
    for y in (kind, [kind], [kind, size], [kind, None], {"kind": kind}, {"size": size, "kind": kind}):
        model = compiled(KERAS["cases"]["untrained output"]["case"])
        model.set_weights([np.full(w.shape, 0.1, "float32") for w in model.get_weights()])
        found.append(model.fit([DATA["a"], DATA["b"]], y, shuffle=False, verbose=0).history["loss"])
    assert all(losses == found[0] for losses in found)
    one = nacre.Sequential([Input((5,)), layers.Dense(1)])
    one.compile("sgd", "mse")
    assert one.evaluate([DATA["a"]], [size], sample_weight=[DATA["w_size"]], verbose=0) == one.evaluate(
        DATA["a"], size, sample_weight=DATA["w_size"], verbose=0
    )


def test_figures_come_in_the_order_in_which_keras_has_them() -> None:
    model = network(True)
    model.compile("sgd", "mse", metrics=[["mae"], ["mse"]], weighted_metrics=[["mae"], []])
    figures = model.evaluate([DATA["a"], DATA["b"]], [DATA["size"], DATA["size"]], verbose=0, return_dict=True)
    names = ["loss", "kind_loss", "size_loss", "kind_mae", "kind_weighted_mae", "size_mse"]
    assert [name.replace("mean_absolute_error", "mae") for name in figures] == names


def test_a_learning_rate_is_found_for_several_inputs_and_outputs() -> None:
    model = compiled(KERAS["cases"]["lists"]["case"])
    found = nacre.find_learning_rate(model, [DATA["a"], DATA["b"]], [DATA["kind"], DATA["size"]], batch_size=5)
    assert found.suggestion > 0


X = [DATA["a"], DATA["b"]]
Y = [DATA["kind"], DATA["size"]]


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        (lambda m: m.fit(DATA["a"], Y), UsageError, "x is one ndarray, but the model has 2 inputs"),
        (lambda m: m.fit([DATA["a"]], Y), UsageError, "x has 1 entries, but the model has 2 inputs"),
        (lambda m: m.fit({"a": DATA["a"], "c": DATA["b"]}, Y), UsageError, "the input 'c', which"),
        (lambda m: m.fit({"a": DATA["a"]}, Y), UsageError, "x is missing for the input 'b'"),
        (lambda m: m.fit(X, DATA["kind"]), UsageError, "y is one ndarray, but"),
        (lambda m: m.fit(X, {"kind": DATA["kind"]}), UsageError, "y is missing for the output 'size'"),
        (lambda m: m.fit([DATA["a"][:3], DATA["b"]], Y), DataError, r"x\['a'\] has 3 rows, but x\['b'\] has 14"),
        (lambda m: m.fit(X[::-1], Y), ShapeError, "The input 'a' expects 5 features, got 3"),
        (lambda m: m.fit(X, [DATA["kind"] + 1, DATA["size"]]), DataError, "Label 3"),
        (lambda m: m.fit(X, Y, class_weight={0: 2.0}), UsageError, "one output"),
        (lambda m: m.fit(X, Y, sample_weight={"kinds": DATA["w_kind"]}), UsageError, "the output 'kinds'"),
        (lambda m: m.compile("sgd", ["mse"]), UsageError, "loss has 1 entries"),
        (lambda m: m.compile("sgd", [None, None]), UsageError, "at least one output"),
        (lambda m: m.compile("sgd", "mse", loss_weights=0.5), UsageError, "loss_weights is one float"),
        (lambda m: m.compile("sgd", "mse", loss_weights=[1.0, "x"]), UsageError, "A loss weight is a number"),
        (lambda m: m.compile("sgd", "mse", metrics=["accuracy"]), UsageError, "metrics has 1 entries"),
        (lambda m: m.compile("sgd", {"sise": "mse"}), UsageError, "did you mean 'size'"),
    ],
)
def test_mistakes_are_named(act: Any, kind: type[Exception], words: str) -> None:
    model = compiled(KERAS["cases"]["lists"]["case"])
    before = [w.tobytes() for w in model.get_weights()]
    with pytest.raises(kind, match=words):
        act(model)
    assert [w.tobytes() for w in model.get_weights()] == before
