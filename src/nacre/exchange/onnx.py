"""Models as ONNX files (https://onnx.ai), which most programs that run networks read; run by onnxruntime before they are there.

A file holds the program of a prediction for any number of rows: operators of opset 17, in the version of the format (IR 8) that
belongs to it, so that readers of some years run it. Weights have their own names. The same model gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre import __version__
from nacre.configured import serialize
from nacre.data import Features, Pictures
from nacre.errors import Limitation, UsageError, guest
from nacre.exchange.onnx_nodes import Writer
from nacre.exchange.traced import ROWS, largest_difference, made_up, name_of, predicted
from nacre.exchange.written import IN_FLOAT32, Written
from nacre.files import write_whole
from nacre.ir import Graph, Input
from nacre.models import Model
from nacre.training.program import RowType, RowTypes, prediction_program

Array = npt.NDArray[Any]

_OPSET, _IR = 17, 8
_COUNTS = (10_007, 10_009)  # of rows: two primes, as large as no layer happens to be
_LARGEST = 2**31 - 2**24  # bytes of a protocol buffer, less some for all that is no weight
_FAR_ROUNDED = 2.0**-5  # how far outputs may be where the model rounds factors to bfloat16, which the file does not


def write(model: Model, path: Path) -> Written:
    """Write the model; see `nacre.Model.export`.

    Inputs and outputs are called as in the model, their first axis "batch"; weights are float32, also those of a model that
    multiplies in bfloat16. Raises `Limitation` for what ONNX cannot say and for more than 2 GB, `ModelFileError` if onnxruntime
    computes something else than the model; then there is no file.
    """
    onnx = guest("onnx", f"Writing {path}", "onnx")
    columns = _columns(model)
    graphs = _traced(model, columns, _COUNTS)
    notes = [*_features_told(model), *([IN_FLOAT32] if _is_rounded(graphs[0]) else [])]
    content = _file(onnx, model, graphs, notes).SerializeToString(deterministic=True)
    try:
        runtime = guest("onnxruntime", "Checking an ONNX file", "onnx")
    except UsageError:
        write_whole(path, [content])
        unchecked = "It was not run: onnxruntime is not installed."
        return Written(path, "onnx", len(content), notes=(*notes, unchecked))
    rows = made_up(model, graphs[0], _data(graphs[0], len(columns)))
    far = {"far": _FAR_ROUNDED} if _is_rounded(graphs[0]) else {}
    difference = largest_difference(model, _outputs(runtime, content, rows), predicted(model, rows), "ONNX", **far)
    write_whole(path, [content])
    return Written(path, "onnx", len(content), ROWS, difference, tuple(notes))


# ------------------------------------------------------------------ the program


def _columns(model: Model) -> list[RowType]:
    """What a row of each input is. Bytes where the model takes pictures; where an input has no dtype of its own and is only read as
    whole numbers, these."""
    otherwise = "uint8" if isinstance(model.features, Pictures) else "float32"
    told = [getattr(symbol.layer, "input_dtype", None) for symbol in model.inputs]
    dtypes = [symbol.dtype if dtype else otherwise for symbol, dtype in zip(model.inputs, told, strict=True)]
    columns = [
        RowType(tuple(int(n or 0) for n in shape[1:]), dtype)
        for shape, dtype in zip(model.input_shapes, dtypes, strict=True)
    ]
    (graph,) = _traced(model, columns, _COUNTS[:1])
    found = []
    for column, dtype, given in zip(columns, told, _data(graph, len(columns)), strict=True):
        readers = [node for node in graph.nodes if any(o is given for o in node.operands)]
        whole = readers and not dtype and all(name_of(node) == "cast" and node.dtype == "int32" for node in readers)
        found.append(RowType(column.shape, "int32") if whole else column)
    return found


def _traced(model: Model, columns: Sequence[RowType], counts: Sequence[int]) -> list[Graph]:
    program = prediction_program(model, RowTypes(tuple(columns)), counts)
    return [program.graphs[count] for count in counts]


def _data(graph: Graph, count: int) -> list[Input]:
    return [graph.input(column.name) for column in RowTypes((RowType((), "float32"),) * count).columns(1)[0]]


def _is_rounded(graph: Graph) -> bool:
    return any(node.attrs.get("precision") == "bfloat16" for node in graph.nodes)


# ------------------------------------------------------------------ the file


def _file(onnx: Any, model: Model, graphs: Sequence[Graph], notes: Sequence[str]) -> Any:
    weights = {name: w for name, w in model.named.items() if any(i.name == name for i in graphs[0].inputs)}
    nbytes = sum(w.type.nbytes for w in weights.values())
    if nbytes > _LARGEST:
        raise Limitation(
            f"An ONNX file holds 2 GB, and the weights take {nbytes:,} bytes.",
            hint="export parts of it: nacre.Model(model.inputs, output_of_a_layer)",
        )
    columns = _data(graphs[0], len(model.inputs))
    taken: set[str] = set()
    names = {c.name: _own(taken, name) for c, name in zip(columns, model.input_names, strict=True)}
    outputs = [_own(taken, name) for name in model.output_names]
    names |= {name: _own(taken, name) for name in weights}
    writer = Writer(graphs, _COUNTS, names, outputs)
    writer.write()
    used = {name for node in writer.nodes for name in node.inputs}
    arrays = {names[name]: w.numpy() for name, w in weights.items() if names[name] in used} | writer.constants
    helper = onnx.helper
    nodes = [
        helper.make_node(n.operator, n.inputs, [n.name], **{key: _attribute(a) for key, a in n.attributes.items()})
        for n in writer.nodes
    ]
    ends = zip(outputs, graphs[0].outputs.values(), strict=True)
    sides = [
        [helper.make_tensor_value_info(name, _DTYPES[value.dtype], ["batch", *value.shape[1:]]) for name, value in side]
        for side in ([(names[c.name], c) for c in columns], ends)
    ]
    weights_first = [onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    file = helper.make_model(
        helper.make_graph(nodes, _own(set(), model.name), *sides, weights_first),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
        producer_name="nacre",
        producer_version=__version__,
        doc_string=_text("\n".join(notes)),
    )
    helper.set_model_props(file, _properties(model, outputs))
    return file


# The numbers that stand for dtypes in onnx.TensorProto.
_DTYPES = {"float32": 1, "uint8": 2, "int32": 6, "int64": 7, "bool": 9, "float64": 11, "uint32": 12}


def _attribute(given: Any) -> Any:
    return _DTYPES[given] if isinstance(given, str) else given


def _text(name: str) -> str:
    """Text as UTF-8 can hold it; names may have been made of anything."""
    return name.encode("utf-8", "replace").decode()


def _own(taken: set[str], name: str) -> str:
    """A name that is not taken yet, as near to ``name`` as can be; "" would mean that nothing is given."""
    found = name = _text(name) or "unnamed"
    number = 1
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found)
    return found


def _properties(model: Model, outputs: Sequence[str]) -> dict[str, str]:
    """What else a reader wants to know: the names of classes by outputs, and what columns of tables mean."""
    found = {"nacre": __version__}
    if isinstance(model.features, Features):
        classes = {
            name: target.classes
            for name, target in zip(outputs, model.features.targets, strict=True)
            if target.classes is not None
        }
        found["features"] = json.dumps(serialize(model.features))
    else:
        classes = {} if model.features is None else {outputs[0]: model.features.classes}
    return found | ({"classes": json.dumps(classes)} if classes else {})


# ------------------------------------------------------------------ notes


def _features_told(model: Model) -> list[str]:
    """What the file takes in place of a table, or of files of pictures."""
    if isinstance(model.features, Features):
        parts = [part for one in model.features.features for part in one.parts]
        begins = np.cumsum([0, *(one.size for one in model.features.categories)]).tolist()
        terms = [f"{one.name} from {begin} on" for one, begin in zip(model.features.categories, begins, strict=False)]
        inputs = (("numbers", "float32", parts), ("categories", "int32", terms))
        told = [f"{name}, {dtype} (rows, {len(some)}): {_few(some)}" for name, dtype, some in inputs if some]
        return [
            "It takes what nacre makes of a table; how that is made is in its metadata, under features.",
            *told,
        ]
    if isinstance(model.features, Pictures):
        height, width, channels = model.features.shape
        return [f"It takes pictures as bytes from 0 to 255, (rows, {height}, {width}, {channels})."]
    return []


def _few(names: Sequence[str]) -> str:
    return ", ".join([*names[:8], *(["..."] if len(names) > 8 else [])])


# ------------------------------------------------------------------ the check


def _outputs(runtime: Any, content: bytes, inputs: Sequence[Array]) -> list[Array]:
    """The outputs of a file for some rows: onnxruntime's, on the processor; the first row by itself, then the others."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3  # errors, which are raised anyway
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    halves = [
        session.run(None, dict(zip(names, (x[rows] for x in inputs), strict=True)))
        for rows in (slice(0, 1), slice(1, None))
    ]
    return [np.concatenate(pair) for pair in zip(*halves, strict=True)]


__all__ = ["write"]
