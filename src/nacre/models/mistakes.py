"""Arguments that nacre does not have, and what to do instead."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from nacre.errors import UsageError, did_you_mean

# What Keras has and nacre has not, and what to do instead.
_INSTEAD = {
    "run_eagerly": 'a step is always one program; device="reference" runs it in NumPy, operation by operation',
    "steps_per_execution": "an epoch is one call already",
    "jit_compile": "a step is always compiled",
    "auto_scale_loss": "bfloat16 reaches as far as float32: no gradient underflows that would not there",
    "validation_freq": "every epoch is validated; call evaluate where that is too often",
    "workers": "an iterable of batches can read ahead by itself",
    "max_queue_size": "an iterable of batches can read ahead by itself",
    "line_length": "a table is as wide as it must be",
    "positions": "a table is as wide as it must be",
    "expand_nested": "model.get_layer(name).summary() shows a model inside",
    "show_trainable": "the last line tells how many weights are trained; layer.trainable of which",
    "layer_range": "model.layers[a:b] are some layers",
    "safe_mode": "leave it out: nothing in a file is ever run",
    "use_multiprocessing": "an iterable of batches can read ahead by itself",
}


def refuse_unknown(method: Callable[..., Any], unknown: Mapping[str, Any]) -> None:
    """Name an argument that a method has not, and what to do instead."""
    for word in unknown:
        known = [name for name in inspect.signature(method).parameters if name != "unknown"]
        raise UsageError(
            f"{method.__name__} has no argument {word!r}.", hint=_INSTEAD.get(word) or did_you_mean(word, known)
        )
