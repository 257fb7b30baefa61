"""The client's end of a websocket, as much of it as a shell needs."""

from __future__ import annotations

import base64
import os
import socket
import struct
import threading

from tests.guest.tools.caller import BASE

_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10


class Refused(Exception):
    """The host did not upgrade the connection."""


class Websocket:
    """A connection to `route` of the host at `place`. Any thread may send, one receives."""

    def __init__(self, place: str, route: str) -> None:
        host, _, port = place.rpartition(":")
        if host:
            self._socket = socket.create_connection((host, int(port)))
        else:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.connect(place)
        self._file = self._socket.makefile("rb")
        self._lock = threading.Lock()
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET {BASE}{route} HTTP/1.1\r\nHost: localhost\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        )
        self._socket.sendall(head.encode())
        status = self._file.readline()
        while self._file.readline().strip():
            pass
        if b" 101 " not in status:
            self.close()
            raise Refused(status.decode())

    def send(self, message: bytes) -> None:
        self._send(_BINARY, message)

    def _send(self, kind: int, data: bytes) -> None:
        size = len(data)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size)
        # A mask of zeros changes nothing.
        with self._lock:
            self._socket.sendall(bytes([0x80 | kind]) + length + bytes(4) + data)

    def receive(self) -> bytes | None:
        """The next binary message; None at the end of the connection."""
        while True:
            head = self._file.read(2)
            if len(head) < 2:
                return None
            size = head[1]
            if size == 126:
                (size,) = struct.unpack("!H", self._file.read(2))
            data = self._file.read(size)
            kind = head[0] & 15
            if kind == _BINARY:
                return data
            if kind == _PING:
                self._send(_PONG, data)
            elif kind == _CLOSE:
                return None

    def finish(self) -> None:
        """Say that the conversation is over, and wait for the host to agree."""
        self._send(_CLOSE, struct.pack("!H", 1000))
        while self.receive() is not None:
            pass
        self.close()

    def close(self) -> None:
        self._file.close()
        self._socket.close()
