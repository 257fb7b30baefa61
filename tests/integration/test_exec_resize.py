"""The size of a session's terminal: as given, as changed, as programs and handlers see it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from plugin_host import CallError, CallFailed, SessionClosed, TerminalError
from tests.run import Run
from tests.session import Reader, read, runner, sh
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

FOLLOW = sh("trap 'stty size' WINCH; echo ready; while :; do read line; echo got $line; done")

HANDLERS = """
    import time

    @plugin.exec("taking", handles_resize=True)
    def taking(ctx, opts, tty, resize):
        tty.write(f"{opts.rows} {opts.cols}.".encode())
        for size in resize:
            tty.write(f"{size.rows} {size.cols}.".encode())

    @plugin.exec("taking_async", handles_resize=True)
    async def taking_async(ctx, opts, tty, resize):
        tty.write(f"{opts.rows} {opts.cols}.".encode())
        async for size in resize:
            tty.write(f"{size.rows} {size.cols}.".encode())

    @plugin.exec("polling", handles_resize=True)
    def polling(ctx, opts, tty, resize):
        assert resize.get(0.01) is None
        tty.write(b"ready.")
        size = resize.get()
        tty.write(f"{size.rows} {size.cols}.".encode())
        return 5

    @plugin.exec("watching")
    def watching(ctx, opts, tty, resize):
        import os
        tty.write(b"ready.")
        for size in resize:
            there = os.get_terminal_size(tty.fileno())
            tty.write(f"{size.rows} {size.cols} {there.lines} {there.columns}.".encode())

    @plugin.exec("deaf", handles_resize=True)
    def deaf(ctx, opts, tty, resize):
        ctx.cancelled.wait(60)
"""


def test_terminal_begins_with_27_rows_of_72(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["stty", "size"])
            assert (session.info.rows, session.info.cols) == (27, 72)
            assert (await read(session)).stdout == b"27 72\r\n"

    run(body())


def test_terminal_begins_with_the_size_that_was_asked(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            for rows, cols in ((1, 1), (24, 80), (65535, 65535)):
                session = await host.exec("desk", ["stty", "size"], rows=rows, cols=cols)
                assert (await read(session)).stdout == b"%d %d\r\n" % (rows, cols)

    run(body())


@pytest.mark.parametrize("half", [{"rows": 24}, {"cols": 80}])
def test_half_a_size_is_refused(run: Run, tmp_path: Path, half: dict[str, Any]) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            with pytest.raises(CallFailed, match=r"exec: .* a size takes both") as caught:
                await host.exec("desk", ["stty", "size"], **half)
            assert caught.value.name == "rpc.invalid_params"
            session = await host.exec("desk", ["cat"])
            with pytest.raises(CallFailed, match=r"attach: .* a size takes both"):
                await session.attach(**half)
            assert (await session.get()).viewers == 0
            await session.close()

    run(body())


def test_program_is_told_of_a_change(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", FOLLOW)
            reader = Reader(await session.attach())
            await reader.until(b"ready\r\n")
            for rows, cols in ((30, 100), (1, 65535), (65535, 1), (24, 80)):
                await session.resize(rows=rows, cols=cols)
                await reader.until(b"%d %d\r\n" % (rows, cols))
                info = await session.get()
                assert (info.rows, info.cols) == (rows, cols)
            await session.close()

    run(body())


def test_size_that_no_terminal_has_is_refused(run: Run, tmp_path: Path) -> None:
    sizes: list[tuple[Any, Any]] = [
        (0, 80), (24, 0), (-1, 80), (65536, 80), (24, 2**40), (24, 2**70), ("24", 80), (1.5, 80), (True, 1)
    ]  # fmt: skip

    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("read x; stty size"))
            viewer = await session.attach()
            for rows, cols in sizes:
                with pytest.raises(CallError):
                    await host.exec("desk", ["stty", "size"], rows=rows, cols=cols)
                with pytest.raises(CallFailed):
                    await session.resize(rows=rows, cols=cols)
                with pytest.raises(CallFailed):
                    await viewer.resize(rows=rows, cols=cols)
            await session.write(b"\n")
            assert (await Reader(viewer).rest()).stdout.endswith(b"27 72\r\n")
            assert await host.sessions() == [session]

    run(body())


def test_pipes_have_no_size(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["cat"], tty=False)
            assert (session.info.rows, session.info.cols) == (None, None)
            with pytest.raises(TerminalError, match="pipes"):
                await session.resize(rows=24, cols=80)
            await session.close()

    run(body())


def test_ended_session_has_no_size_to_change(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["true"])
            await session.wait()
            with pytest.raises(SessionClosed):
                await session.resize(rows=24, cols=80)

    run(body())


# Handlers.


@pytest.mark.parametrize("resource", ["taking", "taking_async"])
def test_handler_that_takes_sizes_has_them_in_order(run: Run, tmp_path: Path, resource: str) -> None:
    async def body() -> None:
        async with runner(tmp_path, HANDLERS) as host:
            session = await host.exec("desk", resource=resource, rows=10, cols=20)
            reader = Reader(await session.attach())
            await reader.until(b"10 20.")
            for rows in range(1, 20):
                await session.resize(rows=rows, cols=2 * rows)
                await reader.until(b"%d %d." % (rows, 2 * rows))
                info = await session.get()
                assert (info.rows, info.cols) == (rows, 2 * rows)
            await session.close()

    run(body())


def test_handler_may_ask_for_the_next_size_or_give_up(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, HANDLERS) as host:
            session = await host.exec("desk", resource="polling")
            reader = Reader(await session.attach())
            await reader.until(b"ready.")
            await session.resize(rows=3, cols=4)
            await reader.until(b"3 4.")
            assert (await session.wait()).code == 5

    run(body())


def test_handler_that_leaves_sizes_to_the_terminal_may_watch_them(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, HANDLERS) as host:
            session = await host.exec("desk", resource="watching")
            reader = Reader(await session.attach())
            await reader.until(b"ready.")
            await session.resize(rows=3, cols=4)
            await reader.until(b"3 4 3 4.")
            await session.close()

    run(body())


def test_handler_that_is_deaf_to_sizes_is_an_error_for_who_asked_and_nobody_else(
    run: Run, tmp_path: Path
) -> None:
    async def body() -> None:
        async with runner(tmp_path, HANDLERS) as host:
            deaf = await host.exec("desk", resource="deaf")
            taking = await host.exec("desk", resource="taking")
            loop = asyncio.get_running_loop()
            before = loop.time()
            asking = [asyncio.ensure_future(deaf.resize(rows=n, cols=n)) for n in range(1, 50)]
            for rows in range(1, 20):
                await taking.resize(rows=rows, cols=rows)
                assert await host.call("desk", "echo", {"value": rows}) == rows
            assert loop.time() - before < 0.45, "others waited for the deaf one"
            outcomes = await asyncio.gather(*asking, return_exceptions=True)
            assert 0.45 < loop.time() - before < 2
            for outcome in outcomes:
                assert isinstance(outcome, TerminalError), outcome
                assert "0.5 s" in str(outcome)
            info = await deaf.get()
            assert (info.rows, info.cols) == (27, 72)
            await asyncio.gather(deaf.close(), taking.close())

    run(body())


def test_size_that_is_waited_for_when_the_session_ends_is_no_failure_that_hangs(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path, HANDLERS) as host:
            deaf = await host.exec("desk", resource="deaf")
            asking = asyncio.ensure_future(deaf.resize(rows=5, cols=5))
            await deaf.close()
            await asyncio.wait([asking], timeout=5)
            assert asking.done()
            error = asking.exception()
            assert error is None or isinstance(error, CallError)

    run(body())
