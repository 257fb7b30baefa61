"""A plugin served in this process, with a host's connection in the test at the other end of the wire.

``serving(plugin)`` runs the real runtime, its threads and all, over a socketpair; only the process
around it is missing. The test is the host: it asks, reads what comes, and sees events.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from plugin_host_sdk.connection import HOST, Connection
from plugin_host_sdk.events import (
    ErrorReceived,
    Event,
    Initialized,
    NotificationReceived,
    ProgressReceived,
    RequestReceived,
    ResponseReceived,
)
from plugin_host_sdk.handshake import Limits, initialize_params
from plugin_host_sdk.plugin import Plugin
from plugin_host_sdk.runtime.channel import Channel
from plugin_host_sdk.runtime.serve import _end, _to_builtins
from plugin_host_sdk.runtime.server import Server
from plugin_host_sdk.runtime.wiring import Wiring

_E = TypeVar("_E", bound=Event)

WAIT_S = 15.0


class HostEnd:
    """The host's side of one wire. Everything that came and was not asked for yet is in `events`."""

    def __init__(self, sock: socket.socket, limits: Limits | None = None) -> None:
        self.sock = sock
        self.connection = Connection(HOST, limits=limits)
        self.events: list[Event] = []

    def initialize(self, plugin: str, /, **params: Any) -> dict[str, Any]:
        """Make the plugin ready; its answer."""
        self.start_initialize(plugin, **params)
        return self.expect(Initialized).result

    def start_initialize(self, plugin: str, /, **params: Any) -> None:
        """Send `initialize`; `params` go over what a host says."""
        said = initialize_params(plugin=plugin, host={"name": "test"}, limits=self.connection.limits)
        self.send(self.connection.send_initialize(said | params))

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def ask(self, method: str, params: Any = None, **meta: Any) -> int:
        """Send a request; its id."""
        msgid, data = self.connection.send_request(method, params or {}, meta or None)
        self.send(data)
        return msgid

    def ask_command(self, name: str, params: dict[str, Any] | None = None, **meta: Any) -> int:
        """Send `command.call`; its id."""
        return self.ask("command.call", {"name": name, "params": params or {}}, **meta)

    def call(self, name: str, params: dict[str, Any] | None = None, **meta: Any) -> Any:
        """The result of a command that succeeds."""
        answer = self.result(self.ask_command(name, params, **meta))
        assert answer["status"] == 0, answer
        return answer["result"]

    def cancel(self, msgid: int) -> None:
        """Tell the plugin, and go on listening for the answer, which a real host would drop."""
        self.send(self.connection._notification("cancel", [{"msgid": msgid}]))

    def result(self, msgid: int) -> Any:
        """What a request was answered with; fails when it was refused."""
        event = self.answer(msgid)
        assert isinstance(event, ResponseReceived), event
        return event.result

    def error(self, msgid: int) -> dict[str, Any]:
        """The error a request was answered with."""
        event = self.answer(msgid)
        assert isinstance(event, ErrorReceived), event
        assert isinstance(event.error, dict)
        return event.error

    def answer(self, msgid: int) -> ResponseReceived | ErrorReceived:
        """Wait for the answer to a request."""

        def is_it(event: Event) -> bool:
            return isinstance(event, (ResponseReceived, ErrorReceived)) and event.msgid == msgid

        found = self.wait_for(is_it, f"the answer to request {msgid}")
        assert isinstance(found, (ResponseReceived, ErrorReceived))
        return found

    def request(self, method: str) -> RequestReceived:
        """Wait for a request of the plugin."""
        found = self.wait_for(lambda e: isinstance(e, RequestReceived) and e.method == method, method)
        assert isinstance(found, RequestReceived)
        return found

    def notification(self, method: str) -> dict[str, Any]:
        """Wait for a notification; its parameters."""
        found = self.wait_for(lambda e: isinstance(e, NotificationReceived) and e.method == method, method)
        assert isinstance(found, NotificationReceived)
        return dict(found.params)

    def progress(self) -> ProgressReceived:
        """Wait for a report of progress."""
        return self.expect(ProgressReceived)

    def expect(self, kind: type[_E]) -> _E:
        """Wait for an event of this kind, and take it."""
        found = self.wait_for(lambda event: isinstance(event, kind), kind.__name__)
        assert isinstance(found, kind)
        return found

    def wait_for(self, wanted: Callable[[Event], bool], what: str, timeout: float = WAIT_S) -> Event:
        """The first event that is wanted, taken out of `events`."""
        __tracebackhide__ = True
        end = time.monotonic() + timeout
        while True:
            for event in self.events:
                if wanted(event):
                    self.events.remove(event)
                    return event
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(
                    f"{what} did not come within {timeout:g} s; other events: {self.events}"
                )
            self.read(left)

    def read(self, timeout: float) -> bool:
        """Read once if something comes within `timeout` seconds; whether it did."""
        ready, _, _ = select.select([self.sock], [], [], timeout)
        if not ready:
            return False
        data = self.sock.recv(65536)
        self.events += self.connection.receive_data(data)
        return True

    def hears_nothing(self) -> bool:
        """Whether a ping is answered and nothing else came before that."""
        msgid = self.ask("ping", {"nonce": 0})
        self.result(msgid)
        return not self.events


class Served(HostEnd):
    """The host's end, and the runtime it talks to."""

    def __init__(self, sock: socket.socket, server: Server, limits: Limits | None = None) -> None:
        super().__init__(sock, limits)
        self.server = server


@contextmanager
def serving(plugin: Plugin, *, ready: bool = True, limits: Limits | None = None) -> Iterator[Served]:
    """Serve `plugin` until the block ends, then by end of file; its threads have ended too."""
    ours, theirs = socket.socketpair()
    fd = theirs.detach()
    channel = Channel(fd, fd)
    server = Server(plugin, Wiring(channel, _to_builtins))
    server.crew.start()
    try:
        served = Served(ours, server, limits)
        if ready:
            served.initialize(plugin.id)
        yield served
    finally:
        ours.close()
        server.ending.wait()
        _end(server)
        channel.close()
