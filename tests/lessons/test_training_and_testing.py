"""Training and testing: equations, loss, forward and backward pass, steps, and when to stop."""

from __future__ import annotations

import json
import math

import numpy as np
import openpyxl
import pytest
from click.testing import CliRunner
from PIL import Image

import nacre
from nacre import callbacks, labs, layers, losses, ops
from nacre.cli import main
from nacre.data import Pictures
from nacre.data.equations import equations
from nacre.data.splits import split_rows
from nacre.optimizers import SGD, schedules

(X, Y), (X_TEST, Y_TEST) = nacre.datasets.digits.load_data()
X, X_TEST = (x.reshape(len(x), 64) / np.float32(16) for x in (X, X_TEST))  # 8 x 8 pixels, from 0 to 1
Y, Y_TEST = Y.astype(int), Y_TEST.astype(int)
LABELS = "sparse_categorical_crossentropy"


def linear(optimizer="sgd", seed=0):
    """softmax(xA + b): 64 pixels in, 10 probabilities out."""
    nacre.utils.set_random_seed(seed)
    model = nacre.Sequential([nacre.Input((64,)), layers.Dense(10, "softmax", name="dense")])
    model.compile(SGD(0.5) if optimizer == "sgd" else optimizer, LABELS, metrics=["accuracy"])
    return model


def deep(units=32, dropout=0.0, seed=0):
    """A hidden layer between pixels and probabilities."""
    nacre.utils.set_random_seed(seed)
    stack = [nacre.Input((64,)), layers.Dense(units, "relu", name="hidden"), layers.Dropout(dropout)]
    model = nacre.Sequential([*stack, layers.Dense(10, "softmax", name="dense")])
    model.compile("adam", LABELS, metrics=["accuracy"])
    return model


def line(optimizer="sgd", loss="mse", inputs=1):
    """y = xA + b, one number out; A and b begin at 0."""
    model = nacre.Sequential([nacre.Input((inputs,)), layers.Dense(1, kernel_initializer="zeros", name="dense")])
    model.compile(optimizer, loss)
    return model


def command(*words):
    """What a command of nacre prints."""
    run = CliRunner().invoke(main, [str(word) for word in words])
    assert run.exit_code == 0, run.output
    return run.stdout


# ------------------------------------------------------------------ equations


def test_a_sigmoid_of_one_score_is_a_softmax_of_two(rng):
    """C1. The probability of a cat: one sigmoid says the same as a softmax over cat and no cat."""
    x = rng.normal(size=(50, 4)).astype("float32")
    one = nacre.Sequential([nacre.Input((4,)), layers.Dense(1, "sigmoid")])
    two = nacre.Sequential([nacre.Input((4,)), layers.Dense(2, "softmax")])
    kernel, bias = two.get_weights()
    one.set_weights([kernel[:, 1:] - kernel[:, :1], bias[1:] - bias[:1]])  # the difference of the scores
    assert np.allclose(one.predict(x)[:, 0], two.predict(x)[:, 1], rtol=0, atol=2e-7)


def test_training_finds_the_weights_and_testing_uses_them_on_new_rows():
    """C2. Training learns from labeled rows, testing judges others; dropout acts in training alone, without being told."""
    train, validation, test = split_rows(len(X), [0.2, 0.2], seed=0, classes=Y)
    assert sorted([*train, *validation, *test]) == list(range(len(X)))  # three parts, each row in one
    model = deep(dropout=0.5)
    model.fit(X[train], Y[train], epochs=5, validation_data=(X[validation], Y[validation]), verbose=0)
    _, accuracy = model.evaluate(X[test], Y[test], verbose=0)
    said = model.predict(X[test]).argmax(1)
    assert accuracy == pytest.approx((said == Y[test]).mean())
    assert accuracy > 0.75
    assert np.array_equal(model.predict(X[test]), model.predict(X[test]))  # nothing is dropped
    dropped = [model.inside(X[:1], Y[:1], training=training)["dropout"].output for training in (False, True)]
    assert np.array_equal(dropped[0], model.inside(X[:1])["hidden"].output)
    assert not np.array_equal(dropped[1], dropped[0])


def test_a_linear_model_of_a_megapixel_has_three_billion_parameters():
    """C3. 3,000,000 numbers and 1,000 classes: 3 billion weights and 1,000 biases, known before a byte is taken."""
    found = json.loads(command("budget", "--input", 3_000_000, "--classes", 1000, "--memory", "23GB", "--json"))
    assert found["parameters"] == 3_000_000 * 1000 + 1000 == 3_000_001_000
    assert found["slots"] == {"SGD": 12_000_004_000, "momentum": 24_000_008_000, "Adam": 36_000_012_000}  # bytes
    assert not found["fits"]
    smaller = {change["what"]: change["parameters"] for change in found["changes"]}
    assert smaller["resize to 128 x 128 x 3"] == (128 * 128 * 3 + 1) * 1000 == 49_153_000


def test_each_row_is_an_equation_for_each_class():
    """C4. 1,437 digits are 14,370 equations for the 650 unknowns of a linear model."""
    found = json.loads(command("inspect", "digits", "--json"))["equations"]
    assert found["equations"] == len(X) * 10 == 14_370
    assert found["unknowns"] == linear().count_params() == 650
    assert "14,370 = 1,437 x 10" in command("inspect", "digits")


def test_dependent_equations_say_nothing_new():
    """C5. 2x + y = 4 and 4x + 2y = 8 are one equation, said twice: the rank is 1 of 2."""
    found = equations([[2, 1], [4, 2]], [4, 8])
    assert (found.rank, found.columns) == (1, 2)
    assert equations([[2, 1], [2, 1]], [4, 4]).repeats == 1
    digits = equations(X, Y, classes=10)  # four pixels are dark in all pictures
    assert (digits.rank, digits.columns) == (np.linalg.matrix_rank(X), 64)
    assert digits.rank == 60 == X.any(0).sum()


def test_contradicting_equations_are_found_and_least_squares_settles_them():
    """C6. x + y = 5 and x + y = 6 cannot both hold; least squares takes 5.5."""
    found = equations([[1, 1], [1, 1], [1, 0]], [5, 6, 2])
    assert found.contradictions == 2
    assert (found.conflict.rows, found.conflict.targets, found.conflict.compromise) == ((0, 1), (5.0, 6.0), 5.5)
    model = line(inputs=2)
    model.fit_lbfgs(np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([5.0, 6.0]))
    assert model.predict(np.array([[1.0, 1.0]])).item() == pytest.approx(5.5)


def test_of_more_equations_than_unknowns_least_squares_misses_as_little_as_can_be(rng):
    """C7. 50 equations for 4 unknowns have no exact solution; training finds the one that `lstsq` computes."""
    x = rng.normal(size=(50, 3))
    y = x @ [1.0, -2.0, 0.5] + 3 + rng.normal(size=50)
    model = line(inputs=3)
    model.fit_lbfgs(x, y)
    exact, (residual,), *_ = np.linalg.lstsq(np.column_stack([x, np.ones(50)]), y, rcond=None)
    assert np.allclose(np.concatenate(model.get_weights(), axis=None), exact, atol=1e-5)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(residual / 50, rel=1e-5)
    assert residual / 50 > 0.5  # no exact solution


def test_a_prediction_can_be_done_on_a_calculator(tmp_path):
    """C8. Multiply, add, softmax: no more is needed, by hand or in a spreadsheet with live formulas."""
    model = linear()
    model.fit(X, Y, verbose=0)
    kernel, bias = (w.tolist() for w in model.get_weights())
    scores = [
        b + sum(pixel * row[k] for pixel, row in zip(X_TEST[0].tolist(), kernel, strict=True))
        for k, b in enumerate(bias)
    ]
    powers = [math.exp(score) for score in scores]
    assert np.allclose([power / sum(powers) for power in powers], model.predict(X_TEST[:1])[0], atol=1e-6)
    model.explain(X_TEST[:1], Y_TEST[:1]).save(tmp_path / "step.xlsx")
    cells = [cell.value for sheet in openpyxl.load_workbook(tmp_path / "step.xlsx") for row in sheet for cell in row]
    formulas = [value for value in cells if isinstance(value, str) and value.startswith("=")]
    assert sum("EXP(" in formula for formula in formulas) >= 10  # one for each class


# ------------------------------------------------------------------ any good solution will do


def test_training_may_end_as_soon_as_most_rows_are_right():
    """C9. An approximate solution will do: training ends once 95 % of its rows are right."""
    model = linear()
    enough = callbacks.TerminateOnTarget("accuracy", 0.95)
    history = model.fit(X, Y, epochs=100, verbose=0, callbacks=[enough])
    reached = history.history["accuracy"]
    assert reached[-1] >= 0.95 > max(reached[:-1])
    assert len(reached) < 100


def test_the_accuracy_on_new_rows_comes_with_an_interval(tmp_path):
    """C10. What is right on test rows is likely right elsewhere; how likely, the 95 % interval says (E. Wilson, 1927)."""
    model = linear()
    model.fit(X, Y, epochs=5, verbose=0)
    model.save(tmp_path / "model")
    arrays = tmp_path / "test.npz"
    np.savez(arrays, x_test=X_TEST, y_test=Y_TEST)
    found = json.loads(command("evaluate", tmp_path / "model", arrays, "--json"))
    low, high = found["intervals"]["accuracy"]
    share, n = found["accuracy"], found["rows"]
    assert 0.85 < low < share < high < 1
    for end in (low, high):  # at both ends, what was found is just 1.96 standard deviations away
        assert abs(share - end) / math.sqrt(end * (1 - end) / n) == pytest.approx(1.959964, rel=1e-5)
    assert f"({low:.4f} to {high:.4f} with 95 % confidence)" in command("evaluate", tmp_path / "model", arrays)


def test_the_first_answer_is_a_guess():
    """C11. From random numbers, 1 of 10 classes is right. Texts say that this costs ln 10 = 2.30; that is the price of knowing
    nothing, and random numbers, which think to know something, cost up to a fifth more. The doctor finds a start that is sure."""
    found = [linear(seed=seed).evaluate(X, Y, verbose=0) for seed in range(5)]
    assert all(math.log(10) < loss < 1.2 * math.log(10) for loss, _ in found)  # 2.38 to 2.73
    assert np.mean([accuracy for _, accuracy in found]) == pytest.approx(0.1, abs=0.03)
    blank = linear()
    blank.set_weights([0 * w for w in blank.get_weights()])
    assert blank.evaluate(X, Y, verbose=0)[0] == pytest.approx(math.log(10), rel=1e-6)
    sure = linear()
    sure.set_weights([sure.get_weights()[0], 10 * np.eye(10)[0]])  # all are 0, it says
    assert sure.evaluate(X, Y, verbose=0)[0] > 3 * math.log(10)
    assert nacre.diagnose(sure, X[:300], Y[:300]).findings[0].name == "overconfident start"


def test_probabilities_give_a_loss_and_an_error_for_each_class():
    """C12. Cat 0.2, dog 0.7, bird 0.1, and it is a cat: the loss is 1.6094, the errors are -0.8, 0.7 and 0.1."""
    found = nacre.explain.explain_scores(np.log([0.2, 0.7, 0.1]), true_class=0)
    assert found.loss == pytest.approx(-math.log(0.2))
    assert round(found.loss, 4) == 1.6094
    assert np.allclose(found.gradient, [-0.8, 0.7, 0.1])
    assert "loss 1.6094" in str(found)


def test_one_row_can_be_learned_at_the_cost_of_others():
    """C13. Steps on one single row bring its error to nearly 0; what others had learned is lost on the way."""
    model = linear()
    model.fit(X, Y, epochs=5, verbose=0)
    hardest = int(model.inside(X, Y).losses.argmax())
    row = slice(hardest, hardest + 1)
    before = model.inside(X, Y).losses
    for _ in range(50):
        model.train_on_batch(X[row], Y[row])
    after = model.inside(X, Y).losses
    assert before[hardest] > 2
    assert after[hardest] < 0.05
    assert np.delete(after, hardest).mean() > 1.5 * np.delete(before, hardest).mean()


def test_the_same_rows_are_shown_again_and_again():
    """C14. One pass is not enough: with each of ten, the loss falls."""
    history = linear().fit(X, Y, epochs=10, verbose=0)
    loss = history.history["loss"]
    assert history.epoch == list(range(10))
    assert loss == sorted(loss, reverse=True)
    assert loss[-1] < 0.3 * loss[0]


# ------------------------------------------------------------------ who is to blame


def test_the_weights_that_a_step_changes_most_are_listed():
    """C15. Of 650 weights, the few that a step changes most; the list is that of the arrays before and after."""
    model = linear()
    updates = model.explain(X[:1], Y[:1]).updates(most=5)
    before = model.get_weights()[0]
    model.train_on_batch(X[:1], Y[:1])
    change = model.get_weights()[0] - before
    i, j = np.unravel_index(np.abs(change).argmax(), change.shape)
    largest = [abs(update.new - update.old) for update in updates]
    assert len(updates) == 5
    assert largest == sorted(largest, reverse=True)
    assert largest[0] == pytest.approx(abs(change[i, j]), rel=1e-4)
    # All five belong to the true class, which was to say more: its error is the largest.
    assert all(update.name.endswith(f", {Y[0]}]") or update.name == f"dense/bias[{Y[0]}]" for update in updates)


def test_who_contributed_most_is_changed_most():
    """C16. Honda or Ford: the update of a weight is -rate x input x error, so the bigger the input, the bigger the change."""
    model = linear(SGD(0.1))
    step = model.explain(X[:1], Y[:1])
    blame = step.blame("dense", most=640)
    for one in blame:
        assert one.weight.new - one.weight.value == pytest.approx(-0.1 * one.input * one.error, abs=1e-7)
    own = {one.source: abs(one.share) for one in blame if one.unit == Y[0]}
    by_input = sorted(own, key=lambda pixel: X[0, pixel])
    assert [own[pixel] for pixel in by_input] == sorted(own.values())
    assert own[by_input[0]] == 0  # a dark pixel is blamed for nothing


def test_the_logarithm_turns_probabilities_back_into_scores():
    """C17. Scores became powers of e, so the logarithm finds them again, up to one number for all classes."""
    scores = np.array([2.0, 1.0, -1.0])
    found = nacre.explain.explain_scores(scores, true_class=0)
    assert np.allclose(found.probabilities, np.exp(scores) / np.exp(scores).sum())
    assert np.allclose(np.log(found.probabilities) + found.shift, scores)
    assert found.shift == pytest.approx(np.log(np.exp(scores).sum()))
    assert np.allclose(np.asarray(ops.log_softmax(scores)) + found.shift, scores)


def test_the_error_that_goes_back_is_probability_less_target():
    """C18. Softmax and crossentropy together have the gradient p - y, for scores of any size."""
    model = linear()
    step = model.explain(X[:8], Y[:8]).layer("dense")
    assert np.allclose(step.score_error, model.predict(X[:8]) - np.eye(10)[Y[:8]], atol=1e-6)
    sure = nacre.Sequential([nacre.Input((3,)), layers.Dense(3, "softmax", name="dense")])
    sure.compile("sgd", LABELS)
    sure.set_weights([np.eye(3), np.zeros(3)])
    huge = np.array([[1e4, -1e4, 0.0]])
    step = sure.explain(huge, np.array([1]))
    assert step.losses.tolist() == [20_000]
    assert step.layer("dense").score_error.tolist() == [[1, -1, 0]]


def test_other_seeds_end_elsewhere_and_are_as_good():
    """C20. Many good results, depending on the start and on the order of the rows: eight seeds end at eight places, farther from
    each other than from 0, and hardly differ in accuracy."""
    found = json.loads(command("lab", "seeds", "digits", "--seeds", 8, "--epochs", 10, "--quiet", "--json"))
    accuracy = [row["accuracy"] for row in found["rows"]]
    assert len(accuracy) == 8
    assert min(accuracy) > 0.9  # measured: 0.944 to 0.964
    spread = found["figures"]["accuracy"]
    assert spread["mean"] == pytest.approx(np.mean(accuracy))
    assert 0 < spread["deviation"] < 0.02
    assert min(row["distance to the nearest"] for row in found["rows"]) > 1
    assert found["figures"]["decided alike by two of them"] > 0.9
    assert "by chance alone" in found["verdict"]


def test_what_comes_last_leaves_the_deepest_imprint():
    """C21. Digits in the order of their labels: the network knows the last ones, and has unlearned the first."""
    order = np.argsort(Y, kind="stable")
    found = {}
    for shuffle in (False, True):
        model = linear()
        model.fit(X[order], Y[order], epochs=3, shuffle=shuffle, verbose=0)
        right = model.predict(X_TEST).argmax(1) == Y_TEST
        found[shuffle] = [right[Y_TEST < 5].mean(), right[Y_TEST >= 5].mean()]
    assert found[True][0] > 0.9
    assert found[False][0] < 0.7 * found[True][0]
    rows = order[::4]
    names = [f.name for f in nacre.diagnose(linear(), X[rows], Y[rows], shuffle=False).findings]
    assert names[0] == "sorted labels"


# ------------------------------------------------------------------ what the parts are called


def test_forward_and_backward_have_the_same_names_everywhere():
    """C22. Forward pass, loss, backward pass, update: in the text of a step, and in the graph that runs."""
    model = linear()
    text = str(model.explain(X[:1], Y[:1]))
    places = [text.index(f"\n{word}") for word in ("FORWARD", "LOSS", "BACKWARD", "UPDATE")]
    assert places == sorted(places)
    parts = [node.part for node in model.graph().nodes]
    assert {"forward", "backward"} < set(parts)


def test_testing_goes_forward_only():
    """C23. What runs for a prediction holds no backward pass: fewer kernels, no update, less memory."""
    model = deep()
    training, _ = model.plan(X, Y)
    testing, _ = model.plan(X)
    assert any(step.updates for step in training)
    assert not any(step.updates for step in testing)
    assert sum(step.flops for step in testing) < 0.5 * sum(step.flops for step in training)
    assert all(node.part != "backward" for node in model.graph(predict=True).nodes)
    budget = nacre.budget(model)
    assert budget.prediction.total < budget.training.total


def test_the_loss_is_an_error_made_a_number_for_each_row():
    """C24. Each row has a loss of its own; training minimizes their mean."""
    model = linear()
    each = losses.SparseCategoricalCrossentropy(reduction=None)(Y[:20], model.predict(X[:20]))
    assert np.allclose(each, -np.log(model.predict(X[:20])[np.arange(20), Y[:20]]), atol=1e-6)
    assert np.allclose(model.inside(X[:20], Y[:20]).losses, each, atol=1e-6)
    assert model.evaluate(X[:20], Y[:20], verbose=0)[0] == pytest.approx(np.mean(each), rel=1e-6)


def test_crossentropy_is_the_loss_of_softmax():
    """C25. Three ways to give the targets, one loss; a softmax is never applied twice without being told so."""
    p, y = np.array([[0.2, 0.7, 0.1], [0.5, 0.25, 0.25]]), np.array([0, 1])
    exact = -(math.log(0.2) + math.log(0.25)) / 2
    assert float(losses.sparse_categorical_crossentropy(y, p).numpy().mean()) == pytest.approx(exact, rel=1e-6)
    assert float(losses.CategoricalCrossentropy()(np.eye(3)[y], p)) == pytest.approx(exact, rel=1e-6)
    assert float(losses.SparseCategoricalCrossentropy(from_logits=True)(y, np.log(p))) == pytest.approx(exact, rel=1e-6)
    assert float(losses.BinaryCrossentropy()([[1.0]], [[0.2]])) == pytest.approx(-math.log(0.2), rel=1e-6)
    twice = linear()
    with pytest.warns(UserWarning, match="gives probabilities .softmax., .* leave out from_logits=True"):
        twice.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True))
    assert nacre.diagnose(twice, X[:300], Y[:300]).findings[0].name == "softmax applied twice"


def test_the_impact_of_a_weight_is_its_gradient():
    """C26. How much the loss changes with a weight: for each of the 650, and for functions of one's own."""
    model = linear()
    found = model.gradients(X, Y)
    error = model.predict(X) - np.eye(10)[Y]
    assert np.allclose(found["dense/kernel"], X.T @ error / len(X), atol=1e-6)
    assert np.allclose(found["dense/bias"], error.mean(0), atol=1e-6)
    assert float(nacre.grad(lambda v: v**3)(2.0)) == pytest.approx(12)


# ------------------------------------------------------------------ small steps


def test_stochastic_means_not_to_wait_for_all_rows():
    """C27. One batch of all rows is plain gradient descent; small batches take many steps on the same rows, and get further."""
    whole = linear()
    weights, gradients = whole.get_weights(), whole.gradients(X, Y)
    whole.fit(X, Y, batch_size=len(X), epochs=1, verbose=0)
    for before, gradient, after in zip(weights, gradients.values(), whole.get_weights(), strict=True):
        assert np.allclose(after, before - 0.5 * gradient, rtol=0, atol=1e-7)
    small = linear()
    small.fit(X, Y, batch_size=32, epochs=1, verbose=0)
    assert (whole.optimizer.iterations, small.optimizer.iterations) == (1, 45)
    assert small.evaluate(X, Y, verbose=0)[0] < 0.5 * whole.evaluate(X, Y, verbose=0)[0]


@pytest.mark.parametrize("way", ["shuffled", "in order", "as a stream", "resumed"])
def test_an_epoch_shows_each_row_exactly_once(way):
    """C28. Row i is all 0 but for its number i, so weight i moves only when row i is seen: 40 rows in batches of 16, 16 and 8."""
    model = nacre.Sequential([nacre.Input((40,)), layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(SGD(1.0), loss=lambda y_true, y_pred: y_pred + 0 * y_true)
    rows, targets = np.eye(40, dtype="float32"), np.zeros((40, 1), "float32")
    how = {"batch_size": 16, "verbose": 0, "shuffle": way != "in order"}
    before = np.zeros(40)
    for epoch in range(3):
        if way == "as a stream":
            model.fit([(rows[a : a + 16], targets[a : a + 16]) for a in (0, 16, 32)], verbose=0)
        elif way == "resumed":
            model.fit(rows, targets, **how, initial_epoch=epoch, epochs=epoch + 1)
        else:
            model.fit(rows, targets, **how)
        weights = model.get_weights()[0].ravel()
        moved, before = before - weights, weights
        sizes, counts = np.unique(moved.round(5), return_counts=True)
        assert np.allclose(sizes, [1 / 16, 1 / 8])  # the share of a row in its batch: seen once, none twice
        assert counts.tolist() == [32, 8]


def test_pictures_of_all_shapes_become_one_shape_by_a_rule_that_is_kept(tmp_path):
    """C29. Wide, high and square: each rule brings them to 8 x 8, and the model file keeps the rule."""
    paths = []
    for number, (width, height) in enumerate([(32, 16), (16, 32), (20, 20)]):
        paths.append(tmp_path / f"{number}.png")
        Image.new("L", (width, height), 200).save(paths[-1])
    for fit, lit in (("crop", [64, 64, 64]), ("stretch", [64, 64, 64]), ("pad", [32, 32, 64])):
        rule = Pictures(8, 8, "grey", fit, ["cat", "dog"])
        arrays, *_ = rule.inputs(paths)
        assert arrays.shape == (3, 8, 8, 1)
        assert [(picture > 100).sum() for picture in arrays] == lit  # padding is black
    model = nacre.Sequential([nacre.Input(rule.shape), layers.Flatten(), layers.Dense(2, "softmax")])
    model.features = rule
    model.save(tmp_path / "model")
    assert nacre.models.load_model(tmp_path / "model").features.get_config() == rule.get_config()


def test_outliers_push_hardest_and_can_be_held_back(rng):
    """C30. One wild row outweighs all others; it is on top of the list, and clipping or Huber's loss hold it back."""
    x = rng.normal(size=(200, 3)).astype("float32")
    y = (x @ [1.0, -2.0, 0.5]).astype("float32")
    y[77] = 1000
    model = line(SGD(0.1), inputs=3)
    hardest = nacre.insight.ledger(model, x, y, folds=0).hardest().top(20)
    assert hardest.row[0] == 77
    assert hardest.gradient_norm[0] > 50 * hardest.gradient_norm[1]
    norms = np.sqrt(sum(norm.astype(float) ** 2 for norm in model.inside(x, y).norms.values()))
    assert np.allclose(hardest.gradient_norm, np.sort(norms)[::-1][:20], rtol=1e-5)
    moved = {}
    for name, optimizer, loss in (
        ("plain", SGD(0.1), "mse"),
        ("clipped", SGD(0.1, global_clipnorm=1.0), "mse"),
        ("huber", SGD(0.1), losses.Huber(delta=1.0)),
    ):
        model = line(optimizer, loss, inputs=3)
        model.train_on_batch(x, y)
        moved[name] = np.sqrt(sum(np.sum(w**2) for w in model.get_weights()))
    assert moved["plain"] > 1
    assert moved["clipped"] == pytest.approx(0.1, rel=1e-5)  # rate x largest norm
    assert moved["huber"] < 0.3


def test_too_long_steps_jump_forever():
    """C31. On x^2 / 2, rates below 2 arrive, 2 jumps to and fro forever, above it gets worse; the doctor names it."""
    said = {rate: nacre.minimize(lambda x: x**2 / 2, 1.0, learning_rate=rate).status for rate in (0.5, 1.9, 2.0, 2.1)}
    assert said == {0.5: "converged", 1.9: "converged", 2.0: "cycles", 2.1: "diverges"}
    model = deep()
    model.compile(SGD(10.0), LABELS)
    assert nacre.diagnose(model, X[:300], Y[:300]).findings[0].name == "learning rate too large"


def test_training_stops_when_results_no_longer_improve():
    """C32. With rows of its own to watch by, training ends on the best weights, also when the epochs run out first."""
    train, watch = (X[:100], Y[:100]), (X[1000:], Y[1000:])
    for epochs, patience in ((200, 3), (30, 1000)):
        model = nacre.Sequential([nacre.Input((64,)), layers.Dense(64, "relu"), layers.Dense(10, "softmax")])
        model.compile(nacre.optimizers.Adam(0.02), LABELS)
        stop = callbacks.EarlyStopping(patience=patience)
        history = model.fit(*train, epochs=epochs, validation_data=watch, verbose=0, callbacks=[stop])
        seen = history.history["val_loss"]
        assert len(seen) == (stop.best_epoch + 1 + patience if patience == 3 else 30)
        assert seen[-1] > min(seen)
        assert model.evaluate(*watch, verbose=0) == pytest.approx(min(seen), rel=1e-6)


def test_the_learning_rate_multiplies_the_gradient():
    """C33. Half the rate is half the step; a rate that is changed on the way is obeyed, and recorded."""
    steps = {}
    for rate in (0.2, 0.1):
        model = linear(SGD(rate))
        before = model.get_weights()[0]
        model.train_on_batch(X, Y)
        steps[rate] = model.get_weights()[0] - before
    assert np.allclose(steps[0.2], 2 * steps[0.1], atol=1e-7)
    model = linear(SGD(0.2))
    halved = callbacks.LearningRateScheduler(lambda _epoch, rate: rate / 2)
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[halved])
    assert np.allclose(history.history["learning_rate"], [0.1, 0.05, 0.025])


def test_the_learning_rate_falls_over_time():
    """C34. Steps, powers, 1/t, cosine, warm-up, one cycle, drawn before training; or when results stand still."""
    falling = {
        schedules.PiecewiseConstantDecay([4], [0.4, 0.1]): [0.4, 0.4, 0.1],
        schedules.ExponentialDecay(0.4, decay_steps=4, decay_rate=0.5): [0.4, 0.2, 0.1],
        schedules.InverseTimeDecay(0.4, decay_steps=4, decay_rate=1.0): [0.4, 0.4 / 2, 0.4 / 3],
        schedules.CosineDecay(0.4, decay_steps=8): [0.4, 0.2, 0.0],
        schedules.CosineDecay(0.0, decay_steps=4, warmup_target=0.4, warmup_steps=4): [0.0, 0.4, 0.0],
    }
    for schedule, expected in falling.items():
        drawn = nacre.plots.schedule(schedule, steps=9).lines[0].get_ydata()
        assert np.allclose(drawn[[0, 4, 8]], expected, atol=1e-7), schedule
    cycle = nacre.plots.schedule(schedules.OneCycle(0.4, 10), steps=10).lines[0].get_ydata()
    assert cycle[0] < cycle.max() > cycle[-1]
    model = line(SGD(0.4))
    plateau = callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1)
    history = model.fit(np.ones((4, 1)), np.zeros(4), epochs=4, verbose=0, callbacks=[plateau])  # nothing is to learn
    assert np.allclose(history.history["learning_rate"], [0.4, 0.4, 0.2, 0.1])


# ------------------------------------------------------------------ over-fitting


def few_rows():
    """74,242 weights, and 120 rows that say little."""
    random = np.random.default_rng(1)
    y = np.arange(120) % 2
    x = random.normal(size=(120, 30)) + 0.3 * np.where(y, 1, -1)[:, None] * (np.arange(30) < 6)
    nacre.utils.set_random_seed(0)
    hidden = [layers.Dense(256, "relu"), layers.Dense(256, "relu")]
    model = nacre.Sequential([nacre.Input((30,)), *hidden, layers.Dense(2, "softmax")])
    model.compile("adam", LABELS)
    return model, x.astype("float32"), y


def test_with_enough_weights_a_network_learns_by_heart():
    """C35. Labels that say nothing are learned to the last one; on other rows the network guesses. Of too many weights for few
    rows, the doctor says from which epoch on it became worse."""
    found = labs.random_labels(X, Y, rows=200, seeds=2, validation_data=(X_TEST, Y_TEST))
    shuffled = found.rows[1]
    assert found.verdict.startswith("memorizes")
    assert shuffled["accuracy in training"]["mean"] >= 0.99
    assert shuffled["accuracy"]["mean"] == pytest.approx(found.figures["chance"], abs=0.05)
    finding = nacre.diagnose(*few_rows(), epochs=100).findings[0]
    assert (finding.name, finding.title) == ("over-fitting", "the validation was best in epoch 2")
    assert finding.numbers["weights for each row"] > 700


def test_dropout_makes_do_with_other_units_at_each_step():
    """C36. Each step drops other units, the same again for the same seed. A network that may not lean on any single unit, or has
    fewer weights, learns fewer wrong labels by heart; what the doctor advises is run before and after."""
    masks = []
    for _ in range(2):
        model = deep(units=64, dropout=0.5)
        for _ in range(2):
            inside = model.inside(X[:1], Y[:1], training=True)
            masks.append(inside["dropout"].output[0] > 0)
            model.train_on_batch(X[:1], Y[:1])
    assert not np.array_equal(masks[0], masks[1])
    assert np.array_equal(masks[:2], masks[2:])
    random = np.random.default_rng(0)
    noisy = np.where(random.random(400) < 0.2, random.integers(0, 10, 400), Y[:400])  # some labels are wrong
    learned, judged = {}, {}
    for units, rate in ((256, 0.0), (256, 0.5), (8, 0.0)):
        models = [deep(units, rate, seed) for seed in range(3)]
        for model in models:
            model.fit(X[:400], noisy, epochs=80, verbose=0)
        learned[units, rate] = np.mean([model.evaluate(X[:400], noisy, verbose=0)[1] for model in models])
        judged[units, rate] = np.mean([model.evaluate(X_TEST, Y_TEST, verbose=0)[1] for model in models])
    assert learned[256, 0.0] > learned[256, 0.5] > learned[8, 0.0]  # of the wrong labels, fewer are known by heart
    assert judged[256, 0.5] > judged[256, 0.0] + 0.02  # dropout helps on other rows; only 8 units are too few here
    assert judged[8, 0.0] < judged[256, 0.0]
    proof = nacre.diagnose(*few_rows(), epochs=100).fix()
    assert "Dropout" in proof.finding.fix.code
    assert proof.document()["after"]["log_loss"] < 0.5 * proof.document()["before"]["log_loss"]


# ------------------------------------------------------------------ calculus


def test_any_composition_has_a_gradient(rng):
    """C37. No special rule is needed: what is composed of operations is derived, and agrees with differences."""

    def f(w):
        hidden = ops.tanh(ops.matmul(x, w["first"]))
        return ops.mean(ops.log(1 + ops.exp(-ops.matmul(hidden, w["second"])))) + 0.1 * ops.sum(w["first"] ** 2)

    x = rng.normal(size=(6, 4))
    weights = {"first": rng.normal(size=(4, 3)), "second": rng.normal(size=(3, 1))}
    assert bool(nacre.gradcheck(f, weights))
    found = nacre.grad(f)(weights)["first"]
    h = 1e-6

    def at(change):
        w = weights["first"].copy()
        w[2, 1] += change
        hidden = np.tanh(x @ w)
        return np.log(1 + np.exp(-hidden @ weights["second"])).mean() + 0.1 * (w**2).sum()

    assert found[2, 1] == pytest.approx((at(h) - at(-h)) / (2 * h), rel=1e-6)


def test_a_formula_found_by_hand_is_compared_with_the_chain_rule():
    """C38. By hand, sigmoid has the derivative s (1 - s), right; and s, which is not."""
    z = np.linspace(-3, 3, 7)
    derived = np.asarray(nacre.grad(lambda v: ops.sum(ops.sigmoid(v)))(z))
    s = 1 / (1 + np.exp(-z))
    differences = (1 / (1 + np.exp(-(z + 1e-6))) - 1 / (1 + np.exp(-(z - 1e-6)))) / 2e-6
    assert np.allclose(derived, s * (1 - s), rtol=1e-12)
    assert np.allclose(derived, differences, rtol=1e-6)
    assert not np.allclose(derived, s, rtol=0.1)

    def sigmoid_with_slope_s(v):
        fixed, value = ops.stop_gradient(v), ops.stop_gradient(ops.sigmoid(v))
        return ops.sum(value + value * (v - fixed))  # the value of sigmoid, and the derivative that was found by hand

    assert not nacre.gradcheck(sigmoid_with_slope_s, z)


def test_the_loss_has_a_gradient_by_each_single_weight():
    """C39. The whole network as a function of one number among 650: its slope, checked by differences, and the loss along it."""
    model = linear()
    found = model.grad_of("dense/kernel[20, 7]", X, Y)
    error = (model.predict(X) - np.eye(10)[Y])[:, 7].astype(float)
    assert found.gradient == pytest.approx((X[:, 20] * error).mean(), rel=1e-4)
    assert found.error < 1  # of what is allowed between the chain rule and a difference
    assert found.difference == pytest.approx(found.gradient, rel=1e-5)

    drawn = nacre.plots.loss_along(model, "dense/kernel[20, 7]", X, Y)
    assert "slope" in drawn.get_title(loc="left")
    curve, tangent, now, after = (line.get_xydata() for line in drawn.lines)
    around = curve[np.abs(curve[:, 0] - now[0, 0]) < 0.03]  # close by, the curve is its tangent
    slope, _ = np.polyfit(*around.T, 1)
    assert slope == pytest.approx(found.gradient, rel=1e-2)
    assert (tangent[-1, 1] - tangent[0, 1]) / (tangent[-1, 0] - tangent[0, 0]) == pytest.approx(found.gradient)
    assert after[0, 0] == pytest.approx(now[0, 0] - 0.5 * found.gradient)  # a step at learning rate 0.5
    assert after[0, 1] < now[0, 1]


def test_an_update_is_rate_times_error_times_input():
    """C40. Not the loss is multiplied, as texts say loosely, but the error of the unit: rate x error x input."""
    model = linear(SGD(0.1))
    step = model.explain(X[:1], Y[:1])
    call = step.layer("dense")
    expected = -0.1 * np.outer(call.inputs[0][0], call.score_error[0])
    before = model.get_weights()[0]
    model.train_on_batch(X[:1], Y[:1])
    assert np.allclose(model.get_weights()[0] - before, expected, atol=1e-7)
    assert np.allclose(call.weights["kernel"].new, model.get_weights()[0], atol=1e-7)


def test_a_dense_unit_with_squared_error_is_linear_regression(rng):
    """C41. One Dense unit, trained on squared errors, is ordinary least squares."""
    x = rng.uniform(-1, 1, (100, 1))
    y = 2 * x[:, 0] - 1 + 0.3 * rng.normal(size=100)
    model = line()
    loss, weights = model.loss_function(x, y)
    found = nacre.minimize(loss, weights, method="lbfgs").x
    slope, intercept = np.polyfit(x[:, 0].astype("float32").astype(float), y.astype("float32").astype(float), 1)
    assert found["dense/kernel"].item() == pytest.approx(slope, abs=1e-6)
    assert found["dense/bias"].item() == pytest.approx(intercept, abs=1e-6)
    model.compile(SGD(0.5), "mse")  # and by plain steps, in float32
    model.fit(x, y, batch_size=100, epochs=300, verbose=0)
    assert model.get_weights()[0].item() == pytest.approx(slope, abs=1e-6)
    assert model.get_weights()[1].item() == pytest.approx(intercept, abs=1e-6)


def test_squared_errors_and_crossentropy_are_one_word_apart():
    """C42. The same network on the same rows: with crossentropy it learns faster."""
    curves = {}
    for loss in ("mse", "categorical_crossentropy"):
        nacre.utils.set_random_seed(0)
        model = nacre.Sequential([nacre.Input((64,)), layers.Dense(10, "softmax")])
        model.compile(SGD(0.5), loss, metrics=["accuracy"])
        curves[loss] = model.fit(X, np.eye(10)[Y], epochs=5, verbose=0).history["accuracy"]
    assert all(a < b for a, b in zip(curves["mse"], curves["categorical_crossentropy"], strict=True))


def test_a_line_divides_two_groups_by_least_squares_or_by_logistic_regression(rng):
    """C43. Two groups in the plane, and a straight line between: that of least squares, and that of crossentropy."""
    y = np.arange(200) % 2
    x = rng.normal(size=(200, 2)) + 4 * y[:, None]
    squares = line(inputs=2)
    squares.fit_lbfgs(x, 2.0 * y - 1)  # one group is -1, the other 1
    logistic = nacre.Sequential([nacre.Input((2,)), layers.Dense(1, "sigmoid")])
    logistic.compile("sgd", "binary_crossentropy")
    logistic.fit_lbfgs(x, y, steps=30)
    assert ((squares.predict(x)[:, 0] > 0) == y).mean() > 0.98
    assert ((logistic.predict(x)[:, 0] > 0.5) == y).mean() > 0.98
    exact = np.linalg.lstsq(np.column_stack([x, np.ones(200)]), 2.0 * y - 1, rcond=None)[0]
    assert np.allclose(np.concatenate(squares.get_weights(), axis=None), exact, atol=1e-5)
    drawn = nacre.plots.decision_boundary(logistic, x, y)
    colors = np.asarray(drawn.images[0].get_array())
    assert not np.allclose(colors[0, 0], colors[-1, -1])  # the corners lie on different sides


def test_errors_of_minus_5_and_plus_5_do_not_cancel_when_squared():
    """C44. Their mean is 0, as if all were right; mean squared error 25, its root 5, mean absolute error 5."""

    def mean_error(y_true, y_pred):
        return y_pred - y_true

    model = line()
    model.compile("sgd", "mse", metrics=[mean_error, "mse", "rmse", "mae"])
    found = model.evaluate(np.zeros((2, 1)), np.array([5.0, -5.0]), verbose=0, return_dict=True)
    assert found == {"loss": 25, "mean_error": 0, "mse": 25, "rmse": 5, "mae": 5}


def test_gradient_descent_ends_where_calculus_says(rng):
    """C45. The minimum of linear regression is known in closed form; the path downhill ends there, and can be drawn."""
    x = rng.uniform(-1, 1, 50)
    y = 2 * x - 1 + 0.2 * rng.normal(size=50)
    design = np.column_stack([x, np.ones(50)])
    exact = np.linalg.solve(design.T @ design, design.T @ y)  # where the gradient is 0

    def loss(v):
        return ops.mean((v[0] * x + v[1] - y) ** 2)

    found = nacre.minimize(loss, [0.0, 0.0])
    assert found.converged
    assert np.allclose(found.path[-1], exact, atol=1e-5)
    title = nacre.plots.level_sets(loss, found).get_title(loc="left")
    assert f"in {found.steps} steps to ({exact[0]:.4g}, {exact[1]:.4g})" in title


def test_the_whole_loop_is_shown_once_with_its_numbers(tmp_path):
    """C46. Random start, forward, loss, backward, update: one step, printed before the training, which repeats it until it is good
    enough."""
    text = command("train", "digits", "--model", "mlp:32", "--trace", "--seed", 1, "--quiet", "--out", tmp_path / "run")
    stages = ("START: weights by chance", "\nFORWARD", "\nLOSS", "\nBACKWARD", "\nUPDATE", "\ntest accuracy")
    places = [text.index(stage) for stage in stages]
    assert places == sorted(places)
    first = float(text[places[2] :].split(" = ")[1].split()[0])
    assert abs(first - math.log(10)) < 1.5  # of ten classes, each is as likely, about
    assert float(text[places[-1] :].split()[2]) > 0.95

    model = linear()  # the numbers of such a step, and that it is the one that is taken
    before = model.inside(X[3:4], Y[3:4]).losses[0]
    step = model.explain(X[3:4], Y[3:4]).blame("dense", most=1)[0]
    model.train_on_batch(X[3:4], Y[3:4])
    assert model.get_weights()[0][step.source, step.unit] == pytest.approx(step.weight.new, abs=1e-7)
    assert model.inside(X[3:4], Y[3:4]).losses[0] < before
    good = callbacks.TerminateOnTarget("accuracy", 0.95)
    assert model.fit(X, Y, epochs=100, verbose=0, callbacks=[good]).history["accuracy"][-1] >= 0.95
