"""The doctor's manners: what it leaves as it was, what it tells, scripts, and watching."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from battery import FAULTS, HEALTHY, digits, mlp, run

import nacre
from nacre.doctor import Finding, Watch, case_of, first_training, last_good_epoch
from nacre.errors import NotBuiltError, UsageError
from nacre.layers import Dense
from nacre.optimizers import SGD

PLANTED = {planted.name: planted for planted in [*FAULTS, *HEALTHY]}


def test_the_model_stays_as_it_was_and_the_same_call_finds_the_same() -> None:
    model, fit = PLANTED["forgotten_activation"].make()
    before = model.get_weights()
    first, second = nacre.diagnose(model, **fit), nacre.diagnose(model, **fit)
    assert str(first) == str(second)
    assert str(first.fix()) == str(second.fix())
    assert model.optimizer.iterations == 0
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_deep_sigmoids_report_the_factor_of_each_layer_and_its_bound() -> None:
    model, fit = PLANTED["deep_sigmoids"].make()
    (first, *_) = nacre.diagnose(model, **fit).findings
    links = [call for call in model.inside(fit["x"][:256], fit["y"][:256]).calls if isinstance(call.layer, Dense)]
    sizes = [np.sqrt((call.score_error.astype(float) ** 2).mean() * call.layer.units) for call in links]
    assert first.numbers["on average"] == pytest.approx((sizes[0] / sizes[-1]) ** (1 / 8), rel=0.1)
    assert first.numbers["sigmoid lets through at most"] == 0.25
    assert first.numbers["all of them at most"] == pytest.approx(0.25**8)
    assert len(first.numbers["factor of each layer"].split(", ")) == 8


def test_the_hidden_softmax_is_told_with_its_figures() -> None:
    model, fit = PLANTED["a_wide_softmax_inside"].make()
    told = str(nacre.diagnose(model, **fit))
    assert "vanishing gradient" in told
    assert "softmax" in told
    assert "mean activation of a unit             0.002" in told


def test_a_trained_model_that_failed_is_seen_from_its_beginning() -> None:
    model, fit = run(mlp(64, 64, kernel_initializer="zeros"), digits(), "adam", epochs=2)
    model.fit(**fit, verbose=0)
    assert nacre.diagnose(model, **fit).findings[0].name == "symmetric weights"


def test_the_history_of_the_training_itself_shows_over_fitting() -> None:
    x, y = digits()
    model, fit = run(mlp(64, 64), (x, y), "adam", epochs=10)
    epochs = np.arange(20)
    over = {"loss": (1 / (1 + epochs)).tolist(), "val_loss": (0.5 + 0.05 * (epochs - 4) ** 2).tolist()}
    names = [finding.name for finding in nacre.diagnose(model, **fit, history=over).findings]
    assert "over-fitting" not in names  # a short training shows no gap: the figures alone are not believed


def test_a_document_holds_what_is_told() -> None:
    model, fit = PLANTED["rate_far_too_large"].make()
    diagnosis = nacre.diagnose(model, **fit)
    (first, *_) = json.loads(json.dumps(diagnosis.document(), allow_nan=False))["findings"]
    assert first["name"] == "learning rate too large"
    assert first["alarm"]
    assert "learning_rate" in first["fix"]["code"]
    assert diagnosis.fix().document()["helped"]


def test_a_fix_that_is_not_there_is_refused_by_name() -> None:
    model, fit = PLANTED["digits_sgd"].make()
    with pytest.raises(UsageError, match="no finding 0 with a fix"):
        nacre.diagnose(model, **fit).fix()


def test_a_model_that_is_not_compiled_is_refused() -> None:
    with pytest.raises(NotBuiltError, match="compiled"):
        nacre.diagnose(nacre.Sequential([nacre.Input((64,)), Dense(10)]), *digits())


def test_a_fix_that_is_only_about_steps_goes_on_from_where_it_is_told() -> None:
    model, fit = PLANTED["rate_far_too_large"].make()
    diagnosis = nacre.diagnose(model, **fit)
    other = copy.deepcopy(model)
    other.optimizer.learning_rate = 0.1
    other.fit(**fit | {"epochs": 3}, verbose=0)
    other.optimizer.learning_rate = model.optimizer.learning_rate
    later = case_of(other, **fit)
    assert diagnosis.well(later)
    assert not diagnosis.well(diagnosis.case)
    proof = diagnosis.fix(epochs=1, start=later)
    of_epoch = -(-len(later) // later.batch_size)
    step = other.optimizer.iterations
    assert [trial.model.optimizer.iterations for trial in (proof.unfixed, proof.fixed)] == [step + of_epoch] * 2
    assert proof.fixed.begun == proof.unfixed.begun
    assert proof.helped
    assert other.optimizer.iterations == step


def test_too_few_epochs_are_compared_with_more() -> None:
    model, fit = PLANTED["one_epoch_of_few_rows"].make()
    proof = nacre.diagnose(model, **fit).fix()
    assert proof.finding.name == "too few epochs"
    assert proof.unfixed.ran == 1 < proof.fixed.ran
    assert proof.helped
    assert str(proof).splitlines()[1].endswith(", after 1 epoch")


def test_the_last_good_epoch_is_the_best_that_was_watched() -> None:
    finding = Finding("learning rate too large", "", 74, {}, "")
    falling = {"loss": [2.0, 1.0, 0.5, 9.0]}
    assert last_good_epoch(finding, falling) == 3
    assert last_good_epoch(finding, falling | {"val_loss": [2.0, 1.5, 1.6, 9.0]}) == 2
    assert last_good_epoch(finding, {"loss": [float("nan")] * 2}) == last_good_epoch(finding, {}) == 0
    assert last_good_epoch(replace(finding, name="over-fitting"), falling) == 0  # the loss alone does not show it


# ------------------------------------------------------------------ scripts


def test_a_script_is_run_up_to_its_training(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import numpy as np, nacre\n"
        "model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(2)])\n"
        "model.compile('sgd', 'mse')\n"
        "model.fit(np.ones((30, 4)), np.ones((30, 2)), 8, epochs=3)\n"
        "raise RuntimeError('the training is not carried out')\n"
    )
    model, arguments = first_training(script)
    assert model.optimizer.iterations == 0
    assert {name: arguments[name] for name in ("batch_size", "epochs")} == {"batch_size": 8, "epochs": 3}
    model.fit(arguments["x"], arguments["y"], verbose=0)  # is itself again
    assert model.optimizer.iterations == 1


def test_a_script_that_trains_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "nothing.py").write_text("x = 1\n")
    with pytest.raises(UsageError, match="trained nothing"):
        first_training(tmp_path / "nothing.py")
    with pytest.raises(UsageError, match="no script"):
        first_training(tmp_path / "missing.py")


# ------------------------------------------------------------------ watching


def test_watching_tells_each_thing_once_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def trained(callbacks: list[Watch]) -> nacre.Model:
        model, fit = run(mlp(64, *[32] * 8, activation="sigmoid"), digits(), SGD(0.1), epochs=4)
        model.fit(**fit, verbose=0, callbacks=callbacks)
        return model

    watch = Watch(every=10)
    for a, b in zip(trained([watch]).get_weights(), trained([]).get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    names = [finding.name for finding in watch.findings]
    assert names[:1] == ["vanishing gradient"]
    assert capsys.readouterr().err.count("vanishing gradient") == 1


def test_watching_a_healthy_run_is_quiet() -> None:
    model, fit = PLANTED["digits_validated"].make()
    watch = Watch(every=10)
    model.fit(**fit, verbose=0, callbacks=[watch])
    assert watch.findings == []


def test_watching_sees_over_fitting() -> None:
    model, fit = PLANTED["too_many_weights_for_few_rows"].make()
    watch = Watch(every=10, verbose=0)
    x, y = fit["x"], fit["y"]
    model.fit(x[:96], y[:96], validation_data=(x[96:], y[96:]), epochs=100, verbose=0, callbacks=[watch])
    assert "over-fitting" in [finding.name for finding in watch.findings]


def test_a_model_that_cannot_be_copied_is_refused_for_that_reason() -> None:
    model, fit = PLANTED["houses_line"].make()
    model.compile("sgd", lambda y_true, y_pred: nacre.ops.mean(nacre.ops.square(y_true - y_pred), axis=-1))
    with pytest.raises(UsageError, match="The doctor trains copies of the model, and this model cannot be copied"):
        nacre.diagnose(model, **fit)
