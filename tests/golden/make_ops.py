"""Writes ops.json: what Keras 3 answers for the functions of `keras.ops`, and with which arguments it has them.

Run by hand, with a Python that has Keras and JAX, when nacre learns a new function of Keras's:

    KERAS_BACKEND=jax python tests/golden/make_ops.py

A case is a function, its arguments and its answer; an array is written as a dictionary of its dtype, shape and numbers. Arguments
that are arrays are numbers of entries of a table.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

RNG = np.random.default_rng(20240302)
INF, NAN = float("inf"), float("nan")


def floats(*numbers: Any) -> np.ndarray:
    return np.array(numbers, "float32")


def draw(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).round(2).astype("float32")


LINE = floats(-9.5, -3.0, -1.25, -0.5, -1e-4, 1e-4, 0.5, 1.5, 2.5, 3.0, 10.25)
ABOVE = floats(1e-30, 1e-4, 0.5, 1.0, 3.0, 1e4, 1e30)
LEFT, RIGHT = floats(-2.0, -1.0, 0.0, 0.5, 1.5, 3.0), floats(1.5, -1.0, 2.0, 0.25, -4.0, 3.0)
TRUE = np.array([True, True, False, False]), np.array([True, False, True, False])
ODD = floats(1.0, NAN, INF, -INF, -2.0)
M, N, CUBE = draw(3, 4), draw(4, 2), draw(2, 3, 4)
WHOLE = np.array([[3, 0, 2], [1, 1, 7]], "int32")

Case = tuple[str, tuple[Any, ...], dict[str, Any]]


def one(names: str, *arrays: Any, **config: Any) -> list[Case]:
    return [(name, arrays, config) for name in names.split()]


CASES: list[Case] = [
    # Numbers, element by element.
    *one("abs absolute fabs negative sign square exp expm1 exp2 sin cos tan sinh cosh tanh deg2rad rad2deg", LINE),
    *one("floor ceil trunc round erf isfinite isnan isinf isposinf isneginf stop_gradient sigmoid relu relu6", LINE),
    *one("sqrt rsqrt reciprocal log log2 log10 log1p", ABOVE),
    *one("sinh cosh", floats(-20, -1e-6, 0, 1e-3, 20, 88)),
    *one("round", floats(0.49999997, 0.5, 1.5, 2.5, 8388609, -0.5, -2.5, 1e30)),
    *one("round", floats(1.234, -5.678), decimals=1),
    *one("isfinite isnan isinf isposinf isneginf nan_to_num", ODD),
    *one("nan_to_num", ODD, nan=1.0, posinf=2.0, neginf=3.0),
    *one("add subtract multiply divide true_divide maximum minimum equal not_equal less less_equal", LEFT, RIGHT),
    *one("greater greater_equal logaddexp logaddexp2 hypot fmax fmin heaviside divide_no_nan isclose", LEFT, RIGHT),
    *one("add multiply maximum less logaddexp", M, floats(0.5, -1, 2, 0)),
    *one("logaddexp", floats(1e4, -1e4, -INF, 88, INF), floats(1e4, 1e4, -INF, -88, INF)),
    *one("hypot", floats(3e30, 0, 1e-30, INF), floats(4e30, 0, 0, 1)),
    *one("fmax fmin maximum minimum", floats(NAN, 1, NAN), floats(2, NAN, NAN)),
    *one("divide_no_nan", floats(1, 0, -3), floats(0, 0, 2)),
    *one("heaviside", floats(-1, 0, 2), 0.5),
    *one("power", floats(0, 0.5, 2, 9), floats(2, -1, 0.5, 1.5)),
    *one("power", ABOVE, 0.5),
    *one("clip", LINE, -1.0, 2.0),
    *one("where", LEFT > RIGHT, LEFT, RIGHT),
    *one("where", LEFT > RIGHT, LEFT, 0.0),
    *one("select", [LEFT > 1, LEFT < 0], [LEFT, RIGHT], default=7.0),
    *one("logical_and logical_or logical_xor", *TRUE),
    *one("logical_not", TRUE[0]),
    *one("isclose allclose", floats(1, 1e-9, INF, NAN), floats(1.000001, 0, INF, NAN)),
    *one("isclose allclose", floats(1, INF, NAN), floats(1.1, INF, NAN), rtol=0.2, equal_nan=True),
    *one("cast", floats(-1.5, 0, 2.7), "int32"),
    *one("cast", WHOLE, "float32"),
    # Over axes.
    *one("sum mean max min amax amin prod any all var std ptp logsumexp argmax argmin count_nonzero", CUBE),
    *one("sum mean max min amax amin prod any all var std ptp logsumexp argmax argmin count_nonzero", CUBE, axis=1),
    *one("sum mean max min prod any all var std ptp logsumexp", CUBE, axis=(0, -1)),
    *one("sum mean max min prod any all var std ptp logsumexp argmax argmin", CUBE, axis=-2, keepdims=True),
    *one("argmax argmin", CUBE, keepdims=True),
    *one("argmax argmin", WHOLE, axis=0),
    *one("max", CUBE, axis=0, initial=0.5),
    *one("min", CUBE, axis=0, initial=-0.5),
    *one("any all count_nonzero", floats([1, 0, 2], [0, 0, 0], [3, 4, 5]), axis=1),
    *one("any all sum", np.array([TRUE[0], TRUE[1]]), axis=1),
    *one("prod", np.zeros((0, 3), "float32"), axis=0),
    *one("prod", floats([2, 0, 3], [4, 5, 0]), axis=1),
    *one("logsumexp", floats([1e4, -1e4], [-1e4, -1e4], [88, 89], [INF, 0], [-INF, -INF]), axis=1),
    *one("cumsum cumprod", M),
    *one("cumsum cumprod", M, axis=-1),
    *one("cumsum", CUBE, axis=1),
    *one("average", M),
    *one("average", M, axis=1, weights=floats(1, 2, 0.5, 0.25)),
    *one("average", M, weights=np.abs(M)),
    *one("moments", M, axes=0),
    *one("moments", CUBE, axes=(0, 2), keepdims=True),
    *one("norm", floats(3, -4, 0)),
    *one("norm", floats(0, 0)),
    *one("norm", M, axis=1, keepdims=True),
    *one("norm", CUBE, axis=(0, 2)),
    *one("norm", M, ord="fro"),
    *[case for p in (1, 2, 3, 0.5, 0, INF, -INF) for case in one("norm", M, ord=p, axis=-1)],
    *one("normalize", M),
    *one("normalize", floats([0, 0], [3, 4])),
    *one("normalize", M, axis=0, order=1),
    # Products.
    *one("matmul dot", M, N),
    *one("matmul dot", CUBE, N),
    *one("dot vdot inner outer", LEFT, RIGHT),
    *one("dot", M, floats(1, 2, 3, 4)),
    *one("dot", CUBE, draw(2, 4, 5)),
    *one("inner", M, draw(2, 4)),
    *one("vdot outer", M, draw(3, 4)),
    *one("tensordot", M, N, axes=1),
    *one("tensordot", CUBE, draw(4, 2, 5), axes=[[0, 2], [1, 0]]),
    *one("tril triu", M),
    *one("tril triu", CUBE, k=-1),
    *one("eye tri", 3),
    *one("eye tri", 3, 4, k=1, dtype="int32"),
    *one("identity", 3),
    # Moved, repeated, counted out.
    *one("shape ndim size", CUBE),
    *one("zeros ones", (2, 3)),
    *one("zeros ones", 3, dtype="int32"),
    *one("zeros_like ones_like", WHOLE),
    *one("zeros_like ones_like", WHOLE, dtype="float32"),
    *one("full", (2, 2), 1.5),
    *one("full_like", M, 1.5),
    *one("arange", 5),
    *one("arange", 2, 11, 3),
    *one("arange", 7, 0, -2),
    *one("arange", 0.5, 2.0, 0.25),
    *one("arange", 3, dtype="float32"),
    *one("linspace", 0, 1, 5),
    *one("linspace", -1.0, 2.0, num=4, endpoint=False),
    *one("linspace", 0.0, 1.0, num=3, retstep=True),
    *one("broadcast_to", floats(1, 2, 3), (2, 3)),
    *one("reshape", CUBE, (4, -1)),
    *one("ravel transpose", CUBE),
    *one("transpose", CUBE, axes=(2, 0, 1)),
    *one("swapaxes", CUBE, 0, -1),
    *one("moveaxis", CUBE, 0, -1),
    *one("moveaxis", CUBE, [0, 1], [-1, 0]),
    *one("expand_dims", M, 0),
    *one("expand_dims", M, axis=(0, -1)),
    *one("squeeze", draw(1, 3, 1)),
    *one("squeeze", draw(1, 3, 1), axis=-1),
    *one("concatenate stack vstack hstack", [M, draw(3, 4)]),
    *one("concatenate stack", [M, draw(3, 4)], axis=-1),
    *one("vstack hstack", [LEFT, RIGHT]),
    *one("append", M, N),
    *one("append", M, draw(1, 4), axis=0),
    *one("split", M, 2, axis=1),
    *one("split", CUBE, [1, 3], axis=-1),
    *one("unstack", M),
    *one("unstack", M, num=4, axis=1),
    *one("slice", CUBE, (0, 1, 2), (2, 1, 2)),
    *one("get_item", CUBE, 1),
    *one("take", CUBE, np.array([5, 0, -1], "int32")),
    *one("take", CUBE, [[0, 2], [1, -1]], axis=1),
    *one("flip", CUBE),
    *one("flip", CUBE, axis=(0, 2)),
    *one("roll", M, 2),
    *one("roll", M, -3, axis=1),
    *one("roll", M, (1, 2), axis=(0, 1)),
    *one("repeat", M, 2),
    *one("repeat", M, 3, axis=0),
    *one("repeat", M, np.array([1, 0, 2], "int32"), axis=0),
    *one("tile", M, 2),
    *one("tile", M, (2, 1, 3)),
    *one("pad", M, 1),
    *one("pad", M, ((0, 1), (2, 0)), constant_values=0.5),
    *[case for mode in ("edge", "reflect", "symmetric") for case in one("pad", M, ((1, 2), (0, 1)), mode=mode)],
    *one("diff", CUBE),
    *one("diff", M, n=2, axis=0),
    *one("one_hot", np.array([[0, 2], [1, -1]], "int32"), 3),
    *one("one_hot", np.array([0, 2, 5], "int32"), 3, axis=0, dtype="int32"),
    # Behind layers; `make_activations.py` asks more of those that are activations.
    *one("leaky_relu elu selu celu gelu silu swish softplus softsign soft_shrink hard_shrink hard_sigmoid", LINE),
    *one("hard_silu hard_swish hard_tanh tanh_shrink squareplus sparse_plus sparse_sigmoid log_sigmoid", LINE),
    *one("gelu", LINE, approximate=False),
    *one("threshold", LINE, 1.0, 7.0),
    *one("softmax log_softmax glu", M),
    *one("softmax log_softmax", CUBE, axis=1),
    *one("binary_crossentropy", floats(0, 1, 1, 0), floats(0.25, 0.5, 1, 1)),
    *one("binary_crossentropy", floats(0, 1, 1), floats(2, -3, 100), from_logits=True),
    *one("categorical_crossentropy", floats([0, 1, 0], [0.5, 0, 0.5]), floats([0.2, 0.7, 0.1], [1, 1, 2])),
    *one("categorical_crossentropy", floats([0, 1], [1, 1]), floats([1, 3], [2, 1]), from_logits=True, axis=0),
    *one("sparse_categorical_crossentropy", np.array([2, 0], "int32"), floats([1, 2, 3], [4, 0, 1]), from_logits=True),
]


def written(x: Any, table: list[Any] | None = None) -> Any:
    """As JSON can hold it."""
    if isinstance(x, list | tuple):
        return [written(v, table) for v in x]
    if isinstance(x, bool | int | float | str) or x is None:
        return x
    if table is not None:
        array = written(x)
        if array not in table:
            table.append(array)
        return {"array": table.index(array)}
    array = np.asarray(x)
    numbers = json.loads(json.dumps(array.tolist()), parse_float=lambda s: float(str(np.float32(s))))
    return {"dtype": str(array.dtype), "numbers": numbers, "shape": array.shape}


def answered(table: list[Any], name: str, arguments: tuple[Any, ...], config: dict[str, Any]) -> dict[str, Any]:
    y = getattr(keras.ops, name)(*arguments, **config)
    given = {k: written(v, table) for k, v in config.items()}
    return {"name": name, "arguments": written(arguments, table), "config": given, "y": written(y)}


def arguments(function: Any) -> list[list[Any]]:
    """Names and defaults."""
    parameters = inspect.signature(function).parameters.values()
    return [[p.name, "required" if p.default is p.empty else repr(p.default)] for p in parameters]


def short(x: Any) -> str:
    return json.dumps(x, separators=(",", ":"))


def main() -> None:
    functions = inspect.getmembers(keras.ops, callable)
    public = {name: arguments(function) for name, function in functions if not name.startswith("_")}
    table: list[Any] = []
    cases = [answered(table, *case) for case in CASES]
    lines = [f'"keras": "{keras.__version__}"', f'"backend": "{keras.backend.backend()}"']
    lines += ['"names": {\n' + ",\n".join(f"{short(n)}:{short(a)}" for n, a in public.items()) + "}"]
    lines += [f'"{name}": [\n' + ",\n".join(map(short, xs)) + "]" for name, xs in (("arrays", table), ("cases", cases))]
    path = Path(__file__).with_name("ops.json")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
