"""How a user names a signal: `TERM`, `SIGTERM`, `15`. Pure."""

from __future__ import annotations

import re
import signal

from plugin_host.wording import suggestion

__all__ = ["BadSignal", "signal_name"]

_REAL_TIME = re.compile(r"SIGRTMIN(\+\d{1,2})?\Z")


class BadSignal(ValueError):
    """No name of a signal."""


def signal_name(text: str) -> str:
    """The name with SIG in front. Raises BadSignal."""
    known = signal.Signals.__members__
    if text.isascii() and text.isdecimal():
        found = [name for name, one in known.items() if int(one) == int(text)]
        if found:
            return found[0]
        raise BadSignal(f"no signal has the number {text}")
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    if name not in known and not _REAL_TIME.match(name):
        raise BadSignal(f"{text!r} is no signal{suggestion(name, known)}")
    return name
