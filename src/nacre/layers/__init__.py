"""Layers: what they own and what they do. To add one: a class in a file here, and its name in the list below."""

from nacre.absent import absent as _absent
from nacre.configured import names as _names
from nacre.layers.activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from nacre.layers.activity import ActivityRegularization
from nacre.layers.augmentation import Augmentation
from nacre.layers.dense import Dense
from nacre.layers.dropout import AlphaDropout, Dropout, GaussianDropout, GaussianNoise
from nacre.layers.embedding import Embedding
from nacre.layers.input import Input, InputLayer
from nacre.layers.layer import TABLE, Layer, Parameter
from nacre.layers.lookup import IntegerLookup, StringLookup
from nacre.layers.merge import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
    add,
    average,
    concatenate,
    dot,
    maximum,
    minimum,
    multiply,
    subtract,
)
from nacre.layers.normalization import BatchNormalization, LayerNormalization, RMSNormalization, UnitNormalization
from nacre.layers.operation import Lambda, Operation
from nacre.layers.preprocessing import CategoryEncoding, Discretization, Normalization
from nacre.layers.residual import Residual
from nacre.layers.shape import Flatten, Identity, Permute, RepeatVector, Rescaling, Reshape
from nacre.layers.symbol import Symbol

LAYERS = (
    Activation,
    ActivityRegularization,
    Add,
    AlphaDropout,
    Augmentation,
    Average,
    BatchNormalization,
    CategoryEncoding,
    Concatenate,
    Dense,
    Discretization,
    Dot,
    Dropout,
    ELU,
    Embedding,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    Identity,
    InputLayer,
    IntegerLookup,
    Lambda,
    LayerNormalization,
    LeakyReLU,
    Maximum,
    Minimum,
    Multiply,
    Normalization,
    Operation,
    PReLU,
    Permute,
    RMSNormalization,
    ReLU,
    RepeatVector,
    Rescaling,
    Reshape,
    Residual,
    Softmax,
    StringLookup,
    Subtract,
    UnitNormalization,
)
TABLE.update(_names(*LAYERS))

__all__ = [
    "ELU",
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Augmentation",
    "Average",
    "BatchNormalization",
    "CategoryEncoding",
    "Concatenate",
    "Dense",
    "Discretization",
    "Dot",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "Input",
    "InputLayer",
    "IntegerLookup",
    "Lambda",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Maximum",
    "Minimum",
    "Multiply",
    "Normalization",
    "Operation",
    "PReLU",
    "Parameter",
    "Permute",
    "RMSNormalization",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Residual",
    "Softmax",
    "StringLookup",
    "Subtract",
    "Symbol",
    "UnitNormalization",
    "add",
    "average",
    "concatenate",
    "dot",
    "maximum",
    "minimum",
    "multiply",
    "subtract",
]
__getattr__ = _absent("layers", __all__)
