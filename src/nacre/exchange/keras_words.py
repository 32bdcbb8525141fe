"""Keras's words for what nacre has, and back: descriptions of layers, models and settings of `compile`, as Keras's files hold them.

Classes are found by their names in nacre's own rooms; nothing is imported, called or looked up because a file names it. An argument
that nacre does not know must be off; otherwise it would mean something, and the file is refused.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from nacre import activations, constraints, initializers, layers, losses, metrics, optimizers, regularizers
from nacre.absent import way
from nacre.configured import Configured, natural, strangers
from nacre.errors import Limitation, ModelFileError
from nacre.layers import Augmentation, Identity, InputLayer, IntegerLookup, Layer
from nacre.layers.preprocessing import Encoding
from nacre.models import Functional, Model, Sequential
from nacre.models.part import Part, shown
from nacre.optimizers import schedules

Described = dict[str, Any]

# Layers that are nacre's alone, or mean something else in Keras, or cannot be part of a model here.
_OTHERS = ("Augmentation", "Lambda", "Operation", "Residual", "StringLookup")
LAYERS: dict[str, type[Layer]] = {kind.__name__: kind for kind in layers.LAYERS if kind.__name__ not in _OTHERS}
NOT_KERAS = ("ConfusionMatrix", "HalfSquaredError", "MeanMetric", "OneCycle", "OwnFunction")  # beside layers

_ROOMS = {
    "initializer": ("keras.initializers", initializers),
    "regularizer": ("keras.regularizers", regularizers),
    "constraint": ("keras.constraints", constraints),
    "rate": ("keras.optimizers.schedules", schedules),
}
MODELS = ("Sequential", "Functional", "Model")
# Arguments that change nothing of what is computed, but of chance, which is nacre's own, and of how Keras goes about it.
_HARMLESS = {
    "fn",
    "fused",
    "has_input_vocabulary",
    "input_length",
    "is_legacy_optimizer",
    "jit_compile",
    "renorm_momentum",
    "seed",
    "vocabulary_size",
}
_CHANCE = ("AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise")


# ------------------------------------------------------------------ from Keras


def parts(said: Mapping[str, Any]) -> list[Described]:
    """The descriptions of the layers of a model; the oldest files have them alone. Raises `Limitation` for other models."""
    _, config = _named(said, MODELS)
    found: list[Described] = config["layers"] if isinstance(config, Mapping) else config
    return found


def _all_parts(said: Mapping[str, Any]) -> Iterator[Described]:
    """The descriptions of the layers of a model, and of those in models inside it."""
    pending = [said]
    while pending:
        found = parts(pending.pop())
        yield from found
        pending += [one for one in found if one["class_name"] in MODELS]


def check_unshared(said: Mapping[str, Any]) -> None:
    """Refuse layers that a model shares with one inside it: nacre's models share whole parts only."""
    seen: set[Any] = set()
    for one in _all_parts(said):
        number = one.get("shared_object_id")
        if number is not None and number in seen:
            raise Limitation(
                f"The layer {one['config'].get('name', '')!r} is in the model, and in a model inside it.",
                hint="make the layer a model of its own, and put that into both",
            )
        seen.add(number)


def architecture(said: Mapping[str, Any], legacy: bool) -> Described:
    """A model as nacre describes it; ``legacy`` is the Keras before 3."""
    kind, config = _named(said, MODELS)
    if kind == "Sequential":
        config = config if isinstance(config, dict) else {"layers": config}  # the oldest files have the layers alone
        made = [_part(one, legacy) for one in config["layers"]]
        shape = config.get("build_input_shape") or said.get("build_config", {}).get("input_shape")
        if shape and made[0]["class_name"] != "InputLayer" and "input_shape" not in made[0]["config"]:
            made.insert(0, {"class_name": "InputLayer", "config": {"shape": _shape(shape)}})
        found: Described = {"layers": made}
    else:
        kind, found = "Functional", _functional(config, legacy)
    if config.get("trainable") is False:
        for one in found["layers"]:
            if one["class_name"] != "Part":  # of a model inside, its own description says it
                one["config"]["trainable"] = False
    return {"class_name": kind, "config": {"name": str(config.get("name", "sequential")), **found}}


def _part(said: Mapping[str, Any], legacy: bool) -> Described:
    """A layer, or a model in a model."""
    if said["class_name"] == "StringLookup":
        raise Limitation(
            f"The model has a StringLookup {said['config'].get('name', '')!r}: a graph holds numbers, and no words.",
            hint="make the model without it, then model.load_weights(path); nacre.layers.StringLookup numbers words before it",
        )
    kind, config = _named(said, (*MODELS, *LAYERS))
    if kind in MODELS:
        return {"class_name": "Part", "config": {"model": architecture(said, legacy), "name": config["name"]}}
    config = _plain(config, legacy)
    shape = config.pop("batch_shape", None) or config.pop("batch_input_shape", None)
    if kind == "InputLayer":
        dtype = config.pop("dtype", None)
        config |= {"shape": _shape(shape), "input_dtype": None if dtype == "float32" else dtype}
    elif shape is not None and None not in shape[1:]:  # Embedding and adapt of Keras 2 leave behind what says nothing
        config["input_shape"] = _shape(shape)
    if issubclass(LAYERS[kind], Encoding) and config.get("dtype") in ("int32", "int64"):
        config["dtype"] = "float32"  # Keras 2 says of which type the numbers of terms are
    if kind == "IntegerLookup":
        config = _lookup(config)
    if kind == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = config.pop("alpha")
    if kind == "BatchNormalization" and isinstance(config.get("axis"), list) and len(config["axis"]) == 1:
        config["axis"] = config["axis"][0]
    if kind == "Flatten" and config.get("data_format") == "channels_last":
        del config["data_format"]
    return _checked(kind, LAYERS[kind], config)


def _lookup(config: Described) -> Described:
    """The arguments of an IntegerLookup, with its vocabulary."""
    name, terms, oov = config.get("name", ""), config.get("vocabulary"), config.get("oov_token")
    if not terms:
        raise Limitation(
            f"IntegerLookup {name!r} found its vocabulary by adapt, and the file does not hold it.",
            hint="save the model as .keras: in .h5 files, Keras does not find it again either",
        )
    if beyond := [term for term in terms if isinstance(term, int) and not -(2**31) <= term < 2**31]:
        raise Limitation(
            f"IntegerLookup {name!r} has the term {beyond[0]}, and terms fit int32 in a model.",
            hint="number them before they go in: nacre.layers.IntegerLookup can, called on arrays",
        )
    kept = {key: value for key, value in config.items() if (key, value) != ("oov_method", "floormod")}
    begun = int(config.get("mask_token") is not None and config.get("output_mode") == "int")
    if not config.get("invert") and oov in terms[begun + config.get("num_oov_indices", 1) :]:
        kept["oov_token"] = None  # there it is a term like others, and Keras has no other use for it
    return kept


def _named(said: Mapping[str, Any], known: Iterable[str]) -> tuple[str, Any]:
    """Class name and configuration of something that is Keras's own, and that nacre has too."""
    kind, module = str(said["class_name"]), str(said.get("module") or "keras")
    if module.split(".", maxsplit=1)[0] not in ("keras", "tf_keras") or ".ops" in module:
        owner = f" of {module}"
    else:
        owner = f" of {said['registered_name']}" if _registered(said, kind) else ""
    if owner or kind not in known:
        raise Limitation(
            f"The model has a part {kind!r}{owner}, which nacre does not read.",
            hint=way(f"layers.{kind}") or "make the model of other layers, or do to the data what this part does",
        )
    return kind, said["config"]


def _registered(said: Mapping[str, Any], kind: str) -> bool:
    """Whether it is somebody's own, under a name that he registered."""
    return said.get("registered_name") not in (None, kind, "Functional", "Sequential")


def _checked(kind: str, made: type[Configured], config: Mapping[str, Any]) -> Described:
    """The description, without arguments that say nothing. Raises `Limitation` for one that nacre has not, if it is not off."""
    known = made.config_names()
    for name, value in config.items():
        harmless = name in _HARMLESS and (name != "seed" or kind in _CHANCE)
        if name not in known and value and not harmless:
            raise Limitation(
                f"{kind} {config.get('name', '')!r} has {name}={value!r:.60}, which nacre does not know.",
                hint="make the model again without it, in Keras",
            )
    return {"class_name": kind, "config": {name: value for name, value in config.items() if name in known}}


def _plain(config: Any, legacy: bool) -> Described:
    """The arguments of a layer, with nacre's descriptions for Keras's of what is in them."""
    found: Described = {}
    for name, value in config.items():
        if name == "dtype":
            found[name] = value["config"]["name"] if isinstance(value, Mapping) else value
        elif name == "activation":
            found[name] = _function(value)
            if legacy and found[name] == "hard_sigmoid":
                raise Limitation(
                    "The model has a 'hard_sigmoid' of Keras 2, which is another function than that of Keras 3.",
                    hint="save the model with Keras 3",
                )
        else:
            found[name] = thing(value, _ROOMS.get(name.rsplit("_", 1)[-1], ("", layers))[1])
    return found


def _function(said: Any) -> Any:
    """The name of an activation."""
    if isinstance(said, Mapping):
        if said.get("class_name") != "function" or _registered(said, str(said.get("config"))):
            raise Limitation(
                f"The activation {said.get('registered_name') or said.get('class_name')!r} is none that nacre reads.",
                hint="put it behind the layer, as a layer of its own",
            )
        return said["config"]
    return said


def thing(said: Any, room: ModuleType) -> Any:
    """Something that has a class in a room of nacre's, or a list of such; whatever else is as it is."""
    if isinstance(said, list):
        return [thing(one, room) for one in said]
    if not isinstance(said, Mapping):
        return said
    if said.get("class_name") == "__tuple__":
        return [thing(one, room) for one in said["items"]]
    if "class_name" not in said:
        return {name: thing(one, room) for name, one in said.items()}
    if said["class_name"] == "MeanMetricWrapper":
        function = str(_function(said["config"]["fn"]))
        # Keras 2 finds out late which accuracy is meant, and says the wrong one if it has not yet.
        return "accuracy" if said["config"].get("name") == "accuracy" else function
    known = {name: one for name, one in vars(room).items() if inspect.isclass(one) and issubclass(one, Configured)}
    # This is how Keras 2 calls its own optimizers in .h5 files.
    own = {**said, "class_name": str(said["class_name"]).removeprefix("Custom>")} if room is optimizers else said
    kind, config = _named(own, known)
    config = {name: thing(one, schedules) for name, one in (config or {}).items() if name != "dtype"}
    if isinstance(config.get("seed"), Mapping):  # a generator of Keras's, with a state
        config["seed"] = None
    if "lr" in config:
        config["learning_rate"] = config.pop("lr")
    if isinstance(config.get("learning_rate"), int | float) and (
        decay := config.pop("decay", None)
    ):  # before Keras 2.11
        rate = {"initial_learning_rate": config["learning_rate"], "decay_steps": 1, "decay_rate": decay}
        config["learning_rate"] = {"class_name": "InverseTimeDecay", "config": rate}
    if config.get("reduction") == "auto":
        config["reduction"] = "sum_over_batch_size"
    return _checked(kind, known[kind], config)


def _shape(shape: Any) -> list[Any]:
    """A shape without the batch."""
    if None in shape[1:]:
        raise Limitation(
            f"An input of the model has the shape {shape}, which is not all known: weights are made for a shape.",
            hint="save the model with all sizes of keras.Input",
        )
    return [natural(n, 2**40) for n in shape[1:]]


def training(said: Mapping[str, Any]) -> Described | None:
    """The arguments of `Model.compile`; None if the model was not compiled."""
    if not said.get("loss"):
        return None

    def each(given: Any, room: ModuleType, get: Any) -> Any:
        if isinstance(given, Mapping) and "class_name" not in given:
            return {name: each(one, room, get) for name, one in given.items()}
        if isinstance(given, list):
            return [each(one, room, get) for one in given]
        made = thing(given, room)
        return made if isinstance(made, str | None) else get(made)

    return {
        "optimizer": optimizers.get(thing(said.get("optimizer") or said.get("optimizer_config"), optimizers)),
        "loss": each(said["loss"], losses, losses.get),
        "loss_weights": said.get("loss_weights"),
        **{name: each(said.get(name), metrics, metrics.get) for name in ("metrics", "weighted_metrics")},
    }


# ------------------------------------------------------------------ models of calls, from Keras

_Output = tuple[str, int, int]  # the name of a layer, the number of its call, and of the output of that call


def _functional(config: Mapping[str, Any], legacy: bool) -> Described:
    """Layers, calls and ends of a functional model, as nacre describes them."""
    parts = [_part(one, legacy) for one in config["layers"]]
    names = [str(one.get("name") or one["config"]["name"]) for one in config["layers"]]
    place = {name: n for n, name in enumerate(names)}
    calls: dict[tuple[str, int], tuple[list[_Output], dict[str, Any]]] = {}
    # Keras counts the calls of a model from 1 in some places, since it was called once when it was made.
    begun = {name: int(part["class_name"] == "Part") for name, part in zip(names, parts, strict=True)}
    if not legacy:
        models = zip(names, config["layers"], strict=True)
        begun = {name: int(one["class_name"] in ("Functional", "Model")) for name, one in models}
    for name, one in zip(names, config["layers"], strict=True):
        inbound = one["inbound_nodes"]
        for n, node in enumerate(inbound or [[]]):
            operands, more = _node(node)
            calls[name, n] = [(at, call - begun[at] * legacy, out) for at, call, out in operands], more

    def ends(said: Any, counted: bool) -> Any:
        if isinstance(said, Mapping):
            return {str(name): ends(one, counted)[0] for name, one in said.items()}
        leaves = [said] if said and isinstance(said[0], str) else said
        return [(at, call - begun[at] * counted, out) for at, call, out in map(_output, leaves)]

    inputs, outputs = ends(config["input_layers"], False), ends(config["output_layers"], True)
    number, written = _in_order([*_leaves(inputs), *_leaves(outputs)], calls, place)

    def numbers(found: Any) -> Any:
        if isinstance(found, Mapping):
            return {name: number[one] for name, one in found.items()}
        return [number[one] for one in found]

    return {"layers": parts, "calls": written, "inputs": numbers(inputs), "outputs": numbers(outputs)}


def _leaves(found: Any) -> list[_Output]:
    return list(found.values()) if isinstance(found, Mapping) else found


def _in_order(
    wanted: Sequence[_Output],
    calls: Mapping[tuple[str, int], tuple[list[_Output], dict[str, Any]]],
    place: Mapping[str, int],
) -> tuple[dict[_Output, int], list[list[Any]]]:
    """What is wanted and all that it takes, numbered, each after what it is made of, and nacre's descriptions of these."""
    number: dict[_Output, int] = {}
    first: dict[tuple[str, int], int] = {}
    written: list[list[Any]] = []
    begun: set[_Output] = set()
    pending = list(reversed(wanted))
    while pending:
        output = pending[-1]
        operands, more = calls[output[:2]]
        missing = [o for o in reversed(operands) if o not in number]
        if output not in number and missing:
            if output in begun:
                raise ModelFileError(f"The layer {output[0]!r} waits for itself.")
            begun.add(output)
            pending += missing
            continue
        pending.pop()
        if output not in number:
            of = first.get(output[:2])
            said = more | ({} if of is None else {"of": of}) | ({"output": output[2]} if output[2] or of else {})
            written.append([place[output[0]], [number[o] for o in operands], *([said] if said else [])])
            first.setdefault(output[:2], len(number))
            number[output] = len(number)
    return number, written


def _node(node: Any) -> tuple[list[_Output], dict[str, Any]]:
    """What a call takes, and what it was told."""
    if isinstance(node, Mapping):
        args, told = node["args"], node["kwargs"]
        taken = args[0] if len(args) == 1 and isinstance(args[0], list) else args
        operands = [_output(one["config"]["keras_history"]) for one in taken]
    else:
        operands = [_output(one[:3]) for one in node]
        told = {name: value for one in node for name, value in (one[3] if len(one) > 3 else {}).items()}
    for name, value in told.items():
        if value is not None and (name != "training" or not isinstance(value, bool)):
            raise Limitation(f"A layer is called with {name}={value!r:.60}, which nacre does not know.")
    return operands, {"training": told["training"]} if told.get("training") is not None else {}


def _output(said: Any) -> _Output:
    name, call, output = said
    return str(name), natural(call, 2**20), natural(output, 2**20)


# ------------------------------------------------------------------ to Keras


def described(model: Model) -> Described:
    """A model as Keras 3 describes it. Raises `Limitation` for what Keras has no words for."""
    if type(model) not in (Sequential, Functional):
        raise Limitation(
            f"{type(model).__name__} {model.name!r} says in code what it computes, which no file of Keras's holds.",
            hint="a Sequential or functional model of the same layers",
        )
    config = _sequential(model) if isinstance(model, Sequential) else _calls(model)
    module = "keras" if isinstance(model, Sequential) else "keras.src.models.functional"
    said = {"name": model.name, "trainable": True, **config}
    return {"module": module, "class_name": type(model).__name__, "config": said, "registered_name": None}


def check(model: Model) -> None:
    """Demand that Keras has all layers of a model: `Limitation` names all that it has not."""
    parts = [part for part in model._parts() if not isinstance(part, Part | Augmentation)]
    lacking = sorted({type(part).__name__ for part in parts if LAYERS.get(type(part).__name__) is not type(part)})
    if lacking:
        raise Limitation(
            f"Keras has no layers that do what {', '.join(lacking)} of nacre's do.",
            hint="export a model without them, and put before or after it what they do",
        )


def check_terms(said: Mapping[str, Any]) -> None:
    """Refuse terms that are rounded on their way: Keras makes float32 of what goes into an input that says nothing else."""
    found = [(one["class_name"], one["config"]) for one in _all_parts(said)]
    if all(config["dtype"] != "float32" for kind, config in found if kind == "InputLayer"):
        return
    for name, terms in [(config["name"], config["vocabulary"]) for kind, config in found if kind == "IntegerLookup"]:
        if (most := max(map(abs, terms))) > 2**24:
            raise Limitation(
                f"IntegerLookup {name!r} has terms as large as {most}, which Keras would round to float32.",
                hint='say that the model takes whole numbers: Input(..., dtype="int32")',
            )


def _sequential(model: Model) -> Described:
    stack = model._stack
    first = [] if isinstance(stack[0], InputLayer) else [_input(model.input_shapes[0][1:], "float32", "input")]
    return {"layers": [*first, *map(_described, stack)]}


def word(layer: Layer | Model) -> str:
    """The class of Keras's that a layer is there: predictions pass by what changes pictures in training."""
    return "Identity" if isinstance(layer, Augmentation) else type(layer).__name__


def _described(layer: Layer) -> Described:
    """A layer, or a model that is one."""
    if isinstance(layer, Part):
        return described(layer.model)
    if isinstance(layer, Augmentation):
        return _described(Identity(name=layer.name))
    if isinstance(layer, InputLayer):
        return _input(layer.shape, layer.input_dtype or "float32", layer.name)
    own = getattr(layer, "activation", None)
    if strangers(layer) or own is activations.step:
        raise Limitation(
            f"{type(layer).__name__} {layer.name!r} has a part that Keras has not, or that is not nacre's own.",
            {"activation": getattr(own, "__name__", "none")},
        )
    config = layer.get_config()
    dropped = {"input_shape"} | ({"input_dim"} if layer.input_dim is None or "output_dim" not in config else set())
    kept = {name: of(value, name.rsplit("_", 1)[-1]) for name, value in config.items() if name not in dropped}
    for name, default in (
        ("activity_regularizer", None),
        ("trainable", True),
    ):  # which some layers of Keras do not take
        if kept.get(name) is default:
            kept.pop(name, None)
    if isinstance(layer, IntegerLookup):
        kept["vocabulary_dtype"] = "int64"  # the only one there
    return _of("keras.layers", type(layer).__name__, kept)


def _input(shape: Sequence[int | None], dtype: str, name: str) -> Described:
    config = {"batch_shape": [None, *shape], "dtype": dtype, "sparse": False, "name": name}
    return _of("keras.layers", "InputLayer", config)


def _of(module: str, kind: str, config: Any) -> Described:
    return {"module": module, "class_name": kind, "config": config, "registered_name": None}


def of(said: Any, kind: str, module: str = "") -> Any:
    """A description of nacre's as Keras has it; ``kind`` is what the name of the argument ends with, that says which room."""
    if isinstance(said, list):
        return [of(one, kind, module) for one in said]
    if not isinstance(said, Mapping) or "class_name" not in said:
        return said
    if said["class_name"] in NOT_KERAS:
        raise Limitation(f"Keras has no {said['class_name']}.")
    config = {name: of(one, name.rsplit("_", 1)[-1]) for name, one in said["config"].items()}
    return _of(module or _ROOMS[kind][0], said["class_name"], config)


def settings(model: Model) -> Described:
    """What the model was compiled with. Raises `Limitation` for what Keras has not, and for functions of one's own."""
    said = model.get_compile_config()
    judged = [[o.loss, *o.metrics, *o.weighted_metrics] for o in model._compiled["outputs"]]
    for one in (model.optimizer, *(m for measured in judged for m in measured if not isinstance(m, str | None))):
        for name in strangers(one):
            raise Limitation(f"Keras has no {name}.")
    modules = {"optimizer": "keras.optimizers", "loss": "keras.losses"}
    return {
        name: of(value, name, modules.get(name, "keras.metrics")) for name, value in said.items() if name != "device"
    }


def _calls(model: Model) -> Described:
    """Layers with their calls, and ends of a functional model."""
    config = model.get_config()
    stack, symbols = model._stack, model._calls  # type: ignore[attr-defined]
    nodes: list[list[Described]] = [[] for _ in stack]
    history: list[list[Any]] = []
    for at, operands, *more in config["calls"]:
        layer, told = stack[at], more[0] if more else {}
        if "of" in told:
            history.append([*history[told["of"]][:2], told["output"]])
            continue
        history.append([layer.name, len(nodes[at]), told.get("output", 0)])
        if isinstance(layer, InputLayer):
            continue
        taken = [
            {
                "class_name": "__keras_tensor__",
                "config": {
                    "shape": list(symbols[o].shape),
                    "dtype": symbols[o].dtype,
                    "keras_history": history[o],
                },
            }
            for o in operands
        ]
        several = layer.several if not isinstance(layer, Part) else len(taken) > 1
        told = {"training": told["training"]} if "training" in told else {}
        nodes[at].append({"args": [taken if several else taken[0]], "kwargs": told})
    kinds = {layer.name: int(isinstance(shown(layer), Functional)) for layer in stack}

    def ends(numbers: Any, counted: bool) -> Any:
        if isinstance(numbers, Mapping):
            return {name: ends([n], counted) for name, n in numbers.items()}
        found = [[name, call + kinds[name] * counted, out] for name, call, out in (history[n] for n in numbers)]
        return found[0] if len(found) == 1 else found

    made = [
        {**_described(layer), "name": layer.name, "inbound_nodes": node}
        for layer, node in zip(stack, nodes, strict=True)
    ]
    return {
        "layers": made,
        "input_layers": ends(config["inputs"], False),
        "output_layers": ends(config["outputs"], True),
    }


def snake(name: str) -> str:
    """A class name as Keras names groups of weights.

    >>> snake("BatchNormalization"), snake("PReLU"), snake("RMSNormalization")
    ('batch_normalization', 'p_re_lu', 'rms_normalization')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
