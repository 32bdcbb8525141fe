"""The command line. To add a command: a file here, and its name in the list below."""

import click

from nacre import __version__
from nacre.cli import early
from nacre.cli.about import about
from nacre.cli.at import at
from nacre.cli.budget import budget
from nacre.cli.collapse import collapse
from nacre.cli.compare import compare
from nacre.cli.completion import completion
from nacre.cli.datasets import datasets
from nacre.cli.demo import demo
from nacre.cli.doctor import doctor
from nacre.cli.evaluate import evaluate
from nacre.cli.explain import explain
from nacre.cli.export import export
from nacre.cli.features import features
from nacre.cli.fork import fork
from nacre.cli.gradcheck import gradcheck
from nacre.cli.graph import graph
from nacre.cli.inspect import inspect
from nacre.cli.lab import lab
from nacre.cli.launch import launch
from nacre.cli.ledger import ledger
from nacre.cli.plan import plan
from nacre.cli.plot import plot
from nacre.cli.predict import predict
from nacre.cli.resume import resume
from nacre.cli.serve import serve
from nacre.cli.shell import Shell
from nacre.cli.studio import studio
from nacre.cli.summary import summary
from nacre.cli.train import train
from nacre.cli.tune import tune

COMMANDS: tuple[click.Command, ...] = (
    demo,
    datasets,
    inspect,
    train,
    tune,
    resume,
    launch,
    doctor,
    at,
    fork,
    evaluate,
    predict,
    serve,
    export,
    explain,
    compare,
    plot,
    features,
    ledger,
    summary,
    budget,
    collapse,
    graph,
    gradcheck,
    plan,
    lab,
    studio,
    about,
    completion,
)


_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True}


@click.group(cls=Shell, context_settings=_SETTINGS)
@click.version_option(__version__, prog_name="nacre")
def main() -> None:
    """Deep networks, trained at the speed of the machine.

    \b
    Examples:
      nacre demo
      nacre train digits
      nacre train --help
    """


for _command in COMMANDS:
    main.add_command(_command)
early.loaded()

__all__ = ["COMMANDS", "main"]
