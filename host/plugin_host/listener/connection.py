"""One client's connection: reads its requests, has them answered, writes the replies.

Three times are counted apart: reading, handling, writing; so a client hears of a time-out of the first two.
Requests of one connection are answered in order, one at a time. Invariants: a client that goes away
cancels what was done for it; what it does or does not do touches no other connection.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

from .departure import departure
from .framing import BadRequest, Framing
from .outcome import reply_to
from .reply import Reply, Status, encoded
from .request import Request

if TYPE_CHECKING:
    from plugin_host.peer import Peer

    from .limit import Limits

__all__ = ["Answer", "Connection", "current_connection"]

Answer: TypeAlias = Callable[[Request], Awaitable[Reply]]

# What a client can make the loop scan in one turn is so much.
_READ_BYTES = 2 * 1024
_DRAINED_BYTES = 4 * 1024 * 1024

_log = logging.getLogger("plugin_host")

current_connection: ContextVar[Connection | None] = ContextVar("plugin_host_connection", default=None)
"""The connection for which a handler runs."""


class Connection:
    """Served by one task; `stop` lets it end after the request that is being handled, if there is one."""

    def __init__(
        self,
        sock: socket.socket,
        peer: Peer,
        answer: Answer,
        limits: Limits,
        stragglers: set[asyncio.Task[Any]],
        note: Callable[[str], None],
        *,
        debug: bool = False,
    ) -> None:
        self.is_handling = False
        self._stragglers = stragglers  # handlers that have not ended yet, though their time is over
        self._socket = sock
        self._peer = peer
        self._answer = answer
        self._limits = limits
        self._debug = debug
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._framing = Framing(limits.request_bytes)
        self._has_ended = False  # the client sends nothing more
        self._is_stopped = False

    def stop(self) -> None:
        """Take no more requests."""
        self._is_stopped = True

    async def serve(self) -> None:
        """Until the client has what it came for, or has used up its time. Closes the socket."""
        current_connection.set(self)
        try:
            while await self._exchange():
                pass
            await self._linger()
        except OSError as error:
            _log.debug("the connection of process %d was lost: %s", self._peer.pid, error)
        finally:
            self._socket.close()

    async def _exchange(self) -> bool:
        """Read one request and reply to it; whether another may come."""
        is_lost = False
        try:
            found = await self._read()
            if found is None:
                return False
            reply = await self._handled(Request.of(found[0], self._peer))
        except BadRequest as error:
            reply, is_lost = reply_to(error), error.is_lost
        except TimeoutError:
            framing = self._framing
            if (framing.count or framing.is_for_many) and not framing.is_begun:
                return False  # it came for many, and needs no more
            is_lost = True
            text = f"no complete request came within {self._limits.read_s:g} s"
            reply = Reply(Status.TIMEOUT, text)
        if is_lost and reply is not None:
            _log.info("the connection of process %d is given up: %s", self._peer.pid, reply.message)
        if reply is None or not await self._write(encoded(reply, debug=self._debug)):
            return False
        return not is_lost and self._is_kept()

    async def _read(self) -> tuple[Any] | None:
        """The next request's value; None when there is none. Raises BadRequest and TimeoutError."""
        framing, limits = self._framing, self._limits
        is_due = framing.count == 0  # a whole request; else the client may be silent
        wait = limits.read_s if is_due else limits.idle_s if framing.is_for_many else limits.linger_s
        async with asyncio.timeout(wait) as deadline:
            while (found := framing.next()) is None:
                if framing.is_begun and not is_due:
                    is_due = True
                    deadline.reschedule(self._loop.time() + limits.read_s)
                elif is_due and framing.is_for_many and not framing.is_begun:  # an empty line came first
                    is_due = False
                    deadline.reschedule(self._loop.time() + limits.idle_s)
                if self._has_ended:
                    if (error := framing.ended()) is not None:
                        raise error
                    return None
                self._take(await self._loop.sock_recv(self._socket, _READ_BYTES))
                await asyncio.sleep(0)  # what is there already is read without a turn of the loop
        return found

    def _take(self, data: bytes) -> None:
        if data:
            self._framing.feed(data)
        else:
            self._has_ended = True

    async def _handled(self, request: Request) -> Reply | None:
        """The reply; None when the client did not wait for it."""
        task = self._loop.create_task(_awaited(self._answer(request)))
        self.is_handling = True
        try:
            with departure(self._socket) as gone:
                either: set[asyncio.Future[Any]] = {task, gone}
                await asyncio.wait(
                    either, timeout=self._limits.handle_s, return_when=asyncio.FIRST_COMPLETED
                )
                has_left = gone.done()
        except asyncio.CancelledError:
            self._abandon(task)
            self._is_stopped = True
            return Reply(Status.HANDLER_FAILED, "cancelled: this listener is closing")
        finally:
            self.is_handling = False
        if task.done():
            return _result(task, request.command)
        self._abandon(task)
        if has_left:
            _log.debug("process %d did not wait for %r", self._peer.pid, request.command)
            return None
        text = f"{request.command}: not done within {self._limits.handle_s:g} s"
        return Reply(Status.TIMEOUT, text)

    def _abandon(self, task: asyncio.Task[Reply]) -> None:
        """Cancel a handler without waiting for it to see that."""
        task.cancel()
        self._stragglers.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._stragglers.discard(task)
        if not task.cancelled():
            task.exception()  # nobody is left to be told

    async def _write(self, line: bytes) -> bool:
        """Whether the client has taken it in time."""
        try:
            async with asyncio.timeout(self._limits.write_s):
                await self._loop.sock_sendall(self._socket, line)
        except TimeoutError:
            size, limit = len(line), self._limits.write_s
            text = f"process {self._peer.pid} did not take its reply of {size} bytes within {limit:g} s"
            self._note(f"{text}: its connection is closed")
            return False
        return True

    def _is_kept(self) -> bool:
        framing = self._framing
        if not self._has_ended and not framing.is_terminated and not framing.is_for_many:
            try:  # the newline may have come meanwhile
                self._take(self._socket.recv(_READ_BYTES))
            except BlockingIOError:
                pass
        if self._is_stopped:
            return False
        if self._has_ended:
            return framing.has_more
        return framing.is_terminated or framing.is_for_many

    async def _linger(self) -> None:
        """Say that nothing more comes, and drop what still does: a close would drop the reply, too."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
            left = _DRAINED_BYTES
            async with asyncio.timeout(0 if self._is_stopped else self._limits.linger_s):
                while left > 0 and not self._has_ended:
                    data = await self._loop.sock_recv(self._socket, _READ_BYTES)
                    left -= len(data)
                    self._has_ended = not data
                    await asyncio.sleep(0)
        except (TimeoutError, OSError):
            pass


async def _awaited(answer: Awaitable[Reply]) -> Reply:
    return await answer


def _result(task: asyncio.Future[Reply], command: str) -> Reply:
    if task.cancelled():
        return Reply(Status.HANDLER_FAILED, "the handler was cancelled")
    error = task.exception()
    if error is None:
        return task.result()
    return reply_to(error if isinstance(error, Exception) else RuntimeError(repr(error)), command)
