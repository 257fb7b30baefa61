"""This project: `plugin_host.sync.PluginHost`, and the benchmark plugin in its process."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from plugin_host.sync import PluginHost

from .blocking_driver import BlockingDriver
from .workload import IN_FLIGHT

__all__ = ["driver"]

_ID = "benchmark"
_FOLDER = Path(__file__).with_name("plugin")


class _Blocking:
    """The host with its plugin started."""

    def __init__(self) -> None:
        self._host = PluginHost(plugin_dirs=[_FOLDER], entry_points=False, only=[_ID])
        self._host.__enter__()
        plugin = self._host.plugins[_ID]
        if plugin.error is not None:
            self._host.close()
            raise plugin.error
        assert plugin.pid is not None
        self.pid = plugin.pid
        self._pool = ThreadPoolExecutor(IN_FLIGHT)  # a call that goes on needs a thread to wait for it

    def call(self, payload: bytes) -> Any:
        return self._host.call(_ID, "echo", {"payload": payload})

    def call_many(self, many: list[dict[str, bytes]]) -> list[Any]:
        return self._host.call_many(_ID, "echo", many)

    def submit(self, payload: bytes) -> Future[Any]:
        return self._pool.submit(self.call, payload)

    def wait(self, ticket: Future[Any]) -> Any:
        return ticket.result()

    def close(self) -> None:
        self._pool.shutdown()
        self._host.close()


def driver() -> BlockingDriver:
    return BlockingDriver(_Blocking)
