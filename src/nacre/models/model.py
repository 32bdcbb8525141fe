"""What all models can do: be trained, asked, looked at, saved. The face of nacre, with Keras 3's names."""

from __future__ import annotations

import inspect
import json
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import numpy as np
import numpy.typing as npt

from nacre import __version__, losses, metrics, optimizers
from nacre.backends.base import PlannedStep, State
from nacre.calculus import Entry, gradcheck
from nacre.configured import (
    Configured,
    natural,
    serialize,
    snake_case,
    strangers,
)
from nacre.data import (
    Column,
    Data,
    Dataset,
    Features,
    Pictures,
    Shards,
    Stream,
    Table,
    is_stream,
    looks_like_table,
    numeric,
    pieces_of,
)
from nacre.errors import (
    Limitation,
    ModelFileError,
    NacreError,
    NotBuiltError,
    ShapeError,
    UsageError,
    find,
)
from nacre.interop import safetensors
from nacre.ir import Input as GraphInput
from nacre.ir import Memory, TensorType, Turns, Value
from nacre.layers import InputLayer, Layer, Parameter, Symbol
from nacre.layers.layer import Record, Shape, Weighted, apart, layers_in, numbers, once, shape_text, traced
from nacre.models.files import FORMAT, NONSENSE, check_restorable, check_tensors, is_of_keras, restore, types_of
from nacre.models.goals import Judged, by_output, judged, misfit, restored
from nacre.models.goals import described as described_outputs
from nacre.models.mistakes import refuse_unknown
from nacre.models.part import KINDS, Part, shown
from nacre.models.scores import Scores
from nacre.models.written import OWN_ATTRIBUTES, Body
from nacre.ops import next_seed
from nacre.training import Callback, History, Trainer
from nacre.training.callbacks import Callbacks
from nacre.training.checkpoint import CALLBACK_PREFIX
from nacre.training.devices import check_device, device_of, lowering
from nacre.training.gradients import loss_along
from nacre.training.inside import Inside
from nacre.training.program import Goal, slot_types
from nacre.training.progress import describe, reporter
from nacre.training.trainer import EVALUATION_ROWS
from nacre.upstairs import room

if TYPE_CHECKING:
    from typing_extensions import Self

Array = npt.NDArray[Any]

_WEIGHTS = "nacre.weights"  # in the metadata of a file of weights alone: the optimizer and its steps


class Model(Weighted, Configured):
    """What all models can do. `Sequential` and `Functional` say how the layers are put together; ``Model(inputs, outputs)`` makes
    a `Functional` model.

    A subclass may also say it in code: it keeps layers as attributes, and ``call(inputs)``, or ``call(inputs, training)``, gives
    what comes out, composed of layers and of `nacre.ops`. Several inputs come as a list or dictionary, as the data do.

    >>> import numpy as np, nacre
    >>> class Halves(nacre.Model):
    ...     def __init__(self, units):
    ...         super().__init__()
    ...         self.units = units
    ...         self.left, self.right = nacre.layers.Dense(units), nacre.layers.Dense(units, "relu")
    ...     def call(self, inputs):
    ...         return nacre.ops.concatenate([self.left(inputs), self.right(inputs)], axis=-1)
    >>> model = Halves(3)
    >>> model.compile("sgd", "mse")
    >>> history = model.fit(np.ones((8, 4)), np.zeros((8, 6)), verbose=0)
    >>> model.output_shape, list(model.named)[:2]
    ((None, 6), ['halves/dense/kernel', 'halves/dense/bias'])
    """

    kinds: ClassVar[dict[str, type[Model]]] = KINDS

    def __init_subclass__(cls) -> None:
        for method, instead in _OWN_STEPS.items():
            if method in cls.__dict__:
                raise Limitation(f"A model cannot have its own {method}: a step is one program.", hint=instead)
        known = next((kind for kind in KINDS.values() if issubclass(cls, kind)), None)
        if known is not None and "call" in cls.__dict__:
            raise UsageError(
                f"{cls.__name__} has a call of its own, but is a {known.__name__}, which never asks for it.",
                hint="make it a subclass of nacre.Model",
            )

    def __new__(cls, *_args: Any, **_settings: Any) -> Self:
        """A functional model, if no kind of model was named."""
        return super().__new__(Model.kinds["Functional"] if cls is Model else cls)  # type: ignore[return-value]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The model that `get_config` described, with fresh weights; a functional one, if no kind of model was named."""
        return Model.kinds["Functional"].from_config(config) if cls is Model else super().from_config(config)  # type: ignore[return-value]

    def __init__(self, name: str | None = None, **unknown: Any) -> None:
        refuse_unknown(type(self).__init__, unknown)
        name = snake_case(type(self).__name__) if name is None else name
        self.name = name if isinstance(name, str) else _refuse("name of a model", name)
        self._body = Body(self) if self._is_written else None
        self._stack: list[Layer] = [self._body] if self._body else []  # all layers, inputs included
        self._symbols: list[Symbol] = []  # from the first inputs to the last output
        self.history: History | None = None
        self.stop_training = False
        self._seed = next_seed()
        self._settings: dict[str, Any] | None = None
        self._trainer: Trainer | None = None
        self._row: tuple[tuple[int, ...], ...] | None = None  # shapes of the rows that were found to fit
        self._matched: set[tuple[Any, ...]] = set()  # losses, outputs and targets that were found to fit
        self._part: Part | None = None
        self.features: Features | Pictures | None = None  # what tables or files of pictures mean to the model
        self._restored: dict[str, Memory] = {}  # slots out of a file, until a trainer takes them over

    # -------------------------------------------------------------- what a kind of model says; here, one written as a class

    @property
    def _is_written(self) -> bool:
        return type(self).call is not Model.call

    def __setattr__(self, name: str, value: Any) -> None:
        if self._is_written and name not in OWN_ATTRIBUTES:
            body = self.__dict__.get("_body")
            if body is None and layers_in(value):
                raise UsageError(
                    f"{type(self).__name__} keeps a layer before it is made.", hint="call super().__init__() first"
                )
            value = value if body is None else body.keep_all(value)
        super().__setattr__(name, value)

    def call(self, inputs: Any) -> Value:  # noqa: ARG002 - for subclasses
        """The output for inputs, composed of layers and operations; a subclass says it."""
        raise UsageError(f"{type(self).__name__} does not say what it computes.", hint="define call(self, inputs)")

    @property
    def _written(self) -> Body:
        if self._body is None:
            self.call(None)
        assert self._body is not None
        return self._body

    def _names_to_build(self) -> list[str] | None:
        return self.input_names if self._body is not None and self._body.form is dict else None

    def forward(self, inputs: Sequence[Value], training: bool, record: Record | None = None) -> list[Value]:
        """The outputs for a batch, composed of operations; what else comes of it is added to ``record``."""
        return [self._written(inputs if self._written.several else inputs[0], training, record)]

    def build(self, input_shape: Any) -> None:
        """Create all weights for inputs of this shape, batch first (as None), or for inputs of a list or dictionary of shapes."""
        body = self._written
        body.look_at(input_shape, list | tuple)
        shapes = input_shape.values() if body.form is dict else input_shape if body.form is list else [input_shape]
        inputs = [InputLayer([int(n or 0) for n in shape[1:]]).symbol for shape in shapes]
        before = [part.state_of_building() for part in self._parts()]
        try:
            with apart():
                output = body(inputs if body.several else inputs[0])
                values = traced(inputs)  # some layers may be used in training only
                body(values if body.several else values[0], training=True)
        except BaseException:
            for restore_ in before:
                restore_()
            raise
        self._symbols = [*inputs, output]
        body.number_streams(0)

    def _shapes_to_build(self, shapes: Sequence[Sequence[int | None]], names: Sequence[str] | None) -> Any:
        """What `build` takes for inputs of these shapes, with names, if they go by names."""
        rows = [(None, *shape) for shape in shapes]
        return rows[0] if len(rows) == 1 and names is None else dict(zip(names, rows, strict=True)) if names else rows

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs, by which a dictionary of arrays is understood."""
        return self._written.input_names

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, by which targets, losses, metrics and figures go."""
        return ["output"]

    @property
    def inputs(self) -> list[Symbol]:
        """The symbols that the model begins with."""
        self._need_built()
        return self._symbols[:-1]

    @property
    def outputs(self) -> list[Symbol]:
        """The symbols that the model ends with."""
        self._need_built()
        return self._symbols[-1:]

    def _arranged(self, outputs: list[Any]) -> Any:
        """What a caller gets of the outputs."""
        return outputs[0]

    # -------------------------------------------------------------- as a function, and as a layer

    def __call__(self, x: Any, training: bool | None = None) -> Any:
        """The outputs for x: symbols, of which another model is made that shares these weights; or arrays, with the weights as they
        are now.

        >>> import nacre
        >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1, kernel_initializer="ones")])
        >>> print(model([[1.0, 2.0]]))
        [[3.]]
        >>> twice = nacre.Model(x := nacre.Input((2,)), nacre.layers.Add()([model(x), model(x)]))
        >>> [w.name for w in twice.weights], list(twice.named)
        (['dense/kernel', 'dense/bias'], ['sequential/dense/kernel', 'sequential/dense/bias'])
        """
        if self._body is not None and not self.built:
            self._body.look_at(x, Symbol | Value | np.ndarray)
        alone = isinstance(x, list | tuple) and len(x) == 1 and isinstance(x[0], Symbol | Value | np.ndarray)
        if alone and isinstance(x[0], np.ndarray) and self.built:
            alone = x[0].ndim == len(self.input_shapes[0])
        single = len(self.input_names) == 1 and not isinstance(x, Mapping)
        given = [x[0] if alone else x] if single else by_output("The call", x, self.input_names, kind="input")
        y = self.as_layer()(given, training)
        return self._arranged(y if isinstance(y, list) else [y])

    def as_layer(self) -> Part:
        """The layer that the model is in other models."""
        if self._part is None:
            self._part = Part(self)
        return self._part

    @property
    def input(self) -> Any:
        """The symbol that the model begins with; a list where there are several."""
        return self.inputs[0] if len(self.inputs) == 1 else self.inputs

    @property
    def output(self) -> Any:
        """The symbol that the model ends with; a list or dictionary where there are several."""
        return self._arranged(self.outputs)

    @property
    def input_shapes(self) -> list[Shape]:
        """Shape of each input, batch first (as None)."""
        return [symbol.shape for symbol in self.inputs]

    @property
    def output_shapes(self) -> list[Shape]:
        """Shape of each output, batch first (as None)."""
        return [symbol.shape for symbol in self.outputs]

    @property
    def input_shape(self) -> Any:
        """Shape of the input, batch first (as None); a list where there are several."""
        shapes = self.input_shapes
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> Any:
        """Shape of the output, batch first (as None); a list where there are several."""
        shapes = self.output_shapes
        return shapes[0] if len(shapes) == 1 else shapes

    # -------------------------------------------------------------- weights

    @property
    def layers(self) -> list[Any]:
        """The layers, and the models that are parts of this one; like Keras, without the input."""
        stack = self._stack if self._body is None else self._body.inside
        return [shown(layer) for layer in stack if not isinstance(layer, InputLayer)]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """The layer, or model inside, of that name, or at that place in ``layers``. Raises `UnknownName` with a suggestion."""
        if index is not None:
            return self.layers[index]
        return find("layer", str(name), {layer.name: layer for layer in self.layers})

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights of any layer; when set, it is set for all layers, and the next step obeys."""
        return any(layer.trainable for layer in self._stack if not isinstance(layer, InputLayer))

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self._stack:
            layer.trainable = value

    @property
    def named(self) -> dict[str, Parameter]:
        """The weights by their names: layer/weight, and model/layer/weight for those of a model that is a part of this one."""
        return once({name: w for layer in self._stack for name, w in layer.named.items()})

    @property
    def built(self) -> bool:
        """Whether the weights exist."""
        return all(layer.built for layer in self._stack) and bool(self._stack)

    @property
    def steps(self) -> int:
        """How many calls of layers it takes."""
        return sum(layer.steps for layer in self._stack)

    def _need_built(self) -> None:
        if not self.built:
            raise NotBuiltError(
                f"The model {self.name!r} has no weights yet: it does not know its input's shape.",
                hint="begin with nacre.Input(shape), give the first layer input_shape=..., or call fit",
            )

    def count_params(self) -> int:
        """Number of weights."""
        self._need_built()
        return sum(w.type.size for w in self.weights)

    def get_weights(self) -> list[Array]:
        """Copies of all weights, in order: kernel, bias, kernel, bias, ... While another thread is in `fit`, this waits until its
        epoch is over."""
        self._need_built()
        return self._turns().use(lambda: [w.numpy() for w in self.weights])

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Overwrite all weights; number and shapes must agree, else `ShapeError` and nothing changes."""
        self._need_built()
        if not isinstance(weights, list | tuple):
            _refuse("list of arrays", weights)
        arrays = [numbers(f"weight {n}", w) for n, w in enumerate(weights)]
        if len(arrays) != len(self.weights):
            raise ShapeError(f"The model has {len(self.weights)} weights, got {len(arrays)}.")
        for (name, weight), array in zip(self.named.items(), arrays, strict=True):
            if weight.shape != array.shape:
                raise ShapeError(f"{name!r} has shape {weight.shape}, got {array.shape}.")

        def assign() -> None:
            for weight, array in zip(self.weights, arrays, strict=True):
                weight.assign(array)

        self._turns().use(assign)

    def _turns(self) -> Turns:
        """For who reads or writes several weights: another thread may be training."""
        return Turns(w.memory for w in self.weights)

    # -------------------------------------------------------------- compile

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        *,
        device: str = "native",
        **unknown: Any,
    ) -> None:
        """Choose optimizer, loss and metrics, each by name or as an object. Weights of samples count in ``weighted_metrics``.

        A model with several outputs takes one loss for all of them, or a list or dictionary with one for each, None for an output
        that is not trained. What is minimized is their sum, each times its number in ``loss_weights``. ``metrics`` and
        ``weighted_metrics`` are lists, and for several outputs a list of lists, or a dictionary of lists by output.

        ``device`` is what computes: "native" (C++ on the processor, the default), "reference" (NumPy, slow and plain), or with
        ``pip install nacre[xla]`` what XLA knows: "xla" (the best that it finds), "xla:cpu", "xla:gpu", "xla:gpu:1"; see
        `nacre.devices`. There, results agree to rounding and not to the bit, and rows that fit are moved to the device once for a
        call of `fit`. Compiling anew forgets the optimizer's velocities, not the weights. Raises `UnknownName` for a name that does
        not exist, `UsageError` for a device that is not here; warns of a crossentropy that does not fit the activation at the end,
        as far as layers tell.
        """
        refuse_unknown(self.compile, unknown)
        lowering(device)  # a file may name a device of another machine, who compiles here may not
        self._compile(optimizer, loss, loss_weights, metrics, weighted_metrics, device)
        for layer, one in zip(self._ends(), self._compiled["outputs"], strict=False):
            if (said := misfit(layer, one.loss)) is not None:
                warnings.warn(said, stacklevel=2)

    def _compile(
        self, optimizer: Any, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any, device: str
    ) -> None:
        outputs = judged(self.output_names, loss, loss_weights, metrics, weighted_metrics)
        check_device(device)
        self._settings = {"optimizer": optimizers.get(optimizer), "outputs": outputs, "device": device}
        self._trainer, self._restored, self._matched = None, {}, set()

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was told, as JSON can hold it, for `compile_from_config`.

        >>> import nacre
        >>> first, second = (nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(3)]) for _ in range(2))
        >>> first.compile("sgd", "mse", metrics=["mae"])
        >>> second.compile_from_config(first.get_compile_config())
        >>> second.loss.name, second.metrics_names
        ('mean_squared_error', ['loss', 'mae'])
        """
        said = described_outputs(self._compiled["outputs"])
        return {"optimizer": serialize(self.optimizer), **said, "device": self._compiled["device"]}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile the model as `get_compile_config` says of another one."""
        said = restored(config, len(self.output_names))
        self._compile(config["optimizer"], **said, device=device_of(config))

    @property
    def loss(self) -> Any:
        """The loss of the output; a list where there are several outputs."""
        found = [one.loss for one in self._compiled["outputs"]]
        return found[0] if len(found) == 1 else found

    @property
    def metrics(self) -> list[metrics.Metric]:
        """What is measured beside the losses."""
        return [m.metric for m in self._goal_for(None).measured]

    @property
    def metrics_names(self) -> list[str]:
        """The names of the figures that `evaluate` gives: losses, then metrics."""
        return list(self._goal_for(None).emitted)

    @property
    def optimizer(self) -> optimizers.Optimizer:
        """The optimizer; its learning rate may be set between epochs, if it is no schedule."""
        optimizer: optimizers.Optimizer = self._compiled["optimizer"]
        return optimizer

    @property
    def _compiled(self) -> dict[str, Any]:
        if self._settings is None:
            raise NotBuiltError(
                "The model has not been compiled.", hint='call model.compile(optimizer="sgd", loss=...) first'
            )
        return self._settings

    def judged_outputs(self) -> list[tuple[str, Shape]]:
        """Of each output that is compared with targets, what these are, "labels", "probabilities" or "numbers", and its shape; none
        if the model was not compiled."""
        outputs = [] if self._settings is None else self._judged()
        return [(one.loss.targets if one.loss else "numbers", self.output_shapes[n]) for n, _, one in outputs]

    def _judged(self) -> list[tuple[int, str, Judged]]:
        """Number and name of each output that is compared with targets, and how."""
        outputs = self._compiled["outputs"]
        return [(n, name, one) for n, (name, one) in enumerate(zip(self.output_names, outputs, strict=True)) if one]

    def _training(self, data: Data) -> Trainer:
        """The trainer for targets like these."""
        if self._trainer is not None and self._trainer.goal is not None:
            return self._trainer
        state = State(self._memory() | self._restored)
        self._trainer = Trainer(self, state, self._compiled["device"], self._goal_for(data), self._seed)
        return self._trainer

    def _goal_for(self, data: Data | None) -> Goal:
        """What training is after, with targets like these; without data, as far as it is known."""
        batch = None if data is None else data.first
        judged = self._judged()
        if batch is None and self._trainer is not None and self._trainer.goal is not None:
            return self._trainer.goal
        shapes = [TensorType(tuple(n or 1 for n in shape)) for shape in self.output_shapes]
        types = (
            [shapes[n] for n, _, _ in judged] if batch is None else [TensorType(c.array.shape) for c in batch.targets]
        )
        targets = [
            one.target(n, name if len(shapes) > 1 else None, y, shapes[n])
            for (n, name, one), y in zip(judged, types, strict=True)
        ]
        return Goal(targets, self.optimizer)

    def kind(self) -> str | None:
        """A text that models have in common that compute the same, with other weights, seeds and learning rates: their programs are
        the same. None if a part is not nacre's, of which nothing is known but its name, or is one that no file could describe; or
        if the model is not built or compiled yet."""
        if not self.built or self._settings is None:
            return None
        try:
            if check_restorable(self) or strangers([[w.regularizer, w.constraint] for w in self.weights]):
                return None
            if any(_is_patched(part) for part in self._parts()):
                return None
        except UsageError:
            return None
        rule = self.optimizer.get_config() | {"learning_rate": None, "class_name": type(self.optimizer).__name__}
        said = described_outputs(self._compiled["outputs"]) | {"optimizer": rule, "device": self._compiled["device"]}
        weights = [
            (name, w.frozen, str(w.type), serialize([w.regularizer, w.constraint])) for name, w in self.named.items()
        ]
        streams = [part.stream for part in self._parts()]
        try:
            return json.dumps([serialize(self), self.input_shapes, weights, streams, said])
        except TypeError:
            return None

    def _predicting(self) -> Trainer:
        """The trainer that there is, or one that can only predict."""
        if self._trainer is None:
            device = self._settings["device"] if self._settings else "native"
            self._trainer = Trainer(self, State(self._memory()), device, None, self._seed)
        return self._trainer

    def _memory(self) -> dict[str, Memory]:
        for name, w in self.named.items():
            try:
                w.memory.read()
            except MemoryError as error:
                raise MemoryError(f"There is no room for the weight {name!r}: {error}") from None
        return {name: w.memory for name, w in self.named.items()}

    # -------------------------------------------------------------- data

    def _dataset(self, x: Any, y: Any, weight: Any = None, by_class: Mapping[Any, float] | None = None) -> Dataset:
        """Checked data for training or evaluation."""
        return self._fitting(self._columns(x, y, weight), by_class)

    def _columns(self, x: Any, y: Any = None, weight: Any = None, allow_empty: bool = False) -> Dataset:
        """The columns of data for training, or without y for prediction."""
        if isinstance(self.features, Features) and looks_like_table(x):
            x = self.features.inputs(Table.of(x))
        if self._body is not None and not self.built:
            self._body.look_at(x, np.ndarray)
        alone = self.built and len(self.input_names) == 1 and _is_list_of_arrays(x) and len(x) == 1
        if alone and np.ndim(x[0]) == len(self.input_shapes[0]):
            x = x[0]  # a list of all inputs, as Keras takes it, and not of rows
        inputs = _each("x", x, self.input_names, "input")
        inputs = (
            {name: self._rows(name, a) for name, a in inputs.items()}
            if isinstance(inputs, dict)
            else self._rows(None, inputs)
        )
        if y is None:
            return Dataset(inputs, allow_empty=allow_empty)
        names = [name for _, name, _ in self._judged()]
        y, weight = (self._wanted(what, given, names, x) for what, given in (("y", y), ("sample_weight", weight)))
        for_all = weight is not None and not isinstance(weight, Mapping) and not _is_list_of_arrays(weight)
        weights = weight if for_all else _each("sample_weight", weight, names, "output", missing=True)
        return Dataset(inputs, _each("y", y, names, "output"), weights)

    def _rows(self, name: str | None, array: Any) -> Any:
        """An input; of one number for each row, as rows of one number, unless the model takes them as they are."""
        if self.built:
            shapes = self.input_shapes
            if len(shapes[0 if name is None else self.input_names.index(name)]) == 1:
                return array
        flat = getattr(array, "ndim", None) == 1 or (isinstance(array, list | tuple) and all(map(np.isscalar, array)))
        return np.asarray(array)[:, None] if flat and len(array) else array

    def _source(
        self,
        x: Any,
        y: Any,
        steps: int | None,
        targets: bool = True,
        weight: Any = None,
        by_class: Mapping[Any, float] | None = None,
    ) -> Data:
        """Checked arrays, or batches that are checked as they come; ``steps`` of them make a pass."""
        if by_class is not None and not isinstance(by_class, Mapping):
            _refuse("class_weight", by_class)
        if inspect.isgeneratorfunction(x):
            raise UsageError(
                f"x is the function {x.__name__!r}, which yields batches when it is called.", hint=f"{x.__name__}()"
            )
        check = partial(self._fitting, by_class=by_class) if targets else self._build_for
        pieces = pieces_of(x, y, weight) if steps is None else None
        if pieces is not None:
            return Shards(pieces, check, targets, self._columns)
        if y is None and is_stream(x):
            if weight is not None:
                raise UsageError(
                    "sample_weight is for arrays, but x is an iterable.", hint="yield (x, y, sample_weight)"
                )
            return Stream(x, check, steps, targets, self._columns)
        if steps is not None:
            raise Limitation(
                "A number of steps was given, but arrays are always gone through as a whole.",
                hint="leave it out; or pass batches (x, y) as x, from a list or a generator",
            )
        return self._dataset(x, y, weight, by_class) if targets else self._build_for(self._columns(x, allow_empty=True))

    def _wanted(self, what: str, given: Any, names: list[str], x: Any) -> Any:
        """What was given for the outputs in ``names``, if it was given for all outputs, or in a list for the only one."""
        several = len(self.output_names) > 1
        if isinstance(given, Mapping) or (
            several and _is_list_of_arrays(given) and len(given) == len(self.output_names)
        ):
            found = dict(zip(self.output_names, by_output(what, given, self.output_names), strict=True))
            return {name: found[name] for name in names}
        if len(names) == 1 and _is_list_of_arrays(given) and len(given) == 1:
            first = next(iter(x.values())) if isinstance(x, Mapping) else x
            if several or (hasattr(first, "__len__") and len(given[0]) == len(first) > 1):
                return given[0]
        return given

    def _fitting(self, data: Dataset, by_class: Mapping[Any, float] | None = None) -> Dataset:
        """The data, checked against inputs, outputs and losses."""
        if not data.targets:
            raise UsageError("Targets are missing.", hint="pass y; or batches (x, y) as x, from a list or a generator")
        self._build_for(data)
        for number, (output, _, one) in enumerate(self._judged()):
            if one.loss is None:
                continue
            shape = self.output_shapes[output]
            if one.loss.targets == "labels":
                classes = int(shape[getattr(one.loss, "axis", -1)] or 0)
                data = data.check_labels(classes, one.loss.ignore_class, number)
            self._check_target(one.loss, data.targets[number], shape)
            if one.loss.targets == "probabilities":
                data.check_probabilities(number)
        return data if by_class is None else data.weighted_by_class(by_class)

    def _check_target(self, loss: losses.Loss, column: Column, shape: Shape) -> None:
        """Demand that targets fit an output: the loss says so, on types alone."""
        found = (loss, shape, column.array.shape[1:], column.dtype)
        if found in self._matched:
            return
        target = GraphInput("y", TensorType((1, *column.array.shape[1:]), column.dtype))
        loss.match(target, GraphInput("output", TensorType((1, *(int(n or 0) for n in shape[1:])))))
        self._matched.add(found)

    def _build_for(self, data: Dataset) -> Dataset:
        """The data, which the model can take; if it has no weights yet, they are made for it."""
        shapes = tuple(column.array.shape[1:] for column in data.inputs)
        if shapes == self._row:
            return data
        if not self.built:
            self.build(self._shapes_to_build(shapes, self._names_to_build()))
        first = (self.layers or self._stack)[0]
        label = f"{type(first).__name__} {first.name!r}"
        for number, (name, shape) in enumerate(zip(self.input_names, self.input_shapes, strict=True)):
            who = label if len(shapes) == 1 else f"The input {name!r}"
            data.check_shape(tuple(int(n or 0) for n in shape[1:]), who, number)
        self._row = shapes
        return data

    def rows_of(self, x: Any, y: Any) -> tuple[int, Callable[[Array], tuple[Any, Any]]]:
        """How many rows there are, and a function that gives some of them, by number, as `train_on_batch` takes them; without
        y, none of the targets."""
        data = self._build_for(self._columns(x)) if y is None else self._dataset(x, y)
        names = self.input_names, [] if y is None else [name for _, name, _ in self._judged()]

        def some(rows: Array) -> tuple[Any, Any]:
            xs, ys = (
                {name: column.take(rows) for name, column in zip(part, columns, strict=True)}
                for part, columns in zip(names, (data.inputs, data.targets), strict=True)
            )
            return xs, ys

        return len(data), some

    # -------------------------------------------------------------- fit, evaluate, predict

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Iterable[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        **unknown: Any,
    ) -> History:
        """Train on x (n, ...) and y for ``epochs`` passes in batches of ``batch_size`` (32), shuffled anew for each pass.

        ``validation_split`` takes the last fraction of the rows, before shuffling. Ctrl-C raises `KeyboardInterrupt` and leaves
        the model after a whole number of steps. Returns the `History`. Raises `DataError`, `ShapeError` or `DTypeError` for data
        that does not fit, before anything changes, and `NonFiniteLossError` if training diverges.

        ``sample_weight`` (n,) multiplies the loss of each row; the last fraction of it goes to the validation, and
        ``validation_data`` may be (x, y, sample_weight), or batches, of which ``validation_steps`` are taken, else all.
        ``class_weight``, a dictionary from class numbers, gives each row the weight of its class, 1 for those that are not named;
        unlike in Keras, validation rows too, times the weight they have, so that both losses compare.

        x may also be an iterable of batches (x, y) or (x, y, sample_weight): a generator, a list of tuples, or an object with
        ``__iter__``. Each batch is checked as it comes, and is one step, in the order in which it comes. A pass takes
        ``steps_per_epoch`` batches, and the next goes on from there; left out, a pass takes all batches, so a generator, which
        can be gone through once, is good for one pass, and one that never ends needs ``steps_per_epoch``. ``validation_data``
        is (x, y) or such an iterable. Training ends early, with a warning, when a generator runs out.

        >>> import numpy as np, nacre
        >>> model = nacre.Sequential([nacre.Input((3,)), nacre.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> batches = ((np.ones((8, 3)), np.zeros(8)) for _ in range(100))
        >>> history = model.fit(batches, epochs=2, steps_per_epoch=20, verbose=0)
        >>> history.epoch, model.optimizer.iterations
        ([0, 1], 40)
        """
        refuse_unknown(self.fit, unknown)
        size = _positive("batch_size", 32 if batch_size is None else batch_size)
        judged = size if validation_batch_size is None else _positive("validation_batch_size", validation_batch_size)
        _positive("epochs", epochs)
        if isinstance(initial_epoch, bool) or not isinstance(initial_epoch, int) or initial_epoch < 0:
            raise UsageError(f"initial_epoch is a whole number from 0 on, got {initial_epoch!r}.")
        steps = None if steps_per_epoch is None else _positive("steps_per_epoch", steps_per_epoch)
        passes = epochs - initial_epoch
        _check_weights(sample_weight, class_weight)
        data = self._source(x, y, steps, weight=sample_weight, by_class=class_weight)
        validation: Data | None = None
        if isinstance(data, Stream):
            _check_passes(
                data, "x", passes, "give steps_per_epoch; or pass a list, or an object that can be iterated anew"
            )
            if batch_size is not None or validation_split:
                raise UsageError("batch_size and validation_split are for arrays, but x is an iterable of batches.")
        if inspect.isgeneratorfunction(validation_data):
            raise UsageError("validation_data is a function, which yields batches when it is called.", hint="gen()")
        pair = isinstance(validation_data, tuple | list) and not is_stream(validation_data)
        if not pair and (pieces_of(validation_data) is not None or is_stream(validation_data)):
            count = None if validation_steps is None else _positive("validation_steps", validation_steps)
            validation = self._source(validation_data, None, count, by_class=class_weight)
            _check_passes(validation, "validation_data", passes, "pass a list, or an object that can be iterated anew")
        elif validation_data is not None:
            if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
                found = {"found": type(validation_data).__name__}
                raise UsageError("validation_data is a pair (x, y), or (x, y, sample_weight).", found)
            rows, targets, *weight = validation_data
            validation = self._source(rows, targets, None, weight=weight[0] if weight else None, by_class=class_weight)
        elif not isinstance(validation_split, int | float):
            _refuse("validation_split", validation_split)
        elif validation_split:
            assert not isinstance(data, Stream)
            data, validation = data.split(validation_split)
        trainer = self._training(data)
        given = _listed(callbacks)
        history = next((callback for callback in given if isinstance(callback, History)), None) or History()
        called = Callbacks(
            [*given, *([] if history in given else [history]), *reporter(verbose)],  # what is told has been noted
            self,
            epochs=epochs,
            steps=data.steps if isinstance(data, Stream) else -(-len(data) // size),
            batch_size=None if isinstance(data, Stream) else size,
            samples=_rows(data),
            verbose=verbose,
        )
        self.history = history
        self.stop_training = False
        trainer.fit(
            data,
            validation,
            epochs=range(initial_epoch, epochs),
            batch_size=size,
            validation_size=judged,
            shuffle=shuffle,
            callbacks=called,
        )
        return history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Iterable[Callback] | None = None,
        return_dict: bool = False,
        **unknown: Any,
    ) -> Any:
        """Loss and metrics on x and y: a list [loss, ...], one number when there are no metrics, or a dictionary.

        ``sample_weight`` (n,) multiplies the loss of each row. x may be an iterable of batches, as in `fit`; ``steps`` says how
        many of them to take, else all.
        """
        refuse_unknown(self.evaluate, unknown)
        size = _positive("batch_size", EVALUATION_ROWS if batch_size is None else batch_size)
        data = self._source(x, y, None if steps is None else _positive("steps", steps), weight=sample_weight)
        trainer = self._training(data)
        logs = trainer.evaluate(data, size, Callbacks(_listed(callbacks), self, samples=_rows(data)))
        if verbose:
            what = f"{data.drawn:,} batches" if isinstance(data, Stream) else f"{len(data):,} samples"
            print(f"{what}  {describe(logs)}", file=sys.stderr)
        return logs if return_dict else list(logs.values()) if len(logs) > 1 else logs["loss"]

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Iterable[Callback] | None = None,
    ) -> Any:
        """Outputs for the rows of x, float32 (n, ...), or a list or dictionary of them for a model with several outputs. A row's
        output does not depend on the rows beside it.

        x may be an iterable of batches, each x or a tuple that begins with x; ``steps`` says how many of them to take, else all.
        While another thread is in `fit`, this waits until its epoch is over: predictions come from whole steps only.
        """
        size = EVALUATION_ROWS if batch_size is None else _positive("batch_size", batch_size)
        if type(x) is np.ndarray and x.ndim > 1 and steps is None and callbacks is None:
            rows = numeric("x", x, allow_empty=True, finite=False)
            if (rows.shape[1:],) != self._row:
                self._build_for(self._columns(rows, allow_empty=True))
            return self._arranged((self._trainer or self._predicting()).outputs(rows, size))
        data = self._source(x, None, None if steps is None else _positive("steps", steps), targets=False)
        called = Callbacks(_listed(callbacks), self, samples=_rows(data), verbose=verbose)
        return self._arranged(self._predicting().predict(data, size, called))

    def predict_scores(self, x: Any, batch_size: int | None = None) -> Any:
        """The scores for the rows of x, float32 (n, ...): what the activation at the end of the model is applied to, such as the
        logits of its softmax. Else as `predict`.

        Raises `UsageError` if the model, or one of its outputs, does not end in an activation.

        >>> import numpy as np, nacre
        >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(2, "softmax")])
        >>> model.set_weights([np.array([[1.0, 0.0], [0.0, 3.0]]), np.zeros(2)])
        >>> scores = model.predict_scores(np.array([[2.0, 1.0]]))
        >>> scores.tolist(), bool(np.allclose(nacre.activations.softmax(scores), model.predict(np.array([[2.0, 1.0]]))))
        ([[2.0, 3.0]], True)
        """
        size = EVALUATION_ROWS if batch_size is None else _positive("batch_size", batch_size)
        data = self._source(x, None, None, targets=False)
        device = self._settings["device"] if self._settings else "native"
        trainer = Trainer(Scores(self), State(self._memory()), device, None, self._seed)
        return self._arranged(trainer.predict(data, size, Callbacks([], self, samples=_rows(data))))

    def train_on_batch(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch; returns loss and metrics of it, before the step, as `evaluate` does."""
        _check_weights(sample_weight, class_weight)
        data = self._dataset(x, y, sample_weight, class_weight)
        logs = self._training(data).epoch(data, len(data), shuffle=False, callbacks=Callbacks([], self))
        return logs if return_dict else list(logs.values()) if len(logs) > 1 else logs["loss"]

    def predict_on_batch(self, x: Any) -> Any:
        """Outputs for one batch, as `predict` gives them."""
        return self.predict(x, verbose=0)

    def test_on_batch(self, x: Any, y: Any, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Loss and metrics of one batch, as `evaluate` gives them."""
        return self.evaluate(x, y, verbose=0, sample_weight=sample_weight, return_dict=return_dict)

    def fit_lbfgs(
        self,
        x: Any,
        y: Any,
        steps: int = 100,
        tolerance: float = 1e-5,
        sample_weight: Any = None,
        evaluations: int | None = None,
    ) -> History:
        """Train by L-BFGS on all of x (n, ...) and y at once, for small problems; see `nacre.minimize`.

        Takes at most ``steps`` steps, each of which may need the loss and its gradient several times, and ends sooner when the norm
        of the gradient is at most ``tolerance``, when float32 resolves no lower loss, or after the step in which the loss has been
        computed ``evaluations`` times. ``sample_weight`` (n,) multiplies the loss of each row. Dropout is off, and the optimizer
        given to `compile` has no part. The `History` holds "loss", "gradient_norm" and "evaluations" after each number of steps,
        from 0 on.
        Raises `UsageError` if a weight has a constraint.

        >>> import numpy as np, nacre
        >>> x = np.linspace(-1, 1, 20).reshape(-1, 1)
        >>> model = nacre.Sequential([nacre.Input((1,)), nacre.layers.Dense(1)])
        >>> model.compile(loss="mse")
        >>> history = model.fit_lbfgs(x, 3 * x + 2)
        >>> model.get_weights()[0].round(3).item(), model.get_weights()[1].round(3).item()
        (3.0, 2.0)
        """
        _positive("steps", steps)
        if not isinstance(tolerance, int | float) or not tolerance >= 0:
            raise UsageError(f"tolerance is a number from 0 on, got {tolerance!r}.")
        most = None if evaluations is None else _positive("evaluations", evaluations)
        data = self._dataset(x, y, sample_weight)
        history = self.history = History()
        self._training(data).fit_lbfgs(data, steps, tolerance, most, history)
        return history

    # -------------------------------------------------------------- gradients

    def gradients(
        self, x: Any, y: Any, names: Sequence[str] | None = None, per_sample: bool = False, training: bool = False
    ) -> dict[str, Array]:
        """The gradient of the loss on x (n, ...) and y with respect to each trained weight, by its name, as one step would see it.

        ``names`` chooses weights, frozen ones too. With ``per_sample``, the loss of each row is taken by itself, and its gradient
        lies at that place of a new first axis: (n, ...). With ``training``, dropout acts as it will in the next step.

        Raises `UnknownName` for a weight that is not there, and what `fit` raises for data that does not fit.

        >>> import numpy as np, nacre
        >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1, kernel_initializer="ones", name="dense")])
        >>> model.compile(loss="mse")
        >>> x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 6.0])
        >>> model.gradients(x, y)
        {'dense/kernel': array([[5.],
               [8.]], dtype=float32), 'dense/bias': array([3.], dtype=float32)}
        >>> model.gradients(x, y, names=["dense/bias"], per_sample=True)
        {'dense/bias': array([[4.],
               [2.]], dtype=float32)}
        """
        data = self._dataset(x, y)
        if isinstance(names, str):
            raise UsageError(f"names is a list of names of weights, got {names!r}.", hint=f"names=[{names!r}]")
        table = self.named
        chosen = [name for name, w in table.items() if w.trainable] if names is None else names
        weights = {name: find("weight", name, table) for name in chosen}
        return self._training(data).gradients(data, weights, per_sample, training)

    def inside(self, x: Any, y: Any = None, training: bool = False, layers: bool = True) -> Inside:
        """What goes on inside for each row of x (n, ...) by itself: what each layer takes and gives, and, if there are targets y,
        the loss, how it hangs on each of these numbers, and how large its gradient is by each weight.

        With ``training``, the rows are one batch, as in the next step: dropout acts, and batches are normalized; losses and
        gradients are those of the batch. Without ``layers``, only losses and norms of gradients are kept. Raises what `fit` raises
        for data that does not fit.

        >>> import numpy as np, nacre
        >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1, "relu", kernel_initializer="ones", name="dense")])
        >>> model.compile(loss="mse")
        >>> inside = model.inside(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 9.0]))
        >>> inside["dense"].output.tolist(), inside["dense"].error.tolist(), inside.losses.tolist()
        ([[3.0], [7.0]], [[4.0], [-4.0]], [4.0, 4.0])
        """
        if y is None:
            data = self._build_for(self._columns(x))
            return self._predicting().inside(data, training, layers)
        data = self._dataset(x, y)
        return self._training(data).inside(data, training, layers)

    def explain(self, x: Any, y: Any = None) -> Any:
        """One step on rows x (n, ...), at most 32, with all its numbers: forward pass, and, with targets y, loss, backward pass and
        update. The `nacre.explain.Explanation` can be printed, and saved as a page or a spreadsheet.

        >>> import numpy as np, nacre
        >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(2, "softmax", kernel_initializer="ones", name="out")])
        >>> model.compile(loss="sparse_categorical_crossentropy")
        >>> explanation = model.explain(np.array([[1.0, 2.0]]), np.array([1]))
        >>> explanation.outputs.tolist(), explanation.layer("out").score_error.tolist()
        ([[0.5, 0.5]], [[0.5, -0.5]])
        """
        return room("explain").explain(self, x, y)

    def loss_function(self, x: Any, y: Any) -> tuple[Callable[[Mapping[str, Any]], Value], dict[str, Array]]:
        """The loss on x and y as a function of the trained weights, and these weights, in float64 and without dropout.

        The function takes a dictionary of weights by name, for `nacre.grad`, `nacre.gradcheck` and `nacre.minimize`.

        >>> import numpy as np, nacre
        >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1, name="dense")])
        >>> model.compile(loss="mse")
        >>> loss, weights = model.loss_function(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 6.0]))
        >>> print(loss({"dense/kernel": [[1.0], [1.0]], "dense/bias": [0.0]}))
        2.5
        >>> bool(nacre.gradcheck(loss, weights))
        True
        """
        data = self._dataset(x, y)
        return self._training(data).loss_function(data)

    def grad_of(self, entry: str, x: Any, y: Any) -> Entry:
        """How the loss on x (n, ...) and y hangs on one single number of one trained weight, in float64 and without dropout.

        ``entry`` names it, as in "dense/kernel[3, 7]". What comes back has the ``gradient`` by the chain rule, the central
        ``difference``, which knows nothing of that rule, and ``error``, their distance by what `nacre.gradcheck` allows.
        Raises `UnknownName` or `UsageError` for a number that is not there, and what `fit` raises for data that does not fit.

        >>> import numpy as np, nacre
        >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1, kernel_initializer="ones", name="dense")])
        >>> model.compile(loss="mse")
        >>> found = model.grad_of("dense/kernel[1, 0]", np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 6.0]))
        >>> found.where, found.gradient, round(found.difference, 6), found.error < 1
        ('dense/kernel[1, 0]', 8.0, 8.0, True)
        """
        along, number = loss_along(*self.loss_function(x, y), entry)
        return replace(gradcheck(along, number).worst, where=entry)

    # -------------------------------------------------------------- looking

    def summary(self, print_fn: Callable[[str], Any] | None = None, **unknown: Any) -> None:
        """Print the layers with their output shapes and numbers of weights."""
        refuse_unknown(self.summary, unknown)
        print_fn = print if print_fn is None else print_fn
        self._need_built()
        rows: list[tuple[str, str, str, str]] = [("Layer (type)", "Output shape", "Params", "")]
        seen: set[int] = set()
        for layer, s in self._outputs():
            params = "" if id(layer) in seen else f"{layer.count_params():,}"
            rows.append((f"{layer.name} ({type(shown(layer)).__name__})", shape_text(s), params, ""))
            seen.add(id(layer))
        for n, source in enumerate(self._sources()):
            rows[n] = (*rows[n][:3], f"   {source}")
        widths = [max(len(r[i]) for r in rows) for i in range(3)]
        lines = [f"{a:<{widths[0]}}   {b:<{widths[1]}}   {c:>{widths[2]}}{d}" for a, b, c, d in rows]
        rule = "-" * max(map(len, lines))
        trainable = sum(w.type.size for w in self.weights if w.trainable)
        total = self.count_params()
        size = sum(w.type.nbytes for w in self.weights)
        tail = f"Total {total:,} ({_bytes(size)}), trainable {trainable:,}, not trainable {total - trainable:,}"
        print_fn("\n".join([f"Model {self.name!r}", rule, lines[0], rule, *lines[1:], rule, tail]))

    def to_json(self, **options: Any) -> str:
        """The layers and their settings, without weights, for `models.model_from_json`; ``options`` are those of `json.dumps`."""
        return json.dumps(serialize(self), **options)

    def plan(
        self, x: Any, y: Any = None, batch_size: int = 32, seconds: float = 0
    ) -> tuple[list[PlannedStep], list[float]]:
        """What the engine runs for a full batch of these rows, kernel by kernel: of training if there is y, else of prediction.

        With ``seconds``, the time of each step is measured, in seconds: the least of 15 repeats, which take about so long
        together; the list of times is empty without.
        The model stays as it is. Raises `Limitation` where the device runs no plan.

        >>> import numpy as np
        >>> import nacre
        >>> model = nacre.Sequential([nacre.Input((64,)), nacre.layers.Dense(10, activation="relu")])
        >>> steps, _ = model.plan(np.zeros((32, 64)))
        >>> [step.kernel for step in steps]
        ['matmul_bias', 'unpack']
        """
        size = _positive("batch_size", batch_size)
        data = self._build_for(self._columns(x)) if y is None else self._dataset(x, y)
        trainer = self._training(data) if data.targets else self._predicting()
        return trainer.plan(data, size, seconds)

    def graph(
        self,
        x: Any = None,
        y: Any = None,
        kind: str = "layers",
        plan: bool = False,
        batch_size: int = 32,
        seconds: float = 0,
        predict: bool = False,
    ) -> Any:
        """What one step of training runs, as a `nacre.diagrams.Diagram`: the forward graph, the loss, the backward graph with each
        node linked to the forward node it belongs to, and the update. Of a prediction, for rows x without y, for a model that is
        not compiled, or with ``predict``.

        It has a node for what each layer does in each direction, or, with kind="operations", for every operation of the very graph
        that is run; with ``plan``, for each kernel, and with ``seconds`` the time of each, measured for about so long. The graph
        is that of a batch of ``batch_size`` rows, or as many as there are; of given rows, the first of them, nodes know the least,
        the mean and the largest number of what they give.

        Print it, ``save`` it as .svg, .html or .txt, or leave it at the end of a cell of a notebook. Raises `UnknownName` for
        another kind, and what `fit` raises for data that does not fit.

        >>> import nacre
        >>> model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(3, "relu"), nacre.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> [node.formula for node in model.graph().nodes if node.part == "forward"]
        ['x', 'x A1 + b1 = Z1', 'relu(Z1) = X1', 'X1 A2 + b2 = X2']
        >>> [node.formula for node in model.graph().nodes if node.part == "backward"]
        ['dL -> dX2', 'dX2 -> dX1, dA2, db2', 'dX1 -> dZ1', 'dZ1 -> dA1, db1']
        """
        size = _positive("batch_size", batch_size)
        return room("diagrams").draw(self, x, y, kind, plan, size, seconds, predict)

    def _outputs(self) -> list[tuple[Layer, Shape]]:
        """Each call of a layer with the shape of its output."""
        record = Record()
        self.forward(traced(self.inputs), training=False, record=record)
        return [(c.layer, (None, *c.output.shape[1:])) for c in record.calls if c.layer in self._written.inside]

    def _ends(self) -> list[Layer]:
        """The layer that gives each output, as far as it is known by now."""
        return [symbol.layer for symbol in self.outputs] if self.built else []

    def _sources(self) -> list[str]:
        """A heading, and where the inputs of each call come from, if that needs saying."""
        return []

    # -------------------------------------------------------------- files

    def save(self, path: str | Path, overwrite: bool = True) -> None:
        """Write the model, its training settings and the optimizer's state to ONE file, whole or not at all.

        The file is in the safetensors format whatever its suffix; weights are called ``layer/weight``. It holds no code: classes
        and functions of one's own are in it by their names, and `load_model` is given them. Raises `UsageError` if the file is
        there and ``overwrite`` is False, or if a part has no name or does not know how it was made.
        """
        _check_free(path, overwrite)

        def write() -> None:
            described, tensors, _ = self._description()
            safetensors.write(path, tensors, {"nacre": json.dumps(described)})

        self._turns().use(write)

    def export(self, filepath: str | Path, format: str | None = None) -> Any:
        """Write the model for other programs, in the format that the suffix of the file names, or ``format``: see
        `nacre.exchange.FORMATS`. The file is there whole or not at all, and is run beside the model, where something that runs it
        is installed; the `nacre.exchange.written.Written` says how far their outputs differ.

        Raises `UsageError` for an unknown suffix, and where a library that the format needs is not installed, `UnknownName` for an
        unknown format, and `Limitation` for a model that the format has no words for.

        >>> import tempfile, nacre
        >>> model = nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = model.export(f"{folder}/model.onnx")
        >>> written.format, written.rows, written.difference < 1e-5
        ('onnx', 1000, True)
        """
        return self._turns().use(lambda: room("exchange").export(self, filepath, format))

    def save_weights(self, filepath: str | Path, overwrite: bool = True) -> None:
        """Write the weights, and the optimizer's state if the model is compiled, to ONE file, whole or not at all.

        The file is in the safetensors format whatever its suffix; weights are called ``layer/weight``. `load_weights` puts them
        into a model with the same layers. Raises `UsageError` if the file is there and ``overwrite`` is False.
        """
        _check_free(filepath, overwrite)

        def write() -> None:
            described, tensors = self.snapshot()
            training = described.get("training", {})
            kept = {name: training[name] for name in ("optimizer", "iterations") if name in training}
            safetensors.write(filepath, tensors, {_WEIGHTS: json.dumps(kept)})

        self._turns().use(write)

    def load_weights(self, filepath: str | Path, skip_mismatch: bool = False) -> None:
        """Take over the weights in a file of `save_weights` or `save`, in a checkpoint, or in a file of Keras, ``.weights.h5``,
        ``.keras`` or ``.h5``, that holds those of the same layers.

        All names and shapes must be those of the model's weights, else `ModelFileError` says where they differ, and nothing
        changes. If the model is compiled, the state of the optimizer in the file, with its steps and learning rate, is taken over
        too; with a warning it is left out if it is of another optimizer.

        >>> import nacre, tempfile
        >>> first, second = (nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(3)]) for _ in range(2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     first.save_weights(f"{folder}/weights")
        ...     second.load_weights(f"{folder}/weights")
        >>> bool((first.get_weights()[0] == second.get_weights()[0]).all())
        True
        """
        self._need_built()
        if skip_mismatch:
            raise Limitation(
                "load_weights takes all weights or none.",
                {"found": f"skip_mismatch={skip_mismatch!r}"},
                "load them into a model like the first one, and hand them over: layer.set_weights(other.get_weights())",
            )
        if is_of_keras(filepath):
            tensors, metadata = room("exchange.keras").weights(self, filepath), {_WEIGHTS: "{}"}
        else:
            tensors, metadata = safetensors.read(filepath)
        try:
            training = json.loads(metadata[_WEIGHTS] if _WEIGHTS in metadata else metadata["nacre"])
            training = training if _WEIGHTS in metadata else training.get("training", {})
            found = {name: array for name, array in tensors.items() if not name.startswith(CALLBACK_PREFIX)}
            slots = {name: found.pop(name) for name in list(found) if name.startswith("optimizer/")}
            check_tensors(found, {name: w.type for name, w in self.named.items()})
            taken = self._settings is not None and self._takes(training, slots)
            iterations = natural(training["iterations"], 2**53) if training else 0
        except NacreError:
            raise
        except NONSENSE as error:
            reason = {"reason": f"{type(error).__name__}: {error}"}
            raise ModelFileError(f"{filepath} holds no weights of a nacre model.", reason) from error
        if self._settings is not None and iterations and not taken:
            warnings.warn(
                f"The weights in {filepath} were trained by another optimizer; its state is left out.", stacklevel=2
            )

        def load() -> None:
            if taken:
                self._regain(training, {name.removeprefix("optimizer/"): array for name, array in slots.items()})
            for name, weight in self.named.items():
                weight.assign(found[name])

        self._turns().use(load)

    def _takes(self, training: Mapping[str, Any], slots: Mapping[str, Array]) -> bool:
        """Whether a described optimizer is as the model's own, and its slots are there."""
        here, there = serialize(self.optimizer), training.get("optimizer", {"class_name": None})
        if there["class_name"] != here["class_name"]:
            return False
        rates = [isinstance(one["config"]["learning_rate"], Mapping) for one in (here, there)]
        types = {f"optimizer/{name}": t for name, t in slot_types(self.optimizer, self.named).items()}
        return rates[0] == rates[1] and types == types_of(slots)

    def _regain(self, training: Mapping[str, Any], slots: Mapping[str, Array]) -> None:
        """Take over the state of an optimizer, which is known to fit."""
        iterations, rate = natural(training["iterations"], 2**53), training["optimizer"]["config"]["learning_rate"]
        if not isinstance(rate, Mapping):  # a schedule is a setting, and does not change on the way
            self.optimizer.learning_rate = rate
        self.optimizer.iterations = iterations
        memories = (
            self._trainer.state if self._trainer is not None and self._trainer.goal is not None else self._restored
        )
        types = slot_types(self.optimizer, self.named)
        for name, array in slots.items():
            if name not in memories:
                memories[name] = Memory(types[name])
            memories[name].write(array)

    def _description(self) -> tuple[dict[str, Any], dict[str, Array], dict[str, Any]]:
        """Everything that `files.restore` needs to make this model again; `UsageError` if it could not."""
        self._need_built()
        own = check_restorable(self)
        return *self.snapshot(), own

    def snapshot(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """What a model file holds: a description, and weights and slots by name, which are not to be written to."""
        self._need_built()
        tensors = {name: memory.read() for name, memory in self._memory().items()}
        described: dict[str, Any] = {
            "format": FORMAT,
            "nacre": __version__,
            "architecture": serialize(self),
            "input_shapes": [list(shape[1:]) for shape in self.input_shapes],
            "input_names": self._names_to_build(),
            "seed": self._seed,
            "streams": [part.stream for part in self._parts()],
        } | ({"features": serialize(self.features)} if self.features is not None else {})
        if self._settings is not None:
            described["training"] = {**self.get_compile_config(), "iterations": self.optimizer.iterations}
            trained = self._trainer is not None and self._trainer.goal is not None
            slots = self._trainer.state if self._trainer is not None and trained else self._restored
            names = [name for name in slot_types(self.optimizer, self.named) if name in slots]
            tensors |= {f"optimizer/{name}": slots[name].read() for name in names}
        return described, tensors

    def revert(self, described: Mapping[str, Any], tensors: Mapping[str, Array]) -> None:
        """Go back to the weights, the state of the optimizer and the seed of a `snapshot` of this model, in place.

        For a model in training. Raises `ModelFileError` if the tensors are not those of the model; then nothing changes.
        """
        assert self._trainer is not None
        slots = slot_types(self.optimizer, self.named)
        expected = {name: w.type for name, w in self.named.items()} | {
            f"optimizer/{name}": t for name, t in slots.items()
        }
        check_tensors(tensors, expected)
        seed = natural(described["seed"], 2**32)
        self._regain(described["training"], {name: tensors[f"optimizer/{name}"] for name in slots})
        self._seed = self._trainer.seed = seed
        for name, weight in self.named.items():
            weight.assign(tensors[name])

    def _parts(self) -> list[Layer]:
        """All layers, those inside others too."""
        return [part for layer in self._stack for part in layer.all()]

    def __reduce__(self) -> tuple[Any, ...]:
        """Models are copied and pickled by their description, as `save` writes it."""

        def describe() -> tuple[dict[str, Any], dict[str, Array], dict[str, Any]]:
            described, tensors, own = self._description()
            return described, {name: array.copy() for name, array in tensors.items()}, own

        return restore, self._turns().use(describe)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {len(self.layers)} layers>"


# ------------------------------------------------------------------ small things

_OWN_STEPS = {
    "train_step": "say what is minimized as a loss, or as an activity_regularizer of a layer",
    "test_step": "say what is measured as a metric",
    "predict_step": "say what is computed in call",
    "compute_loss": "say what is minimized as a loss: a function of (y_true, y_pred)",
}


def _check_free(path: str | Path, overwrite: bool) -> None:
    if not overwrite and Path(path).exists():
        raise UsageError(f"{path} is there already.", hint="another name, or overwrite=True")


def _positive(name: str, number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 1:
        raise UsageError(f"{name} is a whole number from 1 on, got {number!r}.")
    return int(number)


def _check_weights(of_rows: Any, of_classes: Any) -> None:
    """Demand weights of one sort, as Keras does. (Validation data may have weights of their own.)"""
    if of_rows is not None and of_classes is not None:
        raise UsageError("Both sample_weight and class_weight were given.", hint="multiply them, as sample_weight")


def _check_passes(data: Data, name: str, passes: int, hint: str) -> None:
    """Demand of an iterator, which can be gone through once, that it is known where one pass ends and the next begins."""
    if isinstance(data, Stream) and data.once and data.steps is None and passes > 1:
        raise UsageError(f"{name} can be gone through only once, but there are {passes} epochs.", hint=hint)


def _each(what: str, given: Any, names: Sequence[str], kind: str, missing: bool = False) -> Any:
    """What was given for the only input or output there is, or a dictionary with what was given for each of them."""
    found = by_output(what, given, names, lists=True, kind=kind)
    if not missing and any(one is None for one in found) and given is not None:
        name = next(name for name, one in zip(names, found, strict=True) if one is None)
        raise UsageError(f"{what} is missing for the {kind} {name!r}.", {f"{kind}s": ", ".join(map(repr, names))})
    return found[0] if len(names) == 1 else dict(zip(names, found, strict=True)) if given is not None else None


def _is_list_of_arrays(x: Any) -> bool:
    return isinstance(x, list | tuple) and all(one is None or np.ndim(one) for one in x)


def _rows(data: Data) -> int | None:
    """How many rows there are, if it is known in advance."""
    return None if isinstance(data, Stream) else len(data)


def _is_patched(part: object) -> bool:
    """Whether a method of this one object was replaced."""
    return any(callable(value) and hasattr(type(part), name) for name, value in vars(part).items())


def _listed(callbacks: Any) -> list[Callback]:
    """The callbacks, of which there may be a single one."""
    if isinstance(callbacks, Callback):
        return [callbacks]
    if not isinstance(callbacks, Iterable | None):
        raise UsageError(f"callbacks is a list, got {callbacks!r}.", hint="put it into a list: [callback]")
    return list(callbacks or [])


def _refuse(what: str, found: Any) -> NoReturn:
    raise UsageError(f"{found!r} is no {what}.", {"found": type(found).__name__})


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.3g} {unit}"
        size /= 1000
    raise AssertionError


__all__ = ["Model"]
