"""The words of a line as bash passes them on to who completes one.

For bash `=` and `:` stand between words: `--connect=HOST:1` comes as five. Invariant: what was one word for
the user is one again, and what is offered is the part behind the last of these marks, as bash wants it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from click.shell_completion import BashComplete, CompletionItem, add_completion_class

__all__ = ["joined", "mend"]

_MARKS = "=:"


def mend() -> None:
    """Have bash's words read so, in this process."""
    add_completion_class(_Bash)


class _Bash(BashComplete):
    _before = ""  # what bash has already of the word that is completed

    def get_completion_args(self) -> tuple[list[str], str]:
        words, before, incomplete = joined(*super().get_completion_args())
        is_option = before.startswith("--")
        self._before = before.partition("=")[2] if is_option else before
        return words, before + incomplete

    def format_completion(self, item: CompletionItem[Any]) -> str:
        item.value = item.value.removeprefix(self._before)
        return super().format_completion(item)


def joined(words: Sequence[str], incomplete: str) -> tuple[list[str], str, str]:
    """The words before the one that is completed, and of that one what bash has apart, and the rest."""
    whole: list[str] = []
    goes_on = False
    for word in words:
        is_mark = _is_mark(word)
        if whole and (is_mark or goes_on):
            whole[-1] += word
        else:
            whole.append(word)
        goes_on = is_mark
    if whole and _is_mark(incomplete):
        return whole[:-1], whole[-1] + incomplete, ""
    if whole and goes_on:
        return whole[:-1], whole[-1], incomplete
    return whole, "", incomplete


def _is_mark(word: str) -> bool:
    return word != "" and not word.strip(_MARKS)
