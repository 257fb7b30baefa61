"""When sessions begin, how long they stay, and what is left of them: nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from plugin_host import (
    CallCancelled,
    CallError,
    HandlerNotFound,
    PluginDied,
    PluginHost,
    PluginNotReady,
    Session,
    SessionClosed,
    SessionExists,
    SessionNotFound,
)
from tests.run import Run
from tests.session import Reader, is_alive, read, runner, sh
from tests.stage import stage, write_plugin
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


async def ids(host: PluginHost) -> list[str]:
    return [session.id for session in await host.sessions()]


def processes(place: Path) -> list[int]:
    """Those that have the path among their arguments, and so were started by the test's scripts."""
    mark = os.fsencode(place)
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            arguments = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if mark in arguments and b"plugin_host_sdk" not in arguments:
            found.append(int(name))
    return [pid for pid in found if pid != os.getpid() and is_alive(pid)]


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

                async def open_again() -> Session | None:
                    try:
                        return await host.exec("desk", ["cat"], resource="local", id="one", tty=False)
                    except SessionExists:
                        return None

                # The id is free in the end, and what takes it is not closed by what was called off.
                session = await wait_until.aio(open_again)
                assert session is not None
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
            command = sh(f"sleep 60; : {tmp_path}")
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
            assert processes(tmp_path) == []
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
                lambda: session.close_stdin(),
            ]
            if tty:
                refused.append(lambda: session.resize(rows=10, cols=10))
            for act in refused:
                with pytest.raises(SessionClosed) as caught:
                    await act()
                assert caught.value.session == session.id
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
                    lambda: session.signal("SIGTERM"),  # noqa: B023
                    lambda: session.resize(rows=10, cols=10),  # noqa: B023
                ]
                for act in refused:
                    with pytest.raises(SessionNotFound) as caught:
                        await act()
                    assert caught.value.session == session.id
                with pytest.raises(SessionClosed):
                    await session.write(b"more")
                await session.detach()
                assert (await session.wait()) is session.exit
            assert await ids(host) == []

    run(body())


def test_sixty_four_ended_sessions_are_kept_the_newest(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            held = [await host.exec("desk", ["true"], tty=False) for _ in range(3)]
            watched = await held[0].attach()
            running = await host.exec("desk", ["sleep", "60"], tty=False)
            for session in held:
                await session.wait()
            later = []
            for _ in range(64):
                later.append(await host.exec("desk", ["true"], tty=False))
                await later[-1].wait()
            assert await ids(host) == [running.id, *(session.id for session in later)]
            for session in held:
                with pytest.raises(SessionNotFound):
                    await session.attach()
                assert (await session.wait()).code == 0
            assert (await Reader(watched).rest()).stdout == b""
            await running.close()

    run(body())


# Closing.


@PIPES_AND_TERMINALS
def test_close_lets_the_program_end_in_its_own_way(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            polite = "HUP" if tty else "TERM"
            script = f"trap 'echo bye; exit 7' {polite}; echo ready; read x"
            session = await host.exec("desk", sh(script), tty=tty)
            reader = Reader(await session.attach())
            await reader.until(b"ready")
            await session.close()
            exit = await session.wait()
            assert exit.code == 7
            assert "closed" in exit.reason
            await reader.rest()
            assert reader.stdout.split() == [b"ready", b"bye"]

    run(body())


def test_what_ignores_being_asked_is_killed(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh("trap '' HUP TERM; echo ready; while :; do sleep 0.05; done")
            sessions = [await host.exec("desk", script, tty=tty) for tty in (False, True)]
            readers = [Reader(await session.attach()) for session in sessions]
            for reader in readers:
                await reader.until(b"ready")
            pids = [(await session.get()).pid or 0 for session in sessions]
            before = asyncio.get_running_loop().time()
            await asyncio.gather(*(session.close() for session in sessions))
            assert 1.9 < asyncio.get_running_loop().time() - before < 4
            assert not any(map(is_alive, pids))
            for session, reader in zip(sessions, readers, strict=True):
                assert (await session.wait()).signal == "SIGKILL"
                await reader.rest()

    run(body())


def test_closing_twice_at_once_is_closing_once(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["sleep", "60"], tty=False)
            outcomes = await asyncio.gather(*(session.close() for _ in range(5)), return_exceptions=True)
            assert None in outcomes
            assert all(one is None or isinstance(one, SessionNotFound) for one in outcomes)
            assert (await session.wait()).signal == "SIGTERM"

    run(body())


ESCAPES = """
import os, signal, sys, time
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:  # a child
    if os.fork() == 0:  # one whose parent ends
        os.setsid()
        if os.fork() == 0:  # and one that does it twice
            os.setsid()
        time.sleep(60)
    elif os.fork() == 0:  # a group of its own
        os.setpgid(0, 0)
        time.sleep(60)
    os._exit(0)
if os.fork() == 0:  # a session of its own
    os.setsid()
    time.sleep(60)
print("ready", flush=True)
time.sleep(60)
"""


def test_close_ends_the_whole_group_and_all_descendants(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """And nobody else: another session's stay."""

    async def body() -> None:
        async with runner(tmp_path) as host:

            async def open_one(name: str, tty: bool) -> Session:
                command = ["python3", "-c", ESCAPES, str(tmp_path / name)]
                session = await host.exec("desk", command, tty=tty)
                await Reader(await session.attach()).until(b"ready")
                await wait_until.aio(lambda: len(processes(tmp_path / name)) == 5)
                return session

            closed = [await open_one("pipes", False), await open_one("terminal", True)]
            await open_one("bystander", True)
            await asyncio.gather(*(session.close() for session in closed))
            assert processes(tmp_path / "pipes") == processes(tmp_path / "terminal") == []
            assert len(processes(tmp_path / "bystander")) == 5
        assert processes(tmp_path / "bystander") == []

    run(body())


def test_stopped_programs_are_closed_as_well(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            for tty in (False, True):
                session = await host.exec("desk", sh(f"sleep 60; : {tmp_path}"), tty=tty)
                await session.signal("SIGSTOP")
                await session.close()
                assert (await session.wait()).signal in ("SIGTERM", "SIGHUP")
                assert processes(tmp_path) == []

    run(body())


def test_many_are_closed_at_once(run: Run, tmp_path: Path) -> None:
    """Each takes two seconds, and all of them together, too."""

    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh(f"trap '' HUP TERM; echo ready; while :; do sleep 0.5; done; : {tmp_path}")
            sessions = [await host.exec("desk", script, tty=number % 2 == 0) for number in range(30)]
            for session in sessions:
                await Reader(await session.attach()).until(b"ready")
            before = asyncio.get_running_loop().time()
            await asyncio.gather(*(session.close() for session in sessions))
            assert asyncio.get_running_loop().time() - before < 6
            assert processes(tmp_path) == []
            assert await ids(host) == []

    run(body())


FUNCTIONS = """
    import asyncio, time

    ended = []

    @plugin.exec("waiting")
    def waiting(ctx, opts, tty, resize):
        try:
            while tty.read(1):
                pass
        finally:
            ended.append("waiting")

    @plugin.exec("attentive")
    def attentive(ctx, opts, tty, resize):
        ctx.cancelled.wait()
        tty.write(b"bye")
        ended.append("attentive")
        return 7

    @plugin.exec("attentive_async")
    async def attentive_async(ctx, opts, tty, resize):
        async for size in resize:
            pass
        tty.write(b"bye")
        ended.append("attentive_async")
        return 7

    @plugin.exec("stubborn")
    def stubborn(ctx, opts, tty, resize):
        time.sleep(2.5)
        ended.append("stubborn")

    @plugin.exec("lost")
    async def lost(ctx, opts, tty, resize):
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("lost")

    @plugin.command("ended")
    def get_ended(ctx):
        return sorted(ended)
"""


def test_functions_are_told_and_hung_up_and_given_up(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    names = ["attentive", "attentive_async", "lost", "stubborn", "waiting"]

    async def body() -> None:
        async with runner(tmp_path, FUNCTIONS) as host:
            sessions = {name: await host.exec("desk", resource=name) for name in names}
            viewers = {name: await session.attach() for name, session in sessions.items()}
            loop = asyncio.get_running_loop()
            before = loop.time()

            async def close(name: str) -> float:
                await sessions[name].close()
                return loop.time() - before

            took = dict(zip(names, await asyncio.gather(*map(close, names)), strict=True))
            for name in ("attentive", "attentive_async"):
                assert took[name] < 0.9
                assert (await sessions[name].wait()).code == 7
                assert (await Reader(viewers[name]).rest()).stdout == b"bye"
            for name in ("waiting", "lost"):
                assert took[name] < 1.9, "it was neither hung up nor cancelled"
                exit = await sessions[name].wait()
                assert (exit.code, exit.error) == (None, None)
                assert "hung up" in exit.reason
            assert took["stubborn"] < 4
            assert "did not return" in (await sessions["stubborn"].wait()).reason

            async def all_ended() -> bool:
                return bool(await host.call("desk", "ended") == names)

            await wait_until.aio(all_ended)

    run(body())


def test_viewers_of_a_closed_session_have_its_last_output(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh("trap 'seq 20000; exit 3' TERM; echo ready; while :; do sleep 0.01; done")
            session = await host.exec("desk", script, tty=False)
            reader = Reader(await session.attach())
            await reader.until(b"ready\n")
            closing = asyncio.ensure_future(session.close())
            await reader.rest()
            await closing
            assert reader.stdout == b"ready\n" + b"".join(b"%d\n" % number for number in range(1, 20_001))

    run(body())


# The plugin's end.


@PIPES_AND_TERMINALS
def test_death_of_the_plugin_is_told_everywhere(
    run: Run, tmp_path: Path, wait_until: WaitUntil, tty: bool
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh(f"echo hi; cat; : {tmp_path}"), tty=tty)
            ended = await host.exec("desk", ["true"], tty=tty)
            exit = await ended.wait()
            viewer = await session.attach()
            reader = Reader(viewer)
            await reader.until(b"hi")
            waiting = [
                asyncio.ensure_future(one)
                for one in (session.wait(), reader.rest(), session.write(bytes(64 * 1024 * 1024)))
            ]
            await host.call("desk", "echo")
            pid = host.plugins["desk"].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await asyncio.wait(waiting)
            errors = [task.exception() for task in waiting]
            acts: list[Callable[[], Awaitable[object]]] = [
                session.wait,
                session.get,
                session.attach,
                session.close,
                session.close_stdin,
                lambda: session.write(b"more"),
                lambda: session.signal("SIGTERM"),
                lambda: session.resize(rows=10, cols=10),
                lambda: viewer.write(b"more"),
                lambda: viewer.resize(rows=10, cols=10),
                lambda: anext(viewer),
                ended.get,
                ended.attach,
            ]
            for act in acts:
                with pytest.raises(PluginDied) as caught:
                    await act()
                errors.append(caught.value)
            for error in errors:
                assert isinstance(error, PluginDied), error
                assert error.retryable
                assert "SIGKILL" in str(error)
                assert error.plugin == "desk"
            assert f"with session {session.id} open" in str(errors[0])
            # What was known stays known, and leaving is no failure.
            assert await ended.wait() == exit
            await viewer.detach()
            await session.detach()
            assert await host.sessions() == []
            with pytest.raises(PluginNotReady):
                await host.exec("desk", ["true"])
            await wait_until.aio(lambda: processes(tmp_path) == [])

    run(body())


def test_plugin_that_dies_while_a_session_is_opened_fails_that(run: Run, tmp_path: Path) -> None:
    code = """
        import os

        @plugin.exec("deadly")
        def deadly(ctx, opts):
            os._exit(9)
    """

    async def body() -> None:
        async with runner(tmp_path, code) as host:
            with pytest.raises(PluginDied) as caught:
                await host.exec("desk", resource="deadly", tty=False)
            assert caught.value.retryable

    run(body())


def test_stop_of_the_plugin_ends_its_sessions(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = f"trap 'echo bye; exit 7' HUP TERM; echo ready; read x; : {tmp_path}"
            sessions = [await host.exec("desk", sh(script), tty=tty) for tty in (False, True)]
            readers = [Reader(await session.attach()) for session in sessions]
            for reader in readers:
                await reader.until(b"ready")
            await host.stop("desk")
            assert processes(tmp_path) == []
            for session, reader in zip(sessions, readers, strict=True):
                exit = await session.wait()
                assert exit.code == 7
                assert "the plugin is stopping" in exit.reason
                await reader.rest()
                assert reader.stdout.split() == [b"ready", b"bye"]
                with pytest.raises(CallCancelled):
                    await session.get()

    run(body())


def test_plugin_that_is_started_again_has_new_sessions(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            old = await host.exec("desk", ["cat"], id="one", tty=False)
            await host.restart("desk")
            assert await ids(host) == []
            new = await host.exec("desk", ["cat"], id="one", tty=False)
            with pytest.raises(CallCancelled):
                await old.get()
            assert old.exit is not None
            await new.write(b"new")
            await new.close_stdin()
            assert (await read(new)).stdout == b"new"

    run(body())


def test_plugin_without_sessions_says_so(run: Run, tmp_path: Path) -> None:
    write_plugin(tmp_path, "plain")

    async def body() -> None:
        async with stage("plain", dirs=[tmp_path]) as host:
            with pytest.raises(HandlerNotFound) as caught:
                await host.exec("plain", ["true"])
            assert caught.value.data == {"handlers": []}
            assert await host.sessions() == []

    run(body())
