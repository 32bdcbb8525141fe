"""What all layers share: a name, a dtype, weights that are created when the input's shape is known."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nacre import constraints, initializers, ops, regularizers
from nacre.config import DTypePolicy, as_policy
from nacre.configured import Configured, snake_case
from nacre.errors import DTypeError, Limitation, ShapeError, UsageError, did_you_mean
from nacre.ir import Input, Memory, TensorType, Turns, Value, order
from nacre.layers.symbol import Symbol
from nacre.ops import next_seed
from nacre.passes import replay

if TYPE_CHECKING:
    from typing_extensions import Self

Array = npt.NDArray[Any]
TABLE: dict[str, type[Layer]] = {}  # all layers of nacre, by name; filled where they are listed
Shape = tuple[int | None, ...]


def numbers(name: str, value: Any) -> Array:
    """``value`` as an array of numbers, or `DTypeError`."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"The new value of {name} is not made of numbers.", {"found": array.dtype})
    return array


def sizes(what: str, shape: Any) -> tuple[int, ...]:
    """A shape without the batch: positive whole numbers. One number stands for one axis. Raises `UsageError` for anything else."""
    axes = shape if isinstance(shape, tuple | list) else (shape,)
    found = [whole(n, 1) for n in axes]
    if None in found:
        raise UsageError(f"{what} is a tuple of positive sizes without the batch, got {shape!r}.")
    return tuple(n for n in found if n is not None)


def whole(value: Any, least: int, limit: int = 2**62) -> int | None:
    """``value`` as an int, if it is a whole number, of Python or NumPy, from ``least`` up to below ``limit``."""
    number = int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else least - 1
    return number if least <= number < limit else None


def number(layer: str, name: str, value: Any, least: float | None = None, most: float | None = None) -> float:
    """``value`` as a float; raises `UsageError` if it is no number, or not from ``least`` to ``most``."""
    bounds = [f"not {side} {bound:g}" for side, bound in (("below", least), ("above", most)) if bound is not None]
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not (least is None or value >= least) or not (most is None or value <= most):
        wanted = " ".join(["a number", " and ".join(bounds)]).rstrip()
        raise UsageError(f"{layer} needs {wanted} for {name}, got {value!r}.")
    return float(value)


def numbered(name: str) -> Iterator[str]:
    """dense, dense_1, dense_2, ..."""
    yield name
    yield from (f"{name}_{n}" for n in count(1))


def _is_nacres(thing: Any) -> bool:
    return type(thing).__module__.partition(".")[0] == "nacre"


def once(named: dict[str, Parameter]) -> dict[str, Parameter]:
    """Each weight under its first name."""
    first = {id(w): name for name, w in reversed(named.items())}
    return {name: w for name, w in named.items() if first[id(w)] == name}


def layers_in(value: Any) -> list[Layer]:
    """A layer, or those in a list or dictionary of layers; none, if it is anything else. Models count as the layers they can be."""
    if value is None or isinstance(value, str | int | float):
        return []  # what most attributes are
    kept = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
    return [one.as_layer() for one in kept] if all(hasattr(type(one), "as_layer") for one in kept) else []


@contextmanager
def apart() -> Iterator[None]:
    """Inside, no call of a layer is going on: for models, which are built by themselves."""
    token = _GOING_ON.set(_NOT_CALLED)
    try:
        yield
    finally:
        _GOING_ON.reset(token)


class _Kept(list[Any]):
    """A list of layers that are inside a layer: as many as are added to it."""

    def __init__(self, owner: Layer, items: Iterable[Any]) -> None:
        super().__init__(items)
        self._owner = owner

    def append(self, item: Any) -> None:
        """Add a layer."""
        super().append(item)
        self._owner.keep_all(item)

    def extend(self, items: Iterable[Any]) -> None:
        """Add some layers."""
        for item in items:
            self.append(item)

    def __iadd__(self, items: Iterable[Any]) -> Self:  # type: ignore[misc]  # as lists have it
        self.extend(items)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)


def traced(symbols: Sequence[Symbol]) -> list[Input]:
    """Values like these, of one row: no layer lets the rows of a batch see one another."""
    return [
        Input(f"x{n}", TensorType((1, *(size or 0 for size in symbol.shape[1:])), symbol.dtype))
        for n, symbol in enumerate(symbols)
    ]


def now(values: Sequence[Value]) -> list[Value]:
    """What values are with the weights as they are at this moment, and other random numbers each time."""
    inputs = [value for value in order(values) if isinstance(value, Input)]
    given: dict[Input, Value] = {w: ops.constant(w.numpy()) for w in inputs if isinstance(w, Parameter)}
    if any(one is ops.SEED for one in inputs):
        given |= {ops.SEED: ops.constant(next_seed(), "uint32"), ops.STEP: ops.constant(0, "uint32")}
    return [ops.constant(array) for array in ops.evaluate(replay(values, given))]


def axes_of(layer: Layer, axis: int | Sequence[int], shape: Sequence[int | None]) -> list[int]:
    """The axes that are meant, counted from the front. Raises `ShapeError` for one that is not there, or is the batch."""
    rank, given = len(shape), [axis] if isinstance(axis, int) else axis
    if any(not -rank <= a < rank or a % rank == 0 for a in given):
        raise ShapeError(
            f"{type(layer).__name__} {layer.name!r} has axis={axis!r}, which its input has not, or which is the batch.",
            {"input": tuple(shape)},
        )
    return sorted({a % rank for a in given})


def spread(weight: Value, axes: Sequence[int], x: Value) -> Value:
    """A weight that has these axes of x, in a shape that fits x."""
    return ops.reshape(weight, [n if a in axes else 1 for a, n in enumerate(x.shape)])


def refuse(layer: str, given: dict[str, Any], **ways: str) -> None:
    """Raise `Limitation` for arguments that Keras has and the layer has not, unless they are None or False, and take them out of
    those ``given``; ``ways`` says by name what to do instead."""
    for name, way in ways.items():
        if (value := given.pop(name, None)) not in (None, False):
            raise Limitation(f"{layer} has no {name}, got {value!r}.", hint=way)


class Parameter(Input):
    """A weight: an input of every graph it is used in, and the memory of its value.

    The value is made when it is first needed, so that a network can be counted and planned before it takes memory; the seed of
    its first value is drawn at once, so that the order of use does not matter.

    While it is trained, its ``regularizer`` is a term of the loss, and its ``constraint`` changes each new value. While it is
    ``frozen``, as its layer says, no step of training changes it, whether it is trained or follows the data (`Record.updates`).
    """

    __slots__ = ("constraint", "frozen", "initializer", "may_train", "memory", "regularizer")

    def __init__(
        self,
        name: str,
        type_: TensorType,
        initializer: Any,
        trainable: bool,
        regularizer: regularizers.Term | None = None,
        constraint: constraints.Rule | None = None,
    ) -> None:
        super().__init__(name, type_)
        self.initializer, self.regularizer, self.constraint = initializer, regularizer, constraint
        self.may_train, self.frozen = trainable, False
        seed = next_seed()
        self.memory = Memory(type_, lambda: initializers.initial(initializer, type_.shape, type_.dtype, seed))

    @property
    def trainable(self) -> bool:
        """Whether the optimizer changes the weight."""
        return self.may_train and not self.frozen

    def assign(self, array: Any) -> None:
        """Overwrite the weight; the shape must agree."""
        given = numbers(repr(self.name), array)
        if given.shape != self.shape:
            raise ShapeError(f"{self.name!r} has shape {self.shape}, got {given.shape}.")
        Turns([self.memory]).use(lambda: self.memory.write(given))

    def numpy(self) -> Array:
        """A copy of the weight as it is now."""
        return Turns([self.memory]).use(self.memory.copy)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """The weight as NumPy sees it."""
        return self.numpy() if dtype is None else self.numpy().astype(dtype)


class Called(NamedTuple):
    """The call of a layer: the name of the layer, what came in, and what it gave."""

    name: str
    layer: Layer
    inputs: Sequence[Value]
    output: Value


@dataclass
class Record:
    """What a forward pass leaves besides its output: the ``calls`` of layers, in order, ``losses`` that layers add, ``updates``,
    the values that weights have after a step of training, other than those that the optimizer moves, and ``scores``, by the outputs
    of activations, what these were applied to."""

    calls: list[Called] = field(default_factory=list)
    losses: list[Value] = field(default_factory=list)
    updates: dict[Parameter, Value] = field(default_factory=dict)
    scores: dict[Value, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class _Call:
    """The call of a layer that is going on."""

    training: bool = False
    record: Record | None = None
    layer: Layer | None = None
    within: str = ""  # names of the models that it is a part of, each with a slash
    streams: int = 0  # what such a model adds to the streams of its layers


_NOT_CALLED = _Call()
_GOING_ON: ContextVar[_Call] = ContextVar("going on", default=_NOT_CALLED)


class Weighted:
    """What layers and models have in common: weights, by their names."""

    @property
    def named(self) -> dict[str, Parameter]:
        """The weights by their names, in order."""
        raise NotImplementedError

    @property
    def weights(self) -> list[Parameter]:
        """All weights: of a layer its own, then those of the layers inside; of a model layer by layer."""
        return list(self.named.values())

    @property
    def trainable_weights(self) -> list[Parameter]:
        """The weights that training changes."""
        return [w for w in self.weights if w.trainable]

    @property
    def non_trainable_weights(self) -> list[Parameter]:
        """The weights that training does not change, or not by their gradients."""
        return [w for w in self.weights if not w.trainable]

    @property
    def variables(self) -> list[Parameter]:
        """All weights, as Keras also calls them."""
        return self.weights

    trainable_variables = trainable_weights
    non_trainable_variables = non_trainable_weights


class Layer(Weighted, Configured):
    """Base of all layers.

    A subclass stores its arguments in ``__init__``, creates its weights in ``build(input_shape)`` with `add_weight`, and composes
    operations in ``call(x)``. It may ask for ``training``, if it acts differently then, and for ``record``, a `Record`, if it has
    weights that follow the data: ``call(x, training, record)``. Layers that it keeps as attributes, alone or in a list, are inside
    it: their weights are its own, and what they are not told of ``training`` and ``record`` is as in the call that is going on.

    >>> from nacre import layers
    >>> class Twice(layers.Layer):
    ...     def __init__(self, units, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.first, self.drop, self.second = layers.Dense(units), layers.Dropout(0.5), layers.Dense(units)
    ...     def call(self, x):
    ...         return self.second(self.drop(self.first(x)))
    >>> twice = Twice(4)
    >>> twice(layers.Input((3,))).shape, [w.name for w in twice.weights]
    ((None, 4), ['twice/dense/kernel', 'twice/dense/bias', 'twice/dense_1/kernel', 'twice/dense_1/bias'])

    ``input_shape`` (without the batch) and ``input_dim`` (one number) tell a first layer what comes in. ``dtype`` is the name of a
    `DTypePolicy`; without one, that of `config.set_dtype_policy` holds. ``activity_regularizer`` is a term of the loss for what
    the layer gives out, divided by the number of samples of the batch; see `nacre.regularizers`.
    """

    autocast = True  # numbers of another dtype are cast to the layer's before `call`
    several = False  # whether `call` takes a list of inputs
    of_several = False  # whether `build` takes a list of shapes
    by_chance = False  # whether it draws random numbers, for which it must be known by a number of its own
    _asked: tuple[str, ...] = ()  # of ``training`` and ``record``, those that `call` takes

    def __init_subclass__(cls) -> None:
        parameters = inspect.signature(cls.call).parameters
        cls._asked = tuple(name for name in ("training", "record") if name in parameters)

    def __init__(
        self,
        *,
        name: str | None = None,
        dtype: str | DTypePolicy | None = None,
        trainable: bool = True,
        activity_regularizer: Any = None,
        input_shape: Sequence[int] | None = None,
        input_dim: int | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            known = self.config_names()
            word = next(iter(unknown))
            raise UsageError(f"{type(self).__name__} has no argument {word!r}.", hint=did_you_mean(word, known))
        if name is not None and (
            not isinstance(name, str) or not name or len(name) > 200 or not name.isprintable() or "/" in name
        ):
            raise UsageError(
                f"A layer cannot be called {name!r}.", hint="letters, digits, spaces and _ make a name; / does not"
            )
        self.given_name = name
        self.name = name or snake_case(type(self).__name__)
        self.dtype_policy = as_policy(dtype)
        self._trainable = bool(trainable)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.input_dim = sizes("input_dim", input_dim)[0] if input_dim is not None else None
        self.input_shape = sizes("input_shape", input_shape) if input_shape is not None else None
        self.own_weights: list[Parameter] = []  # weights that are not those of layers inside
        self.inside: list[Layer] = []  # layers that this one is made of
        self.outer = ""  # names of the layers that this one is inside of, each with a slash
        self.stream = 0  # keeps this layer's random numbers apart from those of others; set by the model
        self.built_for: Shape | None = None
        self.placed = False  # in a model, which knows it by its name
        self._calls: list[list[Symbol]] = []  # what calls on symbols gave

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("inside", "own_weights", "_calls"):
            return super().__setattr__(name, value)
        if "inside" not in self.__dict__ and layers_in(value):
            raise UsageError(
                f"{type(self).__name__} keeps a layer before it is made.", hint="call super().__init__() first"
            )
        super().__setattr__(name, self.keep_all(value))

    def keep_all(self, value: Any) -> Any:
        """Have the layers inside that are in an attribute. What is to be the attribute: of a list, one that keeps what is added."""
        for part in layers_in(value):
            if all(part is not other for other in (self, *self.inside)):
                self.keep(part)
        return _Kept(self, value) if type(value) is list and len(layers_in(value)) == len(value) else value

    def _attributes(self) -> list[Any]:
        return list(vars(self).values())

    def keep(self, part: Layer) -> None:
        """Have a layer inside this one, under a name that no other there has: dense, dense_1. One that others know already keeps
        its name."""
        if part is self or part.outer:
            raise UsageError(
                f"{part!r} is inside another layer, and cannot be inside {type(self).__name__} {self.name!r} too.",
                hint="make it where it is kept, or call it where it is without keeping it",
            )
        taken = {other.name for other in self.inside}
        if part.name in taken and (part.placed or part.given_name is not None):
            raise UsageError(f"Two layers inside {self.name!r} are called {part.name!r}.", hint="give one another name")
        if any(self is inner for inner in part.all()):
            raise UsageError(f"{type(self).__name__} {self.name!r} would be inside itself.")
        if not part.placed:
            part.rename(next(n for n in numbered(part.name) if n not in taken))
        if not (part.built or part.placed):
            part.outer = f"{self.path}/"
        self.inside.append(part)
        if not self.trainable:
            part.trainable = False

    def state_of_building(self) -> Callable[[], None]:
        """What puts the layer back to where it is now: not built, if it is not."""
        before = self.built_for, list(self.own_weights), list(self._calls)

        def back() -> None:
            self.built_for, self.own_weights, self._calls = before

        return back

    @property
    def steps(self) -> int:
        """How many calls of layers a call of it takes."""
        return 1

    def as_layer(self) -> Layer:
        """Itself; a model has another answer."""
        return self

    @property
    def expected_shape(self) -> tuple[int, ...] | None:
        """The input's shape without the batch, if the layer was told."""
        return (
            self.input_shape if self.input_shape is not None else None if self.input_dim is None else (self.input_dim,)
        )

    @property
    def path(self) -> str:
        """The name, with the names of the layers that it is inside of: outer/inner."""
        return self.outer + self.name

    @property
    def named(self) -> dict[str, Parameter]:
        """The weights by their names, which begin with that of the layer: layer/weight, or layer/inner/weight."""
        found = {weight.name: weight for weight in self.own_weights}
        for part in self.inside:
            found |= part.named if part.outer else {f"{self.path}/{name}": w for name, w in part.named.items()}
        return once(found)

    def all(self) -> list[Layer]:
        """The layer, and all layers inside."""
        return [self, *(layer for part in self.inside for layer in part.all())]

    def add_loss(self, loss: Any) -> None:
        """Add a scalar, computed of what the layer sees, to the loss of the batch; to be called in `call`.

        >>> import numpy as np, nacre
        >>> class Small(nacre.Layer):
        ...     def call(self, x):
        ...         self.add_loss(nacre.ops.mean(x * x))
        ...         return x
        >>> model = nacre.Sequential([nacre.Input((2,)), Small()])
        >>> model.compile("sgd", "mse")
        >>> model.evaluate(np.ones((4, 2)), np.ones((4, 2)), verbose=0)
        1.0
        """
        value = ops.operand(loss)
        if value.shape != ():
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} adds a loss of shape {value.shape}, expected a scalar.",
                hint="nacre.ops.mean or nacre.ops.sum of it",
            )
        if (record := _GOING_ON.get().record) is not None:
            record.losses.append(value)

    def number_streams(self, begin: int) -> int:
        """Tell the layer, and those inside that are its own, which random numbers are theirs; the first stream after them."""
        self.stream = begin
        begin += 1
        for part in self.inside:
            if not part.placed:
                begin = part.number_streams(begin)
        return begin

    @property
    def random_stream(self) -> int:
        """Which random numbers the call that is going on takes."""
        return (self.stream + _GOING_ON.get().streams) % 2**32

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights. May be set at any time; the next step obeys."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for weight in self.own_weights:
            weight.frozen = not self._trainable
        for layer in self.inside:
            layer.trainable = value

    @property
    def dtype(self) -> str:
        """The dtype of the weights, and of what comes out."""
        return self.dtype_policy.variable_dtype

    @property
    def compute_dtype(self) -> str:
        """What numbers are rounded to before they are multiplied as matrices."""
        return self.dtype_policy.compute_dtype

    @property
    def precision(self) -> str:
        """What `ops.matmul` is told of it."""
        return "bfloat16" if self.compute_dtype == "bfloat16" else "full"

    @property
    def built(self) -> bool:
        """Whether the weights exist."""
        return self.built_for is not None

    def add_weight(
        self,
        shape: Sequence[int],
        initializer: Any = "glorot_uniform",
        name: str | None = None,
        trainable: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        dtype: str | None = None,
    ) -> Parameter:
        """Create a weight that the layer owns. Those without a name are called weight, weight_1, weight_2, ... ``dtype`` can only
        be that of the layer."""
        if dtype not in (None, self.dtype):
            raise Limitation(
                f"The weights of {self.name!r} are {self.dtype}, got dtype={dtype!r}.", hint="leave it out"
            )
        if name is None:
            taken = [weight.name.removeprefix(f"{self.path}/") for weight in self.own_weights]
            name = next(n for n in numbered("weight") if n not in taken)
        type_ = TensorType(tuple(shape), self.dtype)
        weight = Parameter(
            f"{self.path}/{name}",
            type_,
            initializers.get(initializer),
            trainable,
            regularizers.get(regularizer),
            constraints.get(constraint),
        )
        weight.frozen = not self.trainable
        self.own_weights.append(weight)
        return weight

    def rename(self, name: str) -> None:
        """Another name for the layer, and for its weights, before a model knows them by it."""
        pending: list[Layer] = [self]
        while pending:
            part = pending.pop()
            part.outer = name + part.outer.removeprefix(self.name) if part.outer else ""
            for weight in part.own_weights:
                weight.name = name + weight.name.removeprefix(self.name)
            pending += [inner for inner in part.inside if inner.outer]
        self.name = name

    def build(self, input_shape: Shape) -> None:
        """Create the weights for inputs of this shape, batch first (as None). A layer without weights has nothing to do."""

    def call(self, x: Value) -> Value:
        """The layer's output, composed of operations."""
        raise NotImplementedError

    def __call__(self, x: Any, training: bool | None = None, record: Record | None = None) -> Any:
        """The layer's output; the weights are created on first use. What else comes of it is added to ``record``. Of symbols, a
        `Symbol`: a piece of a functional model. Of arrays, their outputs with the weights as they are now. Inside the call of
        another layer, ``training`` and ``record`` are as there."""
        if (
            not self.several
            and isinstance(x, list | tuple)
            and any(isinstance(one, Symbol | Value | np.ndarray) for one in x)
        ):
            self._take_several(len(x))
        given = list(x) if self.several and isinstance(x, list | tuple) else [x]
        if all(isinstance(one, Symbol) for one in given):
            return self._symbol(given, training)
        going_on = _GOING_ON.get()
        if not any(isinstance(one, Symbol | Value) for one in given) and going_on.layer is None:
            return self._of_arrays(given, training)
        if any(isinstance(one, Symbol) for one in given):
            raise UsageError(f"{type(self).__name__} {self.name!r} was called on symbols and arrays at once.")
        given = [ops.operand(one) for one in given]
        shapes: list[Shape] = [(None, *one.shape[1:]) for one in given]
        training, record = going_on.training if training is None else training, record or going_on.record
        begins = self.built_for is None
        if begins:
            self._check_expected(shapes[0])
            for value in self._attributes():  # to a dictionary, layers may have been added
                self.keep_all(value)
            for part in self.inside:  # a model may have renamed this layer
                if part.outer:
                    part.outer = f"{self.path}/"
            self.build(shapes if self.of_several or (self.several and not _is_nacres(self)) else shapes[0])  # type: ignore[arg-type]
            self.built_for = shapes[0]
        self.check_input([one.shape for one in given] if self.several else given[0].shape)
        if self.autocast:
            given = [ops.cast(one, dtype=self.dtype) if one.dtype != self.dtype else one for one in given]
        taken: Any = given if self.several else given[0]
        offered = {"training": training, "record": record}
        token = _GOING_ON.set(self._going_on(_Call(training, record, self, going_on.within, going_on.streams)))
        try:
            y: Any = self.call(taken, **{name: offered[name] for name in self._asked})
        finally:
            _GOING_ON.reset(token)
        outputs = y if isinstance(y, list | tuple) else [y]
        for one in outputs:
            if not isinstance(one, Value):
                raise UsageError(
                    f"The call of {type(self).__name__} {self.name!r} gave {type(one).__name__}, not a value of a graph.",
                    hint="compute it with nacre.ops, not with NumPy",
                )
        caller = going_on.layer
        if caller is not None and (self.weights or self.by_chance) and not any(self is part for part in caller.inside):
            raise UsageError(
                f"{type(caller).__name__} {caller.name!r} calls {type(self).__name__} {self.name!r} and does not keep it.",
                hint="make it an attribute, in __init__: self.layer = Dense(8)",
            )
        if record is not None:
            record.calls += [Called(going_on.within + self.path, self, given, one) for one in outputs]
        return y

    def _take_several(self, count: int) -> None:
        """Take a list of inputs from now on, if the layer is somebody's own, who knows what to do with it."""
        if _is_nacres(self) or self.built:
            raise UsageError(
                f"{type(self).__name__} {self.name!r} takes one input, got a list of {count}.",
                hint="join them first: layers.Concatenate()([a, b])",
            )
        self.several = True

    def _going_on(self, call: _Call) -> _Call:
        """What the layers inside see of a call."""
        return call

    def _symbol(self, operands: Sequence[Symbol], training: bool | None) -> Any:
        operands = tuple(operands)
        y = self(traced(operands) if self.several else traced(operands)[0], training=training)
        made = [
            Symbol((None, *one.shape[1:]), one.dtype, self, operands, number, training)
            for number, one in enumerate(y if isinstance(y, list | tuple) else [y])
        ]
        self._calls.append(made)
        return made if isinstance(y, list | tuple) else made[0]

    def _of_arrays(self, arrays: Sequence[Any], training: bool | None) -> Any:
        given = [ops.operand(numbers(f"input of {self.name!r}", one)) for one in arrays]
        y = self(given if self.several else given[0], training=training)
        found = now(y if isinstance(y, list | tuple) else [y])
        return found if isinstance(y, list | tuple) else found[0]

    @property
    def input(self) -> Any:
        """The `Symbol` that the layer was called on in a model; a list where there were several."""
        operands = self._only_call()[0].operands
        return operands[0] if len(operands) == 1 else list(operands)

    @property
    def output(self) -> Any:
        """The `Symbol` that the layer gave in a model, from which other models can go on; a list where there are several.

        >>> import nacre
        >>> model = nacre.Sequential([nacre.Input((4,)), nacre.layers.Dense(8, "relu", name="found"), nacre.layers.Dense(1)])
        >>> nacre.Model(model.inputs, model.get_layer("found").output).output_shape
        (None, 8)
        """
        made = self._only_call()
        return made[0] if len(made) == 1 else made

    def _only_call(self) -> list[Symbol]:
        if len(self._calls) == 1:
            return self._calls[0]
        often = (
            f"was called {len(self._calls)} times" if self._calls else "is in no model yet, or one without input shape"
        )
        raise UsageError(
            f"{type(self).__name__} {self.name!r} {often}, so it has no input and output of its own.",
            hint="keep what a call gives: y = layer(x)",
        )

    def check_input(self, shape: Any) -> None:
        """Raise `ShapeError` for an input that the layer cannot take; for a list of shapes, if there are several."""

    def _check_expected(self, shape: Shape) -> None:
        if self.expected_shape is not None and self.expected_shape != shape[1:]:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r} was told to expect inputs of shape {self.expected_shape}, "
                f"but inputs of shape {shape[1:]} reach it."
            )

    def count_params(self) -> int:
        """Number of weights."""
        return sum(w.type.size for w in self.weights)

    def get_weights(self) -> list[Array]:
        """Copies of the layer's weights."""
        return [w.numpy() for w in self.weights]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Overwrite the layer's weights; shapes must agree."""
        if len(weights) != len(self.weights):
            raise ShapeError(f"{self.name!r} has {len(self.weights)} weights, got {len(weights)}.")
        for weight, array in zip(self.weights, weights, strict=True):
            weight.assign(array)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        return super().get_config() | {"name": self.name, "dtype": self.dtype_policy.name}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def shape_text(shape: Shape) -> str:
    """A shape for people."""
    return f"({', '.join('batch' if n is None else str(n) for n in shape)})"
