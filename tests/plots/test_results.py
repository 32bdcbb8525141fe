"""Plots of what came out: regions, level sets, classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nacre
from nacre import ops, plots
from nacre.layers import Dense

RANDOM = np.random.default_rng(0)


def rings(count: int) -> tuple[Any, Any]:
    """Two rings around 0, one in the other."""
    turn, y = RANDOM.uniform(0, 2 * np.pi, count), np.arange(count) % 2
    radius = 1.0 + y + RANDOM.normal(0, 0.1, count)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1), y


def quarters(count: int) -> tuple[Any, Any]:
    """XOR: the class is whether the signs differ."""
    signs = RANDOM.choice([-1.0, 1.0], (count, 2))
    return signs * RANDOM.uniform(0.2, 1, (count, 2)), (signs.prod(1) < 0).astype(np.int64)


def trained(x: Any, y: Any, *units: int) -> nacre.Sequential:
    nacre.utils.set_random_seed(1)
    model = nacre.Sequential([nacre.Input((2,)), *[Dense(n, "tanh") for n in units], Dense(1, "sigmoid")])
    model.compile(nacre.optimizers.Adam(0.03), "binary_crossentropy")
    model.fit(x, y, epochs=60, verbose=0)
    return model


def grid_of(image: Any) -> Any:
    """The centers of the pixels of an image, (rows, columns, 2)."""
    left, right, bottom, top = image.get_extent()
    rows, columns, _ = image.get_array().shape
    across = left + (np.arange(columns) + 0.5) * (right - left) / columns
    up = bottom + (np.arange(rows) + 0.5) * (top - bottom) / rows
    return np.stack(np.meshgrid(across, up), -1)


# ------------------------------------------------------------------ decision boundaries


@pytest.mark.parametrize("data", [rings, quarters])
def test_a_line_parts_neither_rings_nor_xor_and_a_hidden_layer_does(data: Any) -> None:
    x, y = data(300)
    right = {}
    for units in ((), (16,)):
        axes = plots.decision_boundary(trained(x, y, *units), x, y)
        right[units] = float(axes.get_title(loc="left").partition(" ")[0])
    assert right[()] < 68  # a line may cut off a corner
    assert right[16,] > 98


def test_regions_are_what_the_model_predicts_at_each_pixel() -> None:
    x, y = rings(100)
    model = trained(x, y, 8)
    axes = plots.decision_boundary(model, x, y)
    image = np.asarray(axes.images[0].get_array())
    centers = grid_of(axes.images[0])
    chances = model.predict(centers.reshape(-1, 2).astype(np.float32), verbose=0).reshape(200, 200)
    blue, orange = (np.array([int(c[n : n + 2], 16) / 255 for n in (1, 3, 5)]) for c in ("#0072B2", "#D55E00"))
    np.testing.assert_allclose(image[..., :3], np.where((chances > 0.5)[..., None], orange, blue))
    np.testing.assert_allclose(image[..., 3], 0.12 + 0.48 * abs(2 * chances.astype(float) - 1), atol=1e-6)
    assert axes.images[0].origin == "lower"
    assert (centers[0, 0] < x.min(0)).all()
    assert (centers[-1, -1] > x.max(0)).all()


def test_the_line_is_where_both_classes_are_as_probable() -> None:
    model = nacre.Sequential([nacre.Input((2,)), Dense(1, "sigmoid")])
    model.set_weights([[[1.0], [2.0]], [-0.5]])  # x + 2 y = 0.5
    axes = plots.decision_boundary(model, RANDOM.normal(size=(20, 2)), np.arange(20) % 2)
    [path] = axes.collections[0].get_paths()
    assert len(path.vertices) > 50
    np.testing.assert_allclose(path.vertices @ [1, 2], 0.5, atol=2e-3)


def test_points_have_the_color_of_their_class() -> None:
    x, y = quarters(40)
    axes = plots.decision_boundary(trained(x, y), x, y)
    clouds = {c.get_label(): c for c in axes.collections if str(c.get_label()).startswith("class")}
    for k in (0, 1):
        np.testing.assert_array_equal(clouds[f"class {k}"].get_offsets(), x[y == k])


def test_scores_are_turned_into_probabilities_where_the_loss_does_so() -> None:
    x, y = RANDOM.normal(size=(30, 2)), np.arange(30) % 3
    weights = [RANDOM.normal(size=(2, 3)), RANDOM.normal(size=3)]
    images = []
    for activation, logits in (("softmax", False), (None, True)):
        model = nacre.Sequential([nacre.Input((2,)), Dense(3, activation)])
        model.compile("sgd", nacre.losses.SparseCategoricalCrossentropy(from_logits=logits))
        model.set_weights(weights)
        images.append(np.asarray(plots.decision_boundary(model, x, np.eye(3)[y]).images[0].get_array()))
    np.testing.assert_allclose(images[0], images[1], atol=1e-6)
    assert len(np.unique(images[0][..., :3].reshape(-1, 3), axis=0)) > 1
    one = nacre.Sequential([nacre.Input((2,)), Dense(1)])
    one.compile("sgd", nacre.losses.BinaryCrossentropy(from_logits=True))
    one.set_weights([[[100.0], [0.0]], [0.0]])
    image = plots.decision_boundary(one, np.array([[-1.0, 0], [1, 0]]), [0, 1]).images[0].get_array()
    np.testing.assert_allclose(np.asarray(image)[0, [0, -1], 3], 0.6)  # sure at both ends


# ------------------------------------------------------------------ level sets


def bump(v: Any) -> Any:
    return v[0] * ops.exp(-(v[0] ** 2 + v[1] ** 2))


def test_descent_on_the_level_sets_of_the_bump_ends_in_its_pit() -> None:
    found = nacre.minimize(bump, [-0.2, 0.6])
    axes = plots.level_sets(bump, found, bounds=((-2, 2), (-1.5, 1.5)), gradient=True)
    path = axes.lines[0]
    np.testing.assert_array_equal(np.stack([path.get_xdata(), path.get_ydata()], 1), found.path)
    end = np.array([axes.lines[2].get_xdata()[0], axes.lines[2].get_ydata()[0]])
    np.testing.assert_allclose(end, [-np.sqrt(0.5), 0], atol=1e-4)
    assert axes.get_title(loc="left").endswith("to (-0.7071, 0), where it is -0.4289")
    assert (axes.get_xlim(), axes.get_ylim()) == ((-2, 2), (-1.5, 1.5))


def test_each_contour_lies_where_the_function_has_its_level() -> None:
    axes = plots.level_sets(lambda v: v[0] ** 2 + 4 * v[1] ** 2)
    lines = axes.collections[1]
    seen = 0
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        points = path.vertices
        if len(points):
            np.testing.assert_allclose(points[:, 0] ** 2 + 4 * points[:, 1] ** 2, level, atol=0.01)
            seen += 1
    assert seen > 15
    assert lines.levels[0] == 0  # lowest and highest of the grid
    assert lines.levels[-1] == 20


def test_arrows_point_downhill() -> None:
    axes = plots.level_sets(lambda v: v[0] ** 2 + 4 * v[1] ** 2, bounds=((-2, 2), (-1, 1)), gradient=True)
    arrows = axes.collections[-1]
    slopes = arrows.XY * [2, 8]
    lengths = np.linalg.norm(slopes, axis=1, keepdims=True)
    away = lengths[:, 0] > 0
    found = np.stack([arrows.U, arrows.V], -1)
    np.testing.assert_allclose(found[away], (-slopes / np.maximum(lengths, 1e-9))[away], atol=1e-9)


def test_the_path_of_a_linear_model_ends_on_the_point_of_the_normal_equation() -> None:
    x = RANDOM.uniform(-1, 1, (30, 1))
    y = 3 * x + 2 + RANDOM.normal(0, 0.3, x.shape)
    model = nacre.Sequential([nacre.Input((1,)), Dense(1, name="line")])
    model.compile(loss="mse")
    loss, _ = model.loss_function(x, y)

    def of_both(v: Any) -> Any:
        return loss({"line/kernel": ops.reshape(v[0], [1, 1]), "line/bias": ops.reshape(v[1], [1])})

    axes = plots.level_sets(of_both, nacre.minimize(of_both, [0.0, 0.0], learning_rate=0.3))
    A = np.concatenate([x, np.ones_like(x)], 1)
    best = np.linalg.solve(A.T @ A, A.T @ y)[:, 0]
    np.testing.assert_allclose([axes.lines[2].get_xdata()[0], axes.lines[2].get_ydata()[0]], best, atol=1e-4)


def test_a_path_is_given_as_points_too_and_the_bounds_hold_it() -> None:
    points = np.array([[5.0, 5.0], [6.0, 7.0], [np.nan, np.nan]])
    axes = plots.level_sets(lambda v: ops.sum(v), points)
    assert axes.get_xlim()[0] < 5 < 6 < axes.get_xlim()[1]
    assert axes.get_ylim()[0] < 5 < 7 < axes.get_ylim()[1]


# ------------------------------------------------------------------ classes


def test_cells_count_which_class_was_taken_for_which() -> None:
    true, said = RANDOM.integers(0, 4, 200), RANDOM.integers(0, 4, 200)
    expected = np.array([[((true == r) & (said == c)).sum() for c in range(4)] for r in range(4)])
    for y_true in (true, true[:, None], np.eye(4)[true], true.astype(np.float32)):
        for y_pred in (said, np.eye(4)[said] * 0.5 + 0.1):
            axes = plots.confusion_matrix(y_true, y_pred, names=list("abcd"))
            np.testing.assert_array_equal(axes.images[0].get_array(), expected)
    assert [text.get_text() for text in axes.texts] == [str(n) for n in expected.ravel()]
    assert (
        [t.get_text() for t in axes.get_xticklabels()] == [t.get_text() for t in axes.get_yticklabels()] == list("abcd")
    )
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert axes.get_title(loc="left").startswith(f"{np.trace(expected)} of 200 rows")


def test_normalized_cells_are_shares_of_the_true_class() -> None:
    axes = plots.confusion_matrix([0, 0, 0, 0, 2], [0, 0, 0, 1, 1], normalize=True)
    expected = [[0.75, 0.25, 0], [0, 0, 0], [0, 1, 0]]  # nothing is of class 1
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), expected)


def test_one_probability_stands_for_class_1_above_a_half() -> None:
    axes = plots.confusion_matrix([0, 1, 1], [[0.4], [0.5], [0.6]])
    np.testing.assert_array_equal(axes.images[0].get_array(), [[1, 0], [1, 1]])


def test_many_classes_are_colors_without_numbers() -> None:
    axes = plots.confusion_matrix(np.arange(30), np.arange(30))
    np.testing.assert_array_equal(axes.images[0].get_array(), np.eye(30))
    assert not axes.texts


def test_the_expected_calibration_error_is_that_by_hand() -> None:
    said = [[0.95, 0.05], [0.85, 0.15], [0.2, 0.8], [0.35, 0.65], [0.3, 0.7]]
    true = [0, 1, 1, 1, 0]
    # In halves of [0.5, 1] with 4 bins: 0.65, 0.7 in the third: 1 of 2 right; 0.95, 0.85, 0.8 in the fourth: 2 of 3.
    by_hand = (2 * abs(1 / 2 - 0.675) + 3 * abs(2 / 3 - (0.95 + 0.85 + 0.8) / 3)) / 5
    axes = plots.calibration(true, said, bins=4)
    assert axes.get_title(loc="left") == f"expected calibration error {by_hand:.3g} over 5 rows"
    [bars] = axes.containers
    assert [(bar.get_x(), bar.get_height()) for bar in bars] == [(0.5, 0.5), (0.75, pytest.approx(2 / 3))]
    dots = axes.lines[1]
    np.testing.assert_allclose(dots.get_xdata(), [0.675, 2.6 / 3])
    np.testing.assert_allclose(dots.get_ydata(), [0.5, 2 / 3])
    assert [text.get_text() for text in axes.texts] == ["2", "3"]


def test_of_one_probability_class_1_is_judged() -> None:
    for given in ([0.1, 0.1, 1.0, 1.0], np.array([[0.1], [0.1], [1.0], [1.0]])):
        axes = plots.calibration([0, 1, 1, 1], given)
        assert axes.get_title(loc="left") == "expected calibration error 0.2 over 4 rows"  # half of |0.5 - 0.1|
        assert axes.get_xlabel() == "probability of class 1"


def test_what_comes_true_as_often_as_said_is_calibrated() -> None:
    said = RANDOM.uniform(0, 1, 20_000)
    title = plots.calibration(RANDOM.uniform(0, 1, 20_000) < said, said).get_title(loc="left")
    assert float(title.split()[3]) < 0.01
