"""Plots of what a model learned, how, and how well, drawn with Matplotlib, which ``nacre[plot]`` brings.

Each takes ``ax``, the axes of Matplotlib to draw on, and returns the axes, so that plots can be put beside each other and changed
afterwards; where there are several, ``ax`` and what comes back are arrays of them. Without ``ax`` there is a new figure. Nothing is
shown or written: a notebook shows a figure by itself, elsewhere ``axes.figure.savefig("plot.png")`` writes it.

Colors are those of M. Okabe and K. Ito, "Color universal design", 2008, which color-blind people tell apart as well.

>>> import nacre
>>> loss, accuracy = nacre.plots.history({"loss": [0.9, 0.4], "val_loss": [0.8, 0.5], "accuracy": [0.6, 0.8]})
>>> loss.get_title(loc="left")
'loss: 0.5 in validation in epoch 2, the lowest'
"""

from nacre.plots.activation import activation
from nacre.plots.boundary import decision_boundary
from nacre.plots.classes import calibration, confusion_matrix
from nacre.plots.depth import gradient_flow, layer_statistics
from nacre.plots.history import history
from nacre.plots.rates import learning_rate, schedule
from nacre.plots.slope import loss_along
from nacre.plots.surface import level_sets
from nacre.plots.weights import weights

__all__ = [
    "activation",
    "calibration",
    "confusion_matrix",
    "decision_boundary",
    "gradient_flow",
    "history",
    "layer_statistics",
    "learning_rate",
    "level_sets",
    "loss_along",
    "schedule",
    "weights",
]
