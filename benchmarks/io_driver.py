"""This project's raw descriptors under measurement: a host, its control socket, and a client of it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from plugin_host.control import ControlServer, connect, open_descriptors
from plugin_host.localsocket import LocalSocket

from .io_transfer import transfer
from .session_host import PLUGIN, open_host

if TYPE_CHECKING:
    from plugin_host.control import ControlClient

__all__ = ["IoDriver", "driver"]


@asynccontextmanager
async def _open() -> AsyncIterator[ControlClient]:
    with tempfile.TemporaryDirectory(prefix="ph-") as folder:
        path = f"{folder}/control.sock"
        async with (
            open_host() as host,
            ControlServer(host, LocalSocket(path=path)),
            await connect(path) as one,
        ):
            yield one


class IoDriver:
    """One host for all measurements; its loop runs while something is measured."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._open = _open()
        self._client = self._runner.run(self._open.__aenter__())

    def measure(self, verb: str, seconds: float) -> dict[str, float]:
        return self._runner.run(self._measure(seconds))

    async def _measure(self, seconds: float) -> dict[str, float]:
        session = await self._client.exec(PLUGIN, ["cat"], tty=False)
        ticket = await self._client.open_io(session, ["stdin", "stdout"])
        fds = await asyncio.to_thread(open_descriptors, ticket.socket, ticket.token, count=2)
        figures = await asyncio.to_thread(transfer, fds, seconds)
        await session.wait()
        await session.close()
        return figures

    def close(self) -> None:
        self._runner.run(self._open.__aexit__(None, None, None))
        self._runner.close()


def driver() -> IoDriver:
    return IoDriver()
