"""nacre lab: experiments to learn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from nacre import labs
from nacre.cli.held import ALL_ROWS, held_out
from nacre.cli.options import DATA, JSON, MODEL, QUIET, check_writable, show
from nacre.cli.sources import Part, Source, in_memory, open_model, open_training, tell_notes
from nacre.cli.train import settings_for
from nacre.cli.waiting import waiting
from nacre.data import Features
from nacre.errors import UsageError

_MOST = 1 << 28  # numbers of a table that experiments hold in memory, 1 GB


class _Numbers(click.ParamType[tuple[float, ...]]):
    """Numbers, as in 1,2,3."""

    def __init__(self, kind: type[int] | type[float]) -> None:
        self.kind, self.name = kind, "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The numbers in a text."""
        try:
            return tuple(self.kind(word) for word in value.split(",")) if isinstance(value, str) else value
        except ValueError:
            self.fail(f"{value!r} is no list of numbers, as in 1,2,3.", param, ctx)


def _training(command: Callable[..., Any]) -> Callable[..., Any]:
    """What all experiments that train have in common."""
    for option in reversed(
        [
            DATA,
            click.option("--target", multiple=True, help="Column of a table to predict."),
            click.option("--column", multiple=True, help="What a column of a table is, as in zip=drop."),
            click.option(
                "--seeds", type=click.IntRange(2), help="Trainings that differ by chance alone.  [default: 3, 5 or 8]"
            ),
            click.option("--activation", default="relu", help="Activation of the hidden layers."),
            click.option("--learning-rate", type=float, help="Length of a step of Adam.  [default: 0.001, or 0.003]"),
            JSON,
            QUIET,
        ]
    ):
        command = option(command)
    return command


@click.group()
def lab() -> None:
    """Experiments: what depth, data, labels, neighbors and single units do to a network; and perceptrons.

    Each experiment is repeated with several seeds, and says whether what it found is more than chance.

    \b
    Examples:
      nacre lab depth digits
      nacre lab depth digits --activation sigmoid --depths 1,2,5
      nacre lab learning-curve digits --sizes 100,400
      nacre lab random-labels digits
      nacre lab permutation digits
      nacre lab seeds digits --seeds 8
      nacre lab perceptron --weights 6,2,2 --threshold 5
      nacre lab circuit adder
      nacre lab circuit 0110
    """


@lab.command()
@_training
@click.option("--depths", type=_Numbers(int), default="1,2,3,5", help="Numbers of hidden layers.")
@click.option("--parameters", default=10_000, type=click.IntRange(1), help="Of each network, within 2 %.")
@click.option("--epochs", default=20, type=click.IntRange(1), help="Passes over the data.")
def depth(**options: Any) -> None:
    """Deeper or wider? Networks of equal parameter counts on DATA."""
    _run(labs.depth, options)


@lab.command()
@_training
@click.option("--sizes", type=_Numbers(int), help="Numbers of rows.  [default: all, and half as many, five times over]")
@click.option(
    "--network",
    "networks",
    type=_Numbers(int),
    multiple=True,
    help="Widths of hidden layers; several times for several.",
)
@click.option(
    "--steps", type=click.IntRange(1), help="Steps of 32 rows, about.  [default: 600, fewer if the inputs are wide]"
)
def learning_curve(**options: Any) -> None:
    """How well networks do on DATA, by the number of rows that they are trained on."""
    _run(labs.learning_curve, options)


@lab.command()
@_training
@click.option("--widths", type=_Numbers(int), default="256", help="Of the hidden layers.")
@click.option("--rows", default=1000, type=click.IntRange(1), help="Rows to train on.")
@click.option("--epochs", default=150, type=click.IntRange(1), help="Passes over the data.")
def random_labels(**options: Any) -> None:
    """The same network on the true labels of DATA, and on shuffled ones: does it memorize?"""
    _run(labs.random_labels, options)


@lab.command()
@_training
@click.option("--widths", type=_Numbers(int), default="64", help="Of the hidden layers.")
@click.option("--epochs", default=20, type=click.IntRange(1), help="Passes over the data.")
def permutation(**options: Any) -> None:
    """Permute the inputs of DATA, pixels for instance, and see that dense layers do not care."""
    _run(labs.pixel_permutation, options)


@lab.command()
@_training
@click.option("--widths", type=_Numbers(int), default="64", help="Of the hidden layers.")
@click.option("--epochs", default=20, type=click.IntRange(1), help="Passes over the data.")
def seeds(**options: Any) -> None:
    """Train one network on DATA several times: how much of what comes out is chance?"""
    _run(labs.seeds, options)


@lab.command()
@MODEL
@DATA
@click.option("--layer", help="Name of the layer whose units are knocked out.  [default: the first with weights]")
@click.option("--value", type=click.Choice(["zero", "mean"]), default="zero", help="What is there instead.")
@click.option("--patch", type=click.IntRange(1), help="Cover squares of so many pixels of the pictures instead.")
@ALL_ROWS
@JSON
@QUIET
def ablation(
    model: str,
    data: str,
    layer: str | None,
    value: str,
    patch: int | None,
    all_rows: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Knock out the units of a layer of MODEL one by one, and see what DATA lose by it: of what MODEL, a run, was trained on, the
    rows that it did not see.

    \b
    Examples:
      nacre train digits --out my-run
      nacre lab ablation my-run digits
      nacre lab ablation my-run digits --patch 2
    """
    trained = open_model(model)
    looked = held_out(model, trained, data, all_rows)
    part = in_memory(looked.rows)
    with waiting("Knocking out", quiet):
        found = labs.ablation(trained, part.x, part.y, layer, value=value, patch=patch)
    experiment = found.experiment.removesuffix(f", {len(part):,} rows")
    found = replace(found, experiment=f"{experiment}, {looked.told}")
    show(as_json, found.document() | {"part": looked.part}, str(found))


@lab.command()
@click.option("--weights", type=_Numbers(float), required=True, help="One for each input.")
@click.option("--threshold", type=float, help="1 is said if the sum is above it.")
@click.option("--bias", type=float, help="Minus the threshold: what is added to the sum.")
@JSON
def perceptron(weights: tuple[float, ...], threshold: float | None, bias: float | None, as_json: bool) -> None:
    """The truth table of a perceptron."""
    one = labs.Perceptron(weights, threshold=threshold, bias=bias)
    table = labs.truth_table(one)
    document = {"weights": one.weights, "threshold": one.threshold, "bias": one.bias, "rows": table.rows}
    show(as_json, document, f"{one}\n\n{table}")


@lab.command()
@click.argument("what", metavar="adder|multiplier|TABLE")
@click.option("--bits", default=2, type=click.IntRange(1, 6), help="Of each number.")
@click.option("--out", type=click.Path(path_type=Path), help="A new model file, dense layers of steps.")
@JSON
def circuit(what: str, bits: int, out: Path | None, as_json: bool) -> None:
    """A circuit of NAND perceptrons that adds, multiplies, or says what a truth TABLE such as 0110 says; every row is checked."""
    if out is not None:
        check_writable(out, new=True)
    made = {"adder": labs.adder, "multiplier": labs.multiplier}
    if what not in made and set(what) - {"0", "1"}:
        raise UsageError(f"{what!r} is no circuit.", hint="adder, multiplier, or the outputs of a truth table: 0110")
    network = made[what](bits) if what in made else labs.nand_network(what)
    table = labs.truth_table(network)
    if out is not None:
        network.model().save(out)
    document = {
        "inputs": network.inputs,
        "gates": [wires for _, wires in network.gates],
        "outputs": network.out,
        "rows": table.rows,
    }
    show(as_json, document, f"{network}\n\n{table}")


def _run(experiment: Callable[..., labs.Result], options: Mapping[str, Any]) -> None:
    """An experiment on data, printed."""
    told = {name: value for name, value in options.items() if value not in (None, ())}
    data, quiet, as_json = (told.pop(name) for name in ("data", "quiet", "as_json"))
    given: dict[str, Any] = {name: told.pop(name) for name in ("target", "column") if name in told}
    settings = settings_for(data, None, given)
    source = open_training(settings.with_(seed=0, validation_split=0.0, test_split=0.2))
    if isinstance(source.features, Features) and source.features.categories and not quiet:
        names = ", ".join(one.name for one in source.features.categories)
        tell_notes([f"each term of {names} is a number of its own, 1 where the row has it, and else 0"])
    x, y = _arrays(source, source.train)
    found = experiment(x, y, validation_data=_arrays(source, source.parts["test"]), verbose=int(not quiet), **told)
    show(as_json, found.document(), str(found))


def _arrays(source: Source, part: Part) -> tuple[Any, Any]:
    """Rows of numbers, and targets; or `UsageError`."""
    x = part.x
    if isinstance(source.features, Features) and isinstance(x, Mapping):
        width = source.features.width + source.features.terms
        if len(part) * width > _MOST:
            names = ", ".join(f"{one.name} ({one.size:,})" for one in source.features.categories)
            raise UsageError(
                f"Experiments give each term a number of its own, which are {width:,} numbers for each of {len(part):,} rows.",
                {"categories": names},
                "leave out those with many terms: --column NAME=drop",
            )
        x = source.features.as_numbers(x)
    if not isinstance(x, np.ndarray) or not isinstance(part.y, np.ndarray):
        raise UsageError(
            f"Experiments are made with rows in memory and one target, and {source.name} is something else."
        )
    return x, part.y
