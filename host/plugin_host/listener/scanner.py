"""Finds where a JSON object ends in text that comes in pieces, and the first character that is wrong.

A table of states over tokens; pure. Invariants: every character is looked at once, however the text is
cut; an error is found at the character that makes it one, also when the object is far from complete.
"""

from __future__ import annotations

import re

__all__ = ["DEEPEST", "Malformed", "Scanner"]

DEEPEST = 100
"""Levels of maps and lists inside each other."""

_BLANKS = re.compile(r"[ \t\n\r]*")
_UNQUOTED = re.compile(r'[^"\\\x00-\x1f]*')
_NUMERAL = re.compile(r"[-+.0-9eE]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
# Whole items or fields with plain values and their commas, many at once: what follows is the same table
# as below, for what is long. Possessive throughout, so a mismatch costs no second look.
_QUOTED = r'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
_SCALAR = rf"(?:{_QUOTED}|{_NUMBER.pattern}|true|false|null)"
_B = r"[ \t\n\r]*+"
_ITEMS = re.compile(rf"(?:{_B}{_SCALAR}{_B},)++")
_FIELDS = re.compile(rf"(?:{_B}{_QUOTED}{_B}:{_B}{_SCALAR}{_B},)++")
_HEX = frozenset("0123456789abcdefABCDEF")

_ANY_VALUE = {
    "{": "map",
    "[": "list",
    '"': "text",
    **dict.fromkeys("-0123456789", "number"),
    **dict.fromkeys("tfn", "literal"),
}
# What may come between tokens: state -> first character -> what it begins or is.
_MOVES: dict[str, dict[str, str]] = {
    "top": {"{": "map", "n": "literal"},
    "value": _ANY_VALUE,
    "first name": {'"': "name", "}": "end"},
    "name": {'"': "name"},
    "colon": {":": "value"},
    "after field": {",": "name", "}": "end"},
    "first item": {**_ANY_VALUE, "]": "end"},
    "after item": {",": "value", "]": "end"},
}
_WORDS = {
    "top": "a JSON object",
    "value": "a value",
    "first name": 'a name in double quotes or "}"',
    "name": "a name in double quotes",
    "colon": '":"',
    "after field": '"," or "}"',
    "first item": 'a value or "]"',
    "after item": '"," or "]"',
}
_LITERALS = {"t": "true", "f": "false", "n": "null"}
_BULK = {
    "first item": (_ITEMS, "value"),
    "value": (_ITEMS, "value"),
    "first name": (_FIELDS, "name"),
    "name": (_FIELDS, "name"),
}
_AFTER = {"map": "after field", "list": "after item"}


class Malformed(ValueError):
    """Text that is not the beginning of a JSON object; `position` counts characters from its start."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.position = position


class Scanner:
    """One object, or `null`, which stands for an empty one."""

    def __init__(self) -> None:
        self._state = "top"
        self._open: list[str] = []  # the maps and lists around the place where we are
        self._before = 0  # characters of earlier pieces
        self._token = ""  # the kind of token that is being read
        self._is_name = False
        self._escape = ""  # what has come of an escape sequence
        self._numeral: list[str] = []
        self._missing = ""  # of a literal
        self._is_complete = False

    @property
    def is_begun(self) -> bool:
        """Whether anything but blanks has come."""
        return self._state != "top" or bool(self._token)

    def feed(self, text: str) -> int | None:
        """How much of `text` belongs to the object, when it ends there; else None. Raises Malformed."""
        at = 0
        while at < len(text):
            at = self._inside(text, at) if self._token else self._between(text, at)
            if self._is_complete:
                return at
        self._before += len(text)
        return None

    def _between(self, text: str, at: int) -> int:
        if self._state in _BULK:
            at = self._in_bulk(text, at)
        blanks = _BLANKS.match(text, at)
        assert blanks is not None
        at = blanks.end()
        if at == len(text):
            return at
        char = text[at]
        move = _MOVES[self._state].get(char)
        if move is None:
            raise self._wrong(_WORDS[self._state], char, at)
        if move in _AFTER:
            if len(self._open) == DEEPEST:
                raise Malformed(f"nested more than {DEEPEST} levels deep", self._before + at)
            self._open.append(move)
            self._state = "first name" if move == "map" else "first item"
        elif move == "end":
            self._open.pop()
            self._after_value()
        elif move in ("text", "name") and char == '"':
            self._token, self._is_name = "text", move == "name"
        elif move == "literal":
            self._token, self._missing = "literal", _LITERALS[char][1:]
        elif move == "number":
            self._token = "number"
            return at
        else:
            self._state = move
        return at + 1

    def _in_bulk(self, text: str, at: int) -> int:
        pattern, state = _BULK[self._state]
        if state == "value" and self._open[-1] == "map":  # the value of one field
            return at
        found = pattern.match(text, at)
        if found is None:
            return at
        self._state = state
        return found.end()

    def _inside(self, text: str, at: int) -> int:
        if self._token == "text":
            return self._in_text(text, at)
        if self._token == "number":
            return self._in_number(text, at)
        if text[at] != self._missing[0]:
            raise self._wrong("true, false or null", text[at], at)
        self._missing = self._missing[1:]
        if not self._missing:
            self._after_value()
        return at + 1

    def _in_text(self, text: str, at: int) -> int:
        if self._escape:
            return self._in_escape(text, at)
        unquoted = _UNQUOTED.match(text, at)
        assert unquoted is not None
        at = unquoted.end()
        if at == len(text):
            return at
        if text[at] == "\\":
            self._escape = "\\"
        elif text[at] == '"':
            if self._is_name:
                self._token, self._state = "", "colon"
            else:
                self._after_value()
        else:
            raise self._wrong("control characters in text to be escaped", text[at], at)
        return at + 1

    def _in_escape(self, text: str, at: int) -> int:
        char = text[at]
        if self._escape == "\\":
            if char not in '"\\/bfnrtu':
                raise self._wrong("an escape sequence of JSON", f"\\{char}", at)
            self._escape = "\\u" if char == "u" else ""
        else:
            if char not in _HEX:
                raise self._wrong("four hexadecimal digits", char, at)
            self._escape = "" if len(self._escape) == 5 else self._escape + char
        return at + 1

    def _in_number(self, text: str, at: int) -> int:
        numeral = _NUMERAL.match(text, at)
        assert numeral is not None
        self._numeral.append(numeral[0])
        at = numeral.end()
        if at < len(text):
            number = "".join(self._numeral)
            self._numeral.clear()
            if not _NUMBER.fullmatch(number):
                raise self._wrong("a number", number, at - len(number))
            self._after_value()
        return at

    def _after_value(self) -> None:
        self._token = ""
        self._is_complete = not self._open
        if self._open:
            self._state = _AFTER[self._open[-1]]

    def _wrong(self, expected: str, found: str, at: int) -> Malformed:
        shown = found if len(found) <= 20 else f"{found[:19]}…"
        return Malformed(f"expected {expected}, found {shown!a}", self._before + at)
