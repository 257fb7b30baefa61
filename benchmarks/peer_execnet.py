"""Peer: execnet, a Python child whose loop receives from a channel and sends back."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from .blocking_driver import BlockingDriver

__all__ = ["driver"]

_CHILD = """\
import os
channel.send(os.getpid())
for payload in channel:
    channel.send(payload)
"""


class _Execnet:
    def __init__(self) -> None:
        execnet: Any = importlib.import_module("execnet")
        self._group = execnet.Group()
        gateway = self._group.makegateway(f"popen//python={sys.executable}")
        self._channel = gateway.remote_exec(_CHILD)
        self.pid: int = self._channel.receive()
        self.submit = self._channel.send

    def call(self, payload: bytes) -> Any:
        self._channel.send(payload)
        return self._channel.receive()

    def wait(self, ticket: None) -> Any:
        """The next echo: they come in the order of the calls."""
        return self._channel.receive()

    def close(self) -> None:
        self._group.terminate(timeout=1.0)


def driver() -> BlockingDriver:
    return BlockingDriver(_Execnet)
