"""Graph to graph: the same meaning with less to do, or on other inputs."""

from nacre.passes.masks import unmasked
from nacre.passes.replay import replay
from nacre.passes.simplify import simplified, simplify

__all__ = ["replay", "simplified", "simplify", "unmasked"]
