"""Variables for another program's environment, from the words `NAME=VALUE` and `NAME` of `-e`.

Invariant: nothing of this process's own environment goes along unless it is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import click

from . import output

__all__ = ["check_text", "variables"]


def variables(words: Iterable[str], own: Mapping[str, str]) -> dict[str, str]:
    """The variables that `words` set; `NAME` alone takes its value from `own`, or sets nothing.

    Of several of one name the last counts. Raises click.UsageError.
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name:
            raise click.UsageError(f"-e {'=…' if equals else ''}: expected NAME=VALUE or NAME")
        _check(name, word)
        if equals:
            found[name] = value
        elif name in own:
            _check(name, own[name])
            found[name] = own[name]
    return found


def _check(name: str, word: str) -> None:
    """The value is not shown: it may be a secret."""
    try:
        word.encode()
    except UnicodeEncodeError:
        shown = output.printable(name)
        raise click.UsageError(f"-e {shown}: expected UTF-8 text, found other bytes") from None


def check_text(where: str, word: str) -> None:
    """Raises click.UsageError for an argument of other bytes than UTF-8, which cannot be sent."""
    try:
        word.encode()
    except UnicodeEncodeError:
        shown = output.printable(word)
        raise click.UsageError(f"{where}: expected UTF-8 text, found other bytes: {shown}") from None
