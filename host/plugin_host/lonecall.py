"""The short way of a call beside no other: sent, and its answer looked for where it was made.

Where host and plugin share a processor, the plugin has often answered before the host goes on; then there
is nothing to wait for, and neither a future nor a turn of the loop is needed. `Eagerness` says whether a
look is worth its price. Invariants: no code but the caller's runs in a look, whatever it finds: what is no
answer to this call is put by for the loop; a call that was looked for in vain is one like any other.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from asyncio import get_running_loop
from time import perf_counter
from typing import TYPE_CHECKING, Any

from plugin_host_sdk.alone import NO_ANSWER, take_answer
from plugin_host_sdk.errors import LocalProtocolError
from plugin_host_sdk.protocol import PENDING_REQUESTS

from .asker import Asker
from .callfuture import CallFuture
from .eagerness import SLOW_S, UNTOLD, Eagerness, row_of
from .unsent import refusal

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from plugin_host_sdk.connection import Connection

    from .asker import Progress
    from .writer import Writer

__all__ = ["LoneAsker"]

# Lets whoever waits for this processor have it: the plugin, if it was woken here. Where there is no such
# call, a look finds what was answered while the request was sent.
_give_way: Callable[[], None] = getattr(os, "sched_yield", lambda: None)


class LoneAsker(Asker):
    """An asker that can read."""

    _recv_into: Callable[[memoryview], int]
    _view: memoryview
    _room: memoryview
    has_heard: bool
    received_bytes: int

    def __init__(
        self, connection: Connection, writer: Writer, loop: asyncio.AbstractEventLoop, peer: str
    ) -> None:
        super().__init__(connection, writer, loop, peer)
        self._eagerness = Eagerness()
        self._row = row_of(loop)
        self._is_resting = False  # nothing is to be read for a while
        self._untold: list[bytes] = []  # what was read in a look, and is to be read before anything else

    @abstractmethod
    def _tell(self) -> None:
        """Act on what is untold; on the loop."""

    def call(
        self,
        method: str,
        params: Any,
        meta: dict[str, Any] | None,
        deadline: float | None,
        on_progress: Progress | None,
        name: str,
    ) -> tuple[int | None, Any]:
        """As that of `Asker`. When the answer is there, None and the result itself."""
        row = self._row
        if self._futures or row.ready is UNTOLD:
            return super().call(method, params, meta, deadline, on_progress, name)
        eagerness, writer, begun = self._eagerness, self._writer, perf_counter()
        if (
            len(row.ready) > row.is_open  # one is the end of a row
            or (row.is_open and begun > row.until)
            or eagerness.pause
            or writer.is_corked
            or writer.is_waiting
            or self._is_over
            or self._is_resting
            or len(self.connection.abandoned) >= PENDING_REQUESTS
            or get_running_loop() is not self._loop  # which is a mistake, and is to be told as one
        ):
            if eagerness.pause:
                eagerness.pause -= 1
            return super().call(method, params, meta, deadline, on_progress, name)
        connection = self.connection
        try:
            msgid, data = connection.send_request(method, params, meta)
        except LocalProtocolError as error:
            raise refusal(error) from None
        connection.pending[msgid] = name
        writer.write_now(data)
        if not writer.is_waiting:
            result = self._look(msgid, begun)
            if result is not NO_ANSWER:
                return None, result
        future = self._futures[msgid] = CallFuture(self._loop)
        if deadline is not None:
            self._deadlines.add(msgid, deadline)
        if on_progress is not None:
            self._progress[msgid] = on_progress
        if self._writer.is_waiting:
            self._note_queued(msgid, len(data))
        return msgid, future

    def _look(self, msgid: int, begun: float) -> Any:
        """The result of the request that was written then, if nothing else is there; else NO_ANSWER."""
        eagerness = self._eagerness
        _give_way()
        try:
            size = self._recv_into(self._room)
        except OSError:  # nothing yet; or an end, of which the loop reads once more
            size = 0
        if size:
            self.has_heard = True
            self.received_bytes += size
            data = self._view[:size]
            try:
                result = take_answer(self.connection, data, msgid)
            except BaseException:  # there is no stack left, or it is a signal's: others are to have theirs
                self._put_by(data)
                raise
            if result is not NO_ANSWER:
                ended = perf_counter()
                if ended - begun > SLOW_S:
                    eagerness.missed(ended - begun)
                else:
                    eagerness.next = 1
                if not self._row.is_open:
                    self._row.begin(self._loop, begun)
                return result
            self._put_by(data)
        eagerness.missed(perf_counter() - begun)
        return NO_ANSWER

    def _put_by(self, data: memoryview) -> None:
        """It is for the loop to act on, and no call looks before it has."""
        self._eagerness.pause = 1
        self._untold.append(bytes(data))
        self._loop.call_soon(self._tell)
