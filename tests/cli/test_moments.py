"""Any step of a run comes back, to the bit, and another run may begin there."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import nacre
from nacre.callbacks import Callback, EarlyStopping
from nacre.cli import main
from nacre.cli.moments import terms
from nacre.cli.networks import network
from nacre.cli.settings import Settings
from nacre.cli.sources import open_training
from nacre.errors import DataError, UsageError
from nacre.models import load_model
from nacre.ops import set_random_seed
from nacre.ops.random import next_seed
from nacre.progress import shown_by

Array = np.ndarray[Any, Any]
ARRAYS = [
    "arrays.npz",
    "--model",
    "mlp:6",
    "--dropout",
    "0.3",
    "--batch-size",
    "16",
    "--epochs",
    "4",
    "--momentum",
    "0.9",
]
TABLE = ["table.csv", "--target", "price", "--model", "mlp:6", "--dropout", "0.2", "--epochs", "6", "--patience", "2"]
AVERAGED = ["arrays.npz", "--model", "mlp:6", "--average", "0.8", "--epochs", "4", "--batch-size", "16"]
STEPS = 7  # of an epoch of the arrays


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    x = random.standard_normal((107, 5)).astype("float32")
    np.savez("arrays.npz", x=x, y=x[:, :3].argmax(-1))
    rows = [f"{n % 17},{'ab'[n % 2]}{n % 5},{n % 17 * 3.5 + n % 5 + random.standard_normal():.3f}" for n in range(150)]
    Path("table.csv").write_text("\n".join(["rooms,zip,price", *rows]))


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def made(*words: str, folder: str = "run") -> nacre.Run:
    result = invoke("train", *words, "--seed", "3", "--out", folder, "-q")
    assert result.exit_code == 0, result.output
    return nacre.Run.open(folder)


def bits(model: Any) -> dict[str, bytes]:
    """Of weights and slots, by name."""
    return {name: np.array(array).tobytes() for name, array in model.snapshot()[1].items()}


class Watcher(Callback):
    """What the model is after each step; it may be told to change the learning rate after one of them."""

    def __init__(self, change: tuple[int, float] | None = None) -> None:
        self.change, self.seen = change, dict[int, dict[str, bytes]]()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = self.model.optimizer.iterations
        self.seen[step] = bits(self.model)
        if self.change is not None and step == self.change[0]:
            self.model.optimizer.learning_rate = self.change[1]


def watched(run: nacre.Run, change: tuple[int, float] | None = None) -> Watcher:
    """The training of a run by hand, seen step by step."""
    settings = Settings.of(run.settings())
    source = open_training(settings)
    nacre.utils.set_random_seed(settings.seed)
    model, watcher = network(settings, source), Watcher(change)
    stop = [EarlyStopping(patience=settings.patience)] if settings.patience else []
    model.fit(**terms(settings, source), verbose=0, callbacks=[watcher, *stop])
    return watcher


@pytest.mark.parametrize("words", [ARRAYS, TABLE, AVERAGED], ids=["arrays", "table", "averaged"])
@pytest.mark.parametrize("keep", [(), ("--keep", "5")], ids=["from the beginning", "from checkpoints"])
def test_any_step_is_what_a_callback_sees_there(words: list[str], keep: tuple[str, ...]) -> None:
    run = made(*words, *keep)
    seen = watched(run).seen
    last = max(seen)
    assert load_model(run.model).optimizer.iterations == last
    for step in (1, 5, STEPS, 2 * STEPS + 3, last):
        model = run.at(step)
        assert bits(model) == seen[step], step
        assert model.optimizer.iterations == step
    assert sorted(int(path.stem[5:]) for path in run.steps.glob("*")) == (list(range(5, last + 1, 5)) if keep else [])


def test_step_0_is_the_model_before_training() -> None:
    run = made(*ARRAYS)
    settings = Settings.of(run.settings())
    nacre.utils.set_random_seed(settings.seed)
    first = network(settings, open_training(settings)).get_weights()
    assert all((a == b).all() for a, b in zip(run.at(0).get_weights(), first, strict=True))


def test_the_last_step_is_the_model_of_the_run_and_trains_on_alike() -> None:
    run = made(*ARRAYS)
    x, y = (np.load("arrays.npz")[name] for name in "xy")
    models = run.at(4 * STEPS), load_model(run.model)
    assert bits(models[0]) == bits(models[1])
    for model in models:
        model.fit(x, y, batch_size=16, verbose=0)
    assert bits(models[0]) == bits(models[1])


@pytest.mark.parametrize("step", [-1, 4 * STEPS + 1, 10**9, 2.5, True])
def test_a_step_that_the_run_does_not_have_is_refused_with_the_last_one(step: Any) -> None:
    with pytest.raises(UsageError, match=r"0 to 28, got"):
        made(*ARRAYS).at(step)


def test_a_run_without_a_model_is_refused() -> None:
    run = made(*ARRAYS)
    run.model.unlink()
    with pytest.raises(UsageError, match="no model yet"):
        run.at(3)


def test_other_data_are_noticed_by_the_figures_or_by_the_checkpoint() -> None:
    runs = made(*ARRAYS), made(*ARRAYS, "--keep", "10", folder="kept")
    data = dict(np.load("arrays.npz"))
    data["x"][50, 2] += 0.5
    np.savez("arrays.npz", **data)
    with pytest.raises(DataError, match="went another way"):
        runs[0].at(2 * STEPS)
    with pytest.raises(UsageError, match="of another training"):
        runs[1].at(2 * STEPS)


def test_a_damaged_checkpoint_is_gone_around() -> None:
    run = made(*ARRAYS, "--keep", "5")
    expected = bits(run.at(13))
    (run.steps / "step-000000000010.safetensors").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="going on from the one before"):
        assert bits(run.at(13)) == expected


def test_looking_back_leaves_what_is_random_as_it_was() -> None:
    run = made(*ARRAYS)
    drawn = []
    for look in (False, True):
        set_random_seed(5)
        if look:
            run.at(13)
        drawn.append((next_seed(), np.random.random(), random.random()))
    assert drawn[0] == drawn[1]


def test_kept_checkpoints_change_nothing() -> None:
    models = [load_model(made(*ARRAYS, *keep, folder=f"run{n}").model) for n, keep in enumerate([(), ("--keep", "3")])]
    assert bits(models[0]) == bits(models[1])


def test_the_command_writes_the_model_and_tells_where_it_is() -> None:
    made(*ARRAYS)
    result = invoke("at", "run", "17", "--out", "then.safetensors", "--json", "-q")
    found = json.loads(result.stdout)
    assert (found["step"], found["last_step"], found["epoch"], found["batch"]) == (17, 28, 3, 3)
    assert bits(load_model("then.safetensors")) == bits(nacre.Run.open("run").at(17))
    assert "epoch  1, batch 7 of 7" in invoke("at", "run", "7", "--out", "seven", "-q").stdout
    assert invoke("at", "run", "7", "--out", "seven").exit_code == 2
    assert invoke("at", "run", "29", "--out", "beyond").exit_code == 2
    missing = invoke("at", "run", "7", "--out", "nowhere/seven")
    assert (missing.exit_code, "there is no folder nowhere" in missing.stderr) == (2, True)
    assert "Repeating" not in missing.stderr  # it is said before the training is repeated
    assert not Path("beyond").exists()


def fork(*words: str, run: str = "run", out: str = "fork") -> nacre.Run:
    result = invoke("fork", run, *words, "--out", out, "-q")
    assert result.exit_code == 0, result.output
    return nacre.Run.open(out)


@pytest.mark.parametrize("words", [ARRAYS, TABLE, AVERAGED], ids=["arrays", "table", "averaged"])
def test_a_fork_with_nothing_changed_comes_to_the_same_end(words: list[str]) -> None:
    run = made(*words)
    for step in (0, 10):
        other = fork("--at", str(step), out=f"fork{step}")
        assert bits(load_model(other.model)) == bits(load_model(run.model))
        assert other.figures == run.figures


def test_a_fork_is_the_training_whose_learning_rate_changes_at_that_step() -> None:
    run = made(*ARRAYS)
    seen = watched(run, change=(10, 0.01)).seen
    other = fork("--at", "10", "--learning-rate", "0.01")
    assert load_model(other.model).optimizer.learning_rate == pytest.approx(0.01)
    assert bits(load_model(other.model)) == seen[28] != bits(load_model(run.model))
    assert bits(other.at(19)) == seen[19]
    assert bits(other.at(9)) == seen[9] == bits(run.at(9))


def test_a_fork_is_repeated_by_its_run_toml_and_goes_on_after_a_kill() -> None:
    made(*ARRAYS)
    first = fork("--at", "10", "--dropout", "0", "--epochs", "6")
    second = fork("--at", "20", "--learning-rate", "0.02", run="fork", out="second")
    assert [one["until"] for one in second.settings()["before"]] == [10, 20]
    assert load_model(second.model).optimizer.iterations == 6 * STEPS
    early = fork("--at", "6", "--learning-rate", "0.02", run="fork", out="early")
    assert [one["until"] for one in early.settings()["before"]] == [6]
    for name, run in (("fork", first), ("second", second)):
        Path(f"{name} killed").mkdir()
        shutil.copy(run.folder / "run.toml", f"{name} killed")
        assert invoke("resume", f"{name} killed", "-q").exit_code == 0
        assert invoke("train", "--config", f"{name}/run.toml", "--out", f"{name} again", "-q").exit_code == 0
        for again in (f"{name} killed", f"{name} again"):
            assert bits(load_model(f"{again}/model.safetensors")) == bits(load_model(run.model))
    assert bits(load_model(second.model)) != bits(load_model(first.model))


def test_a_fork_is_compared_with_its_run() -> None:
    made(*ARRAYS)
    fork("--at", "10", "--learning-rate", "0.01")
    lines = invoke("compare", "run", "fork").stdout.splitlines()
    assert [line.split() for line in lines[1:3]] == [["learning_rate", "0.1", "0.01"], ["forked", "at", "step", "10"]]


def test_a_fork_that_has_nothing_left_to_train_is_refused() -> None:
    made(*ARRAYS)
    result = invoke("fork", "run", "--at", "28", "--out", "fork")
    assert result.exit_code == 2
    assert "nothing is left of 4 epochs" in result.stderr
    assert not Path("fork").exists()


def test_settings_of_a_fork_that_are_none_are_refused() -> None:
    run = made(*ARRAYS)
    run.note(run.settings() | {"before": [{"until": "soon"}]})
    with pytest.raises(UsageError, match="no settings of nacre fork"):
        run.at(3)
    run.note({name: value for name, value in run.settings().items() if name != "before"} | {"keep": 0})
    run.report.unlink()
    assert "from 1 on, got 0" in invoke("resume", "run", "-q").stderr


def test_people_see_how_far_the_repeating_is_unless_they_want_quiet() -> None:
    made(*ARRAYS)
    seen: list[tuple[str, int, int, str]] = []
    with shown_by(lambda *told: seen.append(told)):
        nacre.Run.open("run").at(20)
    assert seen == [("Steps", step, 20, "steps") for step in range(1, 21)]
    said = "Repeating the training up to step 10"
    for words in (["at", "run", "10", "--out", "model"], ["fork", "run", "--at", "10", "--out", "forked"]):
        assert said in invoke(*words).stderr
        shutil.rmtree("forked", ignore_errors=True)
        Path("model").unlink(missing_ok=True)
        assert said not in invoke(*words, "-q").stderr
    assert "Repeating" not in invoke("at", "run", "0", "--out", "first").stderr  # nothing is to be repeated
