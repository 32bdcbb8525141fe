"""Files of Keras, with Keras itself as the witness: what it wrote predicts here what it predicts there, and the other way round."""

from __future__ import annotations

import inspect
import io
import json
import os
import sys
import zipfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import h5py
import keras
import numpy as np
import pytest
from click.testing import CliRunner

import nacre
from nacre import constraints, initializers, losses, metrics, optimizers, regularizers
from nacre.cli import main
from nacre.configured import Configured, serialize
from nacre.errors import Limitation, ModelFileError, UsageError
from nacre.exchange import hdf5
from nacre.exchange.keras import read
from nacre.exchange.keras_words import LAYERS, NOT_KERAS, of, thing
from nacre.optimizers import schedules

pytestmark = [
    # Keras asks its own weights for arrays in a way that NumPy has come to dislike,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    # and says it if the optimizer in a file begins anew.
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]

L = keras.layers
RNG = np.random.default_rng(11)

# For each layer that nacre reads, how Keras makes it, and the shape of what comes in, or their shapes.
CASES = {
    "Activation": (lambda: L.Activation("gelu"), (4,)),
    "ActivityRegularization": (lambda: L.ActivityRegularization(l1=0.1), (4,)),
    "Add": (L.Add, [(4,), (4,)]),
    "AlphaDropout": (lambda: L.AlphaDropout(0.5, seed=2), (4,)),
    "Average": (L.Average, [(4,), (4,), (4,)]),
    "BatchNormalization": (lambda: L.BatchNormalization(epsilon=0.01, momentum=0.9), (3, 4)),
    "CategoryEncoding": (lambda: L.CategoryEncoding(6, output_mode="count"), (5,)),
    "Concatenate": (lambda: L.Concatenate(axis=1), [(2, 3), (1, 3)]),
    "Dense": (lambda: L.Dense(5, "softmax", kernel_regularizer="l1l2", bias_constraint="non_neg"), (2, 4)),
    "Discretization": (lambda: L.Discretization(bin_boundaries=[-0.5, 0.0, 1.0], output_mode="one_hot"), (4, 1)),
    "Dot": (lambda: L.Dot(axes=1, normalize=True), [(4,), (4,)]),
    "Dropout": (lambda: L.Dropout(0.5, seed=3, noise_shape=(None, 1)), (4,)),
    "ELU": (lambda: L.ELU(0.5), (4,)),
    "Embedding": (lambda: L.Embedding(6, 3), (5,)),
    "Flatten": (L.Flatten, (2, 3)),
    "GaussianDropout": (lambda: L.GaussianDropout(0.5), (4,)),
    "GaussianNoise": (lambda: L.GaussianNoise(0.5), (4,)),
    "Identity": (L.Identity, (4,)),
    "InputLayer": (L.Identity, (3, 2)),
    "LayerNormalization": (lambda: L.LayerNormalization(axis=(1, 2), epsilon=0.02), (3, 4)),
    "LeakyReLU": (lambda: L.LeakyReLU(0.1), (4,)),
    "Maximum": (L.Maximum, [(4,), (4,)]),
    "Minimum": (L.Minimum, [(4,), (4,)]),
    "Multiply": (L.Multiply, [(4,), (4,)]),
    "Normalization": (lambda: L.Normalization(axis=-1), (3, 4)),
    "PReLU": (lambda: L.PReLU(shared_axes=[1]), (3, 4)),
    "Permute": (lambda: L.Permute((2, 1)), (3, 4)),
    "RMSNormalization": (L.RMSNormalization, (4,)),
    "ReLU": (lambda: L.ReLU(max_value=1.5, negative_slope=0.2, threshold=0.1), (4,)),
    "RepeatVector": (lambda: L.RepeatVector(3), (4,)),
    "Rescaling": (lambda: L.Rescaling(0.5, 1.0), (4,)),
    "Reshape": (lambda: L.Reshape((2, -1)), (4,)),
    "Softmax": (lambda: L.Softmax(axis=(1, 2)), (3, 4)),
    "Subtract": (L.Subtract, [(4,), (4,)]),
    "UnitNormalization": (L.UnitNormalization, (4,)),
}
WHOLE = ("CategoryEncoding", "Embedding")  # layers of whole numbers


def rows(model, whole=False):
    """Some rows for each input of a model of Keras's."""
    shapes = [(6, *symbol.shape[1:]) for symbol in model.inputs]
    return [
        RNG.integers(0, 6, s).astype("int32") if whole else RNG.standard_normal(s).astype("float32") for s in shapes
    ]


def filled(model):
    """The model of Keras's, with other weights than those it began with."""
    for weight in model.weights:
        if "float" in str(weight.dtype):
            weight.assign(RNG.uniform(0.5, 1.5, weight.shape))
    return model


def outputs(model, xs):
    """What a model of Keras's or nacre's gives for some rows, as a list of arrays."""
    x = xs[0] if len(xs) == 1 else xs
    y = model.predict(x, verbose=0) if isinstance(model, nacre.Model) else model(x)
    y = list(y.values()) if isinstance(y, dict) else y if isinstance(y, list) else [y]
    return [np.asarray(one) for one in y]


def same(model, other, xs, tolerance=1e-5):
    """Demand equal outputs of two models."""
    for one, two in zip(outputs(model, xs), outputs(other, xs), strict=True):
        np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance)


def there_and_back(model, folder, xs):
    """Demand that a model of Keras's predicts the same here, out of each kind of file, and there again, written by nacre."""
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    for name in ("model.keras", "model.h5"):
        same(model, nacre.models.load_model(folder / name), xs)
    made = read(folder / "model.keras")
    made.export(folder / "back.keras")
    same(model, keras.saving.load_model(folder / "back.keras"), xs)
    return made


# ------------------------------------------------------------------ layers and models


def test_there_is_a_case_for_each_layer():
    assert set(CASES) | {"IntegerLookup"} == set(LAYERS)  # Keras's needs TensorFlow; it has golden files


@pytest.mark.parametrize("name", CASES)
def test_a_layer_predicts_the_same_here_and_there(name, tmp_path):
    make, shapes = CASES[name]
    dtype = "int32" if name in WHOLE else "float32"
    inputs = [keras.Input(shape, dtype=dtype) for shape in (shapes if isinstance(shapes, list) else [shapes])]
    layer, x = make(), inputs if len(inputs) > 1 else inputs[0]
    model = filled(keras.Model(x, layer(x)))
    if name == "Normalization":
        layer.finalize_state()
    there_and_back(model, tmp_path, rows(model, name in WHOLE))


# Of sparsemax in Keras 3.15, rows do not sum to 1; threshold is given its arguments, and step is nacre's.
ACTIVATIONS = [n for n in nacre.activations.__all__ if n not in ("get", "sparsemax", "step", "threshold")]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_is_the_same_function_here_and_there(name, tmp_path):
    model = keras.Sequential([keras.Input((6,)), L.Activation(name)])
    model.save(tmp_path / "model.keras")
    same(model, read(tmp_path / "model.keras"), [np.linspace(-4, 4, 30, dtype="float32").reshape(5, 6)])


def test_a_stack_keeps_names_settings_and_what_it_was_compiled_with(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4,), name="measured"),
            L.Dense(5, "relu", name="hidden", kernel_regularizer=keras.regularizers.L2(0.25)),
            L.BatchNormalization(trainable=False, name="norm"),
            L.Dense(3, "softmax", name="species", kernel_constraint=keras.constraints.MaxNorm(3)),
        ]
    )
    rate = keras.optimizers.schedules.ExponentialDecay(0.125, 10, 0.5)
    model.compile(
        keras.optimizers.Adam(rate, beta_1=0.75, clipnorm=1.0),
        keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(k=2)],
    )
    made = there_and_back(filled(model), tmp_path, rows(model))
    assert [layer.name for layer in made.layers] == ["hidden", "norm", "species"]
    assert (made.get_layer("hidden").kernel_regularizer.l2, made.get_layer("species").kernel_constraint.max_value) == (
        0.25,
        3,
    )
    assert not made.get_layer("norm").trainable
    assert (made.optimizer.learning_rate, made.optimizer.beta_1, made.optimizer.clipnorm) == (0.125, 0.75, 1.0)
    x, y = rows(model)[0], np.array([0, 1, 2, 0, 1, 2])
    there = model.evaluate(x, y, verbose=0)
    for name in ("model.keras", "model.h5"):
        found = nacre.models.load_model(tmp_path / name).evaluate(x, y, verbose=0)
        np.testing.assert_allclose(found, there, rtol=1e-5)
    again = keras.saving.load_model(tmp_path / "back.keras")
    np.testing.assert_allclose(again.evaluate(x, y, verbose=0), there, rtol=1e-5)
    assert type(again.optimizer.learning_rate) is not None
    assert again.optimizer.get_config()["learning_rate"] == keras.saving.serialize_keras_object(rate)
    with pytest.raises(Limitation, match="custom_objects"):
        nacre.models.load_model(tmp_path / "model.keras", {"Dense": nacre.layers.Dense})
    with pytest.raises(nacre.errors.NotBuiltError, match="not been compiled"):
        _ = nacre.models.load_model(tmp_path / "model.keras", compile=False).optimizer


def test_what_does_not_learn_there_does_not_learn_here(tmp_path):
    inner = keras.Sequential([keras.Input((4,)), L.Dense(4), L.Dense(4)], name="inner")
    model = keras.Sequential([keras.Input((4,)), inner, L.Dense(2, name="last")])
    inner.trainable = False
    model.save(tmp_path / "model.keras")
    made = read(tmp_path / "model.keras")
    assert [w.name for w in made.trainable_weights] == ["last/kernel", "last/bias"]
    made.export(tmp_path / "back.keras")
    assert len(keras.saving.load_model(tmp_path / "back.keras").trainable_weights) == 2
    model.trainable = False
    model.save(tmp_path / "model.h5")
    assert not read(tmp_path / "model.h5").trainable_weights


def test_a_model_that_is_read_goes_on_training(tmp_path):
    model = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    model.compile(keras.optimizers.SGD(0.25), "mse")
    model.save(tmp_path / "model.keras")
    made = read(tmp_path / "model.keras")
    x, y = rows(model)[0], RNG.standard_normal((6, 3)).astype("float32")
    model.fit(x, y, batch_size=6, epochs=3, shuffle=False, verbose=0)
    made.fit(x, y, batch_size=6, epochs=3, shuffle=False, verbose=0)
    same(model, made, [x])


def branches():
    """Branches of one shape, a shared layer, models inside that are called twice or have two outputs."""
    x, z = keras.Input((4,), name="x"), keras.Input((4,), name="z")
    shared, u = L.Dense(4, "tanh", name="shared"), keras.Input((4,))
    inner = keras.Model(u, L.Dense(4, "tanh")(L.Dense(4, "tanh")(u)), name="inner")
    stack = keras.Sequential([keras.Input((4,)), L.Dense(4), L.Dense(4, "tanh")], name="stack")
    v = keras.Input((4,))
    two = keras.Model(v, [L.Dense(2)(v), L.Dense(3)(v)], name="two")
    left, right = L.Dense(4, "tanh")(shared(x)), L.Dense(4, "tanh")(z)
    a = inner(L.Subtract()([left, right]))
    b = inner(shared(a))
    one, other = two(stack(stack(b)))
    return x, z, a, b, one, other


def test_branches_shared_layers_and_models_in_models_are_wired_the_same(tmp_path):
    x, z, a, b, one, other = branches()
    model = filled(keras.Model([x, z], [b, L.Dense(1)(a), other, one, L.Concatenate()([one, x])]))
    made = there_and_back(model, tmp_path, rows(model))
    assert made.input_names == ["x", "z"]


def test_what_changes_pictures_in_training_is_passed_by_there(tmp_path):
    x = nacre.Input((6, 5, 1))
    y = nacre.layers.Identity()(nacre.layers.Augmentation("horizontal", shift=0.2)(nacre.layers.Rescaling(1 / 255)(x)))
    model = nacre.Model(x, nacre.layers.Dense(3, "softmax")(nacre.layers.Dense(4, "relu")(nacre.layers.Flatten()(y))))
    written = model.export(tmp_path / "model.keras")
    assert "Its pictures are not augmented in training: in the file, that layer does nothing." in written.notes
    found = keras.saving.load_model(tmp_path / "model.keras")
    assert [type(one).__name__ for one in found.layers[1:4]] == ["Rescaling", "Identity", "Identity"]
    pictures = [RNG.uniform(0, 255, (7, 6, 5, 1)).astype("float32")]
    same(model, found, pictures)
    same(model, read(tmp_path / "model.keras"), pictures)


def test_outputs_by_name_keep_their_names_and_losses(tmp_path):
    x, z, a, b, *_ = branches()
    model = filled(keras.Model({"x": x, "z": z}, {"height": L.Dense(1)(a), "kind": L.Dense(3, "softmax")(b)}))
    model.compile(
        "rmsprop",
        {"height": "mae", "kind": "sparse_categorical_crossentropy"},
        loss_weights={"height": 0.5, "kind": 2.0},
        metrics={"height": ["mse"], "kind": ["accuracy"]},
    )
    model.save(tmp_path / "model.keras")
    made = read(tmp_path / "model.keras")
    given = dict(zip(("x", "z"), rows(model), strict=True))
    there, here = model(given), made.predict(given)
    for name in ("height", "kind"):
        np.testing.assert_allclose(np.asarray(there[name]), here[name], rtol=1e-5, atol=1e-6)
    y = {"height": np.ones((6, 1), "float32"), "kind": np.array([0, 1, 2, 0, 1, 2])}
    expected = model.evaluate(given, y, verbose=0, return_dict=True)
    found = made.evaluate(given, y, verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert found["kind_accuracy"] == pytest.approx(expected["kind_accuracy"])
    made.export(tmp_path / "back.keras")
    again = keras.saving.load_model(tmp_path / "back.keras").evaluate(given, y, verbose=0, return_dict=True)
    assert again["loss"] == pytest.approx(expected["loss"], rel=1e-5)


def test_a_call_that_is_told_of_training_is_told_here(tmp_path):
    x = keras.Input((50,))
    keras.Model(x, L.Dropout(0.5)(x, training=True)).save(tmp_path / "model.keras")
    assert 0 < (read(tmp_path / "model.keras").predict(np.ones((2, 50), "float32"), verbose=0) == 0).sum() < 100


def test_weights_alone_go_into_a_model_of_the_same_layers(tmp_path):
    x, z, a, b, one, _ = branches()
    model = filled(keras.Model([x, z], [b, one, L.Dense(1)(a)]))
    model.save(tmp_path / "model.keras")
    made, other = read(tmp_path / "model.keras"), read(tmp_path / "model.keras")
    filled(model).save_weights(tmp_path / "model.weights.h5")
    model.save(tmp_path / "model.h5")
    for fresh, name in ((made, "model.weights.h5"), (other, "model.h5")):
        fresh.load_weights(tmp_path / name)
        same(model, fresh, rows(model))


def test_weights_of_another_model_are_refused_and_nothing_changes(tmp_path):
    keras.Sequential([keras.Input((4,)), L.Dense(3), L.Dense(2)]).save_weights(tmp_path / "w.weights.h5")
    for layers in ([3], [3, 1], [3, 2, 1]):
        model = nacre.Sequential([nacre.Input((4,)), *map(nacre.layers.Dense, layers)])
        before = model.get_weights()
        with pytest.raises(ModelFileError):
            model.load_weights(tmp_path / "w.weights.h5")
        assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


# ------------------------------------------------------------------ what models are compiled with

ROOMS = {
    "initializer": (initializers, keras.initializers),
    "regularizer": (regularizers, keras.regularizers),
    "constraint": (constraints, keras.constraints),
    "loss": (losses, keras.losses),
    "metric": (metrics, keras.metrics),
    "optimizer": (optimizers, keras.optimizers),
    "rate": (schedules, keras.optimizers.schedules),
}
ARGUMENTS = {
    "ExponentialDecay": (0.1, 10, 0.9),
    "InverseTimeDecay": (0.1, 10, 0.9),
    "PiecewiseConstantDecay": ([1, 5], [0.1, 0.2, 0.3]),
    "PolynomialDecay": (0.1, 10),
    "CosineDecay": (0.1, 10),
    "CosineDecayRestarts": (0.1, 10),
    "PrecisionAtRecall": (0.5,),
    "RecallAtPrecision": (0.5,),
    "SensitivityAtSpecificity": (0.5,),
    "SpecificityAtSensitivity": (0.5,),
}
BASES = ("Initializer", "Regularizer", "Constraint", "Loss", "Metric", "Optimizer", "LearningRateSchedule")
THINGS = [
    (kind, name)
    for kind, (room, _) in ROOMS.items()
    for name, one in vars(room).items()
    if inspect.isclass(one)
    and issubclass(one, Configured)
    and not name.startswith("_")
    and name not in ("Configured", *BASES)
]


@pytest.mark.parametrize(("kind", "name"), THINGS)
def test_what_keras_says_of_a_thing_means_the_same_here_and_back(kind, name):
    room, theirs = ROOMS[kind]
    if name in NOT_KERAS:
        assert not hasattr(theirs, name)
        return
    there = getattr(theirs, name)(*ARGUMENTS.get(name, ()))
    said = json.loads(json.dumps(keras.saving.serialize_keras_object(there)))
    here = thing(said, room)
    made = getattr(room, name).from_config(here["config"])
    module = {"loss": "keras.losses", "metric": "keras.metrics", "optimizer": "keras.optimizers"}.get(kind, "")
    back = keras.saving.deserialize_keras_object(json.loads(json.dumps(of(serialize(made), kind, module))))
    assert settled(keras.saving.serialize_keras_object(back)) == settled(keras.saving.serialize_keras_object(there))


def settled(said):
    """A description without names and with six digits: Keras keeps rates as float32."""
    if isinstance(said, dict):
        return {name: settled(one) for name, one in said.items() if name != "name"}
    if isinstance(said, list | tuple):
        return [settled(one) for one in said]
    return float(f"{said:.6g}") if isinstance(said, int | float) else said


# ------------------------------------------------------------------ files of other versions, as they wrote them

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = json.loads((GOLDEN / "keras_files.json").read_text())


def asked(name):
    """The rows that a golden file was asked about, and what it answered."""
    return [np.array(x) for x in FILES[name]["x"]], [np.array(y, "float32") for y in FILES[name]["y"]]


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_version_predicts_what_it_did_there(name, tmp_path):
    model, (xs, expected) = nacre.models.load_model(GOLDEN / "keras" / name), asked(name)
    model.export(tmp_path / "back.keras")
    for one in (model, read(tmp_path / "back.keras")):
        for found, y in zip(outputs(one, xs), expected, strict=True):
            np.testing.assert_allclose(found, y, rtol=1e-5, atol=1e-6)


def test_files_of_keras_2_say_what_models_were_compiled_with():
    stack = nacre.models.load_model(GOLDEN / "keras" / "2.12.0-stack.h5")
    assert stack.optimizer.learning_rate == pytest.approx(0.001)
    (x,), _ = asked("2.12.0-stack.h5")
    judged = stack.evaluate(x, np.array([0, 1, 2, 0, 1, 2]), verbose=0, return_dict=True)
    assert list(judged) == ["loss", "accuracy"]
    config = nacre.models.load_model(GOLDEN / "keras" / "2.12.0-branches.h5").optimizer.get_config()
    assert config["momentum"] == 0.5
    assert config["learning_rate"]["class_name"] == "InverseTimeDecay"
    rate = config["learning_rate"]["config"]
    assert (rate["initial_learning_rate"], rate["decay_steps"], rate["decay_rate"]) == (0.125, 1, 0.01)


# ------------------------------------------------------------------ lookups


def described(path):
    """The configurations of the lookups in a file, by their names."""
    with zipfile.ZipFile(path) as archive:
        pending, found = [json.loads(archive.read("config.json"))], {}
    while pending:
        for one in pending.pop()["config"]["layers"]:
            pending += [one] if one["class_name"] == "Sequential" else []
            if one["class_name"] == "IntegerLookup":
                found[one["config"]["name"]] = one["config"]
    return found


def test_lookups_are_written_with_the_arguments_that_keras_knows(tmp_path):
    path = GOLDEN / "keras" / "3.15.1-lookups.keras"
    read(path).export(tmp_path / "back.keras")
    there, back = described(path), described(tmp_path / "back.keras")
    assert there.keys() == back.keys()
    assert sorted(one["vocabulary"] for one in back.values()) == [[4, 1], [5, 3, 2], [7, 9, 8]]
    for name, config in back.items():
        assert config.keys() <= there[name].keys()
        assert {key: there[name][key] for key in config if key not in ("dtype", "vocabulary")} == {
            key: value for key, value in config.items() if key not in ("dtype", "vocabulary")
        }


def lookup_members():
    with zipfile.ZipFile(GOLDEN / "keras" / "3.15.1-lookups.keras") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_large_terms_are_written_for_inputs_of_whole_numbers_only(tmp_path):
    def model(dtype):
        lookup = nacre.layers.IntegerLookup(vocabulary=[3, -(2**24) - 1], output_mode="one_hot")
        return nacre.Sequential([nacre.Input((1,), dtype=dtype), lookup, nacre.layers.Dense(2)])

    with pytest.raises(Limitation, match="16777217"):
        model(None).export(tmp_path / "a.keras")
    assert list(tmp_path.iterdir()) == []
    model("int32").export(tmp_path / "a.keras")
    x = np.array([[3], [-(2**24) - 1], [-(2**24)]])
    one_hot = nacre.models.load_model(tmp_path / "a.keras").layers[0](x)
    np.testing.assert_array_equal(one_hot, [[0, 1, 0], [0, 0, 1], [1, 0, 0]])


def test_a_term_that_is_also_the_word_for_unknown_ones_is_a_term(tmp_path):
    said = json.loads((members := lookup_members())["config.json"])
    given = next(one for one in said["config"]["layers"] if one["config"].get("vocabulary"))
    given["config"] |= {"vocabulary": [5, -1, 3], "vocabulary_size": 4}
    path = packed(tmp_path / "a.keras", members | {"config.json": json.dumps(said).encode()})
    found = read(path).get_layer(given["config"]["name"])
    np.testing.assert_array_equal(found([[-1, -1], [5, 7], [3, 3]]), [[0, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("said", "change"),
    [
        ("term 2147483648", {"vocabulary": [1, 2, 2**31]}),
        ("num_oov_indices", {"num_oov_indices": 2, "vocabulary": [1]}),
        ("tf_idf", {"output_mode": "tf_idf"}),
        ("idf_weights", {"idf_weights": [1.0]}),
        ("farmhash", {"oov_method": "farmhash"}),
        ("sparse", {"sparse": True}),
        ("invert", {"invert": True, "output_mode": "int"}),
        ("found its vocabulary by adapt", {"vocabulary": None}),
    ],
)
def test_lookups_that_nacre_cannot_hold_are_refused_by_what_they_have(said, change, tmp_path):
    config = json.loads((members := lookup_members())["config.json"])
    given = next(one for one in config["config"]["layers"] if one["config"].get("vocabulary"))
    given["config"] |= change
    with pytest.raises(Limitation, match=said):
        read(packed(tmp_path / "a.keras", members | {"config.json": json.dumps(config).encode()}))


def test_a_model_that_takes_words_is_refused_and_its_weights_go_into_the_model_behind_it(tmp_path):
    members = {name.replace("integer_lookup", "string_lookup"): content for name, content in lookup_members().items()}
    members["config.json"] = members["config.json"].replace(b'"IntegerLookup"', b'"StringLookup"')
    path = packed(tmp_path / "words.keras", members)
    with pytest.raises(Limitation, match=r"StringLookup.*\n.*load_weights"):
        read(path)
    behind = read(GOLDEN / "keras" / "3.15.1-lookups.keras")
    for weight in behind.weights:
        weight.assign(np.zeros(weight.shape))
    behind.load_weights(path)
    xs, expected = asked("3.15.1-lookups.keras")
    np.testing.assert_allclose(outputs(behind, xs), expected, rtol=1e-5)


def test_vocabularies_that_are_damaged_too_large_or_of_no_layer_are_refused(tmp_path):
    members, path = lookup_members(), tmp_path / "bad.keras"
    place = "assets/layers/integer_lookup/vocabulary.txt"
    assert place in members
    for text in (b"-1\n7\n7", b"-1\nseven", b"\xff", b"9" * 5000, b"0\n" * (9 << 20)):
        with pytest.raises(ModelFileError):
            read(packed(path, members | {place: text}))
    for text in (b"", b"\n\n"):
        with pytest.raises(Limitation, match="found its vocabulary by adapt"):
            read(packed(path, members | {place: text}))
    for elsewhere in ("assets/layers/dense/vocabulary.txt", "assets/../../vocabulary.txt", "assets//vocabulary.txt"):
        with pytest.raises(ModelFileError, match="no lookup there"):
            read(packed(path, members | {elsewhere: b"1"}))
    with pytest.raises(ModelFileError, match="made of"):
        read(packed(path, members | {place: b"\n" * (1 << 20)}, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(packed(path, members), "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(place, b"5")
    with pytest.raises(ModelFileError, match="each once"):
        read(path)


# ------------------------------------------------------------------ Keras 2


def of_keras_2(path, config, weights, kind="Sequential", training=None):
    """A file as tf.keras 2 laid it out, as far as that is written down: layers by their names, weights by theirs."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = np.bytes_("2.11.0")
        file.attrs["backend"] = np.bytes_("tensorflow")
        file.attrs["model_config"] = json.dumps({"class_name": kind, "config": config})
        if training:
            file.attrs["training_config"] = json.dumps(training)
        for name, array in weights.items():
            file[f"model_weights/{name}"] = array
        file["model_weights"].attrs["layer_names"] = [name.split("/")[0].encode() for name in weights]


def dense_2(name, units, activation="linear", **more):
    glorot = {"class_name": "GlorotUniform", "config": {"seed": None}}
    config = {"name": name, "trainable": True, "dtype": "float32", "units": units, "activation": activation}
    config |= {
        "use_bias": True,
        "kernel_initializer": glorot,
        "bias_initializer": {"class_name": "Zeros", "config": {}},
    }
    return {"class_name": "Dense", "config": config | {"kernel_regularizer": None, "activity_regularizer": None} | more}


def input_2(name, size):
    config = {"batch_input_shape": [None, size], "dtype": "float32", "sparse": False, "ragged": False, "name": name}
    return {"class_name": "InputLayer", "config": config}


def test_a_stack_of_keras_2_is_read(tmp_path):
    w = {n: RNG.standard_normal(s).astype("float32") for n, s in (("k", (4, 3)), ("b", (3,)), ("m", (3,)), ("g", (3,)))}
    norm = {"name": "bn", "trainable": True, "dtype": "float32", "axis": [1], "momentum": 0.99, "epsilon": 0.001}
    config = {
        "name": "net",
        "layers": [dense_2("a", 3, batch_input_shape=[None, 4]), {"class_name": "BatchNormalization", "config": norm}],
    }
    config["layers"].append({"class_name": "LeakyReLU", "config": {"name": "leak", "dtype": "float32", "alpha": 0.25}})
    adam = {
        "class_name": "Adam",
        "config": {"name": "Adam", "learning_rate": 0.01, "decay": 0.0, "is_legacy_optimizer": False},
    }
    error = {"class_name": "MeanSquaredError", "config": {"reduction": "auto", "name": "mse"}}
    fn = {"class_name": "MeanMetricWrapper", "config": {"name": "mae", "dtype": "float32", "fn": "mean_absolute_error"}}
    of_keras_2(
        tmp_path / "old.h5",
        config,
        {
            "a/a/kernel:0": w["k"],
            "a/a/bias:0": w["b"],
            "bn/bn/gamma:0": w["g"],
            "bn/bn/beta:0": w["b"],
            "bn/bn/moving_mean:0": w["m"],
            "bn/bn/moving_variance:0": np.abs(w["m"]),
        },
        training={
            "loss": error,
            "metrics": [[fn]],
            "weighted_metrics": None,
            "loss_weights": None,
            "optimizer_config": adam,
        },
    )
    model = nacre.models.load_model(tmp_path / "old.h5")
    x = RNG.standard_normal((5, 4))
    z = (x @ w["k"] + w["b"] - w["m"]) / np.sqrt(np.abs(w["m"]) + 0.001) * w["g"] + w["b"]
    np.testing.assert_allclose(
        model.predict(x.astype("float32"), verbose=0), np.where(z > 0, z, z / 4), rtol=1e-4, atol=1e-5
    )
    assert (model.optimizer.learning_rate, model.metrics_names) == (0.01, ["loss", "mean_absolute_error"])


def test_a_model_in_a_model_of_keras_2_is_called_from_1_on(tmp_path):
    a, b = (RNG.standard_normal((3, 3)).astype("float32") for _ in "ab")
    zero = np.zeros(3, "float32")
    inner = {"class_name": "Functional", "name": "inner", "inbound_nodes": [[["x", 0, 0, {}]], [["d", 0, 0, {}]]]}
    inner["config"] = {
        "name": "inner",
        "layers": [
            input_2("u", 3) | {"name": "u", "inbound_nodes": []},
            dense_2("e", 3) | {"name": "e", "inbound_nodes": [[["u", 0, 0, {}]]]},
        ],
        "input_layers": [["u", 0, 0]],
        "output_layers": [["e", 0, 0]],
    }
    config = {
        "name": "model",
        "layers": [
            input_2("x", 3) | {"name": "x", "inbound_nodes": []},
            inner,
            dense_2("d", 3, "tanh") | {"name": "d", "inbound_nodes": [[["inner", 1, 0, {}]]]},
        ],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["inner", 2, 0], ["inner", 1, 0]],
    }
    weights = {"inner/e/kernel:0": a, "inner/e/bias:0": zero, "d/d/kernel:0": b, "d/d/bias:0": zero}
    of_keras_2(tmp_path / "old.h5", config, weights, kind="Functional")
    x = RNG.standard_normal((5, 3)).astype("float32")
    last, first = nacre.models.load_model(tmp_path / "old.h5").predict(x, verbose=0)
    np.testing.assert_allclose(first, x @ a, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(last, np.tanh(x @ a @ b) @ a, rtol=1e-4, atol=1e-5)


def test_the_hard_sigmoid_of_keras_2_is_refused_for_it_is_another_function(tmp_path):
    layers = [input_2("x", 1), dense_2("a", 1, "hard_sigmoid")]
    weights = {"a/a/kernel:0": np.ones((1, 1), "float32"), "a/a/bias:0": np.zeros(1, "float32")}
    of_keras_2(tmp_path / "old.h5", {"name": "net", "layers": layers}, weights)
    with pytest.raises(Limitation, match="Keras 2"):
        read(tmp_path / "old.h5")


# ------------------------------------------------------------------ what is refused


@pytest.fixture
def members(tmp_path):
    """The members of a small file of Keras's."""
    keras.Sequential([keras.Input((4,)), L.Dense(3, name="d")]).save(tmp_path / "small.keras")
    with zipfile.ZipFile(tmp_path / "small.keras") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def changed(path, members, change):
    """A file whose description of the Dense layer, or of the model, was changed."""
    said = json.loads(members["config.json"])
    change(said["config"]["layers"][1], said)
    return packed(path, members | {"config.json": json.dumps(said).encode()})


def test_other_members_links_and_compressed_ones_are_refused(members, tmp_path):
    path = tmp_path / "bad.keras"
    for more in ({"../../evil.py": b"1"}, {"model.weights.npz": b"1"}, {"assets/lookup/vocabulary.py": b"1"}):
        with pytest.raises(ModelFileError, match="not one of a Keras model"):
            read(packed(path, members | more))
    with pytest.raises(ModelFileError, match="no lookup there"):
        read(packed(path, members | {"assets/lookup/vocabulary.txt": b"/etc/passwd"}))
    with pytest.raises(ModelFileError, match="made of"):
        read(packed(path, members | {"config.json": b" " * (1 << 24)}, zipfile.ZIP_DEFLATED))
    del members["metadata.json"]
    with pytest.raises(ModelFileError, match=r"metadata\.json"):
        read(packed(path, members))


def test_a_flipped_bit_and_a_file_that_ends_early_are_refused(members, tmp_path):
    content = packed(tmp_path / "whole.keras", members).read_bytes()
    for damaged in (
        content[:-40],
        content[: len(content) // 2],
        content.replace(b"kernel_init", b"kernel_inid"),
        content[:4],
    ):
        (tmp_path / "bad.keras").write_bytes(damaged)
        with pytest.raises(ModelFileError):
            nacre.models.load_model(tmp_path / "bad.keras")


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("Lambda", lambda layer, _: layer.update(class_name="Lambda", config={"name": "d", "function": "exp"})),
        ("Conv2D", lambda layer, _: layer.update(class_name="Conv2D")),
        ("package>Dense", lambda layer, _: layer.update(registered_name="package>Dense")),
        ("os", lambda layer, _: layer.update(module="os", class_name="system")),
        ("my.code", lambda layer, _: layer.update(module="my.code")),
        ("keras.src.ops", lambda layer, _: layer.update(module="keras.src.ops.numpy", class_name="Add")),
        ("lora_rank=4", lambda layer, _: layer["config"].update(lora_rank=4)),
        ("surprise=1", lambda layer, _: layer["config"].update(surprise=1)),
        (
            "squash",
            lambda layer, _: layer["config"].update(
                activation={"class_name": "function", "config": "x", "registered_name": "squash"}
            ),
        ),
        (
            "eval",
            lambda layer, _: layer["config"].update(
                kernel_initializer={"class_name": "eval", "module": "builtins", "config": {}}
            ),
        ),
    ],
)
def test_parts_and_arguments_that_nacre_has_not_are_refused_by_name(members, tmp_path, what, change):
    with pytest.raises(Limitation, match=what):
        read(changed(tmp_path / "bad.keras", members, change))


@pytest.mark.parametrize(
    "change",
    [
        lambda layer, _: layer["config"].update(units=2),
        lambda layer, _: layer["config"].update(units=10**9),
        lambda layer, _: layer["config"].update(units=None),
        lambda layer, _: layer["config"].update(activation="reluu"),
        lambda layer, _: layer["config"].update(name="other"),
        lambda layer, _: layer["config"].update(name=["d"]),
        lambda layer, _: layer["config"].update(use_bias=False),
        lambda _, said: said["config"].update(layers=7),
        lambda _, said: said["config"]["layers"].clear(),
        lambda _, said: said["config"]["layers"].pop(),
        lambda _, said: said.pop("config"),
        lambda _, said: said.update(compile_config={"loss": "mse", "optimizer": "magic"}),
    ],
)
def test_a_description_that_does_not_fit_its_weights_is_refused(members, tmp_path, change):
    with pytest.raises(ModelFileError):
        read(changed(tmp_path / "bad.keras", members, change))


def test_what_keras_saves_and_nacre_cannot_hold_is_refused_by_name(tmp_path):
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(3)

        def call(self, inputs):
            return self.dense(inputs)

    own, x = Own(), keras.Input((4,))
    own(np.ones((1, 4), "float32"))
    for model, said in (
        (own, "'Own'"),
        (keras.Model(x, keras.ops.relu(x)), r"keras\.src\.ops"),
        (keras.Sequential([keras.Input((4, 2)), L.Conv1D(2, 2)]), "dense networks"),
        (keras.Sequential([keras.Input((None, 2)), L.Dense(2)]), "not all known"),
    ):
        model.save(tmp_path / "model.keras")
        with pytest.raises(Limitation, match=said):
            read(tmp_path / "model.keras")


def test_nonsense_in_place_of_a_description_is_refused(members, tmp_path):
    for text in (b"", b"[]", b"null", b"[" * 100_000, b'{"class_name": "Sequential"}', b"\xff"):
        with pytest.raises((ModelFileError, Limitation)):
            read(packed(tmp_path / "bad.keras", members | {"config.json": text}))


def test_a_layer_that_waits_for_itself_is_refused(tmp_path):
    x = keras.Input((4,), name="x")
    keras.Model(x, L.Dense(4, name="b")(L.Dense(4, name="a")(x))).save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["config.json"] = members["config.json"].replace(b'"keras_history": ["x"', b'"keras_history": ["b"')
    with pytest.raises(ModelFileError, match="waits for itself"):
        read(packed(tmp_path / "bad.keras", members))


def test_a_layer_in_the_model_and_in_one_inside_it_is_refused(tmp_path):
    shared, x = L.Dense(4), keras.Input((4,))
    inner = keras.Sequential([keras.Input((4,)), shared])
    keras.Model(x, inner(shared(x))).save(tmp_path / "model.keras")
    with pytest.raises(Limitation, match="in a model inside it"):
        read(tmp_path / "model.keras")


def with_external(file, folder):
    (folder / "secret").write_bytes(b"x" * 48)
    file.create_dataset("layers/dense/vars/0", (4, 3), "f4", external=[(str(folder / "secret"), 0, 48)])


def with_virtual(file, folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["x"] = np.ones((4, 3), "f4")
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "x", (4, 3))
    file.create_virtual_dataset("layers/dense/vars/0", layout)


def with_twice(file, _):
    file["layers/dense/vars/1"] = np.ones(3, "f4")
    file["layers/dense/vars/0"] = file["layers/dense/vars/1"]


HOSTILE = {
    "link to elsewhere": lambda file, _: file.update({"layers": h5py.ExternalLink("/etc/passwd", "/")}),
    "a link": lambda file, _: file.update({"layers": h5py.SoftLink("/elsewhere")}),
    "another file": with_external,
    "in pieces": with_virtual,
    "there twice": with_twice,
    "or in another": lambda file, _: file.create_dataset("a", (4, 3), "f4", chunks=(1, 3), data=np.ones((4, 3))),
    "lies in pieces": lambda file, _: file.create_dataset("a", (1 << 30,), "f4", compression="gzip"),
    "takes 4,294,967,296 bytes": lambda file, _: file.create_dataset("a", (1 << 30,), "f4"),
    "no array of numbers": lambda file, _: file.create_dataset("a", (2,), h5py.string_dtype()),
    "array of numbers": lambda file, _: file.create_dataset("a", (2,), h5py.ref_dtype),
    "is no array": lambda file, _: file.create_dataset("a", data=h5py.Empty("f4")),
    "is no text": lambda file, _: file.attrs.update({"model_config": [1, 2, 3]}),
    "too deep": lambda file, _: file.create_group("/".join("a" * 50)),
}


@pytest.mark.parametrize("said", HOSTILE)
def test_an_hdf5_file_that_points_elsewhere_or_claims_too_much_is_refused(said, tmp_path):
    with h5py.File(tmp_path / "bad.weights.h5", "w") as file:
        HOSTILE[said](file, tmp_path)
    model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(3)])
    with pytest.raises(ModelFileError, match=said):
        model.load_weights(tmp_path / "bad.weights.h5")


def test_a_layout_that_was_given_up_is_refused_as_such(tmp_path):
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file["_layer_checkpoint_dependencies/dense/vars/0"] = np.ones((4, 3), "f4")
    with pytest.raises(Limitation, match=r"2\.13"):
        nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(3)]).load_weights(tmp_path / "a.weights.h5")


def test_weights_alone_are_no_model(tmp_path):
    keras.Sequential([keras.Input((4,)), L.Dense(3)]).save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(ModelFileError, match="no model"):
        nacre.models.load_model(tmp_path / "w.weights.h5")


def test_without_h5py_it_is_said_how_to_get_it(members, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UsageError, match=r"pip install nacre\[hdf5\]"):
        read(packed(tmp_path / "a.keras", members))


# ------------------------------------------------------------------ writing


def test_the_same_model_gives_the_same_bytes(tmp_path):
    model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(3, "relu"), nacre.layers.Dense(1)])
    model.compile("adam", "mse")
    written = [model.export(tmp_path / name).path.read_bytes() for name in ("a.keras", "b.keras")]
    assert written[0] == written[1]
    assert written[0].startswith(b"PK")


def test_layers_that_keras_has_not_are_all_named(tmp_path):
    layers = nacre.layers
    model = nacre.Sequential([nacre.Input((4,)), layers.Residual(layers.Dense(4)), layers.Lambda(lambda x: x)])
    with pytest.raises(Limitation, match="Lambda, Residual"):
        model.export(tmp_path / "a.keras")
    with pytest.raises(Limitation, match="not nacre's own"):
        nacre.Sequential([nacre.Input((4,)), layers.Dense(3, "step")]).export(tmp_path / "a.keras")
    assert not list(tmp_path.iterdir())


def test_a_loss_that_keras_has_not_is_left_out_and_that_is_said(tmp_path):
    model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(3)])
    model.compile("sgd", "half_squared_error")
    written = model.export(tmp_path / "a.keras")
    assert any("HalfSquaredError" in note for note in written.notes)
    assert not hasattr(keras.saving.load_model(tmp_path / "a.keras"), "optimizer")


def test_hdf5_that_is_written_is_read_back():
    arrays = {"a/b/0": np.arange(6, dtype="float32").reshape(2, 3), "c": np.zeros((), "int32")}
    content = hdf5.written({"a/b": "some name"}, arrays)
    found, texts = hdf5.contents(io.BytesIO(content), len(content))
    assert texts == {"a/b/name": "some name"}
    assert all((found[name] == array).all() and found[name].dtype == array.dtype for name, array in arrays.items())


def test_commands_take_files_of_keras(tmp_path):

    model = filled(keras.Sequential([keras.Input((4,)), L.Dense(3, "softmax", name="species")]))
    model.save(tmp_path / "iris.keras")
    result = CliRunner().invoke(main, ["summary", str(tmp_path / "iris.keras")])
    assert result.exit_code == 0, result.output
    assert "species (Dense)" in result.output
