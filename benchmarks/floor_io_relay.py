"""Floor of raw descriptors with what lies between: two bare relays each way, as host and plugin do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from .io_transfer import transfer

__all__ = ["BareRelays", "driver"]

_RELAY = [sys.executable, "-I", "-S", str(Path(__file__).with_name("relay.py"))]


class BareRelays:
    """Each measurement starts its processes anew."""

    def measure(self, verb: str, seconds: float) -> dict[str, float]:
        started: list[subprocess.Popen[bytes]] = []

        def then(command: list[str], reading: int, ends: tuple[int, int]) -> int:
            """One more process on the way; what it writes is read from the descriptor returned."""
            source, sink = ends
            started.append(subprocess.Popen(command, stdin=reading, stdout=sink))
            os.close(reading)
            os.close(sink)
            return source

        stdin, reading = _sockets()
        reading = then(_RELAY, reading, _sockets())
        reading = then(_RELAY, reading, os.pipe())
        reading = then(["cat"], reading, os.pipe())
        reading = then(_RELAY, reading, _sockets())
        reading = then(_RELAY, reading, _sockets())
        try:
            return transfer([stdin, reading], seconds)
        finally:
            for process in started:
                process.wait()

    def close(self) -> None:
        pass


def _sockets() -> tuple[int, int]:
    one, other = socket.socketpair()
    return one.detach(), other.detach()


def driver() -> BareRelays:
    return BareRelays()
