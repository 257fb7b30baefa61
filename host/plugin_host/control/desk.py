"""One connected client: what it asks is answered here, and what it holds is let go when it leaves.

Requests run as tasks, so a slow one delays no other. Invariant: whatever a client sends, at most its own
connection ends; when it has ended, nothing runs for it any more, and its sessions are kept or closed as it
chose.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from plugin_host.errors import CallError, CallFailed, PluginHostError
from plugin_host.holdback import Holdback
from plugin_host.linkowner import LinkOwner
from plugin_host.trace import current_trace
from plugin_host.version import VERSION
from plugin_host.wording import suggestion
from plugin_host_sdk.connection import PLUGIN, Connection
from plugin_host_sdk.handshake import negotiate
from plugin_host_sdk.protocol import PROTOCOL_VERSIONS
from plugin_host_sdk.tracecontext import read_trace

from .ask import Ask
from .errormap import to_map
from .greeting import Greeting
from .peerlink import PeerLink

if TYPE_CHECKING:
    from plugin_host.channel import Channel
    from plugin_host.peer import Peer, RemotePeer
    from plugin_host_sdk.events import RequestReceived

    from .ask import Method
    from .claim import Key
    from .seat import Seat

__all__ = ["Desk", "DeskOwner"]

# What a client may have running at once; more is refused as busy.
_REQUESTS = 1024
# What is read of its requests while they are held back.
_HELD_BYTES = 16 * 1024 * 1024
_log = logging.getLogger(__name__)


class DeskOwner(Protocol):
    """Whose clients they are."""

    path: str
    methods: dict[str, Method]

    def new_token(self) -> str:
        """What a client is known by."""

    def note(self, text: str) -> None:
        """Something that operators are to know of."""

    def greeted(self, desk: Desk) -> None:
        """A client has said who it is."""

    def left(self, desk: Desk) -> None:
        """A client has gone, and asks for nothing more."""

    def gone(self, desk: Desk) -> None:
        """Nothing of a client is left."""


class Desk(LinkOwner):
    """Client number `number`. `token` is by what it is known, also after it has come back.

    `is_here` from when it has said who it is until it leaves.
    """

    def __init__(self, server: DeskOwner, channel: Channel, peer: Peer | RemotePeer, number: int) -> None:
        self.server = server
        self.peer = peer
        self.number = number
        self.name = ""
        self.token = ""
        self.keep = False
        self.seats: dict[Key, Seat] = {}
        self.is_here = False
        self._channel = channel
        self.link = PeerLink(self._channel, Connection(PLUGIN, peer="client"), self, "client")
        self._running: dict[int, asyncio.Task[None]] = {}
        self._holdback = Holdback(self.link, self.link.read_on)
        self._feeds: set[asyncio.Task[None]] = set()
        self._leaving: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Desk {self.number} {self.label}>"

    @property
    def label(self) -> str:
        """Who it is, for the log."""
        return f"client {self.number} ({self.name or 'unnamed'}, {self.peer})"

    # What the client asks.

    def requested(self, event: RequestReceived) -> None:
        if event.method == "initialize":
            self._greet(event)
        elif event.method == "shutdown":
            self.link.answer(event.msgid, {})
        elif len(self._running) + len(self._holdback) >= _REQUESTS:
            text = f"{_REQUESTS} requests of this client are running already"
            self.link.refuse(event.msgid, CallFailed(text, name="rpc.busy"))
        else:
            self._holdback.begin(event.msgid, partial(self._begin, event))
            if self._holdback:
                self.link.read_at_most(_HELD_BYTES)

    def _begin(self, event: RequestReceived, waited: float) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(
            self._serve(event, waited), name=f"{event.method[:40]} for client {self.number}"
        )
        self._running[event.msgid] = task
        task.add_done_callback(lambda task: self._done(event.msgid, task))
        return task

    def _greet(self, event: RequestReceived) -> None:
        """Both sides say who they are."""
        try:
            greeting = msgspec.convert(event.params, Greeting)
            protocol = _common(greeting.protocols)
        except msgspec.ValidationError as error:
            self.link.refuse(event.msgid, CallFailed(f"initialize: {error}", name="rpc.invalid_params"))
            return
        except CallError as error:
            self.link.refuse(event.msgid, error)
            return
        self.name, self.keep = greeting.client.name[:64], greeting.release == "keep"
        self.token = greeting.token or self.server.new_token()
        self.is_here = True
        self.link.answer(
            event.msgid,
            {
                "protocol": protocol,
                # Whoever answers `initialize` names itself here.
                "plugin": {"id": "plugin-host", "version": VERSION},
                "host": {"pid": os.getpid(), "socket": self.server.path},
                "client": self.number,
                "token": self.token,
                "limits": self.link.connection.limits.to_map(),
                "capabilities": {},
                "features": list(self.server.methods),
            },
        )
        self.server.greeted(self)

    async def _serve(self, event: RequestReceived, waited: float) -> None:
        current_trace.set(read_trace(event.meta or {}))  # of this task alone
        try:
            timeout = _timeout(event.meta)
            if timeout is not None:
                timeout -= waited
            ask = Ask(self, event.msgid, event.method, event.params, timeout)
            answer = await self._answer(ask)
        except PluginHostError as error:
            self._refuse(event.msgid, error)
        except Exception as error:
            _log.error("%s of %s failed", event.method[:80], self.label, exc_info=error)
            self._refuse(event.msgid, error)
        else:
            self.link.answer(event.msgid, answer)

    async def _answer(self, ask: Ask) -> Any:
        method = self.server.methods.get(ask.method)
        if method is None:
            hint = suggestion(ask.method, self.server.methods)
            text = f"this host has no method {ask.method[:80]!r}{hint}"
            raise CallFailed(text, name="rpc.method_not_found")
        if ask.timeout is not None and ask.timeout <= 0:
            raise CallFailed("its deadline passed before it started", name="rpc.deadline_exceeded")
        return await method(ask)

    def _refuse(self, msgid: int, error: Exception) -> None:
        self.link.refuse(msgid, CallError.from_map(to_map(error)))

    def _done(self, msgid: int, task: asyncio.Task[None]) -> None:
        self._running.pop(msgid, None)
        if task.cancelled():  # perhaps before it had begun
            self._refuse_cancelled(msgid)

    def _refuse_cancelled(self, msgid: int) -> None:
        self.link.refuse(msgid, CallFailed("it was cancelled", name="rpc.cancelled"))

    def cancelled(self, msgid: int) -> None:
        if self._holdback.drop(msgid):
            self._refuse_cancelled(msgid)
        elif (task := self._running.get(msgid)) is not None:
            task.cancel()

    def feed(self, task: asyncio.Task[None]) -> None:
        """Something goes on for this client until it leaves."""
        self._feeds.add(task)
        task.add_done_callback(self._feeds.discard)

    # Leaving.

    def ended(self, error: Exception | None) -> None:
        self.leave(error)

    def leave(self, error: Exception | None) -> None:
        """The connection is over, or is to be; `error` is what the client did wrong."""
        if self._leaving is None:
            if error is not None:
                self.server.note(f"{self.label} was dropped: {error}")
            self.is_here = False
            self._holdback.close()
            self.link.close()
            self._channel.close()
            self._leaving = asyncio.get_running_loop().create_task(
                self._leave(), name=f"leaving of client {self.number}"
            )

    def leave_seat(self, key: Key) -> None:
        """A session is forgotten: the client has nothing of it but what its viewers are still to get."""
        seat = self.seats.get(key)
        if seat is None:
            return

        def leave() -> None:
            if self.seats.get(key) is seat:
                del self.seats[key]

        seat.retire(leave)

    async def _leave(self) -> None:
        tasks = [*self._running.values(), *self._feeds]
        for task in tasks:
            task.cancel()
        for seat in self.seats.values():
            seat.leave()
        if tasks:
            await asyncio.wait(tasks)
        # Before its viewers are waited for: a plugin that does not answer holds back no session of another.
        self.server.left(self)
        await asyncio.gather(*(seat.wait_left() for seat in self.seats.values()))
        self.seats.clear()
        self.server.gone(self)

    async def wait_left(self) -> None:
        """Wait until nothing of it is left."""
        if self._leaving is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(self._leaving)


def _common(offered: list[Any]) -> int:
    """The protocol version to speak. Raises CallFailed when there is none."""
    try:
        return negotiate(offered)
    except CallFailed as error:
        ours = list(PROTOCOL_VERSIONS)
        theirs = [one for one in offered if type(one) is int]
        text = f"no common protocol version: the client speaks {theirs}, this host {ours}"
        raise CallFailed(text, name=error.name, data={"client": theirs, "host": ours}) from None


def _timeout(meta: dict[str, Any] | None) -> float | None:
    """Seconds. Raises CallFailed for what is no time, which would be none if it were passed over."""
    milliseconds = (meta or {}).get("timeout_ms")
    if milliseconds is None:
        return None
    if type(milliseconds) not in (int, float) or math.isnan(milliseconds):
        text = f"timeout_ms: expected a number of milliseconds, found {milliseconds!r:.40}"
        raise CallFailed(text, name="rpc.invalid_params")
    return float(milliseconds / 1000)
