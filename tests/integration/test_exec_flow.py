"""Who does not read stops its own session and nothing else; what waits for it is bounded."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

import psutil
import pytest

from plugin_host import Gap, Output, PluginHost, Session, Viewer
from plugin_host_sdk.protocol import WINDOW_BYTES
from tests.run import Run
from tests.session import Reader, read, runner, sh, waiting_bytes
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

MIB = 1024 * 1024
PATTERN = b"0123456789abcde\n"
FLOOD = sh("stty -opost 2>&-; exec yes 0123456789abcde")
# How far a stopped session may be ahead: a window on the way, what was read at once, a pipe.
AHEAD_BYTES = 4 * MIB


def check(reader: Reader) -> None:
    """Every byte is that of its place."""
    start = reader.items[0].offset % len(PATTERN)
    size = len(reader.stdout)
    assert reader.stdout == (PATTERN * (size // len(PATTERN) + 2))[start : start + size]


async def standing_still(session: Session, wait_until: WaitUntil) -> int:
    """Wait until the session's program is not read any more; how much was."""
    ends: list[int] = []

    async def stands() -> bool:
        ends.append((await session.get()).output["stdout"].end)
        return ends[-1] > 0 and ends[-15:] == [ends[-1]] * 15

    await wait_until.aio(stands)
    return ends[-1]


async def count(viewer: Viewer) -> int:
    """Read to the end of the session; how much that was."""
    size = 0
    async for item in viewer:
        assert isinstance(item, Output)
        size += len(item.data)
    return size


def memory(host: PluginHost) -> int:
    """Bytes that the plugin's process holds, and this one."""
    pid = host.plugins["desk"].pid
    assert pid is not None
    return int(psutil.Process(pid).memory_info().rss + psutil.Process().memory_info().rss)


@pytest.mark.parametrize("tty", [False, True])
def test_lossless_viewer_that_stops_reading_stops_its_session_and_no_other(
    run: Run, tmp_path: Path, wait_until: WaitUntil, tty: bool
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            stopped = await host.exec("desk", FLOOD, tty=tty)
            viewer = await stopped.attach()
            ahead = await standing_still(stopped, wait_until)
            assert ahead < AHEAD_BYTES
            before = memory(host)
            other = await host.exec("desk", sh(f"head -c {32 * MIB} /dev/zero; exit 3"), tty=False)
            typed = await host.exec("desk", ["cat"], tty=True)
            async with await typed.attach() as echo:
                reading = asyncio.ensure_future(count(await other.attach()))
                echoed = Reader(echo)
                for number in range(20):
                    await typed.write(b"%d\n" % number)
                    await echoed.until(b"%d\r\n%d\r\n" % (number, number))
                    assert await host.call("desk", "echo", {"value": number}) == number
                assert await reading == 32 * MIB
            assert (await other.wait()).code == 3
            assert memory(host) - before < 16 * MIB
            assert (await stopped.get()).output["stdout"].end == ahead
            # It was only stopped: it goes on from the next byte when somebody reads.
            reader = Reader(viewer)
            await reader.count(ahead + MIB)
            check(reader)
            for session in (stopped, typed):
                await session.close()

    run(body())


def test_many_stopped_viewers_hold_a_window_each(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            warm = await host.exec("desk", ["true"], tty=False)
            await warm.wait()
            before = memory(host)
            sessions = [await host.exec("desk", FLOOD, tty=False) for _ in range(10)]
            viewers = [await session.attach() for session in sessions for _ in range(3)]
            await asyncio.gather(*(standing_still(session, wait_until) for session in sessions))
            assert await host.call("desk", "echo", {"value": 1}) == 1
            # By the wire: a window for each viewer in the host, and in the plugin what did not fit into it.
            assert memory(host) - before < len(viewers) * 3 * WINDOW_BYTES + len(sessions) * 4 * MIB
            assert max(map(waiting_bytes, viewers)) <= WINDOW_BYTES
            await asyncio.gather(*(session.close() for session in sessions))

    run(body())


def test_slow_lossless_viewer_sets_the_pace_for_the_others(run: Run, tmp_path: Path) -> None:
    """Every viewer of a session gets every byte, and so the fast one waits for the slow one."""

    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh(f"yes 0123456789abcde | head -c {8 * MIB}"), tty=False)
            slow, fast = await session.attach(), await session.attach()
            ahead, reader = Reader(fast), Reader(slow)
            reading = asyncio.ensure_future(ahead.rest())
            while reader.end() < 8 * MIB:
                await reader.next()
                if len(reader.items) % 8 == 0:
                    await host.call("desk", "echo")
                assert ahead.end() - reader.end() < AHEAD_BYTES
            whole = PATTERN * (8 * MIB // 16)
            assert (await reader.rest()).stdout == whole
            assert (await reading).stdout == whole[fast.start["stdout"] :]  # it came a moment later

    run(body())


# Lossy viewers.


@pytest.mark.parametrize("options", [{"lossless": False}, {"read_only": True}])
def test_lossy_viewer_that_does_not_read_stops_nothing_and_learns_what_it_missed(
    run: Run, tmp_path: Path, options: dict[str, bool]
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh(f"yes 0123456789abcde | head -c {16 * MIB}; exit 3")
            session = await host.exec("desk", script, tty=False)
            viewer = await session.attach(**options)
            assert (await session.wait()).code == 3
            reader = await Reader(viewer).rest()
            assert reader.end() == 16 * MIB
            missed = sum(gap.size for gap in reader.gaps)
            assert missed + len(reader.stdout) == 16 * MIB
            assert missed > 8 * MIB
            # What it has is right, and its newest part is what a ring holds.
            for item in reader.items:
                if not isinstance(item, Gap):
                    start = item.offset % 16
                    assert item.data == (PATTERN * (len(item.data) // 16 + 2))[start:][: len(item.data)]
            last = reader.gaps[-1]
            assert 16 * MIB - (last.offset + last.size) >= 64 * 1024

    run(body())


def test_viewers_that_may_write_are_lossless_and_read_only_ones_may_be(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh(f"head -c {16 * MIB} /dev/zero")

            async def look(**options: bool) -> None:
                session = await host.exec("desk", script, tty=False)
                viewer = await session.attach(**options)
                assert await standing_still(session, wait_until) < AHEAD_BYTES
                assert session.exit is None
                reader = await Reader(viewer).rest()
                assert (len(reader.stdout), reader.gaps) == (16 * MIB, [])

            await asyncio.gather(look(), look(read_only=True, lossless=True))

    run(body())


# Nobody looks.


@pytest.mark.parametrize("tty", [False, True])
def test_detached_session_runs_on_into_the_ring(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh(f"stty -opost 2>&-; yes 0123456789abcde | head -c {8 * MIB}; exit 3")
            session = await host.exec("desk", script, tty=tty, detached=True)
            assert (await session.wait()).code == 3
            reader = await read(session)
            assert reader.end() == 8 * MIB
            assert len(reader.stdout) == 1_000_000

    run(body())


def test_session_that_was_not_opened_detached_waits_for_its_first_viewer(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh(f"yes 0123456789abcde | head -c {8 * MIB}; exit 3")
            session = await host.exec("desk", script, tty=False)
            assert await standing_still(session, wait_until) <= 1_000_000
            assert session.exit is None
            reader = await read(session)
            assert reader.stdout == PATTERN * (8 * MIB // 16)
            assert (await session.wait()).code == 3

    run(body())


def test_session_runs_on_when_its_last_viewer_leaves(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """Also one that was stopped by that viewer."""

    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh(f"yes 0123456789abcde | head -c {8 * MIB}; exit 3")
            session = await host.exec("desk", script, tty=False)
            viewer = await session.attach()
            await standing_still(session, wait_until)
            assert session.exit is None
            await viewer.detach()
            assert (await session.wait()).code == 3
            assert (await session.get()).output["stdout"].end == 8 * MIB

    run(body())


# How it feels.


def test_keystrokes_are_echoed_while_another_session_floods(run: Run, tmp_path: Path) -> None:
    """The exact ratio is the benchmarks' matter; here, that a person notices nothing."""

    async def body() -> None:
        async with runner(tmp_path) as host:
            flood = await host.exec("desk", FLOOD, tty=False)
            typed = await host.exec("desk", sh("stty raw -echo; echo ready; exec cat"))
            async with await flood.attach() as view, await typed.attach() as keys:
                flooding = asyncio.ensure_future(count(view))
                reader = Reader(keys)
                await reader.until(b"ready\n")
                times = []
                for number in range(200):
                    key = bytes([97 + number % 26])
                    before = time.perf_counter()
                    await typed.write(key)
                    assert await reader.count(1) == key
                    times.append(time.perf_counter() - before)
                flooding.cancel()
                await asyncio.wait([flooding])
            assert statistics.median(times) < 0.05
            assert max(times) < 1.0
            for session in (flood, typed):
                await session.close()

    run(body())
