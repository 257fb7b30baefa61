"""A runtime for a manager that has none: handlers get a context that knows no host."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from plugin_host_sdk.context import Context
from plugin_host_sdk.errors import CallFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any

    from plugin_host_sdk.errors import CallError
    from plugin_host_sdk.later import Listener
    from plugin_host_sdk.sink import Sink

__all__ = ["Solitude"]


class Solitude:
    """What `endpoint.Runtime` and a context need, as far as that goes without a host."""

    plugin_id = "alone"

    def __init__(self, sink: Sink, logger: Callable[[str, str], None]) -> None:
        self.sink = sink
        self.settings: Mapping[str, Any] = {}
        self.capabilities: Mapping[str, Any] = {}
        self._logger = logger

    def context(self, name: str) -> Context:
        return Context(self, name)

    def step_aside(self) -> None:
        pass  # no thread reads

    def run_async(self, make: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
        """Each coroutine has a thread and a loop of its own; it cannot be cancelled."""
        import asyncio

        threading.Thread(target=lambda: asyncio.run(make()), name="coroutine", daemon=True).start()
        return lambda: None

    def adopt(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def log(self, level: str, logger: str, message: str, fields: Mapping[str, Any]) -> None:
        self._logger(level, message)

    def progress(self, msgid: int, done: float, total: float | None, message: str) -> None:
        pass  # there is nobody who asked

    def call_host(self, ctx: Context, method: str, params: dict[str, Any]) -> Any:
        raise CallFailed(f"{method}: there is no host", name="command.connection")

    def start_call(
        self, ctx: Context, method: str, params: dict[str, Any], answered: Listener
    ) -> Callable[[CallError], None]:
        raise CallFailed(f"{method}: there is no host", name="command.connection")
