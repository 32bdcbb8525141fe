"""What the view runs asks."""

from __future__ import annotations

from pathlib import Path

from starlette.routing import BaseRoute


def routes(root: Path) -> list[BaseRoute]:  # noqa: ARG001
    """Its addresses, below /api."""
    return []
