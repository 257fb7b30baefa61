"""One thing done to several, side by side: what became of each, in the order in which they were named.

Invariant: one that fails keeps no other from being done, and every failure is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from plugin_host.errors import HostLost, PluginHostError

from . import output
from .failure import sentence, tell

if TYPE_CHECKING:
    from .option import Options

__all__ = ["outcomes", "report"]

_T = TypeVar("_T")


async def outcomes(names: Sequence[str], act: Callable[[str], Awaitable[_T]]) -> list[_T | PluginHostError]:
    """What `act` makes of each name, once it has been done to all. Raises HostLost, after which none is."""
    done = await asyncio.gather(*map(act, names), return_exceptions=True)
    results: list[_T | PluginHostError] = []
    for one in done:
        if isinstance(one, BaseException) and (
            not isinstance(one, PluginHostError) or isinstance(one, HostLost)
        ):
            raise one
        results.append(one)
    return results


def report(
    options: Options,
    names: Sequence[str],
    results: Sequence[_T | PluginHostError],
    text: Callable[[_T], str],
) -> None:
    """Print what was done, a line of `text` for each or one list of JSON, and say what was not.

    `results` are those of `names`. Ends the command with the exit code of the first failure.
    """
    done: list[Any] = [one for one in results if not isinstance(one, PluginHostError)]
    if options.as_json:
        output.write_json(done)
    elif done:
        output.write("".join(f"{output.printable(text(one))}\n" for one in done))
    codes = [
        _told(options, name if len(names) > 1 else "", one)
        for name, one in zip(names, results, strict=True)
        if isinstance(one, PluginHostError)
    ]
    if codes:
        raise click.exceptions.Exit(codes[0])


def _told(options: Options, name: str, error: PluginHostError) -> int:
    """Say what went wrong, and with which of several where the words do not; the exit code for it."""
    about = "" if name in sentence(error) else name
    return tell(error, as_json=options.as_json, verbose=options.verbosity > 0, about=about)
