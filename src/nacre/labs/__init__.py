"""Experiments to learn from: each is repeated with several seeds, and says how sure it is.

>>> import nacre
>>> print(nacre.labs.nand_network("0110"))
5 perceptrons in 3 layers, 2 inputs, 1 output
"""

from nacre.labs.ablation import ablation
from nacre.labs.depth import depth
from nacre.labs.learning_curve import learning_curve
from nacre.labs.perceptron import (
    AND,
    GATES,
    NAND,
    NOT,
    OR,
    Learned,
    Network,
    Perceptron,
    TruthTable,
    adder,
    multiplier,
    nand_network,
    perceptron_rule,
    truth_table,
)
from nacre.labs.pixel_permutation import pixel_permutation
from nacre.labs.random_labels import random_labels
from nacre.labs.result import Result
from nacre.labs.seeds import seeds

__all__ = [
    "AND",
    "GATES",
    "NAND",
    "NOT",
    "OR",
    "Learned",
    "Network",
    "Perceptron",
    "Result",
    "TruthTable",
    "ablation",
    "adder",
    "depth",
    "learning_curve",
    "multiplier",
    "nand_network",
    "perceptron_rule",
    "pixel_permutation",
    "random_labels",
    "seeds",
    "truth_table",
]
