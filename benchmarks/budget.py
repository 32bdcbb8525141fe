"""How far `nacre.budget` is from what happens: memory and seconds of an epoch, predicted, and measured in fresh processes.

python -m benchmarks.budget [NUMBER_OF_SHAPES] [--rounds N]

Memory is the growth of what is resident of a process, from before data and network are made to after the fourth epoch; time is the
median of those after the first. With N rounds, each shape is predicted and measured in turn N times, and medians are shown. Say
with the figures whether the machine was quiet.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

import nacre


@dataclass(frozen=True)
class Shape:
    inputs: int
    hidden: tuple[int, ...]
    classes: int
    optimizer: str
    batch_size: int
    rows: int

    def model(self) -> nacre.Model:
        layers = [nacre.layers.Dense(units, "relu") for units in self.hidden]
        last = nacre.layers.Dense(self.classes, "softmax")
        model = nacre.Sequential([nacre.Input((self.inputs,)), *layers, last])
        momentum = self.optimizer == "momentum"
        optimizer = nacre.optimizers.SGD(0.01, momentum=0.9) if momentum else self.optimizer
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


SHAPES = [
    Shape(inputs, hidden, 10, optimizer, batch, rows)
    for inputs, hidden, rows in (
        (784, (128,), 60_000),
        (784, (1000,), 60_000),
        (3072, (2048, 1024), 20_000),
        (12_288, (1000,), 4_000),
        (49_152, (1000,), 2_000),
        (1000, (4000, 4000), 8_000),
    )
    for optimizer, batch in (("sgd", 32), ("momentum", 128), ("adam", 32), ("adam", 256))
]


class Watch(nacre.callbacks.Callback):
    """Takes the time of epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.begin = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.seconds.append(time.perf_counter() - self.begin)


def resident(what: str = "VmRSS") -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def measure(shape: Shape) -> dict[str, float]:
    # What a process takes once is not of the model: enough work to wake threads is among it.
    Shape(256, (64,), 2, shape.optimizer, 64, 2000).model().fit(
        np.zeros((2000, 256), np.float32), np.zeros(2000, np.int32), verbose=0
    )
    before = resident()
    random = np.random.default_rng(0)
    x = np.empty((shape.rows, shape.inputs), np.float32)
    for row in x:
        random.random(dtype=np.float32, out=row)
    y = random.integers(shape.classes, size=shape.rows).astype(np.int32)
    model = shape.model()
    watch = Watch()
    model.fit(x, y, batch_size=shape.batch_size, epochs=4, verbose=0, callbacks=[watch])
    return {"seconds": median(watch.seconds[1:]), "total": resident() - before, "most": resident("VmHWM") - before}


def seen_of(shape: Shape) -> dict[str, float]:
    """What `measure` says in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.budget", "measure", json.dumps(asdict(shape))]
    found: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def cells(shape: Shape, rounds: int) -> list[str]:
    """A row of the table."""
    pairs = [(nacre.budget(shape.model(), shape.rows, shape.batch_size), seen_of(shape)) for _ in range(rounds)]
    found = pairs[0][0]
    assert found.training is not None
    row = ["-".join(map(str, [shape.inputs, *shape.hidden])), shape.optimizer, str(shape.batch_size)]
    for name, predicted in (("total", found.training.total), ("most", found.training.most)):
        nbytes = median(seen[name] for _, seen in pairs)
        row += [f"{nbytes / 1e6:.1f}", f"{predicted / 1e6:.1f}", f"{predicted / nbytes - 1:+.1%}"]
    seconds = median(seen["seconds"] for _, seen in pairs)
    expected = median(one.seconds_per_epoch or 0.0 for one, _ in pairs)
    return [*row, f"{seconds:.3f}", f"{expected:.3f}", f"{expected / seconds - 1:+.1%}", found.timed]


def main() -> None:
    if sys.argv[1:2] == ["measure"]:
        said = json.loads(sys.argv[2])
        print(json.dumps(measure(Shape(**said | {"hidden": tuple(said["hidden"])}))))
        return
    parser = argparse.ArgumentParser(description="Predicted and measured memory and time of trainings.")
    parser.add_argument("shapes", type=int, nargs="?", default=len(SHAPES))
    parser.add_argument("--rounds", type=int, default=1)
    asked = parser.parse_args()
    heads = ["inputs, hidden", "optimizer", "batch", "memory MB", "predicted", "off", "most MB", "predicted", "off"]
    heads += ["epoch s", "predicted", "off", "how"]
    print(" | ".join(heads))
    for shape in SHAPES[: asked.shapes]:
        print(" | ".join(cells(shape, asked.rounds)), flush=True)


if __name__ == "__main__":
    main()
