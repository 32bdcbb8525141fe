"""The perceptron workshop: single perceptrons, circuits of them, and the rule by which one learns.

A perceptron weighs its inputs and says 1 if the sum is *above* its threshold, else 0, at exactly the threshold too. Some books
write ``w x > threshold``, others, like `nacre.layers.Dense`, ``w x + bias > 0``: the bias is minus the threshold. Here one always
says which one is meant.

F. Rosenblatt, "The perceptron: a probabilistic model for information storage and organization in the brain", 1958.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.errors import DataError, UsageError
from nacre.layers import Dense, Input
from nacre.models import Sequential

Bits = npt.NDArray[np.int64]

_MOST_INPUTS = 12  # of a table: 4096 rows
_BITS = {"0": 0, "1": 1}


@dataclass(frozen=True, init=False)
class Perceptron:
    """1 if the weighted sum of the inputs is above ``threshold``, else 0. Say ``threshold``, or ``bias``, which is minus that.

    The sum is exact, of all numbers as they are written: 0.1 + 0.2 is not above 0.3.

    >>> festival = Perceptron([6, 2, 2], threshold=5)
    >>> festival([1, 0, 0]), festival([0, 1, 1])
    (1, 0)
    >>> Perceptron([-2, -2], bias=3)([1, 1]), Perceptron([-2, -2], threshold=3)([0, 0])
    (0, 0)
    """

    weights: tuple[float, ...]
    threshold: float

    def __init__(self, weights: Sequence[float], *, threshold: float | None = None, bias: float | None = None) -> None:
        if (threshold is None) == (bias is None):
            raise UsageError(
                "A perceptron has a threshold or a bias, which is minus the threshold.",
                {"found": "both" if bias is not None else "neither"},
                "Perceptron([6, 2, 2], threshold=5), or Perceptron([6, 2, 2], bias=-5), which is the same",
            )
        numbers = [*weights, threshold if bias is None else -bias]
        if len(numbers) < 2 or not np.isfinite(np.asarray(numbers, np.float64)).all():
            raise UsageError(
                "A perceptron has one finite number or more as weights, and one as threshold.", {"found": numbers}
            )
        object.__setattr__(self, "weights", tuple(weights))
        object.__setattr__(self, "threshold", numbers[-1])

    @property
    def bias(self) -> float:
        """Minus the threshold: what `nacre.layers.Dense` adds to the sum."""
        return 0 - self.threshold

    @property
    def inputs(self) -> int:
        """How many inputs there are."""
        return len(self.weights)

    def __call__(self, x: Any) -> Any:
        """0 or 1 for inputs x (n,), or an array of them for rows x (rows, n). Raises `DataError` for another number of inputs."""
        said = self.outputs(_rows(x, self.inputs))[:, 0]
        return int(said[0]) if np.ndim(x) == 1 else said

    def outputs(self, x: npt.NDArray[Any]) -> Bits:
        """0 or 1 for rows x (rows, n), as (rows, 1)."""
        weights, threshold = _exact(np.asarray(self.weights)), _exact(np.asarray(self.threshold)).item()
        above: Bits = (_exact(x) @ weights > threshold).astype(np.int64)
        return above[:, None]

    def model(self) -> Sequential:
        """The same as a model of one `Dense` layer with the activation step, in float32: it rounds, and so may say something else
        at exactly the threshold."""
        return _model([(np.asarray(self.weights)[:, None], np.array([self.bias]))])

    def __str__(self) -> str:
        terms = " + ".join(f"{w:g} x{n}" for n, w in enumerate(self.weights, 1)).replace("+ -", "- ")
        return f"1 if {terms} > {self.threshold:g}, else 0 (threshold {self.threshold:g}, bias {self.bias:g})"


AND = Perceptron([2, 2], bias=-3)
OR = Perceptron([2, 2], bias=-1)
NAND = Perceptron([-2, -2], bias=3)
NOT = Perceptron([-2], bias=1)
_SAME = Perceptron([2], bias=-1)  # hands a bit on to a later layer
GATES = {"and": AND, "or": OR, "nand": NAND, "not": NOT}


@dataclass(frozen=True)
class Network:
    """A circuit of perceptrons. Wires are numbered: first the ``inputs``, then what each gate gives.

    A gate is a perceptron and the wires that it takes, all of them before its own; ``out`` are the wires that are handed out.

    >>> xor = Network(2, ((NAND, (0, 1)), (NAND, (0, 2)), (NAND, (1, 2)), (NAND, (3, 4))), (5,))
    >>> [xor(bits) for bits in [(0, 0), (0, 1), (1, 0), (1, 1)]]
    [(0,), (1,), (1,), (0,)]
    """

    inputs: int
    gates: tuple[tuple[Perceptron, tuple[int, ...]], ...]
    out: tuple[int, ...]

    def __post_init__(self) -> None:
        """Raise `UsageError` if a gate takes what is not there before it, or not as many wires as it has inputs."""
        for number, (gate, taken) in enumerate(self.gates, self.inputs):
            if len(taken) != gate.inputs or not all(0 <= wire < number for wire in taken):
                raise UsageError(
                    f"Wire {number} is of a gate that takes {gate.inputs} of the wires before it, got {taken}."
                )
        if not self.out or not all(0 <= wire < self.inputs + len(self.gates) for wire in self.out):
            raise UsageError(
                f"The outputs are wires, of which there are {self.inputs + len(self.gates)}, got {self.out}."
            )

    def __call__(self, x: Any) -> Any:
        """The outputs for inputs x (n,), as a tuple, or for rows (rows, n), as an array (rows, outputs)."""
        said = self.outputs(_rows(x, self.inputs))
        return tuple(said[0].tolist()) if np.ndim(x) == 1 else said

    def outputs(self, x: npt.NDArray[Any]) -> Bits:
        """The outputs for rows x (rows, n), as (rows, outputs)."""
        wires = list(x.T)
        for gate, taken in self.gates:
            wires.append(gate.outputs(np.stack([wires[wire] for wire in taken], axis=1))[:, 0])
        return np.stack([wires[wire] for wire in self.out], axis=1).astype(np.int64)

    @property
    def depths(self) -> list[int]:
        """In which layer each wire is made, 0 for the inputs."""
        found = [0] * self.inputs
        for _, taken in self.gates:
            found.append(1 + max(found[wire] for wire in taken))
        return found

    def model(self) -> Sequential:
        """The same as layers of `Dense` with the activation step. A bit that a later layer needs is handed on by a perceptron."""
        depths = self.depths
        last = max(1, *(depths[wire] for wire in self.out))
        needed: dict[int, int] = dict.fromkeys(self.out, last)  # until which layer a wire is handed on
        for number, (_, taken) in enumerate(self.gates, self.inputs):
            for wire in taken:
                needed[wire] = max(needed.get(wire, 0), depths[number] - 1)
        layers, here = [], list(range(self.inputs))
        for depth in range(1, last + 1):
            passing = [wire for wire, until in needed.items() if depths[wire] <= depth <= until]
            there = passing if depth < last else list(self.out)
            kernel, bias = np.zeros((len(here), len(there))), np.zeros(len(there))
            for column, wire in enumerate(there):
                gate, taken = self.gates[wire - self.inputs] if depths[wire] == depth else (_SAME, (wire,))
                bias[column] = gate.bias
                for weight, source in zip(gate.weights, taken, strict=True):
                    kernel[here.index(source), column] += weight
            layers.append((kernel, bias))
            here = there
        return _model(layers)

    def __str__(self) -> str:
        outputs = f"{len(self.out)} output" + "s" * (len(self.out) > 1)
        return f"{len(self.gates)} perceptrons in {max(self.depths)} layers, {self.inputs} inputs, {outputs}"


@dataclass(frozen=True)
class TruthTable:
    """What something says to each combination of bits: rows of inputs and outputs."""

    rows: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]

    @property
    def outputs(self) -> tuple[int, ...]:
        """The first output of each row.

        >>> truth_table(NAND).outputs
        (1, 1, 1, 0)
        """
        return tuple(said[0] for _, said in self.rows)

    def __str__(self) -> str:
        (bits, said) = self.rows[0]
        names = [f"x{n}" for n in range(1, len(bits) + 1)], [f"y{n}" for n in range(1, len(said) + 1)]
        lines = [names, *self.rows]
        return "\n".join("  ".join(f"{c!s:<2}" for c in [*a, "|", *b]).rstrip() for a, b in lines)


def truth_table(of: Perceptron | Network | Sequential) -> TruthTable:
    """What a perceptron, a network of them, or a model of inputs (n,), whose outputs above 0.5 are taken for 1, says to each
    combination of its inputs.

    The first input counts most: rows go 0 0, 0 1, 1 0, 1 1. Raises `UsageError` for more than 12 inputs.

    >>> print(truth_table(Perceptron([1, 1], threshold=1)))
    x1  x2  |   y1
    0   0   |   0
    0   1   |   0
    1   0   |   0
    1   1   |   1
    """
    inputs = int(of.input_shape[-1]) if isinstance(of, Sequential) else of.inputs
    rows = _all_bits(inputs)
    said = (of.predict(rows) > 0.5).astype(np.int64) if isinstance(of, Sequential) else of.outputs(rows)
    return TruthTable(tuple((tuple(x), tuple(y)) for x, y in zip(rows.tolist(), said.tolist(), strict=True)))


class _Circuit:
    """A network of NAND perceptrons that grows. The same gate is not built twice."""

    def __init__(self, inputs: int) -> None:
        self.inputs, self.gates, self._known = inputs, [], {}  # type: tuple[int, list[tuple[int, int]], dict[tuple[int, int], int]]

    def nand(self, a: int, b: int) -> int:
        key = (min(a, b), max(a, b))
        if key not in self._known:
            self._known[key] = self.inputs + len(self.gates)
            self.gates.append(key)
        return self._known[key]

    def inverse(self, a: int) -> int:
        return self.nand(a, a)

    def both(self, a: int, b: int) -> int:
        return self.inverse(self.nand(a, b))

    def half_adder(self, a: int, b: int) -> tuple[int, int]:
        """Sum and carry of two bits."""
        neither_both = self.nand(a, b)
        return self.nand(self.nand(a, neither_both), self.nand(b, neither_both)), self.inverse(neither_both)

    def full_adder(self, a: int, b: int, carry: int | None) -> tuple[int, int]:
        """Sum and carry of two bits and a carry: nine NANDs."""
        if carry is None:
            return self.half_adder(a, b)
        first = self.nand(a, b)
        half = self.nand(self.nand(a, first), self.nand(b, first))
        second = self.nand(half, carry)
        return self.nand(self.nand(half, second), self.nand(carry, second)), self.nand(first, second)

    def network(self, outputs: Sequence[int]) -> Network:
        """What has grown, without gates that no output needs."""
        needed, pending = set[int](), list(outputs)
        while pending:
            if (wire := pending.pop()) not in needed:
                needed.add(wire)
                pending += self.gates[wire - self.inputs] if wire >= self.inputs else ()
        kept = [*range(self.inputs), *sorted(wire for wire in needed if wire >= self.inputs)]
        place = {wire: n for n, wire in enumerate(kept)}
        gates = tuple((NAND, tuple(place[w] for w in self.gates[wire - self.inputs])) for wire in kept[self.inputs :])
        return Network(self.inputs, gates, tuple(place[wire] for wire in outputs))


def nand_network(table: Sequence[int] | str | Callable[..., Any], inputs: int | None = None) -> Network:
    """A network of NAND perceptrons with two inputs each that says what ``table`` says.

    ``table`` holds the output of each row, 0 or 1, in the order of `truth_table`; or it is a function of so many bits as
    ``inputs`` says, or as it has parameters. The first input chooses between two smaller tables, and so on, and equal parts are
    built once; every row of the network is compared with the table. Raises `UsageError` for what is no table.

    >>> parity = nand_network(lambda a, b, c: a ^ b ^ c)
    >>> print(parity)
    12 perceptrons in 5 layers, 3 inputs, 1 output
    >>> nand_network("0110").gates == nand_network([0, 1, 1, 0]).gates
    True
    """
    if callable(table):
        count = len(inspect.signature(table).parameters) if inputs is None else inputs
        wanted = [int(table(*bits)) for bits in _all_bits(count).tolist()]
    else:
        wanted = [_BITS.get(str(bit), -1) for bit in table]
        count = len(wanted).bit_length() - 1
    if set(wanted) - {0, 1} or len(wanted) != 2**count or not 1 <= count <= _MOST_INPUTS or inputs not in (None, count):
        raise UsageError(
            "A truth table has an output, 0 or 1, for each combination of the inputs.",
            {"found": f"{table!r}"[:60], "expected": "2, 4, 8, ... outputs"},
            'nand_network("0110")',
        )
    circuit, built = _Circuit(count), dict[tuple[int, ...], int]()

    def build(part: tuple[int, ...], bit: int) -> int:
        """The wire of a part of the table, in which the bits before ``bit`` are settled."""
        key = (bit, *part)
        if key not in built:
            built[key] = choose(part, bit)
        return built[key]

    def choose(part: tuple[int, ...], bit: int) -> int:
        low, high = part[: len(part) // 2], part[len(part) // 2 :]  # what is said where the bit is 0, and 1
        zeros, ones = ({0}, {1})
        if set(part) in (zeros, ones):
            one = circuit.nand(0, circuit.inverse(0))
            return one if set(part) == ones else circuit.inverse(one)
        if low == high:
            return build(low, bit + 1)
        if set(low) == zeros and set(high) == ones:
            return bit
        if set(low) == ones and set(high) == zeros:
            return circuit.inverse(bit)
        if set(low) == zeros:
            return circuit.both(bit, build(high, bit + 1))
        if set(high) == zeros:
            return circuit.both(circuit.inverse(bit), build(low, bit + 1))
        if set(low) == ones:
            return circuit.nand(bit, circuit.inverse(build(high, bit + 1)))
        if set(high) == ones:
            return circuit.nand(circuit.inverse(bit), circuit.inverse(build(low, bit + 1)))
        return circuit.nand(
            circuit.nand(bit, build(high, bit + 1)), circuit.nand(circuit.inverse(bit), build(low, bit + 1))
        )

    return _verified(circuit.network([build(tuple(wanted), 0)]), np.array(wanted)[:, None])


def adder(bits: int = 2) -> Network:
    """NAND perceptrons that add two numbers of so many bits, 1 to 6. Inputs are the bits of the one, then of the other, the most
    significant first; so are the outputs, of which there is one more. Every row is compared with the sum.

    >>> adder(2)([1, 0, 1, 1])
    (1, 0, 1)
    """
    a, b = _numbers(bits)
    circuit = _Circuit(2 * bits)
    found, carry = list[int](), None
    for low in reversed(range(bits)):
        said, carry = circuit.full_adder(low, bits + low, carry)
        found.append(said)
    assert carry is not None
    return _verified(circuit.network([carry, *reversed(found)]), _bits_of(a + b, bits + 1))


def multiplier(bits: int = 2) -> Network:
    """NAND perceptrons that multiply two numbers of so many bits, 1 to 6, as one does by hand. Inputs are as in `adder`, outputs
    twice as many bits as a number has. Every row is compared with the product.

    >>> multiplier(2)([1, 1, 1, 0])
    (0, 1, 1, 0)
    """
    a, b = _numbers(bits)
    circuit = _Circuit(2 * bits)
    total: list[int | None] = [None] * (2 * bits)  # the least significant first; None where nothing was added yet, so 0
    for i in range(bits):
        carry: int | None = None
        for j in range(bits):
            term: int | None = circuit.both(bits - 1 - j, 2 * bits - 1 - i)
            known = [wire for wire in (total[i + j], term, carry) if wire is not None]
            carry = None
            total[i + j] = known[0]
            if len(known) > 1:
                total[i + j], carry = circuit.full_adder(known[0], known[1], known[2] if len(known) > 2 else None)
        total[i + bits] = carry
    never = circuit.inverse(circuit.nand(0, circuit.inverse(0)))
    wires = [never if wire is None else wire for wire in reversed(total)]
    return _verified(circuit.network(wires), _bits_of(a * b, 2 * bits))


@dataclass(frozen=True)
class Learned:
    """What `perceptron_rule` came to: the ``perceptron``, and how many rows were wrong in each pass."""

    perceptron: Perceptron
    mistakes: tuple[int, ...]

    @property
    def separated(self) -> bool:
        """Whether it came to a pass without a mistake."""
        return self.mistakes[-1] == 0

    def __str__(self) -> str:
        end = "no mistake in the last" if self.separated else "and still wrong: perhaps no line divides these rows"
        wrong = ", ".join(map(str, self.mistakes[:20])) + (", ..." if len(self.mistakes) > 20 else "")
        return f"{self.perceptron}\n{len(self.mistakes)} passes, {end}\nmistakes: {wrong}"


def perceptron_rule(x: Any, y: Any, passes: int = 100) -> Learned:
    """Let one perceptron learn rows x (n, features) and answers y (n,) of 0 and 1, by Rosenblatt's rule.

    Row by row: if the answer is wrong, the weights move by the inputs, and the bias by 1, up where 1 is right and down where 0 is.
    It ends with the first pass without a mistake, which comes if a line divides the rows, or after ``passes``. A step has no
    gradient, so no optimizer can do this. Raises `DataError` for other answers.

    >>> learned = perceptron_rule([[0, 0], [0, 1], [1, 0], [1, 1]], [1, 1, 1, 0])
    >>> learned.separated, truth_table(learned.perceptron).outputs
    (True, (1, 1, 1, 0))
    """
    inputs, answers = np.asarray(x, np.float64), np.asarray(y).reshape(-1)
    if inputs.ndim != 2 or len(inputs) != len(answers) or not len(answers) or set(answers.tolist()) - {0, 1}:
        raise DataError(
            "The perceptron rule takes rows x (n, features) and an answer of 0 or 1 for each.",
            {"x": inputs.shape, "answers": sorted(set(answers.tolist()))[:5]},
        )
    if isinstance(passes, bool) or not isinstance(passes, int) or passes < 1:
        raise UsageError(f"passes is a whole number from 1 on, got {passes!r}.")
    weights, bias, mistakes = np.zeros(inputs.shape[1]), 0.0, list[int]()
    while len(mistakes) < passes and (not mistakes or mistakes[-1]):
        wrong = 0
        for row, answer in zip(inputs, answers, strict=True):
            error = int(answer) - int(row @ weights + bias > 0)
            weights, bias, wrong = weights + error * row, bias + error, wrong + abs(error)
        mistakes.append(wrong)
    return Learned(Perceptron(weights.tolist(), bias=bias), tuple(mistakes))


def _rows(x: Any, inputs: int) -> npt.NDArray[Any]:
    rows = np.atleast_2d(np.asarray(x, np.float64))
    if rows.ndim != 2 or rows.shape[1] != inputs:
        raise DataError(f"There are {inputs} inputs.", {"found": np.shape(x)}, f"{inputs} numbers, or rows of {inputs}")
    return rows


def _exact(numbers: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Numbers as they are written, so that nothing is rounded when they are multiplied and added."""
    if (np.abs(numbers) < 2**53).all() and (numbers == np.rint(numbers)).all():
        return numbers.astype(np.int64).astype(object)
    return np.array([Fraction(str(number)) for number in numbers.reshape(-1)], object).reshape(numbers.shape)


def _all_bits(inputs: int) -> Bits:
    if isinstance(inputs, bool) or not isinstance(inputs, int) or not 1 <= inputs <= _MOST_INPUTS:
        raise UsageError(f"A truth table has 1 to {_MOST_INPUTS} inputs, got {inputs!r}.")
    return np.array(list(product((0, 1), repeat=inputs)), np.int64)


def _numbers(bits: int) -> tuple[Bits, Bits]:
    """Both numbers in each row of a table of twice so many inputs."""
    if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= _MOST_INPUTS // 2:
        raise UsageError(f"bits is a whole number from 1 to {_MOST_INPUTS // 2}, got {bits!r}.")
    both = np.arange(4**bits)
    return both >> bits, both & (2**bits - 1)


def _bits_of(numbers: Bits, bits: int) -> Bits:
    """The bits of numbers (n,), the most significant first, as (n, bits)."""
    return numbers[:, None] >> np.arange(bits)[::-1] & 1


def _verified(network: Network, wanted: Bits) -> Network:
    assert (network.outputs(_all_bits(network.inputs)) == wanted).all(), "the circuit is wrong"
    return network


def _model(layers: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]]) -> Sequential:
    stack: list[Any] = [Input((len(layers[0][0]),)), *(Dense(len(bias), "step") for _, bias in layers)]
    model = Sequential(stack)
    model.set_weights([array for layer in layers for array in layer])
    return model
