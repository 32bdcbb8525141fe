"""Writes events.json: an event file as the tensorboard package writes it, and what it reads, for `test_events.py` to compare.

Run by hand, in an environment with the packages tensorboard and numpy, not nacre:

    python tests/golden/make_events.py
"""

from __future__ import annotations

import base64
import importlib.util
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorboard
from tensorboard.backend.event_processing.event_accumulator import HISTOGRAMS, SCALARS, EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.summary.writer.record_writer import RecordWriter

HERE = Path(__file__).parent
TIME = 1_700_000_000.25
SCALES = [
    (0, {"epoch_loss": 0.75, "epoch_accuracy": 0.0}),
    (1, {"epoch_loss": -1e-30, "größe": 3e38}),
    (300, {"batch_loss": float("inf"), "zero": -0.0}),
    (2**40 + 5, {"far": 1.5}),
]
WEIGHTS = [0.5, -1.25, 3.0, 0.125, 0.5, 2.75, -0.5]
NAMES = ("min", "max", "num", "sum", "sum_squares")


def theirs(path: Path) -> None:
    """What the classes of tensorboard write."""
    events = [Event(wall_time=TIME, file_version="brain.Event:2")]
    for step, figures in SCALES:
        values = [Summary.Value(tag=tag, simple_value=x) for tag, x in figures.items()]
        events.append(Event(wall_time=TIME + step, step=step, summary=Summary(value=values)))
    x = np.array(WEIGHTS)
    counts, edges = np.histogram(x, 30)
    five = dict(zip(NAMES, (x.min(), x.max(), x.size, x.sum(), (x * x).sum()), strict=True))
    histo = HistogramProto(**five, bucket_limit=edges[1:], bucket=counts)
    value = Summary.Value(tag="dense/kernel/histogram", histo=histo)
    events.append(Event(wall_time=TIME, step=7, summary=Summary(value=[value])))
    with path.open("wb") as file:
        writer = RecordWriter(file)
        for one in events:
            writer.write(one.SerializeToString())


def ours(path: Path) -> None:
    """What the module of nacre writes, taken from its file alone."""
    spec = importlib.util.spec_from_file_location("events", HERE.parents[1] / "src/nacre/training/events.py")
    assert spec is not None
    assert spec.loader is not None
    events = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(events)
    content = events.first(TIME)
    for step, figures in SCALES:
        content += events.event(TIME + step, step, [events.scalar(tag, x) for tag, x in figures.items()])
    content += events.event(TIME, 7, [events.histogram("dense/kernel/histogram", np.array(WEIGHTS))])
    path.write_bytes(content)


def read(folder: Path) -> dict[str, Any]:
    """What TensorBoard finds in a folder."""
    found = EventAccumulator(str(folder), size_guidance={SCALARS: 0, HISTOGRAMS: 0})
    found.Reload()
    tags = found.Tags()
    scalars = {tag: [[e.step, e.wall_time, e.value] for e in found.Scalars(tag)] for tag in sorted(tags["scalars"])}
    histograms = {}
    for tag in tags["histograms"]:
        (one,) = found.Histograms(tag)
        h = one.histogram_value
        five = {name: getattr(h, name) for name in NAMES}
        histograms[tag] = {"step": one.step, **five, "bucket": list(h.bucket), "bucket_limit": list(h.bucket_limit)}
    return {"scalars": scalars, "histograms": histograms}


if __name__ == "__main__":
    made = {}
    for write in (theirs, ours):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name, "events.out.tfevents.0.host.1.0.v2")
            write(path)
            made[write.__name__] = (path.read_bytes(), read(Path(name)))
    assert made["ours"] == made["theirs"]
    content, found = made["theirs"]
    described = {"tensorboard": tensorboard.__version__, "time": TIME, "bytes": base64.b64encode(content).decode()}
    described |= {"events": SCALES, "weights": WEIGHTS, "read": found}
    (HERE / "events.json").write_text(json.dumps(described, indent=1) + "\n")
