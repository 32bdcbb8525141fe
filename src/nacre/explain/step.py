"""Looking into one step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre import ops
from nacre.calculus import grad
from nacre.data import Features, Table, looks_like_table
from nacre.data.features import Given
from nacre.errors import Limitation, UsageError
from nacre.explain.explanation import Explanation, LayerStep, WeightStep
from nacre.layers import (
    BatchNormalization,
    Concatenate,
    Embedding,
    Flatten,
    Identity,
    InputLayer,
    Normalization,
    Rescaling,
)
from nacre.layers.layer import now
from nacre.layers.symbol import leading_to
from nacre.losses import Loss
from nacre.models import Model
from nacre.optimizers import SGD
from nacre.training.inside import Call, looked_at

Array = npt.NDArray[Any]

_MOST_ROWS = 32
_NUMBER_BY_NUMBER = (BatchNormalization, Flatten, Identity, Normalization, Rescaling)


def explain(model: Model, x: Any, y: Any = None) -> Explanation:
    """One step of ``model`` on rows x (n, ...), n at most 32, with all its numbers: the forward pass, and, with targets y, the
    loss, the backward pass, and what the optimizer makes of each weight. The model stays as it is.

    All is computed as in a prediction: dropout does not act, and batches are not normalized by themselves. Gradients by weights are
    those of the loss of all rows, and new weights what the optimizer makes of these gradients, with the slots that it has by now.

    If the model knows what columns of a table mean (`Model.features`), x may be such a table, and inputs are called by the columns
    that they stand for, as in "city = Paris".

    The explanation can be printed, and saved as a page or as a spreadsheet that computes the step by formulas. These are there for
    Dense, Activation, ReLU, LeakyReLU, ELU, Softmax, BatchNormalization, Normalization, Rescaling, Flatten, Reshape, Identity,
    Dropout and whatever else acts by chance in training only, one behind the other, and for Embedding and Concatenate in front of
    them; for the commonest activations; for crossentropies, and mean squared and absolute errors. New weights are in a spreadsheet
    those of plain gradient descent.

    Raises `UsageError` for more rows or none, `Limitation` for a model with several outputs, and what `fit` raises for data that do
    not fit. The backward pass is that of D. Rumelhart, G. Hinton, R. Williams, "Learning representations by back-propagating
    errors", 1986.

    >>> import nacre
    >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1, kernel_initializer="ones", name="line")])
    >>> model.compile(nacre.optimizers.SGD(0.1), "mse")
    >>> step = explain(model, np.array([[1.0, 2.0]]), np.array([5.0]))
    >>> step.losses.tolist(), step.layer("line").score_error.tolist()
    ([4.0], [[-4.0]])
    >>> step.blame("line", most=1)[0][:5], step.layer("line").weights["kernel"].new.round(6).tolist()
    ((1, 0, 2.0, -4.0, -8.0), [[1.399999976158142], [1.7999999523162842]])
    """
    if not isinstance(model, Model):
        raise UsageError(f"explain looks at a model, got {model!r}.")
    rows = len(model._columns(x))
    if not 0 < rows <= _MOST_ROWS:
        raise UsageError(f"A step is explained on 1 to {_MOST_ROWS} rows, got {rows:,}.", hint="x[:1]")
    inside = model.inside(x, y)
    if len(model.output_shapes) > 1:
        raise Limitation(f"{model.name!r} has several outputs, and a step is explained for one.", hint="model.inside")
    gradients = {} if y is None else model.gradients(x, y)
    new = _next_weights(model, gradients)
    names = {id(w): name for name, w in model.named.items()}
    layers = [_layer(call, names, gradients, new) for call in looked_at(inside.calls)]
    takes = _takes(model, inside.calls)
    given = _given(model, x)
    terms = None if given is None else model.features.vocabulary  # type: ignore[union-attr]
    if given is not None and takes is not None:
        layers = _called(layers, takes, given)
    classes = None if model.features is None else getattr(model.features, "classes", None)
    classes = list(classes) if classes is not None and len(classes) == layers[-1].output.shape[-1] else None
    otherwise = _otherwise(model)
    notes = [f"as in a prediction, unlike in training: {', '.join(otherwise)}"] if otherwise else []
    if y is None:
        return Explanation(model.name, layers, rows, classes, takes=takes, notes=notes, given=given, terms=terms)
    optimizer, loss = model.optimizer, model.loss
    ((_, _, judged),) = model._judged()
    config = optimizer.get_config()
    wanted = model._dataset(x, y).targets[0].array
    return Explanation(
        model.name,
        layers,
        rows,
        classes,
        _targets(wanted, loss, layers[-1].output),
        inside.losses,
        loss,
        1.0 if judged.share is None else judged.share,
        type(optimizer).__name__,
        optimizer.learning_rate,
        isinstance(optimizer, SGD) and config == SGD(config["learning_rate"], name=config["name"]).get_config(),
        takes,
        notes,
        given,
        terms,
    )


def _layer(call: Call, names: Mapping[int, str], gradients: Mapping[str, Array], new: Mapping[str, Array]) -> LayerStep:
    activation = getattr(call.layer, "activation", None)
    scores, score_error, error = call.scores, call.score_error, call.error
    if activation is None:  # what hands on its input has the scores of the layer before
        scores = score_error = None
    ends = [own.rpartition("/")[2] for own in call.layer.named]
    steps = {
        end if ends.count(end) == 1 else own: WeightStep(w.numpy(), gradients.get(names[id(w)]), new.get(names[id(w)]))
        for end, (own, w) in zip(ends, call.layer.named.items(), strict=True)
    }
    slope = None
    if scores is not None and error is not None and score_error is not None:
        slope = _slope(activation, scores)
        # Where an output depends on several scores, as in softmax, there is no factor for each.
        slope = slope if np.allclose(error * slope, score_error, rtol=1e-4, atol=1e-30) else None
    return LayerStep(call.name, call.layer, call.inputs, call.output, scores, error, slope, score_error, steps)


def _slope(activation: Any, scores: Array) -> Array:
    """Derivatives of an activation that works element by element."""
    slope: Array = np.asarray(grad(lambda z: ops.sum(activation(z)))(scores))
    return slope


def _next_weights(model: Model, gradients: Mapping[str, Array]) -> dict[str, Array]:
    """What the optimizer makes of the weights that are trained, in the step that comes next."""
    if not gradients:
        return {}
    assert model._trainer is not None  # it made the gradients
    optimizer, state = model.optimizer, model._trainer.state
    trained = {name: model.named[name] for name in gradients}
    slots = [
        {
            slot: ops.constant(
                state[key].read() if (key := f"{name}/{slot}") in state else np.full(w.shape, start, w.dtype)
            )
            for slot, start in optimizer.state().items()
        }
        for name, w in trained.items()
    ]
    numbers = {name: ops.constant(values[0]) for name, values in optimizer.numbers(1).items()}
    moved = optimizer.step(trained, [ops.constant(g) for g in gradients.values()], slots, numbers)
    found = [
        new if w.constraint is None else w.constraint(new) for w, (new, _) in zip(trained.values(), moved, strict=True)
    ]
    return {name: np.asarray(value) for name, value in zip(trained, now(found), strict=True)}


def _targets(given: Array, loss: Loss, outputs: Array) -> Array | None:
    """Targets in the form of the outputs (n, k); None for outputs that are no rows of numbers."""
    if outputs.ndim != 2:
        return None
    given = np.asarray(given).reshape(len(outputs), -1)
    if loss.targets != "labels":
        return given.astype(np.float32)
    hot: Array = (given == np.arange(outputs.shape[1])).astype(np.float32)
    return hot


def _takes(model: Model, calls: Sequence[Call]) -> list[list[int]] | None:
    """Of each call, the places of those whose outputs it takes; None where that is not known: if a layer is called again, or is in
    a model inside."""
    places = {id(call.layer): at for at, call in enumerate(calls)}
    # An input that nobody wrote is no call.
    symbols = [symbol for symbol in leading_to(model.outputs) if symbol.operands or id(symbol.layer) in places]
    if Counter(id(call.layer) for call in calls) != Counter(id(symbol.layer) for symbol in symbols):
        return None
    if len(places) < len(calls):
        return None
    found: list[list[int]] = [[] for _ in calls]
    for symbol in symbols:
        found[places[id(symbol.layer)]] = [places[id(o.layer)] for o in symbol.operands if id(o.layer) in places]
    return found


def _given(model: Model, x: Any) -> list[list[Given]] | None:
    """What the numbers of each row stand for, if the model knows."""
    features = model.features
    if not isinstance(features, Features):
        return None
    table = Table.of(x) if looks_like_table(x) else None
    columns = [column.array for column in model._columns(x).inputs]
    widths = {"numbers": features.width, "categories": len(features.categories)}
    wanted = {name: (width,) for name, width in widths.items() if width}
    inputs = dict(zip(model.input_names if len(columns) > 1 else wanted, columns, strict=False))
    if {
        name: array.shape[1:] for name, array in inputs.items()
    } != wanted:  # a network of one's own may take something else
        return None
    return features.given(inputs, table)


def _called(
    layers: Sequence[LayerStep], takes: Sequence[Sequence[int]], given: Sequence[Sequence[Given]]
) -> list[LayerStep]:
    """The layers, each with what its numbers are called, as long as each of them stands for one column."""
    names = [[one.name for one in row] for row in given]
    found: list[LayerStep] = []
    for at, step in enumerate(layers):
        before = [found[n].called for n in takes[at]]
        called: list[list[str]] | None = None
        if isinstance(step.layer, InputLayer):
            width = step.output.shape[1]
            called = [row[-width:] if step.name == "categories" else row[:width] for row in names]
        elif None not in before:
            rows = [[name for of in before if of is not None for name in of[row]] for row in range(len(names))]
            if isinstance(step.layer, Embedding):
                count = step.output.shape[-1]
                called = [[f"{name} [{n}]" for name in row for n in range(count)] for row in rows]
            elif isinstance(step.layer, Concatenate):
                called = rows if step.output.ndim == 2 else None
            elif isinstance(step.layer, _NUMBER_BY_NUMBER) or step.layer.by_chance:
                called = rows
        found.append(replace(step, called=called))
    return found


def _otherwise(model: Model) -> list[str]:
    """Names of the layers that act otherwise in training."""
    return [p.name for p in model._parts() if p.by_chance or (isinstance(p, BatchNormalization) and p.trainable)]


__all__ = ["explain"]
