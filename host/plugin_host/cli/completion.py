"""`plugin-host completion`: the script by which a shell completes the words of this command line."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from . import output
from .option import Options, output_options
from .program import COMPLETING

__all__ = ["command"]

_HELP = """Print the script that makes SHELL complete plugins, their commands and resources, and sessions.

They are asked from the running host, and plugins, where none runs, from what is installed.

\b
Examples:
  plugin-host completion bash >~/.local/share/bash-completion/completions/plugin-host
  plugin-host completion zsh >~/.zfunc/_plugin-host
  plugin-host completion fish >~/.config/fish/completions/plugin-host.fish
  eval "$(plugin-host completion bash)"
"""


@click.command("completion", help=_HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@output_options
def command(options: Options, shell: str) -> None:
    with options.reported():
        kind = get_completion_class(shell)
        assert kind is not None
        script = kind(click.get_current_context().find_root().command, {}, "plugin-host", COMPLETING)
        # Not its source(), which first looks for the shell itself.
        text = script.source_template % script.source_vars()
        if options.as_json:
            output.write_json({"shell": shell, "script": text})
        else:
            output.write(text + "\n")
