"""nacre completion: so that the shell completes commands, options and data sets."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete nacre's commands.

    \b
    Examples:
      nacre completion bash >> ~/.bashrc
      nacre completion zsh >> ~/.zshrc
      nacre completion fish > ~/.config/fish/completions/nacre.fish
    """
    scripted = get_completion_class(shell)
    assert scripted is not None
    click.echo(scripted(ctx.find_root().command, {}, "nacre", "_NACRE_COMPLETE").source())
