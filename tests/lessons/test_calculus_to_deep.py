"""From calculus to deep networks: derivatives, descent, perceptrons, sigmoids, losses, back-propagation, depth."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

import nacre
from nacre import labs, losses, ops, plots
from nacre.activations import relu, sigmoid, softmax, step
from nacre.cli import main
from nacre.labs import AND, NAND, NOT, OR, Network, Perceptron, truth_table
from nacre.layers import Dense, Flatten, Layer, Residual
from nacre.optimizers import SGD, Adam

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32"), np.array([0, 1, 1, 0], "float32")


def digits() -> tuple[Any, Any]:
    """Handwritten digits: 1,437 rows of 64 numbers from 0 to 1, and 360 others, each with its label."""
    return tuple((x.reshape(-1, 64).astype("float32") / 16, y) for x, y in nacre.datasets.digits.load_data())


def network(widths: list[int], activation: str = "sigmoid", optimizer: Any = None, **settings: Any) -> nacre.Sequential:
    """A network for the digits: hidden layers so wide, then a softmax."""
    nacre.utils.set_random_seed(1)
    hidden = [Dense(width, activation, **settings) for width in widths]
    model = nacre.Sequential([nacre.Input((64,)), *hidden, Dense(10, "softmax")])
    model.compile(optimizer or SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def line(optimizer: Any = None, loss: Any = "half_squared_error") -> nacre.Sequential:
    """y = w x + b, with w = 1 and b = 0 to begin with."""
    model = nacre.Sequential([nacre.Input((1,)), Dense(1, kernel_initializer="ones", name="line")])
    model.compile(optimizer or SGD(0.1), loss)
    return model


def points(count: int) -> tuple[Any, Any]:
    """Numbers x, and y = 2 x + 1 with a little noise."""
    random = np.random.default_rng(0)
    x = random.normal(size=(count, 1))
    return x, 2 * x[:, 0] + 1 + 0.1 * random.normal(size=count)


# ------------------------------------------------------------------ derivatives


def test_the_derivative_says_how_much_a_function_changes_for_a_small_change() -> None:
    """E1. The derivative is the sensitivity of f to v."""
    slope = nacre.grad(lambda v: v**3)(2.0)
    assert slope == 12
    for change in (0.1, 0.01, 0.001):
        difference = (2 + change) ** 3 - 2**3  # 1.261, 0.120601, 0.012006001
        assert abs(difference - slope * change) < 6.2 * change**2  # ten times nearer, a hundred times better


def test_a_tangent_touches_the_curve_and_its_slope_has_a_sign() -> None:
    """E2. The tangent at each point of a curve, red where it falls, green where it rises."""
    v = np.linspace(0, 6, 61)
    slopes = nacre.grad(lambda v: ops.sum(ops.sin(v)))(v)
    np.testing.assert_allclose(slopes, np.cos(v), atol=1e-15)
    colors = "".join("g" if slope > 0 else "r" for slope in slopes)
    assert colors == "g" * 16 + "r" * 32 + "g" * 13  # turns at pi/2 and 3 pi/2
    nearby = v + 0.1
    tangent = np.sin(v) + slopes * (nearby - v)
    assert np.abs(np.sin(nearby) - tangent).max() <= 0.1**2 / 2


@pytest.mark.parametrize(
    "f",
    [lambda v: v**3 - 3 * v, lambda v: ops.exp(-v), ops.sin, lambda v: ops.log(1 + v**2)],
    ids=["cubic", "exponential", "sine", "logarithm"],
)
def test_the_sign_of_the_derivative_is_the_direction_of_increase(f: Any) -> None:
    """E3. Go where the sign points, and f rises; go the other way, and it falls. For any f of one variable."""
    for v in np.linspace(-2.05, 2.05, 12):
        forward = np.sign(nacre.grad(f)(float(v))) * 1e-4
        behind, here, ahead = (float(f(ops.constant(at, "float64")).numpy()) for at in (v - forward, v, v + forward))
        assert behind < here < ahead


def hill(v: Any) -> Any:
    """x e^-(x² + y²)."""
    return v[0] * ops.exp(-(v[0] ** 2 + v[1] ** 2))


def test_a_gradient_is_the_vector_of_all_partial_derivatives() -> None:
    """E4. n variables, n partial derivatives."""
    x, y = 0.3, -0.8
    e = math.exp(-(x**2 + y**2))
    expected = [(1 - 2 * x**2) * e, -2 * x * y * e]
    np.testing.assert_allclose(nacre.grad(hill)(np.array([x, y])), expected)
    partial = [nacre.grad(lambda x, y: hill([x, y]), argnums=n)(x, y) for n in (0, 1)]
    np.testing.assert_allclose(partial, expected)
    many = np.linspace(-1, 1, 1000)
    np.testing.assert_allclose(nacre.grad(lambda v: ops.sum(v**4))(many), 4 * many**3)


def test_arrows_of_a_gradient_field_lead_down_to_the_lowest_point() -> None:
    """E5. The field of f(x, y) = x e^-(x² + y²), and a descent along it."""
    found = nacre.minimize(hill, [-0.2, 0.3])
    np.testing.assert_allclose(found.x, [-math.sqrt(0.5), 0], atol=1e-5)  # (-0.7071, 0)
    assert found.value == pytest.approx(-1 / math.sqrt(2 * math.e))  # -0.4289
    axes = plots.level_sets(hill, found, gradient=True, ax=Figure().subplots())
    assert axes.get_title(loc="left").endswith("steps to (-0.7071, 0), where it is -0.4289")
    (arrows,) = [one for one in axes.collections if hasattr(one, "U")]
    places = np.stack([arrows.X, arrows.Y], 1)
    downhill = np.array([-nacre.grad(hill)(place) for place in places])
    drawn = np.stack([arrows.U, arrows.V], 1)
    np.testing.assert_allclose(drawn, downhill / np.linalg.norm(downhill, axis=1, keepdims=True), atol=1e-9)


def test_no_direction_rises_faster_than_the_gradient() -> None:
    """E6. Of 360 directions, the steepest is the one next to the gradient."""
    here = np.array([0.3, -0.8])
    gradient = nacre.grad(hill)(here)
    angles = np.radians(np.arange(360))
    directions = np.stack([np.cos(angles), np.sin(angles)], 1)
    rises = [float(hill(here + 1e-4 * d) - hill(here)) / 1e-4 for d in directions]
    np.testing.assert_allclose(rises, directions @ gradient, atol=1e-4)
    steepest = directions[np.argmax(rises)]
    assert steepest @ gradient / np.linalg.norm(gradient) > math.cos(math.radians(1))
    assert max(rises) <= np.linalg.norm(gradient) + 1e-4


# ------------------------------------------------------------------ descent


def four_valleys(v: Any) -> Any:
    """Himmelblau's function: 0 at four points, (3, 2) among them."""
    return (v[0] ** 2 + v[1] - 11) ** 2 + (v[0] + v[1] ** 2 - 7) ** 2


def test_any_function_can_be_minimized_and_the_answer_depends_on_the_start() -> None:
    """E7. There is no general answer for C(v1, ..., vn): descent finds a low point near by."""
    for method, rate in (("gd", 0.01), ("momentum", 0.001), ("adam", 0.1), ("lbfgs", None)):
        found = nacre.minimize(four_valleys, [2.5, 2.5], method=method, learning_rate=rate, steps=3000)
        assert found.converged
        np.testing.assert_allclose(found.x, [3, 2], atol=1e-5)
    starts = [[4, 4], [-4, 4], [-4, -4], [4, -4]]
    ends = {tuple(nacre.minimize(four_valleys, s, learning_rate=0.005).x.round(3).tolist()) for s in starts}
    assert ends == {(3, 2), (-2.805, 3.131), (-3.779, -3.283), (3.584, -1.848)}


def test_a_bowl_has_one_lowest_point_and_two_wells_have_two() -> None:
    """E8. Convex functions have one minimum. Texts say that descent always gets there: if they are strictly convex, and the
    learning rate is small enough."""

    def bowl(v: Any) -> Any:
        return v[0] ** 2 + 3 * v[1] ** 2

    for start in np.random.default_rng(0).normal(size=(10, 2)) * 10:
        np.testing.assert_allclose(nacre.minimize(bowl, start).x, 0, atol=1e-6)
    assert nacre.minimize(bowl, [1.0, 1.0], learning_rate=0.4).status == "diverges"  # 0.4 x 6 is above 2
    # Convex, but flat between -1 and 1: no single lowest point.
    assert [float(nacre.minimize(lambda v: relu(abs(v) - 1.0) ** 2, x).x.round(2)) for x in (-3.0, 3.0)] == [-1, 1]
    # Not convex: the start decides, and on the ridge of a saddle descent stops although there is no minimum.
    assert [float(nacre.minimize(lambda v: (v**2 - 1) ** 2, x).x.round(4)) for x in (-0.3, 0.3)] == [-1, 1]
    on_the_ridge, beside = ([1.0, 0.0], [1.0, 1e-6])
    saddle = [nacre.minimize(lambda v: v[0] ** 2 - v[1] ** 2, s).status for s in (on_the_ridge, beside)]
    assert saddle == ["converged", "diverges"]


def valley(v: Any) -> Any:
    """A long valley, 25 times steeper across than along."""
    return v[0] ** 2 / 2 + 25 * v[1] ** 2 / 2


def test_a_ball_that_rolls_gets_through_a_valley_faster_and_overshoots() -> None:
    """E9. A ball in a valley: plain descent creeps, momentum rolls on. ``path`` and ``values`` are where the ball is, and how
    high."""
    creeps = nacre.minimize(valley, [10.0, 1.0], "gd", learning_rate=0.01, steps=3000)
    rolls = nacre.minimize(valley, [10.0, 1.0], "momentum", learning_rate=0.01, steps=3000)
    assert creeps.converged
    assert rolls.converged
    assert creeps.steps > 4 * rolls.steps  # 1,604 and 301
    assert (np.diff(creeps.values) < 0).all()  # it never rises
    assert creeps.path[:, 0].min() > 0
    assert (np.diff(rolls.values) > 0).any()  # the ball runs up the other side
    assert rolls.path[:, 0].min() < -1


def test_gradient_descent_is_a_loop_of_two_lines() -> None:
    """E10. From a random start, until it has converged: v <- v - rate x gradient."""
    v = start = np.random.default_rng(0).normal(size=2)
    steps = 0
    while np.linalg.norm(nacre.grad(valley)(v)) > 1e-3:
        v, steps = v - 0.03 * nacre.grad(valley)(v), steps + 1
    found = nacre.minimize(valley, start, learning_rate=0.03, tolerance=1e-3)
    assert found.steps == steps
    np.testing.assert_allclose(found.x, v, rtol=1e-12)
    assert found.message == f"converged after {steps} steps"


def test_a_descent_is_drawn_on_level_sets(tmp_path: Path) -> None:
    """E11. The path of a descent from above, as a picture for a book (SVG) or a screen (PNG)."""
    found = nacre.minimize(valley, [2.0, 1.0], learning_rate=0.06)
    axes = plots.level_sets(valley, found, ax=Figure().subplots())
    (path,) = [one for one in axes.lines if one.get_label() == "path"]
    np.testing.assert_array_equal(path.get_xydata(), found.path)
    axes.figure.savefig(tmp_path / "descent.svg")
    axes.figure.savefig(tmp_path / "descent.png")
    assert b"<svg" in (tmp_path / "descent.svg").read_bytes()
    assert (tmp_path / "descent.png").read_bytes().startswith(b"\x89PNG")


def test_a_learning_rate_can_be_too_small_or_too_large() -> None:
    """E12. On x²/2 each step multiplies x by 1 - rate: 1.9 converges, 2.0 cycles, 2.1 diverges, to 117 after 50 steps."""
    found = {
        rate: nacre.minimize(lambda x: x**2 / 2, 1.0, learning_rate=rate, steps=500) for rate in (0.001, 1.9, 2.0, 2.1)
    }
    told = {rate: one.status for rate, one in found.items()}
    assert told == {0.001: "not there yet", 1.9: "converged", 2.0: "cycles", 2.1: "diverges"}
    assert abs(found[2.1].path[50]) == pytest.approx(1.1**50)  # 117.39
    # What a network bears is found by trying rates, each a little larger than the last.
    (x, y), _ = digits()
    tried = nacre.find_learning_rate(network([32]), x, y, lowest=1e-4, highest=1000.0)
    assert tried.smoothed[0] > 2.2  # too small: it has learned next to nothing
    assert 0.01 < tried.suggestion < 2
    assert tried.losses[-1] > 3 * tried.smoothed.min()  # too large


# ------------------------------------------------------------------ regression, and batches


def test_a_line_is_fitted_in_three_lines() -> None:
    """E13. Regression with y = w x + b. In (x(i), y(i)) the superscript is an index, the number of the pair, no power."""
    x, y = points(200)
    model = nacre.Sequential([nacre.Input((1,)), Dense(1)])
    model.compile(SGD(0.1), "half_squared_error")
    model.fit(x, y, epochs=10, verbose=0)
    ((w,),), (b,) = model.get_weights()
    slope, offset = np.polyfit(x[:, 0], y, 1)  # least squares, in closed form
    assert (w, b) == pytest.approx((slope, offset), abs=0.02)
    assert (w, b) == pytest.approx((2, 1), abs=0.05)


def test_the_cost_with_one_half_is_half_of_the_mean_squared_error() -> None:
    """E14. C = 1/(2n) times the sum of |y(x) - y|²: the factor 1/2 is in the name of the loss, and changes the rate, not the
    minimum."""
    x, y = points(50)
    half, whole = line(), line(loss="mse")
    away = x[:, 0] - y
    assert half.loss.name == "half_squared_error"
    assert half.evaluate(x, y, verbose=0) == pytest.approx((away**2).sum() / (2 * 50))
    assert whole.evaluate(x, y, verbose=0) == pytest.approx((away**2).sum() / 50)
    # With several outputs |.|² is a sum, while mse is a mean over outputs too.
    y_true, y_pred = np.zeros((1, 4)), np.array([[1.0, 2.0, 3.0, 4.0]])
    assert float(losses.HalfSquaredError()(y_true, y_pred)) == 15
    assert float(losses.MeanSquaredError()(y_true, y_pred)) == 7.5


def test_the_gradient_of_one_pair_is_error_times_x_and_error() -> None:
    """E15. The gradient of Ci is ((w x + b - y) x, w x + b - y)."""
    x, y = points(20)
    found = line().gradients(x, y, per_sample=True)
    away = 1 * x[:, 0] + 0 - y
    np.testing.assert_allclose(found["line/kernel"][:, 0, 0], away * x[:, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["line/bias"][:, 0], away, rtol=1e-5, atol=1e-6)


def test_a_batch_moves_the_weights_against_the_mean_of_all_gradients() -> None:
    """E16. v <- v - rate / n x the sum of the gradients."""
    x, y = points(20)
    model = line(SGD(0.3))
    single = model.gradients(x, y, per_sample=True)
    expected = [1 - 0.3 / 20 * single["line/kernel"].sum(), 0 - 0.3 / 20 * single["line/bias"].sum()]
    model.fit(x, y, batch_size=20, epochs=1, verbose=0)
    assert [float(w.reshape(())) for w in model.get_weights()] == pytest.approx(expected, rel=1e-5)


def test_a_minibatch_points_nearly_where_all_rows_point() -> None:
    """E17. Four times the rows, half the noise: the gradient of m rows is the full one, give or take 1/sqrt(m)."""
    (x, y), _ = digits()
    each = network([16]).gradients(x, y, per_sample=True)
    rows = np.concatenate([g.reshape(len(x), -1) for g in each.values()], axis=1).astype(np.float64)
    full, random = rows.mean(0), np.random.default_rng(0)
    noise, angle = {}, {}
    for m in (4, 16, 64, 256):
        batches = [rows[random.choice(len(rows), m)].mean(0) for _ in range(200)]
        noise[m] = np.sqrt(np.mean([np.sum((g - full) ** 2) for g in batches])) / np.linalg.norm(full)
        cosine = np.mean([g @ full / np.linalg.norm(g) / np.linalg.norm(full) for g in batches])
        angle[m] = math.degrees(math.acos(cosine))
    for m in (4, 16, 64):
        assert noise[m] / noise[4 * m] == pytest.approx(2, rel=0.1)
    assert angle[4] > 60  # a few rows point nearly anywhere
    assert angle[256] < 20


def ends_of(epochs: int, seed: int, reduction: str = "sum_over_batch_size", rate: float = 1.0) -> Any:
    """The weights of ten rows that share nothing: row i is all 0 but for a 1 at place i, and only weight i learns from it."""
    nacre.utils.set_random_seed(seed)
    model = nacre.Sequential([nacre.Input((10,)), Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(SGD(rate), losses.HalfSquaredError(reduction=reduction))
    model.fit(np.eye(10), np.ones(10), batch_size=4, epochs=epochs, verbose=0)
    return model.get_weights()[0][:, 0]


def test_an_epoch_sees_each_row_once_whatever_the_minibatches() -> None:
    """E18. A minibatch is some rows for one step, an epoch is as many steps as it takes to see each row once."""
    for epochs in (1, 2, 5):
        # Seen k times, a weight is 1 - 0.5^k.
        assert ends_of(epochs, 0, "sum", 0.5).tolist() == [1 - 0.5**epochs] * 10
    (x, y), _ = digits()
    model = network([16])
    model.fit(x, y, batch_size=100, epochs=3, verbose=0)
    assert model.optimizer.iterations == 3 * math.ceil(1437 / 100)


def test_sgd_divides_the_rows_anew_in_each_epoch_and_a_short_batch_by_its_own_size() -> None:
    """E19. Ten rows in minibatches of 4 are 4, 4 and 2. A weight moves by rate/m: 1/4, or 1/2 in the short one."""
    for seed in range(5):
        assert sorted(ends_of(1, seed)) == [0.25] * 8 + [0.5] * 2
    partitions = {tuple(np.flatnonzero(ends_of(1, seed) == 0.5).tolist()) for seed in range(10)}
    assert len(partitions) > 5  # at random
    assert ends_of(3, 7).tolist() == ends_of(3, 7).tolist()  # and yet the same for the same seed
    # Twice 1/4, 1/4 and 1/2, or twice 1/2: after two epochs there are weights of mixed fate, so the second division is another.
    assert 1 - 0.75 * 0.5 in ends_of(2, 0).tolist()


# ------------------------------------------------------------------ perceptrons


def test_a_perceptron_weighs_its_inputs_and_compares_with_a_threshold() -> None:
    """E20. Rosenblatt's perceptron, by itself and as a layer of one unit."""
    one = Perceptron([0.5, -1.0, 2.0], threshold=1.2)
    model = one.model()
    (dense,) = [layer for layer in model.layers if isinstance(layer, Dense)]
    assert (dense.units, dense.activation) == (1, step)
    x = np.random.default_rng(0).normal(size=(100, 3)).astype("float32")
    said = (x @ np.array([0.5, -1, 2]) > 1.2).astype(int)
    assert one(x).tolist() == model.predict(x)[:, 0].tolist() == said.tolist()
    assert 0 < said.sum() < 100


def test_a_step_is_0_up_to_0_and_1_above() -> None:
    """E21. At exactly 0 it is 0."""
    assert step(np.array([-1.0, -1e-30, 0.0, 1e-30, 1.0])).numpy().tolist() == [0, 0, 0, 1, 1]
    assert Perceptron([2, 3], threshold=5)([1, 1]) == 0
    assert Perceptron([2, 3], threshold=4.999)([1, 1]) == 1


def test_a_bias_is_minus_a_threshold_and_one_says_which_is_meant() -> None:
    """E22. Some write w x - b, Keras and nacre w x + b. With "- b" the NAND of the books, -2, -2 and b = 3, gives 0, 0, 0, 0."""
    assert truth_table(Perceptron([-2, -2], bias=3)).outputs == (1, 1, 1, 0)
    assert truth_table(Perceptron([-2, -2], threshold=3)).outputs == (0, 0, 0, 0)
    assert Perceptron([-2, -2], bias=3) == Perceptron([-2, -2], threshold=-3)
    with pytest.raises(nacre.errors.UsageError, match="threshold or a bias"):
        Perceptron([-2, -2])


EIGHT = list(itertools.product((0, 1), repeat=3))


def test_the_weather_decides_whether_to_go_to_the_cheese_festival() -> None:
    """E23. Weights 6, 2, 2 for weather, company and transport, threshold 5."""
    assert truth_table(Perceptron([6, 2, 2], threshold=5)).outputs == tuple(weather for weather, _, _ in EIGHT)


def test_a_lower_threshold_is_another_way_to_decide() -> None:
    """E24. Threshold 3: go if the weather is good, or if both others are."""
    table = truth_table(Perceptron([6, 2, 2], threshold=3))
    assert table.outputs == (0, 0, 0, 1, 1, 1, 1, 1)
    assert table.outputs == tuple(int(weather or (company and bus)) for weather, company, bus in EIGHT)


def test_perceptrons_are_gates() -> None:
    """E25. AND, OR and NAND; weights -2, -2 and bias 3 are NAND."""
    assert truth_table(AND).outputs == (0, 0, 0, 1)
    assert truth_table(OR).outputs == (0, 1, 1, 1)
    assert truth_table(NAND).outputs == (1, 1, 1, 0)
    assert truth_table(NOT).outputs == (1, 0)
    assert (NAND.weights, NAND.bias) == ((-2, -2), 3)


def test_nand_is_universal_and_so_are_perceptrons() -> None:
    """E26. Each of the 256 truth tables of three inputs is a network of NANDs, and a model of layers."""
    for outputs in itertools.product((0, 1), repeat=8):
        circuit = labs.nand_network(outputs)
        assert truth_table(circuit).outputs == outputs
        assert {gate for gate, _ in circuit.gates} <= {NAND}
    parity = labs.nand_network(lambda a, b, c: a ^ b ^ c)
    assert truth_table(parity.model()) == truth_table(parity)


def test_a_second_layer_weighs_what_the_first_decided() -> None:
    """E27. A network of perceptrons: layer 1 decides about the inputs, layer 2 about these decisions, layer 3 about those."""
    some, two, three = (Perceptron([1, 1, 1], threshold=t) for t in (0, 1, 2))  # more than 0, 1, 2 inputs are 1
    but_not = Perceptron([1, -1], threshold=0)  # the first, but not the second
    odd = Network(
        3,
        (
            (some, (0, 1, 2)), (two, (0, 1, 2)), (three, (0, 1, 2)),  # layer 1 gives wires 3, 4, 5
            (but_not, (3, 4)), (but_not, (4, 5)),  # layer 2 gives 6 and 7: exactly one, exactly two
            (Perceptron([1, -1, 1], threshold=0), (6, 7, 5)),  # layer 3: one or three, so an odd number
        ),
        (8,),
    )  # fmt: skip
    assert truth_table(odd).outputs == tuple(a ^ b ^ c for a, b, c in EIGHT)
    model = odd.model()
    seen = [call.output for call in model.inside(np.array(EIGHT, "float32")).calls if isinstance(call.layer, Dense)]
    count = np.sum(EIGHT, axis=1)
    assert seen[0][:, :3].tolist() == np.stack([count > 0, count > 1, count > 2], 1).astype(int).tolist()
    assert seen[1][:, 1].tolist() == (count == 1).astype(int).tolist()
    assert seen[1][:, 2].tolist() == (count == 2).astype(int).tolist()
    assert seen[2][:, 0].tolist() == (count % 2).tolist()


def test_where_a_network_ends_up_depends_on_where_it_starts() -> None:
    """E28. The loss of a multi-layer perceptron is far from convex: from 40 starts, XOR ends in three different minima."""
    found = []
    for seed in range(40):
        nacre.utils.set_random_seed(seed)
        model = nacre.Sequential([nacre.Input((2,)), Dense(2, "sigmoid"), Dense(1, "sigmoid")])
        model.compile(loss="binary_crossentropy")
        found.append(model.fit_lbfgs(*XOR, steps=200).history["loss"][-1])
    solved, two_rows_alike, three_rows_alike = 0, math.log(2) / 2, 0.75 * math.log(3) - 0.5 * math.log(2)
    ends = {
        least: sum(abs(loss - least) < 0.01 for loss in found) for least in (solved, two_rows_alike, three_rows_alike)
    }
    assert sum(ends.values()) == 40
    assert min(ends.values()) >= 5


def test_a_tiny_change_of_a_weight_flips_a_step_and_no_gradient_tells() -> None:
    """E29. A network of steps cannot be trained by its gradient, which is 0. The perceptron rule trains a single layer."""
    assert [Perceptron([-2, -2], bias=bias)([1, 0]) for bias in (1.999, 2.001)] == [0, 1]
    x, y = XOR
    model = nacre.Sequential([nacre.Input((2,)), Dense(4, "step"), Dense(1, "sigmoid")])
    model.compile(SGD(0.1), "binary_crossentropy")
    assert not model.gradients(x, y, names=["dense/kernel"])["dense/kernel"].any()
    (train_x, train_y), _ = digits()
    (first, *_) = nacre.diagnose(network([32], "step"), train_x, train_y).findings
    assert first.name == "step activation"
    assert "gradient 0 everywhere and cannot be trained by SGD" in first.title
    assert "sigmoid" in str(first.fix)
    learned = labs.perceptron_rule(x, [1, 1, 1, 0])
    assert learned.separated
    assert truth_table(learned.perceptron) == truth_table(NAND)
    assert not labs.perceptron_rule(x, y).separated  # no line divides XOR


# ------------------------------------------------------------------ sigmoid, relu


def test_a_sigmoid_is_a_smooth_step() -> None:
    """E30. 1/(1 + e^-z): 1/2 at 0, 0 and 1 far out, without an overflow at 10,000."""
    z = np.array([-1e4, -40.0, -1.0, 0.0, 1.0, 40.0, 1e4])
    expected = [0, math.exp(-40), 1 / (1 + math.e), 0.5, 1 / (1 + math.exp(-1)), 1, 1]
    with np.errstate(all="raise"):
        np.testing.assert_allclose(sigmoid(z).numpy(), expected, rtol=1e-14, atol=1e-300)
    # Weights a hundred times larger make a step of it.
    away = np.array([-2.0, -0.5, 0.5, 2.0])
    np.testing.assert_allclose(sigmoid(100 * away).numpy(), step(away).numpy(), atol=1e-20)
    drawn = plots.activation("sigmoid", ax=Figure().subplots()).lines[0].get_xydata()
    np.testing.assert_allclose(drawn[:, 1], 1 / (1 + np.exp(-drawn[:, 0])))


def test_with_sigmoids_descent_usually_converges() -> None:
    """E31. XOR with eight sigmoid units, from 100 starts: 97 are right about all four rows after 100 steps."""

    def build() -> nacre.Model:
        model = nacre.Sequential([nacre.Input((2,)), Dense(8, "sigmoid"), Dense(1, "sigmoid")])
        model.compile(Adam(0.2), "binary_crossentropy")
        return model

    x, y = XOR
    trained = nacre.fit_many(build, x, y, seeds=range(100), epochs=100, batch_size=4)
    solved = [bool(((one.model.predict(x)[:, 0] > 0.5) == y).all()) for one in trained]
    assert 90 <= sum(solved) < 100  # usually, not always


def test_loss_and_cost_are_two_words_for_one_thing() -> None:
    """E32. Texts say cost, nacre says loss, and says so to those who look for the other word."""
    assert "costs" in (losses.__doc__ or "")
    with pytest.raises(nacre.errors.UsageError, match=r"no argument 'cost'(.|\n)*loss"):
        line().compile(cost="mse")


def test_an_activation_is_any_function_behind_the_weighted_sum() -> None:
    """E33. a = f(w x + b) with f a step, a sigmoid, ReLU, or one's own; each with its derivative."""
    x, w, b = np.array([[0.5, -2.0, 1.0]]), np.array([[0.3], [0.1], [1.0]]), np.array([-0.25])
    z = (x @ w + b).item()
    for f, value, slope in [
        ("step", 1, 0),
        ("sigmoid", 1 / (1 + math.exp(-z)), math.exp(-z) / (1 + math.exp(-z)) ** 2),
        ("relu", z, 1),
        (lambda z: ops.sin(z), math.sin(z), math.cos(z)),
    ]:
        model = nacre.Sequential([nacre.Input((3,)), Dense(1, f)])
        model.set_weights([w, b])
        assert model.predict(x).item() == pytest.approx(value, rel=1e-6)
        curve, derivative = plots.activation(f, bounds=(z, z + 1), ax=Figure().subplots()).lines
        assert (curve.get_ydata()[0], derivative.get_ydata()[0]) == pytest.approx((value, slope))


def test_relu_is_0_or_the_number_itself() -> None:
    """E34. max(0, z); its derivative is 0, then 1, and at 0 it is chosen to be 0."""
    z = np.array([-3.0, -0.1, 0.0, 0.1, 3.0])
    assert relu(z).numpy().tolist() == [0, 0, 0, 0.1, 3]
    assert nacre.grad(lambda z: ops.sum(relu(z)))(z).tolist() == [0, 0, 0, 1, 1]


def test_relu_is_what_one_gets_unless_one_asks_for_something_else() -> None:
    """E35. ReLU is preferred: it is the default, and the doctor turns deep sigmoids into it."""
    said = CliRunner().invoke(main, ["train", "--help"]).output
    option = said[said.index("--activation") : said.index("--kernel-initializer")]
    assert "".join(option.split()).endswith("[default:relu]")
    (x, y), _ = digits()
    found = nacre.diagnose(network([32] * 6), x, y)
    assert found.findings[0].name == "vanishing gradient"
    proof = found.fix()
    assert 'activation="relu"' in proof.finding.fix.code  # type: ignore[union-attr]
    assert proof.after.accuracy > proof.before.accuracy + 0.5


# ------------------------------------------------------------------ losses


def test_training_makes_the_loss_small() -> None:
    """E36. The loss says how badly a network fits; minimizing it is training."""
    (x, y), _ = digits()
    model = network([32])
    before = model.evaluate(x, y, verbose=0)[0]
    losses_seen = model.fit(x, y, epochs=10, verbose=0).history["loss"]
    assert (np.diff(losses_seen) < 0).all()
    assert model.evaluate(x, y, verbose=0)[0] < before / 2


def test_the_loss_of_a_batch_is_the_mean_of_those_of_its_rows() -> None:
    """E37. First assumption of back-propagation: C is the average of the Ci, and so is its gradient."""
    (x, y), _ = digits()
    model = network([16])
    assert model.evaluate(x[:50], y[:50], verbose=0)[0] == pytest.approx(model.inside(x[:50], y[:50]).losses.mean())
    whole, each = model.gradients(x[:50], y[:50]), model.gradients(x[:50], y[:50], per_sample=True)
    for name, gradient in whole.items():
        np.testing.assert_allclose(each[name].mean(0), gradient, atol=1e-6)


def test_a_loss_is_any_function_of_target_and_output() -> None:
    """E38. Second assumption: Ci = L(output, target). One's own L needs no derivative, that is found."""

    def quartic(target: Any, output: Any) -> Any:
        return ops.mean((output - target) ** 4, axis=-1)

    x, y = points(20)
    model = line(loss=quartic)
    away = x[:, 0] - y
    assert model.evaluate(x, y, verbose=0) == pytest.approx((away**4).mean())
    slope = model.gradients(x, y)["line/kernel"].item()
    assert slope == pytest.approx((4 * away**3 * x[:, 0]).mean(), rel=1e-5)
    assert nacre.gradcheck(model, x, y)


def test_l2_is_half_the_squared_distance_and_l1_the_sum_of_absolute_differences() -> None:
    """E39. |o - y|²/2 and |o - y|1. Beside these there are means over the outputs, mse and mae, as in Keras."""
    o, y = np.random.default_rng(0).normal(size=(2, 6, 3))
    l2, mse = losses.half_squared_error, losses.mean_squared_error
    values, means = (loss(ops.constant(y, "float64"), ops.constant(o, "float64")).numpy() for loss in (l2, mse))
    np.testing.assert_allclose(values, ((o - y) ** 2).sum(1) / 2)
    np.testing.assert_allclose(means, 2 / 3 * values)
    gradient = nacre.grad(lambda o: ops.sum(l2(ops.constant(y, "float64"), o)))(o)
    np.testing.assert_allclose(gradient, o - y)  # this is what the 1/2 is for
    mae = losses.mean_absolute_error(ops.constant(y, "float64"), ops.constant(o, "float64")).numpy()
    np.testing.assert_allclose(3 * mae, np.abs(o - y).sum(1))


def test_the_network_for_digits_has_11935_parameters() -> None:
    """E40. 784 inputs, 15 hidden units, 10 outputs: (784 + 1) x 15 + (15 + 1) x 10."""
    model = nacre.Sequential([nacre.Input((784,)), Dense(15, "sigmoid"), Dense(10, "sigmoid")])
    assert model.count_params() == 11_935
    counted = nacre.budget(model).layers
    assert [(layer.parameters, layer.formula) for layer in counted] == [
        (11_775, "(784 + 1) x 15"),
        (160, "(15 + 1) x 10"),
    ]


def test_a_target_is_a_unit_vector_and_a_label_keeps_its_name(tmp_path: Path) -> None:
    """E41. Class y as e_y. Class numbers mean the same, and words in a table are words again in predictions."""
    assert nacre.utils.to_categorical([2, 0], 4).tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]
    (x, y), _ = digits()
    by_number, by_vector = network([16]), network([16])
    by_vector.compile(SGD(0.1), "categorical_crossentropy", metrics=["accuracy"])
    seen = [by_number.fit(x, y, verbose=0), by_vector.fit(x, nacre.utils.to_categorical(y), verbose=0)]
    assert seen[0].history["loss"] == seen[1].history["loss"]
    table, run = tmp_path / "boats.csv", tmp_path / "run"
    rows = [f"{n % 40},{'canoe' if n % 40 < 20 else 'ferry'}" for n in range(400)]
    table.write_text("\n".join(["length,kind", *rows]))
    words = [
        "train",
        str(table),
        "--target",
        "kind",
        "--model",
        "mlp:8",
        "--epochs",
        "60",
        "--seed",
        "1",
        "--out",
        str(run),
    ]
    assert CliRunner().invoke(main, words, catch_exceptions=False).exit_code == 0
    said = CliRunner().invoke(main, ["predict", str(run), str(table)], catch_exceptions=False).stdout.splitlines()
    assert said[0] == "prediction,probability_canoe,probability_ferry"
    assert (said[1].split(",")[0], said[40].split(",")[0]) == ("canoe", "ferry")


def test_the_squared_error_does_not_work_well_for_classes() -> None:
    """E42. The same network, the same seed, 15 epochs: crossentropy is right about 90 % of the digits, half the squared distance
    about 33 %, the absolute error about 18 %."""
    (x, y), _ = digits()
    right = {}
    for loss in ("categorical_crossentropy", "half_squared_error", "mae"):
        model = network([30])
        model.compile(SGD(0.1), loss, metrics=["accuracy"])
        right[loss] = model.fit(x, nacre.utils.to_categorical(y), epochs=15, verbose=0).history["accuracy"]
    assert right["categorical_crossentropy"][-1] > 0.85
    assert right["half_squared_error"][-1] < 0.5
    assert right["mae"][-1] < 0.3
    # Why: where the network is surely wrong, the softmax is flat, and its squared error has no gradient.
    surely_wrong = np.array([20.0, 0.0])
    target = np.array([0.0, 1.0])
    squared = nacre.grad(lambda z: losses.half_squared_error(ops.constant(target, "float64"), softmax(z)))(surely_wrong)
    crossed = nacre.grad(lambda z: losses.categorical_crossentropy(ops.constant(target, "float64"), softmax(z)))(
        surely_wrong
    )
    assert np.abs(squared).max() < 1e-8
    assert np.abs(crossed).min() > 0.999


def test_minus_the_logarithm_of_a_probability_is_never_below_0() -> None:
    """E43. L = -log o_y >= 0, and 0 if o_y is 1: texts say that log o < 0 on [0, 1], it is <= 0, and nothing at 0. A probability
    of 0 counts as 0.0000001, behind a softmax the scores are used; a loss that is none stops the training. Where outputs are cut
    off like that, compile warns, and the doctor tells how many."""
    random = np.random.default_rng(0)
    for _ in range(100):
        found = nacre.explain.explain_scores(random.normal(size=10) * 20, int(random.integers(10)))
        assert found.loss >= 0
        assert found.loss == pytest.approx(-math.log(found.probabilities[found.true_class]), abs=1e-12)
    assert nacre.explain.explain_scores([1000.0, 0.0], 0).loss == 0
    assert nacre.explain.explain_scores([1000.0, 0.0], 1).loss == 1000
    given = losses.CategoricalCrossentropy()([[1.0, 0.0, 0.0]], [[0.0, 0.5, 0.5]])
    assert float(given) == pytest.approx(-math.log(1e-7))  # 16.118
    with pytest.raises(nacre.errors.NonFiniteLossError):
        line(SGD(1e30)).fit(*points(20), batch_size=1, epochs=2, verbose=0)
    (x, y), _ = digits()
    scores = nacre.Sequential([nacre.Input((64,)), Dense(10, name="scores")])  # which are no probabilities
    with pytest.warns(UserWarning, match="'scores' gives scores .* takes probabilities"):
        scores.compile(SGD(0.1), "sparse_categorical_crossentropy")
    said = nacre.diagnose(scores, x[:300], y[:300]).findings[0]
    assert said.name == "wrong loss for the output"
    assert said.numbers["share of the outputs that are cut off"] > 0.3  # about half of them, at first


def test_sigmoids_do_not_add_to_1_and_do_not_go_with_the_crossentropy_of_classes() -> None:
    """E44. Ten sigmoids add to 4.3 to begin with. The loss divides them by their sum, so that it compares probabilities that
    the network never gave; compile warns of it, and the doctor says to end with a softmax."""
    (x, y), _ = digits()
    nacre.utils.set_random_seed(1)
    model = nacre.Sequential([nacre.Input((64,)), Dense(30, "sigmoid"), Dense(10, "sigmoid")])
    with pytest.warns(UserWarning, match="sigmoids, which do not add up to 1 .* end with a softmax"):
        model.compile(SGD(0.1), "sparse_categorical_crossentropy")
    assert 3 < model.predict(x).sum(1).mean() < 7
    np.testing.assert_allclose(network([30]).predict(x).sum(1), 1, rtol=1e-5)  # a softmax
    said = losses.CategoricalCrossentropy()([[1.0, 0.0, 0.0]], [[0.3, 0.9, 0.9]])
    assert float(said) == pytest.approx(-math.log(0.3 / 2.1))  # and not -log 0.3
    (first, *_) = nacre.diagnose(model, x, y).findings
    assert first.name == "wrong loss for the output"
    assert "do not add up to 1" in first.title
    assert 'activation="softmax"' in str(first.fix)


# ------------------------------------------------------------------ softmax


def test_softmax_is_the_powers_of_e_by_their_sum() -> None:
    """E45. For scores of any size: powers of e would overflow at 89 in float32."""
    z = np.random.default_rng(0).normal(size=(5, 7))
    np.testing.assert_allclose(softmax(z).numpy(), np.exp(z) / np.exp(z).sum(1, keepdims=True), rtol=1e-6)
    for far in (1e4, 1e30):
        assert softmax(np.array([far, 0.0, -far], "float32")).numpy().tolist() == [1, 0, 0]
    assert softmax(np.zeros((1, 1000))).numpy()[0].tolist() == pytest.approx([0.001] * 1000)


def test_a_softmax_has_four_properties() -> None:
    """E46. Never below 0; with sum 1; one score up, its output up and all others down; one score far above, its output 1."""
    random = np.random.default_rng(0)
    for _ in range(50):
        z, m = random.normal(size=6) * 3, int(random.integers(6))
        a = softmax(z).numpy()
        assert (a >= 0).all()
        assert a.sum() == pytest.approx(1)
        change = nacre.grad(lambda z, m=m: softmax(z)[m])(z)  # also how a_m hangs on the others, by symmetry
        np.testing.assert_allclose(change, a[m] * ((np.arange(6) == m) - a), atol=1e-12)
        assert change[m] > 0
        assert (np.delete(change, m) < 0).all()
        z[m] = z.max() + 50
        assert softmax(z).numpy()[m] == pytest.approx(1)


def test_a_softmax_is_a_smooth_argmax() -> None:
    """E47. Scores divided by a temperature: cold, it is argmax, hot, all are alike. Which temperature makes probabilities come
    true, a calibration plot shows."""
    z = np.array([1.0, 3.0, 2.0])
    np.testing.assert_allclose(softmax(z / 0.01).numpy(), np.arange(3) == z.argmax(), atol=1e-40)
    np.testing.assert_allclose(softmax(z / 1000).numpy(), 1 / 3, atol=1e-3)
    (x, y), (test_x, test_y) = digits()
    model = network([64], "relu", Adam(0.003))
    model.fit(x, y, epochs=20, verbose=0)
    scores = np.log(model.predict(test_x))
    errors = {}
    for temperature in (1, 5):
        axes = plots.calibration(test_y, softmax(scores / temperature).numpy(), ax=Figure().subplots())
        errors[temperature] = float(axes.get_title(loc="left").split()[3])
    assert errors[1] < 0.05
    assert errors[5] > 0.3  # right far more often than it says


# ------------------------------------------------------------------ back-propagation


def test_a_network_is_one_function_behind_another() -> None:
    """E48. C = L(f_3(f_2(f_1(x)))): layer by layer gives what the network gives."""
    (x, y), _ = digits()
    model = network([16, 12])
    u: Any = x[:5]
    for layer in model.layers:
        u = layer(u)
    np.testing.assert_allclose(u.numpy(), model.predict(x[:5]), rtol=1e-6)
    cost = losses.SparseCategoricalCrossentropy()(y[:5], u)
    assert float(cost) == pytest.approx(model.evaluate(x[:5], y[:5], verbose=0)[0], rel=1e-6)
    forward = [node.formula for node in model.graph().nodes if node.part == "forward"]
    assert forward[1:3] == ["x A1 + b1 = Z1", "sigmoid(Z1) = X1"]


class Wave(Layer):
    """o = sin(theta u), with one theta for each number."""

    def build(self, input_shape: Any) -> None:
        self.theta = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="theta")

    def call(self, u: Any) -> Any:
        return ops.sin(self.theta * u)


def test_a_layer_is_a_function_of_its_input_and_its_parameters_with_two_derivatives() -> None:
    """E49. o_l = f_l(u_l, theta_l), and u_l is o_(l-1). One writes the function; both derivatives are found."""
    model = nacre.Sequential([nacre.Input((3,)), Dense(3, name="before"), Wave(name="wave")])
    model.compile(SGD(0.1), losses.HalfSquaredError())
    x, y = np.random.default_rng(0).normal(size=(2, 1, 3))
    inside = model.inside(x, y)
    wave = inside["wave"]
    (u,) = wave.inputs
    np.testing.assert_array_equal(u, inside["before"].output)
    np.testing.assert_allclose(wave.output, np.sin(u), rtol=1e-6)
    error = wave.output - y
    np.testing.assert_allclose(inside["before"].error, error * np.cos(u), rtol=1e-5)  # by u, times theta, which is 1
    np.testing.assert_allclose(model.gradients(x, y)["wave/theta"], (error * np.cos(u) * u)[0], rtol=1e-5)


def test_all_gradients_come_at_once_by_name() -> None:
    """E50. dC/d theta_l for all l."""
    (x, y), _ = digits()
    model = network([16, 12])
    found = model.gradients(x[:20], y[:20])
    assert {name: g.shape for name, g in found.items()} == {
        "dense/kernel": (64, 16), "dense/bias": (16,),
        "dense_1/kernel": (16, 12), "dense_1/bias": (12,),
        "dense_2/kernel": (12, 10), "dense_2/bias": (10,),
    }  # fmt: skip
    assert nacre.gradcheck(model, x[:20], y[:20])  # against differences (C(v + h) - C(v - h)) / 2h


def test_the_chain_rule_sums_over_all_paths() -> None:
    """E51. df(x(t), y(t))/dt = df/dx dx/dt + df/dy dy/dt. So too where a value is used twice, as around a residual block."""
    t = 0.7
    x, y = math.sin(t), t**2
    both = nacre.grad(lambda t: ops.sin(t) * ops.exp(t**2))(t)
    assert both == pytest.approx(math.exp(y) * math.cos(t) + x * math.exp(y) * 2 * t)
    assert nacre.grad(lambda t: t * t + t)(3.0) == 7
    assert nacre.grad(lambda t: (t * t) * (t * t))(2.0) == 32  # the square is used twice: t⁴
    model = nacre.Sequential([nacre.Input((2,), name="in"), Residual([Dense(2)], name="around")])
    model.compile(SGD(0.1), losses.HalfSquaredError())
    x, y = np.array([[1.0, -2.0]]), np.array([[0.5, 0.5]])
    inside = model.inside(x, y)
    (W, _), error = model.get_weights(), inside["around"].error
    np.testing.assert_allclose(inside["in"].error, error + error @ W.T, rtol=1e-6)  # past the block, and through it


def test_what_lies_behind_does_not_change_what_comes_before() -> None:
    """E52. do_m/d theta_l is 0 for m < l. Texts print "if m > l"; that is where it is not 0."""
    random = np.random.default_rng(0)
    theta = {layer: random.normal(size=(4, 4)) for layer in (1, 2, 3)}
    u = random.normal(size=(1, 4))

    def output(m: int, theta: Any) -> Any:
        o = ops.operand(u)
        for layer in range(1, m + 1):
            o = ops.tanh(ops.matmul(o, theta[layer]))
        return ops.sum(o)

    for m in (1, 2, 3):
        depends = {layer: bool(g.any()) for layer, g in nacre.grad(lambda theta, m=m: output(m, theta))(theta).items()}
        assert depends == {layer: layer <= m for layer in (1, 2, 3)}


def test_the_gradient_of_a_layer_follows_from_that_of_the_next() -> None:
    """E53. The recursion: the error by o_(l-1) is W_l times that by the scores of l; times the slope of the activation, it is the
    error by the scores of l-1; times the input, the gradient of the weights."""
    (x, y), _ = digits()
    told = network([16, 12]).explain(x[:1], y[:1])
    last, before = told.layer("dense_2"), told.layer("dense_1")
    np.testing.assert_allclose(last.score_error, last.output - np.eye(10)[y[:1]], atol=1e-6)
    np.testing.assert_allclose(before.error, last.score_error @ last.weights["kernel"].value.T, atol=1e-6)
    np.testing.assert_allclose(before.slope, before.output * (1 - before.output), atol=1e-6)
    np.testing.assert_allclose(before.score_error, before.error * before.slope, atol=1e-6)
    np.testing.assert_allclose(before.weights["kernel"].gradient, before.inputs[0].T @ before.score_error, atol=1e-6)
    np.testing.assert_allclose(before.weights["bias"].gradient, before.score_error[0], atol=1e-6)


def test_back_propagation_is_a_buffer_that_goes_from_the_last_layer_to_the_first() -> None:
    """E54. Forward, each u_l is kept; backward, the buffer is 1, then for l = L, ..., 1: keep the gradient, go on with the
    buffer. It is printed after each layer, and what is kept forward is counted in bytes."""
    (x, y), _ = digits()
    model = network([16, 12])
    told = model.explain(x[:1], y[:1])
    backward = str(told).partition("BACKWARD")[2].partition("UPDATE")[0]
    assert backward.startswith(": the buffer is 1 at the loss")
    places = [
        backward.index(f"{layer}: {size} numbers, norm")
        for layer, size in [("dense_2", 10), ("dense_1", 12), ("dense", 16)]
    ]
    assert places == sorted(places)
    # The algorithm by hand, with what was kept forward.
    weights = model.get_weights()
    buffer = told.layer("dense_2").output - np.eye(10)[y[:1]]
    found = model.gradients(x[:1], y[:1])
    for name, W in [("dense_2", weights[4]), ("dense_1", weights[2]), ("dense", weights[0])]:
        u = told.layer(name).inputs[0]
        np.testing.assert_allclose(found[f"{name}/kernel"], u.T @ buffer, atol=1e-6)
        buffer = (buffer @ W.T) * u * (1 - u)  # u is what the sigmoid before it gave
    small, large = (nacre.budget(network([512, 512]), batch_size=size).training.activations for size in (128, 256))  # type: ignore[union-attr]
    assert large == pytest.approx(2 * small, rel=0.001)  # each row keeps its own u
    assert small > 128 * 2 * 512 * 4  # at least: 128 rows, two layers of 512 numbers, four bytes each


def test_with_vectors_the_buffer_is_multiplied_by_jacobians() -> None:
    """E55. For layers of vectors the derivative is a Jacobian J (outputs x inputs), and the new buffer is J^T times the old."""
    (x, y), _ = digits()
    model = network([16, 12])
    inside = model.inside(x[:1], y[:1])
    call, behind = inside["dense_1"], inside["dense"]
    W, b = (ops.constant(w, "float64") for w in model.get_weights()[2:4])
    outputs = [
        nacre.grad(lambda u, j=j: sigmoid(ops.matmul(u, W) + b)[0, j])(call.inputs[0].astype(float)) for j in range(12)
    ]
    J = np.concatenate(outputs)
    assert J.shape == (12, 16)
    assert call.error is not None
    np.testing.assert_allclose(J.T @ call.error[0], behind.error[0], atol=1e-6)  # type: ignore[index]


# ------------------------------------------------------------------ depth


def test_a_multiplication_is_made_of_smaller_tasks() -> None:
    """E56. Two numbers of two bits, multiplied by NAND perceptrons, layer behind layer."""
    circuit = labs.multiplier(2)
    for a, b in itertools.product(range(4), repeat=2):
        bits = [a >> 1, a & 1, b >> 1, b & 1]
        assert int("".join(map(str, circuit(bits))), 2) == a * b
    assert {gate for gate, _ in circuit.gates} == {NAND}
    # The first task: each bit times each bit, which is AND; a NAND for each of the four in the first layer.
    first = {
        tuple(sorted(wires)) for (_, wires), depth in zip(circuit.gates, circuit.depths[4:], strict=True) if depth == 1
    }
    assert {(0, 2), (0, 3), (1, 2), (1, 3)} <= first
    model = circuit.model()
    assert truth_table(model) == truth_table(circuit)
    assert sum(isinstance(layer, Dense) for layer in model.layers) == max(circuit.depths)


def test_units_of_later_layers_know_more_about_the_whole() -> None:
    """E57. Lines, triangles and rectangles: the first layer looks at places of the picture, and from layer to layer units answer
    more to one shape alone: 0.33, 0.36, 0.51 on pictures that were not trained on."""
    x, y = nacre.insight.shapes(900, seed=1)
    other_x, other_y = nacre.insight.shapes(300, seed=2)
    nacre.utils.set_random_seed(0)
    hidden = [Dense(32, "relu", name=name) for name in ("first", "second", "third")]
    model = nacre.Sequential([nacre.Input((16, 16)), Flatten(), *hidden, Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=30, verbose=0)
    assert model.evaluate(other_x, other_y, verbose=0)[1] > 0.9
    names = [layer.name for layer in hidden]
    first, second, third = (nacre.insight.selectivity(model, other_x, other_y, name).index.mean() for name in names)
    assert max(first, second) + 0.05 < third  # so it is with other seeds too
    assert nacre.insight.first_layer(model).pictures.shape == (32, 16, 16)  # a picture of weights for each unit
    ideal = nacre.insight.maximize(model, "third", [0, 1, 2], x)  # and for deeper units, what they like best
    assert ideal.inputs.shape == (3, 16, 16)
    assert (ideal.activations[:, -1] > 2 * ideal.activations[:, 0]).all()


def test_deeper_with_sigmoids_is_not_better() -> None:
    """E58. As many parameters, five hidden layers of sigmoids instead of one: 25 % instead of 90 %."""
    (x, y), test = digits()
    found = labs.depth(x, y, (1, 5), 4000, seeds=3, activation="sigmoid", epochs=10, validation_data=test)
    assert "depth 5 is worse than depth 1" in found.verdict
    shallow, deep = (row["accuracy"]["mean"] for row in found.rows)
    assert shallow > 0.85
    assert deep < 0.5
    assert abs(found.rows[0]["parameters"] - found.rows[1]["parameters"]) < 0.02 * 4000


def test_one_layer_on_a_photograph_has_50_million_parameters() -> None:
    """E59. 224 x 224 are 50,176 inputs; texts say 65,536, which is 256 x 256. With 1,000 units: 50,177,000 parameters."""
    model = nacre.Sequential([nacre.Input((224, 224)), Flatten(), Dense(1000)])
    lines: list[str] = []
    model.summary(lines.append)
    assert "50,177,000" in lines[0]
    assert (224 * 224 + 1) * 1000 == model.count_params() == 50_177_000


def test_many_parameters_for_few_rows_learn_by_heart() -> None:
    """E60. 19,210 parameters, 200 rows, labels shuffled: all of them are learned, and nothing about other rows. The budget counts
    parameters by rows before training; the doctor names them where a training shows that rows were learned by heart."""
    (x, y), test = digits()
    found = labs.random_labels(x, y, rows=200, seeds=2, validation_data=test)
    true, shuffled = found.rows
    assert shuffled["accuracy in training"]["mean"] == 1
    assert shuffled["accuracy"]["mean"] < 0.2 < 0.8 < true["accuracy"]["mean"]
    assert found.verdict.startswith("memorizes")
    model = network([256], "relu", Adam(0.003))
    planned = nacre.budget(model, rows=200)
    assert planned.weights_per_row == pytest.approx(19_210 / 200)
    assert "Weights: 96 for each row, which can learn rows by heart" in str(planned)
    mixed = np.random.default_rng(0).permutation(y[:200])
    (finding,) = [one for one in nacre.diagnose(model, x[:200], mixed, epochs=100).findings if one.name == "memorizing"]
    assert finding.numbers["weights for each row"] == pytest.approx(19_210 / 160)  # a fifth is held out


def large_weights(**optimizer: Any) -> nacre.Sequential:
    """Eight layers whose weights are nearly three times too large."""
    return network([64] * 8, "relu", SGD(**optimizer), kernel_initializer=nacre.initializers.RandomNormal(stddev=0.5))


def test_factors_far_from_1_make_gradients_vanish_or_explode() -> None:
    """E61. Through eight layers, factors of 0.24 leave nothing, factors of 2.6 make 2,000 of 1. The doctor sees both before the
    first loss that is no number; clipping keeps such a training alive."""
    (x, y), _ = digits()
    for model, name in (
        (network([64] * 8), "vanishing gradient"),
        (large_weights(learning_rate=0.01), "exploding gradient"),
    ):
        assert np.isfinite(model.evaluate(x, y, verbose=0)).all()
        (finding,) = [one for one in nacre.diagnose(model, x, y).findings if one.name == name]
        factor, through = (
            finding.numbers["on average"],
            finding.numbers["error in the first layer, to that in the last"],
        )
        assert through == pytest.approx(factor**8, rel=1e-6)
        assert (factor < 0.3 and through < 1e-4) if name == "vanishing gradient" else (factor > 2 and through > 1000)
    with pytest.raises(nacre.errors.NonFiniteLossError):
        large_weights(learning_rate=0.1).fit(x, y, epochs=3, verbose=0)
    clipped = large_weights(learning_rate=0.1, global_clipnorm=1.0).fit(x, y, epochs=3, verbose=0)
    assert clipped.history["loss"][-1] < clipped.history["loss"][0]


def test_the_slope_of_a_sigmoid_is_at_most_a_quarter() -> None:
    """E62. 1/4 at 0, next to 0 where it is saturated; through L layers at most 0.25^L. How many units are saturated can be
    watched."""
    z = np.linspace(-10, 10, 2001)
    slopes = nacre.grad(lambda z: ops.sum(sigmoid(z)))(z)
    assert slopes.max() == slopes[1000] == 0.25
    assert slopes[0] == pytest.approx(math.exp(-10), rel=1e-3)
    (x, y), _ = digits()
    (first, *_) = nacre.diagnose(network([32] * 6), x, y).findings
    assert first.numbers["sigmoid lets through at most"] == 0.25
    assert first.numbers["all of them at most"] == 0.25**6
    saturated = {}
    for size in (0.1, 3.0):
        seen = nacre.callbacks.LayerStatistics(every=1)
        model = network([32] * 3, kernel_initializer=nacre.initializers.RandomNormal(stddev=size))
        first_outputs = model.inside(x)["dense"].output
        model.fit(x, y, batch_size=64, epochs=1, verbose=0, callbacks=[seen])
        saturated[size] = seen.history["dense"]["saturated"][0]  # of the first batch
        of_all = np.mean((first_outputs < 0.01) | (first_outputs > 0.99))
        assert saturated[size] == pytest.approx(of_all, abs=0.05)
    assert saturated[0.1] == 0
    assert saturated[3.0] > 0.6


def test_rows_are_divided_to_train_on_to_decide_by_and_to_test_on() -> None:
    """E63. Training, validation and test sets: each row in one of them, each class in proportion, the same for the same seed."""
    (x, y), _ = digits()
    train, validation, test = nacre.utils.split(x, y, (0.8, 0.1, 0.1), seed=1)
    assert [len(part) for part, _ in (train, validation, test)] == [1150, 144, 143]
    share = np.bincount(y) / len(y)
    for part_x, part_y in (train, validation, test):
        assert part_x.shape == (len(part_y), 64)
        np.testing.assert_allclose(np.bincount(part_y) / len(part_y), share, atol=0.006)
    rows = np.concatenate([part for part, _ in (train, validation, test)])
    assert sorted(map(bytes, rows)) == sorted(map(bytes, x))
    again = nacre.utils.split(x, y, (0.8, 0.1, 0.1), seed=1)
    assert all((a[0] == b[0]).all() for a, b in zip((train, validation, test), again, strict=True))
    model = network([64], "relu", Adam(0.003))
    model.fit(*train, epochs=20, verbose=0, validation_data=validation)
    assert model.evaluate(*test, verbose=0)[1] > 0.9
