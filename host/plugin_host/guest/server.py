"""The HTTP server for guests, in the loop of the host.

Owns the listening socket and which guest is served for which address. Invariants: on a port, only loopback
addresses are listened at unless told otherwise; after `close` nothing of it is left, and every task that
had no result is lost with a reason.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from plugin_host.errors import ConfigurationError
from plugin_host.localsocket import LocalSocket, check_group, listen, unlink_own
from plugin_host.undertaking import to_the_end

from .application import Application
from .credential import check_token
from .guest import Guest
from .origin import objection
from .source import Sources, is_loopback
from .times import GuestTimes
from .wire import Wire

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType

    from starlette.requests import HTTPConnection

    from plugin_host.task.task import Task

__all__ = ["GuestServer"]

_SETTING = "`path`"


class GuestServer:
    """Serves the guest of `task` at the unix socket `path`, or at `host` and `port`, 0 for any free one.

    Without `task` the guests are told apart by their addresses: see `assign`. `mode` and `group` say who
    may connect to a unix socket. `names` are those that guests may use for this machine, besides its
    addresses; `origins` those whose web pages may ask, none by default. Raises ValueError for an address
    that other machines can reach, unless `loopback_only` is False. With a `token` only requests that show
    it are served: at a port, every program that can reach it would be the guest otherwise.

    An async context manager; or `start` and `close`.
    """

    def __init__(
        self,
        task: Task | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
        host: str | None = None,
        port: int = 0,
        mode: int = 0o600,
        group: str | int | None = None,
        loopback_only: bool = True,
        names: Collection[str] = (),
        origins: Collection[str] = (),
        token: str | None = None,
        times: GuestTimes | None = None,
    ) -> None:
        if path is not None and host is not None:
            raise ValueError("a server for guests has a path or a host, not both")
        if path is not None and task is None:
            raise ValueError("at a unix socket there is one guest: name its task")
        self.path = None if path is None else os.fspath(path)
        self._host = "127.0.0.1" if host is None else host
        if self.path is None and loopback_only and not is_loopback(self._host):
            raise ValueError(f"{self._host!r} is no loopback address: who can reach it can be a guest")
        self.port = port
        self._place = LocalSocket.configured(self.path or "", mode, group, setting=_SETTING)
        self._names, self._origins = frozenset(names), frozenset(origins)
        self._token = check_token(token)
        self._times = times or GuestTimes()
        self._listening: socket.socket | None = None
        self._wire: Wire | None = None
        self._sources: Sources[Guest] = Sources()
        self._task = task
        self._only: Guest | None = None
        self._guests: set[Guest] = set()

    def __repr__(self) -> str:
        return f"<GuestServer {self.path or self.url} guests={len(self._guests)}>"

    @property
    def url(self) -> str:
        """Where guests ask, without the route; at a unix socket the name does not count."""
        if self.path is not None:
            return "http://localhost"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    def assign(self, network: str, task: Task | None, *, token: str | None = None) -> None:
        """Who asks from `network`, an address or "10.0.3.0/24", works on `task`; None is told 404.

        `token` is that guest's own, in place of the server's. Every other address is told 403. Raises
        ValueError, also for a network that has a task, and ResourceConflict.
        """
        own = check_token(token) or self._token
        if self._task is not None:
            raise ValueError("this server is that of one guest, wherever it asks from")
        if self._sources.has(network):
            raise ValueError(f"{network} is another guest's; withdraw that first")
        guest = None if task is None else Guest(task, self._times, own)
        self._sources.assign(network, guest)
        if guest is not None:
            self._guests.add(guest)

    async def withdraw(self, network: str, reason: str = "the guest is gone") -> None:
        """The guest of `network` is gone: its task, unless it has ended, is lost for `reason`."""
        guest = self._sources.withdraw(network)
        if guest is not None:
            self._guests.discard(guest)
            await guest.lose(reason)

    async def start(self) -> None:
        """Listen, and take the task.

        Raises SocketError for a path, ConfigurationError for an address that is taken, and ResourceConflict
        for a task that has a worker or is over.
        """
        await asyncio.to_thread(check_group, self._place)
        self._listening = self._listen()
        if self._task is not None:
            try:
                self._only = Guest(self._task, self._times, self._token)
            except BaseException:
                unlink_own(self._listening)
                self._listening.close()
                raise
            self._guests.add(self._only)
        self._wire = Wire(Application(self._find, self._object_to), self._listening, self._times)
        await self._wire.start()

    def _listen(self) -> socket.socket:
        if self.path is not None:
            return listen(self._place)
        try:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            listening = socket.create_server((self._host, self.port), family=family, backlog=128)
        except OSError as error:
            where = f"{self._host} port {self.port}"
            reason = error.strerror or str(error)
            raise ConfigurationError(f"guests cannot be served on {where}: {reason}") from None
        listening.setblocking(False)
        self.port = listening.getsockname()[1]
        return listening

    def _find(self, address: str) -> Guest | None:
        return self._only if self._task is not None else self._sources.find(address)

    def _object_to(self, connection: HTTPConnection) -> str:
        names = self._names if self.path is None else None
        return objection(connection.headers, origins=self._origins, names=names)

    async def close(self, reason: str = "the server for its guest was closed") -> None:
        """Serve no more. Tasks that have no result are lost for `reason`. A second call does nothing.

        Who is cancelled meanwhile learns of it when all of that is done.
        """
        await to_the_end(self._close(reason))

    async def _close(self, reason: str) -> None:
        guests, self._guests = self._guests, set()
        for guest in guests:
            await guest.lose(reason)
        wire, self._wire = self._wire, None
        if wire is not None and self._listening is not None:
            unlink_own(self._listening)
            await wire.close()  # and with it the socket

    async def __aenter__(self) -> GuestServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
