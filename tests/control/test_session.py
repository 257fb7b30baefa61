"""Sessions that several clients use, and what becomes of them when clients go."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from plugin_host import Exit, Gap, Session
from plugin_host.control.claim import Share
from plugin_host.errors import (
    CallFailed,
    HostLost,
    PluginDied,
    PluginNotFound,
    SessionClosed,
    SessionExists,
    SessionNotFound,
    TerminalError,
    ViewerReadOnly,
)
from tests.control.arena import arena
from tests.run import Run
from tests.session import Reader, read, sh
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

ECHO = "while read line; do echo got $line; done"
LATE: tuple[Callable[[Session], Awaitable[object]], ...] = (
    lambda session: session.write(b"too late"),
    lambda session: session.signal("SIGTERM"),
    lambda session: session.resize(rows=10, cols=10),
    Session.close_stdin,
    Session.attach,
)


def test_two_clients_see_and_type_into_one_session(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            one, two = await scene.client(), await scene.client()
            session = await one.exec("desk", sh(ECHO), tty=False)
            same = await two.session(session.id[:])
            first, second = Reader(await session.attach()), Reader(await same.attach())
            await session.write(b"a\n")
            await first.until(b"got a\n")
            await same.write(b"b\n")
            for reader in (first, second):
                await reader.until(b"got b\n")
            with pytest.raises(ViewerReadOnly):
                await (await same.attach(read_only=True)).write(b"c\n")
            await same.close_stdin()
            assert (await first.rest()).stdout == (await second.rest()).stdout == b"got a\ngot b\n"
            for view in (session, same):
                assert (await view.wait()).code == 0
            with pytest.raises(SessionClosed):
                await same.write(b"too late")

    run(body())


def test_client_that_comes_after_the_end_learns_of_it(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            one = await scene.client()
            session = await one.exec("desk", sh("read x; echo over; exit 3"), tty=False)
            await session.close_stdin()
            await session.wait()
            same = await (await scene.client()).session(session.id)
            assert (await read(same)).stdout == b"over\n"
            assert (await same.wait()).code == 3

    run(body())


def test_bytes_go_through_unchanged_both_ways(tmp_path: Path, own_socket: str, run: Run) -> None:
    size = 8 * 1024 * 1024

    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            session = await (await scene.client()).exec("desk", ["cat"], tty=False)
            data = os.urandom(size)

            async def feed() -> None:
                for start in range(0, size, 300_000):
                    await session.write(memoryview(data)[start : start + 300_000])
                await session.close_stdin()

            feeding = asyncio.create_task(feed())
            reader = await read(session)
            await feeding
            assert hashlib.sha256(reader.stdout).digest() == hashlib.sha256(data).digest()
            assert await session.totals() == {"stdout": size, "stderr": 0}

    run(body())


def test_stderr_stays_apart_and_the_exit_is_told_to_all(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            one, two = await scene.client(), await scene.client()
            session = await one.exec("desk", sh("echo out; echo err >&2; exit 3"), tty=False)
            seen = await two.session(session.id)
            reader = await read(session)
            assert (reader.stdout, reader.stderr) == (b"out\n", b"err\n")
            assert (await seen.wait()).code == (await session.wait()).code == 3

    run(body())


def test_a_viewer_that_comes_back_says_where_it_was(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            session = await (await scene.client()).exec("desk", sh("echo 0123456789; read x"), tty=False)
            viewer = await session.attach()
            await Reader(viewer).until(b"9\n")
            await viewer.detach()
            again = Reader(await session.attach(offset=4))
            assert await again.until(b"\n") == b"456789\n"
            assert again.viewer.start == {"stdout": 4, "stderr": 0}
            with pytest.raises(CallFailed) as beyond:
                await session.attach(offset=4000)
            assert beyond.value.name == "rpc.invalid_params"
            await session.close()

    run(body())


def test_a_viewer_without_lossless_gets_gaps_and_holds_nobody_back(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            one, two = await scene.client(), await scene.client()
            script = "head -c 8000000 /dev/zero"
            session = await one.exec("desk", sh(f"read x; {script}"), tty=False)
            lazy = await (await two.session(session.id)).attach(read_only=True)
            reading = asyncio.create_task(read(session))
            await session.write(b"\n")
            assert len((await reading).stdout) == 8_000_000
            late = await Reader(lazy).rest()
            assert late.gaps
            assert late.end() == 8_000_000
            assert (
                sum(gap.size for gap in late.items if isinstance(gap, Gap)) + len(late.stdout) == 8_000_000
            )

    run(body())


def test_the_terminal_has_the_size_of_the_client_that_typed_last(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            one, two = await scene.client(), await scene.client()
            loop = sh("stty -echo; while read x; do stty size; done")
            session = await one.exec("desk", loop, rows=10, cols=20)
            same = await two.session(session.id)
            first = await session.attach(rows=10, cols=20)
            second = await same.attach(rows=33, cols=77)
            reader = Reader(first)
            await second.write(b"\n")
            await reader.until(b"33 77")
            await first.write(b"\n")
            await reader.until(b"10 20")
            await second.write(b"\n")
            await reader.until(b"33 77")
            await session.close()

    run(body())


def test_errors_of_sessions_are_what_they_are_in_a_host_of_ones_own(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            session = await client.exec("desk", ["cat"], tty=False, id="mine")
            with pytest.raises(SessionExists):
                await client.exec("desk", ["cat"], tty=False, id="mine")
            with pytest.raises(SessionExists):
                await (await scene.client()).exec("desk", ["cat"], tty=False, id="mine")
            with pytest.raises(TerminalError) as missing:
                await client.exec("desk", ["/no/such/program"], tty=False)
            assert missing.value.data["reason"] == "not_found"
            with pytest.raises(CallFailed, match="65535"):
                await session.resize(rows=70_000, cols=1)
            await session.signal("SIGTERM")
            assert (await session.wait()).signal == "SIGTERM"
            with pytest.raises(SessionClosed):
                await session.write(b"too late")
            await session.close()
            with pytest.raises(SessionNotFound):
                await session.close()

    run(body())


def test_sessions_of_a_plugin_that_there_is_not_are_an_error_and_no_empty_list(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            for method in ("host.sessions", "exec.list"):
                assert await client.ask(method, {"plugin": "desk"}) == {"sessions": []}
                assert await client.ask(method, {}) == {"sessions": []}
                with pytest.raises(PluginNotFound, match="did you mean `desk`"):
                    await client.ask(method, {"plugin": "dask"})

    run(body())


def test_a_session_that_one_client_closed_is_forgotten_for_all(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            one, two = await scene.client(), await scene.client()
            session = await one.exec("desk", ["true"], tty=True)
            same = await two.session(session.id)
            for view in (session, same):
                await view.wait()
                with pytest.raises(SessionClosed):
                    await view.write(b"too late")
                await view.close_stdin()
            await same.close()
            for view in (session, same):
                for act in LATE:
                    with pytest.raises(SessionNotFound):
                        await act(view)

    run(body())


def test_a_session_that_the_host_itself_closed_is_forgotten_for_its_clients(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()

            def open_input(session: Session) -> Awaitable[object]:
                return client.open_io(session, ["stdin"])

            for act in (*LATE, open_input):
                session = await client.exec("desk", ["true"], tty=True)
                await session.wait()
                (same,) = await scene.host.sessions()
                await same.close()
                with pytest.raises(SessionNotFound):
                    await act(session)

    run(body())


def test_a_plugin_that_dies_takes_its_sessions_along_with_the_reason(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            client = await scene.client()
            session = await client.exec("desk", ["cat"], tty=False)
            viewer = await session.attach()
            pid = scene.host.plugins["desk"].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(PluginDied) as told:
                await session.wait()
            assert told.value.report is not None
            assert told.value.report.sessions == (session.id,)
            with pytest.raises(PluginDied):
                await Reader(viewer).rest()
            with pytest.raises(PluginDied):
                await session.write(b"x")

    run(body())


@pytest.mark.parametrize("keep", [False, True], ids=["kill", "keep"])
def test_sessions_are_closed_or_kept_when_their_client_goes(
    keep: bool, tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            one, two = await scene.client(keep=keep), await scene.client()
            session = await one.exec("desk", sh(ECHO), tty=False)
            other = await one.exec("desk", sh(ECHO), tty=False, keep=not keep)
            kept, lost = (session, other) if keep else (other, session)
            await one.close()
            await wait_until.aio(lambda: _only(two, kept.id))
            mine = await two.session(kept.id, token=one.token)
            assert (await two.ask("host.sessions"))["sessions"][0]["mine"]
            await mine.write(b"still here\n")
            await Reader(await mine.attach()).until(b"got still here\n")
            with pytest.raises(HostLost):
                await lost.wait()
            await two.release(mine)
            with pytest.raises(SessionNotFound):
                await two.release(mine)

    async def _only(client: object, id: str) -> bool:
        return [one.id for one in await client.sessions()] == [id]  # type: ignore[attr-defined]

    run(body())


def test_viewers_of_a_released_session_are_told_how_it_ended(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            owner, one, two = [await scene.client() for _ in range(3)]
            session = await owner.exec("desk", sh("echo up; exec sleep 60"), tty=False)
            views = [await client.session(session.id) for client in (one, two)]
            readers = [Reader(await view.attach()) for view in views]
            for reader in readers:
                await reader.until(b"up\n")
            await owner.release(session)
            for view, reader in zip(views, readers, strict=True):
                await reader.rest()  # the stream ends
                exit = await view.wait()
                assert (exit.code, exit.signal) == (None, "SIGTERM")
                assert exit.reason == "killed by SIGTERM (terminated); the host closed the session"
            assert await two.sessions() == []

    run(body())


def test_a_later_connection_with_the_token_is_the_same_client(
    tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, share="token") as scene:
            one = await scene.client(keep=True)
            session = await one.exec("desk", sh(ECHO), tty=False)
            await one.close()
            await wait_until.aio(lambda: not scene.server.desks())
            again = await scene.client(token=one.token)
            back = await again.session(session.id)
            await again.keep(back, keep=False)
            await again.close()
            await wait_until.aio(lambda: not scene.server.directory._sessions)

    run(body())


METHODS: list[tuple[str, dict[str, Any]]] = [
    ("exec.get", {}),
    ("exec.attach", {"viewer": 1, "stdout": 2, "stderr": 4}),
    ("exec.join", {"stdin": 2}),
    ("exec.detach", {"viewer": 1}),
    ("exec.resize", {"rows": 1, "cols": 1}),
    ("exec.signal", {"signal": "SIGTERM"}),
    ("exec.close_stdin", {"total": 0}),
    ("exec.close", {}),
    ("exec.close", {"missing_ok": True}),
    ("host.attach", {}),
    ("host.keep", {}),
    ("host.release", {}),
]


@pytest.mark.parametrize("share", ["owner", "token"])
def test_a_session_that_is_not_shared_is_out_of_reach_for_others(
    share: Share, tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, share=share) as scene:
            one, two = await scene.client(), await scene.client()
            session = await one.exec("desk", sh(ECHO), tty=False)
            for method, params in METHODS:
                with pytest.raises(CallFailed) as denied:
                    await two.ask(method, {"session": session.id, "plugin": "desk", **params})
                assert denied.value.name == "host.permission_denied", method
            assert await two.sessions() == []
            assert (await two.ask("exec.list", {"plugin": "desk"}))["sessions"] == []
            third = await scene.client(token=one.token)
            assert len(await third.sessions()) == (1 if share == "token" else 0)
            assert [one.id for one in await one.sessions()] == [session.id]
            await session.write(b"fine\n")
            await Reader(await session.attach()).until(b"got fine\n")

    run(body())


@pytest.mark.parametrize(("share", "hint"), [("owner", False), ("token", False), ("user", True)])
def test_an_id_that_is_wrong_gives_away_no_id_of_anothers_session(
    share: Share, hint: bool, tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket, share=share) as scene:
            one, two = await scene.client(), await scene.client()
            await one.exec("desk", sh(ECHO), tty=False, id="build-one")
            for method, params in (*METHODS, ("host.open_io", {"streams": ["stdout"]})):
                if "missing_ok" in params:
                    continue
                with pytest.raises(SessionNotFound) as refused:
                    await two.ask(method, {"session": "build-on", **params})
                assert ("build-one" in str(refused.value)) is hint, method
                with pytest.raises(SessionNotFound, match="did you mean `build-one`"):
                    await one.ask(method, {"session": "build-on", **params})

    run(body())


def test_a_method_for_sessions_is_tried_above_whenever_there_is_one(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            there = {name for name in scene.server.methods if name.startswith("exec.")}
            assert there - {name for name, _ in METHODS} == {"exec.create", "exec.handlers", "exec.list"}

    run(body())


CLIENT = """
import asyncio, sys
from plugin_host.control import connect

async def main():
    client = await connect(sys.argv[1], keep=sys.argv[2] == "keep")
    session = await client.exec("desk", ["sh", "-c", "while :; do echo tick; sleep 0.02; done"], tty=False)
    viewer = await session.attach()
    async for piece in viewer:
        print(session.id, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("release", ["kill", "keep"])
def test_a_client_killed_in_the_middle_is_nobody_elses_trouble(
    release: str, tmp_path: Path, own_socket: str, run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            bystander = await scene.client()
            own = await bystander.exec("desk", sh(ECHO), tty=False)
            reader = Reader(await own.attach())
            await own.write(b"before\n")
            await reader.until(b"got before\n")
            before = len(os.listdir("/proc/self/fd"))
            victim = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CLIENT, own_socket, release, stdout=asyncio.subprocess.PIPE
            )
            assert victim.stdout is not None
            id = (await victim.stdout.readline()).decode().strip()
            victim.kill()
            await victim.wait()
            await wait_until.aio(lambda: len(scene.server.desks()) == 1)
            await own.write(b"after\n")
            await reader.until(b"got after\n")
            if release == "keep":
                left = await bystander.session(id)
                await Reader(await left.attach(offset=-1)).until(b"tick\n")
                await left.close()
            await wait_until.aio(lambda: _there(bystander, own))
            victim._transport.close()  # type: ignore[attr-defined]
            await wait_until.aio(lambda: len(os.listdir("/proc/self/fd")) <= before)

    async def _there(client: object, session: Session) -> bool:
        return [one.id for one in await client.sessions()] == [session.id]  # type: ignore[attr-defined]

    run(body())


def test_how_a_session_ended_is_known_to_who_lists_it_later(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            one = await scene.client()
            session = await one.exec("desk", sh("exit 4"), tty=False, detached=True)
            await session.wait()
            (found,) = await (await scene.client()).sessions()
            assert isinstance(found.exit, Exit)
            assert found.exit.code == 4
            assert (await found.wait()).code == 4

    run(body())
