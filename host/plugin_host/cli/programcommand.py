"""A command whose last words are another program's: `[OPTIONS] FIRST [OPTIONS] [--] [WORD...]`.

Owns the order of words, not what they mean. Options stand before or right after the first word; the next
other word, or `--`, begins what is the program's own, and nothing behind it is looked at. Invariant: click
is given the words as `OPTIONS -- FIRST WORD...`, an order that it cannot misread.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from .failure import ProgramUsageError

__all__ = ["ProgramCommand"]


class ProgramCommand(click.Command):
    """Its usage errors end with the status of own failures: the program's statuses are passed on."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, self._ordered(ctx, args))
        except click.NoSuchOption as error:
            hint = "what is its own stands behind -- or its first word"
            raise ProgramUsageError(
                f"{error.format_message()} If it is for COMMAND: {hint}.", ctx
            ) from None
        except click.UsageError as error:
            raise ProgramUsageError(error.format_message(), ctx) from None

    def _ordered(self, ctx: click.Context, args: Sequence[str]) -> list[str]:
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
