"""nacre plot: what is drawn, and where it goes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import nacre
from nacre import plots
from nacre.cli import main


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on three classes, and its data, which have a test part."""
    folder = tmp_path_factory.mktemp("trained")
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = (np.eye(3)[y] * 2 + rng.normal(size=(120, 3))).astype("float32")
    np.savez(folder / "blobs.npz", x_train=x[:90], y_train=y[:90], x_test=x[90:], y_test=y[90:])
    words = ("--out", str(folder / "run"), "--seed", "1", "--epochs", "3", "-q")
    assert invoke("train", str(folder / "blobs.npz"), *words).exit_code == 0
    return folder


@pytest.fixture
def run(trained: Path) -> str:
    shutil.copytree(trained / "run", "run")
    return "run"


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def drawn(monkeypatch: pytest.MonkeyPatch, name: str) -> list[Any]:
    """What a plot returns, from now on."""
    found: list[Any] = []
    draw = getattr(plots, name)

    def keep(*args: Any, **settings: Any) -> Any:
        found.append(draw(*args, **settings))
        return found[-1]

    monkeypatch.setattr(plots, name, keep)
    return found


def test_history_and_confusion_of_the_test_part_are_drawn_beside_each_other(
    run: str, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, confusion = drawn(monkeypatch, "history"), drawn(monkeypatch, "confusion_matrix")
    result = invoke("plot", run)
    assert (result.exit_code, result.stdout) == (0, f"history and confusion drawn in {Path(run, 'plot.png')}\n")
    figures = [json.loads(line) for line in Path(run, "history.jsonl").read_text().splitlines()]
    np.testing.assert_array_equal(history[0][0].lines[0].get_ydata(), [line["loss"] for line in figures])
    with np.load(trained / "blobs.npz") as data:
        said = nacre.models.load_model(Path(run, "model.safetensors")).predict(data["x_test"], verbose=0).argmax(1)
        counts = [[int(((data["y_test"] == r) & (said == c)).sum()) for c in range(3)] for r in range(3)]
    assert confusion[0].images[0].get_array().tolist() == counts
    assert confusion[0].get_title(loc="left").startswith("test: ")
    with Image.open(Path(run, "plot.png")) as picture:
        assert picture.format == "PNG"
        assert picture.width > 2 * picture.height


@pytest.mark.parametrize("what", ["history", "weights", "confusion", "calibration", "gradient-flow", "loss-along"])
def test_each_plot_is_drawn_alone(run: str, what: str) -> None:
    result = invoke("plot", run, "--what", what, "--out", "one.svg", "--json")
    assert json.loads(result.stdout) == {"run": run, "path": "one.svg", "drawn": [what]}
    assert Path("one.svg").read_text().startswith("<?xml")
    assert not Path(run, "plot.png").exists()


def test_the_loss_is_drawn_along_the_weight_that_is_named_or_the_steepest(
    run: str, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = drawn(monkeypatch, "loss_along")
    model = nacre.models.load_model(Path(run, "model.safetensors"))
    with np.load(trained / "blobs.npz") as data:
        gradients = model.gradients(data["x_train"], data["y_train"])
    name, steepest = max(gradients.items(), key=lambda each: np.abs(each[1]).max())
    chosen = f"{name}[{', '.join(map(str, np.unravel_index(np.abs(steepest).argmax(), steepest.shape)))}]"
    assert invoke("plot", run, "--what", "loss-along").exit_code == 0
    other = f"{next(iter(gradients))}[1,2]"
    assert invoke("plot", run, "--what", "loss-along", "--weight", other).exit_code == 0
    assert [one.get_xlabel() for one in axes] == [chosen, other]


@pytest.mark.parametrize(("suffix", "begin"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".PDF", b"%PDF")])
def test_the_suffix_says_the_format_and_the_same_run_gives_the_same_bytes(run: str, suffix: str, begin: bytes) -> None:
    for name in ("a", "b"):
        assert invoke("plot", run, "--what", "history", "--out", name + suffix).exit_code == 0
    assert Path("a" + suffix).read_bytes().startswith(begin)
    assert Path("a" + suffix).read_bytes() == Path("b" + suffix).read_bytes()


def test_of_numbers_there_is_the_history_alone() -> None:
    rows = [f"{n % 17},{n % 5},{n % 17 * 3.5 + n % 5}" for n in range(100)]
    Path("houses.csv").write_text("\n".join(["rooms,age,price", *rows]))
    assert invoke("train", "houses.csv", "--target", "price", "--epochs", "2", "--out", "run", "-q").exit_code == 0
    assert json.loads(invoke("plot", "run", "--json").stdout)["drawn"] == ["history"]
    result = invoke("plot", "run", "--what", "calibration")
    assert result.exit_code == 2
    assert "calibration is of classes" in result.stderr
    assert invoke("plot", "run", "--what", "gradient-flow").exit_code == 0


def test_mistakes_end_with_2_and_leave_no_file(run: str) -> None:
    for words, says in (
        (["nowhere"], "There is no run in nowhere"),
        ([run, "--out", "a.jpg"], ".jpg"),
        ([run, "--out", "missing/a.png"], "there is no folder"),
        ([run, "--weight", "dense/bias[0]"], "--what loss-along"),
        ([run, "--what", "loss-along", "--weight", "dense/kernel[0,999]"], "is no entry of"),
    ):
        before = sorted(Path().rglob("*"))
        result = invoke("plot", *words)
        assert result.exit_code == 2
        assert says in result.stderr
        assert sorted(Path().rglob("*")) == before
    Path(run, "history.jsonl").write_text("")
    assert "no epoch yet" in invoke("plot", run).stderr


def test_a_run_without_a_model_yet_shows_its_history(run: str) -> None:
    Path(run, "model.safetensors").unlink()
    assert json.loads(invoke("plot", run, "--json").stdout)["drawn"] == ["history"]
    assert "There is no model" in invoke("plot", run, "--what", "weights").stderr
