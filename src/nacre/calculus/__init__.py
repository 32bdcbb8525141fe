"""Calculus with functions written in `nacre.ops`: gradients, their check, and minima.

>>> from nacre import ops
>>> minimize(lambda v: v[0] * ops.exp(-(v[0] ** 2 + v[1] ** 2)), [-0.2, 0.3]).x.round(4)
array([-0.7071,  0.    ])
"""

from nacre.calculus.check import Entry, GradientCheck, gradcheck
from nacre.calculus.derivatives import grad, value_and_grad
from nacre.calculus.minimum import Minimum, minimize

__all__ = ["Entry", "GradientCheck", "Minimum", "grad", "gradcheck", "minimize", "value_and_grad"]
