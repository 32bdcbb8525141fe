"""Experiments with several seeds, and what they say of chance."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import nacre
from nacre import labs
from nacre.cli import main
from nacre.errors import DataError, Limitation, UnknownName, UsageError
from nacre.labs.depth import _verdict, count, equal_widths
from nacre.labs.result import compared, spread, welch
from nacre.labs.trial import Task
from nacre.layers import Add, Dense, Dropout, Flatten

(X, Y), TEST = nacre.datasets.digits.load_data()
STUDENT = {1: 12.706, 2: 4.303, 4: 2.776, 10: 2.228, 30: 2.042}  # beyond ± t lies 5 %, by tables


def test_welchs_test_agrees_with_tables_and_with_an_example_in_print() -> None:
    for freedom, t in STUDENT.items():  # equal variances, equal sizes: 2 n - 2 degrees of freedom
        if freedom % 2 == 0:
            n = freedom // 2 + 1
            base = np.resize([-1.0, 1.0], n) if n % 2 == 0 else np.linspace(-1, 1, n)
            shift = t * np.sqrt(2 * base.var(ddof=1) / n)
            assert welch(base + shift, base)[1] == pytest.approx(0.05, abs=1e-4)
    a = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4]
    b = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4]
    t, p = welch(a, b)
    assert (round(t, 2), round(p, 3)) == (-2.46, 0.021)


def test_a_difference_is_one_if_chance_gives_it_seldom_and_more_tests_ask_for_more() -> None:
    a, b = [1.0, 2.0, 3.0, 4.0], [3.0, 5.0, 6.0, 6.0]
    assert (compared(a, b)[0], compared(b, a)[0], compared(a, b, tests=3)[0]) == (-1, 1, 0)
    assert compared([1.0, 1.0], [1.0, 1.0])[0] == 0
    # Accuracies of some rows are often the same for two seeds: that says nothing of a third.
    sign, how = compared([0.9, 0.9], [0.8, 0.8])
    assert (sign, "no spread" in how) == (0, True)


@pytest.mark.parametrize("hidden", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("ends", [(64, 10), (784, 10), (3, 1)])
def test_networks_of_any_depth_have_as_many_parameters_within_2_percent(hidden: int, ends: tuple[int, int]) -> None:
    widths = equal_widths(*ends, hidden, 40_000)
    model = nacre.Sequential([nacre.Input(ends[:1]), *map(Dense, widths), Dense(ends[1])])
    assert len(widths) == hidden
    assert model.count_params() == count(*ends, widths) == pytest.approx(40_000, rel=0.02)


def test_too_few_parameters_for_a_depth_are_refused() -> None:
    with pytest.raises(UsageError, match="No 3 hidden layers"):
        equal_widths(784, 10, 3, 1000)


def test_the_depth_lab_sees_that_deep_sigmoids_do_not_learn_and_no_difference_where_there_is_none() -> None:
    found = labs.depth(
        X, Y, depths=(1, 6), parameters=4000, seeds=3, activation="sigmoid", epochs=5, validation_data=TEST
    )
    assert "depth 6 is worse than depth 1" in found.verdict
    noise = np.random.default_rng(0)
    x, y = noise.standard_normal((200, 5)), noise.integers(0, 2, 200)
    none = labs.depth(x, y, depths=(1, 2), parameters=400, seeds=3, epochs=3)
    assert none.verdict.startswith("neither learned")
    easy = labs.depth(x, (x[:, 0] > 0).astype(int), depths=(1, 2), parameters=400, seeds=3, epochs=30)
    assert easy.verdict.startswith("no difference")
    assert len(none.rows[0]["accuracy"]["seeds"]) == 3


def test_the_figures_of_a_lab_are_those_of_the_models_by_themselves() -> None:
    found = labs.depth(X[:300], Y[:300], depths=(2,), parameters=3000, seeds=2, epochs=2, validation_data=TEST)
    widths = [int(width) for width in found.rows[0]["widths"].split()]
    expected = []
    for seed in range(2):
        nacre.utils.set_random_seed(seed)
        model = nacre.Sequential([nacre.Input((64,)), *(Dense(w, "relu") for w in widths), Dense(10, "softmax")])
        model.compile(nacre.optimizers.Adam(0.001), "sparse_categorical_crossentropy")
        model.fit((X[:300] / 16).reshape(300, 64).astype("float32"), Y[:300], epochs=2, verbose=0)
        said = model.predict((TEST[0] / 16).reshape(-1, 64).astype("float32")).argmax(-1)
        expected.append(float((said == TEST[1]).mean()))
    assert found.rows[0]["accuracy"]["seeds"] == pytest.approx(expected, abs=1e-6)
    assert found.rows[0]["accuracy"]["deviation"] == pytest.approx(np.std(expected, ddof=1), abs=1e-6)


def test_numbers_are_judged_by_r2() -> None:
    x = np.random.default_rng(0).standard_normal((300, 2))
    found = labs.depth(x, 1000 + 50 * x[:, 0], depths=(1,), parameters=200, seeds=2, epochs=60)
    assert found.rows[0]["r2_score"]["mean"] > 0.9


def test_the_learning_curve_rises_and_smaller_sizes_are_parts_of_larger_ones() -> None:
    found = labs.learning_curve(X, Y, (60, 600), ((32,), (16, 16)), seeds=2, steps=200, validation_data=TEST)
    assert [(row["hidden layers"], row["rows"]) for row in found.rows] == [
        ("32", 60), ("32", 600), ("16 16", 60), ("16 16", 600)
    ]  # fmt: skip
    means = [row["accuracy"]["mean"] for row in found.rows]
    assert means[0] < means[1]
    assert means[2] < means[3]
    with pytest.raises(UsageError, match="sizes"):
        labs.learning_curve(X, Y, (0,))


def test_shuffled_labels_are_learned_by_heart_and_say_nothing_of_other_rows() -> None:
    found = labs.random_labels(X, Y, rows=200, seeds=2, validation_data=TEST)
    assert found.verdict.startswith("memorizes")
    true, shuffled = found.rows
    assert shuffled["accuracy in training"]["mean"] >= 0.99
    assert shuffled["accuracy"]["mean"] < 0.2 < 0.8 < true["accuracy"]["mean"]
    weak = labs.random_labels(X, Y, widths=(4,), rows=200, seeds=2, epochs=5, validation_data=TEST)
    assert weak.verdict.startswith("does not memorize")
    with pytest.raises(UsageError, match="classes"):
        labs.random_labels(X, Y + 0.5)


def test_sorted_rows_are_drawn_from_all_classes_and_one_class_is_none() -> None:
    order = np.argsort(Y, kind="stable")
    found = labs.random_labels(X[order], Y[order], rows=100, seeds=2, epochs=1, validation_data=TEST)
    assert 0.08 < found.figures["chance"] < 0.13  # the first 100 are all of class 0
    with pytest.raises(UsageError, match="one class"):
        labs.random_labels(X[:50], np.zeros(50, int), rows=20, seeds=2, epochs=1)


def test_permuted_pixels_change_nothing() -> None:
    found = labs.pixel_permutation(X, Y, seeds=3, epochs=3, validation_data=TEST)
    assert 0 < found.figures["largest difference of predictions"] < 1e-5
    assert "the same predictions but for rounding; trained anew: no difference" in found.verdict


def test_seeds_are_judged_alone_and_compared_in_pairs() -> None:
    found = labs.seeds(X[:300], Y[:300], widths=(8,), seeds=3, epochs=2, validation_data=TEST)
    test = (TEST[0] / 16).reshape(-1, 64).astype("float32")
    accuracies, weights, said = [], [], []
    for seed in range(3):
        nacre.utils.set_random_seed(seed)
        model = nacre.Sequential([nacre.Input((64,)), Dense(8, "relu"), Dense(10, "softmax")])
        model.compile(nacre.optimizers.Adam(0.001), "sparse_categorical_crossentropy")
        model.fit((X[:300] / 16).reshape(300, 64).astype("float32"), Y[:300], epochs=2, verbose=0)
        said.append(model.predict(test).argmax(-1))
        accuracies.append((said[-1] == TEST[1]).mean())
        weights.append(np.concatenate([w.astype(float).ravel() for w in model.get_weights()]))
    apart = {
        (a, b): np.sqrt(((weights[a] - weights[b]) ** 2).sum())
        / np.mean([np.sqrt((weights[n] ** 2).sum()) for n in (a, b)])
        for a, b in [(0, 1), (0, 2), (1, 2)]
    }
    assert [row["accuracy"] for row in found.rows] == pytest.approx(accuracies, abs=1e-6)
    assert [row["distance to the nearest"] for row in found.rows] == pytest.approx(
        [min(d for pair, d in apart.items() if seed in pair) for seed in range(3)], rel=1e-5
    )
    assert found.figures["accuracy"]["deviation"] == pytest.approx(np.std(accuracies, ddof=1), abs=1e-6)
    assert found.figures["distance of two solutions"] == pytest.approx(np.mean(list(apart.values())), rel=1e-5)
    alike = np.mean([(said[a] == said[b]).mean() for a, b in apart])
    assert found.figures["decided alike by two of them"] == pytest.approx(alike)
    assert f"less than {max(accuracies) - min(accuracies):.4f} apart" in found.verdict


def test_seeds_of_a_network_for_numbers_are_judged_by_r2_and_decide_nothing() -> None:
    x = np.random.default_rng(0).standard_normal((100, 2))
    found = labs.seeds(x, x[:, 0] - x[:, 1], widths=(), seeds=2, epochs=1)
    assert set(found.figures) == {"r2_score", "distance of two solutions"}


def network(drop: float = 0.0) -> nacre.Sequential:
    model = nacre.Sequential(
        [
            nacre.Input((8, 8)),
            Flatten(),
            Dense(6, "relu", name="first"),
            Dropout(drop),
            Dense(10, "softmax", name="last"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X / 16, Y, epochs=3, verbose=0)
    return model


@pytest.mark.parametrize("value", ["zero", "mean"])
def test_knocking_out_a_unit_does_what_it_does_by_hand_and_leaves_the_model(value: str) -> None:
    model = network(0.3)
    x, y = TEST[0][:50] / 16, TEST[1][:50]
    before, output = [w.copy() for w in model.get_weights()], model.get_layer("first").output
    found = labs.ablation(model, x, y, "first", value=value)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    assert model.get_layer("first").output is output

    kernel, bias, head, head_bias = (w.astype(np.float64) for w in before)
    hidden = np.maximum(x.reshape(50, 64) @ kernel + bias, 0)

    def outcome(h: Any) -> tuple[float, Any]:
        scores = h @ head + head_bias
        chances = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
        return -np.log(chances[np.arange(50), y]).mean(), scores.argmax(-1)

    loss, said = outcome(hidden)
    for row in found.rows:
        damaged = hidden.copy()
        damaged[:, row["unit"]] = 0 if value == "zero" else hidden[:, row["unit"]].mean()
        after, answers = outcome(damaged)
        assert row["change of loss"] == pytest.approx(after - loss, abs=1e-5)
        assert row["change of accuracy"] == pytest.approx((answers == y).mean() - (said == y).mean(), abs=1e-6)
        assert row["answers that flip"] == pytest.approx((answers != said).mean(), abs=1e-6)
    assert sorted(row["unit"] for row in found.rows) == list(range(6))
    assert found.rows[0]["change of loss"] == max(row["change of loss"] for row in found.rows)


def test_covering_a_patch_is_what_it_is_by_hand() -> None:
    model, x, y = network(), TEST[0][:40] / 16, TEST[1][:40]
    found = labs.ablation(model, x, y, patch=3)
    assert sorted((row["row"], row["column"]) for row in found.rows) == [(r, c) for r in (0, 3, 6) for c in (0, 3, 6)]
    row = next(row for row in found.rows if (row["row"], row["column"]) == (3, 6))
    covered = x.copy()
    covered[:, 3:6, 6:8] = 0
    assert row["change of loss"] == pytest.approx(
        model.evaluate(covered, y, verbose=0)[0] - model.evaluate(x, y, verbose=0)[0], abs=1e-6
    )
    with pytest.raises(UsageError, match="pictures"):
        labs.ablation(model, x.reshape(40, 64), y, patch=2)


def test_the_answer_of_one_score_is_yes_above_0_and_of_one_probability_above_one_half() -> None:
    x, y = np.linspace(-1, 1, 40)[:, None].astype(np.float32), (np.linspace(-1, 1, 40) > 0).astype(np.float32)
    found = []
    for activation, from_logits in ((None, True), ("sigmoid", False)):
        model = nacre.Sequential([nacre.Input((1,)), Dense(1, name="first"), Dense(1, activation)])
        model.compile("sgd", nacre.losses.BinaryCrossentropy(from_logits=from_logits))
        model.set_weights([[[1.0]], [0.0], [[1.0]], [0.2]])
        found.append(labs.ablation(model, x, y, "first"))
    scores, probabilities = found
    for row, expected in zip(scores.rows, probabilities.rows, strict=True):
        assert row == pytest.approx(expected, abs=1e-5)
    assert scores.figures == pytest.approx(probabilities.figures, abs=1e-5)
    assert scores.rows[0]["answers that flip"] == pytest.approx((x[:, 0] + 0.2 <= 0).mean())  # without it, all are yes


def test_ablation_refuses_models_written_as_classes() -> None:
    class Written(nacre.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

    written = Written()
    written.build((None, 3))
    with pytest.raises(Limitation, match="Written computes"):
        labs.ablation(written, np.ones((2, 3)), np.ones((2, 3)))


def test_ablation_goes_through_branches_behind_a_layer_and_refuses_ways_around_it() -> None:
    x = nacre.Input((3,))
    first = Dense(4, "tanh", name="first")(x)
    joined = Add()([Dense(2, name="left")(first), Dense(2, name="right")(first)])
    model = nacre.Model(x, Dense(1, name="end")(joined))
    model.compile("sgd", "mse")
    rows = np.random.default_rng(0).standard_normal((20, 3)).astype("float32")
    found = labs.ablation(model, rows, np.zeros(20), "first")
    assert len(found.rows) == 4
    assert "answers that flip" not in found.rows[0]
    with pytest.raises(Limitation, match="around the layer 'left'"):
        labs.ablation(model, rows, np.zeros(20), "left")
    with pytest.raises(UnknownName, match="frist"):
        labs.ablation(model, rows, np.zeros(20), "frist")
    with pytest.raises(UsageError, match="last layer"):
        labs.ablation(model, rows, np.zeros(20), "end")


def test_data_that_is_none_is_refused() -> None:
    with pytest.raises(DataError, match="count from 0"):
        labs.depth(X, Y.astype(int) - 1)
    with pytest.raises(DataError, match="a row of x"):
        labs.depth(X, Y[:5])
    with pytest.raises(UsageError, match="seeds"):
        labs.depth(X, Y, seeds=1)


def test_a_result_is_a_table_for_people_and_a_document_for_programs() -> None:
    found = labs.Result("What", "so", [{"case": "a", "accuracy": spread([0.5, 0.7])}], {"chance": float("nan")})
    assert str(found).splitlines() == [
        "What", "", "case  accuracy", "a     0.6000 ± 0.1414", "", "chance: nan", "verdict: so"
    ]  # fmt: skip
    assert json.loads(json.dumps(found.document(), allow_nan=False))["figures"] == {"chance": "NaN"}


def test_the_command_gives_one_document_and_a_line_for_each_training() -> None:
    words = ["lab", "depth", "digits", "--depths", "1,2", "--seeds", "2", "--epochs", "1", "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert [row["depth"] for row in json.loads(result.stdout)["rows"]] == [1, 2]
    assert [line.split("  ")[0] for line in sorted(result.stderr.splitlines())] == [
        "1 of 2: depth 1, 133", "2 of 2: depth 2, 69 69", "seed 0", "seed 0", "seed 1", "seed 1"
    ]  # fmt: skip
    assert CliRunner().invoke(main, [*words, "-q"]).stderr == ""


def test_a_circuit_becomes_a_model_file_and_mistakes_exit_with_2(tmp_path: Any) -> None:
    file = str(tmp_path / "adder.safetensors")
    result = CliRunner().invoke(main, ["lab", "circuit", "adder", "--out", file, "--json"])
    rows = json.loads(result.stdout)["rows"]
    said = nacre.models.load_model(file).predict(np.array([x for x, _ in rows], np.float32))
    assert said.tolist() == [y for _, y in rows]
    for out, why in ((file, "is there already"), (str(tmp_path / "nowhere" / "a"), "there is no folder")):
        refused = CliRunner().invoke(main, ["lab", "circuit", "adder", "--out", out])
        assert (refused.exit_code, why in refused.stderr) == (2, True)
    for words in (
        ["circuit", "01x"],
        ["perceptron", "--weights", "1,2"],
        ["perceptron", "--weights", "a", "--bias", "1"],
    ):
        assert CliRunner().invoke(main, ["lab", *words]).exit_code == 2


def test_categories_are_taken_term_by_term_and_can_be_left_out(tmp_path: Any) -> None:
    file = tmp_path / "houses.csv"
    file.write_text("\n".join(["rooms,zip,price", *(f"{n % 17},{'ab'[n % 2]},{n % 17 * 3.5}" for n in range(200))]))
    words = [
        "lab",
        "depth",
        str(file),
        "--target",
        "price",
        "--depths",
        "1",
        "--parameters",
        "211",
        "--epochs",
        "1",
        "--seeds",
        "2",
        "--json",
    ]
    # The rooms, and the zip rare, missing, a, b: (5 + 1) 30 + 31 parameters; else (1 + 1) 70 + 71.
    for more, widths in (([], "30"), (["--column", "zip=drop"], "70")):
        (row,) = json.loads(CliRunner().invoke(main, [*words, *more]).stdout)["rows"]
        assert (row["widths"], row["parameters"]) == (widths, 211)


def test_ablation_begins_where_all_ways_meet():
    nacre.utils.set_random_seed(1)
    a, b = nacre.Input((3,), name="a"), nacre.Input((2,), name="b")
    joined = nacre.layers.Concatenate()([nacre.layers.Dense(4, name="first")(a), b])
    model = nacre.Model(
        [a, b], nacre.layers.Dense(1, name="last")(nacre.layers.Dense(5, "relu", name="meeting")(joined))
    )
    model.compile("sgd", "mse")
    random = np.random.default_rng(0)
    x = {"a": random.normal(size=(20, 3)).astype("f4"), "b": random.normal(size=(20, 2)).astype("f4")}
    found = nacre.labs.ablation(model, x, random.normal(size=20))
    assert "meeting" in str(found)


def test_a_learning_curve_takes_fewer_steps_where_inputs_are_wide():
    def steps(width: int, **more: Any) -> str:
        x, y = np.zeros((8, width), np.float32), np.arange(8) % 2
        networks = [(64,)] * 4
        how: dict[str, Any] = {"sizes": [8], "networks": networks, "seeds": 2} | more
        return nacre.labs.learning_curve(x, y, **how, validation_data=(x, y)).experiment

    # 6 operations for each of 32 rows and 64 (width + 1) + 2 (64 + 1) parameters, of 4 networks, 2 seeds.
    assert "about 600 steps" in steps(3)
    assert "about 3 steps" in steps(3, steps=3)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys.modules["nacre.labs.learning_curve"], "_OPERATIONS", 6 * 32 * (64 * 4 + 130) * 4 * 2 * 150)
        assert "about 150 steps" in steps(3)
        assert "about 100 steps" in steps(9)


def test_depths_of_which_neither_learned_are_not_compared():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(120, 4)).astype("f4"), random.integers(2, size=120)
    held = (random.normal(size=(60, 4)).astype("f4"), np.arange(60) % 2)
    how: dict[str, Any] = {"parameters": 2000, "seeds": 2, "epochs": 1, "validation_data": held}
    assert nacre.labs.depth(x, y, depths=(1, 2), **how).verdict == (
        "neither learned: accuracy is not surely above 0.5, that of always saying the most frequent class"
    )
    numbers = nacre.labs.depth(x, random.normal(size=120), (1, 2, 3), **how | {"validation_data": None})
    assert numbers.verdict.startswith("none learned: r2_score is not surely above 0, that of always saying the mean")


def test_of_depths_those_that_learned_are_compared_and_of_others_it_is_said():
    task = Task.of(np.zeros((4, 1)), np.array([0, 1, 0, 1]), (np.zeros((100, 1)), np.arange(100) % 2))

    def row(depth: int, *accuracies: float) -> dict[str, Any]:
        return {"depth": depth, "accuracy": spread(accuracies)}

    blind, other, seeing = row(1, 0.5, 0.52), row(3, 0.51, 0.5), row(2, 0.9, 0.92)
    assert task.learned([0.9, 0.92])
    assert not task.learned([0.58, 0.56])  # of 100 rows, 0.57 lies between 0.47 and 0.66
    assert _verdict([blind, seeing, other], task) == (
        f"depth 2 is better than depth 1 ({compared([0.9, 0.92], [0.5, 0.52], 2)[1]}); neither depth 1 nor depth 3 learned"
    )
    assert "depth 3 is worse than depth 2" in _verdict([seeing, other], task)
    assert "neither learned" in _verdict([blind, other], task)
