"""A plugin that is served to nobody, once, by a spare child that waits for its order.

A forked process shares its memory with its parent until it writes there, and each page that it first writes
to costs it time. Nearly all the pages that a plugin's start writes to are the same for every plugin; so a
child that has nothing else to do writes to them before it is needed. Invariant: nothing that a plugin could
see is left of it. The forkserver does the same before there are any, so that what the interpreter learns in
the first runs of a function is learnt once, for all. Children import this module anew, as a part of it.
"""

from __future__ import annotations

import io
import os
import threading

from plugin_host_sdk.connection import HOST, Connection
from plugin_host_sdk.handshake import Limits, initialize_params
from plugin_host_sdk.plugin import Plugin

from .channel import Channel, claim
from .crew import Worker
from .output import TracedOutput
from .server import Server
from .wiring import Wiring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket
    from typing import Any

__all__ = ["hello", "rehearse"]

_ID = "rehearsal"

plugin = Plugin(_ID, version="0")


@plugin.command("nothing")
def _nothing(ctx: Any, value: Any = None) -> Any:
    """Never called."""
    return value


def hello() -> bytes:
    """What the host says that this plugin is served to."""
    nobody = {"name": _ID, "version": "0"}
    params = initialize_params(plugin=_ID, host=nobody, limits=Limits(), settings={}, permissions=())
    return Connection(HOST).send_initialize(params)


def rehearse(near: Socket, far: Socket, said: bytes, *, by_thread: bool) -> None:
    """Serve a host that has `said` hello and hangs up; `near` is its end. Raises OSError, RuntimeError.

    `by_thread` as a plugin is served; else by this one, in a process that is to have no other.
    """
    os.environ.update(dict(os.environ))
    claim().close()
    TracedOutput(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), print)
    near.send(said)
    near.shutdown(1)
    fd = far.detach()
    channel = Channel(fd, fd)
    server = Server(plugin, Wiring(channel))
    try:
        if by_thread:
            thread = threading.Thread(target=server.lead, args=(Worker(),), name=_ID)
            thread.start()
            thread.join()
        else:
            server.lead(Worker())
    finally:
        channel.close()  # which gives its buffer back, for the plugin's own
