"""One step on a few rows: its numbers against arithmetic in float64, and against the step that training takes."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import re

import numpy as np
import pytest

import nacre
from nacre import layers, ops, optimizers
from nacre.errors import DataError, Limitation, NotBuiltError, UsageError
from nacre.explain import explain


@pytest.fixture
def network():
    model = nacre.Sequential(
        [nacre.Input((6,)), layers.Dense(5, "tanh", name="hidden"), layers.Dense(3, "softmax", name="out")]
    )
    model.compile(optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return model


def _row(rng, n=1):
    return rng.normal(size=(n, 6)).astype(np.float32), rng.integers(0, 3, n)


def _by_hand(model, x, label):
    """Forward and backward of tanh and softmax in float64: scores, activations, errors of one row."""
    A, b, A2, b2 = (w.astype(np.float64) for w in model.get_weights())
    scores = x @ A + b
    hidden = np.tanh(scores)
    scores2 = hidden @ A2 + b2
    p = np.exp(scores2 - scores2.max())
    p /= p.sum()
    error2 = p - np.eye(3)[label]
    back = A2 @ error2
    return {"hidden": (scores, hidden, back * (1 - hidden**2)), "out": (scores2, p, error2)}, back, -np.log(p[label])


def test_forward_loss_and_backward_are_those_of_arithmetic(network, rng):
    x, y = _row(rng)
    step = network.explain(x, y)
    expected, back, loss = _by_hand(network, x[0], y[0])
    for name, (scores, output, error) in expected.items():
        layer = step.layer(name)
        np.testing.assert_allclose(layer.scores[0], scores, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(layer.output[0], output, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(layer.score_error[0], error, rtol=1e-5, atol=1e-6)
    assert step.losses[0] == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(step.layer("hidden").error[0], back, rtol=1e-5, atol=1e-6)


def test_both_equations_are_printed_with_shapes_and_numbers(network, rng):
    """Lesson A11: g(AX + b) = X', g'(A'X' + b') = y."""
    x, y = _row(rng)
    text = str(network.explain(x, y))
    assert "hidden: x1 = tanh(x A1 + b1)   (6) (6 x 5) + (5) -> (5)" in text
    assert "out: x2 = softmax(x1 A2 + b2)   (5) (5 x 3) + (3) -> (3)" in text
    expected, _, _ = _by_hand(network, x[0], y[0])
    for scores, output, _ in expected.values():
        assert all(f"{v:.4g}" in text for v in (*scores, *output))


def test_votes_and_bias_add_up_to_the_score_exactly(network, rng):
    """Lesson A7: what each unit says for each class, sorted; nothing is missing from the sum."""
    network.set_weights([rng.normal(size=w.shape) for w in network.get_weights()])
    x, y = _row(rng)
    votes = network.explain(x, y).votes()
    kernel, bias = network.get_weights()[2:]
    hidden = votes.activations
    for k in range(3):
        products = [float(a) * float(w) for a, w in zip(hidden, kernel[:, k], strict=True)]
        assert votes.votes[:, k].tolist() == products  # float64 holds the product of two float32 exactly
        assert votes.totals[k] == math.fsum([*products, float(bias[k])])
        sizes = np.abs(votes.votes[votes.order(k), k])
        assert (np.diff(sizes) <= 0).all()
    assert votes.difference < 1e-6
    assert votes.scores.tolist() == network.explain(x).layer("out").scores[0].tolist()


def test_a_unit_that_says_nothing_has_no_vote_and_its_weights_no_blame(rng):
    """Lessons A8 and C16: blame follows what was relied on: input times error, the largest first."""
    model = nacre.Sequential([nacre.Input((4,)), layers.Dense(2, "softmax", name="out")])
    model.compile(optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    x, y = np.array([[3.0, 0.0, -1.0, 0.5]], np.float32), np.array([0])
    step = model.explain(x, y)
    kernel, bias = (w.astype(np.float64) for w in model.get_weights())
    z = x[0] @ kernel + bias
    error = np.exp(z) / np.exp(z).sum() - [1, 0]
    blame = step.blame("out", most=8)
    table = np.outer(x[0], error)
    assert len(blame) == 8
    assert [abs(b.share) for b in blame] == sorted((abs(b.share) for b in blame), reverse=True)
    for b in blame:
        assert b.share == b.input * b.error
        assert b.share == pytest.approx(table[b.source, b.unit], rel=1e-5)
        assert b.weight.gradient == pytest.approx(b.share, rel=1e-6)
        # Lessons C16 and C40: update = -learning rate x input x error.
        assert b.weight.new - b.weight.value == pytest.approx(-0.5 * b.input * b.error, rel=1e-5, abs=1e-7)
    assert {b.source for b in blame[:2]} == {0}
    assert {b.source for b in blame[-2:]} == {1}
    assert blame[-1].share == 0
    assert blame[0].source == 0


def test_the_largest_products_are_found_without_looking_at_all(network, rng):
    x, y = _row(rng)
    step = network.explain(x, y)
    for name, most in (("hidden", 7), ("out", 4)):
        layer = step.layer(name)
        table = np.abs(np.outer(layer.inputs[0][0].astype(float), layer.score_error[0].astype(float)))
        expected = np.sort(table.reshape(-1))[::-1][:most]
        np.testing.assert_allclose([abs(b.share) for b in step.blame(name, most)], expected, rtol=1e-12)


def test_the_gradient_of_a_line_is_error_times_x_and_error(rng):
    """Lesson E15: for C = (wx + b - y)^2 / 2 it is ((wx + b - y) x, (wx + b - y))."""
    model = nacre.Sequential([nacre.Input((1,)), layers.Dense(1, name="line")])
    model.compile(optimizers.SGD(0.1), lambda y, p: 0.5 * ops.square(p - y))
    model.set_weights([[[2.0]], [1.0]])
    for x, y in rng.normal(size=(4, 2)).astype(np.float32):
        step = model.explain(np.array([[x]]), np.array([y]))
        off = 2.0 * x + 1.0 - y
        weights = step.layer("line").weights
        assert weights["kernel"].gradient.item() == pytest.approx(off * x, rel=1e-5, abs=1e-6)
        assert weights["bias"].gradient.item() == pytest.approx(off, rel=1e-5, abs=1e-6)
        assert step.losses[0] == pytest.approx(off**2 / 2, rel=1e-5, abs=1e-7)


def test_each_factor_of_the_recursion_is_there_and_their_product_is_the_error(rng):
    """Lesson E53: back through a layer, the gradient is multiplied by the slope, then by the weights."""
    for name in ("relu", "sigmoid", "tanh", "elu", "softplus", "gelu", "silu", "leaky_relu", "selu"):
        model = nacre.Sequential(
            [
                nacre.Input((6,)),
                layers.Dense(4, name, name="a"),
                layers.Dense(3, name, name="b"),
                layers.Dense(1, name="c"),
            ]
        )
        model.compile("sgd", "mse")
        step = model.explain(rng.normal(size=(1, 6)).astype(np.float32), np.array([2.0]))
        a, b, c = (step.layer(name) for name in "abc")
        for before, behind in ((a, b), (b, c)):
            kernel = behind.weights["kernel"].value.astype(np.float64)
            np.testing.assert_allclose(before.error[0], kernel @ behind.score_error[0], rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(before.score_error[0], before.error[0] * before.slope[0], rtol=1e-4, atol=1e-6)
        function = getattr(nacre.activations, name)
        h = 1e-4
        z = a.scores[0].astype(np.float64)
        up, down = (np.asarray(function(ops.constant(z + d, "float64"))) for d in (h, -h))
        np.testing.assert_allclose(a.slope[0], (up - down) / (2 * h), rtol=1e-4, atol=1e-5)


def test_an_activation_that_works_by_rows_has_no_slope_for_each_number(rng):
    model = nacre.Sequential([nacre.Input((6,)), layers.Dense(4, "softmax", name="a"), layers.Dense(2, name="b")])
    model.compile("sgd", "mse")
    a = model.explain(rng.normal(size=(1, 6)).astype(np.float32), np.ones((1, 2))).layer("a")
    assert a.slope is None
    p, e = a.output[0].astype(np.float64), a.error[0].astype(np.float64)
    np.testing.assert_allclose(a.score_error[0], p * (e - p @ e), rtol=1e-4, atol=1e-7)


def test_the_buffer_is_printed_after_each_layer_from_the_last_to_the_first(network, rng):
    """Lesson E54: the backward pass keeps one buffer, which starts at 1."""
    x, y = _row(rng)
    expected, _, _ = _by_hand(network, x[0], y[0])
    text = str(network.explain(x, y))
    backward = text[text.index("BACKWARD: the buffer is 1 at the loss") :]
    assert backward.index("out: 3 numbers") < backward.index("hidden: 5 numbers")
    for name, (_, _, error) in expected.items():
        assert f"{name}: {len(error)} numbers, norm {np.linalg.norm(error):.4g}" in backward
        assert all(f"{v:.4g}" in backward for v in error)


RULES = [
    optimizers.SGD(0.1),
    optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    optimizers.SGD(0.1, clipnorm=0.01),
    optimizers.Adam(0.01),
    optimizers.AdamW(0.01, weight_decay=0.1),
    optimizers.RMSprop(0.01),
    optimizers.Adam(optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)),
    optimizers.SGD(0.1, gradient_accumulation_steps=2),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_new_weights_are_those_that_the_next_step_gives(rule, rng):
    model = nacre.Sequential(
        [
            nacre.Input((6,)),
            layers.Dense(5, "relu", kernel_constraint="non_neg", name="a"),
            layers.Dense(3, "softmax", name="b", kernel_regularizer="l2"),
        ]
    )
    model.compile(rule, "sparse_categorical_crossentropy")
    x, y = rng.normal(size=(8, 6)).astype(np.float32), rng.integers(0, 3, 8)
    for _ in range(3):  # so that the slots hold something
        model.train_on_batch(x, y)
    before = [w.copy() for w in model.get_weights()]
    step = model.explain(x[:4], y[:4])
    assert all((old == w).all() for old, w in zip(before, model.get_weights(), strict=True))
    after = copy.deepcopy(model)
    after.train_on_batch(x[:4], y[:4])
    for layer in ("a", "b"):
        for name, weight in step.layer(layer).weights.items():
            real = after.named[f"{layer}/{name}"].numpy()
            np.testing.assert_allclose(weight.new, real, rtol=2e-5, atol=1e-7)
    assert step.plain == (rule is RULES[0])


def test_a_frozen_layer_has_no_gradient_and_no_new_weights(network, rng):
    network.get_layer("hidden").trainable = False
    step = network.explain(*_row(rng))
    assert step.layer("hidden").weights["kernel"][1:] == (None, None)
    assert "frozen" in str(step)
    assert step.layer("hidden").score_error is not None


def test_rows_of_a_batch_are_explained_one_by_one_in_one_step(network, rng):
    x, y = _row(rng, 4)
    step = network.explain(x, y)
    assert len(step) == 4
    np.testing.assert_allclose(
        step.layer("out").weights["kernel"].gradient,
        np.mean(
            [network.explain(x[i : i + 1], y[i : i + 1]).layer("out").weights["kernel"].gradient for i in range(4)], 0
        ),
        rtol=1e-5,
        atol=1e-7,
    )
    third = step[2]
    alone = network.explain(x[2:3], y[2:3])
    assert third.losses.tolist() == pytest.approx(alone.losses.tolist())
    np.testing.assert_allclose(third.layer("hidden").score_error, alone.layer("hidden").score_error, rtol=1e-5)
    assert third.votes().totals.tolist() == pytest.approx(alone.votes().totals.tolist())
    assert "4 rows; shown is one of them" in str(third)
    with pytest.raises(IndexError):
        step[4]
    assert len(list(step)) == 4


def test_dropout_is_left_out_and_the_text_says_so(rng):
    model = nacre.Sequential(
        [nacre.Input((6,)), layers.Dense(50, "relu"), layers.Dropout(0.5, name="drop"), layers.Dense(2, "softmax")]
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = rng.normal(size=(1, 6)).astype(np.float32)
    step = model.explain(x, np.array([1]))
    assert step.layer("drop").output.tolist() == step.layer("drop").inputs[0].tolist()
    assert step.outputs.tolist() == model.predict(x, verbose=0).tolist()
    assert "unlike in training: drop" in str(step)


@pytest.mark.parametrize(
    "end",
    [
        [layers.Dense(3, "softmax")],
        [layers.Dense(3), layers.Activation("softmax")],
        [layers.Dense(3), layers.Softmax()],
        [layers.Dense(3, "softmax"), layers.Dropout(0.1)],
    ],
    ids=["at once", "activation", "softmax layer", "with dropout behind"],
)
def test_behind_a_softmax_the_error_of_the_scores_is_p_minus_y_wherever_the_softmax_is(end, rng):
    """Lesson C18."""
    model = nacre.Sequential([nacre.Input((6,)), *end])
    model.compile("sgd", "sparse_categorical_crossentropy")
    step = model.explain(rng.normal(size=(1, 6)).astype(np.float32), np.array([2]))
    dense = next(layer for layer in step.layers if layer.kind == "Dense")
    error = dense.score_error if dense.score_error is not None else dense.error
    np.testing.assert_allclose(error[0], step.outputs[0] - [0, 0, 1], rtol=1e-5, atol=1e-7)
    assert all(layer.error is None or layer.error.any() for layer in step.layers)  # no zeros that mean "not looked at"


def test_without_targets_there_is_the_forward_pass_alone(network, rng):
    step = explain(network, _row(rng)[0])
    text = str(step)
    assert text.startswith("A prediction of 'sequential' on one row")
    assert "VOTES" in text
    assert "BACKWARD" not in text
    assert step.losses is None
    with pytest.raises(UsageError, match="pass y"):
        step.blame("out")


def test_a_network_of_two_inputs_is_explained_too(rng):
    a, b = nacre.Input((3,), name="a"), nacre.Input((2,), name="b")
    both = layers.Concatenate(name="both")([a, b])
    model = nacre.Model([a, b], layers.Dense(1, name="y")(both))
    model.compile("sgd", "mse")
    x = {"a": rng.normal(size=(1, 3)).astype(np.float32), "b": rng.normal(size=(1, 2)).astype(np.float32)}
    step = model.explain(x, np.array([1.0]))
    assert "both: Concatenate   (3), (2) -> (5)" in str(step)
    assert step.votes().activations.tolist() == [*x["a"][0].tolist(), *x["b"][0].tolist()]


def test_layers_inside_a_layer_and_dense_layers_along_an_axis_are_looked_into(rng):
    class Twice(layers.Layer):
        def __init__(self):
            super().__init__(name="twice")
            self.first, self.second = layers.Dense(3), layers.Dense(3)

        def call(self, x):
            return self.second(self.first(x))

    stack = [nacre.Input((5, 4)), layers.Dense(2, "relu", name="along"), layers.Flatten(), Twice()]
    model = nacre.Sequential([*stack, layers.Dense(1, name="end")])
    model.compile(optimizers.SGD(0.1), "mse")
    step = model.explain(rng.normal(size=(1, 5, 4)).astype(np.float32), np.array([1.0]))
    assert {"twice/dense", "twice/dense_1", "twice"} <= {layer.name for layer in step.layers}
    inner = step.layer("twice/dense_1")
    table = np.outer(inner.inputs[0][0], inner.score_error[0])
    np.testing.assert_allclose(inner.weights["kernel"].gradient, table, rtol=1e-5, atol=1e-7)
    assert not step.layer(
        "along"
    ).dense  # its weights act at five places, and no product of two numbers is their gradient
    assert "along: Dense, relu   (5 x 4) -> (5 x 2)" in str(step)
    with pytest.raises(UsageError, match="no table of blame"):
        step.blame("along")
    json.dumps(step.document(), allow_nan=False)


def test_a_large_network_is_told_in_some_sixty_lines(rng):
    model = nacre.Sequential([nacre.Input((784,)), layers.Dense(128, "relu"), layers.Dense(10, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    step = model.explain(rng.random((1, 784)).astype(np.float32), np.array([3]))
    lines = str(step).splitlines()
    assert len(lines) <= 62
    assert max(map(len, lines)) <= 120
    assert "and 120 others" in str(step)
    assert "122 others" in str(step)


def test_of_many_classes_the_largest_and_the_true_one_are_shown(rng):
    model = nacre.Sequential([nacre.Input((6,)), layers.Dense(40, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = rng.normal(size=(1, 6)).astype(np.float32)
    least = int(np.argmin(model.predict(x, verbose=0)))
    head = str(model.explain(x, np.array([least]))).split("VOTES")[1].splitlines()[1]
    assert str(least) in head.split()
    assert len(head.split()) == 12


def test_the_document_holds_the_numbers(network, rng):
    x, y = _row(rng, 2)
    step = network.explain(x, y)
    document = json.loads(json.dumps(step.document(), allow_nan=False))
    assert document["loss"] == "sparse_categorical_crossentropy"
    assert [row["loss"] for row in document["rows"]] == pytest.approx(step.losses.tolist())
    row = document["rows"][1]
    votes = np.array(row["votes"]["votes"]).sum(0) + row["votes"]["bias"]
    np.testing.assert_allclose(votes, row["layers"][-1]["scores"], rtol=1e-5, atol=1e-6)
    assert row["blame"]["out"][0]["share"] == step[1].blame("out")[0].share
    assert row["target"] == np.eye(3)[y[1]].tolist()


def test_infinities_are_text_in_the_document(rng):
    model = nacre.Sequential([nacre.Input((2,)), layers.Dense(1, "exponential", kernel_initializer="ones")])
    document = model.explain(np.full((1, 2), 1000.0, np.float32)).document()
    assert document["rows"][0]["layers"][-1]["output"] == ["inf"]
    json.dumps(document, allow_nan=False)


def test_what_cannot_be_explained_is_refused_with_a_reason(network, rng):
    x, y = _row(rng, 40)
    with pytest.raises(UsageError, match="1 to 32 rows, got 40"):
        network.explain(x, y)
    with pytest.raises(DataError):
        network.explain(x[:0], y[:0])
    with pytest.raises(DataError):
        network.explain(x[:1], np.array([7]))
    with pytest.raises(UsageError, match="looks at a model"):
        explain("model", x)
    with pytest.raises(UsageError, match="did you mean 'hidden'"):
        network.explain(x[:1]).layer("hiden")
    plain = nacre.Sequential([nacre.Input((6,)), layers.Dense(2)])
    with pytest.raises(NotBuiltError):
        plain.explain(x[:1], y[:1])
    a = nacre.Input((6,))
    two = nacre.Model(a, [layers.Dense(1)(a), layers.Dense(1)(a)])
    with pytest.raises(Limitation, match="several outputs"):
        two.explain(x[:1])


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_largest_updates_are_those_of_the_step(network, rng, optimizer):
    network.compile(optimizer, network.loss)
    network.get_layer("hidden").trainable = False
    x, y = _row(rng, 4)
    updates = network.explain(x, y).updates(most=1000)
    before = {name: w.numpy() for name, w in network.named.items()}
    network.train_on_batch(x, y)
    changed = {
        f"{name}{list(at)}": (before[name][at], w.numpy()[at])
        for name, w in network.named.items()
        for at in np.ndindex(w.shape)
        if w.trainable
    }
    assert len(updates) == len(changed) == 5 * 3 + 3  # the other layer is frozen
    sizes = [abs(update.new - update.old) for update in updates]
    assert sizes == sorted(sizes, reverse=True)
    for update in updates:
        assert (update.old, update.new) == pytest.approx(changed[update.name], abs=1e-6)
    assert network.explain(x, y).updates(most=3) == network.explain(x, y).updates()[:3]
    with pytest.raises(UsageError, match="A prediction changes no weight"):
        network.explain(x).updates()


def test_brackets_in_names_of_classes_stay(network, rng):
    step = dataclasses.replace(network.explain(*_row(rng)), classes=["a (b)", "c (d)", "e (f)"])
    line = next(line for line in str(step).splitlines() if "Votes and bias" in line)
    assert re.search(r"For [ace] \([bdf]\): -?[\d.e-]+; the engine, in float32, has -?[\d.e-]+$", line)
