"""A ledger of rows: how much each is at odds with the others, which are probably mislabeled, and which lie far out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.callbacks import EarlyStopping
from nacre.errors import Limitation, UsageError
from nacre.initializers import initial
from nacre.losses import Loss
from nacre.models import Model
from nacre.models.files import copied
from nacre.models.goals import probabilities
from nacre.plain import plain
from nacre.training import Inside, side_by_side

Array = npt.NDArray[Any]

_BLOCK = 1024  # rows that are looked into at a time, of which all that layers hold is in memory
_EPOCHS, _PATIENCE = 50, 2  # at most so many; a fold ends when the rows it does not see got no better for so many
_FAR = 6.0  # robust standard deviations beyond the median, where an input counts as outlying
_OFF = 4.0  # robust standard deviations, where a target counts as wrong

_WEAK = 0.8  # share of rows that judges should be right about, for their doubts to mean much


@dataclass(frozen=True)
class Ledger:
    """Rows, the most suspicious first: an array for each column, all of one length.

    ``row`` is the number of a row in the data, ``loss`` and ``gradient_norm`` what it adds to training, ``given`` and ``predicted``
    its class, as a number, or its value. ``probability`` is that of the given class, None where numbers are predicted, and
    ``residual`` the given less the predicted value, by robust standard deviations, None where there are classes. ``verdict`` says
    what is wrong, if something seems to be. ``folds`` models judged, 0 if it was the model itself.
    """

    row: Array
    loss: Array
    gradient_norm: Array
    given: Array
    predicted: Array
    probability: Array | None
    residual: Array | None
    verdict: Array
    folds: int
    classes: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.row)

    def hardest(self) -> Ledger:
        """The same rows by the norm of their gradients: first those that push the weights hardest."""
        return self._take(np.argsort(-self.gradient_norm, kind="stable"))

    def top(self, count: int) -> Ledger:
        """The first rows."""
        return self._take(np.arange(min(count, len(self))))

    def columns(self) -> dict[str, Array]:
        """The columns by name, classes by theirs."""
        names = None if self.classes is None else np.array(self.classes)
        said = {"given": self.given, "predicted": self.predicted}
        columns = {"row": self.row, "loss": self.loss, "gradient_norm": self.gradient_norm}
        columns |= {name: numbers if names is None else names[numbers] for name, numbers in said.items()}
        if self.probability is not None:
            columns["probability"] = self.probability
        if self.residual is not None:
            columns["residual"] = self.residual
        return columns | {"verdict": self.verdict}

    def summary(self) -> str:
        """How many rows there are, who judged them, and how many are suspicious."""
        counts = {what: sum(text.startswith(what) or text.endswith(what) for text in self.verdict) for what in _FOUND}
        found = ", ".join(f"{n:,} {_FOUND[what][n != 1]}" for what, n in counts.items() if n) or "nothing suspicious"
        who = f"{self.folds} models that did not see them" if self.folds else "the model as it is"
        told = f"{len(self):,} rows, judged by {who}: {found}"
        if self.probability is None or not len(self):
            return told
        right = float(np.mean(self.given == self.predicted))
        weak = "; such weak judges suspect many labels that are right" if right < _WEAK else ""
        return f"{told}. They give {right:.0%} of the rows their label{weak}"

    @property
    def rules(self) -> str:
        """Why a row gets its verdict, in one line."""
        wrong = (
            "probably mislabeled: the judge says another class, at least as surely as it does on average of rows with that label"
            if self.residual is None
            else f"target far off: more than {_OFF:g} robust standard deviations from what the judge says"
        )
        return f"{wrong}; outlying input: its norm is more than {_FAR:g} robust standard deviations above the median"

    def texts(self) -> dict[str, list[str]]:
        """The columns as people read them."""
        return {name: [_written(value) for value in column.tolist()] for name, column in self.columns().items()}

    def text(self, count: int = 20) -> str:
        """The summary, and a table of the first rows."""
        texts = {name.replace("_", " "): column for name, column in self.top(count).texts().items()}
        widths = {name: max(map(len, [name, *column])) for name, column in texts.items()}
        rows = [list(texts), *map(list, zip(*texts.values(), strict=True))]
        aligned = [
            "  ".join(
                f"{cell:<{width}}" if name == "verdict" else f"{cell:>{width}}"
                for (name, width), cell in zip(widths.items(), row, strict=True)
            ).rstrip()
            for row in rows
        ]
        more = [f"and {len(self) - count:,} more"] if len(self) > count else []
        return "\n".join([self.summary(), f"({self.rules})", "", *aligned, *more])

    def __str__(self) -> str:
        return self.text()

    def document(self) -> dict[str, Any]:
        """All of it, as JSON can hold it; numbers that are not finite as text."""
        return {
            "folds": self.folds,
            "rules": self.rules,
            **{name: plain(column) for name, column in self.columns().items()},
        }

    def _take(self, order: Array) -> Ledger:
        names = ("row", "loss", "gradient_norm", "given", "predicted", "probability", "residual", "verdict")
        taken: dict[str, Any] = {}
        for name in names:
            column = getattr(self, name)
            taken[name] = None if column is None else column[order]
        return replace(self, **taken)


_OUTLYING = "outlying input"
_FOUND = {
    "probably mislabeled": ("probably mislabeled", "probably mislabeled"),
    "target": ("target far off", "targets far off"),
    _OUTLYING: (_OUTLYING, "outlying inputs"),
}


def ledger(model: Model, x: Any, y: Any, folds: int = 5, classes: Sequence[str] | None = None) -> Ledger:
    """Rank the rows of x (n, ...) and y by how much they are at odds with the others: mislabeled and outlying ones come first.

    The rows are ranked by their loss. A model that was trained on them for long knows wrong labels by heart, so that their loss is
    small; therefore each row is judged by a model that did not see it. The rows are divided into ``folds`` parts, alike in their
    targets, and for each part a copy of the model, compiled as it is, is trained on the others from fresh weights, until its loss
    on the part itself got no better for 2 epochs, or 50 are over. With ``folds`` 0, the model judges as it is, which is quick, and
    good as long as it was not trained to the end. Weights that are not trained stay as they are. The model is not changed.

    A row is *probably mislabeled* if the model predicts another class, and is at least as sure of that as it is on average of rows
    that have this label. With numbers to predict, a *target* is far off if its residual is beyond 4 robust standard deviations. An
    *input is outlying* if what the first dense layer takes has a norm more than 6 robust standard deviations above the median: its
    gradient is that much larger for the same error. Of these, the farthest take turns with the rows of the largest losses, however
    well they are predicted. (A robust deviation is 1.4826 times the median distance from the median, and the standard
    deviation about the median where that is 0, as with rows of ones and zeros. A row may be both.)

    C. Northcutt, L. Jiang, I. Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 2021.
    Raises `UsageError` for a model that cannot be copied, or fewer rows than folds, `Limitation` for several outputs, several
    classes at once, or several numbers, and what `fit` raises.

    >>> import nacre
    >>> x = np.linspace(-1, 1, 200).reshape(-1, 1)
    >>> y = (x[:, 0] > 0).astype(int)
    >>> y[20], x[150] = 1, 40.0  # a wrong label, and a number that is far too large
    >>> model = nacre.Sequential([nacre.Input((1,)), nacre.layers.Dense(2, "softmax")])
    >>> model.compile(nacre.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
    >>> found = ledger(model, x, y)
    >>> for row, verdict in zip(found.row[:2], found.verdict[:2]):
    ...     print(row, verdict)
    20 probably mislabeled: 1 looks like 0
    150 outlying input
    """
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 0 or folds == 1:
        raise UsageError(f"folds is 0, for the model as it is, or a whole number from 2 on, got {folds!r}.")
    if len(model.judged_outputs()) != 1 or len(model.output_shapes) != 1:
        raise Limitation(f"A ledger is of one output, and {model.name!r} has several, or none with a loss.")
    count, some = model.rows_of(x, y)
    if count < max(folds, 2):
        raise UsageError("There are too few rows to divide.", {"rows": count, "folds": folds})
    (targets,) = some(np.arange(count))[1].values()
    given = _given(model.loss, np.asarray(targets))
    judges = [(model, np.arange(count))] if folds == 0 else _cross_fitted(model, some, given, folds)
    said, loss, gradient_norm, reach = _judged(judges, some, count)
    far = _robust(reach)
    outlying = far > _FAR
    order = _order(loss, np.where(outlying, far, -np.inf))
    if given.dtype.kind == "i":
        if said.ndim != 2:
            raise Limitation(f"The outputs are {said.shape[1:]} for each row, and a ledger is of one class.")
        p = probabilities(model.loss, said)
        names = [str(k) for k in range(p.shape[1])] if classes is None else list(classes)
        if len(names) != p.shape[1]:
            raise UsageError("There is one name for each class.", {"names": len(names), "classes": p.shape[1]})
        predicted, probability, residual = p.argmax(1), p[np.arange(count), given], None
        verdict = _of_labels(p, given, predicted, names)
    else:
        names, predicted, probability = None, said.reshape(count), None
        residual = _robust(given - predicted, center=0.0)
        verdict = _of_numbers(given, predicted, residual)
    both = zip(verdict, np.where(outlying, _OUTLYING, ""), strict=True)
    verdict = np.array(["; ".join(filter(None, said)) for said in both])
    found = Ledger(
        np.arange(count), loss, gradient_norm, given, predicted, probability, residual, verdict, folds, names
    )
    return found._take(order)


def _judged(
    judges: Sequence[tuple[Model, Array]], some: Callable[[Array], tuple[Any, Any]], count: int
) -> tuple[Array, Array, Array, Array]:
    """What is said of each row by the model that judges it, its loss, the norm of its gradient, and that of its input."""
    loss, gradient_norm, reach = (np.zeros(count) for _ in range(3))
    outputs: list[Array] = [np.zeros(0)] * len(judges)
    for number, (judge, rows) in enumerate(judges):
        outputs[number] = np.asarray(judge.predict(some(rows)[0], verbose=0), np.float64)
        for first in range(0, len(rows), _BLOCK):
            block = rows[first : first + _BLOCK]
            xs, ys = some(block)
            inside = judge.inside(xs, ys, layers=False)  # with layers, it would hand out their gradients too
            loss[block] = inside.losses
            gradient_norm[block] = np.sqrt(sum(norm.astype(np.float64) ** 2 for norm in inside.norms.values()))
            reach[block] = _reach(judge.inside(xs))
    said = np.zeros((count, *outputs[0].shape[1:]))
    for (_, rows), output in zip(judges, outputs, strict=True):
        said[rows] = output
    return said, loss, gradient_norm, reach


# ------------------------------------------------------------------ models that did not see what they judge


def _cross_fitted(
    model: Model, some: Callable[[Array], tuple[Any, Any]], given: Array, folds: int
) -> list[tuple[Model, Array]]:
    """A model for each fold, trained on the others, and the rows of the fold."""
    shuffled = np.random.default_rng(0).permutation(len(given))
    shuffled = shuffled[np.argsort(given[shuffled], kind="stable")]  # neighbors, alike in target, go to different folds
    parts = [np.sort(shuffled[fold::folds]) for fold in range(folds)]
    models = [_fresh(model, fold) for fold in range(folds)]
    stops = [EarlyStopping("val_loss", patience=_PATIENCE) for _ in models]

    def task(fold: int) -> Callable[[], None]:
        def train() -> None:
            others = np.setdiff1d(np.arange(len(given)), parts[fold])
            models[fold].fit(
                *some(others), epochs=_EPOCHS, verbose=0, validation_data=some(parts[fold]), callbacks=[stops[fold]]
            )

        return train

    def stop() -> None:
        for one in models:
            one.stop_training = True

    side_by_side([task(fold) for fold in range(folds)], stop)
    return list(zip(models, parts, strict=True))


def _fresh(model: Model, fold: int) -> Model:
    """A copy whose trained weights begin anew, and its optimizer too."""
    fresh = copied(model, "The rows are judged by copies of the model", "folds=0 judges with the model itself")
    for number, weight in enumerate(fresh.weights):
        if weight.trainable:
            weight.assign(initial(weight.initializer, weight.shape, weight.dtype, 1000 * fold + number))
    optimizer = model.optimizer
    fresh.compile(type(optimizer).from_config(optimizer.get_config()), model.loss)
    return fresh


# ------------------------------------------------------------------ what is said of a row


def _given(loss: Loss, targets: Array) -> Array:
    """The targets: class numbers (n,) as whole numbers, or numbers (n,) as float64."""
    rows = targets.reshape(len(targets), -1)
    if loss.targets == "probabilities" and rows.shape[1] > 1:
        if not np.allclose(rows.sum(1), 1):
            raise Limitation(
                "The targets say yes to several classes at once, or to none, and a ledger is of one class."
            )
        return np.asarray(rows.argmax(1))
    if rows.shape[1] > 1:
        raise Limitation(f"There are {rows.shape[1]} targets for each row, and a ledger is of one.")
    if loss.targets == "probabilities":
        return (rows[:, 0] > 0.5).astype(np.int64)
    return rows[:, 0].astype(np.int64 if loss.targets == "labels" else np.float64)


def _of_labels(p: Array, given: Array, predicted: Array, names: Sequence[str]) -> Array:
    """A verdict on labels ``given`` (n,), by probabilities p (n, classes)."""
    usual = [p[given == k, k].mean() if (given == k).any() else 1.0 for k in range(p.shape[1])]
    wrong = (predicted != given) & (p.max(1) >= np.array(usual)[predicted])
    pairs = zip(given.tolist(), predicted.tolist(), wrong.tolist(), strict=True)
    return np.array([f"probably mislabeled: {names[a]} looks like {names[b]}" if bad else "" for a, b, bad in pairs])


def _of_numbers(given: Array, predicted: Array, residual: Array) -> Array:
    pairs = zip(given.tolist(), predicted.tolist(), (np.abs(residual) > _OFF).tolist(), strict=True)
    return np.array([f"target far off: {a:.4g}, where {b:.4g} is expected" if bad else "" for a, b, bad in pairs])


def _reach(inside: Inside) -> Array:
    """Norms of the inputs of the first dense layer, by which its gradients grow."""
    for call in inside.calls:
        if getattr(call.layer, "kernel", None) is not None:
            taken = call.inputs[0].astype(np.float64)
            return np.asarray(np.linalg.norm(taken.reshape(len(taken), -1), axis=1))
    return np.zeros(len(inside.calls[0].output))


def _robust(values: Array, center: float | None = None) -> Array:
    """Distances from the median, or ``center``, by robust standard deviations; where more than half of the values are the same, so
    that these are 0, by the root of the mean square of the distances."""
    middle = float(np.median(values)) if center is None else center
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    if spread <= 1e-6 * abs(middle):
        spread = float(np.sqrt(np.mean((values - middle) ** 2)))
    return (values - middle) / max(spread, 1e-6 * abs(middle), 1e-12)


def _order(loss: Array, far: Array) -> Array:
    """The largest losses first; rows that lie far out, which are those with a finite ``far``, by turns with them."""
    places = np.arange(len(loss))
    by_loss, by_far = np.empty(len(loss), int), np.empty(len(loss), int)
    by_loss[np.argsort(-loss, kind="stable")] = places
    by_far[np.argsort(-far, kind="stable")] = places
    return np.lexsort((by_loss, np.minimum(by_loss, np.where(np.isfinite(far), by_far, len(loss)))))


def _written(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


__all__ = ["Ledger", "ledger"]
