"""One play: a network, its data, and where it is. It knows nothing of browsers and threads."""

from __future__ import annotations

import base64
import tempfile
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import structs

import nacre
from nacre.capacity import free_memory
from nacre.errors import NonFiniteLossError, UsageError
from nacre.models.functional import Functional
from nacre.ops.random import seeded
from nacre.studio.playground import training
from nacre.studio.playground.data import GRID, Problem, load, problem
from nacre.studio.playground.recipe import Change, Recipe, Settings, Weight

Array = npt.NDArray[Any]

SHOWN = 16  # units of a layer that are drawn
_POINTS = 400  # of the curve, at most
_JUDGED, _MOST_JUDGED = 10_000, 1_000_000  # rows of each part by which loss and accuracy are told, and numbers in them
_PLAIN = 200_000  # parameters that need no budget
_SECONDS = 10.0  # that a step may take
_DEEPEST = 150  # layers: that many take some seconds to begin
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
    "rmsprop": ("RMSprop", {}),
    "adagrad": ("Adagrad", {}),
    "nadam": ("Nadam", {}),
    "lion": ("Lion", {}),
}
REBUILT = {"hidden", "inputs", "optimizer", "l1", "l2", "dropout"}  # what is said when a network is made


class Session:
    """A network that learns, as a recipe says; made from a recipe of a play, it has that play before it (`ahead`).

    >>> session = Session(Recipe())
    >>> session.advance(10)
    >>> session.change(Change(learning_rate=0.1))
    >>> session.advance(5)
    >>> again = Session(session.recipe())
    >>> again.advance(again.ahead)
    >>> again.step, all((a == b).all() for a, b in zip(again.model.get_weights(), session.model.get_weights()))
    (15, True)
    """

    def __init__(self, recipe: Recipe) -> None:
        self._start, self.settings = recipe, recipe.settings
        self._made: list[tuple[int, Change]] = []
        self._pending = list(recipe.changes)
        self._until = recipe.step
        self.step, self.at = 0, (0, 0)
        self.rows = load(recipe.data, recipe.seed)
        self.problem: Problem = problem(self.rows, self.settings, recipe.seed)
        self.model = self._network(self.settings, self.problem)
        self._watch()
        self.curve: list[tuple[int, float, float]] = []
        self._figures: list[tuple[float, float]] | None = None  # of this very step
        self.version = 0  # of problem and settings
        self._stride = 1
        self._note()

    # -------------------------------------------------------------- what is done

    @property
    def ahead(self) -> int:
        """Steps and changes of the recipe that are not done yet."""
        return max(0, self._until - self.step) + len(self._pending)

    def advance(self, steps: int) -> None:
        """Take steps; a change that a recipe has on the way counts as one.

        Raises `NonFiniteLossError`, and stays before the step at which the loss was none.
        """
        while steps > 0:
            if self._pending and self._pending[0][0] == self.step:
                self._apply(self._pending[0][1])
                self._made.append(self._pending.pop(0))
                steps -= 1
                continue
            due = min(
                (self.step // self._stride + 1) * self._stride, *(at for at, _ in self._pending[:1]), self.step + steps
            )
            steps -= due - self.step
            self._train(due - self.step)
            if self.step % self._stride == 0:
                self._note()

    def steps_to_epoch(self) -> int:
        """How many steps are left in this epoch."""
        return -(-(len(self.rows.training) - self.at[1]) // self.settings.batch_size)

    def change(self, change: Change) -> None:
        """Change settings or a weight before the next step; recorded, and what was still ahead of a recipe is dropped.

        Weights stay where a layer, and the one before it, are the same as before; else a network that is made anew draws them.
        Its optimizer begins anew. Raises `UsageError` for what does not fit, and changes nothing.
        """
        if self.step == 0 and not self._made and change.weight is None:
            again = structs.replace(self._start, settings=change.of(self.settings), changes=(), step=0)
            vars(self).update(vars(Session(again)), version=self.version + 1)  # it is another beginning
        elif self._apply(change):
            self._pending, self._until = [], self.step
            at, last = self._made[-1] if self._made else (-1, change)
            if at == self.step and _light(last) and _light(change):
                self._made[-1] = at, structs.replace(last, **change.settings())
            else:
                self._made.append((self.step, change))

    def recipe(self) -> Recipe:
        """All that brought the play to where it is."""
        return structs.replace(self._start, changes=tuple(self._made), step=self.step)

    def begun_again(self, seed: int | None = None) -> Recipe:
        """A beginning with the settings of now."""
        return structs.replace(
            self._start, settings=self.settings, changes=(), step=0, seed=self._start.seed if seed is None else seed
        )

    def model_file(self) -> bytes:
        """The model, as `nacre.models.load_model` opens it."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            self.model.save(path)
            return path.read_bytes()

    # -------------------------------------------------------------- how

    def _train(self, steps: int) -> None:
        """Take steps without looking right or left; epoch by epoch, so that one knows where one is if a step fails."""
        (x, y), size, self._figures = self.problem.training, self.settings.batch_size, None
        while steps:
            piece = min(steps, self.steps_to_epoch())
            before = self.model.optimizer.iterations
            try:
                self.at = training.train(self.model, x, y, self.at, size, piece, self._start.seed)
            except NonFiniteLossError:
                done = self.model.optimizer.iterations - before
                self.step, self.at = self.step + done, training.moved(self.at, done * size, len(x))
                raise
            self.step, steps = self.step + piece, steps - piece

    def _apply(self, change: Change) -> bool:
        """Make a change; whether it is one."""
        settings = change.of(self.settings)
        new = {name for name in change.settings() if getattr(settings, name) != getattr(self.settings, name)}
        seen = problem(self.rows, settings, self._start.seed) if new & {"noise", "inputs"} else self.problem
        if new & REBUILT:
            model, names = self._network(settings, seen), self.problem.names
            training.carry(self.model, model, [(names.index(n), k) for k, n in enumerate(seen.names) if n in names])
            self.model, self.problem = model, seen
            self._watch()
        elif "learning_rate" in new:
            self.model.optimizer.learning_rate = settings.learning_rate
        if change.weight is not None:
            self._set(change.weight)
        self._figures = None
        self.problem, self.settings, self.version = seen, settings, self.version + bool(new)
        return bool(new) or change.weight is not None

    def _set(self, one: Weight) -> None:
        shapes = {
            layer.name: dict(zip(("kernel", "bias"), layer.get_weights(), strict=True)) for layer in self._dense()
        }
        array = shapes.get(one.layer, {}).get(one.weight)
        if (
            array is None
            or len(one.place) != array.ndim
            or any(p >= n for p, n in zip(one.place, array.shape, strict=True))
        ):
            raise UsageError(f"There is no {one.weight} {list(one.place)} in the layer {one.layer!r}.")
        training.set_weight(self.model, one.layer, one.weight, one.place, one.value)

    def _network(self, settings: Settings, seen: Problem) -> nacre.Model:
        """The network for these settings, with fresh weights. Raises `UsageError` for one that is too large, before it is made."""
        widths = [seen.x.shape[1], *(layer.units for layer in settings.hidden), self.rows.outputs[0]]
        make = partial(
            training.network,
            widths[0],
            [(layer.name, layer.units, layer.activation) for layer in settings.hidden],
            self.rows.outputs,
            optimizer(settings),
            self.rows.loss,
            self._start.initializer,
            settings.l1,
            settings.l2,
            settings.dropout,
        )
        parameters = sum((a + 1) * b for a, b in pairwise(widths))
        size = 16 * parameters + 4 * sum(widths) * GRID * GRID * (seen.grid is not None)
        if len(settings.hidden) > _DEEPEST:
            raise UsageError(
                f"A network of {len(settings.hidden)} layers takes too long to begin.", hint=f"at most {_DEEPEST} here"
            )
        if size > (free := free_memory()) / 2:
            raise UsageError(
                f"This network of {parameters:,} parameters takes {size / 1e9:,.1f} GB with its pictures; "
                f"{free / 1e9:,.1f} GB are free for all.",
                hint="fewer units or layers",
            )
        if parameters > _PLAIN:
            found = nacre.budget(make(), batch_size=min(settings.batch_size, len(self.rows.training)))
            if found.seconds_per_step > _SECONDS:
                raise UsageError(
                    f"A step of this network of {parameters:,} parameters takes {found.seconds_per_step:,.0f} s.",
                    hint="fewer units or layers, or a smaller batch",
                )
        with seeded((self._start.seed + self.step) % 2**32):
            model: nacre.Model = make()
            return model

    # -------------------------------------------------------------- what is seen

    def _dense(self) -> list[nacre.layers.Dense]:
        return [layer for layer in self.model.layers if isinstance(layer, nacre.layers.Dense)]

    def _watch(self) -> None:
        """A model of the same layers that gives what each of them gives."""
        x = nacre.Input((self.problem.x.shape[1],))
        outputs, here = [], x
        for layer in self._dense():
            here = layer(here)
            outputs.append(here)
        self._watching = Functional(x, outputs)

    def _note(self) -> None:
        """A point of the curve; when there are too many, every other one goes."""
        (train, _), (test, _) = self.figures()
        self.curve.append((self.step, train, test))
        if len(self.curve) > _POINTS:
            self._stride *= 2
            self.curve = [point for point in self.curve if point[0] % self._stride == 0]

    @property
    def judged(self) -> int:
        """Rows of each part that a step is judged by, so few that this takes no longer than the steps themselves."""
        return min(_JUDGED, max(1, _MOST_JUDGED // len(self.problem.x[0])))

    def figures(self) -> list[tuple[float, float]]:
        """Loss, and accuracy or mean absolute error, of training and test rows, of the first so many (`judged`) of each."""
        if self._figures is None:
            parts = self.problem.training, self.problem.test
            found = [self.model.evaluate(x[: self.judged], y[: self.judged], verbose=0) for x, y in parts]
            self._figures = [(float(loss), float(other)) for loss, other in found]
        return self._figures

    def frame(self) -> dict[str, Any]:
        """All numbers that are drawn of this step."""
        figures = self.figures()
        layers: list[dict[str, Any]] = []
        for layer in self._dense():
            kernel, bias = layer.get_weights()
            layers.append(
                {
                    "name": layer.name,
                    "kernel": _bytes(kernel[:SHOWN, :SHOWN]) if self.rows.side is None or layers else "",
                    "bias": _bytes(bias[:SHOWN]),
                    "units": len(bias),
                }
            )
        found = {
            "step": self.step,
            "epoch": self.at[0],
            "row": self.at[1],
            "ahead": self.ahead,
            "loss": [loss for loss, _ in figures],
            "score": [other for _, other in figures],
            "layers": layers,
        }
        return found | (self._pictures(layers) if self.rows.side else self._plane(layers))

    def _plane(self, layers: list[dict[str, Any]]) -> dict[str, Any]:
        """What each unit gives over the plane, each by its largest size, and what comes of it all."""
        outputs = self._outputs(self.problem.grid)
        said, top = outputs[-1], 1.0 if self.rows.classes else float(np.abs(self.rows.targets).max())
        if len(self.rows.classes) == 2:
            outputs[-1] = said = 2 * said - 1  # on which side of the boundary, and how far from it
        for layer, values in zip(layers, outputs, strict=True):
            cells = values[:, :SHOWN].T.reshape(-1, GRID, GRID)[:, ::2, ::2]
            layer["pictures"] = [_bytes(_signed(cell, top if layer is layers[-1] else None)) for cell in cells]
        if len(self.rows.classes) <= 2:
            return {"plane": _bytes(_signed(said[:, 0], top))}
        sure = (said.max(-1) - 1 / said.shape[1]) / (1 - 1 / said.shape[1])
        return {"winner": _bytes(said.argmax(-1).astype(np.uint8)), "sure": _bytes((255 * sure).astype(np.uint8))}

    def _pictures(self, layers: list[dict[str, Any]]) -> dict[str, Any]:
        """First weights as pictures, what units give for the first row of the test, classes taken for others, and what is said of
        some rows."""
        first = self._dense()[0].get_weights()[0][:, :SHOWN]
        x, y = self.problem.test
        x, y = x[:2000], y[:2000]
        said = self.model.predict(x, verbose=0)
        for layer, values in zip(layers[1:], self._outputs(x[:1])[1:], strict=True):
            layer["pictures"] = [_bytes(one) for one in _signed(values[0, :SHOWN])]
        confusion = np.zeros((len(self.rows.classes),) * 2, np.int64)
        np.add.at(confusion, (y, said.argmax(1)), 1)
        return {
            "first": [_bytes(_signed(column)) for column in first.T],
            "confusion": confusion,
            "said": said[:20].argmax(1),
            "sure": np.round(said[:20].max(1), 3),
        }

    def _outputs(self, x: Array | None) -> list[Array]:
        found = self._watching.predict(x, verbose=0)
        return found if isinstance(found, list) else [found]

    def shown(self) -> dict[str, Any]:
        """What does not change from step to step: settings and data, as the page draws them."""
        found = self.problem.shown() | {
            "settings": self.settings,
            "data": structs.replace(self._start.data, table=""),
            "seed": self._start.seed,
            "initializer": self._start.initializer,
            "changes": len(self._made),
            "judged": self.judged,
        }
        if self.problem.grid is not None:
            cells = self.problem.grid.T[:SHOWN].reshape(-1, GRID, GRID)[:, ::2, ::2]
            found["input_pictures"] = [_bytes(_signed(cell, max(1.0, float(np.abs(cell).max())))) for cell in cells]
        return found


def optimizer(settings: Settings) -> nacre.optimizers.Optimizer:
    """The optimizer that the settings name."""
    kind, more = OPTIMIZERS[settings.optimizer]
    made: nacre.optimizers.Optimizer = getattr(nacre.optimizers, kind)(settings.learning_rate, **more)
    return made


def _light(change: Change) -> bool:
    """Whether a change may be told together with another one, made at the same step."""
    return change.weight is None and not change.settings().keys() & REBUILT


def _signed(values: Array, largest: float | None = None) -> Array:
    """From -127 to 127, int8; the largest size by default that of the values."""
    values = np.nan_to_num(values)
    top = float(np.abs(values).max(initial=0)) if largest is None else largest
    return np.round(np.clip(values / (top or 1.0), -1, 1) * 127).astype(np.int8)


def _bytes(array: Array) -> str:
    return base64.b64encode(array.tobytes()).decode()


__all__ = ["OPTIMIZERS", "REBUILT", "SHOWN", "Session", "optimizer"]
