"""Layers: what they own and what they do. To add one: a class in a file here, and its name in the list below."""

from nacre.configured import names as _names
from nacre.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from nacre.layers.dense import Dense
from nacre.layers.dropout import Dropout
from nacre.layers.input import Input, InputLayer
from nacre.layers.layer import Layer, Parameter
from nacre.layers.shape import Flatten, Rescaling

LAYERS = (Activation, Dense, Dropout, ELU, Flatten, InputLayer, LeakyReLU, PReLU, ReLU, Rescaling, Softmax)
TABLE = _names(*LAYERS)

__all__ = [
    "ELU",
    "Activation",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "PReLU",
    "Parameter",
    "ReLU",
    "Rescaling",
    "Softmax",
]
