"""From a word to a network: mlp:128,64, or a function in a file of one's own."""

from __future__ import annotations

import importlib.util
import inspect
import math
from pathlib import Path
from typing import Any

from nacre import optimizers
from nacre.cli.settings import Settings, augmentation
from nacre.cli.sources import Source
from nacre.data import Features, Pictures
from nacre.errors import UsageError
from nacre.models import Model
from nacre.recipes import array_network, picture_network, table_goals, table_network


def widths_of(text: str) -> list[int] | None:
    """Widths of hidden layers; None for what is no mlp.

    >>> widths_of("mlp:128,64"), widths_of("mlp:none"), widths_of("model.py:build")
    ([128, 64], [], None)
    """
    kind, _, said = text.partition(":")
    if kind != "mlp":
        return None
    words = [] if said in ("", "none") else said.split(",")
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise UsageError(f"{text!r} is no network.", hint="mlp:128, mlp:128,64 or mlp:none")
    return [int(word) for word in words]


def network(settings: Settings, source: Source) -> Model:
    """The network that is asked for, compiled."""
    widths = widths_of(settings.model)
    hidden, begin = (settings.activation, settings.dropout), settings.kernel_initializer
    if widths is None:
        model = _own(settings.model, source)
    elif isinstance(source.features, Pictures):
        amounts = augmentation(settings.augment)
        model = picture_network(source.features, widths, *hidden, amounts, begin)
    elif source.features is not None:
        model = table_network(source.features, widths, *hidden, begin)
    else:
        shape, classes = source.train.x.shape[1:], len(source.classes)
        model = array_network(shape, classes, widths, *hidden, source.scale, begin)
    if model._settings is None:
        goals: dict[str, Any] = {"loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
        goals = table_goals(source.features) if isinstance(source.features, Features) else goals
        optimizer = _optimizer(settings, -(-len(source.train) // settings.batch_size) * settings.epochs)
        model.compile(optimizer, **goals, device=settings.device)
    elif settings.device != "native":
        model.compile_from_config(model.get_compile_config() | {"device": settings.device})
    if source.features is not None:
        model.features = source.features
    return model


def _optimizer(settings: Settings, steps: int) -> optimizers.Optimizer:
    rate = settings.learning_rate
    if not math.isfinite(rate):
        raise UsageError(f"A learning rate is a number, got {rate}.")
    config: dict[str, Any] = {"learning_rate": rate} | ({"momentum": settings.momentum} if settings.momentum else {})
    if not 0 <= settings.average < 1:
        raise UsageError(f"The share that an average keeps is from 0 to less than 1, got {settings.average}.")
    average = min(settings.average, 1 - 10 / steps)  # over no more than a tenth of the training
    config |= {"use_ema": True, "ema_momentum": average} if average > 0 else {}
    return optimizers.get({"class_name": type(optimizers.get(settings.optimizer)).__name__, "config": config})


def _own(text: str, source: Source) -> Model:
    """What a function in a file of the user's makes: ``build()``, or ``build(source)``."""
    file, _, name = text.rpartition(":")
    path = Path(file)
    if path.suffix != ".py" or not name.isidentifier():
        raise UsageError(f"{text!r} is no network.", hint="mlp:128,64, or a function in a file: model.py:build")
    if not path.is_file():
        raise UsageError(f"There is no file {path}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    build = getattr(module, name, None)
    if not callable(build):
        raise UsageError(f"{path} has no function {name!r}.")
    model = build(source) if inspect.signature(build).parameters else build()
    if not isinstance(model, Model):
        raise UsageError(f"{text} gave {type(model).__name__}, expected a model.")
    return model
