"""What people look for and nacre does not have, and what to do instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from nacre.errors import did_you_mean

_DENSE = "nacre is for dense networks: what goes before them is done to the data"
# Patterns of names, and the way out; the first that fits counts.
_WAYS = {
    r"layers\.(\w*Conv|\w*Pool|UpSampling|ZeroPadding|Cropping|SpatialDropout)\w*": _DENSE,
    r"layers\.(\w*LSTM|\w*GRU|\w*RNN|TimeDistributed|Bidirectional|Masking)\w*": "nothing goes through time: a row is a sample",
    r"layers\.(\w*Attention|EinsumDense)": _DENSE,
    r"layers\.(Random|Resizing|CenterCrop|MixUp|CutMix|RandAugment)\w*": "layers.Augmentation moves, turns and covers pictures",
    r"layers\.(Hashing|HashedCrossing)": "layers.StringLookup or layers.IntegerLookup, which know their terms",
    r"layers\.TextVectorization": "split the text first, then layers.StringLookup",
    r"layers\.GroupNormalization": "layers.LayerNormalization",
    r"metrics\.(Mean|Sum)": "numpy.mean of what was collected; metrics of models are in this room",
    r"metrics\.MeanMetricWrapper": "give the function itself: metrics=[function]",
    r"metrics\.[a-z_]+": "the function of this name is in nacre.losses, or the class in nacre.metrics",
    r"ops\.convert_to_tensor": "leave it out: operations take arrays and numbers as they are",
    r"ops\.convert_to_numpy": "value.numpy()",
    r"ops\.(cond|while_loop|fori_loop|scan|map)": "ops.where chooses by element; a program has no loops",
    r"ops\.(nn|numpy)": "the functions are in nacre.ops itself",
    r"random": "nacre.ops.uniform and nacre.ops.normal, with a layer's own numbers; nacre.utils.set_random_seed",
    r"saving": "nacre.models.load_model, nacre.utils.custom_object_scope",
    r"backend": "nacre.ops; compile(device=...) chooses what computes",
    r"mixed_precision": 'nacre.config.set_dtype_policy("mixed_bfloat16")',
    r"Variable": "Layer.add_weight makes weights, Metric.add_variable totals",
    r"utils\.(plot_model)": "model.summary(), or nacre plan MODEL",
    r"utils\.(PyDataset|Sequence)": "any iterable of batches (x, y) can be given to fit",
    r"utils\.(register_keras_serializable|get_custom_objects|CustomObjectScope)": "utils.custom_object_scope({name: class})",
}


def way(name: str) -> str | None:
    """What to do instead of something that nacre has not, if that is known, by its name with its room.

    >>> way("layers.Conv2D")
    'nacre is for dense networks: what goes before them is done to the data'
    """
    return next((instead for pattern, instead in _WAYS.items() if re.fullmatch(pattern, name)), None)


def absent(room: str, known: Iterable[str]) -> Callable[[str], Any]:
    """A ``__getattr__`` for a room, whose error says what to do instead."""
    names = list(known)

    def __getattr__(name: str) -> NoReturn:  # noqa: N807 - it becomes one
        full = f"{room}.{name}" if room else name
        hint = way(full) or did_you_mean(name, names)
        raise AttributeError(f"nacre{f'.{room}' if room else ''} has no {name!r}.\n  try:  {hint}", name=name)

    return __getattr__
