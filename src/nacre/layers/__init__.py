"""Layers: what they own and what they do. To add one: a class in a file here, and its name in the list below."""

from nacre.configured import names as _names
from nacre.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from nacre.layers.dense import Dense
from nacre.layers.dropout import Dropout
from nacre.layers.input import Input, InputLayer
from nacre.layers.layer import Layer, Parameter
from nacre.layers.merge import Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract
from nacre.layers.shape import Flatten, Rescaling
from nacre.layers.symbol import Symbol

LAYERS = (
    Activation,
    Add,
    Average,
    Concatenate,
    Dense,
    Dot,
    Dropout,
    ELU,
    Flatten,
    InputLayer,
    LeakyReLU,
    Maximum,
    Minimum,
    Multiply,
    PReLU,
    ReLU,
    Rescaling,
    Softmax,
    Subtract,
)
TABLE = _names(*LAYERS)

__all__ = [
    "ELU",
    "Activation",
    "Add",
    "Average",
    "Concatenate",
    "Dense",
    "Dot",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "Maximum",
    "Minimum",
    "Multiply",
    "PReLU",
    "Parameter",
    "ReLU",
    "Rescaling",
    "Softmax",
    "Subtract",
    "Symbol",
]
