"""The rows that are examined: all, where they lie in arrays; some, where they come in batches or are read in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.data.dataset import Column, Dataset
from nacre.data.shards import Shards
from nacre.data.stream import Stream
from nacre.errors import UsageError
from nacre.models import Model

Array = npt.NDArray[Any]

_ROWS, _BYTES = 20_000, 1 << 28  # of batches or pieces that are looked at


@dataclass(frozen=True)
class Rows:
    """Rows of a model's inputs and targets, and their weights, if they have any. ``batch`` are the rows of a batch, where the data
    say so; ``told`` says which rows these are, where they need not be all."""

    data: Dataset
    model: Model
    batch: int | None = None
    told: str = ""

    def __len__(self) -> int:
        return len(self.data)

    def take(self, rows: Array) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
        """Inputs, targets and weights of some rows, by the names of the model's inputs and outputs."""
        outputs = [name for _, name, _ in self.model._judged()]
        parts = ((self.model.input_names, self.data.inputs), (outputs, self.data.targets))
        weights = (outputs, self.data.weights) if self.data.weights else ([], ())
        x, y, w = (
            {name: np.asarray(column.take(rows)) for name, column in zip(names, columns, strict=True)}
            for names, columns in (*parts, weights)
        )
        return x, y, w


def rows_of(model: Model, x: Any, y: Any = None, weight: Any = None, steps: int | None = None) -> Rows:
    """The rows of data as `Model.fit` takes them: of batches, the first; of pieces, some from all over."""
    return _some(model, model._source(x, y, steps, weight=weight))


def divided(model: Model, x: Any, y: Any, weight: Any, fraction: float) -> tuple[Rows, Rows]:
    """All but the last ``fraction`` of the rows, and those, as `Model.fit` divides them."""
    data = model._source(x, y, None, weight=weight)
    if isinstance(data, Stream):
        raise UsageError("batch_size and validation_split are for arrays, but x is an iterable of batches.")
    train, held = data.split(fraction)
    return _some(model, train), _some(model, held)


def _some(model: Model, data: Dataset | Shards | Stream) -> Rows:
    if isinstance(data, Dataset):
        return Rows(data, model)
    if isinstance(data, Stream):
        batches = _until_enough(data.batches())
        found = _joined(batches)
        told = f"These are the first {len(found):,} rows that the data give, in {len(batches):,} batches."
        return Rows(found, model, len(batches[0]), told)
    random = np.random.default_rng(0)
    window, order = next(iter(data.windows(1, permutation=lambda count, _number: random.permutation(count))))
    chosen = np.sort(order[: _most(window)])
    columns = (
        [Column(c.name, c.take(chosen)) for c in part] for part in (window.inputs, window.targets, window.weights)
    )
    found = Dataset.of(*map(tuple, columns))
    whole = len(found) == len(data)
    return Rows(found, model, told="" if whole else f"These are {len(found):,} of {len(data):,} rows, from all over.")


def _most(data: Dataset) -> int:
    """How many rows of such data are looked at."""
    width = sum(column.array[:1].nbytes for column in data.columns)
    return max(1, min(_ROWS, _BYTES // max(width, 1)))


def _until_enough(batches: Iterable[Dataset]) -> list[Dataset]:
    found: list[Dataset] = []
    for batch in batches:
        found.append(batch)
        if sum(map(len, found)) >= _most(batch):
            break
    return found


def _joined(batches: list[Dataset]) -> Dataset:
    def joined(columns: Iterable[tuple[Column, ...]]) -> tuple[Column, ...]:
        return tuple(Column(c[0].name, np.concatenate([one.array for one in c])) for c in zip(*columns, strict=True))

    return Dataset.of(
        joined(b.inputs for b in batches), joined(b.targets for b in batches), joined(b.weights for b in batches)
    )


__all__ = ["Rows", "divided", "rows_of"]
