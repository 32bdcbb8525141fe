"""nacre doctor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import nacre
from nacre.cli import main
from nacre.models import load_model

STEPS = 45  # of an epoch of the digits


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def doctor(*arguments: str) -> str:
    found = invoke("doctor", *arguments, "-q")
    assert found.exit_code == 0, found.output
    return found.stdout


def trained(*words: str) -> None:
    invoke("train", *words, "--seed", "1", "-q")  # some break off: that is what the doctor is asked about


def fixed(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(doctor(*arguments, "--fix", "--json"))["fixed"]
    return found


def bits(model: Any) -> dict[str, bytes]:
    """Of weights and slots, by name."""
    return {name: np.array(array).tobytes() for name, array in model.snapshot()[1].items()}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# ------------------------------------------------------------------ data and scripts


def test_data_are_examined_as_nacre_train_would_take_them() -> None:
    found = json.loads(doctor("digits", "--epochs", "5", "--seed", "1", "--json"))
    assert [one["name"] for one in found["findings"] if one["alarm"]] == []
    deep = json.loads(doctor("digits", "--model", "mlp:32,32,32,32,32,32,32,32", "--activation", "sigmoid", "--json"))
    assert deep["findings"][0]["name"] == "vanishing gradient"


@pytest.mark.filterwarnings("ignore:.*gives scores:UserWarning")  # what compile says of the fault beforehand
def test_a_script_is_examined() -> None:
    Path("train.py").write_text(
        "import nacre\n"
        "(x, y), _ = nacre.datasets.digits.load_data()\n"
        "model = nacre.Sequential([nacre.Input((8, 8)), nacre.layers.Flatten(), nacre.layers.Dense(10)])\n"
        "model.compile('adam', 'sparse_categorical_crossentropy')\n"
        "model.fit(x / x.max(), y, epochs=2)\n"
    )
    assert "1. wrong loss for the output" in doctor("train.py")


def test_of_data_the_better_model_is_kept_as_a_file() -> None:
    found = fixed("digits", "--learning-rate", "30", "--epochs", "2", "--out", "better.safetensors")
    assert found["model"] == "better.safetensors"
    assert load_model("better.safetensors").optimizer.learning_rate < 30
    assert "run" not in found


def test_of_a_large_folder_rows_from_all_over_are_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nacre.data.folders._SAMPLE", 3 * 600)  # as if it were larger than the memory
    random = np.random.default_rng(0)
    Path("shards").mkdir()
    for k in range(3):
        a, b = random.normal(size=(2, 800))
        table = pd.DataFrame({"a": a, "b": b, "paid": np.where(a + b > 0, "yes", "no")})
        table.to_parquet(f"shards/{k}.parquet", row_group_size=100)
    told = doctor("shards", "--target", "paid")
    rows = 2400 - 180  # of 600 that were looked at, 15 % each are held out
    assert told.startswith(f"These are 420 of {rows:,} rows to train on, from all over.")
    assert "Nothing is wrong" in told
    trained(
        "shards", "--target", "paid", "--optimizer", "sgd", "--learning-rate", "300", "--epochs", "3", "--out", "run"
    )
    found = fixed("run")
    assert (found["finding"], found["step"], found["repeats"]) == ("learning rate too large", 0, False)
    assert found["rows"] == 420
    assert found["after"]["accuracy"] > 0.9 > found["before"]["accuracy"]


# ------------------------------------------------------------------ a run, forked


def test_a_run_that_blew_up_is_forked_where_its_loss_was_lowest() -> None:
    trained("digits", "--epochs", "6", "--out", "good")
    blown = invoke("fork", "good", "--at", str(3 * STEPS), "--learning-rate", "30", "--out", "blown", "-q")
    assert blown.exit_code == 0, blown.output
    run = nacre.Run.open("blown")
    assert max(run.figures["loss"][:3]) < 2 < min(run.figures["loss"][3:])
    found = fixed("blown", "--out", "mended")
    assert (found["finding"], found["step"], found["epoch"]) == ("learning rate too large", 3 * STEPS, 3)
    assert (found["weights"], found["repeats"], found["run"]) == ("kept", True, "mended")
    assert found["judged_on"] == "the test part"
    assert found["helped"]
    assert found["after"]["accuracy"] > 0.9 > 0.2 > found["before"]["accuracy"]
    mended = nacre.Run.open("mended")
    assert mended.figures["loss"][:3] == run.figures["loss"][:3]
    assert max(mended.figures["loss"][3:]) < 0.5
    assert bits(mended.at(3 * STEPS)) == bits(run.at(3 * STEPS))
    last = STEPS * len(mended.figures["loss"])
    assert bits(mended.at(last)) == bits(load_model(mended.model))  # run.toml repeats what was kept
    shown = json.loads(invoke("compare", "blown", "mended", "--json").stdout)
    assert {"learning_rate", "fix of"} <= set(shown["differing"])
    assert invoke("evaluate", "mended", "digits").exit_code == 0
    assert "history" in invoke("plot", "mended", "--what", "history").stdout


def test_a_run_that_broke_at_once_begins_anew_with_its_own_weights() -> None:
    trained("digits", "--learning-rate", "30", "--epochs", "2", "--out", "run")
    told = doctor("run", "--fix")
    assert "1. learning rate too large: 30 is too large" in told
    assert "it helped" in told
    assert "from the beginning: the run never went well, not even at its best" in told
    (folder,) = Path.cwd().glob("fix-*-001")  # beside the run
    kept = nacre.Run.open(folder)
    assert bits(kept.at(0)) == bits(nacre.Run.open("run").at(0))
    assert load_model(kept.model).optimizer.learning_rate < 30


def test_over_fitting_is_mended_from_the_best_epoch_on() -> None:
    (x, y), _ = nacre.datasets.digits.load_data()
    random = np.random.default_rng(0)
    x, y = (x[:220] / 16).astype("float32"), y[:220].copy()
    wrong = random.random(220) < 0.3  # which invites learning by heart
    y[wrong] = random.integers(0, 10, int(wrong.sum()))
    np.savez("few.npz", x=x, y=y)
    options = ["--optimizer", "adam", "--learning-rate", "0.003", "--epochs", "40", "--validation-split", "0.3"]
    trained("few.npz", *options, "--out", "run")
    watched = nacre.Run.open("run").figures["val_loss"]
    found = fixed("run", "--out", "mended")
    assert (found["finding"], found["epoch"]) == ("over-fitting", int(np.argmin(watched)) + 1)
    assert found["after"]["log_loss"] < found["before"]["log_loss"]
    mended = nacre.Run.open("mended")
    assert mended.settings()["options"]["dropout"] == 0.4
    assert mended.figures["val_loss"][: found["epoch"]] == watched[: found["epoch"]]
    assert found["after"]["epochs"] == len(mended.figures["val_loss"]) - found["epoch"] < found["epochs"]  # stopped
    mended.at(found["step"] + 5)  # goes the same way again


def test_the_branch_without_the_fix_is_the_run_itself() -> None:
    from nacre.cli.fixes import fork_of, try_fix
    from nacre.cli.moments import terms
    from nacre.cli.networks import network
    from nacre.cli.settings import Settings
    from nacre.cli.sources import open_training

    options = ["--model", "mlp:64,64,64", "--learning-rate", "0.2", "--momentum", "0.9", "--validation-split", "0.2"]
    trained("digits", *options, "--epochs", "8", "--out", "run")
    run = nacre.Run.open("run")
    settings = Settings.of(run.settings())
    source = open_training(settings)
    diagnosis = nacre.diagnose(network(settings, source), **terms(settings, source), history=run.figures)
    fork = fork_of(diagnosis, run, settings, source, sampled=False)
    assert fork.step == 2 * 36
    assert bits(fork.case.model) == bits(run.at(fork.step))
    proof = try_fix(diagnosis, fork)
    assert proof.unfixed.epochs["loss"][:6] == run.figures["loss"][2:]
    assert proof.unfixed.epochs["val_loss"][:6] == run.figures["val_loss"][2:]
    assert proof.helped


def test_a_fix_of_the_network_begins_with_fresh_weights_and_says_why() -> None:
    deep = ["--model", "mlp:32,32,32,32,32,32,32,32", "--activation", "sigmoid"]
    trained("digits", *deep, "--epochs", "2", "--out", "run")
    told = doctor("run", "--fix", "--out", "mended")
    assert "from the beginning, with fresh weights: the fix changes the network" in told
    assert (
        json.loads(invoke("compare", "run", "mended", "--json").stdout)["runs"]["mended"]["figures"]["accuracy"] > 0.8
    )
    options = nacre.Run.open("mended").settings()["options"]
    assert (options["activation"], options["kernel_initializer"]) == ("relu", "he_normal")
    again = invoke("train", "--config", "mended/run.toml", "--out", "again", "-q")
    assert again.exit_code == 0, again.output
    assert bits(load_model("again/model.safetensors")) == bits(load_model("mended/model.safetensors"))


def test_a_fix_that_no_options_say_is_kept_and_not_repeated() -> None:
    """One of two layers, which nacre train makes alike."""
    trained("digits", "--model", "mlp:32,32", "--activation", "softmax", "--epochs", "2", "--out", "run")
    found = fixed("run", "--out", "mended")
    assert (found["helped"], found["repeats"]) == (True, False)
    for words in (
        ("at", "mended", "3", "--out", "model"),
        ("fork", "mended", "--at", "3"),
        ("train", "--config", "mended/run.toml", "--out", "again"),
        ("doctor", "mended"),
    ):
        with pytest.raises(nacre.errors.UsageError, match="no options of nacre train say"):
            CliRunner().invoke(main.commands[words[0]], words[1:], catch_exceptions=False)
    assert json.loads(invoke("resume", "mended", "--json", "-q").stdout)["accuracy"] > 0.2  # is over: only judged


def test_inputs_out_of_scale_are_mended_by_a_layer_that_the_model_keeps() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 5)).astype("float32")
    np.savez("large.npz", x=1000 * x, y=x[:, :2].argmax(axis=1))
    trained("large.npz", "--epochs", "10", "--out", "run")
    found = fixed("run", "--out", "mended")
    assert (found["finding"], found["step"], found["weights"]) == ("unscaled inputs", 0, "fresh")
    assert found["judged_on"] == "the validation part"  # the run held none out: a fifth is now
    assert json.loads(invoke("evaluate", "mended", "large.npz", "--json").stdout)["accuracy"] > 0.9


def test_what_cannot_be_done_is_refused() -> None:
    trained("digits", "--epochs", "1", "--out", "run")
    for words, said in (
        (["run", "--out", "x"], "--out is for what --fix gives"),
        (["run", "--fix", "--epochs", "3"], "leave out what changes it"),
        (["run", "--fix", "--out", "run"], "a folder that is not empty"),
    ):
        with pytest.raises(nacre.errors.UsageError, match=said):
            CliRunner().invoke(main.commands["doctor"], words, catch_exceptions=False)


def test_what_is_broken_off_leaves_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    trained("digits", "--learning-rate", "30", "--epochs", "2", "--out", "run")

    def broken(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nacre.cli.fixes.write_report", broken)
    invoke("doctor", "run", "--fix", "-q")
    assert [path.name for path in Path.cwd().iterdir()] == ["run"]
