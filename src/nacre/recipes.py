"""Networks for data as it comes: dense layers behind what the data need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nacre.data import Features, Pictures
from nacre.layers import Augmentation, Concatenate, Dense, Dropout, Embedding, Flatten, Input, Layer, Rescaling, Symbol
from nacre.models import Functional, Model, Sequential

_EMBEDDED = 8  # numbers that stand for a term


def array_network(
    shape: Sequence[int],
    classes: int,
    widths: Sequence[int],
    activation: str,
    dropout: float,
    scale: int | None,
    kernel_initializer: str = "glorot_uniform",
) -> Sequential:
    """Dense layers, one after the other, and a probability for each class. Inputs are divided by ``scale``, if there is one.
    ``kernel_initializer`` is that of the hidden layers, here and below."""
    layers: list[Layer | Symbol] = [Input(shape)]
    layers += [Rescaling(1 / scale)] if scale else []
    layers += [Flatten(), *_hidden(widths, activation, dropout, kernel_initializer)]
    return Sequential([*layers, Dense(classes, activation="softmax")])


def picture_network(
    pictures: Pictures,
    widths: Sequence[int],
    activation: str,
    dropout: float,
    augment: Mapping[str, Any],
    kernel_initializer: str = "glorot_uniform",
) -> Sequential:
    """Dense layers behind pictures of bytes, which come as -1 to 1, in training augmented as ``augment`` says: the arguments of
    `layers.Augmentation`. The model keeps the rule by which files become pictures.

    >>> pictures = Pictures(8, 8, "rgb", "crop", ["cat", "dog"])
    >>> picture_network(pictures, [16], "relu", 0.0, {"flip": "horizontal"}).output_shape
    (None, 2)
    """
    layers: list[Layer | Symbol] = [Input(pictures.shape), Rescaling(1 / 127.5, -1.0)]
    layers += [Augmentation(**augment)] if augment else []
    layers += [Flatten(), *_hidden(widths, activation, dropout, kernel_initializer)]
    model = Sequential([*layers, Dense(len(pictures.classes), activation="softmax")])
    model.features = pictures
    return model


def table_network(
    features: Features,
    widths: Sequence[int],
    activation: str,
    dropout: float,
    kernel_initializer: str = "glorot_uniform",
) -> Model:
    """Dense layers behind the columns of a table; terms of categories become numbers that are learned.

    For each target, probabilities of its classes, or a number. The model keeps the features: it takes tables.

    >>> from nacre.data.tables import Table
    >>> table = Table.of({"age": [30, 41, 28], "city": ["Oslo", "Lima", "Oslo"], "paid": ["yes", "no", "no"]})
    >>> model = table_network(Features.fit(table, ["paid"]), [16], "relu", 0.0)
    >>> model.predict(table).shape
    (3, 2)
    """
    inputs: list[Symbol] = []
    parts: list[Symbol] = []
    if features.width:
        inputs.append(Input((features.width,), name="numbers"))
        parts.append(inputs[-1])
    if features.categories:
        inputs.append(Input((len(features.categories),), dtype="int32", name="categories"))
        parts.append(Flatten(name="terms")(Embedding(features.terms, _EMBEDDED, name="embedding")(inputs[-1])))
    x = Concatenate(name="row")(parts) if len(parts) > 1 else parts[0]
    for layer in _hidden(widths, activation, dropout, kernel_initializer):
        x = layer(x)
    outputs: list[Symbol] = []
    names = output_names(features)
    for target in features.targets:
        name = names[len(outputs)]
        if target.classes is None:
            y = Dense(1, name=f"{name} in deviations")(x)
            outputs.append(Rescaling(target.scale, target.mean, name=name)(y))
        else:
            outputs.append(Dense(len(target.classes), activation="softmax", name=name)(x))
    model = Functional(inputs, outputs)
    model.features = features
    return model


def output_names(features: Features) -> list[str]:
    """What the outputs of a network are called: like the targets, or "output" if there is one."""
    targets = features.targets
    return (
        ["".join(c if c.isprintable() and c != "/" else "_" for c in t.name) for t in targets]
        if len(targets) > 1
        else ["output"]
    )


def table_goals(features: Features) -> dict[str, Any]:
    """Losses and metrics for `table_network`, as `compile` takes them: a number counts in its deviations."""
    several = len(features.targets) > 1
    losses = ["mse" if t.classes is None else "sparse_categorical_crossentropy" for t in features.targets]
    shares = [1 / t.scale**2 if t.classes is None else 1.0 for t in features.targets]
    measured = [["mae", "r2_score"] if t.classes is None else ["accuracy"] for t in features.targets]
    return {
        "loss": losses if several else losses[0],
        "loss_weights": shares if several else [shares[0]],
        "metrics": measured if several else measured[0],
    }


def _hidden(widths: Sequence[int], activation: str, dropout: float, kernel_initializer: str) -> list[Layer]:
    found: list[Layer] = []
    for width in widths:
        dense = Dense(width, activation=activation, kernel_initializer=kernel_initializer)
        found += [dense, *([Dropout(dropout)] if dropout else [])]
    return found
