"""Requests of a guest to its host: over TCP or a unix socket, tried again as guests do."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterable

BASE = "/engine/v1/"
_TRIES = 15
_PAUSE_S = 0.1
_POLL_S = 40.0

Body = bytes | Iterable[bytes] | None


class _Connection(http.client.HTTPConnection):
    """`place` is HOST:PORT, or the path of a unix socket."""

    def __init__(self, place: str, timeout: float | None) -> None:
        host, _, port = place.rpartition(":")
        super().__init__(host or "localhost", int(port) if host else 80, timeout=timeout)
        self._path = "" if host else place

    def connect(self) -> None:
        if not self._path:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Caller:
    """Asks the host at `place`."""

    def __init__(self, place: str) -> None:
        self.place = place

    def ask(
        self, method: str, route: str, body: Body = None, *, timeout: float | None = _POLL_S, **headers: str
    ) -> tuple[int, bytes]:
        """One request, once. Raises OSError and HTTPException."""
        connection = _Connection(self.place, timeout)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            is_streamed = body is not None and not isinstance(body, bytes) and "Content-Length" not in given
            connection.request(method, BASE + route, body, given, encode_chunked=is_streamed)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def insist(self, method: str, route: str, body: Body = None, **headers: str) -> tuple[int, bytes]:
        """The same, tried again while the host is not there or has a fault."""
        for _ in range(_TRIES):
            try:
                status, answer = self.ask(method, route, body, timeout=_POLL_S, **headers)
                if status != 500:
                    return status, answer
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(_PAUSE_S)
        raise OSError(f"{self.place} does not answer {method} {route}")
