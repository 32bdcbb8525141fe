"""Perceptrons, gates, and circuits of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.labs import GATES, Network, Perceptron, adder, multiplier, nand_network, truth_table
from nacre.layers import Dense
from nacre.models import Sequential
from nacre.studio.figures import Column, Figure, Heat, Point, Table, Text, Unit
from nacre.studio.figures import Network as Drawn
from nacre.studio.lessons.lesson import Lesson, Slider, Toggle, choice

Array = npt.NDArray[Any]


# ------------------------------------------------------------------ one perceptron


def perceptron(
    weather: bool, company: bool, transport: bool, w1: float, w2: float, w3: float, threshold: float
) -> list[Figure]:
    """A perceptron of three inputs, and what it says to all of them."""
    one = Perceptron([w1, w2, w3], threshold=threshold)
    bits = [int(bit) for bit in (weather, company, transport)]
    said, total = one(bits), sum(w * bit for w, bit in zip(one.weights, bits, strict=True))
    terms = " + ".join(f"{w:g}·{bit}" for w, bit in zip(one.weights, bits, strict=True))
    table = truth_table(one)
    names = ("weather", "company", "transport")
    return [
        Text(
            text=f"{terms} = {total:g} is {'above' if said else 'not above'} the threshold {threshold:g}: "
            f"{'go' if said else 'stay at home'}.",
            strong=True,
        ),
        Drawn(
            title=f"The perceptron; threshold {threshold:g} is a bias of {one.bias:g}",
            layers=[
                Column("inputs", [Unit(f"{name}: {bit}", bit) for name, bit in zip(names, bits, strict=True)]),
                Column("output", [Unit("go" if said else "stay", said)]),
            ],
            weights=[np.array(one.weights)[:, None]],
        ),
        Table(
            title="All eight cases",
            columns=[*names, "sum", "go?"],
            rows=[[*row, float(np.dot(row, one.weights)), *go] for row, go in table.rows],
            marked=[row for row, _ in table.rows].index(tuple(bits)),
        ),
    ]


PERCEPTRON = Lesson(
    "perceptron",
    "A perceptron",
    """Shall we go to the cheese festival? A perceptron weighs the reasons, and says 1 if the sum is above its threshold; at
exactly the threshold it says 0. With weights 6, 2, 2 and threshold 5 the weather decides alone.

Lower the threshold to 3: now go if the weather is good, or if both other reasons hold. Some write the sum less a
threshold, others, Keras and nacre's Dense among them, the sum plus a bias. The bias is minus the threshold.""",
    [
        Toggle("weather", "The weather is good", True),
        Toggle("company", "A friend comes along", False),
        Toggle("transport", "The train goes there", False),
        Slider("w1", "Weight of the weather", 6.0, -8, 8, 0.5),
        Slider("w2", "Weight of company", 2.0, -8, 8, 0.5),
        Slider("w3", "Weight of transport", 2.0, -8, 8, 0.5),
        Slider("threshold", "Threshold", 5.0, -8, 12, 0.5),
    ],
    perceptron,
    """from nacre.labs import Perceptron, truth_table

one = Perceptron([$w1, $w2, $w3], threshold=$threshold)
print(one)
print("go?", one([$weather, $company, $transport]))
print(truth_table(one))""",
)


# ------------------------------------------------------------------ NAND


def nand(w1: float, w2: float, b: float, convention: str) -> list[Figure]:
    """A perceptron of two inputs as a gate and as a line in the plane."""
    one = Perceptron([w1, w2], **{convention: b})
    table = truth_table(one)
    gates = [name.upper() for name, gate in GATES.items() if truth_table(gate).outputs == table.outputs]
    side = np.linspace(-0.5, 1.5, 80)
    plane = np.stack(np.meshgrid(side, side[::-1]), -1).reshape(-1, 2)
    name = f"This is {gates[0]}" if gates else "This gate has no name here"
    return [
        Text(
            text=f"{name}: {', '.join(map(str, table.outputs))}. Bias {one.bias:g}, threshold {one.threshold:g}.",
            strong=True,
        ),
        Table(
            title="What it says to two bits",
            columns=["x1", "x2", "w·x", "w·x + bias", "output"],
            rows=[
                [*row, float(np.dot(row, one.weights)), float(np.dot(row, one.weights) + one.bias), *said]
                for row, said in table.rows
            ],
        ),
        Heat.of(
            one.model().predict(plane, verbose=0).reshape(80, 80) * 2 - 1,
            "Where the perceptron says 1, blue, and 0, orange",
            title="Blue, full: 1; orange, open: 0. A perceptron divides the plane by a line. x1 to the right, x2 upward.",
            low=-2.5,
            high=2.5,
            x=(-0.5, 1.5),
            y=(-0.5, 1.5),
            points=[Point(a, b, open=not said[0]) for (a, b), said in table.rows],
            size="min(100%, 340px)",
        ),
    ]


NAND_LESSON = Lesson(
    "nand",
    "NAND",
    """Weights -2, -2 and b = 3 are NAND, the gate of which all circuits can be made, if b is added to the sum. If b is a
threshold, which is taken off the sum, the same numbers say 0 to everything: change the convention and see. One has to
say which is meant.

Find weights for AND and OR. Then try to find any for which 01 and 10 give 1 and the others 0: no line divides them.""",
    [
        Slider("w1", "Weight of x1", -2.0, -4, 4, 0.5),
        Slider("w2", "Weight of x2", -2.0, -4, 4, 0.5),
        Slider("b", "b", 3.0, -5, 5, 0.5),
        choice("convention", "b is", {"bias": "a bias: w·x + b > 0", "threshold": "a threshold: w·x - b > 0"}),
    ],
    nand,
    """from nacre.labs import Perceptron, truth_table

one = Perceptron([$w1, $w2], $convention=$b)
print(one)
print(truth_table(one))""",
)


# ------------------------------------------------------------------ several layers

TABLES = {
    "01101001": "an odd number of ones",
    "00010111": "the majority",
    "00110101": "if a then c else b",
    "10000001": "all the same",
    "01111111": "at least one",
}


def layers_of_perceptrons(table: str, a: bool, b: bool, c: bool) -> list[Figure]:
    """A network of NANDs for a table of three bits."""
    circuit = nand_network(table)
    bits = [int(a), int(b), int(c)]
    rows = truth_table(circuit).rows
    return [
        Text(text=f"{circuit}. To {bits[0]} {bits[1]} {bits[2]} it says {circuit(bits)[0]}.", strong=True),
        _drawn(_as_model(table), bits, ["a", "b", "c"], ["output"]),
        Table(
            title="The truth table",
            columns=["a", "b", "c", "output"],
            rows=[[*row, *said] for row, said in rows],
            marked=[row for row, _ in rows].index(tuple(bits)),
        ),
    ]


LAYERS_OF_PERCEPTRONS = Lesson(
    "layers-of-perceptrons",
    "A multi-layer perceptron",
    """The first layer decides about the inputs, the second about these decisions, the next about those. Blue units say 1. So
a network says what no single perceptron can, such as whether the number of ones is odd.

Choose a table and turn the inputs on and off. Every unit here is a NAND, or hands a bit on; each of the 256 tables of
three bits can be made so.""",
    [
        choice("table", "What it shall say", TABLES),
        Toggle("a", "a", True),
        Toggle("b", "b", False),
        Toggle("c", "c", False),
    ],
    layers_of_perceptrons,
    """from nacre.labs import nand_network, truth_table

circuit = nand_network("$table")
print(circuit)
print(circuit([$a, $b, $c]))
print(truth_table(circuit.model()).outputs)""",
)


@cache
def _as_model(table: str) -> Sequential:
    return nand_network(table).model()


# ------------------------------------------------------------------ a circuit that calculates


def circuit(what: str, a: int, b: int) -> list[Figure]:
    """Two bits times two bits, or plus, layer by layer."""
    made, model = _circuits(what)
    bits = [a >> 1, a & 1, b >> 1, b & 1]
    out = made(bits)
    number = int("".join(map(str, out)), 2)
    sign = "·" if what == "multiplier" else "+"
    every = [[int("".join(map(str, made([m >> 1, m & 1, n >> 1, n & 1]))), 2) for n in range(4)] for m in range(4)]
    rows: list[list[str | float | int | None]] = [[f"{m} {sign}", *row] for m, row in enumerate(every)]
    names = [f"{2**n}s" for n in reversed(range(len(out)))]
    return [
        Text(
            text=f"{a} {sign} {b} = {number}: {bits[0]}{bits[1]} and {bits[2]}{bits[3]} give {''.join(map(str, out))}.",
            strong=True,
        ),
        _drawn(model, bits, ["a: 2s", "a: 1s", "b: 2s", "b: 1s"], names),
        Table(title=f"All it can say: {made}", columns=["", "0", "1", "2", "3"], rows=rows, marked=a),
    ]


CIRCUIT = Lesson(
    "circuit",
    "A circuit that multiplies",
    """Complex tasks are made of simple ones. This network multiplies two numbers from 0 to 3 as one does by hand, with
nothing but NAND perceptrons, and perceptrons that hand a bit on to a later layer.

Move a and b and follow the bits from left to right, blue where they are 1. Nobody trained these weights: they were
written. What a network learns is such weights, for tasks for which nobody could write them.""",
    [
        choice("what", "The circuit", {"multiplier": "multiplies", "adder": "adds"}),
        Slider("a", "a", 3, 0, 3, 1),
        Slider("b", "b", 2, 0, 3, 1),
    ],
    circuit,
    """from nacre.labs import $what

circuit = $what(2)
print(circuit)
bits = [int(bit) for bit in f"{$a:02b}{$b:02b}"]
print(bits, "give", circuit(bits))
circuit.model().summary()""",
)


@cache
def _circuits(what: str) -> tuple[Network, Sequential]:
    made = {"multiplier": multiplier, "adder": adder}[what](2)
    return made, made.model()


def _drawn(model: Sequential, bits: list[int], inputs: list[str], outputs: list[str]) -> Figure:
    """A model of perceptrons with the bit of each unit, and the weights between."""
    calls = [call for call in model.inside(np.array([bits], np.float32)).calls if isinstance(call.layer, Dense)]
    columns = [Column("inputs", [Unit(f"{name} = {bit}", bit) for name, bit in zip(inputs, bits, strict=True)])]
    for number, call in enumerate(calls, 1):
        values = call.output[0].astype(int).tolist()
        labels = (
            [f"{name} = {bit}" for name, bit in zip(outputs, values, strict=True)]
            if call is calls[-1]
            else map(str, values)
        )
        columns.append(Column(f"layer {number}", [Unit(text, bit) for text, bit in zip(labels, values, strict=True)]))
    return Drawn(
        title="Units say 1 where they are blue. Blue lines weigh for, orange ones against.",
        layers=columns,
        weights=[model.get_weights()[2 * n] for n in range(len(calls))],
        height=300,
    )
