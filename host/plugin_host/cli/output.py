"""Where a command's words go: results to stdout, complaints to stderr.

Owns the two descriptors. Everything is written at once and unbuffered, so a broken pipe or a full disk
is met where the writing is, not at the end of the interpreter. Invariant: what comes from a plugin
reaches a terminal through `printable`, unless it is the result that was asked for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import sys
import termios
from collections.abc import Callable, Iterator
from typing import Any

from plugin_host.notation import to_json

__all__ = [
    "WriteFailed",
    "complain",
    "complaints_to",
    "draws",
    "hear",
    "is_terminal",
    "needs_ascii",
    "open_standard_descriptors",
    "printable",
    "silence",
    "write",
    "write_json",
]

STDOUT, STDERR = 1, 2

# What editors and build systems call theirs.
_DUMB = ("dumb", "unknown")


class WriteFailed(Exception):
    """Stdout cannot be written to, for another reason than a reader that went away."""


def open_standard_descriptors() -> None:
    """Open those of 0, 1 and 2 that are closed on null, so that nothing else gets their numbers.

    To a stdout that was closed nothing can be written all the same: who asked for a result is told so.
    """
    for fd in (0, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if fd == STDOUT else os.O_RDWR)


def write(text: str) -> None:
    """Write `text` to stdout; raises BrokenPipeError and WriteFailed."""
    try:
        _write(STDOUT, text.encode(_encoding(), "backslashreplace"))
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = "it is closed" if error.errno == errno.EBADF else error.strerror
        raise WriteFailed(f"cannot write to stdout: {reason}") from None


def write_json(value: Any) -> None:
    """Write `value` to stdout as one line of JSON."""
    write(to_json(value, ascii_only=needs_ascii()) + "\n")


def complain(text: str) -> None:
    """Write `text` to stderr. Where nobody can hear it, it is not said."""
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    if _is_raw(STDERR):
        text = text.replace("\n", "\r\n")
    _takers[-1](text.encode(encoding, "backslashreplace"))


def hear(data: bytes) -> None:
    """Write `data` to stderr as it is, and wait for that."""
    with contextlib.suppress(OSError):
        _write(STDERR, data)


@contextlib.contextmanager
def complaints_to(take: Callable[[bytes], None]) -> Iterator[None]:
    """In which `take` gets what is complained of, for stderr."""
    _takers.append(take)
    try:
        yield
    finally:
        _takers.remove(take)


# The last one gets what is complained of.
_takers: list[Callable[[bytes], None]] = [hear]


def needs_ascii() -> bool:
    """Whether stdout cannot take all of Unicode."""
    return "utf" not in _encoding().lower()


def is_terminal(fd: int) -> bool:
    """Whether a person looks at what is written to this descriptor."""
    return os.isatty(fd)


def draws(fd: int) -> bool:
    """Whether that is a terminal that can do more than show one line below the other."""
    return is_terminal(fd) and os.environ.get("TERM", "").lower() not in _DUMB


def silence() -> None:
    """Send what is still to come for stdout nowhere: its reader is gone."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, STDOUT)
    os.close(null)


def printable(text: str, *, lines: bool = False) -> str:
    """`text` with control characters escaped, which a terminal might obey; `lines` keeps line ends."""
    kept = "\n\t" if lines else ""
    return "".join(char if char.isprintable() or char in kept else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return "\ufffd" if "\ud800" <= char <= "\udfff" else ascii(char)[1:-1]


def _is_raw(fd: int) -> bool:
    """Whether this is a terminal that passes on line ends as they are, as programs set it."""
    try:
        return not termios.tcgetattr(fd)[1] & termios.OPOST
    except termios.error:
        return False


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # another process has made the shared descriptor non-blocking
            select.select((), (fd,), ())
