"""The lessons of the studio: that they answer to everything, and that their numbers are right."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.testclient import TestClient

from nacre.studio import application
from nacre.studio.figures import Bars, Curves, Heat, Network, Pictures, Table, Text
from nacre.studio.lessons import CHAPTERS, LESSONS
from nacre.studio.lessons.landscape import landscape
from nacre.studio.lessons.lesson import Button, Choice, Formula, Lesson, Number, Slider, Toggle

ALL = pytest.mark.parametrize("lesson", LESSONS.values(), ids=LESSONS)
MOST_BYTES = 300_000
SLOW = ("shallow-and-deep", "pixel-permutation", "what-layers-learn")  # many trainings, or a long one


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    return TestClient(application(tmp_path_factory.mktemp("runs")))


def ends(control: Any) -> list[str]:
    """What lies at the ends of a control."""
    match control:
        case Slider() | Number():
            return [str(control.low), str(control.high)]
        case Choice():
            return [option.value for option in control.options]
        case Toggle():
            return ["true", "false"]
        case Formula():
            return list(control.examples)
        case Button():
            return ["0", "999"]
    raise AssertionError(control)


def extremes(lesson: Lesson) -> Iterator[dict[str, str]]:
    """Each control at each of its ends, the others as they are; and all at their first, and at their last."""
    yield from ({control.name: end} for control in lesson.controls for end in ends(control))
    yield from all_at_once(lesson)


def all_at_once(lesson: Lesson) -> list[dict[str, str]]:
    """All controls at their first end, and all at their last."""
    return [{control.name: ends(control)[n] for control in lesson.controls} for n in (0, -1)]


def asked(client: TestClient, name: str, **said: Any) -> list[dict[str, Any]]:
    """The figures of a lesson, as the page gets them."""
    answer = client.get(f"/api/lessons/{name}", params={n: str(v) for n, v in said.items()})
    assert answer.status_code == 200, answer.text
    figures: list[dict[str, Any]] = answer.json()["figures"]
    return figures


def shown(name: str, kind: type, title: str = "", **said: Any) -> Any:
    """The first figure of that kind, whose title begins so."""
    lesson = LESSONS[name]
    figures = lesson.figures(lesson.values({n: str(v) for n, v in said.items()}))
    return next(one for one in figures if isinstance(one, kind) and one.title.startswith(title))


def verdict(name: str, **said: Any) -> str:
    """The sentence on top."""
    text: str = shown(name, Text, **said).text
    return text


def line(curves: Curves, label: str) -> np.ndarray:
    found = next(one for one in curves.lines if one.label == label)
    return np.array([math.nan if v is None else v for v in found.values], float)


# ------------------------------------------------------------------ all of them


def test_the_book_lists_each_lesson_once(client: TestClient):
    chapters = client.get("/api/lessons").json()
    names = [one["name"] for chapter in chapters for one in chapter["lessons"]]
    assert names == list(LESSONS)
    assert len(names) == sum(map(len, CHAPTERS.values())) == 24
    assert len({lesson.title for lesson in LESSONS.values()}) == 24


@ALL
def test_a_lesson_answers_as_it_is_opened_and_at_the_ends_of_its_controls(client: TestClient, lesson: Lesson):
    for said in [{}, *(all_at_once(lesson) if lesson.name in SLOW else extremes(lesson))]:
        answer = client.get(f"/api/lessons/{lesson.name}", params=said)
        assert answer.status_code == 200, (said, answer.text)
        assert len(answer.content) < MOST_BYTES
        figures = answer.json()["figures"]
        assert (figures[0]["kind"], figures[0]["strong"], figures[-1]["kind"]) == ("text", True, "code")
        assert len(figures) > 2
        for figure in figures:
            if figure["kind"] == "curves":
                x = figure["x"]["values"]
                assert all(len(one["values"]) == len(x) for one in figure["lines"]), figure["title"]
            if figure["kind"] == "heat":
                assert len(figure["values"]) == figure["rows"] * figure["columns"]


HOSTILE = [
    "",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "9" * 500,
    "1_0",
    "<script>",
    "None",
    "\x00",
    "١٢",
    "0.1.2",
    "__import__('os')",
]


@ALL
def test_a_lesson_refuses_what_its_controls_cannot_say(client: TestClient, lesson: Lesson):
    for control in lesson.controls:
        beyond = [str(control.low - 1), str(control.high * 2 + 1)] if isinstance(control, Slider | Number) else []
        halves = ["0.5"] if isinstance(getattr(control, "value", None), int) and not isinstance(control, Toggle) else []
        for said in [*HOSTILE, *beyond, *halves]:
            if said == "1_0" and isinstance(control, Formula):
                continue  # Python's way to write 10
            answer = client.get(f"/api/lessons/{lesson.name}", params={control.name: said})
            assert answer.status_code == 400, (control.name, said)
            assert answer.json()["error"]


def test_what_is_not_there_is_said_with_what_is_near(client: TestClient):
    answer = client.get("/api/lessons/tangant")
    assert (answer.status_code, "tangent" in answer.json()["hint"]) == (400, True)
    answer = client.get("/api/lessons/tangent", params={"z": "1"})
    assert (answer.status_code, "no control 'z'" in answer.json()["error"]) == (400, True)
    # A name in the query cannot stand in for the one in the path.
    answer = client.get("/api/lessons/tangent", params={"lesson": "nand"})
    assert answer.json()["name"] == "tangent"


@pytest.mark.parametrize("text", ["log(x - 9)", "(x - 9)**0.5", "x / 0", "exp(exp(exp(x + 9)))"])
def test_a_formula_that_has_no_value_is_answered_all_the_same(client: TestClient, text: str):
    figures = asked(client, "tangent", f=text)
    assert figures[0]["text"].startswith("At x = 1.5")
    assert asked(client, "gradient-field", f=re.sub(r"\bx\b", "y", text))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # plain Python lets them through, for instance of log(x) below 0
@ALL
def test_the_python_of_a_lesson_runs(lesson: Lesson, capsys: pytest.CaptureFixture[str]):
    for said in ({}, *([] if lesson.name in SLOW else all_at_once(lesson))):
        values = lesson.values(said)
        code = lesson.python(values)
        assert 3 <= len([row for row in code.splitlines() if row]) <= 11
        exec(compile(code, lesson.name, "exec"), {})
        assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("name", ["tangent", "gradient-field"])
def test_the_python_of_a_lesson_knows_what_may_be_typed(name: str, capsys: pytest.CaptureFixture[str]):
    lesson = LESSONS[name]
    exec(compile(lesson.python(lesson.values({"f": "sin(pi*x) + relu(x) / e"})), name, "exec"), {})
    assert capsys.readouterr().out.strip()


@ALL
def test_the_words_of_a_lesson_are_whole_sentences(lesson: Lesson):
    for paragraph in lesson.paragraphs:
        assert re.fullmatch(r"[A-Zy6][^\n]+[.?]", paragraph), paragraph
        assert 60 < len(paragraph) < 520, (len(paragraph), paragraph)


# ------------------------------------------------------------------ slopes


def test_the_tangent_has_the_slope_of_the_curve_and_its_color_is_the_sign():
    for x in (-2.0, 0.5, 1.0, 2.5):
        figure = shown("tangent", Curves, "f and its", f="x**3 - 3*x", x=x)
        at = np.asarray(figure.x.values)
        np.testing.assert_allclose(line(figure, "f"), at**3 - 3 * at, atol=1e-12)
        tangent = line(figure, "tangent")
        seen = np.isfinite(tangent)
        slope = 3 * x**2 - 3
        np.testing.assert_allclose(tangent[seen], (x**3 - 3 * x + slope * (at - x))[seen], atol=1e-9)
        color = next(one.color for one in figure.lines if one.label == "tangent")
        assert color == {1: "#2e9e5b", -1: "#d9463b", 0: "#7f7f7f"}[int(np.sign(slope))]
    rows = shown("tangent", Table, f="x**3", x=2).rows
    assert [row[0] for row in rows] == ["1", "0.1", "0.01", "0.001"]
    assert [float(row[1]) for row in rows] == pytest.approx([(2 + d) ** 3 - 8 for d in (1, 0.1, 0.01, 0.001)], rel=1e-5)
    assert [float(row[2]) for row in rows] == pytest.approx([12, 1.2, 0.12, 0.012])


def test_the_field_of_gradients_points_uphill_and_descent_ends_in_the_valley():
    assert verdict("gradient-field").endswith("at (-0.7071, 0.0000), where f is -0.4289.")
    x, y = 0.3, -0.8
    e = math.exp(-(x**2 + y**2))
    gradient = np.array([(1 - 2 * x**2) * e, -2 * x * y * e])
    assert f"({gradient[0]:.4g}, {gradient[1]:.4g})" in verdict("gradient-field", x=x, y=y)
    heat = shown("gradient-field", Heat)
    for ax, ay, dx, dy in np.asarray(heat.arrows):
        true = np.array([1 - 2 * ax**2, -2 * ax * ay]) * math.exp(-(ax**2 + ay**2))
        assert dx * true[1] == pytest.approx(dy * true[0], abs=2e-4)
        assert dx * true[0] + dy * true[1] >= -1e-4
    curve = shown("gradient-field", Curves, x=x, y=y)
    turns = np.radians(np.asarray(curve.x.values))
    rises = line(curve, "measured with a tiny step")
    np.testing.assert_allclose(rises, gradient @ [np.cos(turns), np.sin(turns)], atol=1e-4)
    assert np.nanmax(line(curve, "along the gradient")) >= rises.max() - 1e-4


def test_a_bowl_is_left_if_the_learning_rate_is_too_large():
    def said(**values: Any) -> str:
        return verdict("ball", f="x**2 / 2", start=1, **values)

    assert said(learning_rate=1.9, step=10).startswith("Converged after")
    assert said(learning_rate=2.0, step=3).startswith("Cycles")
    assert said(learning_rate=2.1, step=50) == (
        f"Diverges: far away after 249 steps, with a value of {(1.1**249) ** 2 / 2:.3g}. At step 50 the ball is at {1.1**50:.4g}."
    )  # 117.4
    assert f"at {3 * 0.9**20:.4g}." in verdict("ball")
    ends = [verdict("ball", f="(x**2 - 1)**2 / 4", start=start, step=100) for start in (-0.5, 0.5)]
    assert [float(re.search(r"ball is at (-?[\d.]+)\.", one)[1]) for one in ends] == pytest.approx([-1, 1], abs=1e-3)


def test_a_long_valley_bears_rates_up_to_two_by_its_curvature():
    low, high = (verdict("level-sets", learning_rate=rate) for rate in (0.16, 0.17))  # 2 / 12 = 0.1667
    assert low.startswith("Converged")
    assert high.startswith("Diverges")
    path = np.asarray(shown("level-sets", Heat, step=3).path)
    np.testing.assert_allclose(path, [(-2.5 * 0.9**k, 1.5 * (1 - 1.2) ** k) for k in range(4)], atol=1e-9)
    assert "converged" in verdict("level-sets", f="(x**2 - y**2) / 2", x=1, y=0).lower()
    assert "diverges" in verdict("level-sets", f="(x**2 - y**2) / 2", x=1, y=0.1).lower()
    heat = shown("level-sets", Heat, f="x**2 + y**2")
    values = np.asarray(heat.values).reshape(heat.rows, heat.columns)
    np.testing.assert_allclose(values[1:-1, 1:-1] % 0.6, values[::-1, ::-1][1:-1, 1:-1] % 0.6, atol=0.61)
    assert values[100, 100] < values[100, 180]  # the higher the darker


def test_a_landscape_is_higher_where_f_is_and_the_ball_lies_on_it():
    svg = landscape(lambda x, y: x + 0 * y, np.array([[2.0, 0.0], [-2.0, 0.0]]), cells=6)
    fills = [int(red) for red in re.findall(r"rgb\((\d+),", svg)]
    assert len(fills) == 36
    assert sorted(set(fills)) == sorted(
        {round(238 + (92 - 238) * (k + 0.5) / 6) for k in range(6)}
    )  # the darker the higher
    ((x, y),) = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)
    ends = [tuple(map(float, end.split(","))) for end in re.findall(r'polyline points="([^"]+)"', svg)[0].split()]
    assert ends[1] == (float(x), float(y) + 6)
    assert ends[0][1] < ends[1][1]  # it came down, and y grows downward on a page
    assert "<circle" not in landscape(lambda x, y: x * y, np.array([[9.0, 9.0]]), cells=3)  # out of sight
    assert landscape(lambda x, y: 0 * x, np.zeros((1, 2)), cells=3).count("<polygon") == 9  # flat


# ------------------------------------------------------------------ perceptrons


def test_the_weather_decides_and_a_lower_threshold_lets_both_others_decide():
    def outputs(threshold: float) -> list[int]:
        return [row[-1] for row in shown("perceptron", Table, threshold=threshold).rows]

    assert outputs(5) == [0, 0, 0, 0, 1, 1, 1, 1]
    assert outputs(3) == [0, 0, 0, 1, 1, 1, 1, 1]
    assert verdict("perceptron", threshold=6) == "6·1 + 2·0 + 2·0 = 6 is not above the threshold 6: stay at home."
    assert "a bias of -5" in shown("perceptron", Network).title


def test_nand_is_nand_with_a_bias_and_nothing_with_a_threshold():
    assert verdict("nand") == "This is NAND: 1, 1, 1, 0. Bias 3, threshold -3."
    assert verdict("nand", convention="threshold") == "This gate has no name here: 0, 0, 0, 0. Bias -3, threshold 3."
    assert verdict("nand", w1=2, w2=2, b=-3).startswith("This is AND")
    heat = shown("nand", Heat, w1=1, w2=-1, b=0)
    values = np.asarray(heat.values).reshape(80, 80)
    assert (values[79, 60], values[0, 20]) == (1, -1)  # below the diagonal x1 > x2, above it not


@pytest.mark.parametrize("table", ["01101001", "00010111", "00110101", "10000001", "01111111"])
def test_layers_of_perceptrons_say_what_the_table_says(table: str):
    rows = shown("layers-of-perceptrons", Table, table=table).rows
    assert "".join(str(row[3]) for row in rows) == table
    for number in range(8):
        bits = dict(zip("abc", (number >> 2, number >> 1 & 1, number & 1), strict=True))
        said = {name: str(bool(bit)).lower() for name, bit in bits.items()}
        drawn = shown("layers-of-perceptrons", Network, table=table, **said)
        assert drawn.layers[-1].units[0].value == int(table[number])


def test_the_circuit_calculates():
    for what, sign in (("multiplier", lambda a, b: a * b), ("adder", lambda a, b: a + b)):
        rows = shown("circuit", Table, what=what).rows
        assert [row[1:] for row in rows] == [[sign(a, b) for b in range(4)] for a in range(4)]
        drawn = shown("circuit", Network, what=what, a=3, b=3)
        out = [unit.value for unit in drawn.layers[-1].units]
        assert int("".join(map(str, out)), 2) == sign(3, 3)
        for before, after, weights in zip(drawn.layers, drawn.layers[1:], drawn.weights, strict=False):
            values = np.array([unit.value for unit in before.units])
            assert weights.shape == (len(values), len(after.units))


# ------------------------------------------------------------------ units


def test_a_sigmoid_is_nowhere_steeper_than_a_quarter_of_its_weight():
    for weight in (-20, 1, 8):
        slopes = shown("sigmoid-and-step", Curves, "Its derivative", weight=weight)
        at = np.asarray(slopes.x.values)
        y = 1 / (1 + np.exp(-weight * at))
        np.testing.assert_allclose(line(slopes, "of sigmoid"), weight * y * (1 - y), atol=1e-9)
        assert np.abs(line(slopes, "of sigmoid")).max() == pytest.approx(abs(weight) / 4)
        assert not line(slopes, "of step").any()
    assert "the step 0 with slope 0" in verdict("sigmoid-and-step", x=0)  # at exactly 0


def test_the_derivative_of_relu_at_0_is_chosen():
    assert verdict("relu", z=0) == (
        "relu(0) = 0; its derivative there is 0. At 0 it has none, any number from 0 to 1 would do; 0 is chosen."
    )
    assert shown("relu", Table).rows == [[-2, 0, 0], [-1e-6, 0, 0], [0, 0, 0], [1e-6, 1e-6, 1], [2, 2, 1]]
    assert "derivative there is 0.25" in verdict("relu", activation="sigmoid", z=0)


def test_softmax_gives_probabilities_and_cross_entropy_their_loss():
    assert verdict("softmax") == (
        "0.200 + 0.700 + 0.100 = 1.000. The truth is a cat, which has 0.200: the loss is -log 0.200 = 1.6094."
    )
    rows = shown("softmax", Table).rows
    assert [row[-1] for row in rows] == pytest.approx([-0.8, 0.7, 0.1], abs=1e-5)
    assert all(row[3] <= 0 for row in rows)
    curves = shown("softmax", Curves)
    assert (np.diff(line(curves, "cat")) > 0).all()
    assert (np.diff(line(curves, "dog")) < 0).all()
    assert (np.diff(line(curves, "horse")) < 0).all()
    hot, cold = (shown("softmax", Bars, temperature=t).bars[1].value for t in (10, 0.1))
    e = np.exp(np.array([0.693147, 1.94591, 0]) / 10)
    assert hot == pytest.approx(e[1] / e.sum())
    assert cold > 0.99999


# ------------------------------------------------------------------ linear models


@pytest.mark.parametrize(
    ("inputs", "outputs", "hidden", "count"),
    [(900, 5, 0, 4_505), (784, 10, 0, 7_850), (50_176, 1000, 0, 50_177_000), (3_000_000, 1000, 0, 3_000_001_000),
     (784, 10, 15, 11_935), (784, 10, 1000, 795_010)],
)  # fmt: skip
def test_parameters_are_counted(inputs: int, outputs: int, hidden: int, count: int):
    said = {"inputs": inputs, "outputs": outputs, "hidden": hidden}
    assert verdict("parameters", **said).startswith(f"{count:,} parameters")
    widths = [inputs, *([hidden] if hidden else []), outputs]
    assert count == sum((n + 1) * k for n, k in pairwise(widths))
    bars = {bar.label: bar.value for bar in shown("parameters", Bars, **said).bars}
    assert bars == {"weights": count - sum(widths[1:]), "biases": sum(widths[1:])}


def test_the_known_sizes_are_right():
    rows = shown("parameters", Table, "For comparison").rows
    assert [row[3] for row in rows] == ["4,505", "7,850", "50,177,000", "3,000,001,000"]
    assert rows[2][1] == "50,176"


def test_a_linear_model_learns_a_sum_and_nothing_of_a_product():
    def shares(target: str) -> list[float]:
        return [float(r2) for r2 in re.findall(r"R² (-?[\d.]+)\)", verdict("linear-models", target=target))]

    linear, relus = shares("x[:, 0] * x[:, 1]")
    assert abs(linear) < 0.1
    assert relus > 0.98
    assert min(shares("x[:, 0] + x[:, 1]")) > 0.98
    picture = shown("linear-models", Pictures, epoch=0).pictures[0]
    side = np.linspace(-1, 1, 41)
    truth = side[::-1, None] * side[None]
    np.testing.assert_allclose(np.asarray(picture.values).reshape(41, 41), truth, atol=1e-5)


def test_the_derivative_of_a_linear_model_is_its_matrix_anywhere():
    for between, rest in (
        ("nothing", "are W; at another place they are the same"),
        ("linear", "are W1 W2; at another place they are the same"),
    ):
        for x in (-3, 0, 2):
            said = verdict("derivative-of-linear", between=between, x1=x)
            assert said.startswith(f"The derivatives at x {rest}")
            rows = np.array([row[1:] for row in shown("derivative-of-linear", Table, between=between, x1=x).rows])
            np.testing.assert_allclose(rows[:, :2], rows[:, 2:], atol=1e-6)
    assert "are not W1 W2; at another place they are others" in verdict("derivative-of-linear", between="relu")


def test_without_a_non_linearity_any_number_of_units_is_one_line():
    assert "49 parameters do what 2 can do" in verdict("non-linearity", units=16)  # 16 + 16 + 16 + 1
    for activation in ("relu", "sigmoid", "tanh"):
        assert "no layer can go" in verdict("non-linearity", activation=activation, seed=3)
    curve = shown("non-linearity", Curves)
    assert np.abs(np.diff(line(curve, "network"), 2)).max() < 1e-5
    np.testing.assert_allclose(line(curve, "network"), line(curve, "collapsed"), atol=1e-4)


# ------------------------------------------------------------------ networks


def test_relus_add_up_to_the_network_and_it_bends_only_at_their_kinks():
    assert " 31 parameters" in verdict("relu-network")  # (1 + 1) 10 + (10 + 1) 1
    curve = shown("relu-network", Curves, "What is to be", units=3)
    y, kinks = line(curve, "network"), line(curve, "kinks")
    bends = np.flatnonzero(np.abs(np.diff(y, 2)) > 1e-3) + 1
    near = np.flatnonzero(np.isfinite(kinks))
    assert len(near) >= 1
    assert all(np.abs(near - bend).min() <= 1 for bend in bends)
    losses = line(shown("relu-network", Curves, "Loss", units=64), "loss")
    assert losses[-1] < losses[0] / 20


def test_digits_are_learned_and_a_learning_rate_can_be_too_small():
    assert "64-15-10, 1,135 parameters" in shown("digit-network", Network).title
    right = [
        float(re.search(r"right for ([\d.]+) %", verdict("digit-network", **said))[1])
        for said in ({}, {"epoch": 0}, {"learning_rate": 0.001})
    ]  # type: ignore[index]
    assert right[0] > 95
    assert max(right[1:]) < 40
    assert sum(bar.value for bar in shown("digit-network", Bars).bars) == pytest.approx(1, abs=1e-5)
    kernels = shown("digit-network", Pictures, "What each").pictures
    assert len(kernels) == 15


@pytest.mark.parametrize("activation", ["sigmoid", "relu", "tanh", "linear"])
def test_the_chain_is_that_of_the_chain_rule(activation: str):
    f, slope = {
        "sigmoid": (lambda z: 1 / (1 + math.exp(-z)), lambda o: o * (1 - o)),
        "tanh": (math.tanh, lambda o: 1 - o * o),
        "relu": (lambda z: max(z, 0.0), lambda o: float(o > 0)),
        "linear": (lambda z: z, lambda o: 1.0),
    }[activation]
    w, x, target, depth = 1.2, 0.7, 0.25, 5
    kept, u = [], x
    for _ in range(depth):
        z = w * u + 0.1
        kept.append((u, z, f(z)))
        u = f(z)
    buffer, gradients = u - target, []
    for u, _, o in reversed(kept):
        buffer *= slope(o)
        gradients.append((buffer, buffer * u))
        buffer *= w
    said = {"activation": activation, "depth": depth, "weight": w, "x": x, "target": target}
    rows = shown("backpropagation", Table, step=22, **said).rows
    np.testing.assert_allclose([row[1:4] for row in rows], kept, rtol=1e-5)
    np.testing.assert_allclose([row[5:] for row in rows], gradients[::-1], rtol=1e-4)
    assert f"now {buffer:.4g}, the gradient of the loss by x" in verdict("backpropagation", step=22, **said)
    # On the way, only what has come about is told: three layers forward; then the loss, and two layers back.
    early = shown("backpropagation", Table, step=3, **said).rows
    assert [row[3] is None for row in early] == [False, False, False, True, True]
    assert all(row[5] is None for row in early)
    late = shown("backpropagation", Table, step=depth + 1 + 3, **said).rows
    assert [row[5] is None for row in late] == [True, True, True, False, False]
    assert f"now {gradients[1][0] * w:.4g}, the gradient of the loss by o3" in verdict(
        "backpropagation", step=depth + 4, **said
    )


def test_both_graphs_are_those_that_run():
    assert verdict("forward-graph").startswith("5 nodes run forward, 2 of them with parameters")
    rows = shown("forward-graph", Table).rows
    assert [row[0] for row in rows] == ["x", "hidden1", "hidden1 relu", "output", "output softmax"]
    assert rows[2][4] == 0  # relu gives nothing below 0
    back = shown("backward-graph", Table).rows
    assert [row[3] for row in back] == ["loss", "output", "hidden1 relu", "hidden1"]
    # For each product but the first, two going back: (64 16 + 2 16 10) / (64 16 + 16 10), and some more for the rest.
    share = float(re.search(r"take ([\d.]+) times", verdict("backward-graph"))[1])  # type: ignore[index]
    assert share == pytest.approx((64 * 16 + 2 * 160) / (64 * 16 + 160), rel=0.05)


# ------------------------------------------------------------------ depth


def test_gradients_vanish_in_sigmoids_and_not_in_relus():
    sigmoid, relu = (shown("deep-network", Curves, "Norm", activation=a) for a in ("sigmoid", "relu"))
    norms = line(sigmoid, "norm")
    assert norms[0] / norms[-1] < 1e-5
    assert (norms[:-1] / norms[1:] < 0.5).all()
    assert f"0.25^10 = {0.25**10:.1e}" in verdict("deep-network")
    assert 0.1 < line(relu, "norm")[0] / line(relu, "norm")[-1] < 10
    assert "explodes" in verdict("deep-network", activation="relu", depth=20, scale=4)
    assert "vanishes" in verdict("deep-network", activation="softmax")


def test_layers_learn_to_tell_shapes_apart():
    right = [
        float(re.search(r"right for (\d+) %", verdict("what-layers-learn", layer="objects", epoch=epoch))[1])
        for epoch in (0, 30)
    ]  # type: ignore[index]
    assert right[0] < 60
    assert right[1] > 90
    assert len(shown("what-layers-learn", Pictures, "The picture that", layer="objects").pictures) == 3


def test_deep_sigmoids_are_worse_than_shallow_ones_at_equal_parameters():
    rows = shown("shallow-and-deep", Table).rows
    counts = [int(row[2].replace(",", "")) for row in rows]
    assert all(abs(count - 4000) <= 0.02 * 4000 for count in counts)
    for row, count in zip(rows, counts, strict=True):
        widths = [64, *map(int, row[1].split()), 10]
        assert count == sum((n + 1) * k for n, k in pairwise(widths))
    assert rows[0][3] > rows[-1][3] + 0.3
    assert "depth 5 is worse than depth 1" in verdict("shallow-and-deep")


def test_pixels_in_another_order_change_nothing_but_the_picture():
    rows = shown("pixel-permutation", Table).rows
    assert abs(rows[0][1] - rows[1][1]) < 0.05
    before, after = (shown("pixel-permutation", Pictures, title).pictures for title in ("Six", "The same"))
    for a, b in zip(before, after, strict=True):
        assert sorted(np.asarray(a.values)) == sorted(np.asarray(b.values))
        assert (np.asarray(a.values) != np.asarray(b.values)).any()


# ------------------------------------------------------------------ in a browser

READY = ".lesson[aria-busy=false] .shown-code"


def test_each_lesson_is_opened_and_a_control_is_moved_by_keyboard(page: Page, studio: str, shot):
    for lesson in LESSONS.values():
        page.goto(f"{studio}#/lessons/{lesson.name}")
        expect(page.get_by_role("heading", level=1)).to_have_text(lesson.title)
        page.locator(READY).wait_for()
        shot(page, f"lesson-{lesson.name}")
        before = page.locator(".shown").inner_text()
        moved = next(one for one in lesson.controls if isinstance(one, Slider | Number | Toggle))
        control = page.get_by_label(moved.label, exact=True).first
        control.focus()
        if isinstance(moved, Toggle):
            control.press("Space")
        elif isinstance(moved, Number):
            control.fill(str(int(moved.value) + 1))
            control.press("Enter")
        else:
            control.press("ArrowLeft" if moved.value > moved.low else "ArrowRight")
        expect(page).to_have_url(re.compile(r"#.*\?"))
        expect(page.locator(".shown")).not_to_have_text(before)
        page.locator(READY).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_lesson_in_a_certain_state_can_be_shared(page: Page, studio: str):
    page.goto(f"{studio}#/lessons/nand?b=-3&w1=2&w2=2")
    expect(page.locator(".verdict")).to_contain_text("This is AND")
    expect(page.get_by_label("Weight of x1")).to_have_value("2")
    page.get_by_role("button", name="Reset").click()
    expect(page.locator(".verdict")).to_contain_text("This is NAND")
    assert page.evaluate("location.hash") == "#/lessons/nand"
    page.get_by_role("link", name="A multi-layer perceptron →").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("A multi-layer perceptron")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.go_back()
    expect(page.locator(".verdict")).to_contain_text("This is NAND")


def test_a_slider_plays_to_its_end_and_can_be_stopped(page: Page, studio: str):
    page.goto(f"{studio}#/lessons/backpropagation?step=19")
    page.get_by_role("button", name="Play: Step").press("Enter")
    expect(page.get_by_label("Step", exact=True)).to_have_value("22")
    expect(page.get_by_role("button", name="Play: Step")).to_be_visible()
    assert "step=22" in page.evaluate("location.hash")
    page.goto(f"{studio}#/lessons/ball?step=0")
    page.get_by_role("button", name="Play: Step").click()
    expect(page).to_have_url(re.compile("step=[2-9]"))
    page.get_by_role("button", name="Pause: Step").click()
    expect(page.get_by_role("button", name="Play: Step")).to_be_visible()


def test_who_wants_less_motion_is_taken_to_the_end(browser: Browser, studio: str):
    context = browser.new_context(reduced_motion="reduce")
    calm = context.new_page()
    calm.goto(f"{studio}#/lessons/ball?step=0")
    calm.get_by_role("button", name="To the end: Step").click()
    expect(calm.get_by_label("Step", exact=True)).to_have_value("100")
    context.close()


def test_a_formula_is_typed_and_a_wrong_one_is_said(page: Page, studio: str):
    page.goto(f"{studio}#/lessons/tangent")
    field = page.get_by_role("textbox", name="f(x) =")
    field.fill("sin(x)")
    field.press("Enter")
    expect(page.locator(".verdict")).to_contain_text(f"f is {math.sin(1.5):.4g}")
    expect(page.locator(".shown-code")).to_contain_text("lambda x: sin(x)")
    page.get_by_role("button", name="abs(x)").click()
    expect(page.locator(".verdict")).to_contain_text("its slope is 1")
    page.get_by_role("link", name="All lessons").wait_for(state="hidden")


def test_what_is_refused_is_said_in_its_place(browser: Browser, studio: str):
    context = browser.new_context(viewport={"width": 390, "height": 800})
    narrow = context.new_page()  # a refusal is an error in the console, too, so not the page that must have none
    narrow.goto(f"{studio}#/lessons/tangent")
    field = narrow.get_by_role("textbox", name="f(x) =")
    field.fill("os.system(1)")
    field.press("Enter")
    expect(narrow.get_by_role("alert")).to_contain_text("This is no formula of x")
    field.fill("x")
    field.press("Enter")
    expect(narrow.locator(".verdict")).to_contain_text("its slope is 1")
    expect(narrow.get_by_role("alert")).to_have_count(0)
    narrow.goto(f"{studio}#/lessons/nothing")
    expect(narrow.get_by_role("alert")).to_contain_text("nothing")
    narrow.get_by_role("link", name="All lessons").click()
    expect(narrow.get_by_role("link", name="Begin: The tangent of a curve")).to_be_visible()
    for name in ("level-sets", "circuit", "backward-graph", "what-layers-learn"):
        narrow.goto(f"{studio}#/lessons/{name}")
        narrow.locator(READY).wait_for()
        assert narrow.evaluate("document.documentElement.scrollWidth") <= 390, name
    context.close()
