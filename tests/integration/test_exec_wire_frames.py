"""Frames of sessions that a plugin should not send, or not now: what breaks off, and what is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from plugin_host import Gap, Output, PluginDied, SessionClosed, Viewer
from plugin_host_sdk.protocol import FULL_PAYLOAD_BYTES, OUTPUT_WINDOW_BYTES
from tests.run import Run
from tests.script import answer, collected, data, end, exited, is_well, opened, say
from tests.stage import stage

pytestmark = pytest.mark.edges


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("data for the input", data("$stdin", 0, b"x")),
        ("data for nobody", [2, "stream.data", [2**40, 0, b"x"]]),
        ("data with a hole", data("$stdout", 5, b"x")),
        ("no data", data("$stdout", 0, b"")),
        ("text", [2, "stream.data", ["$stdout", 0, "x"]]),
        ("a frame over the limit", data("$stdout", 0, bytes(65_537))),
        ("a total that lies", end("$stdout", 1)),
        ("a gap of nothing", [2, "stream.gap", ["$stdout", 0, 0]]),
        ("credit for an output", [2, "stream.credit", ["$stdout", 5]]),
        ("no credit", [2, "stream.credit", ["$stdin", 0]]),
        ("endless credit", [2, "stream.credit", ["$stdin", 2**41]]),
    ],
)
def test_frame_that_breaks_the_protocol_ends_the_plugin_with_an_explanation(
    run: Run, name: str, message: list[Any]
) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            viewer = await session.attach()
            reading = asyncio.ensure_future(anext(viewer))
            waiting = asyncio.ensure_future(session.wait())
            await say(host, message)
            await asyncio.wait([reading, waiting])
            for task in (reading, waiting):
                error = task.exception()
                assert isinstance(error, PluginDied), error
                assert "broke the protocol" in str(error)
                assert error.retryable

    run(body())


def test_more_than_there_is_credit_for_ends_the_plugin(run: Run) -> None:
    """What waits in the host for a viewer that does not read stays within the window."""

    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            full = FULL_PAYLOAD_BYTES
            frames = [data("$stdout", number * full, bytes(full)) for number in range(17)]
            await answer(host, "attach", after=frames)
            viewer = await session.attach()
            with pytest.raises(PluginDied, match="with credit for"):
                await session.wait()
            sizes = [len(item.data) async for item in _until_death(viewer) if isinstance(item, Output)]
            assert sum(sizes) == OUTPUT_WINDOW_BYTES == 16 * full

    run(body())


async def _until_death(viewer: Viewer) -> AsyncIterator[Output | Gap]:
    try:
        async for item in viewer:
            yield item
    except PluginDied:
        pass


def test_frames_that_no_longer_matter_are_dropped(run: Run) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            viewer = await session.attach()
            await viewer.detach()
            await say(
                host,
                data("$stdout", 0, b"late"),
                [2, "stream.gap", ["$stdout", 4, 5]],
                end("$stdout", 9),
                end("$stdout", 9),
                data("$stdout", 0, b"later"),
                [2, "stream.stop", ["$stdout"]],
                [2, "stream.stop", [2**40]],
            )
            assert await is_well(host)

    run(body())


def test_gaps_of_the_plugin_are_the_viewers(run: Run) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            place = {"base": 1000, "start": 1010, "end": 1012, "evicted": 10}
            info = {"id": session.id, "handler": "odd_sessions/one", "tty": False}
            await answer(
                host,
                "attach",
                result={"session": info, "stdout": place, "stderr": {}},
                after=[
                    [2, "stream.gap", ["$stdout", 0, 10]],
                    data("$stdout", 10, b"ab"),
                    [2, "stream.gap", ["$stdout", 12, 2**40]],
                    end("$stdout", 12 + 2**40),
                    end("$stderr", 0),
                    exited(totals={"stdout": 1012 + 2**40, "stderr": 0}),
                ],
            )
            assert await collected(session) == [
                Gap("stdout", 1000, 10),
                Output("stdout", 1010, b"ab"),
                Gap("stdout", 1012, 2**40),
            ]

    run(body())


def test_small_pieces_and_gaps_without_end_become_fewer(run: Run) -> None:
    def pieces(first: int) -> list[list[Any]]:
        turns = range(first, first + 1000)
        gaps = [[2, "stream.gap", [stream, at, 1]] for at in turns for stream in ("$stdout", "$stderr")]
        return gaps if first < 5000 else [data("$stdout", at, bytes([at % 256])) for at in turns]

    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            viewer = await session.attach()
            for first in range(0, 10_000, 1000):
                await say(host, *pieces(first))
            assert len(viewer._waiting) < 1100
            await say(host, end("$stdout", 10_000), end("$stderr", 5000))
            await say(host, exited(totals={"stdout": 10_000, "stderr": 5000}))
            at = {"stdout": 0, "stderr": 0}
            async for piece in viewer:
                assert piece.offset == at[piece.stream]
                if isinstance(piece, Gap):
                    at[piece.stream] += piece.size
                else:
                    end_of_it = piece.offset + len(piece.data)
                    assert piece.data == bytes(n % 256 for n in range(piece.offset, end_of_it))
                    at[piece.stream] = end_of_it
            assert at == {"stdout": 10_000, "stderr": 5000}

    run(body())


def test_input_that_is_stopped_or_never_granted_does_not_hang_its_end(run: Run) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            info = {"id": "$session", "handler": "odd_sessions/one", "tty": False}
            await answer(host, "create", result={"session": info, "stdin_window": 0})
            for stop in ([2, "stream.stop", ["$stdin"]], exited()):
                session = await opened(host)
                writing = asyncio.ensure_future(session.write(b"nobody takes it"))
                await is_well(host)
                assert not writing.done()
                await say(host, stop)
                await asyncio.wait([writing])
                assert isinstance(writing.exception(), SessionClosed), writing

    run(body())
