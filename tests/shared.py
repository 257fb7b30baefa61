"""A shared link with the test as the plugin at the other end: a loop in a thread, a real socket.

``with shared() as (link, plugin, owner, thread)``: the link, the `PluginEnd` that says what the test says,
the `Owner` that remembers what it was told, and the thread of the loop. A `Caller` is a thread that asks.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from plugin_host.channel import open_socketpair
from plugin_host.sharedlink import SharedLink
from plugin_host.sync.loopthread import LoopThread
from plugin_host_sdk.connection import HOST, PLUGIN, Connection
from plugin_host_sdk.events import Event, RequestReceived
from plugin_host_sdk.handshake import initialize_params
from tests.linked import Owner
from tests.pair import ANSWER

__all__ = ["Caller", "PluginEnd", "ThreadOwner", "shared"]

_E = TypeVar("_E", bound=Event)

WAIT_S = 5.0


class ThreadOwner(Owner):
    """Remembers also on which threads it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[threading.Thread] = set()

    def notified(self, method: str, params: Any) -> None:
        self.threads.add(threading.current_thread())
        super().notified(method, params)

    def ended(self, error: Exception | None) -> None:
        self.threads.add(threading.current_thread())
        super().ended(error)


class PluginEnd:
    """The plugin's side, from the test's thread."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.connection = Connection(PLUGIN)
        self.events: list[Event] = []

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def expect(self, kind: type[_E], wanted: Callable[[_E], bool] = lambda _: True) -> _E:
        """Wait for an event of this kind, and take it."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and wanted(event):
                    self.events.remove(event)
                    return event
            if not select.select([self.socket], [], [], WAIT_S)[0]:
                raise AssertionError(f"a {kind.__name__} did not come: {self.events}")
            data = self.socket.recv(1 << 20)
            assert data, f"end of file instead of a {kind.__name__}"
            self.events += self.connection.receive_data(data)

    def request(self, method: str = "work") -> RequestReceived:
        return self.expect(RequestReceived, lambda event: event.method == method)

    def answer(self, msgid: int, result: Any = None) -> None:
        self.send(self.connection.send_response(msgid, result))

    def notify(self, *messages: str) -> None:
        """Log records, in one write."""
        parts = [self.connection.send_notification("log", {"message": one}) for one in messages]
        self.send(b"".join(parts))

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answer every request with its parameters meanwhile."""
        thread = threading.Thread(target=self._serve)
        thread.start()
        try:
            yield
        finally:
            self.socket.shutdown(socket.SHUT_RD)
            thread.join()

    def _serve(self) -> None:
        while data := self.socket.recv(1 << 20):
            for event in self.connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    self.answer(event.msgid, event.params)


class Caller(threading.Thread):
    """A thread that asks once; `outcome` is the result or the exception."""

    def __init__(self, link: SharedLink, params: Any = None, **options: Any) -> None:
        super().__init__()
        self._ask: Callable[[], Any] = lambda: link.ask("work", params or {}, **options)
        self.outcome: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self._ask()
        except BaseException as error:
            self.outcome = error

    def end(self) -> Any:
        """Wait for it; what came of it."""
        self.join(WAIT_S)
        assert not self.is_alive(), "a caller waits for ever"
        return self.outcome


@contextmanager
def shared(*, room: int | None = None) -> Iterator[tuple[SharedLink, PluginEnd, ThreadOwner, LoopThread]]:
    """Both ends, initialized; `room` is the size of the socket's buffer in bytes."""
    channel, ends = open_socketpair()
    theirs = socket.socket(fileno=os.dup(ends.stdin))
    ends.close()
    if room is not None:
        with socket.socket(fileno=os.dup(channel.write_fd)) as ours:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
    owner, plugin = ThreadOwner(), PluginEnd(theirs)
    thread = LoopThread("loop", lambda: None)

    async def open_link() -> SharedLink:
        link = SharedLink(channel, Connection(HOST), owner)
        link.initialize(
            initialize_params(plugin="demo", host={"name": "test"}, limits=link.connection.limits)
        )
        return link

    async def wait(link: SharedLink) -> None:
        await link.initialized

    async def close(link: SharedLink) -> None:
        link.close()
        link.fail_calls(lambda: LookupError("the test is over"))
        channel.close()

    link = thread.run(open_link())
    try:
        plugin.answer(plugin.request("initialize").msgid, ANSWER)
        thread.run(wait(link))
        yield link, plugin, owner, thread
    finally:
        thread.run(close(link))
        thread.close()
        theirs.close()
