"""Peer: gRPC in Python on both sides over a Unix socket, bytes in and out without protobuf."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .blocking_driver import BlockingDriver

__all__ = ["driver"]

_SERVER = Path(__file__).with_name("grpcio_server.py")
_OPTIONS = [("grpc.max_receive_message_length", 1 << 26)]
_START_S = 20.0


class _Grpc:
    def __init__(self) -> None:
        grpc: Any = importlib.import_module("grpc")
        self._folder = tempfile.TemporaryDirectory(prefix="benchmark-")
        address = "unix:" + os.path.join(self._folder.name, "grpc")
        self._process = subprocess.Popen([sys.executable, str(_SERVER), address])
        self.pid = self._process.pid
        # Between two attempts gRPC waits a second, which is no part of a cold start.
        retry = [("grpc.initial_reconnect_backoff_ms", 5), ("grpc.max_reconnect_backoff_ms", 5)]
        self._channel = grpc.insecure_channel(address, options=[*_OPTIONS, *retry])
        self.call = self._channel.unary_unary("/benchmark.Echo/Echo")
        self.call(b"", wait_for_ready=True, timeout=_START_S)
        self.submit = self.call.future

    def wait(self, ticket: Any) -> Any:
        return ticket.result()

    def close(self) -> None:
        self._channel.close()
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()


def driver() -> BlockingDriver:
    return BlockingDriver(_Grpc)
