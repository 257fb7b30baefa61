"""The metrics of a host on a port of this machine, for a Prometheus that fetches them over HTTP.

Invariants: only `GET /metrics` is answered with them, and only on a loopback address unless told otherwise;
at most `CONNECTIONS` clients are heard at once, each for at most `PATIENCE_S` to ask and as long to read.
Each connection serves one request. No thread of its own.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
from typing import TYPE_CHECKING

from .errors import ConfigurationError
from .exposition import CONTENT_TYPE, expose

if TYPE_CHECKING:
    from types import TracebackType

    from .exposition import Measured

__all__ = ["CONNECTIONS", "PATIENCE_S", "MetricsPort"]

CONNECTIONS = 16
PATIENCE_S = 5.0
_REQUEST_BYTES = 8 * 1024
_PATH = "/metrics"

_log = logging.getLogger("plugin_host.metrics")


class MetricsPort:
    """Serves the metrics of `host` on `address` and `port`, 0 for any that is free.

    Raises ValueError for an address that others can reach, unless `loopback_only` is False. Used as an
    async context manager, or by `start` and `close`.
    """

    def __init__(
        self, host: Measured, *, address: str = "127.0.0.1", port: int = 0, loopback_only: bool = True
    ) -> None:
        if loopback_only and not _is_loopback(address):
            raise ValueError(f"{address!r} is no loopback address: who can reach it can read the metrics")
        self._host = host
        self._address = address
        self._port = port
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where the metrics are, once it has started."""
        address = f"[{self._address}]" if ":" in self._address else self._address
        return f"http://{address}:{self._port}{_PATH}"

    async def start(self) -> None:
        """Listen. Raises ConfigurationError when the port is taken, or there is no such address."""
        try:
            self._server = await asyncio.start_server(
                self._connected, self._address, self._port, limit=_REQUEST_BYTES
            )
        except OSError as error:
            where = f"{self._address} port {self._port}"
            number = error.errno or 0  # below 0: a name that nobody knows
            reason = os.strerror(number) if number > 0 else error.strerror or str(error)
            raise ConfigurationError(f"the metrics cannot be served on {where}: {reason}") from None
        self._port = self._server.sockets[0].getsockname()[1]
        _log.info("metrics at %s", self.url)

    async def close(self) -> None:
        """Listen no more and drop who is still being served. A second call does nothing."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        clients = list(self._clients)
        for client in clients:
            client.cancel()
        if clients:
            await asyncio.wait(clients)

    async def __aenter__(self) -> MetricsPort:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None or len(self._clients) >= CONNECTIONS:
            writer.transport.abort()
            return
        client = asyncio.get_running_loop().create_task(
            self._serve(reader, writer), name="a reader of metrics"
        )
        self._clients.add(client)
        client.add_done_callback(self._clients.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                head = await reader.readuntil(b"\r\n\r\n")
            answer = await self._answer(head)
            async with asyncio.timeout(PATIENCE_S):
                writer.write(answer)
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # it went away, dawdles, or speaks no HTTP
        finally:
            writer.transport.abort()

    async def _answer(self, head: bytes) -> bytes:
        """The whole answer to a request."""
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        path, _, version = rest.partition(b" ")
        if not version.startswith(b"HTTP/1."):
            return _response("400 Bad Request", "this is no request of HTTP/1\n")
        if path.partition(b"?")[0] != _PATH.encode():
            return _response("404 Not Found", f"the metrics are at {_PATH}\n")
        if method != b"GET":
            return _response("405 Method Not Allowed", "only GET is answered\n", "Allow: GET\r\n")
        try:
            text = await expose(self._host)
        except Exception:
            _log.exception("the metrics could not be told")
            return _response("500 Internal Server Error", "the metrics cannot be told; see the log\n")
        return _response("200 OK", text, kind=CONTENT_TYPE)


def _response(status: str, text: str, more: str = "", *, kind: str = "text/plain; charset=utf-8") -> bytes:
    body = text.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}"
    return f"{head}Connection: close\r\n\r\n".encode() + body


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
