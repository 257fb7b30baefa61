"""A command listener: a local socket whose clients send requests and are answered.

Owns the socket and the connections; what is answered is not its business. Invariants: `start` either
listens or leaves nothing behind; once stopped, the name is gone and no new client is let in, while what is
being handled goes on.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from plugin_host.entrance import Entrance
from plugin_host.localsocket import BoundSocket, listen, rule_of, unlink_own

from .connection import Connection, current_connection
from .limit import Limits
from .reply import Reply, Status, encoded

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.localsocket import LocalSocket

    from .connection import Answer

__all__ = ["CommandServer", "log_note"]

_BACKLOG = 1024
_ACCEPTED_AT_ONCE = 16
_PAUSE_S = 0.2  # after which a process without descriptors tries again

_log = logging.getLogger("plugin_host")
log_note = _log.warning
"""Tells operators something where there is no host to keep it."""


class CommandServer:
    """Answers requests at `place` by `answer(request)`, which runs on the loop of `start`.

    With `debug` clients are sent the tracebacks of handlers that fail. `note(text)` is told what operators
    are to know of.
    """

    def __init__(
        self,
        place: LocalSocket,
        answer: Answer,
        limits: Limits | None = None,
        *,
        debug: bool = False,
        note: Callable[[str], None] = log_note,
    ) -> None:
        self._place = place
        self._answer = answer
        self._limits = limits if limits is not None else Limits()
        self._debug = debug
        self._note = note
        self._is_short = False  # said once, until a client could be let in again
        self._listening: BoundSocket | None = None
        self._entrance: Entrance | None = None
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._stragglers: set[asyncio.Task[Any]] = set()
        self._is_accepting = False

    def __repr__(self) -> str:
        state = "listening" if self.is_listening else "stopped"
        return f"<CommandServer {self._place.path} {state} connections={len(self._connections)}>"

    @property
    def is_listening(self) -> bool:
        return self._listening is not None

    @property
    def path(self) -> str:
        return self._place.path

    def start(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Listen from now on, on the running loop or on one that stands still; once started, nothing.

        Raises SocketError.
        """
        if self._listening is not None:
            return
        self._loop = asyncio.get_running_loop() if loop is None else loop
        self._listening = listen(self._place, _BACKLOG)
        self._entrance = Entrance(self.path, rule_of(self._listening), _refusal, self._note)
        self._resume()
        _log.debug("commands are taken at %s", self._place.path)

    def stop(self) -> None:
        """Let nobody in any more and remove the name. What is being handled goes on to its end."""
        listening = self._listening
        if listening is None:
            return
        self._pause()
        self._listening = None
        unlink_own(listening)
        listening.close()
        if self._entrance is not None:
            self._entrance.close()
        for task, connection in self._connections.items():
            connection.stop()
            if not connection.is_handling and task is not asyncio.current_task(self._loop):
                task.cancel()

    async def aclose(self, grace_s: float | None = None) -> None:
        """Stop, give what is being handled `grace_s` seconds, and cancel the rest.

        A handler that asks for this is not waited for.
        """
        self.stop()
        own = current_connection.get()
        tasks = {task for task, one in self._connections.items() if one is not own}
        if tasks:
            try:
                await asyncio.wait(tasks, timeout=self._limits.close_s if grace_s is None else grace_s)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
        if late := self._stragglers - {asyncio.current_task()}:
            await asyncio.wait(late, timeout=self._limits.close_s)

    # Letting clients in.

    def _resume(self) -> None:
        room = len(self._connections) < self._limits.connections
        if self._listening is not None and not self._is_accepting and room:
            self._is_accepting = True
            self._loop.add_reader(self._listening.fileno(), self._accept)

    def _pause(self) -> None:
        if self._is_accepting and self._listening is not None:
            self._is_accepting = False
            self._loop.remove_reader(self._listening.fileno())

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            if len(self._connections) >= self._limits.connections:
                self._pause()
            if self._listening is None or not self._is_accepting:
                return
            try:
                self._admit(self._listening)
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if not self._is_short:
                    self._note(f"{self.path}: connections wait: {error.strerror}")
                self._is_short = True
                self._pause()
                self._loop.call_later(_PAUSE_S, self._resume)

    def _admit(self, listening: BoundSocket) -> None:
        """Let one client in. May raise OSError."""
        sock, _ = listening.accept()
        self._is_short = False
        sock.setblocking(False)
        peer = None if self._entrance is None else self._entrance.admit(sock)
        if peer is None:
            return
        given = (sock, peer, self._answer, self._limits, self._stragglers)
        connection = Connection(*given, self._note, debug=self._debug)
        task = self._loop.create_task(connection.serve(), name=f"commands of process {peer.pid}")
        self._connections[task] = connection
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        del self._connections[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: a connection failed", self.path, exc_info=error)
        self._resume()


def _refusal(text: str) -> bytes:
    return encoded(Reply(Status.NOT_ADMITTED, text))
