"""An explanation as text, in some sixty lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nacre.explain.numbers import columns, short, top
from nacre.plain import printable

if TYPE_CHECKING:
    from nacre.explain.explanation import Explanation, LayerStep

Array = npt.NDArray[Any]

_UNITS = 8  # shown of a layer
_VOTERS = 6
_OUTPUTS = 10  # shown of the classes
_BLAMED = 4  # weights shown of a layer
_GIVEN = 40  # numbers shown of a row of a table


def written(explanation: Explanation) -> str:
    """The first row of an explanation: forward, votes, loss, backward, update."""
    lines = [heading(explanation), *(f"Note: {note}." for note in explanation.notes), *_said(explanation)]
    lines += [*_given(explanation), "", "FORWARD"]
    for line, step in zip(formulas(explanation.layers), explanation.layers, strict=True):
        lines += [f"  {line}", *_forward(step)] if step.scores is not None else [f"  {line}"]
    lines += _votes(explanation)
    if explanation.losses is None:
        return "\n".join(lines)
    return "\n".join([*lines, *_loss(explanation), *_backward(explanation), *_update(explanation)])


def heading(explanation: Explanation) -> str:
    """What is explained."""
    step = "A prediction" if explanation.losses is None else "A step of training"
    first = "the first of them" if len(explanation) > 1 else "one of them"
    rows = "one row" if explanation.batch == 1 else f"{explanation.batch} rows; shown is {first}"
    return f"{step} of {explanation.model!r} on {rows}"


def outcome(explanation: Explanation) -> str:
    """What is predicted, and what is true, in words; "" where neither is known."""
    said, true = explanation.predicted, explanation.true
    if said is None:
        return ""
    if isinstance(said, str):
        at = int(np.argmax(explanation.outputs[0]))
        sure = explanation.layers[-1].activation == "softmax"
        told = f"{said} ({short(explanation.outputs[0][at])})" if sure else said
    else:
        told = short(said, 6)
    return f"Predicted: {told}" + (
        "" if true is None else f"; true: {true if isinstance(true, str) else short(true, 6)}"
    )


def _said(explanation: Explanation) -> list[str]:
    told = outcome(explanation)
    return [printable(told).replace("\n", "?") + "."] if told else []


def _given(explanation: Explanation) -> list[str]:
    """What the numbers that come in stand for."""
    if explanation.given is None:
        return []
    row = explanation.given[0]
    known = any(one.value is not None for one in row)
    head = ["stands for", *(["in the table"] if known else []), "number"]
    cells = [
        [_shortened(one.name, 32), *([_shortened(one.value or "-", 24)] if known else []), short(one.number)]
        for one in row[:_GIVEN]
    ]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = ["  ".join([f"{c[0]:<{widths[0]}}", *map(str.rjust, c[1:], widths[1:])]) for c in (head, *cells)]
    more = [f"    and {len(row) - _GIVEN:,} more"] if len(row) > _GIVEN else []
    return ["", "ROW: what the table holds, and what the network gets", *(f"    {line}" for line in lines), *more]


def formulas(layers: Sequence[LayerStep]) -> list[str]:
    """What each layer computes, with shapes: x is what comes in, x1 what the first dense layer gives, and so on."""
    lines, number = [], 0
    before = "x"
    for step in layers:
        shapes = f"({_shape(step.inputs[0])})"
        if step.dense:
            number += 1
            affine = f"{before} A{number} + b{number}" if "bias" in step.weights else f"{before} A{number}"
            shapes += f" ({_shape(step.weights['kernel'].value[None])})"
            shapes += f" + ({_shape(step.weights['bias'].value[None])})" if "bias" in step.weights else ""
            before = f"x{number}"
            said = affine if step.activation == "linear" else f"{step.activation}({affine})"
            line = f"{step.name}: {before} = {said}"
        else:
            shapes = ", ".join(f"({_shape(array)})" for array in step.inputs)
            line = f"{step.name}: {step.kind if step.activation is None else f'{step.kind}, {step.activation}'}"
        lines.append(f"{line}   {shapes} -> ({_shape(step.output)})")
    return lines


def _shape(array: Array) -> str:
    return " x ".join(map(str, array.shape[1:])) or "one"


def _forward(step: LayerStep) -> list[str]:
    assert step.scores is not None
    output, scores = step.output[0].reshape(-1), step.scores[0].reshape(-1)
    if len(output) != len(scores):
        return []
    rows = {"score": scores} if step.activation == "linear" else {"score": scores, "activation": output}
    return _units(rows, output)


def _units(rows: dict[str, Array], by: Array) -> list[str]:
    """Some numbers of those units that are largest ``by`` something, or of all units, if they are few."""
    chosen = np.arange(len(by)) if len(by) <= _OUTPUTS else np.sort(top(by, _UNITS))
    head = ["unit" if len(chosen) == len(by) else "largest units", *map(str, chosen)]
    rest = len(by) - len(chosen)
    lines = columns([head, *([name, *(short(x) for x in values[chosen])] for name, values in rows.items())])
    return [f"    {line}" for line in lines[:1]] + [
        f"    {line}" + (f"   and {rest:,} others" if rest and n == 0 else "") for n, line in enumerate(lines[1:])
    ]


def shown_outputs(explanation: Explanation, count: int, most: int) -> Array:
    """Numbers of the outputs to show, in order: all, or those with the largest scores, and the true one."""
    last = explanation.layers[-1]
    values = (last.output if last.scores is None else last.scores)[0].reshape(-1)
    if count <= most or len(values) != count:
        return np.arange(min(count, most))
    chosen = np.argsort(-values, kind="stable")[:most]
    if explanation.targets is not None and (true := int(np.argmax(explanation.targets[0]))) not in chosen:
        chosen[-1] = true
    return np.sort(chosen)


def label(explanation: Explanation, output: int) -> str:
    """What an output is called, in short."""
    return _shortened(explanation.label(output))


def _shortened(name: str, most: int = 12) -> str:
    """A name out of data, in one short line, without what would steer a terminal."""
    kept = printable(name).replace("\n", "?")
    return kept if len(kept) <= most else f"{kept[: most - 1]}…"


def _votes(explanation: Explanation) -> list[str]:
    votes = explanation.votes()
    if votes is None:
        return []
    chosen = shown_outputs(explanation, len(votes.totals), _OUTPUTS)
    said = int(np.argmax(votes.scores))
    order = votes.order(said)[:_VOTERS]
    others = np.setdiff1d(np.arange(len(votes.activations)), order)
    head = ["unit", "activation", *(label(explanation, k) for k in chosen)]
    rows = [[str(u), short(votes.activations[u]), *(short(votes.votes[u, k], 3) for k in chosen)] for u in order]
    if len(others):
        sums = votes.votes[others][:, chosen].sum(0)
        rows.append([f"{len(others):,} others", "", *(short(s, 3) for s in sums)])
    rows.append(["bias", "", *(short(votes.bias[k], 3) for k in chosen)])
    rows.append(["sum", "", *(short(votes.totals[k], 3) for k in chosen)])
    rows.append(["score", "", *(short(votes.scores[k], 3) for k in chosen)])
    told = (
        f"    Votes and bias add up to the score. For {label(explanation, said)}: {float(votes.totals[said])!r}; "
        f"the engine, in float32, has {float(votes.scores[said])!r}"
    )
    return [
        "",
        f"VOTES in {votes.layer}: activation x weight, by the size of the vote for {label(explanation, said)}",
        *(f"    {line}" for line in columns([head, *rows])),
        told,
    ]


def _loss(explanation: Explanation) -> list[str]:
    assert explanation.losses is not None
    assert explanation.loss is not None
    lines = ["", f"LOSS: {explanation.loss.name} = {explanation.losses[0]:.6g}"]
    last = explanation.layers[-1]
    if explanation.targets is None or last.output.shape != explanation.targets.shape:
        return lines
    chosen = shown_outputs(explanation, last.output.shape[1], _OUTPUTS)
    rows = {"output": last.output[0], "target": explanation.targets[0]}
    cells = [[name, *(short(values[k]) for k in chosen)] for name, values in rows.items()]
    return [*lines, *(f"    {line}" for line in columns([["", *(label(explanation, k) for k in chosen)], *cells]))]


def _backward(explanation: Explanation) -> list[str]:
    """The buffer of back-propagation, the gradient of the loss by what it has come to, after each layer."""
    lines = ["", "BACKWARD: the buffer is 1 at the loss, then the gradient of the loss by what each layer is made of"]
    for step in reversed(explanation.layers):
        if step.error is not None and not step.dense and step.scores is None:
            lines += [f"  output of {step.name}: {_buffer(step.error)}"]
        if step.score_error is None:
            continue
        head = f"  {step.name}: {_buffer(step.score_error)}"
        if step.error is None:
            lines += [f"{head}, by its scores, at once with the loss"]
        else:
            lines += [f"{head}, by its scores"]
        rows = {"error": step.score_error[0].reshape(-1)}
        if step.slope is not None and step.error is not None and step.activation != "linear":
            rows = {"by output": step.error[0].reshape(-1), "x slope": step.slope[0].reshape(-1), **rows}
        lines += _units(rows, rows["error"])
    return lines


def _buffer(error: Array) -> str:
    size, norm = error[0].size, float(np.linalg.norm(error[0].astype(np.float64)))
    return f"{size:,} {'number' if size == 1 else 'numbers'}, norm {short(norm)}"


def rule(explanation: Explanation) -> str:
    """How a weight becomes another."""
    if explanation.plain:
        assert explanation.learning_rate is not None
        return f"new = old - {short(explanation.learning_rate)} x gradient"
    return f"new = what {explanation.optimizer} makes of old and gradient"


def _update(explanation: Explanation) -> list[str]:
    of = "" if explanation.batch == 1 else f", of all {explanation.batch} rows together"
    lines = ["", f"UPDATE: gradient = input x error{of}; {rule(explanation)}"]
    for step in explanation.layers:
        if not step.dense or step.score_error is None:
            continue
        head = ["from", "unit", "input", "error", "input x error", "gradient", "old", "new"]
        blame = explanation.blame(step.name, _BLAMED)
        rows = [
            [
                str(b.source) if b.name is None else _shortened(b.name, 32),
                str(b.unit),
                *map(_or_none, (b.input, b.error, b.share, b.weight.gradient)),
                *map(_long, (b.weight.value, b.weight.new)),
            ]
            for b in blame
        ]
        count = step.weights["kernel"].value.size
        lines += [f"  {step.name}: the {len(blame)} weights of {count:,} with the most blame"]
        lines += [f"    {line}" for line in columns([head, *rows])]
    return lines


def _or_none(number: Any) -> str:
    return "-" if number is None else short(number)


def _long(number: Any) -> str:
    return "frozen" if number is None else short(number, 6)
