"""The end of a process that an author's handler has forked, and that came back from the handler.

It has neither the wire nor any other thread, so it can serve nothing. Left alone it would wait for ever,
and on the event loop it would take from the parent what wakes that. Invariant: `end_child` never returns.
"""

from __future__ import annotations

import os
import sys

from plugin_host_sdk.wire import unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["end_child"]


def end_child(answer: bytes) -> NoReturn:
    """End as a program does: `answer` is what the handler's end would have been for the host."""
    status = 1
    try:
        status = _status_of(unpack(answer)[2])
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    finally:
        os._exit(status)


def _status_of(error: Any) -> int:
    """The exit status. An exception that nobody caught is shown, as there is nobody else to tell."""
    if not isinstance(error, dict):
        return 0
    data = error.get("data")
    about = data if isinstance(data, dict) else {}
    text = str(about.get("message", error["message"]))
    if about.get("type") == "SystemExit":
        if text in ("", "None"):
            return 0
        if text.isdecimal():
            return int(text) & 0xFF
        print(text, file=sys.stderr)
    else:
        print(about.get("traceback", text), file=sys.stderr)
    return 1
