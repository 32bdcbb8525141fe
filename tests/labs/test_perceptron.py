"""Perceptrons, circuits of them, and how one learns."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import nacre
from nacre.errors import DataError, UsageError
from nacre.labs import (
    AND,
    GATES,
    NAND,
    OR,
    Network,
    Perceptron,
    adder,
    multiplier,
    nand_network,
    perceptron_rule,
    truth_table,
)

FOUR = [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_the_cheese_festival_is_decided_by_the_weather_or_by_the_two_others() -> None:
    assert truth_table(Perceptron([6, 2, 2], threshold=5)).outputs == (0, 0, 0, 0, 1, 1, 1, 1)
    assert truth_table(Perceptron([6, 2, 2], threshold=3)).outputs == (0, 0, 0, 1, 1, 1, 1, 1)


def test_at_exactly_the_threshold_a_perceptron_says_0() -> None:
    assert Perceptron([2, 3], threshold=5)([1, 1]) == 0
    assert Perceptron([2, 3], threshold=np.nextafter(5, 0))([1, 1]) == 1
    assert Perceptron([2, 3], bias=-5).model().predict(np.ones((1, 2), np.float32)).item() == 0


def test_sums_of_decimals_are_those_that_are_written() -> None:
    assert 0.1 + 0.2 > 0.3  # as floating point has it
    assert Perceptron([0.1, 0.2], threshold=0.3)([1, 1]) == 0
    assert Perceptron([0.1, 0.2], bias=-0.3)([1, 1]) == 0
    assert Perceptron([1, 1], threshold=0.3)([[0.1, 0.2], [0.1, 0.21]]).tolist() == [0, 1]
    assert Perceptron([1e300, -1e300, 1], threshold=0)([1, 1, 1]) == 1


def test_a_model_says_1_from_one_half_on() -> None:
    model = nacre.Sequential([nacre.Input((1,)), nacre.layers.Dense(1, "sigmoid")])
    model.set_weights([[[6.0]], [-3.0]])  # 0.05 and 0.95
    assert truth_table(model).outputs == (0, 1)


def test_a_bias_is_minus_a_threshold_and_one_of_them_is_named() -> None:
    assert Perceptron([-2, -2], bias=3) == Perceptron([-2, -2], threshold=-3)
    assert truth_table(Perceptron([-2, -2], bias=3)).outputs == (1, 1, 1, 0)
    assert truth_table(Perceptron([-2, -2], threshold=3)).outputs == (0, 0, 0, 0)
    for mistaken in ({}, {"threshold": 3, "bias": 3}):
        with pytest.raises(UsageError, match="threshold or a bias"):
            Perceptron([-2, -2], **mistaken)
    with pytest.raises(TypeError):
        Perceptron([1], 3)  # type: ignore[misc]


def test_gates_are_what_they_are_called() -> None:
    assert truth_table(AND).outputs == tuple(int(a and b) for a, b in FOUR)
    assert truth_table(OR).outputs == tuple(int(a or b) for a, b in FOUR)
    assert truth_table(NAND).outputs == (1, 1, 1, 0)
    assert truth_table(GATES["not"]).outputs == (1, 0)
    assert (NAND.weights, NAND.bias) == ((-2, -2), 3)


def test_another_number_of_inputs_is_refused() -> None:
    for mistaken in ([1], [1, 0, 1], [[1], [0]]):
        with pytest.raises(DataError, match="2 inputs"):
            AND(mistaken)


@pytest.mark.parametrize("inputs", [1, 2, 3])
def test_every_truth_table_of_up_to_three_inputs_becomes_nand_perceptrons_that_say_it(inputs: int) -> None:
    for outputs in product((0, 1), repeat=2**inputs):
        network = nand_network(outputs)
        assert [network(bits) for bits in product((0, 1), repeat=inputs)] == [(said,) for said in outputs]
        assert all(gate == NAND and len(wires) == 2 for gate, wires in network.gates)


def test_a_function_of_bits_becomes_a_network() -> None:
    majority = nand_network(lambda *bits: sum(bits) > 2, inputs=5)
    assert all(majority(bits) == (int(sum(bits) > 2),) for bits in product((0, 1), repeat=5))


@pytest.mark.parametrize("table", ["", "1", "011", "0120", "0" * 2**13, "01x0"])
def test_what_is_no_truth_table_is_refused(table: str) -> None:
    with pytest.raises(UsageError, match="truth table"):
        nand_network(table)


def number(bits: Any) -> int:
    return int("".join(map(str, bits)), 2)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("make", [adder, multiplier])
def test_circuits_calculate_and_so_do_their_layers_of_steps(make: Any, bits: int) -> None:
    network = make(bits)
    table = truth_table(network)
    for row, said in table.rows:
        a, b = number(row[:bits]), number(row[bits:])
        assert number(said) == (a + b if make is adder else a * b)
    model = network.model()
    assert {layer.get_config()["activation"] for layer in model.layers} == {"step"}
    assert len(model.layers) == max(network.depths)
    assert truth_table(model) == table


def test_a_wire_that_is_an_input_and_one_that_is_made_early_reach_the_last_layer() -> None:
    network = Network(2, ((NAND, (0, 1)), (NAND, (2, 2)), (NAND, (3, 3))), (0, 2, 4))
    assert truth_table(network.model()) == truth_table(network)
    assert truth_table(Network(1, (), (0,)).model()).outputs == (0, 1)


def test_a_network_whose_wires_do_not_exist_is_refused() -> None:
    for gates, out in ((((NAND, (0, 2)),), (2,)), (((NAND, (0,)),), (2,)), (((NAND, (0, 1)),), (3,)), ((), ())):
        with pytest.raises(UsageError, match="wires"):
            Network(2, gates, out)


def test_the_perceptron_rule_finds_every_gate_a_line_divides_and_not_xor() -> None:
    found = {outputs: perceptron_rule(FOUR, outputs, passes=50) for outputs in product((0, 1), repeat=4)}
    undivided = {(0, 1, 1, 0), (1, 0, 0, 1)}
    for outputs, learned in found.items():
        assert learned.separated == (outputs not in undivided)
        assert (truth_table(learned.perceptron).outputs == outputs) == learned.separated
    assert len(found[0, 1, 1, 0].mistakes) == 50
    assert "still wrong" in str(found[0, 1, 1, 0])


def test_the_first_pass_of_the_perceptron_rule_is_the_one_done_by_hand() -> None:
    learned = perceptron_rule(
        [[1, 2], [3, 1]], [1, 0], passes=1
    )  # 1 is missed: w (1, 2), b 1; then 6 > 0 is wrong: w (-2, 1), b 0
    assert (learned.perceptron.weights, learned.perceptron.bias, learned.mistakes) == ((-2, 1), 0, (2,))


def test_answers_other_than_0_and_1_are_refused() -> None:
    with pytest.raises(DataError, match="0 or 1"):
        perceptron_rule([[0, 1], [1, 1]], [-1, 1])
