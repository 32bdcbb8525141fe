"""Every kernel by itself, at the sizes where vectors, tiles and panels begin and end, against its reference version.

Operands have not a byte more than the kernel says it touches, so that the address sanitizer (`make sanitize`) sees the first one
beyond; results lie between marks that must stay. What lies after the last column of a matrix in panels is once NaN and once a
number too small to be normal: no result may show which.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nacre.backends.native._binding import ISAS, KERNELS, MAP_OPS, PAIRS, Arrays, Executor, make_plan
from nacre.backends.native.plan import (
    ALONE,
    BATCH,
    BFLOAT16,
    BY_PANELS,
    BY_ROWS,
    BYTES,
    CHUNK,
    FREE,
    FROM_DATA,
    OVER_DATA,
    STATE,
    TRANSPOSED,
    TURNED_ROWS,
)
from nacre.ir import PANEL, panels
from nacre.ops.linalg import to_bfloat16

# Tiles have 4, 6 or 14 rows and strips 8, 16 or 32 columns, of two vectors each.
ROWS = [0, 1, 2, 3, 4, 5, 6, 7, 13, 14, 15, 28, 31, 32, 33]
COLUMNS = [0, 1, 2, 4, 5, 8, 9, 15, 16, 17, 31, 32, 33, 40, 65]
INNER = [0, 1, 2, 31, 32, 33, 65]
GARBAGE = [np.float32(np.nan), np.float32(1e-42)]
MARK, GUARD = 0xA5, 64


class _Result:
    """Room for a result, between marks."""

    def __init__(self, size, dtype):
        self.bytes = np.full(2 * GUARD + size * np.dtype(dtype).itemsize, MARK, dtype=np.uint8)
        self.inside = self.bytes[GUARD : len(self.bytes) - GUARD]
        self.array = self.inside.view(dtype)

    def intact(self):
        return (self.bytes[:GUARD] == MARK).all() and (self.bytes[len(self.bytes) - GUARD :] == MARK).all()


def _call(isa, kernel, args, inputs, results, sharing=ALONE, threads=1, rows=1, whole=None, column=None):
    """The results, given as (size, dtype), of one call. Operand number ``column`` holds rows of data, the last one first."""
    made = [_Result(*r) for r in results]
    operands = [np.ascontiguousarray(i).reshape(-1).view(np.uint8) for i in inputs] + [m.inside for m in made]
    column = 0 if kernel == "gather" else column
    buffers = [[BATCH, 0, o.size] if n == column else [STATE, n, o.size] for n, o in enumerate(operands)]
    data = [] if column is None else [operands[column].reshape(rows, -1)]
    step = (KERNELS[kernel], sharing, len(made), list(range(len(operands))), whole or [False] * len(operands), args)
    plan = make_plan(
        isa=isa,
        rows=rows,
        arena_bytes=0,
        own_bytes=0,
        first_update=0,
        buffers=buffers,
        steps=[step],
        emits=[],
        constants=np.zeros(0, np.uint8),
        batch_bytes=[x.shape[1] for x in data],
    )
    Executor(plan, None, None, threads).run(
        state=Arrays(operands),
        columns=data,
        order=np.arange(rows)[::-1].copy() if data else np.arange(rows),
        schedule=[],
        emits=[],
        done=np.zeros(1, np.int64),
        watch=-1,
    )
    assert all(m.intact() for m in made), (isa, kernel, args, "wrote beyond its result")
    return [m.array for m in made]


def _packed(matrix, garbage):
    """A matrix in panels, with garbage after its last column."""
    rows, columns = matrix.shape
    full = np.full((rows, panels(columns) * PANEL), garbage, dtype=matrix.dtype)
    full[:, :columns] = matrix
    return full.reshape(rows, panels(columns), PANEL).transpose(1, 0, 2).copy()


def _unpacked(flat, rows, columns):
    return (
        flat.reshape(panels(columns), rows, PANEL)
        .transpose(1, 0, 2)
        .reshape(rows, panels(columns) * PANEL)[:, :columns]
    )


def _sizes():
    """Every size of one axis with every one of another."""
    pairs = [(m, INNER[(i + j) % len(INNER)], n) for i, m in enumerate(ROWS) for j, n in enumerate(COLUMNS)]
    pairs += [(m, k, COLUMNS[(i + j) % len(COLUMNS)]) for i, m in enumerate(ROWS) for j, k in enumerate(INNER)]
    return [
        *dict.fromkeys(pairs),
        (1, 2047, 3),
        (1, 2100, 135),
        (1, 33, 260),
        (129, 2049, 5),
        (70, 129, 10),
        (33, 64, 21),
        (14, 4097, 33),
        (128, 2048, 9),
        (15, 6200, 1),
    ]


PROGRAM = [["subtract_float32", 4, 0, 1], ["maximum_float32", 5, 4, 2], ["multiply_float32", 6, 5, 3]]


def _map_args(m, n):
    """max(product - row, scalar) times a matrix, in panels."""
    elements, dtype = m * PANEL, 4
    inputs = [(5, dtype, 0, elements), (2, dtype, PANEL, PANEL), (1, dtype, 0, 0), (0, dtype, 0, elements)]
    steps = [[MAP_OPS[op], result, a, b, 0] for op, result, a, b in PROGRAM]
    flat = [panels(n), elements, 0, len(inputs), len(steps), 1, 7]
    return [*flat, *itertools.chain(*inputs), *itertools.chain(*steps), 6, dtype, 0]


# Each product: whether A lies turned, the integers that follow, the other operands, and what comes out by NumPy.
PRODUCTS = {
    "matmul": (False, lambda m, n: [], lambda r, m, n: [], lambda p: p),
    "matmul turned": (True, lambda m, n: [], lambda r, m, n: [], lambda p: p),
    "matmul_bias": (False, lambda m, n: [0], lambda r, m, n: [r(1, n)], lambda p, b: p + b),
    "matmul_bias relu": (False, lambda m, n: [1], lambda r, m, n: [r(1, n)], lambda p, b: np.maximum(p + b, 0)),
    "matmul_masked": (
        False,
        lambda m, n: [int(np.float32(1.25).view("uint32"))],
        lambda r, m, n: [r(m, n)],
        lambda p, x: np.where(x > 0, p * 1.25, 0),
    ),
    "matmul_update": (
        True,
        lambda m, n: [],
        lambda r, m, n: [np.float32([0.25]), r(m, n)],
        lambda p, rate, w: w - rate * p,
    ),
    "matmul_map": (
        False,
        _map_args,
        lambda r, m, n: [r(1, n), np.float32([-0.5]), r(m, n)],
        lambda p, row, least, x: np.maximum(p - row, least) * x,
    ),
    "matmul_map turned": (
        True,
        _map_args,
        lambda r, m, n: [r(1, n), np.float32([-0.5]), r(m, n)],
        lambda p, row, least, x: np.maximum(p - row, least) * x,
    ),
}


@pytest.mark.parametrize("how", [0, BFLOAT16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_of_any_size_is_that_of_the_reference(name, how, rng):
    turned, more, others, formula = PRODUCTS[name]
    kernel = name.split()[0]
    for number, (m, k, n) in enumerate(_sizes()):
        a, b = (rng.standard_normal(s).astype("f4") for s in ((m, k), (k, n)))
        rest = others(lambda *s: rng.standard_normal(s).astype("f4"), m, n)
        args, size = [m, k, n, how | TRANSPOSED * turned, *more(m, n)], panels(n) * m * PANEL
        found = []
        for isa in ISAS:
            garbage = GARBAGE[(number + ISAS.index(isa)) % 2]
            operands = [_packed(a.T.copy() if turned else a, garbage), _packed(b, garbage)]
            operands += [_packed(x, garbage) if x.ndim == 2 else x for x in rest]
            ways = [(ALONE, 1), (FREE, 3)] if isa == ISAS[-1] and number % 2 else [(ALONE, 1)]
            for sharing, threads in ways:
                (flat,) = _call(isa, kernel, args, operands, [(size, "f4")], sharing, threads)
                found.append(_unpacked(flat, m, n))
        expected = found[0]
        assert all(np.array_equal(y, expected) for y in found), args
        if how == BFLOAT16:
            a, b = to_bfloat16(np, a), to_bfloat16(np, b)
        witness = formula(a.astype("f8") @ b, *rest)
        assert np.allclose(expected, witness, rtol=1e-5, atol=2e-6 * (k + 10) ** 0.5 * 4), args


@pytest.mark.parametrize("turned", [False, True])
def test_more_rows_in_bfloat16_than_a_copy_has_room_for(turned, rng):
    for m, k, n in [(8300, 3, 33), (4200, 34, 5), (2750, 100, 40), (1100, 250, 3), (300, 2100, 33)]:
        a, b = (rng.standard_normal(s).astype("f4") for s in ((m, k), (k, n)))
        operands = [_packed(a.T.copy() if turned else a, np.nan), _packed(b, np.nan)]
        args, size = [m, k, n, BFLOAT16 | TRANSPOSED * turned], panels(n) * m * PANEL
        found = [_unpacked(_call(isa, "matmul", args, operands, [(size, "f4")])[0], m, n) for isa in ISAS]
        assert all(np.array_equal(y, found[0]) for y in found), (m, k, n)


def _of_data(name):
    """A product with its first factor from the data, and if that is transposed, with its second one."""
    ways = [FROM_DATA, OVER_DATA, FROM_DATA | BYTES, OVER_DATA | BYTES] if PRODUCTS[name][0] else [FROM_DATA]
    return [(name, way) for way in ways]


SCALE = np.float32(-0.37)
SCALED = int(SCALE.view(np.int32)) << 32  # as products are told


def _rows_of(how, shape, rng):
    """Rows of data as they lie, and the numbers they stand for."""
    if not how & BYTES:
        x = rng.standard_normal(shape).astype("f4")
        return x, x
    x = rng.integers(0, 256, shape, dtype="u1")
    return x, x.astype("f4") * SCALE


@pytest.mark.parametrize(("name", "how"), [way for name in PRODUCTS for way in _of_data(name)], ids=str)
def test_a_product_with_rows_of_data_is_that_of_the_reference(name, how, rng):
    turned, more, others, formula = PRODUCTS[name]
    column = int(how & OVER_DATA > 0)
    kernel, widths = name.split()[0], (16, 48, 64) if column else (1, 16, 48, 70)
    heights = (16, 17, 33, 47, 131) if how & BYTES and not column else (1, 10, 15, 33)
    sizes = [(m, k, n) for m in heights for k in (1, 31, 32, 65) for n in widths]
    for m, k, n in [*sizes, (heights[1], 2100, 48), (heights[0], 70, 144)]:
        a, b = (rng.standard_normal(s).astype("f4") for s in ((k, m) if turned else (m, k), (k, n)))
        lying, numbers = _rows_of(how, (a, b)[column].shape, rng)
        rest = others(lambda *s: rng.standard_normal(s).astype("f4"), m, n)
        args, size = (
            [m, k, n, TRANSPOSED * turned | how | SCALED * (how & BYTES > 0), *more(m, n)],
            panels(n) * m * PANEL,
        )
        found = []
        for isa in ISAS:
            garbage = GARBAGE[(m + n + ISAS.index(isa)) % 2]
            factors = [a, b]  # of the data, the last row is read first
            factors[column], factors[1 - column] = lying, _packed(factors[1 - column], garbage)
            operands = [*factors, *(_packed(x, garbage) if x.ndim == 2 else x for x in rest)]
            rows = k if turned else m
            for way in [(ALONE, 1), (FREE, 3)] if isa == ISAS[-1] else [(ALONE, 1)]:
                (flat,) = _call(isa, kernel, args, operands, [(size, "f4")], *way, rows=rows, column=column)
                found.append(_unpacked(flat, m, n))
        assert all(np.array_equal(y, found[0]) for y in found), args
        left = (a if column else numbers[::-1]).astype("f8")
        product = (left.T if turned else left) @ (numbers[::-1] if column else b)
        most = np.abs(product).max(initial=1)
        assert np.allclose(found[0], formula(product, *rest), rtol=1e-4, atol=1e-4 * most), args


@pytest.mark.parametrize(
    "how", [0, BFLOAT16, FROM_DATA, FROM_DATA | BYTES], ids=["float32", "bfloat16", "from data", "from bytes"]
)
@pytest.mark.parametrize("slices", [2, 8])
@pytest.mark.parametrize("kernel", ["matmul_slices", "matmul_dots"])
def test_slices_of_a_product_are_those_of_the_reference(kernel, slices, how, rng):
    sizes = [(m, k) for m in (1, 5, 33) for k in (48, 64, 304)]
    from_data = how & FROM_DATA > 0
    if not from_data:
        sizes = [(m, k) for m in (0, 1, 5, 14, 15, 33) for k in (33, 65, 300)]
    elif kernel == "matmul_slices":
        sizes += [(15, 2300), (3, 77)]
    for m, k, n in [(m, k, n) for m, k in sizes for n in (1, 5, 6, 9, 17, 32)]:
        (lying, a), b = _rows_of(how, (m, k), rng), rng.standard_normal((k, n)).astype("f4")
        args = [m, k, n, how | SCALED * (how & BYTES > 0), slices]
        results = [(m * PANEL, "f4")] * slices
        found = []
        for isa in ISAS:
            garbage = GARBAGE[(m + n + ISAS.index(isa)) % 2]
            weight = _packed(b.T.copy() if kernel == "matmul_dots" else b, garbage)
            operands = [lying[::-1] if from_data else _packed(a, garbage), weight]
            column, rows = (0, m) if from_data else (None, 1)
            for sharing, threads in [(ALONE, 1), (FREE, 3)] if isa == ISAS[-1] else [(ALONE, 1)]:
                made = _call(isa, kernel, args, operands, results, sharing, threads, rows, column=column)
                found.append([_unpacked(y, m, n) for y in made])
        assert all(np.array_equal(y, found[0]) for y in found), (m, k, n)
        if how == BFLOAT16:
            a, b = to_bfloat16(np, a), to_bfloat16(np, b)
        assert np.allclose(sum(found[0]), a @ b, rtol=1e-4, atol=1e-4 * np.abs(a).max(initial=1) * k**0.5)


def test_bfloat16_gives_the_same_bits_to_numbers_that_are_hard_to_round(rng):
    """Halves between two numbers, numbers too small to be normal or next to it, infinities and NaN; all sizes of result."""
    m, k, n = 33, 65, 40
    for case in range(40):
        of_a, of_b = [(100, 154), (0, 2), (50, 76), (127, 255), (60, 68)][case % 5], (120, 134)
        a, b, w = (rng.integers(0, 2**32, s, dtype="u4") for s in ((m, k), (k, n), (m, n)))
        for x, exponents in ((a, of_a), (b, of_b), (w, of_a)):
            x[:] = (x & 0x807FFFFF) | rng.integers(*exponents, x.shape, dtype="u4") << 23
            x[rng.random(x.shape) < 0.2] &= 0xFFFF8000  # exactly between two numbers of bfloat16, or one of them
        if case % 5 == 3:
            a.flat[rng.integers(0, a.size, 9)] = (
                0x7F800000,
                0xFF800000,
                0x7FC00001,
                0x7F800001,
                0x7F7FFFFF,
                0,
                1 << 31,
                1,
                2,
            )
        a, b, w = (x.view("f4") for x in (a, b, w))
        for turned in (False, True):
            args, size = [m, k, n, BFLOAT16 | TRANSPOSED * turned], panels(n) * m * PANEL
            kernel, rest = ("matmul_update", [np.float32([0.25]), _packed(w, 0)]) if turned else ("matmul", [])
            operands = [_packed(a.T.copy() if turned else a, np.nan), _packed(b, np.nan), *rest]
            found = [_unpacked(_call(isa, kernel, args, operands, [(size, "f4")])[0], m, n) for isa in ISAS]
            assert all(np.array_equal(y, found[0], equal_nan=True) for y in found), (case, turned)
            assert (found[0] != 0).mean() > 0.1


@pytest.mark.parametrize("dtype", ["f4", "u1"])
def test_a_matrix_of_any_size_is_packed_turned_and_unpacked(dtype, rng):
    item = np.dtype(dtype).itemsize
    for m, n in itertools.product([*ROWS[1:], 65], [*COLUMNS[1:], 96]):
        x = rng.integers(0, 256, (m, n)).astype(dtype)
        size, turned = panels(n) * m * PANEL, panels(m) * n * PANEL
        for isa, threads in [*((isa, 1) for isa in ISAS), (ISAS[-1], 3)]:
            how = (FREE if threads > 1 else ALONE, threads)
            (packed,) = _call(isa, "pack", [item, m, n], [x], [(size, dtype)], *how)
            assert np.array_equal(packed, _packed(x, 0).ravel()), (isa, m, n)
            (gathered,) = _call(isa, "gather", [item, m, n, 1], [x], [(size, dtype)], *how, rows=m)
            assert np.array_equal(gathered, _packed(x[::-1], 0).ravel()), (isa, m, n)
            dirty = _packed(x, np.nan if item == 4 else 255)
            (y,) = _call(isa, "turn", [item, m, n, 0], [dirty], [(turned, dtype)], *how)
            assert np.array_equal(y, _packed(x.T.copy(), 0).ravel()), (isa, m, n)
            (y,) = _call(isa, "unpack", [item, m, n], [dirty], [(m * n, dtype)], *how)
            assert np.array_equal(y.reshape(m, n), x), (isa, m, n)
            (y,) = _call(isa, "gather", [item, m, n, 0], [x], [(m * n, dtype)], *how, rows=m)
            assert np.array_equal(y.reshape(m, n), x[::-1]), (isa, m, n)


def _softmax_args(rows, columns):
    """From a matrix in panels, a plain one and labels: the matrix less its largest, in panels and plain; the sum, the least, and
    the place of the largest, times the label."""
    on, ons, total, most, least, place, spread = range(7)
    steps = [(most, 0, 1, 0, 0, 0), (spread, 0, 2, 1, 1, 1), (on, MAP_OPS["subtract_float32"], 3, 0, 2, 0)]
    steps += [(total, 0, 2, 3, 3, 3), (least, 0, 3, 1, 1, 1), (place, 0, 4, 1, 1, 1)]
    steps += [(on, MAP_OPS["add_float32"], 4, 3, 5, 0), (ons, MAP_OPS["multiply_int32"], 5, 4, 0, 0)]
    inputs = [(1, 4, 0), (0, 4, 1), (2, 1, 0), (3, 4, 5)]
    outputs = [(1, 4, 4), (0, 4, 3), (2, 4, 2), (2, 4, 3), (2, 2, 5)]
    flat = [rows, columns, len(inputs), len(steps), len(outputs), 6, 6]
    return flat + [n for part in (inputs, steps, outputs) for entry in part for n in entry]


@pytest.mark.parametrize("columns", [*range(1, 41), 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512])
def test_a_program_over_rows_of_any_length_is_that_of_the_reference(columns, rng):
    for rows in (1, 2, 3, 15, 16, 17, 33):
        x, other = rng.standard_normal((2, rows, columns)).astype("f4")
        labels, row = rng.integers(0, 9, rows).astype("u1"), rng.standard_normal(columns).astype("f4")
        size = panels(columns) * rows * PANEL
        results = [(size, "f4"), (rows * columns, "f4"), (rows, "f4"), (rows, "f4"), (rows, "i4")]
        found = []
        for isa, garbage in itertools.product(ISAS, GARBAGE):
            for sharing, threads in [(ALONE, 1), (BY_ROWS, 2)] if rows == 17 else [(ALONE, 1)]:
                inputs = [_packed(x, garbage), other, labels, row]
                made = _call(isa, "rows", _softmax_args(rows, columns), inputs, results, sharing, threads, rows)
                found.append([_unpacked(made[0], rows, columns), *made[1:]])
        for y in found:
            assert all(np.array_equal(a, b) for a, b in zip(y, found[0], strict=True)), rows
        less = x - x.max(1, keepdims=True)
        assert np.array_equal(found[0][0], less + row)
        assert np.allclose(found[0][2], less.sum(1, dtype="f8"), rtol=1e-5, atol=1e-4)
        assert np.array_equal(found[0][3], other.min(1))
        assert np.array_equal(found[0][4], other.argmax(1) * labels)


@pytest.mark.parametrize("name", ["sum", "max", "min"])
def test_a_reduction_of_any_size_is_that_of_the_reference(name, rng):
    lengths = [*range(int(name != "sum"), 4), 15, 16, 17, 31, 33, 63, 64, 65, 129, 4095, 4096, 4097]
    for outer, n, inner in itertools.product((0, 1, 2, 5), lengths, (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 32, 33)):
        if n > 200 and inner * outer > 9:
            continue
        x = rng.standard_normal((outer, n, inner)).astype("f4")
        found = []
        shared = BY_PANELS if inner == PANEL and outer else FREE
        for isa, sharing, threads in [*((isa, ALONE, 1) for isa in ISAS), (ISAS[-1], shared, 3)]:
            found += _call(isa, f"reduce_{name}", [outer, n, inner], [x], [(outer * inner, "f4")], sharing, threads)
        assert all(np.array_equal(y, found[0]) for y in found), (outer, n, inner)
        assert np.allclose(found[0].reshape(outer, inner), getattr(x, name)(1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("paneled", [False, True])
def test_sums_of_any_size_beside_what_they_add_up_are_those_of_the_reference(paneled, rng):
    """The squares of a matrix, stored or not, the sum of them, and the sum of the matrix."""
    for rows, columns in itertools.product((1, 2, 15, 16, 17, 127, 128, 129, 300), (1, 5, 31, 32, 33, 65)):
        x = rng.standard_normal((rows, columns)).astype("f4")
        count, elements = (panels(columns), rows * PANEL) if paneled else (1, rows * columns)
        chunks = count * -(-elements // CHUNK)
        last = (columns - 1) % PANEL + 1 if paneled else 1
        for stored in (False, True):
            flat = [count, elements, 0 if paneled else columns, 1, 1, 2 + stored, 2, 0, 4, 0, elements]
            flat += [MAP_OPS["multiply_float32"], 1, 0, 0, 0, 1, 4, last, 0, 4, last, *[1, 4, 0] * stored]
            results = [(chunks, "f4")] * 2 + [(count * elements, "f4")] * stored
            found = []
            for isa, garbage in itertools.product(ISAS, GARBAGE):
                for sharing, threads in [(ALONE, 1), (FREE, 3)] if isa == ISAS[-1] else [(ALONE, 1)]:
                    given = _packed(x, garbage) if paneled else x
                    squares, plain, *rest = _call(isa, "map", flat, [given], results, sharing, threads)
                    kept = [_unpacked(y, rows, columns) if paneled else y.reshape(x.shape) for y in rest]
                    found.append([squares, plain, *kept])
            for y in found:
                assert all(np.array_equal(a, b) for a, b in zip(y, found[0], strict=True)), (rows, columns)
            assert found[0][0].sum() == pytest.approx(np.square(x.astype("f8")).sum(), rel=1e-5)
            assert found[0][1].sum() == pytest.approx(x.astype("f8").sum(), rel=1e-4, abs=1e-3)
            assert not stored or np.array_equal(found[0][2], x * x)


def test_sums_of_products_by_columns_are_those_of_the_products(rng):
    for outer, n, inner in itertools.product((0, 1, 3, 4), (0, 1, 2, 63, 64, 65, 129), (2, 15, 16, 17, 32, 33)):
        x, z = rng.standard_normal((2, outer, n, inner)).astype("f4")
        sizes, result = [outer, n, inner], [(outer * inner, "f4")]
        found = _call(ISAS[0], "reduce_sum", sizes, [x * z], result)
        ways = [(FREE, 3), *[(BY_PANELS, 3)] * (inner == PANEL and outer > 0)]
        for isa, sharing, threads in [*((isa, ALONE, 1) for isa in ISAS), *((ISAS[-1], *way) for way in ways)]:
            found += _call(isa, "reduce_products", sizes, [x, z], result, sharing, threads)
            found += _call(isa, "reduce_products", sizes, [x, x], result, sharing, threads)
        assert all(np.array_equal(y, found[0]) for y in found[1::2]), (outer, n, inner)
        assert all(np.array_equal(y, found[2]) for y in found[2::2]), (outer, n, inner)
        assert np.allclose(found[2].reshape(outer, inner), np.square(x).sum(1), rtol=1e-5)


ADAM = [
    ("subtract_multiply", "gradient", "mean", "share"),
    ("add", "mean", 0),
    ("multiply_subtract", "gradient", "gradient", "square"),
    ("multiply_add", 2, "share of square", "square"),
    ("sqrt_add", 3, 3, "epsilon"),
    ("multiply", "rate", 1),
    ("divide_from", 5, 4, "weight"),
]
DECAYED = [*ADAM[:6], ("multiply_from", "weight", "decay", "weight"), ("divide_from", 5, 4, 6)]
CLIPPED = [
    ("multiply", "gradient", "decay"),
    ("subtract_multiply", 0, "mean", "share"),
    ("add", "mean", 1),
    ("multiply", "rate", 2),
    ("multiply_subtract", 0, 0, "square"),
    ("multiply_add", 4, "share of square", "square"),
    ("sqrt_add", 5, 5, "epsilon"),
    ("divide_from", 3, 6, "weight"),
]


def _adam(x):
    """The same in NumPy: what becomes of the mean, of that of the squares, and of the weight."""
    mean = x["mean"] + (x["gradient"] - x["mean"]) * x["share"]
    square = (x["gradient"] * x["gradient"] - x["square"]) * x["share of square"] + x["square"]
    return mean, square, x["weight"] - x["rate"] * mean / (np.sqrt(square) + x["epsilon"])


@pytest.mark.parametrize(
    ("steps", "results"),
    [
        *[(ADAM, (1, 3, 6)), (DECAYED, (1, 3, 7)), (CLIPPED, (2, 5, 7)), (ADAM, (1, 3, 4, 6)), (ADAM, (6,))],
        # What the rule is told to begin with is what it makes: no loop for that.
        ([*ADAM[:6], ("divide_from", 5, 4, 1)], (1, 3, 6)),
        ([*ADAM[:6], ("divide_from", 5, 4, 3)], (1, 3, 6)),
        ([*ADAM[:2], (*ADAM[2][:3], 1), (*ADAM[3][:3], 1), *ADAM[4:]], (1, 3, 6)),
    ],
    ids=[
        "alone",
        "decayed",
        "clipped",
        "a result between",
        "one result",
        "its own mean",
        "its own square",
        "one for two",
    ],
)
def test_the_loop_for_adam_gives_what_its_steps_give(steps, results, rng):
    """Also for what is no ordinary number; and where a step between is a result, it is made."""
    arrays, numbers = ("gradient", "mean", "square", "weight"), ("share", "share of square", "epsilon", "rate", "decay")
    for elements in (1, 15, 16, 17, 512, 1027):
        x = {name: rng.standard_normal(elements).astype("f4") for name in arrays}
        for name in arrays:
            special = rng.choice(np.float32([0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3e38, 1]), elements)
            x[name] = np.where(rng.random(elements) < 0.3, special, x[name])
        x |= dict(zip(numbers, np.float32([[0.1], [0.001], [1e-7], [0.01], [0.004]]), strict=True))
        names = list(dict.fromkeys(o for _, *operands in steps for o in operands if isinstance(o, str)))
        flat = [1, elements, 0, len(names), len(steps), len(results), len(names) + len(steps)]
        for name in names:
            flat += [1, 4, 0, 0] if name in numbers else [0, 4, 0, elements]
        for number, (op, *operands) in enumerate(steps):
            places = [names.index(o) if isinstance(o, str) else len(names) + o for o in operands]
            flat += [MAP_OPS[f"{op}_float32"], len(names) + number, *[*places, 0][:3]]
        for result in results:
            flat += [len(names) + result, 4, 0]
        made = [(elements, "f4")] * len(results)
        found = [_call(isa, "map", flat, [x[name] for name in names], made) for isa in ISAS]
        for result in zip(*found, strict=True):
            assert all(y.tobytes() == result[0].tobytes() or np.array_equal(y, result[0], True) for y in result)
        if steps is ADAM and len(results) == 3:
            with np.errstate(all="ignore"):
                wanted = _adam(x)
            for y, w in zip(found[-1], wanted, strict=True):
                assert np.array_equal(y, w, equal_nan=True)


@pytest.mark.parametrize(("count", "elements"), [(1, 1), (1, 33), (1, 96), (1, 1700), (3, 32), (4, 544), (5, 1056)])
def test_programs_shared_by_panels_are_those_of_the_reference(count, elements, rng):
    """Numbers less those of a row, times one number; a vector, which is a row of panels, and matrices in panels."""
    x, scale = rng.standard_normal((count, elements)).astype("f4"), np.float32([1.5])
    row = rng.standard_normal(count * PANEL if count > 1 else elements).astype("f4")
    across = (2, 4, PANEL, PANEL) if count > 1 else (0, 4, 0, elements)
    flat = [count, elements, 0, 3, 2, 1, 5, 0, 4, 0, elements, *across, 1, 4, 0, 0]
    flat += [MAP_OPS["subtract_float32"], 3, 0, 1, 0, MAP_OPS["multiply_float32"], 4, 3, 2, 0, 4, 4, 0]
    ways = [*((isa, ALONE, 1) for isa in ISAS), *((ISAS[-1], BY_PANELS, threads) for threads in (2, 3, 8))]
    found = [_call(isa, "map", flat, [x, row, scale], [(x.size, "f4")], how, threads)[0] for isa, how, threads in ways]
    assert all(np.array_equal(y, found[0]) for y in found)
    spread = np.tile(row.reshape(count, 1, -1), (1, elements // PANEL, 1)) if count > 1 else row
    assert np.allclose(found[0], ((x.reshape(-1) - spread.reshape(-1)) * scale), rtol=1e-6)


@pytest.mark.parametrize("pair", sorted(name for name, number in MAP_OPS.items() if number in PAIRS))
def test_two_steps_in_one_pass_are_those_that_they_are_made_of(pair, rng):
    """Also where their results are no ordinary numbers."""
    first, second, _ = pair.split("_")
    step = MAP_OPS[f"{'subtract' if second == 'from' else second}_float32"]
    for elements in (1, 15, 16, 17, 512, 1027):
        a, b, c = rng.standard_normal((3, elements)).astype("f4")
        for x in (a, b, c):
            special = rng.choice(np.float32([0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3e38, 1]), elements)
            x[:] = np.where(rng.random(elements) < 0.3, special, x)
        inputs = [(0, 4, 0, elements)] * 3
        one = [[MAP_OPS[pair], 3, 0, 1, 2]]
        two = [[MAP_OPS[f"{first}_float32"], 3, 0, 1, 0], [step, 4, *([2, 3] if second == "from" else [3, 2]), 0]]
        found = []
        for steps in (two, one):
            flat = [1, elements, 0, 3, len(steps), 1, 3 + len(steps)]
            flat += [*itertools.chain(*inputs), *itertools.chain(*steps), 2 + len(steps), 4, 0]
            for isa in ISAS:
                found += _call(isa, "map", flat, [a, b, c], [(elements, "f4")])
        assert all(np.array_equal(y, found[0], equal_nan=True) for y in found), elements


DTYPES = ["?", "u1", "i4", "u4", "f4"]


def test_a_register_program_of_any_length_is_that_of_the_reference(rng):
    """A selection between a dense operand and each kind of broadcast one, of each size of element."""
    for elements in (0, 1, 2, 15, 16, 17, 511, 512, 513, 1024, 1027):
        for number, period in itertools.product((0, 1, 2, 4), (1, 3, 16, 511, 512, 513)):
            dtype, columns = DTYPES[number], -(-elements // period)
            dense = rng.integers(0, 2, elements).astype(dtype)
            row, column = (rng.integers(0, 2, n).astype(dtype) for n in (min(period, elements), columns))
            operands = [dense, row, column] + [dense[:1]] * (elements > 0)
            inputs = [(0, number, 0, 0), (2, number, period, 0), (3, number, period, 0)]
            inputs += [(1, number, 0, 0)] if elements else [(4, number, 0, 0)]
            op = MAP_OPS["select"]
            flat = [1, elements, max(period, 1), 4, 2, 1, 6, *itertools.chain(*inputs)]
            flat += [op, 4, 0, 1, 2, op, 5, 4, 3, 0, 5, number, 0]
            found = []
            for isa, sharing, threads in [*((isa, ALONE, 1) for isa in ISAS), (ISAS[-1], FREE, 3)]:
                found += _call(isa, "map", flat, operands, [(elements, dtype)], sharing, threads)
            assert all(np.array_equal(y, found[0]) for y in found), (elements, dtype, period)
            if elements:
                at = np.arange(elements)
                first = np.where(dense, row[at % period], column[at // period])
                assert np.array_equal(found[0], np.where(first, dense[0], dense))


def test_random_numbers_of_rows_of_any_length_are_those_of_the_reference():
    for rows, columns in itertools.product((1, 2, 5, 17), (1, 2, 15, 16, 17, 31, 32, 33, 100)):
        for paneled in (False, True):
            elements, count = (rows * PANEL, panels(columns)) if paneled else (rows * columns, 1)
            inputs = [(1, 3, 0, 0), (1, 3, 0, 0), (4, 3, 7, 0)]
            flat = [count, elements, 0 if paneled else columns, 3, 1, 1, 4, *itertools.chain(*inputs)]
            flat += [MAP_OPS["random_uniform"], 3, 0, 1, 2, 3, 4, 0]
            seed = [np.uint32([5]), np.uint32([9])]
            found = []
            for isa, sharing, threads in [*((isa, ALONE, 1) for isa in ISAS), (ISAS[-1], FREE, 3)]:
                found += _call(isa, "map", flat, seed, [(count * elements, "f4")], sharing, threads)
            assert all(np.array_equal(y, found[0]) for y in found), (rows, columns)


def test_batches_that_run_along_panels_are_shared_by_whole_panels(rng):
    for batch, m, k in [(64, 1, 3), (64, 33, 31), (192, 14, 65), (96, 7, 32)]:
        a, b = (rng.standard_normal(s).astype("f4") for s in ((m, k), (k, batch)))
        x = rng.standard_normal((batch, m)).astype("f4")
        found, turned = [], []
        for isa, (sharing, threads) in itertools.product(ISAS, [(ALONE, 1), (TURNED_ROWS, 2), (TURNED_ROWS, 3)]):
            operands, size = [_packed(a, np.nan), _packed(b, np.nan)], panels(batch) * m * PANEL
            found += _call(isa, "matmul", [m, k, batch, 0], operands, [(size, "f4")], sharing, threads, batch)
            turned += _call(
                isa, "turn", [4, batch, m, 0], [_packed(x, np.nan)], [(size, "f4")], sharing, threads, batch
            )
        assert all(np.array_equal(y, found[0]) for y in found)
        assert all(np.array_equal(y, _packed(x.T.copy(), 0).ravel()) for y in turned)


def test_what_moves_memory_does_so_at_any_size(rng):
    for rows, width, count in itertools.product((1, 2, 33), (0, 1, 2, 31, 33), (0, 1, 2, 31, 33)):
        table, updates = (rng.standard_normal((n, width)).astype("f4") for n in (rows, count))
        indices = rng.integers(-1, rows + 1, count).astype("i4")
        near, args = np.clip(indices, 0, rows - 1), [rows, width, count]
        added = np.zeros_like(table)
        np.add.at(added, near, updates)
        for sharing, threads in ((ALONE, 1), (FREE, 3)):
            (y,) = _call(ISAS[-1], "take", args, [table, indices], [(count * width, "f4")], sharing, threads)
            assert np.array_equal(y.reshape(count, width), table[near])
        (y,) = _call(ISAS[-1], "scatter_add", args, [indices, updates], [(rows * width, "f4")])
        assert np.array_equal(y.reshape(rows, width), added)
        if width:
            (y,) = _call(ISAS[-1], "argmax", [count, width, 1], [updates], [(count, "i4")], FREE, 3)
            assert np.array_equal(y, updates.argmax(1))
            whole = rng.integers(-(2**31), 2**31, (count, width, 2)).astype("i4")
            for what, function in enumerate((np.sum, np.max, np.min, np.argmax)):
                (y,) = _call(ISAS[-1], "reduce_int32", [what, count, width, 2], [whole], [(2 * count, "i4")], FREE, 3)
                assert np.array_equal(y.reshape(count, 2), function(whole, axis=1).astype("i4"))
        moves = [4, 0, rows * width, 0, 0, 2, width, 1, rows, rows, width, 1]
        (y,) = _call(ISAS[-1], "copy", moves, [table], [(rows * width, "f4")], FREE, 3)
        assert np.array_equal(y.reshape(width, rows), table.T)


def test_every_kernel_is_met_here():
    met = {name.split()[0] for name in PRODUCTS} | {f"reduce_{name}" for name in ("sum", "max", "min", "products")}
    moves = {"pack", "unpack", "gather", "turn", "take", "scatter_add", "argmax", "copy", "reduce_int32"}
    assert met | moves | {"matmul_slices", "matmul_dots", "rows", "map"} == set(KERNELS)
