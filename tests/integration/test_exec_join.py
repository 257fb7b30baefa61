"""Replay and live output join at exactly the next byte, whatever goes on meanwhile.

The programs print numbered lines of 16 bytes, so every byte tells where in the session it belongs.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from plugin_host import Gap, Output, Session, Viewer
from tests.run import Run
from tests.session import Reader, read, runner, sh
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

LINE = 16
ROUNDS, AT_ONCE = 50, 20


def numbered(offset: int, size: int) -> bytes:
    """What such a program prints from `offset` on."""
    first = offset // LINE
    lines = b"".join(b"%015d\n" % number for number in range(first + 1, (offset + size) // LINE + 2))
    return lines[offset - first * LINE :][:size]


# What the flood repeats: offsets tell which round a byte is of, and bytes where in it.
CYCLE = numbered(0, 1 << 20)
FLOOD = "import os, sys; data = open(sys.argv[1], 'rb').read()\nwhile True: os.write(1, data)"


def check(item: Output | Gap) -> int:
    """Every byte is that of its place; how many there were."""
    assert isinstance(item, Output)
    start, size = item.offset % len(CYCLE), len(item.data)
    assert item.data == CYCLE[start : start + size] + CYCLE[: max(0, start + size - len(CYCLE))]
    return size


async def look(session: Session, offset: int | None, most: int) -> Reader:
    """Attach, read at least `most` bytes, detach."""
    async with await session.attach(offset=offset) as viewer:
        reader = Reader(viewer)
        while len(reader.stdout) < most:
            await reader.next()
        asked = offset is not None and offset >= 0
        assert reader.items[0].offset == (offset if asked else viewer.start["stdout"])
    return reader


@pytest.mark.deadline(60)
def test_a_thousand_viewers_come_and_go_under_load_and_none_loses_a_byte(run: Run, tmp_path: Path) -> None:
    chance = random.Random(3)
    cycle = tmp_path / "cycle"
    cycle.write_bytes(CYCLE)

    async def read_throughout(viewer: Viewer) -> None:
        at = 0
        async for item in viewer:
            assert item.offset == at
            at += check(item)

    async def body() -> None:
        async with runner(tmp_path) as host:
            command = ["python3", "-c", FLOOD, str(cycle)]
            session = await host.exec("desk", command, tty=False, replay_bytes=50_000)
            reading = asyncio.ensure_future(read_throughout(await session.attach()))
            for _ in range(ROUNDS):
                end = (await session.get()).output["stdout"].end
                places = [
                    None,
                    -1,
                    end,
                    *(max(0, end - chance.randrange(60_000)) for _ in range(AT_ONCE - 3)),
                ]
                readers = await asyncio.gather(
                    *(look(session, offset, chance.randrange(1, 30_000)) for offset in places)
                )
                for reader in readers:
                    # What was wanted and is kept no longer is one gap, before everything else.
                    assert reader.gaps == [item for item in reader.items[:1] if isinstance(item, Gap)]
                    assert sum(map(check, reader.items[len(reader.gaps) :])) > 0
            assert (await session.get()).viewers == 1
            assert not reading.done()
            await session.close()
            await reading

    run(body())


@pytest.mark.deadline(30)
@pytest.mark.parametrize("tty", [True, False])
def test_viewer_that_comes_back_where_it_left_has_the_whole(run: Run, tmp_path: Path, tty: bool) -> None:
    """Output goes on while nobody is attached, as far as the ring holds it."""

    async def body() -> None:
        async with runner(tmp_path) as host:
            script = "stty -opost 2>&-; seq -f %015.0f 1 40000; exit 3"
            session = await host.exec("desk", sh(script), tty=tty)
            whole = bytearray()
            while session.exit is None or len(whole) < 40_000 * LINE:
                async with await session.attach(offset=len(whole)) as viewer:
                    reader = Reader(viewer)
                    while len(reader.stdout) < 5000:
                        try:
                            await reader.next()
                        except StopAsyncIteration:
                            break
                assert reader.gaps == []
                whole += reader.stdout
            assert bytes(whole) == numbered(0, 40_000 * LINE)
            assert (await session.wait()).code == 3

    run(body())


def test_viewers_that_come_at_the_very_end_have_every_byte(run: Run, tmp_path: Path) -> None:
    """The exit, the last output and an attach cross each other in every order."""

    async def body() -> None:
        async with runner(tmp_path) as host:

            async def one(number: int) -> None:
                tty = number % 2 == 0
                script = sh("stty -opost 2>&-; seq -f %015.0f 1 300; exit 3")
                session = await host.exec("desk", script, tty=tty)
                first = await session.attach() if number % 3 else None
                for _ in range(number % 7):
                    await asyncio.sleep(0)
                last = await session.attach(offset=0)
                assert (await Reader(last).rest()).stdout == numbered(0, 300 * LINE)
                if first is not None:
                    assert (await Reader(first).rest()).stdout == numbered(0, 300 * LINE)
                assert (await session.wait()).code == 3
                await session.close()

            for start in range(0, 60, 10):
                await asyncio.gather(*map(one, range(start, start + 10)))

    run(body())


def test_both_streams_join_exactly(run: Run, tmp_path: Path) -> None:
    code = 'import os\nfor number in range(1, 40001): os.write(1 + number % 2, b"%015d\\n" % number)\n'

    async def body() -> None:
        async with runner(tmp_path) as host:
            command = ["python3", "-c", code]
            session = await host.exec("desk", command, tty=False, replay_bytes=30_000)
            whole = Reader(await session.attach())
            read_whole = asyncio.ensure_future(whole.rest())
            others = []
            while session.exit is None:
                async with await session.attach() as viewer:
                    reader = Reader(viewer)
                    for _ in range(5):
                        try:
                            await reader.next()
                        except StopAsyncIteration:
                            break
                    others.append(reader)
            await read_whole
            for stream, first in (("stdout", 2), ("stderr", 1)):
                numbers = range(first, 40_001, 2)
                expected = b"".join(b"%015d\n" % number for number in numbers)
                assert whole._data[stream] == expected
                for reader in others:
                    start = reader.viewer.start[stream]
                    data = reader._data[stream]
                    assert data == expected[start : start + len(data)]
            assert others

    run(body())


def test_attach_that_is_cancelled_leaves_no_viewer_and_no_stuck_session(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh("seq -f %015.0f 1 200000")
            session = await host.exec("desk", script, tty=False)
            for turns in range(40):
                attaching = asyncio.ensure_future(session.attach())
                for _ in range(turns % 8):
                    await asyncio.sleep(0)
                attaching.cancel()
                await asyncio.wait([attaching])
                if not attaching.cancelled():
                    await attaching.result().detach()
            assert (await session.wait()).code == 0  # nobody holds it up
            reader = await read(session)
            assert reader.stdout == numbered(reader.items[0].offset, 1_000_000)

    run(body())


def test_attach_that_is_cancelled_leaves_no_stream(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["sleep", "60"], tty=False)
            link = host._supervisors["desk"].link
            assert link is not None
            receiving = link.connection.streams.receiving

            async def give_up(turns: int) -> None:
                attaching = asyncio.ensure_future(session.attach())
                for _ in range(turns):
                    await asyncio.sleep(0)
                attaching.cancel()
                await asyncio.wait([attaching])
                if not attaching.cancelled() and attaching.exception() is None:
                    await attaching.result().detach()

            for turns in range(8):
                await give_up(turns)
            await wait_until.aio(lambda: not receiving)
            # One that is refused, because there is no such session any more, ends no streams.
            closing = asyncio.ensure_future(session.close())
            await asyncio.sleep(0)
            for turns in range(8):
                await give_up(turns)
            await closing
            await wait_until.aio(lambda: not receiving)

    run(body())
