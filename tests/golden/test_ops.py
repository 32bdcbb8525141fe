"""Does a function of `nacre.ops` answer what that of `keras.ops` answers? The answers were frozen by `make_ops.py`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from differences import check_gradients

from nacre import ops
from nacre.backends import native
from nacre.backends.base import Block, Program, State
from nacre.backends.reference import evaluate
from nacre.errors import Limitation, NacreError, ShapeError, UsageError
from nacre.ir import Graph, Input, TensorType, Value
from nacre.ops import Primitive

Array = npt.NDArray[Any]

KERAS = json.loads(Path(__file__).with_name("ops.json").read_text(encoding="utf-8"))

LEFT_OUT = {
    "nothing sorts yet": """
        argpartition argsort digitize histogram in_top_k isin median nanmedian nanpercentile nanquantile percentile quantile
        searchsorted sort top_k unique""",
    "sizes are known before anything is computed": "bincount nonzero unravel_index",
    "no row computes it, and other rows do so only inexactly": """
        angle arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt erfc erfinv floor_divide fmod gcd i0 lcm ldexp mod nextafter
        signbit sinc bitwise_and bitwise_invert bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor left_shift
        right_shift""",
    "there are no complex numbers": """
        conj conjugate fft fft2 ifft2 imag irfft isreal istft polar real rfft stft view_as_complex view_as_real""",
    "decompositions of matrices": """
        cholesky cholesky_inverse det eig eigh inv logdet lstsq lu_factor matrix_rank pinv qr slogdet solve solve_triangular svd""",
    "products of more than two axes by name, or of many matrices at once": "cross einsum kron rearrange",
    "images, sequences and attention come with their layers": """
        adaptive_average_pool adaptive_max_pool average_pool batch_normalization conv conv_transpose ctc_decode ctc_loss
        depth_to_space depthwise_conv dot_product_attention extract_sequences fold layer_normalization max_pool multi_hot psnr
        rms_normalization separable_conv space_to_depth unfold""",
    "a graph is not run by Python, nor changed": """
        associative_scan cond convert_to_numpy convert_to_tensor copy custom_gradient fori_loop is_tensor jvp map scan switch
        vectorize vectorized_map while_loop""",
    "rows of a table are picked and added, and not single elements": """
        scatter scatter_update segment_max segment_min segment_prod segment_sum slice_update take_along_axis""",
    "no layer, loss or metric asks for it": """
        array array_split bartlett blackman cdist corrcoef correlate diag diagflat diagonal dsplit dstack empty empty_like fliplr
        flipud geomspace hamming hanning hsplit kaiser logspace meshgrid nanargmax nanargmin nancumprod nancumsum nanmax nanmean
        nanmin nanprod nanstd nansum nanvar rot90 saturate_cast trace trapezoid vander view vsplit""",
}
NOT_COMPARED = {
    "dtype": "a name, the same as `Value.dtype`",
    "sparsemax": "that of Keras 3.15 does not sum to 1; compared with the paper's in test_activations.py",
}
FURTHER = {  # arguments that nacre has besides
    "matmul": ["transpose_a", "transpose_b", "precision"],
}


def test_every_name_of_keras_is_there_or_left_out_for_a_reason() -> None:
    left_out = [name for names in LEFT_OUT.values() for name in names.split()]
    assert len(set(left_out)) == len(left_out)
    assert set(KERAS["names"]) - set(ops.__all__) == set(left_out)


def test_every_name_that_is_there_is_compared_or_not_for_a_reason() -> None:
    common = set(KERAS["names"]) & set(ops.__all__)
    assert common - {case["name"] for case in KERAS["cases"]} == set(NOT_COMPARED)


@pytest.mark.parametrize("name", sorted(set(KERAS["names"]) & set(ops.__all__)))
def test_arguments_are_called_and_preset_as_in_keras(name: str) -> None:
    function = getattr(ops, name)
    if isinstance(function, Primitive):
        found = [[operand, "required"] for operand in function.operand_names]
    else:
        parameters = inspect.signature(function).parameters.values()
        found = [
            [p.name, "required" if p.default is p.empty else repr(p.default)]
            for p in parameters
            if p.name not in FURTHER.get(name, [])
        ]
    assert found == KERAS["names"][name]


# ------------------------------------------------------------------ answers


def read(x: Any) -> Any:
    """An argument as it was: an array, a list of arguments, a number."""
    if isinstance(x, dict):
        x = KERAS["arrays"][x["array"]] if "array" in x else x
        return np.array(x["numbers"], x["dtype"]).reshape(x["shape"])
    return [read(v) for v in x] if isinstance(x, list) else x


def arrays(x: Any) -> Iterator[Array]:
    """All arrays in an argument."""
    if isinstance(x, np.ndarray):
        yield x
    elif isinstance(x, list):
        for v in x:
            yield from arrays(v)


def built(case: dict[str, Any], dtype: str = "float32") -> tuple[list[Input], dict[str, Array], Any]:
    """A case as values of a graph: inputs, their numbers, the answer."""
    arguments, config = read(case["arguments"]), {k: read(v) for k, v in case["config"].items()}
    inputs: list[Input] = []
    numbers: dict[str, Array] = {}

    def value(x: Any) -> Any:
        if isinstance(x, list):
            return [value(v) for v in x]
        if not isinstance(x, np.ndarray):
            return x
        x = x.astype(dtype) if x.dtype == "float32" else x
        inputs.append(Input(f"x{len(inputs)}", TensorType(x.shape, str(x.dtype))))
        numbers[inputs[-1].name] = x
        return inputs[-1]

    static = case["name"] == "repeat"  # how often is known beforehand
    given = [x if static and n else value(x) for n, x in enumerate(arguments)]
    y = getattr(ops, case["name"])(*given, **{k: value(v) for k, v in config.items()})
    return inputs, numbers, y


def near(found: Array, expected: Any) -> None:
    wanted = read(expected)
    assert found.shape == wanted.shape
    assert str(found.dtype) == str(wanted.dtype)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def listed(x: Any) -> list[Any]:
    return list(x) if isinstance(x, list | tuple) else [x]


def named(case: dict[str, Any]) -> str:
    return "-".join([case["name"], *(f"{k}={v}" for k, v in case["config"].items() if not isinstance(v, dict))])


@pytest.mark.parametrize("case", KERAS["cases"], ids=named)
def test_a_function_answers_what_it_answers_in_keras(case: dict[str, Any]) -> None:
    inputs, numbers, y = built(case)
    found = listed(y)
    assert len(found) == len(listed(case["y"]))
    for part, expected in zip(found, listed(case["y"]), strict=True):
        if isinstance(part, Value):
            near(evaluate(Graph(inputs, {"y": part}), numbers)["y"], expected)
        else:
            assert part == (read(expected).item() if isinstance(expected, dict) else expected)


@pytest.mark.parametrize("case", KERAS["cases"], ids=named)
def test_the_native_lowering_answers_the_same(case: dict[str, Any]) -> None:
    inputs, numbers, y = built(case)
    for part in listed(y):
        if isinstance(part, Value):
            expected = evaluate(Graph(inputs, {"y": part}), numbers)["y"]
            np.testing.assert_allclose(_natively(inputs, numbers, part), expected, rtol=1e-5, atol=1e-6)


def _natively(inputs: list[Input], numbers: dict[str, Array], y: Value) -> Array:
    graph = Graph(inputs, {"y": ops.reshape(y, [1, *y.shape])})
    program = Program({1: graph}, tuple(i.name for i in inputs), (), (), ("y",))
    state = State()
    state.add({i.name: i.type for i in inputs})
    for name, array in numbers.items():
        state[name].write(array)
    return native.compile(program).run(state, Block([]), np.zeros(1, dtype=np.int64), {})["y"][0]


def _differentiable(case: dict[str, Any]) -> bool:
    floats = [a for a in arrays(read(case["arguments"])) if a.dtype == "float32"]
    extreme = any(not np.isfinite(a).all() or (a.size and np.abs(a).max() > 30) for a in floats)
    number = [c for c in KERAS["cases"] if c["name"] == case["name"]].index(case)
    return bool(floats) and not extreme and case["name"] not in KINKS and (case["name"], number) not in AT_KINKS


KINKS = {  # differences across a jump or a kink mean nothing; gradients of activations are compared with Keras's
    *("floor", "ceil", "trunc", "round", "sign", "heaviside", "isclose", "allclose", "stop_gradient"),
    *(
        "relu",
        "relu6",
        "hard_sigmoid",
        "hard_silu",
        "hard_swish",
        "hard_tanh",
        "hard_shrink",
        "soft_shrink",
        "sparse_sigmoid",
    ),
}
AT_KINKS = {
    ("divide_no_nan", 1),
    ("normalize", 1),
    ("binary_crossentropy", 0),
}  # the first, second, ... case of a function


@pytest.mark.parametrize("case", [c for c in KERAS["cases"] if _differentiable(c)], ids=named)
def test_gradients_match_central_differences(case: dict[str, Any]) -> None:
    inputs, numbers, y = built(case, "float64")
    for part in listed(y):
        if isinstance(part, Value) and part.type.is_float:
            check_gradients(inputs, numbers, part, 1e-5)


# ------------------------------------------------------------------ edges that Keras does not tell of


def gradient(build: Any, *numbers: float) -> list[float]:
    """Of a sum of elements, in float32."""
    x = Input("x", TensorType((len(numbers),)))
    from nacre.autodiff import gradients

    found = evaluate(Graph([x], {"dx": gradients(ops.sum(build(x)), [x])[0]}), {"x": np.array(numbers, "float32")})[
        "dx"
    ]
    return found.tolist()  # type: ignore[no-any-return]


def test_gradients_where_a_formula_has_a_corner_and_the_function_has_none() -> None:
    assert gradient(ops.softplus, 0.0, -1e30, 1e30) == [0.5, 0.0, 1.0]
    assert gradient(lambda x: ops.logaddexp(x, 0.0), 0.0, 1e4, -1e4) == [0.5, 1.0, 0.0]
    assert gradient(lambda x: ops.squareplus(x), 0.0, 1e30, -1e30) == [0.5, 1.0, 0.0]
    assert gradient(lambda x: ops.std(x), 3.0, 3.0) == [0.0, 0.0]
    assert gradient(lambda x: ops.norm(x), 0.0, 0.0) == [0.0, 0.0]
    assert gradient(lambda x: ops.norm(x), 3e30, 4e30) == pytest.approx([0.6, 0.8])
    assert gradient(lambda x: ops.normalize(x), 0.0, 0.0) == [1e7, 1e7]
    assert gradient(lambda x: ops.prod(x), 0.0, 2.0, 3.0) == [6.0, 0.0, 0.0]
    assert gradient(lambda x: ops.divide_no_nan(1.0, x), 0.0, 2.0) == [0.0, -0.25]


def test_no_logits_are_taken_from_a_softmax_along_another_axis() -> None:
    x, t = Input("x", TensorType((2, 3, 4))), Input("t", TensorType((2, 3, 4)))
    numbers = {"x": np.random.default_rng(0).standard_normal((2, 3, 4)), "t": np.full((2, 3, 4), 0.25)}

    def loss(y: Value, axis: int) -> Array:
        return evaluate(Graph([x, t], {"y": ops.categorical_crossentropy(t, y, axis=axis)}), numbers)["y"]

    for given in (1, -2):
        np.testing.assert_allclose(loss(ops.softmax(x, axis=given), -1), loss(ops.softmax(x, 1) * 1.0, -1), rtol=1e-6)
        np.testing.assert_allclose(loss(ops.softmax(x, axis=given), 1), loss(ops.softmax(x, 1) * 1.0, 1), rtol=1e-5)


X = Input("x", TensorType((2, 3)))


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: ops.sum(X, axis=2), ShapeError, "no axis 2 in a shape of 2 axes"),
        (lambda: ops.argmax(X, axis=-3), ShapeError, "no axis -3"),
        (lambda: ops.squeeze(X, 0), ShapeError, "is not"),
        (lambda: ops.split(X, 2, axis=1), ShapeError, "2 equal parts"),
        (lambda: ops.unstack(X, num=3), ShapeError, "2 parts along axis 0, not 3"),
        (lambda: ops.slice(X, (0, 2), (2, 2)), ShapeError, "does not lie inside"),
        (lambda: ops.tensordot(X, X, axes=1), ShapeError, "differ in size"),
        (lambda: ops.average(X, axis=0, weights=ops.ones(3)), ShapeError, "weights of average"),
        (lambda: ops.tril(ops.ones(3)), ShapeError, "out of two axes"),
        (lambda: ops.expand_dims(X, (0, 0)), ShapeError, "two axes at one place"),
        (lambda: ops.moveaxis(X, [0, 1], [0]), UsageError, "one destination for each source"),
        (lambda: ops.select([], []), UsageError, "one choice for each condition"),
        (lambda: ops.arange(0, 3, 0), UsageError, "steps of 0"),
        (lambda: ops.normalize(X, order=0), UsageError, "positive order"),
        (lambda: ops.pad(X, 1, mode="edge", constant_values=1), UsageError, "mean nothing"),
        (lambda: ops.pad(X, 1, mode="median"), Limitation, "no mode 'median'"),
        (lambda: ops.where(X > 0), Limitation, "both x1 and x2"),
        (lambda: ops.norm(X, ord="nuc"), Limitation, "ord='nuc' over 2 axes"),
        (lambda: ops.norm(X, ord=1), Limitation, "ord=1 over 2 axes"),
        (lambda: ops.one_hot(ops.arange(3), 3, sparse=True), Limitation, "no sparse results"),
        (lambda: ops.moments(X, 0, synchronized=True), Limitation, "synchronized"),
        (lambda: ops.linspace(0, 1, 3, axis=1), Limitation, "one Python number to another"),
    ],
)
def test_a_mistake_is_named(make: Any, kind: type[NacreError], message: str) -> None:
    with pytest.raises(kind, match=message):
        make()
