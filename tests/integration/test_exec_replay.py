"""What a session keeps, and where in it a viewer may begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plugin_host import CallFailed, Gap, PluginHost, Session, SessionClosed, StreamTarget
from plugin_host_sdk.protocol import TERMINAL_WINDOW_BYTES
from tests.run import Run
from tests.session import Reader, read, runner, sh, waiting_bytes
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

NUMBERS = b"".join(b"%d\n" % number for number in range(1, 400_001))  # what `seq 400000` prints


async def ended(host: PluginHost, script: str, **options: Any) -> Session:
    """A session that ran to its end with nobody attached."""
    session = await host.exec("desk", sh(script), tty=False, detached=True, **options)
    exit = await session.wait()
    assert exit.code == 0, exit
    return session


def test_ring_keeps_the_newest_million_bytes(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await ended(host, "seq 400000")
            end = len(NUMBERS)
            stored = (await session.get()).output["stdout"]
            assert (stored.start, stored.end) == (end - 1_000_000, end)
            reader = await read(session)
            assert reader.stdout == NUMBERS[-1_000_000:]
            assert reader.items[0].offset == end - 1_000_000
            assert reader.gaps == []
            assert reader.viewer.start == {"stdout": end - 1_000_000, "stderr": 0}
            assert reader.viewer.evicted == {"stdout": end - 1_000_000, "stderr": 0}

    run(body())


@pytest.mark.parametrize("tty", [False, True])
def test_ring_is_as_large_as_was_asked(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh("stty -opost 2>&-; seq 20000")
            session = await host.exec("desk", script, tty=tty, detached=True, replay_bytes=1000)
            await session.wait()
            expected = NUMBERS[: NUMBERS.index(b"20000\n") + 6]
            reader = await read(session)
            assert reader.stdout == expected[-1000:]
            assert reader.end() == len(expected)

    run(body())


def test_ring_of_nothing_stores_nothing_and_counts(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await ended(host, "seq 1000", replay_bytes=0)
            reader = await read(session)
            assert (reader.stdout, reader.gaps) == (b"", [])
            assert reader.viewer.start["stdout"] == reader.viewer.evicted["stdout"] == 3893
            assert (await read(session, offset=0)).gaps == [Gap("stdout", 0, 3893)]

    run(body())


def test_handlers_choose_what_their_sessions_keep_unless_the_caller_does(run: Run, tmp_path: Path) -> None:
    code = "sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(replay_bytes=100))\n"

    async def body() -> None:
        async with runner(tmp_path, code) as host:
            assert len((await read(await ended(host, "seq 1000"))).stdout) == 100
            assert len((await read(await ended(host, "seq 1000", replay_bytes=200))).stdout) == 200

    run(body())


def test_ring_evicts_over_both_streams_in_the_order_of_arrival(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh("while read size fd; do head -c $size /dev/zero >&$fd; done")
            session = await host.exec("desk", script, tty=False, detached=True, replay_bytes=1000)
            kept: dict[str, tuple[int, int]] = {}

            async def put(size: int, fd: int, name: str, end: int) -> None:
                async def has_arrived() -> bool:
                    output = (await session.get()).output
                    kept.update({key: (one.start, one.end) for key, one in output.items()})
                    return kept[name][1] == end

                await session.write(b"%d %d\n" % (size, fd))
                await wait_until.aio(has_arrived)

            await put(300, 1, "stdout", 300)
            await put(600, 2, "stderr", 600)
            assert kept == {"stdout": (0, 300), "stderr": (0, 600)}
            await put(200, 1, "stdout", 500)
            assert kept == {"stdout": (100, 500), "stderr": (0, 600)}  # the oldest 100 were stdout's
            await put(600, 1, "stdout", 1100)
            assert kept == {"stdout": (300, 1100), "stderr": (400, 600)}
            await session.close()

    run(body())


# Where a viewer begins.


def test_offset_in_the_ring_begins_exactly_there(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await ended(host, "seq 1000")
            whole = NUMBERS[:3893]
            for offset in (0, 1, 1000, 3892, 3893):
                reader = await read(session, offset=offset)
                assert reader.stdout == whole[offset:]
                assert reader.gaps == []
                assert reader.viewer.start["stdout"] == offset
                assert reader.viewer.evicted["stdout"] == 0

    run(body())


def test_offset_before_the_ring_begins_with_one_gap(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await ended(host, "seq 1000", replay_bytes=1000)
            for offset in (0, 1, 2892):
                reader = await read(session, offset=offset)
                assert reader.items[0] == Gap("stdout", offset, 2893 - offset)
                assert len(reader.gaps) == 1
                assert reader.stdout == NUMBERS[2893:3893]
                assert reader.viewer.start["stdout"] == 2893
                assert reader.viewer.evicted["stdout"] == 2893 - offset

    run(body())


@pytest.mark.parametrize("offset", ["3", b"3", 1.5, ["stdout"], {"stdout": "3"}, {3: 3}], ids=repr)
def test_an_offset_that_is_none_is_refused_and_leaves_nothing(
    run: Run, tmp_path: Path, offset: Any
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await ended(host, "seq 1000")
            with pytest.raises(CallFailed, match="offset") as caught:
                await session.attach(offset=offset)
            assert caught.value.name == "rpc.invalid_params"
            assert (await read(session)).stdout == NUMBERS[:3893]

    run(body())


def test_offset_beyond_the_end_is_refused_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await ended(host, "seq 1000")
            for offset in (3894, 2**60, {"stdout": 3894}, {"stderr": 1}):
                with pytest.raises(CallFailed, match="beyond the end") as caught:
                    await session.attach(offset=offset)
                assert caught.value.name == "rpc.invalid_params"
            assert (await session.get()).viewers == 0
            assert len((await read(session)).stdout) == 3893

    run(body())


def test_offset_that_is_none_is_refused(run: Run, tmp_path: Path) -> None:
    offsets: list[Any] = [-2, "1", 1.5, True, {"stdin": 0}, {"stdout": -2}, {"stdout": "1"}, [1], 2**70]

    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await ended(host, "seq 10")
            for offset in offsets:
                with pytest.raises((CallFailed, TypeError, ValueError)):
                    await session.attach(offset=offset)
            assert (await session.get()).viewers == 0
            assert await host.call("desk", "echo", {"value": 1}) == 1

    run(body())


def test_minus_one_is_only_what_comes(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["cat"], tty=False)
            async with await session.attach() as first:
                await session.write(b"before")
                await Reader(first).until(b"before")
                late = await session.attach(offset=-1)
                await session.write(b"after")
                await session.close_stdin()
                reader = await Reader(late).rest()
                assert (reader.stdout, reader.items[0].offset) == (b"after", 6)
                assert late.start == {"stdout": 6, "stderr": 0}
            assert (await read(session, offset=-1)).items == []

    run(body())


def test_number_counts_for_stdout_and_a_map_for_each(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await ended(host, "printf 0123456789; printf abcdefghij >&2")

            async def from_(offset: Any) -> tuple[bytes, bytes]:
                reader = await read(session, offset=offset)
                return reader.stdout, reader.stderr

            assert await from_(None) == (b"0123456789", b"abcdefghij")
            assert await from_(7) == (b"789", b"abcdefghij")
            assert await from_({"stdout": 7, "stderr": 8}) == (b"789", b"ij")
            assert await from_({"stderr": 8}) == (b"0123456789", b"ij")
            assert await from_({StreamTarget.STDERR: 8}) == (b"0123456789", b"ij")
            items = (await read(session)).items
            assert {id(item.stream) for item in items} == {id(target) for target in StreamTarget}
            assert await from_({"stdout": None, "stderr": -1}) == (b"0123456789", b"")
            assert await from_(-1) == (b"", b"")

    run(body())


def test_gap_in_one_stream_leaves_the_other_alone(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh("printf abc >&2; read x; seq 1000")
            session = await host.exec("desk", script, tty=False, detached=True, replay_bytes=3893)

            async def has_come() -> bool:
                return (await session.get()).output["stderr"].end == 3

            await wait_until.aio(has_come)
            await session.write(b"\n")
            await session.wait()
            reader = await read(session, offset={"stdout": 0, "stderr": 0})
            assert reader.stdout == NUMBERS[:3893]
            assert (reader.gaps, reader.stderr) == ([Gap("stderr", 0, 3)], b"")

    run(body())


def test_terminals_have_one_output(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("printf 0123; printf 4567 >&2"))
            await session.wait()
            assert (await read(session, offset=2)).stdout == b"234567"
            with pytest.raises(CallFailed, match="stderr"):
                await session.attach(offset={"stderr": 0})

    run(body())


# Replay under credit.


def test_replay_waits_for_the_viewer_to_read(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    """A million kept bytes do not pile up in a host whose viewer looks elsewhere."""

    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("stty -opost; seq 400000"), detached=True)
            await session.wait()
            viewer = await session.attach()
            await wait_until.aio(lambda: waiting_bytes(viewer) == TERMINAL_WINDOW_BYTES)
            for _ in range(10):
                assert await host.call("desk", "echo", {"value": 1}) == 1
            assert waiting_bytes(viewer) == TERMINAL_WINDOW_BYTES
            assert (await Reader(viewer).rest()).stdout == NUMBERS[-1_000_000:]

    run(body())


def test_first_viewer_misses_nothing_however_late(run: Run, tmp_path: Path) -> None:
    """Unless it was opened detached, a session whose ring is full waits for somebody to look."""

    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("seq 400000"), tty=False, replay_bytes=1000)
            info = await session.get()
            assert info.output["stdout"].start == 0
            reader = await read(session)
            assert reader.stdout == NUMBERS
            assert reader.items[0].offset == 0
            # From now on it keeps what its ring holds.
            assert len((await read(session)).stdout) == 1000

    run(body())


def test_ended_session_is_read_like_a_running_one(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await ended(host, "seq 10")
            for _ in range(3):
                assert (await read(session)).stdout == NUMBERS[:21]
            with pytest.raises(SessionClosed):
                await session.signal("SIGTERM")

    run(body())
