"""A shell's connection at its limits, with a websocket that does what no client can be made to do."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.websockets import WebSocketDisconnect

from plugin_host.guest.shelllink import ShellLink
from plugin_host.guest.times import GuestTimes
from tests.run import Run


class Websocket:
    """Gives out `coming`; takes what is sent as long as it `reads`."""

    def __init__(self, *coming: bytes | None, reads: bool = True, is_gone: bool = False) -> None:
        self.sent: list[bytes] = []
        self.closed: int | None = None
        self._coming = list(coming)
        self._reads = reads
        self._is_gone = is_gone

    async def accept(self) -> None:
        if self._is_gone:
            raise WebSocketDisconnect(1006)

    async def receive(self) -> dict[str, Any]:
        if not self._coming:
            await asyncio.get_running_loop().create_future()
        data = self._coming.pop(0)
        await asyncio.sleep(0)
        return (
            {"type": "websocket.disconnect"}
            if data is None
            else {"type": "websocket.receive", "bytes": data}
        )

    async def send_bytes(self, data: bytes) -> None:
        if self._is_gone:
            raise WebSocketDisconnect(1006)
        if not self._reads:
            await asyncio.get_running_loop().create_future()
        self.sent.append(data)

    async def close(self, code: int) -> None:
        if self._is_gone:
            raise RuntimeError("it is closed")
        self.closed = code


class Ears:
    """Notes what is said."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def arrived(self, stream: int, data: bytes) -> None:
        self.heard.append(("arrived", stream, data))

    def ended(self, stream: int) -> None:
        self.heard.append(("ended", stream))

    def credited(self) -> None:
        self.heard.append(("credited",))

    def exited(self, code: int) -> None:
        self.heard.append(("exited", code))

    def lost(self, reason: str) -> None:
        self.heard.append(("lost", reason))


async def conversed(websocket: Websocket, link: ShellLink) -> None:
    await link.run(websocket)  # type: ignore[arg-type]
    assert link.is_over


def made(ears: Ears) -> ShellLink:
    return ShellLink(GuestTimes(write=0.05, close=0.05), ears)


def test_guest_that_does_not_read_is_lost(run: Run) -> None:
    async def body() -> None:
        ears = Ears()
        link = made(ears)
        link.send(b"x")
        websocket = Websocket(reads=False)
        await conversed(websocket, link)
        assert ears.heard == [("lost", "the guest does not read")]
        assert websocket.closed == 1001

    run(body())


def test_what_was_said_before_the_end_of_the_connection_is_heard(run: Run) -> None:
    async def body() -> None:
        ears = Ears()
        link = made(ears)
        link.send(b"x")  # fails, because the guest has gone already
        websocket = Websocket(b"\x00\x01last", b"\x05\x00", None)
        websocket.send_bytes = Websocket(is_gone=True).send_bytes  # type: ignore[method-assign]
        await conversed(websocket, link)
        assert ears.heard == [("arrived", 1, b"last"), ("ended", 1), ("ended", 2), ("exited", 0)]
        assert websocket.closed == 1000

    run(body())


def test_guest_that_does_not_close_behind_its_exit_is_closed(run: Run) -> None:
    async def body() -> None:
        ears = Ears()
        websocket = Websocket(b"\x05\x01", b"\x01\x00\x00\x00\x00\x01")
        await conversed(websocket, made(ears))
        assert ears.heard[-1] == ("exited", 1)
        assert websocket.closed == 1000

    run(body())


def test_guest_that_is_gone_before_it_is_accepted_is_lost(run: Run) -> None:
    async def body() -> None:
        ears = Ears()
        await conversed(Websocket(is_gone=True), made(ears))
        assert ears.heard == [("lost", "the guest closed the connection before the exit")]

    run(body())


def test_shell_that_is_dropped_before_it_begins_never_does(run: Run) -> None:
    async def body() -> None:
        ears = Ears()
        link = made(ears)
        link.drop("nobody wants it")
        websocket = Websocket()
        await conversed(websocket, link)
        assert ears.heard == [("lost", "nobody wants it")]
        assert websocket.closed == 1001

    run(body())


def test_connection_that_is_cut_by_its_server_is_told(run: Run) -> None:
    async def body() -> None:
        ears = Ears()
        link = made(ears)
        running = asyncio.create_task(conversed(Websocket(), link))
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
        assert ears.heard == [("lost", "its connection was cut")]
        assert link.is_over

    run(body())


def test_of_sizes_in_a_row_the_last_is_sent(run: Run) -> None:
    async def body() -> None:
        link = made(Ears())
        link.resize(1, 2)
        link.resize(3, 4)
        link.send(b"x")
        link.resize(5, 6)
        websocket = Websocket(b"\x05\x00", None)
        await conversed(websocket, link)
        assert websocket.sent == [b"\x03\x00\x04\x00\x03", b"\x00\x00x", b"\x03\x00\x06\x00\x05"]

    run(body())
