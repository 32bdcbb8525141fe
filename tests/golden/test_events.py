"""Event files have the bytes that the tensorboard package writes, from which it read what was written."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from nacre.training import events

BOARD = json.loads((Path(__file__).parent / "events.json").read_text())


def test_an_event_file_has_the_bytes_of_tensorboard() -> None:
    time = BOARD["time"]
    content = events.first(time)
    for step, figures in BOARD["events"]:
        content += events.event(time + step, step, [events.scalar(tag, x) for tag, x in figures.items()])
    content += events.event(time, 7, [events.histogram("dense/kernel/histogram", np.array(BOARD["weights"]))])
    assert content == base64.b64decode(BOARD["bytes"])


def test_tensorboard_read_from_these_bytes_what_was_written() -> None:
    written = {tag: [step, x] for step, figures in BOARD["events"] for tag, x in figures.items() if tag != "epoch_loss"}
    read = BOARD["read"]["scalars"]
    assert [[step, x] for step, _, x in read.pop("epoch_loss")] == [[0, 0.75], [1, np.float32(-1e-30)]]
    assert set(read) == set(written)
    for tag, (step, x) in written.items():
        ((at, time, value),) = read[tag]
        assert (at, time) == (step, BOARD["time"] + step)
        assert value == pytest.approx(x, rel=1e-7)
    (histogram,) = BOARD["read"]["histograms"].values()
    weights = np.array(BOARD["weights"])
    assert [histogram[name] for name in ("min", "max", "num", "sum")] == [-1.25, 3, 7, weights.sum()]
    assert sum(histogram["bucket"]) == 7


@pytest.mark.parametrize("values", [[], [np.nan], [np.inf, 1.0], [0.0] * 5, [-3e38, 3e38], [1e-40]])
def test_a_histogram_takes_any_numbers(values: list[float]) -> None:
    assert events.histogram("w", np.array(values, "float32")).startswith(b"\n\x01w")


@pytest.mark.parametrize("value", [1e300, -1e300, float("nan"), float("inf")])
def test_a_scalar_takes_any_number(value: float) -> None:
    with np.errstate(over="ignore"):
        assert events.scalar("x", value)[-4:] == np.array(value, "<f4").tobytes()
