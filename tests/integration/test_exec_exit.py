"""How sessions end: told once, behind every byte, with all there is to know, and never held up."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from plugin_host import Exit, PluginHost, TerminalError
from tests.run import Run
from tests.session import Reader, is_alive, read, runner, sh
from tests.wait import WaitUntil

PIPES_AND_TERMINALS = pytest.mark.parametrize("tty", [False, True])


async def _exit_of(host: PluginHost, script: str, tty: bool) -> Exit:
    session = await host.exec("desk", sh(script), tty=tty)
    exit = await session.wait()
    assert exit is session.exit
    return exit


@PIPES_AND_TERMINALS
def test_exit_has_code_reason_and_duration(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            for code in (0, 1, 3, 126, 127, 128, 137, 255):
                exit = await _exit_of(host, f"exit {code}", tty)
                assert (exit.code, exit.signal, exit.error) == (code, None, None)
                assert str(code) in exit.reason
            before = time.monotonic()
            exit = await _exit_of(host, "sleep 0.2", tty)
            assert 0.2 <= exit.duration <= time.monotonic() - before + 0.01

    run(body())


@PIPES_AND_TERMINALS
def test_signal_that_ended_it_is_named(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            for signal in ("KILL", "TERM", "SEGV", "USR1"):
                exit = await _exit_of(host, f"ulimit -c 0; kill -{signal} $$", tty)
                assert (exit.code, exit.signal) == (None, f"SIG{signal}")
                assert f"SIG{signal}" in exit.reason

    run(body())


@PIPES_AND_TERMINALS
def test_wait_never_waits_for_viewers(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            # More than a pipe or a terminal holds would stop it; this does not.
            session = await host.exec("desk", sh("stty -opost 2>&-; seq 500; exit 3"), tty=tty)
            viewer = await session.attach()
            assert (await session.wait()).code == 3
            reader = await Reader(viewer).rest()
            assert reader.stdout == b"".join(b"%d\n" % number for number in range(1, 501))

    run(body())


@PIPES_AND_TERMINALS
def test_exit_comes_behind_the_last_byte(run: Run, tmp_path: Path, tty: bool) -> None:
    """Whoever has read to the end knows how it ended, and whoever knows that can read everything."""

    async def body() -> None:
        async with runner(tmp_path) as host:

            async def one(number: int) -> None:
                session = await host.exec("desk", sh("head -c 50000 /dev/zero; exit 3"), tty=tty)
                if number % 2:
                    reader = await read(session)
                    assert session.exit is not None
                else:
                    viewer = await session.attach()
                    await session.wait()
                    assert (await session.get()).output["stdout"].end == 50_000
                    reader = await Reader(viewer).rest()
                assert reader.stdout == bytes(50_000)
                assert (await session.wait()).code == 3

            for _ in range(5):
                await asyncio.gather(*map(one, range(20)))

    run(body())


def test_output_that_lies_in_the_pipe_when_the_program_ends_is_not_lost(run: Run, tmp_path: Path) -> None:
    """Although a viewer has stopped the session, and so nobody reads at that moment."""
    # A window, and the largest pipe.
    code = "import fcntl, os; fcntl.fcntl(1, 1031, 1 << 20); os.write(1, bytes(2 << 20)); os._exit(3)"

    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", ["python3", "-c", code], tty=False)
            viewer = await session.attach()
            assert (await session.wait()).code == 3
            assert len((await Reader(viewer).rest()).stdout) == 2 << 20

    run(body())


def test_everybody_who_waits_hears_the_same(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("read x; exit 7"), tty=False)
            (same,) = await host.sessions()
            waiting = [asyncio.ensure_future(one.wait()) for one in (session, same) for _ in range(10)]
            await session.write(b"\n")
            exits = await asyncio.gather(*waiting)
            assert {exit.code for exit in exits} == {7}
            assert await session.wait() == exits[0]
            assert (await session.get()).exit == exits[0]

    run(body())


# What others hold open.


@PIPES_AND_TERMINALS
def test_grandchild_that_holds_the_output_does_not_hold_the_end(
    run: Run, tmp_path: Path, wait_until: WaitUntil, tty: bool
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            # It also writes on, without end.
            more = "echo $$; while echo more; do sleep 0.05; done"
            session = await host.exec("desk", sh(f"trap '' HUP; sh -c '{more}' & read x; exit 4"), tty=tty)
            reader = Reader(await session.attach())
            child = int(await reader.until(b"\n"))
            before = time.monotonic()
            await session.write(b"\n")
            exit = await session.wait()
            assert exit.code == 4
            assert time.monotonic() - before < 2.5
            await reader.rest()
            assert (await session.get()).output["stdout"].end == reader.end()
            assert (await read(session)).stdout == reader.stdout
            # Its output is not read any more, which it learns like from any closed pipe or terminal.
            await wait_until.aio(lambda: not is_alive(child))

    run(body())


@PIPES_AND_TERMINALS
def test_silent_grandchild_does_not_hold_the_end(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            session = await host.exec("desk", sh("setsid sleep 60 & echo started; exit 4"), tty=tty)
            reader = await read(session)
            assert reader.stdout.split() == [b"started"]
            assert (await session.wait()).code == 4
            assert (await session.wait()).duration < 2.5

    run(body())


def test_program_that_closes_its_output_runs_on(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh("echo out; echo err >&2; exec >&- 2>&-; read code; exit $code")
            session = await host.exec("desk", script, tty=False)
            viewer = await session.attach()
            reader = Reader(viewer)
            await reader.until(b"out\n")
            assert (await session.get()).state == "running"
            await session.write(b"9\n")
            await reader.rest()
            assert (await session.wait()).code == 9
            assert reader.stderr == b"err\n"

    run(body())


def test_output_of_both_streams_ends_with_the_session(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            script = sh("seq 20000 & seq 20000 >&2; wait; exit 2")
            reader = await read(await host.exec("desk", script, tty=False))
            assert reader.stdout == reader.stderr == b"".join(b"%d\n" % n for n in range(1, 20_001))

    run(body())


# What does not begin.


@PIPES_AND_TERMINALS
def test_program_that_cannot_be_started_is_no_session(run: Run, tmp_path: Path, tty: bool) -> None:
    plain = tmp_path / "plain"
    plain.write_text("echo hi\n")
    cases: list[tuple[list[str], str | None, str]] = [
        (["no-such-program"], None, "not_found"),
        ([str(plain)], None, "not_executable"),
        ([str(tmp_path)], None, "not_executable"),
        (["true"], str(tmp_path / "nowhere"), "bad_cwd"),
    ]

    async def body() -> None:
        async with runner(tmp_path) as host:
            for command, cwd, reason in cases:
                with pytest.raises(TerminalError) as caught:
                    await host.exec("desk", command, tty=tty, cwd=cwd, id="one")
                assert caught.value.data["reason"] == reason
                assert caught.value.data["errno"] > 0
                assert not caught.value.retryable
            assert await host.sessions() == []
            session = await host.exec("desk", ["true"], tty=tty, cwd=tmp_path, id="one")
            assert (await session.wait()).code == 0

    run(body())
