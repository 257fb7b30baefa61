"""Commands that end with the status of a program, and those whose last words are the program's.

The words of the latter are `[OPTIONS] FIRST [OPTIONS] [--] [WORD...]`. Owns the order of words, not what
they mean. Options stand before or right after the first word; the next other word, or `--`, begins what
is the program's own, and nothing behind it is looked at. Invariant: click is given the words as
`OPTIONS -- FIRST WORD...`, an order that it cannot misread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from .failure import ProgramUsageError

__all__ = ["ProgramCommand", "StatusCommand"]


class StatusCommand(click.Command):
    """Its usage errors end with the status of own failures: the program's statuses are passed on."""

    hint = ""
    """What is said of an option that does not exist."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, self.ordered(ctx, args))
        except click.NoSuchOption as error:
            raise ProgramUsageError(f"{error.format_message()} {self.hint}".rstrip(), ctx) from None
        except click.UsageError as error:
            raise ProgramUsageError(error.format_message(), ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise ProgramUsageError(error.format_message(), ctx) from None

    def ordered(self, ctx: click.Context, args: Sequence[str]) -> list[str]:
        """The words as click is to get them."""
        return list(args)


class ProgramCommand(StatusCommand):
    """One whose last words are the program's."""

    hint = "If it is for COMMAND: what is its own stands behind -- or its first word."

    def ordered(self, ctx: click.Context, args: Sequence[str]) -> list[str]:
        before, words = self._split(ctx, args)
        if not words:
            return [*before, "--"]
        after, own = self._split(ctx, words[1:])
        return [*before, *after, "--", words[0], *own]

    def _split(self, ctx: click.Context, args: Sequence[str]) -> tuple[list[str], list[str]]:
        """The options that `args` begins with, and the words behind them."""
        index = 0
        while index < len(args):
            word = args[index]
            if word == "--":
                return list(args[:index]), list(args[index + 1 :])
            if not word.startswith("-") or word == "-":
                break
            option = self._wanting(ctx, word)
            index += 1 if option is None else 2
            if index > len(args) and option is not None and not ctx.resilient_parsing:
                name = option.opts[0]
                raise click.BadOptionUsage(name, f"Option {word!r} requires an argument.", ctx)
        return list(args[:index]), list(args[index:])

    def _wanting(self, ctx: click.Context, word: str) -> click.Option | None:
        """The option in `word` whose value is the word behind it. Unknown ones are left to click."""
        options = {
            name: param
            for param in self.get_params(ctx)
            if isinstance(param, click.Option)
            for name in param.opts
        }
        if word.startswith("--"):
            return None if "=" in word else _valued(options.get(word))
        for index, letter in enumerate(word[1:], 2):
            option = options.get(f"-{letter}")
            if option is None:
                return None
            if _valued(option):
                return option if index == len(word) else None
        return None


def _valued(option: click.Option | None) -> click.Option | None:
    """The option, if it takes a value."""
    return None if option is None or option.is_flag or option.count else option
