"""What a network has learned, unit by unit, and which rows it learned it from: pictures, selectivity, attributions, a ledger."""

from nacre.insight.ascent import Attribution, Maximized, gradient_times_input, maximize
from nacre.insight.ledger import Ledger, ledger
from nacre.insight.lipschitz import LipschitzBound, lipschitz_bound
from nacre.insight.pictures import SHAPES, FirstLayer, first_layer, shapes
from nacre.insight.units import Exciting, Selectivity, activations, exciting, selectivity

__all__ = [
    "SHAPES",
    "Attribution",
    "Exciting",
    "FirstLayer",
    "Ledger",
    "LipschitzBound",
    "Maximized",
    "Selectivity",
    "activations",
    "exciting",
    "first_layer",
    "gradient_times_input",
    "ledger",
    "lipschitz_bound",
    "maximize",
    "selectivity",
    "shapes",
]
