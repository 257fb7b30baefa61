"""Starts the bare echo loop as a child with a socketpair between: the process under both bare floors."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

__all__ = ["EchoProcess"]

_SCRIPT = Path(__file__).with_name("echo.py")


class EchoProcess:
    """The child, and this end of the socketpair."""

    def __init__(self) -> None:
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._process = subprocess.Popen([sys.executable, str(_SCRIPT)], stdin=theirs.fileno())
        self.pid = self._process.pid

    def close(self) -> None:
        """Close the channel, which ends the child."""
        self.channel.close()
        self._process.wait()
