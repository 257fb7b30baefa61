"""Floor: the shortest blocking msgpack-RPC loop, one thread, no futures, no checks."""

from __future__ import annotations

from typing import Any

import msgpack

from .blocking_driver import BlockingDriver
from .echo_process import EchoProcess

__all__ = ["driver"]

_READ_BYTES = 64 * 1024
_TOGETHER, _BATCH = 256, 16


class _Loop:
    def __init__(self) -> None:
        self._process = EchoProcess()
        self.pid = self._process.pid
        self._send = self._process.channel.sendall
        self._receive = self._process.channel.recv_into
        self._buffer = bytearray(_READ_BYTES)
        self._view = memoryview(self._buffer)
        self._unpacker = msgpack.Unpacker(max_buffer_size=1 << 26)
        self._pack = msgpack.Packer().pack
        self._fed = 0
        self._msgid = 0

    def call(self, payload: bytes) -> Any:
        self.submit(payload)
        return self.wait(None)

    def submit(self, payload: bytes) -> None:
        self._msgid += 1
        self._send(self._pack([0, self._msgid, "echo", [payload]]))

    def wait(self, ticket: None) -> Any:
        """The next answer: they come in the order of the calls."""
        unpacker = self._unpacker
        while True:
            if unpacker.tell() < self._fed:
                try:
                    return unpacker.unpack()[3]
                except msgpack.OutOfData:
                    pass
            size = self._receive(self._buffer)
            if not size:
                raise EOFError("the echo process ended")
            unpacker.feed(self._view[:size])
            self._fed += size

    def call_many(self, many: list[dict[str, bytes]]) -> list[Any]:
        """Some in flight, more when half of them are answered; written together, 16 at most."""
        results: list[Any] = []
        sent = 0
        while len(results) < len(many):
            if sent < len(many) and sent - len(results) <= _TOGETHER // 2:
                end = min(len(many), len(results) + _TOGETHER)
                for start in range(sent, end, _BATCH):
                    self._send(b"".join(map(self._encoded, many[start : min(end, start + _BATCH)])))
                sent = end
            results.append(self.wait(None))
        return results

    def _encoded(self, params: dict[str, bytes]) -> bytes:
        self._msgid += 1
        data: bytes = self._pack([0, self._msgid, "echo", [params]])
        return data

    def close(self) -> None:
        self._process.close()


def driver() -> BlockingDriver:
    return BlockingDriver(_Loop)
