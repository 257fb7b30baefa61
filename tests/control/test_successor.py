"""A session that one client has opened under an id which another's had, who knows of its own only."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from plugin_host import Session
from plugin_host.errors import SessionNotFound
from tests.control.arena import arena
from tests.run import Run

pytestmark = pytest.mark.edges

ACTS: tuple[Callable[[Session], Awaitable[object]], ...] = (
    lambda session: session.write(b"too late"),
    lambda session: session.signal("SIGTERM"),
    lambda session: session.resize(rows=10, cols=10),
    Session.close_stdin,
    Session.attach,
    Session.get,
    Session.close,
)


def test_a_successor_is_another_session_in_lists(tmp_path: Path, own_socket: str, run: Run) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            one, two = await scene.client(), await scene.client()
            old = await one.exec("desk", ["true"], id="id", tty=True)
            await old.wait()
            await (await two.session("id")).close()
            await two.exec("desk", ["cat"], id="id", tty=True)
            (successor,) = await one.sessions()
            assert successor is not old
            assert successor.exit is None
            for act in ACTS:
                with pytest.raises(SessionNotFound, match="another's"):
                    await act(old)
            assert (await successor.get()).state == "running"
            await successor.close()

    run(body())


def test_a_successor_of_which_nobody_has_told_is_not_reached(
    tmp_path: Path, own_socket: str, run: Run
) -> None:
    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            one, two = await scene.client(), await scene.client()
            for act in ACTS:
                old = await one.exec("desk", ["true"], id="id", tty=True)
                await old.wait()
                await (await two.session("id")).close()
                successor = await two.exec("desk", ["cat"], id="id", tty=True)
                with pytest.raises(SessionNotFound, match="another's"):
                    await act(old)
                info = await successor.get()
                assert (info.state, info.viewers, info.rows) == ("running", 0, successor.info.rows)
                await successor.close()

    run(body())


@pytest.mark.parametrize("knows", [True, False], ids=["known", "unknown"])
def test_a_successor_has_not_ended_as_its_predecessor_did(
    tmp_path: Path, own_socket: str, run: Run, knows: bool
) -> None:
    """All clients are told of the end of a session; one holds none of it, or what a list said of it."""

    async def body() -> None:
        async with arena(tmp_path, own_socket) as scene:
            one, two = await scene.client(), await scene.client()
            session = await two.exec("desk", ["cat"], id="id", tty=False)
            seen = await one.session("id")
            await session.close_stdin()
            await seen.wait()
            del seen
            gc.collect()
            known = await one.sessions() if knows else []
            await session.close()
            await two.exec("desk", ["cat"], id="id", tty=False)
            (successor,) = await one.sessions()
            assert successor not in known
            assert successor.exit is None
            await successor.write(b"x")
            await successor.close()

    run(body())
