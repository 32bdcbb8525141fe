"""The page: one file, four sections, the true numbers, and nothing that data could smuggle in."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

import nacre
from nacre import layers


def _saved(step, folder):
    step.save(folder / "step.html")
    return (folder / "step.html").read_text(encoding="utf-8")


def _network(shape, classes=3):
    stack = [nacre.Input(shape), layers.Flatten(), layers.Dense(20, "relu", name="hidden")]
    model = nacre.Sequential([*stack, layers.Dense(classes, "softmax", name="out")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def test_the_page_has_four_sections_with_the_numbers_of_the_step(tmp_path, rng):
    step = _network((5,)).explain(rng.normal(size=(1, 5)).astype(np.float32), np.array([2]))
    text = _saved(step, tmp_path)
    sections = re.findall(r"<h2>(.*?)</h2>", text)
    assert sections == ["1. Forward", "2. Loss", "3. Backward", "4. Update"]
    parts = dict(zip(["", *sections], text.split("<h2>"), strict=True))
    out = step.layer("out")
    assert all(f"<td>{v:.4g}</td>" in parts["1. Forward"] for v in out.scores[0])
    assert f"{step.losses[0]:.6g}" in parts["2. Loss"]
    assert all(f"<td>{v:.4g}</td>" in parts["3. Backward"] for v in out.score_error[0])
    for blame in step.blame("out", 3):
        assert f"<td>{blame.share:.4g}</td>" in parts["4. Update"]
        assert f"<td>{blame.weight.new:.6g}</td>" in parts["4. Update"]
    assert "8 are left out" in parts["1. Forward"]
    assert "50 other weights are left out" in parts["4. Update"]
    assert "prefers-color-scheme: dark" in text


def test_the_page_needs_nothing_else(tmp_path, rng):
    text = _saved(_network((28, 28)).explain(rng.random((1, 28, 28)).astype(np.float32), np.array([2])), tmp_path)
    assert not re.search(r"https?://|<script|<link|@import|url\(", text)
    assert re.findall(r'src="(.{22})', text) == ["data:image/png;base64,"]


@pytest.mark.parametrize(
    ("shape", "drawn"),
    [
        ((), False),
        ((28, 28), True),
        ((64, 64, 3), True),
        ((28, 28, 1), True),
        ((784,), True),
        ((10,), False),
        ((30, 2), False),
    ],
)
def test_what_is_shaped_like_a_picture_is_drawn(shape, drawn, tmp_path, rng):
    text = _saved(_network(shape).explain(rng.random((1, *shape)).astype(np.float32)), tmp_path)
    assert ("<img" in text) == drawn
    assert "2. Loss" not in text


def test_names_out_of_data_are_text(tmp_path, rng):
    model = _network((5,))
    model.get_layer("hidden").name = "<b>bold</b>"
    step = model.explain(rng.normal(size=(1, 5)).astype(np.float32), np.array([2]))
    step = dataclasses.replace(step, classes=["<script>alert(1)</script>", '"><img src=x>', "&"])
    text = _saved(step, tmp_path)
    assert "<script" not in text
    assert "<img" not in text
    assert "<b>bold" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "\x1b" not in str(dataclasses.replace(step, classes=["\x1b[31m", "b", "c"]))
