"""Models that somebody wrote as a class with ``call``: what stands in for all of their layers."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from nacre.configured import snake_case
from nacre.errors import Limitation
from nacre.ir import Value
from nacre.layers import Layer

if TYPE_CHECKING:
    from nacre.models.model import Model


OWN_ATTRIBUTES = (
    "_stack",
    "_symbols",
    "_body",
    "_part",
)  # of a model, in which there are layers that are not inside


class Body(Layer):
    """All layers that a written model keeps, and its ``call``."""

    autocast = False
    model: Model

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.name = snake_case(type(model).__name__)  # whatever the model is called: so are weights, in files too
        object.__setattr__(self, "model", model)  # whose layers are inside, and not it
        self.input_names = ["x"]
        self.form: type = object  # list or dict, where the model takes several inputs as one

    def _attributes(self) -> list[Any]:
        return [value for name, value in vars(self.model).items() if name not in OWN_ATTRIBUTES]

    def look_at(self, x: Any, kind: Any) -> None:
        """Learn from the first data, or their shapes, which inputs there are, each of which is of a kind."""
        if isinstance(x, dict):
            self.input_names, self.form = list(x), dict
        elif isinstance(x, list | tuple) and len(x) > 1 and all(isinstance(one, kind) for one in x):
            self.input_names, self.form = [f"x{n}" for n in range(len(x))], list
        self.several = self.form is not object

    def call(self, x: Any, training: bool = False) -> Value:
        """What the model says."""
        given = dict(zip(self.input_names, x, strict=True)) if self.form is dict else x
        asked = "training" in inspect.signature(self.model.call).parameters
        y: Any = self.model.call(given, **({"training": training} if asked else {}))
        if isinstance(y, list | tuple | dict):
            raise Limitation(
                f"The call of {type(self.model).__name__} gave a {type(y).__name__}, but a model written so has one output.",
                hint="for several outputs: nacre.Model(inputs, outputs)",
            )
        return y  # type: ignore[no-any-return]  # whoever called looks at it
