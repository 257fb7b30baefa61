"""Many look at one session: each has its own copy, some may only look, and the active one has its size."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plugin_host import CallFailed, Session, Viewer, ViewerReadOnly
from tests.run import Run
from tests.session import Reader, read, runner, sh
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

NUMBERS = b"".join(b"%d\n" % number for number in range(1, 100_001))


async def sized(session: Session, viewer: Viewer, rows: int, cols: int) -> None:
    await viewer.resize(rows=rows, cols=cols)
    assert await size_of(session) == (rows, cols)


async def size_of(session: Session) -> tuple[int | None, int | None]:
    info = await session.get()
    return info.rows, info.cols


def test_every_viewer_has_every_byte(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("read go; seq 100000; seq 100000 >&2"), tty=False)
            viewers = [await session.attach() for _ in range(20)]
            assert (await session.get()).viewers == 20
            await session.write(b"\n")
            readers = await asyncio.gather(*(Reader(viewer).rest() for viewer in viewers))
            for reader in readers:
                assert reader.stdout == reader.stderr == NUMBERS

    run(body())


def test_viewers_come_and_go_for_themselves(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["cat"], tty=False)
            one, two = await session.attach(), await session.attach()
            await session.write(b"both")
            assert await Reader(one).until(b"both") == await Reader(two).until(b"both")
            await one.detach()
            await one.detach()
            assert (await session.get()).viewers == 1
            await session.write(b"second")
            await Reader(two).until(b"second")
            with pytest.raises(StopAsyncIteration):
                await anext(one)
            async with await session.attach(offset=-1) as three:
                assert (await session.get()).viewers == 2
                await session.write(b"third")
                await Reader(three).until(b"third")
            await session.detach()
            assert (await session.get()).viewers == 0
            # Without anybody it runs on, and takes the next.
            await session.close_stdin()
            assert (await read(session)).stdout == b"bothsecondthird"

    run(body())


def test_what_had_come_before_a_viewer_left_can_still_be_read(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("echo hello; exec cat"), tty=False)
            early, late = await session.attach(), await session.attach()
            await Reader(late).until(b"hello\n")
            await early.detach()
            assert (await Reader(early).rest()).stdout == b"hello\n"
            waiting = asyncio.ensure_future(anext(late))
            await asyncio.sleep(0)
            await late.detach()
            with pytest.raises(StopAsyncIteration):
                await waiting
            await session.close()

    run(body())


def test_read_only_viewer_is_refused_input_and_size(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("stty -echo; echo ready; exec cat"), rows=10, cols=10)
            reader = Reader(await session.attach(read_only=True, rows=20, cols=20))
            await reader.until(b"ready")
            with pytest.raises(ViewerReadOnly, match="read_only=False"):
                await reader.viewer.write(b"typed")
            with pytest.raises(ViewerReadOnly):
                await reader.viewer.resize(rows=20, cols=20)
            assert await size_of(session) == (10, 10)
            async with await session.attach() as writer:
                await writer.write(b"by another\n")
            await reader.until(b"by another\r\n")
            assert b"typed" not in reader.stdout
            await session.close()

    run(body())


def test_size_is_that_of_the_most_recent_active_viewer(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["cat"], rows=10, cols=10)
            one = await session.attach(rows=20, cols=21)
            assert await size_of(session) == (20, 21)
            two = await session.attach(rows=30, cols=31)
            assert await size_of(session) == (30, 31)
            silent = await session.attach()
            assert await size_of(session) == (30, 31)
            await one.write(b"x")  # typing is being active
            assert await size_of(session) == (20, 21)
            await silent.write(b"x")  # who never gave a size changes none
            assert await size_of(session) == (20, 21)
            await sized(session, two, 32, 33)
            await two.detach()  # then the one before counts again
            assert await size_of(session) == (20, 21)
            await one.detach()
            assert await size_of(session) == (20, 21)
            await session.close()

    run(body())


def test_program_sees_the_size_change_with_who_types(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh("stty -echo; echo ready; while read line; do echo $line $(stty size).; done")
            session = await host.exec("desk", script)
            one = await session.attach(rows=20, cols=21)
            two = await session.attach(rows=30, cols=31)
            reader = Reader(one)
            await reader.until(b"ready")
            for _ in range(5):
                await one.write(b"one\n")
                await reader.until(b"one 20 21.")
                await two.write(b"two\n")
                await reader.until(b"two 30 31.")
            await session.close()

    run(body())


def test_viewer_without_a_fitting_size_is_refused_and_leaves_nothing(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["cat"])
            with pytest.raises(CallFailed):
                await session.attach(rows=0, cols=80)

            async def is_gone() -> bool:
                return (await session.get()).viewers == 0

            await wait_until.aio(is_gone)
            await session.close()

    run(body())


def test_viewer_knows_its_place_in_the_session(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["cat"], tty=False)
            viewer = await session.attach()
            assert viewer.session is session
            assert not viewer.read_only
            assert session.id in repr(viewer)
            same = {one.id: one for one in await host.sessions()}[session.id]
            assert same is session, "there is one object for one session"
            await session.close()

    run(body())


@pytest.mark.deadline(60)
def test_thousand_viewers_are_the_most(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["cat"], tty=False)
            viewers = await asyncio.gather(*(session.attach() for _ in range(1024)))
            with pytest.raises(CallFailed, match="1024"):
                await session.attach()
            await session.write(b"to all of you")
            for viewer in viewers:
                await Reader(viewer).until(b"to all of you")
            await session.detach()
            assert (await session.get()).viewers == 0
            await session.close()

    run(body())
