"""The native lowering: a graph becomes a plan of C++ kernels over one arena, and an executor runs whole epochs of it."""

from nacre.backends.native._binding import default_isa, default_threads, shuffled
from nacre.backends.native.executor import ALONE, NativeExecutable, compile
from nacre.backends.native.lowering import lower
from nacre.backends.native.plan import Plan

__all__ = ["ALONE", "NativeExecutable", "Plan", "compile", "default_isa", "default_threads", "lower", "shuffled"]
