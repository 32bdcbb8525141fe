"""Kernels that are no register programs: what each primitive asks of the lowering, one rule each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from nacre.backends.native import fusion
from nacre.backends.native.plan import PANELED, PLAIN, TURNED, Step, key_of, padded_bytes
from nacre.errors import Limitation
from nacre.ir import PANEL, Value, panels

if TYPE_CHECKING:
    from nacre.backends.native.lowering import Lowering


def walk(
    item: int, axes: list[tuple[int, int, int]], output_items: int, zero: bool = False, start: int = 0, to: int = 0
) -> list[int]:
    """The integers of `copy`; axes are (size, input stride, output stride)."""
    merged: list[tuple[int, int, int]] = []
    for size, i, o in axes:
        if merged and merged[-1][1] == size * i and merged[-1][2] == size * o:
            merged[-1] = (merged[-1][0] * size, i, o)
        elif size != 1:
            merged.append((size, i, o))
    return [item, int(zero), output_items, start, to, len(merged), *(n for axis in merged for n in axis)]


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[a + 1 :]) for a in range(len(shape))]


def item_bytes(x: Value) -> int:
    """Bytes of an element."""
    return 1 if x.dtype in ("bool", "uint8") else 4


def _broadcast(lowering: Lowering, y: Value) -> None:
    x = y.operands[0]
    steps = dict(zip(y.attrs["axes"], _strides(x.shape), strict=True))
    axes = [(n, steps.get(a, 0), o) for a, (n, o) in enumerate(zip(y.shape, _strides(y.shape), strict=True))]
    lowering.step("copy", y, [lowering.buffer(x)], walk(item_bytes(y), axes, y.type.size), "broadcast")


def _transpose(lowering: Lowering, y: Value) -> None:
    x = y.operands[0]
    steps = _strides(x.shape)
    axes = [(n, steps[a], o) for n, a, o in zip(y.shape, y.attrs["axes"], _strides(y.shape), strict=True)]
    lowering.step("copy", y, [lowering.buffer(x)], walk(item_bytes(y), axes, y.type.size), "transpose")


def _slice(lowering: Lowering, y: Value) -> None:
    x = y.operands[0]
    steps = _strides(x.shape)
    start = sum(a * s for a, s in zip(y.attrs["start"], steps, strict=True)) if y.type.size else 0
    axes = [(n, s * k, o) for n, s, k, o in zip(y.shape, steps, y.attrs["stride"], _strides(y.shape), strict=True)]
    lowering.step("copy", y, [lowering.buffer(x)], walk(item_bytes(y), axes, y.type.size, start=start), "slice")


def _pad(lowering: Lowering, y: Value) -> None:
    x = y.operands[0]
    steps = _strides(y.shape)
    to = sum(a * s for a, s in zip(y.attrs["low"], steps, strict=True)) if x.type.size else 0
    axes = [
        (n, i, s * (k + 1)) for n, i, s, k in zip(x.shape, _strides(x.shape), steps, y.attrs["interior"], strict=True)
    ]
    lowering.step("copy", y, [lowering.buffer(x)], walk(item_bytes(y), axes, y.type.size, zero=True, to=to), "pad")


def _concatenate(lowering: Lowering, y: Value) -> None:
    to = 0
    steps = _strides(y.shape)
    for x in y.operands:
        axes = list(zip(x.shape, _strides(x.shape), steps, strict=True))
        if x.type.size:
            lowering.step("copy", y, [lowering.buffer(x)], walk(item_bytes(y), axes, y.type.size, to=to), "concatenate")
        to += x.shape[y.attrs["axis"]] * steps[y.attrs["axis"]]
    if id(y) not in lowering.layouts:  # of nothing but empty parts
        lowering.keep(key_of(y, PLAIN, ()), lowering.new(padded_bytes(y.type, PLAIN), "empty"))


def _reduction(lowering: Lowering, y: Value) -> None:
    assert y.operation is not None
    x = y.operands[0]
    if x.dtype != "int32":
        _demand_float(x, y.operation.name)
    axes = [a for a in y.attrs["axes"] if x.shape[a] != 1]
    if not axes:
        lowering.keep(key_of(y, PLAIN, ()), lowering.buffer(x))
        return
    base = fusion.strip(x)
    factors = None if id(base) in lowering.layouts else fusion.summed_products(y)
    if factors and any(key_of(f, how, x.shape) in lowering.buffers for f in factors for how in (PANELED, TURNED)):
        buffers = [lowering.buffer(f, PANELED) for f in factors]
        lowering.step("reduce_products", y, buffers, [panels(x.shape[1]), x.shape[0], PANEL])
        return
    if axes == [0] and key_of(base, TURNED, x.shape) in lowering.buffers:
        lowering.buffer(x, PANELED)  # which a plain form would be made from
    paneled = lowering.buffers.get(key_of(base, PANELED, x.shape))
    if paneled is not None and axes == [0]:
        _reduce(lowering, y, paneled, [panels(x.shape[1]), x.shape[0], PANEL])
        return
    buffer, shape = lowering.buffer(x), x.shape
    if any(a not in axes and shape[a] != 1 for a in range(axes[0], axes[-1] + 1)):
        buffer, shape, axes = _moved_to_the_end(lowering, x, axes)
    first, last = axes[0], axes[-1]
    sizes = [math.prod(shape[:first]), math.prod(shape[first : last + 1]), math.prod(shape[last + 1 :])]
    _reduce(lowering, y, buffer, sizes)


def _reduce(lowering: Lowering, y: Value, buffer: int, sizes: list[int]) -> None:
    assert y.operation is not None
    if y.dtype == "int32":
        lowering.step("reduce_int32", y, [buffer], [_WHOLE.index(y.operation.name), *sizes])
    else:
        lowering.step(y.operation.name, y, [buffer], sizes)


_WHOLE = ("reduce_sum", "reduce_max", "reduce_min", "argmax")  # as the kernel counts them


def _moved_to_the_end(lowering: Lowering, x: Value, axes: list[int]) -> tuple[int, tuple[int, ...], list[int]]:
    """``x`` transposed so that ``axes`` come last; its buffer, its shape, and where the axes are now."""
    order_ = [a for a in range(x.type.rank) if a not in axes] + axes
    shape, steps = tuple(x.shape[a] for a in order_), _strides(x.shape)
    moves = [(n, steps[a], o) for n, a, o in zip(shape, order_, _strides(shape), strict=True)]
    moved = lowering.new(padded_bytes(x.type, PLAIN))
    lowering.plan.steps.append(Step("copy", [lowering.buffer(x), moved], walk(4, moves, x.type.size), "transpose"))
    return moved, shape, list(range(x.type.rank - len(axes), x.type.rank))


def _argmax(lowering: Lowering, y: Value) -> None:
    x, axis = y.operands[0], y.attrs["axis"]
    sizes = [math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :])]
    if x.dtype == "int32":
        lowering.step("reduce_int32", y, [lowering.buffer(x)], [_WHOLE.index("argmax"), *sizes])
        return
    _demand_float(x, "argmax")
    lowering.step("argmax", y, [lowering.buffer(x)], sizes)


def _matmul(lowering: Lowering, y: Value) -> None:
    if fusion.slices(y) > 1:
        return lowering.map(y)
    operands, args, what, turned = lowering.product(y)
    step = lowering.step("matmul", y, operands, args, what, TURNED if turned else PANELED)
    step.turned = turned and lowering.is_batch(y)


def _take(lowering: Lowering, y: Value) -> None:
    table, indices = y.operands
    _demand_float(table, "take")
    args = [table.shape[0], math.prod(table.shape[1:]), indices.type.size]
    lowering.step("take", y, [lowering.buffer(table), lowering.buffer(indices)], args)


def _scatter_add(lowering: Lowering, y: Value) -> None:
    indices, updates = y.operands
    _demand_float(updates, "scatter_add")
    args = [y.shape[0], math.prod(y.shape[1:]), indices.type.size]
    lowering.step("scatter_add", y, [lowering.buffer(indices), lowering.buffer(updates)], args)


def _constant(lowering: Lowering, y: Value) -> None:
    number = np.asarray(y.attrs["value"], dtype=y.dtype)
    array = number.reshape(y.shape) if number.ndim else np.full(y.shape, number)
    lowering.keep(key_of(y, PLAIN, ()), lowering.constant(np.ascontiguousarray(array), "constant"))


def _iota(lowering: Lowering, y: Value) -> None:
    count = np.arange(y.shape[y.attrs["axis"]], dtype=y.dtype).reshape(
        [-1 if a == y.attrs["axis"] else 1 for a in range(y.type.rank)]
    )
    full = np.ascontiguousarray(np.broadcast_to(count, y.shape))
    lowering.keep(key_of(y, PLAIN, ()), lowering.constant(full, "count"))


def _demand_float(x: Value, name: str) -> None:
    if x.dtype != "float32":
        raise Limitation(
            f"The native lowering has no {name} for {x.dtype}.", hint='cast to float32, or use device="reference"'
        )


_Rule = Callable[["Lowering", Value], None]

RULES: dict[str, _Rule] = {
    "argmax": _argmax,
    "concatenate": _concatenate,
    "matmul": _matmul,
    "pad": _pad,
    "reduce_max": _reduction,
    "reduce_min": _reduction,
    "reduce_sum": _reduction,
    "scatter_add": _scatter_add,
    "slice": _slice,
    "take": _take,
    "transpose": _transpose,
}

# Values that get a buffer only when a kernel, and no register program, asks for one.
MATERIALIZE: dict[str, _Rule] = {"broadcast": _broadcast, "constant": _constant, "iota": _iota}
