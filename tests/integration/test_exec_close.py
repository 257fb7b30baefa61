"""Closing a session: it is asked, asked again and killed, with all that it has started and nobody else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plugin_host import Session, SessionNotFound
from tests.run import Run
from tests.session import Reader, ids, is_alive, processes, runner, sh
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

PIPES_AND_TERMINALS = pytest.mark.parametrize("tty", [False, True])


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


def test_stopped_programs_are_closed_as_well(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            for tty in (False, True):
                # In the middle of starting another, a program would not be stopped but stuck.
                session = await host.exec("desk", ["tail", "-f", "/dev/null", str(tmp_path)], tty=tty)
                await session.signal("SIGSTOP")
                await session.close()
                assert (await session.wait()).signal == ("SIGHUP" if tty else "SIGTERM")
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


def test_opening_that_is_cancelled_leaves_the_ended_session_of_its_id_alone(
    run: Run, tmp_path: Path
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["true"], tty=False, id="taken")
            await session.wait()
            opening = asyncio.ensure_future(host.exec("desk", ["true"], tty=False, id="taken"))
            await asyncio.sleep(0)  # it has asked, and has no answer
            opening.cancel()
            await asyncio.wait([opening])
            assert opening.cancelled()
            await host.exec("desk", ["true"], tty=False)  # what was sent before it has arrived
            assert (await session.get()).exit == session.exit
            await session.close()

    run(body())
