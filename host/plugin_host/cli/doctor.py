"""`plugin-host doctor`: what a host depends on, and for each fault what to do. Starts no plugin."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

import click

from . import output
from .failure import REFUSED
from .option import Options, host_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from plugin_host.checkup.finding import Finding

__all__ = ["command"]

_HELP = """Look at everything that a host depends on, and say what to do about each fault.

Looked at are versions, the system, the configuration, host extensions, every plugin with its program or
interpreter, limits, the sandbox, the sockets, and what earlier hosts left behind. No plugin is started, and
nothing is changed or removed. The exit status is 1 when there are faults.

\b
Examples:
  plugin-host doctor
  plugin-host doctor --plugin-dir ./plugins --only greeter
  plugin-host doctor --json | jq '.[] | select(.level == "fault")'
"""


@click.command("doctor", help=_HELP)
@host_options
def command(options: Options) -> None:
    with options.reported():
        found = _examined(options)
        if options.as_json:
            output.write_json([dataclasses.asdict(one) for one in found])
        else:
            output.write(_as_text(found))
        if any(one.level == "fault" for one in found):
            raise click.exceptions.Exit(REFUSED)


def _examined(options: Options) -> list[Finding]:
    from plugin_host.checkup.examination import examine  # with all that it looks at, slow to import

    from .logline import unheard

    # What is logged about extensions is among the findings.
    with contextlib.nullcontext() if options.verbosity else unheard():
        return examine(
            plugin_dirs=options.plugin_dirs,
            only=options.only,
            block=options.block,
            config=options.config,
            socket=options.socket,
        )


def _as_text(found: Sequence[Finding]) -> str:
    """A paragraph for each section, in the order in which they first come; then the sum."""
    sections = dict.fromkeys(one.section for one in found)
    text = ""
    for section in sections:
        lines = [one for one in found if one.section == section]
        width = max(len(output.printable(one.subject)) for one in lines)
        text += f"{section}\n{''.join(_line(one, width) for one in lines)}\n"
    faults, notes = (sum(one.level == level for one in found) for level in ("fault", "note"))
    return f"{text}{_counted(faults, 'fault')}, {_counted(notes, 'note')}\n"


def _line(one: Finding, width: int) -> str:
    subject = output.printable(one.subject).ljust(width)
    text = output.printable(one.text, lines=True).replace("\n", "\n    ")
    line = f"  {one.level:<5}  {subject}  {text}\n"
    return line + (f"         to do: {output.printable(one.advice)}\n" if one.advice else "")


def _counted(count: int, word: str) -> str:
    return f"{count or 'no'} {word}{'' if count == 1 else 's'}"
