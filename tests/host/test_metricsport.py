"""The port for Prometheus: what it answers, to whom it listens, and that nobody can hold it up."""

from __future__ import annotations

import asyncio
import socket

import pytest

from plugin_host import metricsport
from plugin_host.errors import ConfigurationError
from plugin_host.metric.snapshot import Snapshot
from plugin_host.metricsport import CONNECTIONS, MetricsPort
from tests.host.test_metric_snapshot import snapshot
from tests.run import Run
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges


class Host:
    """Has metrics, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def metrics(self) -> Snapshot:
        if self.error is not None:
            raise self.error
        return snapshot(1.0)


def place(port: MetricsPort) -> tuple[str, int]:
    host, _, number = port.url.removeprefix("http://").partition("/")[0].rpartition(":")
    return host.strip("[]"), int(number)


async def ask(port: MetricsPort, request: bytes) -> tuple[str, dict[str, str], str]:
    """The status line, the headers and the body of the answer to `request`."""
    reader, writer = await asyncio.open_connection(*place(port))
    writer.write(request)
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    return status, dict(line.split(": ", 1) for line in lines if line), body


GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


def test_metrics_are_answered_whole(run: Run) -> None:
    async def body() -> None:
        async with MetricsPort(Host()) as port:
            for request in (GET, b"GET /metrics?x=1 HTTP/1.0\r\n\r\n"):
                status, headers, text = await ask(port, request)
                assert status == "HTTP/1.1 200 OK"
                assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
                assert int(headers["Content-Length"]) == len(text.encode())
                assert text.startswith("# HELP plugin_host_info ")

    run(body())


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "404"),
        (b"GET /metricsx HTTP/1.1\r\n\r\n", "404"),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "405"),
        (b"hello\r\n\r\n", "400"),
        (b"GET /metrics HTTP/2\r\n\r\n", "400"),
    ],
)
def test_nothing_else_is_answered(request_: bytes, status: str, run: Run) -> None:
    async def body() -> None:
        async with MetricsPort(Host()) as port:
            line, headers, _ = await ask(port, request_)
            assert line.split()[1] == status
            assert headers["Connection"] == "close"

    run(body())


def test_metrics_that_cannot_be_told_are_an_error_of_the_host(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with MetricsPort(Host(RuntimeError("no such luck"))) as port:
            status, _, text = await ask(port, GET)
            assert status.split()[1] == "500"
            assert "no such luck" not in text

    run(body())
    assert "no such luck" in caplog.text


def test_a_request_without_end_is_dropped(run: Run) -> None:
    async def body() -> None:
        async with MetricsPort(Host()) as port:
            reader, writer = await asyncio.open_connection(*place(port))
            writer.write(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000)
            try:
                assert await reader.read() == b""
            except ConnectionError:
                pass  # it did not read all of it
            writer.transport.abort()

    run(body())


def test_who_asks_nothing_is_dropped_after_a_while(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metricsport, "PATIENCE_S", 0.02)

    async def body() -> None:
        async with MetricsPort(Host()) as port:
            reader, writer = await asyncio.open_connection(*place(port))
            writer.write(b"GET /met")
            try:
                assert await reader.read() == b""
            except ConnectionError:
                pass
            writer.transport.abort()

    run(body())


def test_more_clients_than_there_is_room_for_are_turned_away(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with MetricsPort(Host()) as port:
            idle = [socket.create_connection(place(port)) for _ in range(CONNECTIONS)]
            await wait_until.aio(lambda: len(port._clients) == CONNECTIONS)
            with pytest.raises((ConnectionError, ValueError, AssertionError)):
                assert (await ask(port, GET))[0]
            for one in idle:
                one.close()
            await wait_until.aio(lambda: not port._clients)
            assert (await ask(port, GET))[0].endswith("200 OK")

    run(body())


def test_closing_drops_who_is_still_there(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        port = MetricsPort(Host())
        await port.start()
        with socket.create_connection(place(port)):
            await wait_until.aio(lambda: len(port._clients) == 1)
            await port.close()
            await port.close()
        assert not port._clients
        with pytest.raises(OSError):  # noqa: PT011 - of whichever kind
            await asyncio.open_connection(*place(port))

    run(body())


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_only_this_machine_is_served_unless_told_otherwise(address: str) -> None:
    with pytest.raises(ValueError, match="no loopback address"):
        MetricsPort(Host(), address=address)
    MetricsPort(Host(), address=address, loopback_only=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_every_loopback_address_will_do(address: str) -> None:
    MetricsPort(Host(), address=address)


def test_a_port_that_is_taken_is_named(run: Run) -> None:
    async def body() -> None:
        async with MetricsPort(Host()) as port:
            _, number = place(port)
            with pytest.raises(ConfigurationError, match=f"127.0.0.1 port {number}: .*in use"):
                await MetricsPort(Host(), port=number).start()

    run(body())
