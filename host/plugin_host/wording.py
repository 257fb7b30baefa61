"""The words error messages share: how a path, a found value and a near match are written.

Owns formatting alone; it decides nothing and reads nothing. Invariant: whatever goes in, what comes
out is one printable line of bounded length, safe to write to a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["found", "kind_of", "near", "path_of", "shown", "suggestion", "type_of"]

FOUND_LENGTH = 60
"""A found value longer than this is cut: enough to recognise it, short enough for one line."""

FOUND_BITS = 256
"""A found number of more bits is not written: its digits would not go on the line."""


_KINDS = {str: "text that is not shown", int: "a whole number", float: "a number"}


def shown(path: object) -> str:
    """A path or name as a person can read it; undecodable and control characters are escaped."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def found(value: Any) -> str:
    """A value of a JSON or TOML document as it would be written there, cut to one short line."""
    if isinstance(value, dict):
        return f"a map with {_keys(value)}" if value else "an empty map"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}" if value else "an empty list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and value.bit_length() > FOUND_BITS:
        return "a whole number of very many digits"  # which Python may refuse to write
    text = _quoted(value) if isinstance(value, str) else str(value)
    return text if len(text) <= FOUND_LENGTH else f"{text[: FOUND_LENGTH - 1]}…"


def kind_of(value: Any) -> str:
    """What stands for a value that is not to be shown, as it may be a secret."""
    if isinstance(value, dict | list | tuple) or value is None or isinstance(value, bool):
        return found(value)
    return _KINDS.get(type(value), "another value")


def type_of(value: Any) -> str:
    """What kind of value it is, for messages in which the value itself may not stand."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true or false"
    return next((words for kind, words in _TYPES if isinstance(value, kind)), type(value).__name__)


_TYPES = (
    (str, "text"),
    (int, "a whole number"),
    (float, "a number"),
    ((list, tuple), "a list"),
    (dict, "a map"),
)


def path_of(steps: Iterable[str | int]) -> str:
    """A place in a document, from its top: `$.launch.argv[0]`."""
    import json  # needed for a refused document only
    import re

    parts = ["$"]
    for step in steps:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif re.fullmatch(r"[\w$-]{1,64}", step):
            parts.append(f".{step}")
        else:
            parts.append(f"[{json.dumps(step[:64])}]")
    return "".join(parts)


def near(name: str, known: Iterable[str]) -> list[str]:
    """The names in `known` that look like `name`, the most alike first, at most three."""
    from difflib import SequenceMatcher, get_close_matches  # only a failing lookup needs it

    name = name[:200].lower()
    alike = get_close_matches(name, sorted(set(known)), n=3, cutoff=0.6)
    ratios = [SequenceMatcher(None, one, name).ratio() for one in alike]
    # Beside a very good match a middling one only distracts.
    return [one for one, ratio in zip(alike, ratios, strict=True) if ratio > ratios[0] - 0.1]


def suggestion(name: str, known: Iterable[str]) -> str:
    """` (did you mean …?)` for the end of a sentence, or nothing when no name is alike."""
    alike = near(name, known)
    if not alike:
        return ""
    return f" (did you mean {' or '.join(f'`{shown(one)}`' for one in alike)}?)"


def _keys(table: dict[Any, Any]) -> str:
    names = [shown(str(key)[:FOUND_LENGTH]) for key in list(table)[:4]]
    return ", ".join(names) + (", …" if len(table) > len(names) else "")


def _quoted(text: str) -> str:
    """Text in double quotes, with what would break a line or a terminal escaped."""
    escaped = "".join(
        char if char.isprintable() and char not in '"\\' else _escape(char) for char in text[:FOUND_LENGTH]
    )
    return f'"{escaped}"' if len(text) <= FOUND_LENGTH else f'"{escaped}…'


def _escape(char: str) -> str:
    known = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return known.get(char) or f"\\u{ord(char):04x}"
