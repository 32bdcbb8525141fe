"""What all formats share: how they are named, what is refused, what is told."""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path

import pytest

import nacre
from nacre import layers
from nacre.errors import UnknownName, UsageError
from nacre.exchange import FORMATS
from nacre.exchange.written import Written
from nacre.upstairs import room


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def model():
    return nacre.Sequential([nacre.Input((3,)), layers.Dense(2)])


def test_every_format_has_a_suffix_of_its_own_and_a_file_that_writes_it():
    suffixes = [known.suffix for known in FORMATS.values()]
    assert len(set(suffixes)) == len(suffixes)
    assert all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in suffixes)
    assert all(
        list(inspect.signature(room(f"exchange.{name}").write).parameters) == ["model", "path"] for name in FORMATS
    )


def test_the_suffix_names_the_format_in_large_letters_too():
    assert model().export("one.ONNX").format == "onnx"
    assert Path("one.ONNX").stat().st_size > 0


def test_a_format_that_is_named_takes_any_suffix():
    assert model().export("one.bin", "onnx").path == Path("one.bin")


def test_an_unknown_suffix_and_an_unknown_format_are_refused_with_those_that_are_known():
    with pytest.raises(UsageError, match=r"files that end in '.onn'(.|\n)*did you mean '.onnx'"):
        model().export("one.onn")
    with pytest.raises(UsageError, match="files that end in ''"):
        model().export("one")
    with pytest.raises(UnknownName, match=r"no format called 'onxn'(.|\n)*did you mean 'onnx'"):
        model().export("one.onnx", "onxn")
    assert list(Path().iterdir()) == []


def test_a_model_without_weights_says_what_it_needs():
    with pytest.raises(nacre.errors.NotBuiltError, match="does not know its input's shape"):
        nacre.Sequential([layers.Dense(2)]).export("one.onnx")


def test_a_folder_that_is_missing_or_cannot_be_written_to_is_named(invoke):
    with pytest.raises(UsageError, match="there is no folder nowhere"):
        model().export("nowhere/one.onnx")
    Path("one.onnx").mkdir()
    with pytest.raises(FileExistsError, match=r"one\.onnx: it is there, and no ordinary file"):
        model().export("one.onnx")
    model().save("model.safetensors")
    told = invoke("export", "onnx", "model.safetensors", "--out", "nowhere/one.onnx", status=2).stderr
    assert told.strip() == "error: Cannot write nowhere/one.onnx: there is no folder nowhere."


def test_a_library_that_is_missing_is_named_with_what_installs_it(monkeypatch, invoke):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match=r"Writing one\.onnx needs onnx\.\n *try: *pip install nacre\[onnx\]"):
        model().export("one.onnx")
    assert not Path("one.onnx").exists()


def test_the_command_writes_beside_the_model_and_tells_people_or_programs(invoke):
    Path("some.run").mkdir()
    model().save("some.run/model.safetensors")
    told = invoke("export", "onnx", "some.run").stdout
    size = Path("some.run.onnx").stat().st_size
    assert re.fullmatch(
        rf"some\.run\.onnx: {size} bytes of onnx\nIts outputs (are|differ from) the model's.*, in 1,000 rows\.\n", told
    )
    found = json.loads(invoke("export", "onnx", "some.run/model.safetensors", "--json").stdout)
    assert found.pop("difference") < 1e-6
    assert found == {"path": "some.run/model.onnx", "format": "onnx", "nbytes": size, "rows": 1000, "notes": []}
    assert Path("some.run/model.onnx").stat().st_size == size


def test_the_command_names_the_file_after_the_folder_it_stands_in(invoke, monkeypatch):
    Path("my-run").mkdir()
    model().save("my-run/model.safetensors")
    monkeypatch.chdir("my-run")
    invoke("export", "onnx", ".")
    assert Path("../my-run.onnx").exists()


def test_the_command_does_not_write_over_the_model(invoke):
    model().save("model.onnx")
    before = Path("model.onnx").read_bytes()
    told = invoke("export", "onnx", "model.onnx", status=2).stderr
    assert told.startswith("error: Cannot write model.onnx in its own place.")
    assert Path("model.onnx").read_bytes() == before


def test_what_is_told_has_a_figure_only_where_the_file_was_run():
    told = str(Written(Path("a.pt"), "torch", 10, notes=("A note.",)))
    assert told == "a.pt: 10 bytes of torch\nA note."
    assert "are the model's, in 1,000 rows" in str(Written(Path("a.onnx"), "onnx", 10, 1000, 0.0))


@pytest.mark.parametrize("format", ["c", "keras"])
def test_a_file_that_takes_numbers_says_so_where_the_model_takes_tables(format, invoke):
    Path("people.csv").write_text("age,city,tall\n" + "31,Oslo,yes\n45,Lima,no\n" * 20)
    invoke("train", "people.csv", "--target", "tall", "--out", "people", "--epochs", "1")
    assert "numbers that nacre makes of columns of tables" in invoke("export", format, "people").output


def test_a_file_that_was_written_for_others_is_no_model_here(invoke):
    nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)]).export("net.onnx")
    assert "does not begin as a model file does" in invoke("export", "c", "net.onnx", status=2).output
