"""The parameters of a call, as a person writes them.

    key=value ...     named; each value is text, for the plugin to convert to the handler's type
    key:=JSON ...     named; each value is JSON; both kinds may be mixed
    {...} or [...]    all of them as one JSON map, or as a list for peers that take positions
    @file  or  -      such JSON from a file, or from stdin

Values in JSON may use the notation for what JSON lacks. Wrong ones raise click.UsageError.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import click

from plugin_host.notation import BadNotation, from_json

from . import output

__all__ = ["Parameters", "contents", "parse", "parse_value"]

# No call takes so much text: a message has 16 MiB at most, and JSON six characters for some of its bytes.
_MOST_BYTES = 128 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_FORMS = "expected key=value, key:=JSON, one JSON map or list, @file, or - for stdin"


@dataclass(frozen=True, slots=True)
class Parameters:
    """`value` is a map or a list, or None when nothing was given; `is_text` that it holds plain text."""

    value: Any = None
    is_text: bool = False

    def check(self, plugin: str, *, is_raw: bool) -> None:
        """Raises click.UsageError when a plugin of this kind does not take such parameters."""
        if is_raw and isinstance(self.value, dict):
            raise click.UsageError(
                f"plugin `{plugin}` speaks plain msgpack-RPC and takes no named parameters: "
                "pass a JSON list, such as '[\"a\", 1]'"
            )
        if not is_raw and isinstance(self.value, list):
            raise click.UsageError(
                f"plugin `{plugin}` takes named parameters: pass key=value or a JSON map, not a list"
            )


def parse(words: Sequence[str]) -> Parameters:
    """The parameters that the words after the command's name stand for."""
    if not words:
        return Parameters()
    if len(words) == 1 and (source := _document(words[0])) is not None:
        name, text = source
        return Parameters(_map_or_list(name, text))
    named: dict[str, Any] = {}
    is_text = False
    for word in words:
        key, value, is_json = _pair(word)
        if key in named:
            raise click.UsageError(f"parameter {_shown(key)} is given twice")
        name = f"parameter {_shown(key)}"
        named[key] = _json(name, value) if is_json else _text(name, value)
        is_text = is_text or not is_json
    return Parameters(named, is_text)


def parse_value(name: str, word: str) -> Any:
    """One value: text as it is, or JSON behind `:=`. Raises click.UsageError, which names `name`."""
    if word.startswith(":="):
        return _json(name, word.removeprefix(":="))
    return _text(name, word)


def contents(word: str) -> tuple[str, bytes] | None:
    """The name of what `@file` or `-` stands for and what is in it; None when the word is of another form.

    Raises click.UsageError.
    """
    if word == "-":
        return "stdin", _all(sys.stdin.buffer, "stdin") if sys.stdin else b""
    if word.startswith("@"):
        return _shown(word), _in_file(word[1:])
    return None


def _document(word: str) -> tuple[str, str] | None:
    """Where a JSON document comes from and its text; None when the word is of another form."""
    found = contents(word)
    if found is None and word.lstrip().startswith(("{", "[")):
        found = "parameters", os.fsencode(word)
    return None if found is None else (found[0], _decoded(*found))


def _in_file(path: str) -> bytes:
    if not path:
        raise click.UsageError(f"no file after @: {_FORMS}")
    try:
        with open(path, "rb") as file:
            return _all(file, f"@{_shown(path)}")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise click.UsageError(f"@{_shown(path)}: {reason}") from None


def _all(file: BinaryIO, name: str) -> bytes:
    """What is in it. Raises click.UsageError for what may have no end."""
    data = bytearray()
    while piece := file.read(_PIECE_BYTES):
        data += piece
        if len(data) > _MOST_BYTES:
            text = f"expected at most {_MOST_BYTES >> 20} MiB, which is more than a call takes"
            raise click.UsageError(f"{name}: {text}")
    return bytes(data)


def _decoded(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = f"{name}: expected UTF-8 text, found byte 0x{data[error.start]:02x} at offset {error.start}"
        raise click.UsageError(text) from None


def _map_or_list(name: str, text: str) -> Any:
    if not text.strip():
        raise click.UsageError(f"{name}: expected a JSON map or list, found nothing")
    value = _json(name, text)
    if not isinstance(value, (dict, list)):
        raise click.UsageError(f"{name}: expected a JSON map or list, found {_shown(text.strip())}")
    return value


def _json(name: str, text: str) -> Any:
    try:
        return from_json(text)
    except BadNotation as error:
        raise click.UsageError(f"{name}: {error}") from None


def _text(name: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        encoded = base64.b64encode(os.fsencode(text)).decode()
        hint = f'a command that takes bytes gets them by :={{"$bytes": "{encoded}"}}'
        raise click.UsageError(f"{name}: expected UTF-8 text, found other bytes; {hint}") from None
    return text


def _pair(word: str) -> tuple[str, str, bool]:
    key, equals, value = word.partition("=")
    is_json = key.endswith(":")
    key = key.removesuffix(":")
    if _document_like(word):
        raise click.UsageError(f"{_shown(word)} must stand alone: {_FORMS}")
    if not equals or not key:
        raise click.UsageError(f"{_shown(word)} is no parameter: {_FORMS}")
    return key, value, is_json


def _document_like(word: str) -> bool:
    return word == "-" or word.lstrip().startswith(("{", "[", "@"))


def _shown(word: str) -> str:
    text = output.printable(word)
    return text if len(text) <= 60 else f"{text[:59]}…"
