"""Lessons on going deep: from one matrix and a softmax to networks of many layers, and what goes wrong on the way.

Thresholds were measured on the handwritten digits that come with nacre, 8 x 8 pixels; each leaves room for other machines.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import nacre
from nacre.cli import main
from nacre.data import Pictures
from nacre.initializers import VarianceScaling
from nacre.layers import Activation, Add, Dense, Flatten, Rescaling
from nacre.models import Sequential
from nacre.optimizers import SGD, Adam

LOSS = "sparse_categorical_crossentropy"
DIGITS, TEST_DIGITS = nacre.datasets.digits.load_data()


def _rows(pair):
    """Each picture as one row of 64 numbers from 0 to 1, and the digits."""
    pictures, labels = pair
    return pictures.reshape(len(pictures), -1).astype(np.float32) / 16, labels


(X, Y), (X_TEST, Y_TEST) = _rows(DIGITS), _rows(TEST_DIGITS)


def _network(*widths, activation="relu", inputs=64, classes=10, optimizer="adam", initializer="glorot_uniform"):
    """Hidden layers of these widths, and a softmax, compiled, with the same chance each time."""
    nacre.utils.set_random_seed(0)
    hidden = [Dense(width, activation, kernel_initializer=initializer) for width in widths]
    model = Sequential([nacre.Input((inputs,)), *hidden, Dense(classes, "softmax")])
    model.compile(optimizer, LOSS, metrics=["accuracy"])
    return model


def _softmax(scores):
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _slow_model():
    """Two layers with a softmax each, as a first course writes them down."""
    model = Sequential(
        [
            Dense(units=1000, input_dim=784),
            Activation("softmax"),
            Dense(units=10, input_dim=1000),
            Activation("softmax"),
        ]
    )
    model.compile(SGD(0.01), LOSS, metrics=["accuracy"])
    return model


# ------------------------------------------------------------------ one layer


def test_one_matrix_one_vector_and_a_softmax_give_a_probability_for_each_class(rng):
    """A1. g(AX + b): each row of a prediction is made of probabilities, which add up to 1."""
    model = Sequential([Dense(10, input_dim=784), Activation("softmax")])
    said = model.predict(rng.random((100, 784), dtype=np.float32))
    assert said.shape == (100, 10)
    assert (said >= 0).all()
    assert np.abs(said.sum(axis=1, dtype=np.float64) - 1).max() < 1e-6
    assert model.count_params() == 784 * 10 + 10 == 7_850


def test_a_picture_is_one_long_row_of_numbers_and_can_be_a_picture_again(rng, tmp_path):
    """A2. An image is one huge vector X of numbers: 28 x 28 pixels are 784, row by row, each from left to right."""
    picture = rng.integers(0, 256, (28, 28), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "picture.png")
    array, _, _ = Pictures(28, 28, "grey", "crop", ["any"]).inputs([tmp_path / "picture.png"])

    vector = Sequential([nacre.Input((28, 28, 1)), Flatten()]).predict(array)

    assert vector.shape == (1, 784)
    assert vector[0, 3 * 28 + 5] == picture[3, 5]  # pixel 5 of row 3
    assert np.array_equal(vector.reshape(28, 28), picture)

    # The same from a file as those of MNIST: two bytes 0, 8 for bytes, 3 axes, their lengths, and the pixels in the same order.
    file = tmp_path / "pictures-idx3-ubyte"
    file.write_bytes(bytes([0, 0, 8, 3]) + np.array([1, 28, 28], ">u4").tobytes() + picture.tobytes())
    assert np.array_equal(nacre.data.read(file).reshape(1, 784), vector)


def test_the_softmax_of_the_scores_is_the_prediction():
    """A3. The layer gives scores, of any size and sign; g turns them into probabilities."""
    model = _network()
    model.fit(X, Y, epochs=5, verbose=0)

    scores, probabilities = model.predict_scores(X_TEST), model.predict(X_TEST)

    assert scores.min() < 0 < 1 < scores.max()
    assert np.abs(_softmax(scores) - probabilities).max() < 1e-6
    assert np.array_equal(scores.argmax(axis=1), probabilities.argmax(axis=1))


def test_descent_finds_the_numbers_that_equations_would_give(rng):
    """A4. Nobody solves equations for A and b: steps of stochastic gradient descent find them. For a line and squared errors,
    the solution of the equations is known, and stands next to it."""
    x = rng.standard_normal((200, 3))
    y = x @ [2.0, -1.0, 0.5] + 3.0 + 0.1 * rng.standard_normal(200)

    model = Sequential([nacre.Input((3,)), Dense(1)])
    model.compile(SGD(0.1), "mse")
    history = model.fit(x, y, batch_size=200, epochs=200, verbose=0).history["loss"]

    solved, *_ = np.linalg.lstsq(np.column_stack([x, np.ones(200)]), y, rcond=None)
    found = np.concatenate([weights.reshape(-1) for weights in model.get_weights()])
    assert history[0] > 1 > 0.02 > history[-1]
    assert np.abs(found - solved).max() < 1e-5


def test_pixels_may_be_shuffled_if_the_rows_of_the_matrix_are_shuffled_alike(rng):
    """A5. The first limit: neighboring pixels share nothing. A dense layer does not know which pixels are neighbors.

    Predictions agree to the last bit if sums are exact, here of whole numbers and sixteenths; else but for rounding. And a network
    that is trained on shuffled pixels is as good, as far as chance lets one see."""
    (pictures, labels), test = DIGITS, TEST_DIGITS
    whole, order = test[0].reshape(-1, 64).astype(np.float32), rng.permutation(64)
    model = Sequential([nacre.Input((64,)), Dense(10, "softmax")])
    kernel, bias = rng.integers(-8, 9, (64, 10)) / 16, rng.integers(-8, 9, 10) / 16

    model.set_weights([kernel, bias])
    straight = model.predict(whole)
    model.set_weights([kernel[order], bias])
    assert np.array_equal(model.predict(whole[:, order]), straight)

    found = nacre.labs.pixel_permutation(pictures, labels, seeds=3, epochs=5, validation_data=test)
    assert found.figures["largest difference of predictions"] < 1e-6
    assert "trained anew: no difference" in found.verdict


def test_one_layer_gets_digits_mostly_right_and_shapes_that_lie_anywhere_much_less():
    """A6. The second limit: no global view. A digit lies in the middle, and most pixels speak for some digit by themselves; a
    triangle may lie anywhere, and no pixel by itself says that it is one. Four accuracies, each of three seeds."""
    shapes, kinds = nacre.insight.shapes(900, size=16)
    shapes = shapes.reshape(900, -1)
    found = {}
    for name, train, test in (
        ("digits", (X, Y), (X_TEST, Y_TEST)),
        ("shapes", (shapes[:600], kinds[:600]), (shapes[600:], kinds[600:])),
    ):
        for widths in ((), (64,)):
            build = lambda t=train, w=widths: _unseeded(t[0].shape[1], int(t[1].max()) + 1, w)  # noqa: E731
            replicas = nacre.fit_many(build, *train, seeds=range(3), epochs=20)
            figures = [r.model.evaluate(*test, verbose=0)[1] for r in replicas]
            found[name, len(widths)] = np.mean(figures), np.std(figures, ddof=1)

    means = {case: mean for case, (mean, _) in found.items()}
    assert all(deviation < 0.05 for _, deviation in found.values())
    assert means["digits", 0] > 0.9  # measured: 0.926, and 0.979 with a hidden layer
    assert means["digits", 1] - means["digits", 0] > 0.03
    assert means["shapes", 0] < 0.75  # measured: 0.663, and 0.876 with a hidden layer
    assert means["shapes", 1] - means["shapes", 0] > 0.1


def _unseeded(inputs, classes, widths):
    model = Sequential([nacre.Input((inputs,)), *(Dense(w, "relu") for w in widths), Dense(classes, "softmax")])
    model.compile("adam", LOSS, metrics=["accuracy"])
    return model


# ------------------------------------------------------------------ teams and a manager


@pytest.fixture(scope="module")
def teams():
    """Sixteen teams look at a digit, and a manager decides."""
    nacre.utils.set_random_seed(0)
    model = Sequential([nacre.Input((64,)), Dense(16, "relu", name="teams"), Dense(10, "softmax", name="manager")])
    model.compile(SGD(0.1), LOSS, metrics=["accuracy"])
    model.fit(X, Y, epochs=10, verbose=0)
    return model


def test_each_team_has_a_vote_for_each_class_and_the_votes_add_up_to_the_score(teams):
    """A7. Teams look for parts, a manager decides. A vote is activation times weight; the score is the sum of votes and bias."""
    votes = teams.explain(X_TEST[:1], Y_TEST[:1])[0].votes()
    said = int(teams.predict(X_TEST[:1]).argmax())

    kernel, bias = teams.get_layer("manager").get_weights()
    by_hand = votes.activations[:, None] * kernel.astype(np.float64)
    assert np.array_equal(votes.votes, by_hand)
    assert np.abs(votes.votes.sum(axis=0) + bias - votes.totals).max() < 1e-12
    assert votes.difference < 1e-5  # the engine adds up in float32

    sizes = np.abs(votes.votes[votes.order(said), said])
    assert (np.diff(sizes) <= 0).all()  # the table is sorted: the most decisive team comes first
    assert said == Y_TEST[0] == votes.totals.argmax()


def test_most_is_punished_where_most_was_relied_on(teams):
    """A8. The gradient of a weight is its input times the error of its unit, so a team that was not heard is not blamed."""
    step = teams.explain(X_TEST[:1], Y_TEST[:1])
    blame = step.blame("manager", most=160)

    shares = [abs(one.share) for one in blame]
    assert shares == sorted(shares, reverse=True)
    assert all(one.share == one.input * one.error for one in blame)
    gradient = teams.gradients(X_TEST[:1], Y_TEST[:1])["manager/kernel"]
    assert max(abs(one.share - gradient[one.source, one.unit]) for one in blame) < 1e-7

    silent = np.flatnonzero(step.layer("manager").inputs[0][0] == 0)
    assert len(silent) > 0  # teams that said 0
    assert (gradient[silent] == 0).all()


def test_the_decision_mostly_survives_without_one_team_or_one_patch(teams):
    """A9. The majority rules: the ear team may miss. One team after the other is knocked out, then one patch of the picture."""
    found = nacre.labs.ablation(teams, X_TEST, Y_TEST, layer="teams")
    flips = [row["answers that flip"] for row in found.rows]
    assert len(flips) == 16
    assert 0 < np.mean(flips) < 0.25  # measured: 0.10

    pictures = Sequential([nacre.Input((8, 8)), Rescaling(1 / 16), Flatten(), *teams.layers])
    pictures.compile(SGD(0.1), LOSS, metrics=["accuracy"])
    covered = nacre.labs.ablation(pictures, TEST_DIGITS[0], Y_TEST, patch=2)
    assert len(covered.rows) == 16
    assert 0 < covered.figures["patches that flip the answer of a row, on average"] < 0.25  # measured: 0.09


def test_a_second_layer_takes_one_more_line_and_the_same_call_of_fit():
    """A10. Both passes stay the same; only more teams are asked."""

    def accuracy(stack):
        nacre.utils.set_random_seed(0)
        model = Sequential(stack)
        model.compile("adam", LOSS, metrics=["accuracy"])
        model.fit(X, Y, epochs=20, verbose=0)
        return model.evaluate(X_TEST, Y_TEST, verbose=0)[1]

    one = accuracy([nacre.Input((64,)), Dense(10, "softmax")])
    two = accuracy([nacre.Input((64,)), Dense(64, "relu"), Dense(10, "softmax")])
    assert one > 0.9
    assert two > one + 0.03  # measured: 0.925 and 0.978


def test_both_lines_of_the_forward_pass_are_told_with_shapes_and_numbers(teams):
    """A11. g(AX + b) = X' and g'(A'X' + b') = y: the trace prints both lines."""
    step = teams.explain(X_TEST[:1])
    told = str(step)
    assert "teams: x1 = relu(x A1 + b1)   (64) (64 x 16) + (16) -> (16)" in told
    assert "manager: x2 = softmax(x1 A2 + b2)   (16) (16 x 10) + (10) -> (10)" in told

    a, b, a2, b2 = (weights.astype(np.float64) for weights in teams.get_weights())
    hidden = np.maximum(X_TEST[:1] @ a + b, 0)
    assert np.abs(step.layer("teams").output - hidden).max() < 1e-5
    assert np.abs(step.outputs - _softmax(hidden @ a2 + b2)).max() < 1e-6


def test_the_forward_graph_is_these_equations_and_nothing_else(teams):
    """A12. The model consists of just these equations: two affine maps, and two activations between and behind them."""
    graph = teams.graph(predict=True)
    assert [node.formula for node in graph.nodes] == [
        "x",
        "x A1 + b1 = Z1",
        "relu(Z1) = X1",
        "X1 A2 + b2 = Z2",
        "softmax(Z2) = X2",
    ]
    assert [node.name for node in graph.nodes if node.parameter] == ["teams", "manager"]


# ------------------------------------------------------------------ why there is something between the layers


def test_a_line_cannot_tell_a_ring_from_the_ring_around_it(rng):
    """A13. One equation fits a line. Of a ring around another one, no line gets more right than guessing does; one hidden layer
    bends the boundary around the inner one."""
    angle, radius = rng.uniform(0, 2 * np.pi, 600), np.where(np.arange(600) % 2, 1.0, 0.4)
    points = (radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])).astype(np.float32)
    ring = np.arange(600) % 2

    line = _network(inputs=2, classes=2, optimizer=Adam(0.01))
    bent = _network(16, inputs=2, classes=2, optimizer=Adam(0.01))
    for model in (line, bent):
        model.fit(points, ring, epochs=50, verbose=0)
    assert line.evaluate(points, ring, verbose=0)[1] < 0.65  # measured: 0.31
    assert bent.evaluate(points, ring, verbose=0)[1] == 1.0

    drawn = nacre.plots.decision_boundary(bent, points, ring)
    middle, edge = drawn.images[0].get_array()[100, 100], drawn.images[0].get_array()[100, 1]
    assert not np.allclose(middle[:3], edge[:3])  # the middle of the picture has the color of the other class


def test_no_line_gets_more_than_three_of_the_four_cases_of_xor_right():
    """A13. Either-or: at most three of four cases lie on the right side of any line; with eight hidden units, all do."""
    x, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([0, 1, 1, 0])
    line = _network(inputs=2, classes=2, optimizer=Adam(0.05))
    bent = _network(8, activation="tanh", inputs=2, classes=2, optimizer=Adam(0.05))
    for model in (line, bent):
        model.fit(x, y, batch_size=4, epochs=300, verbose=0)
    assert line.evaluate(x, y, verbose=0)[1] <= 0.75
    assert bent.evaluate(x, y, verbose=0)[1] == 1.0


def test_layers_without_an_activation_between_them_are_one_layer():
    """A14. A'(AX + b) + b' is A'A X + (A'b + b'): one matrix and one vector again, so nothing is gained. The one layer is made, and
    gives the same."""
    model = Sequential([nacre.Input((64,)), Dense(50), Dense(40), Dense(10)])
    a, b, a2, b2, a3, b3 = (weights.astype(np.float64) for weights in model.get_weights())

    found = nacre.collapse(model, X_TEST)

    assert found.before == 65 * 50 + 51 * 40 + 41 * 10
    assert found.after == 65 * 10
    matrix, vector = found.model.get_weights()
    assert np.abs(matrix - a @ a2 @ a3).max() < 1e-6
    assert np.abs(vector - ((b @ a2 + b2) @ a3 + b3)).max() < 1e-6
    assert found.difference < 1e-5
    assert np.abs(found.model.predict(X_TEST) - model.predict(X_TEST)).max() == found.difference


def test_a_missing_activation_is_found_before_any_training(rng):
    """A15. Both g and g' are essential. Without g, two layers of 795,010 parameters are as strong as one of 7,850."""
    model = Sequential([nacre.Input((784,)), Dense(1000), Dense(10, "softmax")])
    model.compile("adam", LOSS)
    x = rng.random((200, 784), dtype=np.float32)
    first = nacre.diagnose(model, x, x[:, :10].argmax(axis=1)).findings[0]
    assert first.name == "missing non-linearity"
    assert first.numbers["weights"] == 795_010
    assert first.numbers["weights of as strong a network"] == 7_850


# ------------------------------------------------------------------ deep


def test_depth_counts_the_layers_that_have_weights():
    """A16. Dense, softmax, dense, softmax: the network is two layers deep, for only two have something to learn."""
    lines = []
    model = _slow_model()
    model.summary(print_fn=lines.append)
    told = [line.split() for line in lines[0].splitlines() if re.search(r"\((Dense|Activation)\)", line)]
    assert [(words[1], words[-1]) for words in told] == [
        ("(Dense)", "785,000"),
        ("(Activation)", "0"),
        ("(Dense)", "10,010"),
        ("(Activation)", "0"),
    ]
    assert sum(bool(layer.weights) for layer in model.layers) == 2


def _residual(depth, width=16):
    """So many layers with weights. Each but the first and the last adds to what it takes, at the beginning next to nothing."""
    nacre.utils.set_random_seed(0)
    start = nacre.Input((64,))
    x = Dense(width, "relu")(start)
    for _ in range(depth - 2):
        x = Add()([x, Dense(width, "relu", kernel_initializer=VarianceScaling(1e-3))(x)])
    model = nacre.Model(start, Dense(10, "softmax")(x))
    model.compile("adam", LOSS, metrics=["accuracy"])
    return model


def test_two_hundred_layers_learn_if_each_adds_to_what_it_takes():
    """A17. Strong networks have hundreds of layers. Residual connections let 200 of them learn in ten epochs, in 5 MB that are
    planned before.

    K. He and others, "Deep residual learning for image recognition", CVPR 2016."""
    deep = _residual(200)
    assert sum(bool(layer.weights) for layer in deep.layers) == 200
    planned = nacre.budget(deep, rows=1408, batch_size=64, epochs=10)
    assert planned.fits
    assert 0 < planned.training.activations < planned.training.total < 10e6  # bytes: 3.3 and 5.0 million
    assert planned.training.slots >= 2 * 4 * deep.count_params()  # two numbers of Adam for each weight
    history = deep.fit(X[:1408], Y[:1408], batch_size=64, epochs=10, verbose=0).history
    assert history["accuracy"][-1] > 0.8  # measured: 0.91


def test_thirty_plain_sigmoid_layers_learn_nothing_and_the_doctor_says_why():
    """A17. Without such connections, and with sigmoids, no error comes back to the first layer: a vanishing gradient."""
    found = nacre.diagnose(_network(*[16] * 29, activation="sigmoid"), X[:300], Y[:300], epochs=2)
    first = found.findings[0]
    assert first.name == "vanishing gradient"
    assert first.numbers["error in the first layer, to that in the last"] < 1e-12
    assert first.numbers["sigmoid lets through at most"] == 0.25
    assert first.numbers["all of them at most"] == 0.25**29


def test_gradients_of_every_layer_agree_with_central_differences(tmp_path):
    """A18. The chain rule: gradients are multiplied until the right weights are reached. Central differences know nothing of it,
    and say the same, in float64."""
    model = _network(8, 8, activation="tanh")
    model.save(tmp_path / "model.safetensors")

    run = CliRunner().invoke(main, ["gradcheck", str(tmp_path / "model.safetensors"), "--json"])

    assert run.exit_code == 0
    weights = json.loads(run.stdout)["weights"]
    assert [one["weight"] for one in weights] == list(model.named)
    assert all(0 < one["max_relative_error"] < 1e-5 for one in weights)


def test_deeper_is_not_better_without_end():
    """A19, A27. Going deep is good until some depth. On small digits with 4,000 parameters, two or three layers of relu are no
    better than one, ten are worse; of sigmoids, each further layer makes it worse. The lab says what is more than chance."""
    how = {"parameters": 4000, "seeds": 3, "epochs": 10, "validation_data": TEST_DIGITS}
    relu = nacre.labs.depth(*DIGITS, depths=(1, 2, 3, 10), **how)
    sigmoid = nacre.labs.depth(*DIGITS, depths=(1, 2, 3, 5), activation="sigmoid", **how)

    one, two, three, ten = (row["accuracy"]["mean"] for row in relu.rows)
    assert max(abs(two - one), abs(three - one)) < 0.03  # measured: 0.965, 0.960, 0.956
    assert ten < one - 0.05  # measured: 0.775
    figures = [row["accuracy"]["mean"] for row in sigmoid.rows]
    assert figures == sorted(figures, reverse=True)  # measured: 0.903, 0.780, 0.568, 0.246
    assert "depth 5 is worse than depth 1" in sigmoid.verdict
    assert all(row["accuracy"]["deviation"] > 0 for row in (*relu.rows, *sigmoid.rows))


def test_each_step_back_multiplies_the_error_by_the_next_weights_and_the_slope():
    """A20. A long hierarchy loses the signal: the error of a layer is that of the next one, times its weights, times the slope of
    the activation, at most 1/4 for a sigmoid."""
    model = _network(*[32] * 5, activation="sigmoid")
    inside = model.inside(X[:64], Y[:64])
    names = [call.name for call in inside.calls if call.layer.weights]
    errors = [inside[name].score_error.astype(np.float64) for name in names]

    for here, behind, after, error in zip(names, names[1:], errors[1:], errors, strict=False):
        output = inside[here].output.astype(np.float64)
        kernel = inside[behind].layer.kernel.numpy().astype(np.float64)
        assert np.abs((after @ kernel.T) * output * (1 - output) - error).max() < 1e-7

    factors = [np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairwise(errors)]
    assert max(factors) < 0.35  # measured: at most 0.31

    drawn, _ = nacre.plots.gradient_flow(model, X[:64], Y[:64])
    assert len([text for text in drawn.texts if text.get_text().startswith("x 0.")]) == 5  # a factor for each step back


def test_the_first_layers_live_on_with_their_random_weights():
    """A21. How far weights have moved from where they began, by their own size: of eight sigmoid layers, the first has not moved at
    all, the last has; of relu, all have."""

    def moved(activation):
        model = _network(*[32] * 8, activation=activation, optimizer=SGD(0.1))
        before = [layer.get_weights()[0] for layer in model.layers]
        model.fit(X, Y, epochs=5, verbose=0)
        after = [layer.get_weights()[0] for layer in model.layers]
        return [np.linalg.norm(b - a) / np.linalg.norm(a) for a, b in zip(before, after, strict=True)]

    sigmoid, relu = moved("sigmoid"), moved("relu")
    assert sigmoid[0] < 1e-4 < 0.05 < sigmoid[-1]  # measured: 0.000017 and 0.14
    assert min(relu) > 0.05  # measured: 0.16


def _gradient_norms(activation, depth, initializer="glorot_uniform"):
    """Norms of the gradients of all matrices, of a network of so many layers, in float64: some are too small for float32."""
    model = _network(*[100] * (depth - 1), activation=activation, initializer=initializer)
    loss, weights = model.loss_function(X[:32], Y[:32])
    gradients = nacre.grad(loss)(weights)
    return [float(np.linalg.norm(gradients[name])) for name in weights if name.endswith("kernel")]


@pytest.mark.parametrize(
    ("activation", "depth", "ratio"),
    [
        ("sigmoid", 2, 4e-1),
        ("sigmoid", 10, 3e-6),
        ("sigmoid", 30, 1e-18),
        ("softmax", 2, 9e-1),
        ("softmax", 10, 1e-16),
        ("softmax", 30, 1e-56),
    ],
)
def test_the_gradient_vanishes_with_depth(activation, depth, ratio):
    """A22. The vanishing gradient: the norm in the first layer, to that in the last. Data and widths change it a little, depth and
    activation by dozens of powers of ten. Measured: 2.6e-1, 2.2e-6, 6.6e-19; 8.6e-1, 1.1e-16, 9.9e-57."""
    norms = _gradient_norms(activation, depth)
    assert ratio / 3 < norms[0] / norms[-1] < 3 * ratio


def test_a_ratio_near_one_may_hide_that_all_gradients_are_gone():
    """A22. Judge the size of gradients too: with weights of variance 1/n, each relu halves the power of the signal. The first layer
    still gets as much as the last, and both get next to nothing. With 2/n, they get as much as in a shallow network."""
    small = VarianceScaling(1.0, "fan_in", "normal")
    ten, thirty = _gradient_norms("relu", 10, small), _gradient_norms("relu", 30, small)
    assert 0.3 < ten[0] / ten[-1] < 10
    assert 0.3 < thirty[0] / thirty[-1] < 20
    assert max(thirty) < 0.01 * max(ten)  # measured: 4.9e-5 and 4.8e-2

    usual = _gradient_norms("relu", 30, "he_normal")
    assert max(usual) > 100 * max(thirty)


def test_deep_networks_need_more_data():
    """A23. With 50 rows, five layers are far worse than one; with 1,400, they come close."""
    found = nacre.labs.learning_curve(
        *DIGITS, [50, 1400], [(32,), (32,) * 2, (32,) * 5], seeds=3, steps=300, validation_data=TEST_DIGITS
    )
    accuracy = {(len(row["hidden layers"].split()), row["rows"]): row["accuracy"]["mean"] for row in found.rows}
    few, many = (accuracy[1, rows] - accuracy[5, rows] for rows in (50, 1400))
    assert few > 0.07  # measured: 0.14
    assert many < 0.05  # measured: 0.01
    assert all(accuracy[depth, 1400] > accuracy[depth, 50] for depth in (1, 2, 5))


# ------------------------------------------------------------------ what it costs, and what it may lead to


def test_what_a_training_takes_is_known_before_anything_is_made():
    """A24. Large networks take weeks: better to know it before. Parameters, bytes and operations follow from the shapes."""
    model = Sequential([nacre.Input((784,)), Dense(1000, "relu"), Dense(10, "softmax")])
    model.compile("adam", LOSS)
    found = nacre.budget(model, rows=60_000, batch_size=32, epochs=20)

    assert found.parameters == 795_010
    assert found.slots["Adam"] == 3 * 4 * 795_010  # each weight with two numbers beside it
    assert found.steps_per_epoch == 60_000 / 32
    products = 2 * 32 * (2 * 784 * 1000 + 3 * 1000 * 10)  # a multiply-add is two; nothing goes back to the inputs
    assert products < found.flops_per_step < 1.2 * products
    assert found.fits
    assert found.seconds_per_epoch > 0


def test_enough_parameters_remember_each_row_by_heart():
    """A25. If this image, then this: labels that were shuffled are learned as well, all of them, and other rows are right by
    chance."""
    found = nacre.labs.random_labels(*DIGITS, rows=200, seeds=2, validation_data=TEST_DIGITS)
    true, shuffled = found.rows
    assert true["accuracy in training"]["mean"] == shuffled["accuracy in training"]["mean"] == 1.0
    assert true["accuracy"]["mean"] > 0.85
    assert abs(shuffled["accuracy"]["mean"] - 0.1) < 0.05
    assert found.verdict.startswith("memorizes")

    mixed_up, network = np.random.default_rng(0).permutation(Y[:200]), _network(256, optimizer=Adam(0.003))
    first = nacre.diagnose(network, X[:200], mixed_up, epochs=100, validation_data=(X_TEST, Y_TEST)).findings[0]
    assert first.name == "memorizing"
    assert first.numbers["weights for each row"] > 90


def test_the_epoch_from_which_a_network_over_fits_is_told(rng):
    """A26. Over-fitting: the loss on rows trained on falls on, that on other rows rises. The alarm says from which epoch on."""
    x, y = X[:300], Y[:300].copy()
    wrong = rng.random(300) < 0.4
    y[wrong] = rng.integers(0, 10, wrong.sum())  # noise, which can only be learned by heart
    model = _network(256, optimizer=Adam(0.01))
    history = model.fit(x, y, epochs=60, validation_data=(X_TEST, Y_TEST), verbose=0).history

    best = int(np.argmin(history["val_loss"]))
    assert 0 < best < 20  # measured: 8, of 60
    assert history["val_loss"][-1] > 1.25 * history["val_loss"][best]
    assert history["loss"][-1] < 0.5 * history["loss"][best]

    found = nacre.diagnose(model, x, y, epochs=60, validation_data=(X_TEST, Y_TEST)).alarms
    alarm = next(finding for finding in found if finding.name == "over-fitting")
    assert alarm.title == f"the validation was best in epoch {best + 1}"


# ------------------------------------------------------------------ the network of the first course


def test_the_two_layers_of_the_first_course_run_unchanged(recwarn):
    """A28. With its trailing comma, and an input_dim where none is needed; if that is wrong, both layers are named."""
    # fmt: off
    model = Sequential([
        Dense(units=1000,input_dim=784),Activation('softmax'),
        Dense(units=10,input_dim=1000),Activation('softmax'),
    ])
    # fmt: on
    assert model.count_params() == 785 * 1000 + 1001 * 10 == 795_010
    assert not recwarn.list
    with pytest.raises(nacre.errors.ShapeError) as refused:
        Sequential([Dense(1000, input_dim=784, name="teams"), Dense(10, input_dim=999, name="manager")])
    assert "'teams'" in str(refused.value)
    assert "'manager'" in str(refused.value)


def test_a_thousand_teams_see_the_data_and_ten_outputs_see_the_teams():
    """A29. The shapes of all weights, and of what each layer gives."""
    model, lines = _slow_model(), []
    model.summary(print_fn=lines.append)
    assert [weights.shape for weights in model.get_weights()] == [(784, 1000), (1000,), (1000, 10), (10,)]
    assert re.findall(r"\(batch, \d+\)", lines[0]) == ["(batch, 1000)"] * 2 + ["(batch, 10)"] * 2


def test_a_step_in_plain_numpy_does_the_same_and_takes_a_hundred_million_operations(rng):
    """A30. "This will run very slow": what a step is, in ten lines of NumPy, for a batch of 32. nacre takes the very same step."""
    x, y = rng.random((32, 784), dtype=np.float32), rng.integers(0, 10, 32)
    model = _slow_model()
    a, b, a2, b2 = (weights.astype(np.float64) for weights in model.get_weights())

    hidden = _softmax(x @ a + b)  # forward
    error2 = (_softmax(hidden @ a2 + b2) - np.eye(10)[y]) / 32  # backward
    back = error2 @ a2.T
    error = hidden * (back - (hidden * back).sum(axis=1, keepdims=True))
    gradients = [x.T @ error, error.sum(axis=0), hidden.T @ error2, error2.sum(axis=0)]
    stepped = [w - 0.01 * g for w, g in zip((a, b, a2, b2), gradients, strict=True)]  # update

    model.train_on_batch(x, y)
    for ours, theirs in zip(model.get_weights(), stepped, strict=True):
        assert np.abs(ours - theirs).max() < 1e-6
    assert 1e8 < nacre.budget(model, batch_size=32).flops_per_step < 2e8


def test_a_wide_softmax_between_layers_is_exact_and_hardly_learns():
    """A31. A softmax of 1000 units gives each about 0.001, and lets hardly any gradient through. The gradient is right, but small.
    The doctor says so, and its fix, relu, is tried and helps. A first course trains this very network, and it does not learn."""
    model = _network(1000, activation="softmax", optimizer=SGD(0.01))
    small = _network(20, activation="softmax")
    assert nacre.gradcheck(small, X[:16], Y[:16])  # softmax in the middle, and its exact derivative

    diagnosis = nacre.diagnose(model, X[:600], Y[:600])
    first = diagnosis.findings[0]
    assert first.name == "vanishing gradient"
    assert first.numbers["mean activation of a unit"] == pytest.approx(0.001)
    softmax, relu = (first.numbers[f"gradient to weight, with {how}"] for how in ("the softmax", "relu"))
    assert softmax < 2e-4 < 5e-3 < relu  # measured: 6.3e-5 and 1.7e-2

    proof = diagnosis.fix()
    assert proof.helped
    assert proof.before.figure < 0.2  # measured: 0.10, and 0.94 when it is fixed
    assert proof.after.figure > 0.85
