"""The wire by hand, for personalities that the SDK would keep from misbehaving.

Reads and writes descriptors 0 and 1 as they are. What is sent is checked by nobody.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plugin_host_sdk.connection import PLUGIN, Connection
from plugin_host_sdk.events import Event, RequestReceived, ResponseReceived
from plugin_host_sdk.wire import Encoder

Command = Callable[["Peer", int, Any], None]


class Peer:
    """A plugin's end of the wire."""

    def __init__(self) -> None:
        self._connection = Connection(PLUGIN)
        self._events: list[Event] = []
        self.streams = self._connection.streams
        self.pack: Callable[[Any], bytes] = Encoder().pack  # held to no limit

    def send(self, data: bytes) -> None:
        """Write bytes of any kind."""
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]

    def event(self) -> Event | None:
        """What the host sends next; None at its end."""
        while not self._events:
            data = os.read(0, 65536)
            self._events += self._connection.receive_data(data)
            if not data:
                return None
        return self._events.pop(0)

    def request(self) -> RequestReceived:
        """The next request; the process ends when there is none any more."""
        while not isinstance(event := self.event(), RequestReceived):
            if event is None:
                os._exit(0)
        return event

    def expect_answer(self, msgid: int) -> None:
        """A request was sent by hand, or will be."""
        self._connection.pending[msgid] = "by hand"

    def answer(self, msgid: int) -> Any:
        """The result of a request that was sent by hand."""
        self.expect_answer(msgid)
        others = []
        while not isinstance(event := self.event(), ResponseReceived):
            if event is None:
                os._exit(1)
            others.append(event)
        self._events = others + self._events
        return event.result

    def be_ready(
        self,
        plugin: str,
        *,
        commands: Sequence[str] = (),
        capabilities: Mapping[str, Any] | None = None,
        protocol: int = 1,
        more: bytes = b"",
    ) -> RequestReceived:
        """Wait for `initialize` and answer it; `more` follows in the same write.

        `capabilities` are those besides `command`.
        """
        asked = self.request()
        answer = {
            "protocol": protocol,
            "plugin": {"id": plugin, "version": "1.0.0"},
            "sdk": {"name": "by hand", "version": "0"},
            "capabilities": {"command": {"commands": list(commands)}, **(capabilities or {})},
        }
        self.send(self._connection.send_response(asked.msgid, answer) + more)
        return asked

    def refuse(self, error: Any) -> None:
        """Wait for `initialize` and answer it with an error."""
        asked = self.request()
        self.send(self._connection.send_error(asked.msgid, error))

    def serve(self, commands: Mapping[str, Command]) -> None:
        """Run commands until the host ends it; each one answers by itself, or does not."""
        while True:
            asked = self.request()
            if asked.method == "command.call":
                commands[asked.params["name"]](self, asked.msgid, asked.params.get("params") or {})
            elif asked.method == "shutdown":
                self.send(self._connection.send_response(asked.msgid, {}))
                os._exit(0)
