"""A play as a Python script, which ends with the same bits: its functions are those that the play ran."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from nacre.data import DATASETS
from nacre.studio.formulas import parsed
from nacre.studio.playground import sources, training
from nacre.studio.playground.recipe import Recipe, Settings
from nacre.studio.playground.session import OPTIMIZERS, REBUILT, Session


def script(session: Session) -> str:
    """What was done in a play, as a script that trains the same network and writes it to model.safetensors.

    >>> text = script(Session(Recipe()))
    >>> "model = network(" in text, "def circles(" in text, "def spiral(" in text
    (True, True, False)
    """
    recipe = session.recipe()
    functions: list[Callable[..., Any]] = [*_sources(recipe), sources.parts, sources.noisy]
    functions += [sources.columns] if session.rows.free else []
    functions += [training.network, training.train, training.moved]
    lines = list(_body(session, recipe))
    functions += [
        one for one in (training.carry, training.set_weight) if any(f"{one.__name__}(" in line for line in lines)
    ]
    table = recipe.data.source == "table"
    head = [
        "from __future__ import annotations",
        "",
        "from typing import Any",
        "",
        "import numpy as np",
        "",
        "import nacre",
    ]
    if table:
        head += ["from nacre.data import Features, Table, Target"]
    saying = '"""A network of nacre\'s playground. It prints how good it became, and writes it to model.safetensors."""'
    note = ["", "# The table of the playground lies beside this script, as table.csv."] if table else []
    return "\n".join(
        [
            saying,
            "",
            *head,
            *note,
            "",
            "Array = np.ndarray",
            "At = tuple[int, int]  # the epoch, and how many of its rows were taken",
            "",
            "",
            *("\n".join([inspect.getsource(function), ""]) for function in functions),
            *lines,
            "",
        ]
    )


def _sources(recipe: Recipe) -> list[Callable[..., Any]]:
    source = recipe.data.source
    if source in sources.PLANE:
        return [sources.PLANE[source]]
    others: dict[str, Callable[..., Any]] = {"function": sources.even, "table": sources.from_table}
    return [others.get(source, sources.pictures)]


def _body(session: Session, recipe: Recipe) -> Iterator[str]:
    """The lines that do it."""
    settings, rows, data = recipe.settings, session.rows, recipe.data
    y = "np.int32" if rows.classes else "np.float32"
    yield f"seed = {recipe.seed}"
    if data.source == "function":
        yield f"points = even({data.rows}, seed)"
        yield "x, y = points.T"
        yield f"targets = {_function(data.formula)}"
    elif data.source == "table":
        yield f"points, targets, features = from_table('table.csv', {data.target!r}, {data.rows}, {data.test!r}, seed)"
    elif data.source in DATASETS:
        yield f"points, targets = pictures(nacre.datasets.{data.source}, {data.rows}, seed)"
    else:
        yield f"points, targets = {data.source}({data.rows}, seed)"
    yield f"training, test = parts(len(points), {data.test!r}, seed)"
    yield from _rows(settings, rows.free, y)
    yield ""
    yield from _network(session, settings, recipe.seed, 0)
    yield "at = (0, 0)"
    step = 0
    for at, change in recipe.changes:
        if at > step:
            yield from _train(settings, at - step)
        step, former, settings = at, settings, change.of(settings)
        new = {name for name in change.settings() if getattr(former, name) != getattr(settings, name)}
        yield ""
        yield f"# before step {at + 1}: {', '.join(sorted(new)) or 'a weight by hand'}"
        if new & {"noise", "inputs"}:
            yield from _rows(settings, rows.free, y)
        if new & REBUILT:
            names = former.inputs if rows.free else session.problem.names
            kept = [(names.index(n), k) for k, n in enumerate(settings.inputs) if n in names] if rows.free else []
            yield "former = model"
            yield from _network(session, settings, recipe.seed, at)
            yield f"carry(former, model, {kept if rows.free else '[(k, k) for k in range(x.shape[1])]'})"
        elif "learning_rate" in new:
            yield f"model.optimizer.learning_rate = {settings.learning_rate!r}"
        if (one := change.weight) is not None:
            yield f"set_weight(model, {one.layer!r}, {one.weight!r}, {one.place!r}, {one.value!r})"
    if recipe.step > step:
        yield from _train(settings, recipe.step - step)
    yield ""
    yield 'print("training:", model.evaluate(x[training], y[training], verbose=0, return_dict=True))'
    yield 'print("test:    ", model.evaluate(x[test], y[test], verbose=0, return_dict=True))'
    yield 'model.save("model.safetensors")'


def _function(formula: str) -> str:
    found = parsed(formula)
    return f"({found.source}).astype({'np.int64' if found.truth else 'np.float64'})"


def _rows(settings: Settings, free: bool, y: str) -> Iterator[str]:
    yield f"x, y = noisy(points, targets, {settings.noise!r}, seed)"
    yield f"x, y = {f'columns(x, {list(settings.inputs)!r})' if free else 'x.astype(np.float32)'}, y.astype({y})"


def _network(session: Session, settings: Settings, seed: int, step: int) -> Iterator[str]:
    kind, more = OPTIMIZERS[settings.optimizer]
    given = ", ".join([repr(settings.learning_rate), *(f"{name}={value!r}" for name, value in more.items())])
    hidden = [(layer.name, layer.units, layer.activation) for layer in settings.hidden]
    yield f"nacre.utils.set_random_seed({(seed + step) % 2**32})"
    yield "model = network("
    yield "    x.shape[1],"
    yield f"    {hidden!r},"
    yield f"    {session.rows.outputs!r},"
    yield f"    nacre.optimizers.{kind}({given}),"
    yield f"    {session.rows.loss!r},"
    recipe = session.recipe()
    named = {"initializer": recipe.initializer, "l1": settings.l1, "l2": settings.l2, "dropout": settings.dropout}
    plain = {"initializer": "glorot_uniform", "l1": 0.0, "l2": 0.0, "dropout": 0.0}
    for name, value in named.items():
        if value != plain[name]:
            yield f"    {name}={value!r},"
    yield ")"


def _train(settings: Settings, steps: int) -> Iterator[str]:
    yield f"at = train(model, x[training], y[training], at, {settings.batch_size}, {steps}, seed)"


__all__ = ["script"]
