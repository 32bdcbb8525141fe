"""The spreadsheet: its formulas, computed by LibreOffice, give the engine's numbers."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys

import numpy as np
import openpyxl
import pytest

import nacre
from nacre import layers, losses, optimizers
from nacre.data import Features, Table
from nacre.errors import Limitation, UsageError
from nacre.explain import formulas
from nacre.recipes import table_goals, table_network

SOFFICE = shutil.which("soffice")
HOSTILE = ["=1+1", "+1+1", "-1+1", "@SUM(1)", '=HYPERLINK("http://a.b","c")', "a\x00b"]


def _compiled(stack, loss, **options):
    model = nacre.Sequential(stack)
    model.compile(optimizers.SGD(0.25), loss, **options)
    return model


def _softmaxes(rng):
    """Softmax inside and at the end, a picture, hostile names."""
    stack = [
        nacre.Input((4, 3)),
        layers.Rescaling(0.5, -1.0),
        layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 0.5]),
        layers.Flatten(),
        layers.Dense(5, "softmax", name="=1+1"),
        layers.Dropout(0.5),
        layers.Dense(6, "softmax", use_bias=False, name="it's [a] *sheet*: with a name that is far too long for one"),
    ]
    model = _compiled(stack, "sparse_categorical_crossentropy")
    step = model.explain(rng.normal(size=(1, 4, 3)).astype(np.float32), np.array([4]))
    return dataclasses.replace(step, classes=HOSTILE)


def _activations(rng):
    """Every activation that has a formula, one behind the other."""
    names = [f.__name__ for f in formulas.CURVES]
    stack = [nacre.Input((7,)), *(layers.Dense(4, name, name=name) for name in names), layers.Dense(2, name="end")]
    model = _compiled(stack, "mse")
    weights = [rng.normal(size=w.shape) for w in model.get_weights()]
    model.set_weights([w / 2 if w.ndim == 1 else w for w in weights])
    return model.explain(rng.normal(size=(1, 7)).astype(np.float32), np.array([[0.5, -1.5]]))


def _layers(rng):
    """Activations as layers, normalized batches, a sigmoid at the end, smoothed targets, a part of the loss."""
    stack = [
        nacre.Input((6,)),
        layers.Normalization(name="known"),
        layers.Dense(5, name="first"),
        layers.BatchNormalization(name="batch"),
        layers.ReLU(),
        layers.Dense(5, "hard_sigmoid"),
        layers.LeakyReLU(0.1),
        layers.Dense(5),
        layers.ELU(0.5),
        layers.Dense(5),
        layers.Softmax(),
        layers.Dense(3, "sigmoid"),
    ]
    stack[1].adapt(rng.normal(size=(20, 6)) * 3 + 1)
    model = _compiled(stack, losses.BinaryCrossentropy(label_smoothing=0.1), loss_weights=[0.5])
    model.get_layer("batch").set_weights(
        [rng.normal(size=5), rng.normal(size=5), rng.normal(size=5), rng.random(5) + 1]
    )
    return model.explain(rng.normal(size=(1, 6)).astype(np.float32), np.array([[1.0, 0.0, 1.0]]))


def _logits(rng):
    stack = [nacre.Input((4,)), layers.Dense(3, "tanh"), layers.Dense(3, "relu"), layers.Rescaling(2.0)]
    model = _compiled(stack, losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2))
    model.set_weights([w + 0.1 for w in model.get_weights()])
    return model.explain(rng.normal(size=(1, 4)).astype(np.float32), np.array([[0.0, 1.0, 0.0]]))


def _absolute(rng):
    model = _compiled([layers.Dense(3, "selu", input_dim=4), layers.Dense(2)], "mae")
    return model.explain(rng.normal(size=(1, 4)).astype(np.float32), np.array([[3.0, -3.0]]))


def _softmax_layer(rng):
    model = _compiled([nacre.Input((4,)), layers.Dense(3), layers.Softmax()], "categorical_crossentropy")
    return model.explain(100 * rng.normal(size=(1, 4)).astype(np.float32), np.array([[0.2, 0.5, 0.3]]))


def _yes_or_no(rng):
    model = _compiled([nacre.Input((4,)), layers.Dense(2)], losses.BinaryCrossentropy(from_logits=True))
    return model.explain(10 * rng.normal(size=(1, 4)).astype(np.float32), np.array([[1.0, 0.0]]))


def _table(rng):
    """Numbers and categories, of which one is in the row twice as a term; two inputs, joined."""
    rows = {"age": [30, None, 28, 50] * 5, "city": HOSTILE[:4] * 5, "street": ["a", "b", "a", "c"] * 5}
    table = Table.of(rows | {"paid": ["yes", "no", "no", "yes"] * 5})
    model = table_network(Features.fit(table, ["paid"]), [5], "tanh", 0.0)
    model.compile(optimizers.SGD(0.25), **table_goals(model.features))
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model.explain(table.take(np.array([1])), np.array([0]))


def _words(rng):
    """An embedding whose terms are there several times, behind nothing."""
    stack = [nacre.Input((5,), dtype="int32"), layers.Embedding(4, 3), layers.Flatten(), layers.Dense(2, name="end")]
    model = _compiled(stack, "mse")
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    return model.explain(np.array([[1, 3, 1, 0, 1]]), np.array([[0.5, -1.5]]))


_MAKERS = (_softmaxes, _activations, _layers, _logits, _absolute, _softmax_layer, _yes_or_no, _table, _words)
CASES = {f.__name__: f for f in _MAKERS}


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """Of each case its explanation, and the workbook with the numbers that LibreOffice computed."""
    if SOFFICE is None:
        pytest.skip("LibreOffice is missing: apt-get install -y --no-install-recommends libreoffice-calc")
    folder = tmp_path_factory.mktemp("sheets")
    steps = {}
    for name, make in CASES.items():
        nacre.utils.set_random_seed(1)
        steps[name] = make(np.random.default_rng(2))
        steps[name].save(folder / f"{name}.xlsx")
    home, files = (folder / "home").as_uri(), [str(folder / f"{name}.xlsx") for name in steps]
    options = ["--headless", f"-env:UserInstallation={home}", "--convert-to", "xlsx", "--outdir", str(folder / "out")]
    subprocess.run(
        [SOFFICE, *options, *files],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return {
        name: (step, openpyxl.load_workbook(folder / "out" / f"{name}.xlsx", data_only=True))
        for name, step in steps.items()
    }


def _rows(sheet):
    return [list(row) for row in sheet.iter_rows(values_only=True)]


def _labelled(sheet):
    return {row[0]: row for row in _rows(sheet) if isinstance(row[0], str)}


def _near(found, expected):
    np.testing.assert_allclose(np.array(found, float), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_the_formulas_give_outputs_and_loss_of_the_engine(computed, name):
    """Lesson C8: predicting is multiplying, adding, and a softmax, as on a calculator."""
    step, book = computed[name]
    rows = _rows(book["step"])[7:]
    assert [row[0] for row in rows] == ["loss", *(f"output {k}" for k in range(step.outputs.shape[1]))]
    _near([row[1] for row in rows], [step.losses[0], *step.outputs[0]])
    assert max(row[3] for row in rows) < 1e-5


@pytest.mark.parametrize("name", CASES)
def test_the_formulas_give_scores_errors_gradients_and_new_weights_of_the_engine(computed, name):
    step, book = computed[name]
    sheets = {sheet.title.partition(" ")[0]: sheet for sheet in book if sheet.title[0].isdigit()}
    dense = 0
    for layer in step.layers:
        number = next((n for n, s in sheets.items() if (s["A1"].value or "").startswith(f"{layer.name}: ")), None)
        if not layer.dense:
            continue
        dense += 1
        assert number is not None, layer.name
        passes = sheets[number]
        units = layer.output.shape[1]
        told = _labelled(passes)
        _near(told["score"][3 : 3 + units], layer.scores[0])
        _near(told["activation"][3 : 3 + units], layer.output[0])
        error = next(row for text, row in told.items() if text.startswith("error of score"))
        _near(error[3 : 3 + units], layer.score_error[0])
        inputs = layer.inputs[0].shape[1]
        rows = _rows(passes)[12:]
        assert len(rows) == inputs
        _near([row[1] for row in rows], layer.inputs[0][0])
        for title, part in ((f"gradients {number}", "gradient"), (f"new weights {number}", "new")):
            grid = _rows(book[title])
            _near([row[3 : 3 + units] for row in grid[12:]], getattr(layer.weights["kernel"], part))
            if "bias" in layer.weights:
                _near(grid[3][3 : 3 + units], getattr(layer.weights["bias"], part))
    assert dense == sum(layer.kind == "Dense" for layer in step.layers) > 0


def test_gamma_and_beta_of_normalized_batches_get_their_gradients(computed):
    step, book = computed["_layers"]
    weights = step.layer("batch").weights
    rows = _rows(book["3 batch"])
    heads = {text: k for k, text in enumerate(rows[4])}
    for name in ("gamma", "beta"):
        _near([row[heads[f"gradient of {name}"]] for row in rows[5:]], weights[name].gradient)
        _near([row[heads[f"new {name}"]] for row in rows[5:]], weights[name].new)


@pytest.mark.parametrize("name", ["_table", "_words"])
def test_terms_that_are_looked_up_get_their_gradients_and_new_values(computed, name):
    step, book = computed[name]
    layer = next(layer for layer in step.layers if layer.kind == "Embedding")
    weight, codes = layer.weights["embeddings"], layer.inputs[0][0].astype(int)
    _near([row[2:] for row in _rows(book["terms 1"])[2:]], weight.value)
    rows = _rows(next(sheet for sheet in book if sheet.title.startswith("1 ")))[5:]
    assert [row[1] for row in rows] == np.repeat(codes, weight.value.shape[1]).tolist()
    _near([row[3] for row in rows], weight.value[codes].reshape(-1))
    _near([row[4] for row in rows], layer.error[0].reshape(-1))
    _near([row[5] for row in rows], weight.gradient[codes].reshape(-1))
    _near([row[6] for row in rows], weight.new[codes].reshape(-1))
    assert not np.allclose([row[4] for row in rows], [row[5] for row in rows]) or name == "_table"


def test_text_out_of_data_is_never_a_formula(computed, tmp_path):
    _, book = computed["_softmaxes"]
    assert [row[1] for row in _rows(book["loss"])[8:]] == [*HOSTILE[:-1], "a?b"]
    nacre.utils.set_random_seed(1)
    step = _softmaxes(np.random.default_rng(2))
    step.save(tmp_path / "a.xlsx")
    written = openpyxl.load_workbook(tmp_path / "a.xlsx")
    cells = [cell for sheet in written for row in sheet.iter_rows() for cell in row]
    assert all(cell.data_type == "s" for cell in cells if cell.value in HOSTILE)
    assert sum(cell.value in HOSTILE for cell in cells) == 10  # beside the loss, and beside the outputs
    assert all(len(sheet.title) <= 31 for sheet in written)


def test_a_prediction_alone_has_no_backward_pass(tmp_path, rng):
    model = nacre.Sequential([nacre.Input((3,)), layers.Dense(2, "softmax", name="out")])
    model.explain(rng.normal(size=(2, 3)).astype(np.float32)).save(tmp_path / "a.XLSX")
    book = openpyxl.load_workbook(tmp_path / "a.XLSX")
    assert book.sheetnames == ["step", "input", "1 out"]
    texts = [row[0] for row in _rows(book["1 out"])]
    assert not any("error of" in text and "error of score =" not in text for text in texts if isinstance(text, str))


@pytest.mark.parametrize(
    ("stack", "loss", "message"),
    [
        ([layers.Dense(2, "mish")], "mse", "has no formula in a spreadsheet"),
        (
            [layers.LayerNormalization(), layers.Dense(2)],
            "mse",
            "LayerNormalization 'layer_normalization' has no formula",
        ),
        ([layers.Dense(2)], "huber", "The loss 'huber_loss' has no formula behind Dense"),
        ([layers.Dense(2, "relu")], "binary_crossentropy", "has no formula behind Dense"),
        ([layers.Dense(2, kernel_regularizer="l2")], "mse", "Regularizers and constraints"),
        ([layers.ReLU(max_value=6), layers.Dense(2)], "mse", "has no formula"),
        ([layers.Dense(700), layers.Dense(1500), layers.Dense(2)], "mse", r"too large(.|\n)*limit: +2,000,000"),
        ([layers.Dense(17_000), layers.Dense(2)], "mse", r"too large(.|\n)*16,384 columns"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*gives scores")
def test_what_a_sheet_cannot_hold_is_refused_before_anything_is_written(stack, loss, message, tmp_path):
    model = _compiled([nacre.Input((3,)), *stack], loss)
    step = model.explain(np.ones((1, 3), np.float32), np.ones((1, 2)))
    with pytest.raises(Limitation, match=message):
        step.save(tmp_path / "a.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_branches_numbers_that_are_not_finite_and_pictures_in_a_dense_layer_are_refused(tmp_path):
    a = nacre.Input((3,))
    model = nacre.Model(a, layers.Add()([layers.Dense(2)(a), layers.Dense(2)(a)]))
    with pytest.raises(Limitation, match="no chain of layers"):
        model.explain(np.ones((1, 3), np.float32)).save(tmp_path / "a.xlsx")
    twice = layers.Dense(3)
    model = nacre.Model(a, twice(twice(a)))
    with pytest.raises(Limitation, match="no chain of layers"):
        model.explain(np.ones((1, 3), np.float32)).save(tmp_path / "a.xlsx")
    model = nacre.Sequential([nacre.Input((3,)), layers.Dense(1, "exponential", kernel_initializer="ones")])
    with pytest.raises(Limitation, match="no NaN and no infinity"):
        model.explain(np.full((1, 3), 1e4, np.float32)).save(tmp_path / "a.xlsx")
    model = nacre.Sequential([nacre.Input((3, 3)), layers.Dense(1)])
    with pytest.raises(Limitation, match=r"has no formula(.|\n)*Flatten"):
        model.explain(np.ones((1, 3, 3), np.float32)).save(tmp_path / "a.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_without_openpyxl_it_is_said_what_to_install(tmp_path, monkeypatch):
    model = nacre.Sequential([nacre.Input((3,)), layers.Dense(2)])
    step = model.explain(np.ones((1, 3), np.float32))
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(UsageError, match=r"pip install nacre\[sheet\]"):
        step.save(tmp_path / "a.xlsx")


def test_other_formats_and_folders_that_are_not_there_are_refused(tmp_path, rng):
    model = nacre.Sequential([nacre.Input((3,)), layers.Dense(2)])
    step = model.explain(rng.normal(size=(1, 3)).astype(np.float32))
    with pytest.raises(UsageError, match=r"unknown format '\.pdf'"):
        step.save(tmp_path / "a.pdf")
    with pytest.raises(UsageError, match="there is no folder"):
        step.save(tmp_path / "none" / "a.html")


def test_layers_may_be_called_what_sheets_are_called(tmp_path, rng):
    stack = [
        nacre.Input((3,)),
        *(layers.Dense(2, name=name) for name in ("gradients", "new weights", "step", "GRADIENTS")),
    ]
    model = _compiled(stack, "mse")
    model.explain(rng.normal(size=(1, 3)).astype(np.float32), np.zeros((1, 2))).save(tmp_path / "a.xlsx")
    names = openpyxl.load_workbook(tmp_path / "a.xlsx").sheetnames
    assert len({name.lower() for name in names}) == len(names) == 3 + 3 * 4
    assert not any(name.endswith("weights1") for name in names)  # as openpyxl numbers titles that are there twice


def test_a_saved_sheet_is_the_same_every_time(tmp_path, rng, monkeypatch):
    step = _logits(rng)
    step.save(tmp_path / "a.xlsx")
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    monkeypatch.setattr("time.localtime", lambda *_: __import__("time").gmtime(2_000_000_000))
    step.save(tmp_path / "b.xlsx")
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()
