"""The end of a process that an author's handler has forked, and that came back from the handler.

It has neither the wire nor any other thread, so it can serve nothing. Left alone it would wait for ever,
and on the event loop it would take from the parent what wakes that. Invariant: it ends as a program does,
with the status of `sys.exit()`, or with 1 and a traceback, and runs nothing of what is the parent's to do.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, NoReturn

__all__ = ["ParentOnly", "end_child"]


class ParentOnly:
    """`with ParentOnly():` around a handler: only the process that went in comes out."""

    __slots__ = ("_pid",)

    def __enter__(self) -> None:
        self._pid = os.getpid()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.getpid() == self._pid:
            return
        if error is None:
            _leave(0, "")
        import traceback

        code = error.code if isinstance(error, SystemExit) else None
        text = str(code or "") if isinstance(error, SystemExit) else traceback.format_exc()
        _leave(*_status(type(error).__name__, text, text))


def end_child(error: Any) -> NoReturn:
    """End a child whose handler has ended with what became this error of an answer, or none."""
    if not isinstance(error, dict):
        _leave(0, "")
    data = error.get("data")
    about = data if isinstance(data, dict) else {}
    text = str(about.get("message", error.get("message")))
    _leave(*_status(str(about.get("type")), text, str(about.get("traceback", text))))


def _status(kind: str, text: str, trace: str) -> tuple[int, str]:
    """The exit status, and what is to be said beside it."""
    if kind != "SystemExit":
        return 1, trace
    if text in ("", "None"):
        return 0, ""
    return (int(text) & 0xFF, "") if text.isdecimal() else (1, text)


def _leave(status: int, text: str) -> NoReturn:
    try:
        if text:
            print(text, file=sys.stderr)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    finally:
        os._exit(status)
