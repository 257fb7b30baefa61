"""The keys by which a user leaves a session that goes on: how they are written, and found among others.

Pure. Invariant: every byte that is not of the whole sequence comes out again, in order; a sequence that is
half typed waits for the next key.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["DEFAULT", "BadKeys", "DetachKeys", "Leaving", "WatchedKeys", "parse_keys"]

DEFAULT = "ctrl-p,ctrl-q"

_CONTROL = "ctrl-"
_SYMBOLS = "@[\\]^_"


class BadKeys(ValueError):
    """No way to write keys."""


def parse_keys(text: str) -> bytes:
    """The bytes of keys in docker's notation, `ctrl-p,ctrl-q` or `x,y`; empty for none. Raises BadKeys."""
    return b"".join(map(_key, text.split(","))) if text else b""


def _key(word: str) -> bytes:
    if len(word) == 1 and word.isascii() and word.isprintable():
        return word.encode()
    letter = word[len(_CONTROL) :].lower() if word.lower().startswith(_CONTROL) else ""
    if len(letter) == 1 and letter.isascii() and (letter.isalpha() or letter in _SYMBOLS):
        return bytes([ord(letter.upper()) & 0x1F])
    symbols = " ".join(_SYMBOLS)
    raise BadKeys(
        f"{word!r} is no key: expected one character, or ctrl- and a letter or one of {symbols}; "
        "several with commas between them"
    )


class Leaving(Protocol):
    """Says when the user leaves."""

    def feed(self, data: bytes) -> tuple[bytes, bool]: ...


class DetachKeys:
    """Looks for `sequence` in what is typed; an empty one is never found."""

    def __init__(self, sequence: bytes) -> None:
        self._sequence = sequence
        self._matched = 0  # so many of its bytes are held back

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What is for the session, and whether the sequence is complete; what follows it is dropped."""
        sequence = self._sequence
        if not sequence:
            return data, False
        passed = bytearray()
        for byte in data:
            typed = sequence[: self._matched] + bytes((byte,))
            held = _overlap(typed, sequence)
            passed += typed[: len(typed) - held]
            if held == len(sequence):
                self._matched = 0
                return bytes(passed), True
            self._matched = held
        return bytes(passed), False


class WatchedKeys:
    """Looks for any of several sequences where nothing is typed: nothing comes out."""

    def __init__(self, *sequences: bytes) -> None:
        self._each = [DetachKeys(one) for one in sequences]

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """As of DetachKeys."""
        found = [one.feed(data)[1] for one in self._each]
        return b"", any(found)


def _overlap(typed: bytes, sequence: bytes) -> int:
    """How much of the sequence's beginning stands at the end of what was typed."""
    return next(
        size for size in range(len(typed), -1, -1) if sequence.startswith(typed[len(typed) - size :])
    )
