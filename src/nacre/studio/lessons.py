"""What the view lessons asks."""

from __future__ import annotations

from starlette.routing import BaseRoute


def routes() -> list[BaseRoute]:
    """Its addresses, below /api."""
    return []
