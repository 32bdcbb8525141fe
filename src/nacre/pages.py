"""Pages that need nothing but themselves, and the small pictures on them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# What is above 0 is blue, what is below it orange, on every page and plot: color-blind people tell these apart too.
ABOVE, BELOW = (37, 99, 168), (194, 87, 26)
_ABOVE_DARK, _BELOW_DARK = (111, 168, 230), (235, 154, 99)  # on a dark page


def _signs(above: tuple[int, ...], below: tuple[int, ...]) -> str:
    """The colors as styles name them.

    >>> _signs(ABOVE, BELOW)
    '--for: 37, 99, 168; --against: 194, 87, 26;'
    """
    return f"--for: {', '.join(map(str, above))}; --against: {', '.join(map(str, below))};"


def rendered(template: Path, content: Mapping[str, Any]) -> bytes:
    """A page from a template, which may extend others in its folder; all that is put into it is escaped.

    The template may ask for ``signs`` and ``dark_signs``, by which styles know the colors --for and --against.
    """
    import jinja2  # noqa: PLC0415 - slow to import, needed only here

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {"signs": _signs(ABOVE, BELOW), "dark_signs": _signs(_ABOVE_DARK, _BELOW_DARK)}
    return environment.get_template(template.name).render(content).encode()


def png(pixels: npt.NDArray[np.uint8]) -> str:
    """Bytes (height, width[, 1]), of shades of grey, or (height, width, 3 or 4) as an address that holds the picture itself."""
    from PIL import Image  # noqa: PLC0415 - slow to import, needed only here

    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2:] == (1,) else pixels).save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


__all__ = ["ABOVE", "BELOW", "png", "rendered"]
