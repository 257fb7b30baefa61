"""This project's sessions under measurement."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .session_host import open_host
from .session_keystroke import keys
from .session_rate import flow_in, flow_out, flow_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from plugin_host import PluginHost

    Measurement = Callable[[PluginHost, float], Coroutine[Any, Any, dict[str, float]]]

__all__ = ["SessionDriver", "driver"]

_MEASUREMENTS: dict[str, Measurement] = {
    "pipe_out": flow_out,
    "pipe_in": flow_in,
    "terminal": flow_terminal,
    "keystroke": keys,
}


class SessionDriver:
    """One host and one plugin for all measurements; the loop runs only while something is measured."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._open = open_host()
        self._host = self._runner.run(self._open.__aenter__())

    def measure(self, verb: str, seconds: float) -> dict[str, float]:
        return self._runner.run(_MEASUREMENTS[verb](self._host, seconds))

    def close(self) -> None:
        self._runner.run(self._open.__aexit__(None, None, None))
        self._runner.close()


def driver() -> SessionDriver:
    return SessionDriver()
