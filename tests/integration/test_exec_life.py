"""When sessions begin, how long they stay, and what is left of them: nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from plugin_host import (
    CallError,
    Session,
    SessionClosed,
    SessionExists,
    SessionNotFound,
)
from tests.run import Run
from tests.session import Reader, ids, processes, read, runner, sh
from tests.wait import WaitUntil

PIPES_AND_TERMINALS = pytest.mark.parametrize("tty", [False, True])

SLOW = """
    import asyncio, time

    @plugin.exec("slow", default_command=["sleep", "60"])
    def slow(ctx, opts):
        # Deaf to being cancelled, like most of what waits for something far away.
        asked.append(opts.id)
        time.sleep(opts.params["seconds"])
        return sdk.exec.ExecSpec(opts.command)

    @plugin.exec("listening")
    async def listening(ctx, opts):
        asked.append(opts.id)
        await asyncio.sleep(60)
        return sdk.exec.ExecSpec(["sleep", "60"])

    @plugin.command("asked")
    def get_asked(ctx):
        return asked

    asked = []
"""


# Beginning.


def test_session_outlives_the_call_and_the_task_that_opened_it(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:

            async def open_one() -> None:
                async with asyncio.timeout(5):
                    await host.exec("desk", ["cat"], id="one", tty=False)
                raise RuntimeError("the task that opened it fails")

            task = asyncio.ensure_future(open_one())
            await asyncio.wait([task])
            assert isinstance(task.exception(), RuntimeError)
            (session,) = await host.sessions()
            assert session.id == "one"
            await session.write(b"still here")
            await session.close_stdin()
            assert (await read(session)).stdout == b"still here"
            assert (await session.wait()).code == 0

    run(body())


def test_session_that_nobody_holds_runs_on_and_is_found(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            await host.exec("desk", sh("read x; exit $x"), tty=False, id="one", labels={"a": "b"})
            (session,) = await host.sessions()
            assert session.info.labels == {"a": "b"}
            await session.write(b"5\n")
            assert (await session.wait()).code == 5
            assert [one.exit and one.exit.code for one in await host.sessions()] == [5]

    run(body())


def test_cancel_before_success_undoes_everything(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    """Also when the handler is deaf to it and names something to run later."""

    async def body() -> None:
        async with runner(tmp_path, SLOW) as host:
            command = sh(f"sleep 60; : {tmp_path}")
            for resource in ("slow", "listening"):
                params = {"seconds": 0.3}
                opening = asyncio.ensure_future(
                    host.exec("desk", command, resource=resource, id="one", tty=False, params=params)
                )

                async def is_asked() -> bool:
                    return "one" in await host.call("desk", "asked")

                await wait_until.aio(is_asked)
                opening.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await opening

                assert await ids(host) == []

                # What takes its id waits for its end, and is not closed by what was called off.
                session = await host.exec("desk", ["cat"], resource="local", id="one", tty=False)
                assert processes(tmp_path) == []
                await session.write(b"hi")
                await session.close_stdin()
                assert (await read(session)).stdout == b"hi"
                await session.close()

    run(body())


@PIPES_AND_TERMINALS
def test_cancel_at_any_moment_leaves_nothing(
    run: Run, tmp_path: Path, wait_until: WaitUntil, tty: bool
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            command = ["tail", "-f", "/dev/null", str(tmp_path / "absent")]
            await (await host.exec("desk", command, tty=tty)).close()
            for step in range(60):
                opening = asyncio.ensure_future(host.exec("desk", command, tty=tty))
                if step % 3 == 0:
                    for _ in range(step // 3):
                        await asyncio.sleep(0)
                else:
                    await asyncio.wait([opening], timeout=step / 10_000)
                opening.cancel()
                await asyncio.wait([opening])
                if not opening.cancelled():
                    await opening.result().close()

            async def is_free() -> bool:
                return await ids(host) == []

            await wait_until.aio(is_free)
            # One that was still being opened is not listed, and ended all the same.
            await wait_until.aio(lambda: processes(tmp_path) == [])
            assert await host.call("desk", "echo", {"value": 1}) == 1

    run(body())


def test_session_is_listed_once_it_is_open(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    """Before that it may still come to nothing."""

    async def body() -> None:
        async with runner(tmp_path, SLOW) as host:
            opening = asyncio.ensure_future(
                host.exec("desk", ["true"], resource="slow", tty=False, params={"seconds": 0.2})
            )
            while not await host.call("desk", "asked"):
                assert await host.sessions() == []
            assert await host.sessions() == []
            session = await opening
            assert await host.sessions() == [session]
            await session.close()

    run(body())


# Ids.


def test_id_that_is_taken_is_refused_before_the_handler_is_asked(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path, SLOW) as host:

            async def open_one() -> Session:
                return await host.exec(
                    "desk", ["true"], resource="slow", id="one", tty=False, params={"seconds": 0.1}
                )

            first = asyncio.ensure_future(open_one())
            second = asyncio.ensure_future(open_one())
            session = await first
            with pytest.raises(SessionExists) as caught:
                await second
            assert caught.value.session == "one"
            # An ended session that is kept has its id, too; then it is the plugin that says so.
            await session.wait()
            with pytest.raises(SessionExists):
                await open_one()
            assert await host.call("desk", "asked") == ["one"]
            assert (await session.wait()).code == 0
            await session.close()
            again = await open_one()
            assert again is not session
            assert await host.call("desk", "asked") == ["one", "one"]
            await again.close()

    run(body())


def test_ids_are_chosen_when_none_is_given(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            sessions = [await host.exec("desk", ["true"], tty=False) for _ in range(20)]
            assert len({session.id for session in sessions}) == 20
            assert await ids(host) == [session.id for session in sessions]

    run(body())


def test_id_that_is_none_is_refused(run: Run, tmp_path: Path) -> None:
    given: list[Any] = ["", "with blank", "new\nline", "x" * 129, "ümlaut", 7]

    async def body() -> None:
        async with runner(tmp_path) as host:
            for id in given:
                with pytest.raises(CallError) as caught:
                    await host.exec("desk", ["true"], id=id)
                assert caught.value.name == "rpc.invalid_params"
            session = await host.exec("desk", ["true"], id="x" * 128)
            assert await ids(host) == [session.id]

    run(body())


# After the end.


@PIPES_AND_TERMINALS
def test_ended_session_is_only_read(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("echo hi"), tty=tty)
            await session.wait()
            refused: list[Callable[[], Awaitable[object]]] = [
                lambda: session.write(b"more"),
                lambda: session.signal("SIGTERM"),
            ]
            if tty:
                refused.append(lambda: session.resize(rows=10, cols=10))
            for act in refused:
                with pytest.raises(SessionClosed) as caught:
                    await act()
                assert caught.value.session == session.id
            await session.close_stdin()  # it takes no more input as it is
            assert (await session.get()).state == "ended"
            async with await session.attach(rows=10, cols=10) as viewer:
                assert (await Reader(viewer).rest()).stdout.split() == [b"hi"]
                with pytest.raises(SessionClosed):
                    await viewer.write(b"more")
            await session.close()

    run(body())


@PIPES_AND_TERMINALS
def test_closed_session_is_forgotten(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            ended = await host.exec("desk", ["true"], tty=tty)
            await ended.wait()
            running = await host.exec("desk", ["sleep", "60"], tty=tty)
            for session in (ended, running):
                await session.close()
                refused: list[Callable[[], Awaitable[object]]] = [
                    session.close,
                    session.get,
                    session.attach,
                    lambda: session.write(b"more"),  # noqa: B023
                    lambda: session.signal("SIGTERM"),  # noqa: B023
                    lambda: session.resize(rows=10, cols=10),  # noqa: B023
                    session.close_stdin,
                ]
                for act in refused:
                    with pytest.raises(SessionNotFound) as caught:
                        await act()
                    assert caught.value.session == session.id
                await session.detach()
                assert (await session.wait()) is session.exit
            assert await ids(host) == []

    run(body())


ACTS: list[Callable[[Session], Awaitable[object]]] = [
    lambda session: session.write(b"more"),
    lambda session: session.signal("SIGTERM"),
    lambda session: session.resize(rows=10, cols=10),
]
MORE = (Session.close_stdin, Session.get, Session.attach, Session.close)


def test_successor_of_the_same_id_is_not_reached_through_its_predecessor(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            closed = await host.exec("desk", ["true"], id="one", tty=True)
            await closed.wait()
            await closed.close()
            pushed_out = await host.exec("desk", ["true"], id="two", tty=True)
            await pushed_out.wait()
            for _ in range(64):
                await (await host.exec("desk", ["true"], tty=False)).wait()
            for old in (closed, pushed_out):
                successor = await host.exec("desk", ["cat"], id=old.id, tty=True)
                for act in (*ACTS, *MORE):
                    with pytest.raises(SessionNotFound):
                        await act(old)
                assert successor.exit is None
                assert (await successor.get()).state == "running"
                await successor.close()

    run(body())


def test_viewer_of_a_forgotten_session_types_into_nothing(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["true"], tty=True)
            viewer = await session.attach(rows=10, cols=10)
            other = await session.attach(rows=20, cols=20)
            await session.wait()
            with pytest.raises(SessionClosed):
                await viewer.write(b"more")
            await session.close()
            for one in (viewer, other):
                with pytest.raises(SessionNotFound):
                    await one.write(b"more")
                with pytest.raises(SessionNotFound):
                    await one.resize(rows=30, cols=30)

    run(body())


def test_sixty_four_ended_sessions_are_kept_the_newest(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            held = [await host.exec("desk", ["true"], tty=False) for _ in range(4)]
            watched = await held[0].attach()
            running = await host.exec("desk", ["sleep", "60"], tty=False)
            for session in held:
                await session.wait()
            later = []
            for _ in range(64):
                later.append(await host.exec("desk", ["true"], tty=False))
                await later[-1].wait()
            kept = [running.id, *(session.id for session in later)]

            async def are_kept() -> bool:
                return await ids(host) == kept

            await wait_until.aio(are_kept)  # an exit is told before room is made for it
            # Whatever is tried first finds that out.
            for session, act in zip(held, (*ACTS, Session.close_stdin), strict=True):
                for again in (act, *ACTS, *MORE):
                    with pytest.raises(SessionNotFound) as caught:
                        await again(session)
                    assert caught.value.session == session.id
                assert (await session.wait()).code == 0
            for act in ACTS:
                with pytest.raises(SessionClosed):
                    await act(later[0])
            await later[0].close_stdin()
            assert (await Reader(watched).rest()).stdout == b""
            await running.close()

    run(body())
