"""Connections that say nothing, or only half of something: they end, and keep no guest out."""

from __future__ import annotations

import asyncio

import pytest

from plugin_host.guest import GuestTimes
from plugin_host.guest.crowd import Crowd
from tests.guest.place import Line, Place, serving
from tests.run import Run
from tests.wait import WaitUntil

TOKEN = "secret"
SOON = GuestTimes(head=0.05, close=0.5)


async def ended(line: Line) -> bool:
    """Whether the host ends the connection, without a word or behind an answer."""
    try:
        async with asyncio.timeout(5):
            await line.reader.read()
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


async def ping(place: Place, token: str = TOKEN) -> int:
    return (await place.ask("GET", "ping", Authorization=f"Bearer {token}")).status


@pytest.mark.parametrize("begun", [b"", b"G", b"GET /engine/v1/ping HTTP/1.1\r\nHost: 127."])
def test_connection_without_a_whole_head_ends(run: Run, begun: bytes) -> None:
    async def body() -> None:
        async with serving(times=SOON) as place:
            line = await place.line()
            line.writer.write(begun)
            assert await ended(line)

    run(body())


def test_head_that_trickles_ends_all_the_same(run: Run) -> None:
    async def body() -> None:
        async with serving(times=SOON) as place:
            line = await place.line()

            async def trickle() -> None:
                while True:
                    line.writer.write(b"G")
                    await asyncio.sleep(0.005)

            trickling = asyncio.create_task(trickle())
            assert await ended(line)
            trickling.cancel()

    run(body())


@pytest.mark.parametrize("rest", ["head", "body"])
def test_later_request_that_does_not_come_whole_ends_the_connection(run: Run, rest: str) -> None:
    async def body() -> None:
        async with serving(times=SOON) as place:
            line = await place.line()
            line.begin("GET", "ping", **({"Content_Length": "9"} if rest == "body" else {}))
            assert (await line.answer()).status == 200
            line.writer.write(b"G")
            assert await ended(line)

    run(body())


def test_request_that_is_served_is_not_timed(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with serving(times=SOON) as place:
            log, poll = await place.line(), await place.line()
            log.begin("POST", "log", Transfer_Encoding="chunked")
            poll.send("GET", "poll")
            assert await ended(await place.line())  # one that began later than those has had its time
            log.chunk(b"some")
            log.chunk(b"")
            assert (await log.answer()).status == 200
            asked = asyncio.create_task(place.task.list_folder("/x"))
            assert (await poll.answer()).json["type"] == "list-folder"
            asked.cancel()

    run(body())


def test_silent_connections_give_way_to_the_guest(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_host.guest.wire._CONNECTIONS", 3)

    async def body() -> None:
        async with serving(token=TOKEN) as place:
            silent = [await place.line() for _ in range(3)]
            silent[1].writer.write(b"GET /engine/v1/ping HTTP/1.1\r\nHost: 127.")
            for _ in range(4):
                assert await ping(place) == 200
            assert await ended(silent[0])

    run(body())


@pytest.mark.parametrize("refused", [{"Authorization": "Bearer x"}, {"Origin": "http://evil.example"}, {}])
def test_who_is_refused_keeps_no_connection(run: Run, refused: dict[str, str]) -> None:
    async def body() -> None:
        async with serving(token=TOKEN) as place:
            line = await place.line()
            line.begin("GET", "ping", **refused)
            assert (await line.answer()).headers["connection"] == "close"
            assert await ended(line)

    run(body())


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"Content_Length": "9"}),
        ("GET", {"X": "x" * 20_000}),
        ("GET", {f"X{number}": "x" for number in range(300)}),
    ],
)
def test_upgrade_that_is_none_is_answered_and_ends(run: Run, method: str, headers: dict[str, str]) -> None:
    async def body() -> None:
        async with serving(token=TOKEN) as place:
            line = await place.line()
            line.begin(method, "reply?id=1", Connection="Upgrade", Upgrade="websocket", **headers)
            assert (await line.answer()).status == 400
            assert await ended(line)

    run(body())


def test_refusal_is_heard_behind_a_body(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            for _ in range(5):
                answer = await place.ask("POST", "log", bytes(500_000), Origin="http://evil.example")
                assert answer.status == 403

    run(body())


def test_one_guest_cannot_take_all_connections(
    run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugin_host.guest.wire._CONNECTIONS", 3)

    async def body() -> None:
        async with serving() as place:
            lines = [await place.line() for _ in range(3)]
            for line in lines:
                line.send("GET", "ping")
            assert [(await line.answer()).status for line in lines] == [200, 200, 200]
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await place.ask("GET", "ping")
            await lines[0].close()
            wire = place.server._wire
            assert wire is not None
            await wait_until.aio(lambda: len(wire.state.connections) == 2)
            assert (await place.ask("GET", "ping")).status == 200

    run(body())


def test_oldest_unheard_of_the_same_address_gives_way_first() -> None:
    crowd: Crowd[str] = Crowd(2, 3)
    assert [crowd.enter(one, "here") for one in ("a", "b")] == [None, None]
    crowd.hear("a")
    assert crowd.enter("c", "here") == "b"
    crowd.hear("c")
    assert crowd.enter("d", "here") == "d"
    assert [crowd.enter(one, one) for one in ("e", "f", "g")] == [None, None, None]
    assert crowd.enter("h", "h") == "e"  # too many of all addresses
    crowd.leave("a")
    crowd.leave("a")
    assert crowd.enter("i", "here") == "f"
