"""The way to a minimum."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import nacre
from nacre import ops
from nacre.calculus.lbfgs import lbfgs
from nacre.errors import DTypeError, UnknownName, UsageError

METHODS = ("gd", "momentum", "adam", "lbfgs")


def _valley(v):
    return v[0] * ops.exp(-(v[0] ** 2 + v[1] ** 2))


def _rosenbrock(v):
    return (1 - v[0]) ** 2 + 100 * (v[1] - v[0] ** 2) ** 2


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_valley(method):
    found = nacre.minimize(_valley, np.array([-0.2, 0.3]), method=method)
    assert found.converged
    np.testing.assert_allclose(found.x, [-np.sqrt(0.5), 0], atol=1e-5)
    assert found.value == pytest.approx(-0.4289, abs=1e-4)
    assert found.gradient_norm <= 1e-6
    assert found.path.shape == (found.steps + 1, 2)
    assert found.path[0].tolist() == [-0.2, 0.3]
    assert found.path[-1].tolist() == found.x.tolist()
    assert found.values[-1] == found.value
    assert str(found).startswith(f"converged after {found.steps} steps")


def test_the_call_of_the_first_lesson():
    r = nacre.minimize(lambda v: v[0] * ops.exp(-(v[0] ** 2 + v[1] ** 2)), np.array([-0.2, 0.3]))
    np.testing.assert_allclose(r.x, [-0.7071, 0], atol=1e-3)


@pytest.mark.parametrize("steps", [30, 200, 1000])
@pytest.mark.parametrize(("rate", "status"), [(1.9, "converged"), (2.0, "cycles"), (2.1, "diverges")])
def test_a_parabola_tells_which_rates_are_too_large(rate, status, steps):
    found = nacre.minimize(lambda x: x**2 / 2, 1.0, method="gd", learning_rate=rate, steps=steps)
    assert found.status == ("not there yet" if status == "converged" and steps == 30 else status)
    assert found.message.startswith(found.status)
    assert found.converged == (found.status == "converged")


def test_cycles_of_other_periods_are_found():
    # The logistic map x -> 3.5 x (1 - x), which has a cycle of 4, as steps x - f'(x).
    found = nacre.minimize(lambda x: x**2 / 2 - 3.5 * (x**2 / 2 - x**3 / 3), 0.4, learning_rate=1.0)
    assert found.status == "cycles"
    assert "after 4 steps" in found.message


def test_what_has_no_minimum_diverges():
    assert nacre.minimize(lambda x: -(x**2), 1.0).status == "diverges"
    assert nacre.minimize(lambda x: x, 1.0, method="lbfgs").status == "diverges"
    assert nacre.minimize(lambda x: ops.log(x), 1.0, method="gd", learning_rate=2.0).status == "diverges"


def test_a_step_too_short_to_matter_stands_still():
    assert nacre.minimize(lambda x: x, 1.0, learning_rate=1e-30).status == "stands still"


def test_lbfgs_goes_through_the_bent_valley_in_few_steps():
    found = nacre.minimize(_rosenbrock, [-1.2, 1.0], method="lbfgs", tolerance=1e-9)
    assert found.converged
    assert found.steps < 60
    np.testing.assert_allclose(found.x, [1, 1], atol=1e-7)


def test_each_step_of_lbfgs_meets_the_strong_wolfe_conditions():
    def f(x):
        a = np.array([1.0, 10.0, 100.0, 1000.0])
        return float(np.sum(a * x**2 / 2 + np.cos(3 * x))), a * x - 3 * np.sin(3 * x)

    points = list(lbfgs(f, np.array([2.0, -1.0, 3.0, 0.5])))
    assert np.linalg.norm(points[-1][2]) < 1e-6
    for (x, value, gradient), (new, lower, after) in itertools.pairwise(points):
        if np.linalg.norm(gradient) < 1e-6:
            break  # rounding decides
        s = new - x
        assert lower <= value + 1e-4 * (s @ gradient)
        assert abs(s @ after) <= -0.9 * (s @ gradient) * (1 + 1e-9)


@pytest.mark.parametrize("start", [1e-8, 1.0, 300.0, 1e6])
def test_lbfgs_meets_infinities_on_the_way_and_goes_around_them(start):
    found = nacre.minimize(lambda x: x - ops.log(x), start, method="lbfgs")
    assert found.converged
    assert found.x == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("method", ["gd", "momentum", "lbfgs"])
@pytest.mark.parametrize("far", [1e-30, 1e4, 1e30])
def test_a_start_far_away_is_no_trouble(far, method):
    found = nacre.minimize(lambda x: ops.sum(x**2), np.array([far, -far]), method, steps=3000)
    assert found.converged
    np.testing.assert_allclose(found.x, 0, atol=1e-6)


def test_a_start_where_there_is_no_value_says_so():
    assert "begin at another point" in nacre.minimize(ops.log, -1.0).message


def test_a_dictionary_of_arrays_is_minimized_as_one():
    target = {"a": np.array([[1.0, 2.0]]), "b": 3.0}
    found = nacre.minimize(
        lambda p: ops.sum((p["a"] - target["a"]) ** 2) + (p["b"] - 3) ** 2, {"a": np.zeros((1, 2)), "b": 0}, "lbfgs"
    )
    np.testing.assert_allclose(found.x["a"], target["a"])
    assert found.x["b"] == pytest.approx(3)
    assert found.path["a"].shape == (found.steps + 1, 1, 2)
    assert found.path["b"].shape == (found.steps + 1,)


def test_a_minimum_is_known_at_once():
    found = nacre.minimize(lambda x: x**2, 0.0)
    assert (found.steps, found.status, found.path.shape) == (0, "converged", (1,))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"method": "bfgs"}, UnknownName, "lbfgs"),
        ({"method": None}, UsageError, "one of gd"),
        ({"method": "lbfgs", "learning_rate": 0.1}, UsageError, "leave out"),
        ({"learning_rate": -1}, UsageError, "positive"),
        ({"learning_rate": "fast"}, UsageError, "positive"),
        ({"steps": 0}, UsageError, "steps"),
        ({"tolerance": -1}, UsageError, "tolerance"),
        ({"x0": "here"}, DTypeError, "array of numbers"),
        ({"x0": np.zeros(0)}, DTypeError, "array of numbers"),
    ],
)
def test_mistakes_are_explained(arguments, error, message):
    with pytest.raises(error, match=message):
        nacre.minimize(**{"f": lambda x: ops.sum(x**2), "x0": 1.0} | arguments)
