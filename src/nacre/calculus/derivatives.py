"""Derivatives of functions written with `nacre.ops`, as functions of arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre import ops
from nacre.autodiff import gradients
from nacre.calculus.trees import flatten, rebuild
from nacre.errors import DTypeError, ShapeError, UsageError
from nacre.ir import FLOATS, Input, TensorType, Value, order
from nacre.passes import replay

Array = npt.NDArray[Any]


def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., Any]:
    """The gradient of a scalar function, as a function of the same arguments.

    ``f`` takes arrays, or lists, tuples and dictionaries of arrays, and is written with `nacre.ops`; it returns a scalar.
    ``argnums`` says with respect to which argument the gradient is taken, counted from 0; several give a tuple. Other arguments are
    handed on as they are. A gradient is an array in the shape and dtype of its argument: float64 for Python numbers.

    The gradient of a gradient is the second derivative. Raises `DTypeError` for whole numbers, `ShapeError` if ``f`` returns no
    scalar, `UsageError` if it does not return a value of `nacre.ops`.

    >>> import nacre
    >>> from nacre import ops
    >>> nacre.grad(lambda x: x**3)(2.0)
    array(12.)
    >>> nacre.grad(nacre.grad(ops.sin))(np.pi / 2)
    array(-1.)
    >>> nacre.grad(lambda w: ops.sum((w["a"] * w["b"]) ** 2))({"a": 3.0, "b": np.array([1.0, 2.0])})
    {'a': array(30.), 'b': array([18., 36.])}
    """
    both = value_and_grad(f, argnums)

    def gradient(*args: Any) -> Any:
        """The gradient at these arguments."""
        return both(*args)[1]

    return gradient


def value_and_grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., tuple[Any, Any]]:
    """The value of a scalar function and its gradient, as `grad` has it, at once.

    >>> import nacre
    >>> nacre.value_and_grad(lambda x, y: x**2 * y, argnums=(0, 1))(3.0, 2.0)
    (array(18.), (array(12.), array(9.)))
    """
    if not callable(f):
        raise UsageError(f"A gradient is taken of a function, got {f!r}.", hint="grad(f)(x), not grad(f(x))")

    def both(*args: Any) -> tuple[Any, Any]:
        """The value and the gradient at these arguments."""
        places = _places(argnums, len(args))
        given = leaves(args, places)
        values = {name: x if isinstance(x, Value) else ops.constant(x, str(x.dtype)) for name, x in given.items()}
        inputs = {name: Input(name, value.type) for name, value in values.items()}
        y = call(f, args, places, inputs)
        outputs = [y, *gradients(y, [*inputs.values()])]
        outside = {i for i in order(outputs) if isinstance(i, Input)} - {*inputs.values()}
        found: list[Any]
        if outside or any(
            isinstance(x, Value) for x in given.values()
        ):  # another function, which has more to come, is traced
            found = replay(outputs, {inputs[name]: value for name, value in values.items()})
        else:
            found = ops.evaluate(outputs, given)
        by_name = dict(zip(inputs, found[1:], strict=True))
        parts = [rebuild(args[place], by_name, _name(place)) for place in places]
        return found[0], parts[0] if isinstance(argnums, int) else tuple(parts)

    return both


def leaves(args: Sequence[Any], places: Sequence[int]) -> dict[str, Any]:
    """What is in the arguments at these places, by name: values, or arrays of fractions, else `DTypeError`."""
    return {n: _fractions(n, x) for place in places for n, x in flatten(args[place], _name(place)).items()}


def call(f: Callable[..., Any], args: Sequence[Any], places: Sequence[int], inputs: Mapping[str, Value]) -> Value:
    """What ``f`` gives for ``inputs`` at these places, and for the rest of ``args``: a scalar, or an error that says why not."""
    given = [rebuild(x, inputs, _name(n)) if n in places else x for n, x in enumerate(args)]
    try:
        y = f(*given)
    except TypeError as error:
        if "__array_ufunc__" not in str(error):
            raise
        raise UsageError(
            "The function uses a function of NumPy, which cannot follow how its result came about.",
            hint="the function of the same name in nacre.ops",
        ) from error
    if not isinstance(y, Value):
        raise UsageError(
            f"The function returned {type(y).__name__}, not a value of nacre.ops, so nothing says how it came about.",
            hint="write it with nacre.ops and its argument",
        )
    if y.shape != ():
        raise ShapeError(
            f"A gradient is taken of a function that returns a scalar, this returned {y.type}.",
            hint="nacre.ops.sum or nacre.ops.mean makes one number of it",
        )
    if not y.type.is_float:
        raise DTypeError(f"The function returned {y.type}: whole numbers and truth values have no gradient.")
    return y


def type_of(x: Array) -> TensorType:
    """The type of an array of float32 or float64."""
    return TensorType(x.shape, str(x.dtype))


def _name(place: int) -> str:
    return f"argument {place}"


def _fractions(name: str, x: Any) -> Any:
    array = x if isinstance(x, Value) else np.asarray(x)
    if str(array.dtype) not in FLOATS:
        raise DTypeError(
            f"Gradients are taken with respect to float32 or float64 numbers, but {name} is {array.dtype}.",
            hint="2.0 instead of 2; x.astype(float); or argnums, to choose another argument",
        )
    return array


def _places(argnums: int | Sequence[int], count: int) -> list[int]:
    chosen = [argnums] if isinstance(argnums, int) else list(argnums)
    if not chosen or any(isinstance(n, bool) or not isinstance(n, int) or not -count <= n < count for n in chosen):
        raise UsageError(
            f"argnums are places of arguments, got {argnums!r}.", {"arguments": count}, "the first is 0, the last is -1"
        )
    return [n % count for n in chosen]
