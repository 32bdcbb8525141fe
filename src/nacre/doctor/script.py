"""A script of the user's own, up to its first training."""

from __future__ import annotations

import inspect
import runpy
import sys
from pathlib import Path
from typing import Any, NoReturn

from nacre.errors import UsageError
from nacre.models import Model


class _Met(BaseException):
    """The script came to a training, of this model with these arguments."""

    def __init__(self, model: Model, arguments: dict[str, Any]) -> None:
        super().__init__()
        self.model, self.arguments = model, arguments


def first_training(script: str | Path) -> tuple[Model, dict[str, Any]]:
    """Run a Python script up to its first `Model.fit`, which is not carried out; the model, and the arguments by name.

    The script is the user's own, and is run as ``python script`` would. Raises `UsageError` if it trains nothing.
    """
    path = Path(script)
    if not path.is_file():
        raise UsageError(f"There is no script {path}.")
    signature, before = inspect.signature(Model.fit), (Model.fit, sys.argv, list(sys.path))

    def fit(model: Model, *given: Any, **named: Any) -> NoReturn:
        raise _Met(model, dict(signature.bind(model, *given, **named).arguments))

    Model.fit = fit  # type: ignore[method-assign, assignment]
    sys.argv, sys.path[:0] = [str(path)], [str(path.parent.resolve())]
    try:
        runpy.run_path(str(path), run_name="__main__")
    except _Met as met:
        del met.arguments["self"]
        return met.model, met.arguments
    except SystemExit:
        pass
    finally:
        Model.fit, sys.argv, sys.path[:] = before  # type: ignore[method-assign]
    raise UsageError(f"{path} came to its end and trained nothing.", hint="it should call model.fit(x, y, ...)")
