"""Reads a file that a person wrote and makes a type of it, or says plainly why not.

Owns the safe reading of one small text file (bounded, never blocking on a pipe, UTF-8 without a byte
order mark) and the conversion of parsed data to a msgspec type. Which syntax the text has, and what
the type means, belong to its callers. Invariant: every refusal is raised as the caller's error class
and names the file and, when there is one, the place inside it.
"""

from __future__ import annotations

import os
import stat
from typing import Any, TypeVar

import msgspec

from .errors import ConfigurationError, ManifestError
from .wording import shown

__all__ = ["MAX_BYTES", "Blame", "convert", "place", "read", "text"]

MAX_BYTES = 1024 * 1024
"""The largest manifest or configuration file: 1 MiB, hundreds of times what a large one needs."""

Blame = type[ManifestError] | type[ConfigurationError]
"""The class of the errors raised, which is the caller's."""

Kind = TypeVar("Kind")

_MARKS = {
    b"\xef\xbb\xbf": "a UTF-8 byte order mark",
    b"\xff\xfe": "a UTF-16 byte order mark",
    b"\xfe\xff": "a UTF-16 byte order mark",
}


def read(file: str | os.PathLike[str], blame: Blame) -> bytes:
    """The bytes of `file`; raises `blame` unless it is a regular, readable, small file."""
    name = shown(os.fspath(file))
    try:
        return _read_bytes(file)
    except (OSError, ValueError) as error:
        raise blame(f"{name}: {_refusal(error)}", file=name) from None


def text(data: bytes, *, file: str, blame: Blame) -> str:
    """`data` as text; raises `blame` unless it is small, and UTF-8 without a byte order mark."""
    if len(data) > MAX_BYTES:
        words = f"expected at most {MAX_BYTES} bytes (1 MiB), found more"
        raise blame(f"{file}: {words}", file=file)
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            words = f"expected UTF-8 text, found {name}; save it as UTF-8 without one"
            raise blame(f"{file}: {words}", file=file)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        found = f"byte 0x{data[error.start]:02x} at {place(data, error.start)}"
        raise blame(f"{file}: expected UTF-8 text, found {found}", file=file) from None


def convert(document: Any, kind: type[Kind], *, file: str, blame: Blame) -> Kind:
    """`document`, parsed data of builtins, as a `kind`; raises `blame` that says where it is wrong."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        from .explanation import explain  # heavy, and needed for a broken document only

        path, words = explain(error, document, kind)
        raise blame(f"{file}: {path}: {words}", file=file, path=path) from None
    except RecursionError:
        raise blame(f"{file}: $: nested too deeply", file=file, path="$") from None


def place(data: bytes, offset: int) -> str:
    """`line L, column C` of a byte offset, both from 1, the column counted in characters."""
    before = data[:offset]
    line_start = before.rfind(b"\n") + 1
    column = len(before[line_start:].decode("utf-8", "replace")) + 1
    return f"line {before.count(10) + 1}, column {column}"


def _read_bytes(file: str | os.PathLike[str]) -> bytes:
    """At most `MAX_BYTES` + 1 bytes; opened without waiting, as a pipe may lie under the name."""
    if "\0" in os.fspath(file):
        raise ValueError("expected a path without NUL characters")
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
            raise ValueError(f"expected a file, found {kind}")
        chunks: list[bytes] = []
        left = MAX_BYTES + 1
        while left and (chunk := os.read(descriptor, left)):
            chunks.append(chunk)
            left -= len(chunk)
        return b"".join(chunks)
    finally:
        os.close(descriptor)


def _refusal(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "expected a file, found nothing there"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    return str(error)
