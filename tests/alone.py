"""The plugin `desk` in a process of its own, with no host but the test, which asks it byte by byte."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plugin_host_sdk.events import DataReceived, EndReceived, Event, GapReceived, NotificationReceived
from plugin_host_sdk.handshake import Limits
from plugin_host_sdk.wire import Encoder
from tests.served import HostEnd
from tests.session import DESK, sh
from tests.stage import write_plugin

__all__ = ["Plugin", "alone"]

WINDOW = 65_536


class Plugin(HostEnd):
    """The test's end of the wire to a plugin, which has process `child`."""

    def __init__(self, sock: socket.socket, child: subprocess.Popen[bytes], limits: Limits | None) -> None:
        super().__init__(sock, limits)
        self.child = child
        self.streams = self.connection.streams

    def refused(self, method: str, **params: Any) -> str:
        """The name of the error that a request is answered with; there is one, and it has words."""
        error = self.error(self.ask(f"exec.{method}", params))
        assert error["message"]
        assert len(error["message"]) < 1000
        assert error["code"] > 0
        return str(error["name"])

    def done(self, method: str, **params: Any) -> Any:
        return self.result(self.ask(f"exec.{method}", params))

    def create(self, id: str, script: str, **options: Any) -> int:
        """Open a session on pipes; the stream of its input."""
        stdin = self.streams.reserve()
        created = self.done("create", id=id, command=sh(script), tty=False, stdin=stdin, **options)
        self.streams.open_send(stdin, created["stdin_window"])
        return stdin

    def attach(self, id: str, viewer: int, window: int = WINDOW, **options: Any) -> tuple[int, int]:
        """Attach a viewer; its two streams."""
        out, err = self.streams.reserve(), self.streams.reserve()
        for stream in (out, err):
            self.streams.open_receive(stream, window)
        self.done("attach", session=id, viewer=viewer, stdout=out, stderr=err, window=window, **options)
        return out, err

    def frame(self, method: str, *params: Any) -> None:
        """A frame that is checked by nobody."""
        self.send(Encoder().pack([2, f"stream.{method}", list(params)]))

    def output(self, stream: int) -> bytes:
        """Everything up to the end of a stream, of which every byte is consumed at once."""
        data = b""
        while True:
            event = self.wait_for(lambda event: _is_of(event, stream), f"more of stream {stream}")
            if isinstance(event, EndReceived):
                assert event.total == len(data)
                return data
            assert isinstance(event, DataReceived)
            data += event.data
            if grant := self.streams.consume(stream, len(event.data)):
                self.send(grant)

    def exits(self) -> list[dict[str, Any]]:
        """Every word of an exit so far."""
        self.result(self.ask("ping", {"nonce": 1}))
        notices = [event for event in self.events if isinstance(event, NotificationReceived)]
        return [dict(one.params) for one in notices if one.method == "exec.exited"]

    def is_well(self) -> bool:
        """Whether it still opens sessions and passes bytes through them."""
        stdin = self.create("well", "cat")
        out, _ = self.attach("well", 1)
        self.send(b"".join(self.streams.send_data(stdin, b"hello")))
        self.done("close_stdin", session="well", total=5)
        whole = self.output(out) == b"hello"
        self.done("close", session="well")
        return whole and self.child.poll() is None


def _is_of(event: Event, stream: int) -> bool:
    return isinstance(event, (DataReceived, EndReceived, GapReceived)) and event.stream == stream


@contextmanager
def alone(tmp_path: Path, limits: Limits | None = None) -> Iterator[Plugin]:
    """The plugin `desk` without a host but the test."""
    folder = write_plugin(tmp_path, "desk", DESK)
    ours, theirs = socket.socketpair()
    child = subprocess.Popen(
        [sys.executable, "-m", "plugin_host_sdk", "--path", folder / "desk", "desk_plugin:plugin"],
        stdin=theirs.fileno(),
        stdout=theirs.fileno(),
        env={**os.environ, "PLUGIN_HOST_COOKIE": "1"},
        start_new_session=True,
    )
    theirs.close()
    with child, ours:
        plugin = Plugin(ours, child, limits)
        plugin.initialize("desk")
        yield plugin
    assert child.returncode == 0
