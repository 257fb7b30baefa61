"""Peer: RPyC in its classic mode, a Python child over pipes."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from .blocking_driver import BlockingDriver

__all__ = ["driver"]


class _Rpyc:
    def __init__(self) -> None:
        rpyc: Any = importlib.import_module("rpyc")
        server = os.path.join(os.path.dirname(sys.executable), "rpyc_classic")
        self._connection = rpyc.classic.connect_subproc(server_file=server)
        self._connection.execute("def echo(payload): return payload")
        self.call = self._connection.namespace["echo"]
        self.submit = rpyc.async_(self.call)
        self.pid: int = self._connection.modules.os.getpid()

    def wait(self, ticket: Any) -> Any:
        return ticket.value

    def close(self) -> None:
        child = self._connection.proc
        self._connection.close()
        child.kill()
        child.wait()


def driver() -> BlockingDriver:
    return BlockingDriver(_Rpyc)
