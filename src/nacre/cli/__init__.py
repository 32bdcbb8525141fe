"""The command line. To add a command: a file here, and its name in the list below."""

import click

from nacre import __version__
from nacre.cli.compare import compare
from nacre.cli.completion import completion
from nacre.cli.datasets import datasets
from nacre.cli.demo import demo
from nacre.cli.evaluate import evaluate
from nacre.cli.graph import graph
from nacre.cli.inspect import inspect
from nacre.cli.plan import plan
from nacre.cli.predict import predict
from nacre.cli.resume import resume
from nacre.cli.shell import Shell
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
    evaluate,
    predict,
    compare,
    summary,
    graph,
    plan,
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

__all__ = ["COMMANDS", "main"]
