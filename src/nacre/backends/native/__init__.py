"""The native lowering: a graph becomes a plan of C++ kernels over one arena, and an executor runs whole epochs of it."""

from nacre.backends.native.executor import NativeExecutable, compile
from nacre.backends.native.plan import Plan, lower

__all__ = ["NativeExecutable", "Plan", "compile", "lower"]
