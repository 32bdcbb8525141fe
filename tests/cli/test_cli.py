"""The commands: what they print, where, and how they end."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import nacre
from nacre.cli import COMMANDS, main
from nacre.cli.shell import Shell
from nacre.cli.sources import count_classes, open_data, scale_of
from nacre.cli.train import settings_for
from nacre.data import Dataset
from nacre.errors import DataError, UnknownName
from nacre.files import read_toml


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NACRE_DEBUG", raising=False)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def blobs(tmp_path: Path) -> str:
    """Three well-separated classes, with a test part."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = (np.eye(3)[y] * 4 + rng.normal(size=(120, 3)) * 0.3).astype("float32")
    np.savez(tmp_path / "blobs.npz", x_train=x[:90], y_train=y[:90], x_test=x[90:], y_test=y[90:])
    return "blobs.npz"


@pytest.fixture
def model(blobs: str) -> str:
    """A run folder with a trained model."""
    assert invoke("train", blobs, "--out", "run", "--seed", "1", "-q").exit_code == 0
    return "run"


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def document(*words: str) -> Any:
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def shell(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nacre", *words]
    return subprocess.run(
        command, capture_output=True, text=True, env=os.environ | environment, timeout=60, check=False
    )


# ------------------------------------------------------------------ help, names, exit codes


def test_help_lists_every_command_with_its_purpose() -> None:
    text = invoke("-h").stdout
    assert all(f"  {command.name} " in text for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_says_what_it_does_and_gives_examples(command: Any) -> None:
    result = invoke(command.name, "--help")
    assert result.exit_code == 0
    assert re.search(
        rf"Examples:\n +nacre .*\b{command.name}\b|Examples:\n(?: +nacre .*\n)* +nacre {command.name}\b", result.stdout
    )


def examples() -> list[str]:
    texts = [command.help or "" for command in COMMANDS] + [main.help or ""]
    return [line.strip() for text in texts for line in text.splitlines() if line.strip().startswith("nacre ")]


def test_the_examples_in_the_help_work() -> None:
    rows = [f"{20 + n % 40},{'ab'[n % 2]},{'yes' if n % 40 > 15 else 'no'}" for n in range(200)]
    Path("people.csv").write_text("\n".join(["age,zip,income", *rows]))
    for label in "ab":
        Path("pets", label).mkdir(parents=True)
        for n in range(8):
            Image.new("RGB", (9, 9), (n, 9 * n, 0)).save(Path("pets", label, f"{n}.png"))
    rows = [f"{n % 17},{'ab'[n % 2]}{n % 5},{n % 17 * 3.5 + n % 5}" for n in range(200)]
    Path("houses.csv").write_text("\n".join(["rooms,zip,price", *rows]))
    for line in dict.fromkeys(examples()):
        words = shlex.split(re.split(r" \|| >", line)[0])[1:]
        if (
            "mnist" in words
            or words[0]
            in (
                "serve",
                "studio",
                "launch",
            )
        ):  # it may have to be downloaded; they go on until they are stopped; it has other machines, or is tried with the backends
            continue
        result = invoke(*words)
        in_the_way = "--out" in words and "not empty" in result.stderr  # examples share the folder my-run
        assert result.exit_code == 0 or in_the_way, (line, result.output)


def test_module_and_version_show_the_name_of_the_program() -> None:
    result = shell("--version")
    assert (result.returncode, result.stdout) == (0, f"nacre, version {nacre.__version__}\n")
    assert shell("nonsense").stderr.startswith("Usage: nacre ")


def test_unknown_command_and_option_exit_with_2_and_a_suggestion() -> None:
    for words, near in ((["trainx"], "train"), (["train", "digits", "--epoch", "1"], "--epochs")):
        result = invoke(*words)
        assert result.exit_code == 2
        assert near in result.stderr
        assert result.stdout == ""


def test_a_mistake_is_told_on_stderr_without_a_traceback_and_exits_with_2() -> None:
    result = shell("train", "dogits")
    assert (result.returncode, result.stdout) == (2, "")
    assert (
        result.stderr
        == "error: There is no data set, file or folder called 'dogits'.\n  try:  did you mean 'digits'?\n"
    )


def test_nacre_debug_shows_the_traceback() -> None:
    assert "Traceback" in shell("train", "dogits", NACRE_DEBUG="1").stderr


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DataError("no rows"), 2, "error: no rows\n"),
        (FileNotFoundError(2, "No such file or directory", "a.npz"), 2, "error: a.npz: No such file or directory.\n"),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
        (RuntimeError("oh"), 1, "error: RuntimeError: oh\n  try:  set NACRE_DEBUG=1 to see where it happened\n"),
    ],
    ids=["mistake", "missing file", "Ctrl-C", "failure"],
)
def test_how_a_command_ends_depends_on_what_it_raised(error: BaseException, code: int, said: str) -> None:
    group = Shell("nacre")

    @group.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(group, ["fail"])
    assert (result.exit_code, result.stderr, result.stdout) == (code, said, "")


def test_a_closed_pipe_leaves_no_traceback(model: str) -> None:
    np.save("many.npy", np.zeros((20000, 3), "float32"))  # more than a pipe holds
    command = [sys.executable, "-m", "nacre", "predict", model, "many.npy"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"prediction,")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


# ------------------------------------------------------------------ train


def test_train_prints_figures_on_stdout_and_progress_on_stderr(blobs: str) -> None:
    result = shell("train", blobs, "--epochs", "3")
    assert result.returncode == 0
    assert "test accuracy" in result.stdout
    assert "Epoch" not in result.stdout
    assert result.stderr.count("Epoch") == 3


def test_quiet_training_says_nothing_on_stderr(blobs: str) -> None:
    result = invoke("train", blobs, "--epochs", "2", "-q")
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_trace_is_the_step_from_the_first_weights_and_changes_nothing(blobs: str) -> None:
    words = ("train", blobs, "--epochs", "2", "--seed", "3", "--quiet", "--out")
    plain = invoke(*words, "plain")
    traced = invoke(*words, "traced", "--trace")
    assert (plain.exit_code, traced.exit_code) == (0, 0)
    assert Path("plain", "model.safetensors").read_bytes() == Path("traced", "model.safetensors").read_bytes()
    begin = traced.stdout.splitlines()[0]
    assert begin == "START: weights by chance, seed 3"
    places = [traced.stdout.index(f"\n{stage}") for stage in ("FORWARD", "LOSS", "BACKWARD", "UPDATE", "test loss")]
    assert places == sorted(places)
    found = json.loads(invoke(*words, "again", "--trace", "--json").stdout)
    assert f"{found['trace']['rows'][0]['loss']:.6g}" in traced.stdout[places[1] : places[2]]
    assert abs(found["trace"]["rows"][0]["loss"] - np.log(3)) < 1.5  # nothing is known of three classes


def test_train_learns_digits_with_its_own_settings() -> None:
    figures = document("train", "digits", "--seed", "3", "--json", "-q")
    assert figures["judged_on"] == "test"
    assert figures["accuracy"] >= 0.97


def test_train_builds_the_network_that_is_asked_for(blobs: str) -> None:
    assert (
        invoke(
            "train", blobs, "--model", "mlp:7,5", "--dropout", "0.5", "--activation", "tanh", "--out", "run", "-q"
        ).exit_code
        == 0
    )
    model = nacre.models.load_model("run/model.safetensors")
    assert [w.shape for w in model.weights] == [(3, 7), (7,), (7, 5), (5,), (5, 3), (3,)]
    assert sum(isinstance(layer, nacre.layers.Dropout) for layer in model.layers) == 2


def test_mlp_none_is_one_layer(blobs: str) -> None:
    assert invoke("train", blobs, "--model", "mlp:none", "--out", "run", "-q").exit_code == 0
    assert [w.shape for w in nacre.models.load_model("run/model.safetensors").weights] == [(3, 3), (3,)]


def test_runs_are_numbered_and_none_is_overwritten(blobs: str) -> None:
    folders = [document("train", blobs, "--epochs", "1", "--json", "-q")["run"] for _ in range(2)]
    assert [folder[-4:] for folder in folders] == ["-001", "-002"]
    assert all(
        sorted(os.listdir(f)) == ["history.jsonl", "model.safetensors", "report.html", "run.toml"] for f in folders
    )


def test_the_command_in_run_toml_gives_the_same_bits(blobs: str) -> None:
    assert invoke("train", blobs, "--dropout", "0.2", "--epochs", "3", "--out", "first", "-q").exit_code == 0
    command = shlex.split(read_toml(Path("first/run.toml"))["command"])
    assert invoke(*command[1:], "--out", "second", "-q").exit_code == 0
    for name in ("model.safetensors", "history.jsonl"):
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes()


def test_a_device_is_chosen_and_kept(blobs: str) -> None:
    for out, device in (("here", "native"), ("there", "xla:cpu")):
        words = ["--model", "mlp:none", "--epochs", "2", "--seed", "3", "--device", device, "--out", out]
        assert invoke("train", blobs, *words, "-q").exit_code == 0
        assert read_toml(Path(out, "run.toml"))["options"]["device"] == device
        assert ["device", device] in [line.split() for line in invoke("summary", out).stdout.splitlines()]
    here, there = (nacre.models.load_model(f"{out}/model.safetensors").get_weights() for out in ("here", "there"))
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_seeds_differ_when_none_is_given(blobs: str) -> None:
    seeds = {document("train", blobs, "--epochs", "1", "--json", "-q")["seed"] for _ in range(3)}
    assert len(seeds) == 3


def test_history_has_a_line_per_epoch_with_validation(blobs: str) -> None:
    assert invoke("train", blobs, "--epochs", "4", "--validation-split", "0.2", "--out", "run", "-q").exit_code == 0
    lines = [json.loads(line) for line in Path("run/history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3]
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(lines[0])


def test_without_a_test_part_the_validation_part_judges() -> None:
    np.savez("one.npz", x=np.eye(4, dtype="float32").repeat(10, axis=0), y=np.arange(4).repeat(10))
    assert document("train", "one.npz", "--validation-split", "0.25", "--json", "-q")["judged_on"] == "validation"
    assert document("train", "one.npz", "--json", "-q")["judged_on"] == "training"


@pytest.mark.parametrize(
    "words",
    [
        ["--model", "mlp:10,x"],
        ["--model", "mlp:0"],
        ["--activation", "rellu"],
        ["--dropout", "1.5"],
        ["--momentum", "1"],
        ["--learning-rate", "nan"],
        ["--validation-split", "1"],
        ["--validation-split", "nan"],
        ["--epochs", "0"],
        ["--seed", "-1"],
        ["--device", "cuda"],
        ["--device", "xla:cpu:99"],
    ],
    ids=" ".join,
)
def test_options_out_of_range_exit_with_2_and_leave_nothing_behind(blobs: str, words: list[str]) -> None:
    result = invoke("train", blobs, *words)
    assert result.exit_code == 2, result.output
    assert not Path("runs").exists()


def test_a_folder_that_holds_something_is_not_used(blobs: str, model: str) -> None:
    before = Path(model, "run.toml").read_bytes()
    result = invoke("train", blobs, "--out", model)
    assert result.exit_code == 2
    assert "not empty" in result.stderr
    assert Path(model, "run.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"a": np.zeros(3)}, "x_train and y_train"),
        ({"x": np.zeros((3, 2))}, "no labels"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(2)}, "3 rows"),
        ({"x": np.zeros((3, 2)), "y": np.array([0, -1, 1])}, "-1"),
        ({"x": np.zeros((3, 2)), "y": np.array([0.5, 1, 1])}, "not a whole number"),
        ({"x": np.zeros((3, 2)), "y": np.array([0, 1, 10**6])}, "1000000"),
        ({"x": np.full((3, 2), np.nan), "y": np.zeros(3)}, "nan"),
        ({"x": np.zeros((0, 2)), "y": np.zeros(0)}, "no rows"),
        ({"x_test": np.zeros((3, 2)), "y_test": np.zeros(3)}, "only a test part"),
        (
            {"x": np.zeros((3, 2)), "y": np.array([0, 1, 0]), "x_test": np.zeros((2, 5)), "y_test": np.zeros(2)},
            "expects 2 features, got 5",
        ),
        (
            {"x": np.zeros((3, 2)), "y": np.array([0, 1, 0]), "x_test": np.zeros((1, 2)), "y_test": np.array([7])},
            "Label 7",
        ),
    ],
    ids=[
        "names",
        "labels",
        "length",
        "negative",
        "fraction",
        "huge",
        "nan",
        "empty",
        "test only",
        "test shape",
        "test label",
    ],
)
def test_data_that_cannot_be_trained_on_is_refused_before_a_folder_is_made(arrays: dict[str, Any], said: str) -> None:
    np.savez("bad.npz", **arrays)
    result = invoke("train", "bad.npz")
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert not Path("runs").exists()


def test_ctrl_c_keeps_the_model_and_exits_with_130() -> None:
    command = [sys.executable, "-m", "nacre", "train", "digits", "--epochs", "100000", "--out", "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "Epoch" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert "run/model.safetensors" in err.splitlines()[-1]
    assert "Traceback" not in err
    assert nacre.models.load_model("run/model.safetensors").optimizer.iterations >= 45
    assert Path("run/history.jsonl").read_text().startswith('{"epoch": 0')


# ------------------------------------------------------------------ data by name


def idx(array: np.ndarray[Any, Any]) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype("u1").tobytes()


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        ({}, 0.1),
        ({"optimizer": "sgd"}, 0.1),
        ({"optimizer": "adam"}, 0.001),
        ({"optimizer": "Adadelta"}, 0.001),
        ({"optimizer": "ftrl"}, 0.001),
        ({"optimizer": "adam", "learning_rate": 0.03}, 0.03),
    ],
)
def test_an_optimizer_is_given_a_rate_that_suits_it(given: dict[str, Any], rate: float) -> None:
    assert settings_for("digits", None, dict(given)).learning_rate == rate


def test_a_table_is_given_the_rate_of_the_optimizer_too(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("a,b\n1,2\n")
    assert settings_for(str(table), None, {}).learning_rate == 0.001
    assert settings_for(str(table), None, {"optimizer": "sgd"}).learning_rate == 0.1
    with pytest.raises(UnknownName, match="adaam"):
        settings_for(str(table), None, {"optimizer": "adaam"})


def test_a_run_that_is_repeated_with_another_optimizer_gets_its_rate_unless_one_was_chosen() -> None:
    for name, words in (("usual", ()), ("chosen", ("--learning-rate", "0.07"))):
        assert invoke("train", "digits", "--epochs", "1", *words, "--out", name, "-q").exit_code == 0
    rates = [
        settings_for(None, Path(run, "run.toml"), {"optimizer": "adam"}).learning_rate for run in ("usual", "chosen")
    ]
    assert rates == [0.001, 0.07]


def test_a_folder_of_idx_files_is_data() -> None:
    folder = Path("things")
    folder.mkdir()
    images, labels = np.arange(5 * 4).reshape(5, 2, 2), np.arange(5) % 2
    (folder / "train-images-idx3-ubyte").write_bytes(idx(images))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(labels))
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images[:2])))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels[:2])))
    source = open_data("things")
    np.testing.assert_array_equal(source.train.x, images)
    assert set(source.parts) == {"train", "test"}
    np.testing.assert_array_equal(source.last.y, labels[:2])


@pytest.mark.parametrize("names", [("x", "y"), ("X", "Y"), ("images", "labels"), ("x_train", "y_train")])
def test_arrays_are_found_by_their_usual_names(names: tuple[str, str]) -> None:
    np.savez("data.npz", **{names[0]: np.eye(3), names[1]: np.arange(3)})
    np.testing.assert_array_equal(open_data("data.npz").train.y, [0, 1, 2])


def test_bytes_are_scaled_by_the_largest_and_other_numbers_are_not() -> None:
    assert scale_of(np.array([[3, 16]], "u1")) == 16
    assert scale_of(np.zeros((2, 2), "u1")) == 1
    assert scale_of(np.array([[3.0, 16.0]], "f4")) is None


def test_classes_are_counted_from_0() -> None:
    assert count_classes(Dataset(np.zeros((3, 1)), [0, 4, 2])) == 5


# ------------------------------------------------------------------ evaluate, predict, summary


def test_evaluate_agrees_with_the_training_that_made_the_model(blobs: str) -> None:
    trained = document("train", blobs, "--out", "run", "--json", "-q")
    found = document("evaluate", "run/model.safetensors", blobs, "--json")
    assert list(found.pop("intervals")) == ["accuracy"]
    assert found == {
        "model": "run/model.safetensors",
        "data": blobs,
        "rows": 30,
        "notes": [],
        "loss": trained["loss"],
        "accuracy": trained["accuracy"],
    }


def test_evaluate_needs_labels(model: str) -> None:
    np.save("x.npy", np.zeros((2, 3)))
    result = invoke("evaluate", model, "x.npy")
    assert result.exit_code == 2
    assert "no labels" in result.stderr


def expected_output(model: str, blobs: str) -> np.ndarray[Any, Any]:
    loaded = nacre.models.load_model(f"{model}/model.safetensors")
    return loaded.predict(np.load(blobs)["x_test"], verbose=0)


def test_predict_prints_a_table_of_class_and_probabilities(model: str, blobs: str) -> None:
    result = invoke("predict", model, blobs)
    header, *rows = result.stdout.splitlines()
    assert header == "prediction,probability_0,probability_1,probability_2"
    found = np.array([row.split(",") for row in rows]).astype("float32")
    outputs = expected_output(model, blobs)
    np.testing.assert_array_equal(found[:, 1:], outputs)
    np.testing.assert_array_equal(found[:, 0], outputs.argmax(axis=1))


def test_predict_writes_each_format_whole(model: str, blobs: str) -> None:
    for name in ("p.csv", "p.jsonl", "p.npy"):
        result = invoke("predict", model, blobs, "--out", name)
        assert result.stdout == f"30 predictions in {name}\n"
    outputs = expected_output(model, blobs)
    np.testing.assert_array_equal(np.load("p.npy"), outputs)
    lines = [json.loads(line) for line in Path("p.jsonl").read_text().splitlines()]
    np.testing.assert_array_equal(np.float32([line["probabilities"] for line in lines]), outputs)
    assert Path("p.csv").read_text() == invoke("predict", model, blobs).stdout
    assert not list(Path().glob(".*.tmp"))


def test_predict_as_json_is_one_document(model: str, blobs: str) -> None:
    found = document("predict", model, blobs, "--json")
    np.testing.assert_array_equal(np.float32(found["probabilities"]), expected_output(model, blobs))
    assert found["rows"] == len(found["prediction"]) == 30


def test_predict_refuses_an_unknown_format_before_it_works(model: str, blobs: str) -> None:
    for out in ("p.xls", "nowhere/p.csv"):
        assert invoke("predict", model, blobs, "--out", out).exit_code == 2


def test_predict_of_no_rows_is_a_header(model: str) -> None:
    np.save("none.npy", np.zeros((0, 3), "float32"))
    assert invoke("predict", model, "none.npy").stdout == "prediction,probability_0,probability_1,probability_2\n"


@pytest.mark.parametrize(("units", "header"), [(1, "prediction"), (2, "output_0,output_1")])
def test_predict_prints_values_where_there_are_no_classes(units: int, header: str) -> None:
    line = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(units, use_bias=False)])
    line.set_weights([np.full((2, units), 2.0)])
    line.save("line.model")
    np.save("x.npy", np.array([[1.0, 2.0]]))
    assert invoke("predict", "line.model", "x.npy").stdout.splitlines() == [header, ",".join(["6.0"] * units)]


def test_data_of_another_shape_is_refused(model: str) -> None:
    np.save("wide.npy", np.zeros((2, 5), "float32"))
    result = invoke("predict", model, "wide.npy")
    assert result.exit_code == 2
    assert "expects 3 features, got 5" in result.stderr


def test_summary_shows_layers_and_training_settings(model: str) -> None:
    text = invoke("summary", model).stdout
    assert "(batch, 128)" in text
    assert "SGD (learning_rate 0.1" in text
    found = document("summary", model, "--json")
    assert found["parameters"] == 3 * 128 + 128 + 128 * 3 + 3
    assert found["training"]["optimizer"]["config"]["learning_rate"] == 0.1


def test_plan_shows_what_runs_and_how_long_it_takes(model: str) -> None:
    text = invoke("plan", model, "--time").stdout
    assert "matmul_update" in text
    assert "the loss is known" in text
    found = document("plan", model, "--batch-size", "16", "--time", "--json")
    update = next(s for s in found["steps"] if s["kernel"] == "matmul_update")
    inputs, units = nacre.models.load_model("run/model.safetensors").get_weights()[0].shape
    assert update["flops"] == inputs * units * (2 * 16 + 2)
    assert all(step["seconds"] > 0 for step in found["steps"])


def test_timing_a_plan_leaves_the_model_and_its_training_as_they_were() -> None:
    x, y = np.full((64, 3), 1e3, dtype=np.float32), np.arange(64, dtype=np.float32)
    model = nacre.Sequential([nacre.Input((3,)), nacre.layers.Dense(1)])
    model.compile(nacre.optimizers.SGD(1e6, momentum=0.9), "mse")  # with which training would diverge at once
    before = model.get_weights()
    _, seconds = model.plan(x, y, seconds=0.05)
    assert all(0 < s < 0.05 for s in seconds)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert model.optimizer.iterations == 0


def test_plan_of_a_prediction_takes_no_gradient(model: str) -> None:
    before = Path("run/model.safetensors").read_bytes()
    found = document("plan", model, "--predict", "--batch-size", "1", "--json")
    assert not any(step["updates"] or "seconds" in step for step in found["steps"])
    assert Path("run/model.safetensors").read_bytes() == before


def test_summary_of_a_model_that_was_not_compiled() -> None:
    nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)]).save("plain.model")
    assert "Not compiled" in invoke("summary", "plain.model").stdout


def test_a_model_that_is_none_exits_with_2() -> None:
    Path("junk").write_bytes(b"junk")
    Path("folder").mkdir()
    for name in ("missing", "junk", "folder"):
        result = invoke("summary", name)
        assert result.exit_code == 2, name
        assert result.stderr.startswith("error: ")


# ------------------------------------------------------------------ demo, completion


def test_demo_learns_shows_a_mistake_and_names_commands_that_work() -> None:
    result = invoke("demo", "--out", "run")
    assert result.exit_code == 0
    assert float(re.search(r"test accuracy +(\S+)", result.stdout)[1]) >= 0.97  # type: ignore[index]
    captions = re.findall(r"true (\d), said (\d)( !)?", result.stdout)
    assert len(captions) == 8
    assert [bool(mark) for *_, mark in captions] == [true != said for true, said, _ in captions]
    assert any(mark for *_, mark in captions)
    assert len({true for true, _, mark in captions if not mark}) == 7
    assert "\x1b" not in result.stdout
    suggestions = result.stdout.split("Try next:\n")[1].splitlines()
    assert len(suggestions) == 3
    for line in suggestions:
        assert invoke(*shlex.split(line)[1:]).exit_code == 0, line


def test_demo_as_json_is_one_document() -> None:
    assert document("demo", "--json", "-q")["accuracy"] >= 0.97


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(name: str) -> None:
    assert "_NACRE_COMPLETE" in invoke("completion", name).stdout


def test_data_sets_are_completed() -> None:
    result = shell(_NACRE_COMPLETE="bash_complete", COMP_WORDS="nacre train dig", COMP_CWORD="2")
    assert "plain,digits" in result.stdout


def test_weights_begin_as_the_options_say_and_the_run_remembers() -> None:
    """He's normal numbers have twice the variance that 784 inputs would need: 2 / 64 for the digits."""
    result = CliRunner().invoke(
        main,
        shlex.split(
            "train digits --model mlp:200,5 --kernel-initializer he_normal --epochs 1 --learning-rate 0 --seed 0 --out run -q"
        ),
    )
    assert result.exit_code == 0, result.output
    run = nacre.Run.open("run")
    assert run.settings()["options"]["kernel_initializer"] == "he_normal"
    first, second, last = [w for w in nacre.models.load_model(run.model).get_weights() if w.ndim == 2]
    assert first.var() == pytest.approx(2 / 64, rel=0.05)
    assert second.var() == pytest.approx(2 / 200, rel=0.15)
    assert abs(last).max() <= np.sqrt(6 / (5 + 10))  # the last layer begins as it always does
    wrong = CliRunner().invoke(main, ["train", "digits", "--kernel-initializer", "he_norml", "--out", "no"])
    assert wrong.exit_code == 2
    assert "he_normal" in wrong.stderr
    assert not Path("no").exists()


_INTERRUPTED = """
import os, signal, sys
sys.argv = ARGV

class Midway:
    def find_spec(self, name, path=None, target=None):
        if name == "nacre.cli.tune":  # in the middle of loading
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Midway())
try:
    import nacre.cli
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("name", ["/usr/bin/nacre", str(Path(nacre.__file__).parent / "__main__.py")])
def test_ctrl_c_while_the_command_is_loaded_ends_it_quietly(name: str) -> None:
    code = _INTERRUPTED.replace("ARGV", repr([name, "train"]))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "")


def test_ctrl_c_while_others_import_the_command_line_is_theirs() -> None:
    code = _INTERRUPTED.replace("ARGV", "['notebook']")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "interrupted\n"


def test_once_loaded_ctrl_c_is_answered_by_commands() -> None:
    code = "import sys, signal; sys.argv = ['nacre']; import nacre.cli; assert signal.getsignal(2) is signal.default_int_handler"
    subprocess.run([sys.executable, "-c", code], check=True)
