"""A group of commands, each imported when it is used, and all of them known by name before.

A command is a row of a table: the module it lives in, the name it has there, and what the group's help
says of it. Invariant: to help, to complete a word and to suggest a name imports no command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["CommandGroup", "ReaderGone", "Row"]

# Arguments that name something in a host: over the wire go texts only.
_NAMES = frozenset(
    ["plugin", "plugins", "command", "session", "sessions", "task", "tasks", "actions", "path"]
)


class ReaderGone(Exception):
    """Nobody reads stdout any more, which click would make a failure of a kind of its own."""


class _Name(click.types.StringParamType):
    """A name as people write it: whatever it is of, it has no bytes that are not UTF-8."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = super().convert(value, param, ctx)
        if any("\ud800" <= character <= "\udfff" for character in text):
            self.fail(f"expected UTF-8 text, found {text!a}", param, ctx)
        return text


class Row(NamedTuple):
    """One command: its module in this package, one line about it, and its name in the module."""

    module: str
    summary: str
    name: str = "command"


def _check_names(command: click.Command) -> None:
    """Have a command, and those in it, take names for what they are."""
    for parameter in command.params:
        if parameter.type is click.STRING and parameter.name in _NAMES:
            parameter.type = _Name()
    if isinstance(command, click.Group) and not isinstance(command, CommandGroup):
        for one in command.commands.values():
            _check_names(one)


class CommandGroup(click.Group):
    """A group of the commands in `table`, which has them by what a user calls them."""

    def __init__(self, name: str | None = None, *, table: Mapping[str, Row], **others: Any) -> None:
        super().__init__(name, _Commands(table), **others)
        self._table = table

    def make_context(self, *arguments: Any, **others: Any) -> click.Context:
        try:
            return super().make_context(*arguments, **others)
        except BrokenPipeError as error:
            raise ReaderGone from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._table[name].summary) for name in sorted(self._table)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        names = [name for name in sorted(self._table) if name.startswith(incomplete)]
        items = [CompletionItem(name, help=self._table[name].summary) for name in names]
        return items + click.Command.shell_complete(self, ctx, incomplete)


class _Commands(MutableMapping[str, click.Command]):
    """The commands by name; one is imported when it is looked up."""

    def __init__(self, table: Mapping[str, Row]) -> None:
        self._rows = dict(table)
        self._added: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._added:
            row = self._rows[name]
            self._added[name] = getattr(import_module(f".{row.module}", __package__), row.name)
            _check_names(self._added[name])
        return self._added[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._added[name] = command

    def __delitem__(self, name: str) -> None:
        del self._added[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._rows, **self._added})

    def __len__(self) -> int:
        return len({**self._rows, **self._added})
