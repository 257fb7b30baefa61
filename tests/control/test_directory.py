"""Which session clients mean, of those of several plugins, and what is remembered of sessions."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from plugin_host.control.claim import Key
from plugin_host.control.directory import Directory
from plugin_host.errors import CallFailed, PluginDied, SessionNotFound
from tests.run import Run


class Info:
    """When a session was opened, in seconds."""

    def __init__(self, created_at: float) -> None:
        self.created_at = created_at


class Known:
    """A session, of which its plugin says so much."""

    def __init__(self, plugin: str, id: str, created_at: float = 0.0) -> None:
        self.plugin, self.id, self.info = plugin, id, Info(created_at)
        self.exit: Any = None
        self.end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"{self.plugin}/{self.id}"

    async def wait(self) -> Any:
        return await asyncio.shield(self.end)

    async def totals(self) -> dict[str, int]:
        return {"stdout": 3}

    def leave(self, exit: Any) -> None:
        self.exit = exit
        self.end.set_result(exit)


class Room:
    """A directory over a host whose plugins have `sessions`."""

    def __init__(self, *sessions: Known) -> None:
        self.there = list(sessions)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.gone: list[Key] = []
        self.asked = 0
        self.directory: Any = Directory(cast("Any", self), self._tell, self.gone.append)

    async def sessions(self) -> list[Known]:
        self.asked += 1
        return list(self.there)

    def _tell(self, method: str, params: dict[str, Any]) -> None:
        self.told.append((method, params))

    async def __aenter__(self) -> Room:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.directory.close()


def test_session_is_found_by_its_id_and_the_plugins_are_asked_once(run: Run) -> None:
    async def body() -> None:
        one = Known("a", "s-1")
        async with Room(one, Known("b", "s-2")) as room:
            assert await room.directory.find("s-1") is one
            assert await room.directory.find("s-1", "a") is one
            assert room.asked == 1

    run(body())


def test_id_of_two_sessions_needs_the_plugin(run: Run) -> None:
    async def body() -> None:
        first, second = Known("a", "s-1"), Known("b", "s-1")
        async with Room(first, second) as room:
            assert await room.directory.find("s-1", "b") is second
            with pytest.raises(CallFailed, match="session s-1 is in a and b: say which") as caught:
                await room.directory.find("s-1")
            assert caught.value.name == "rpc.invalid_params"

    run(body())


def test_of_two_sessions_of_an_id_that_is_meant_which_may_be_used(run: Run) -> None:
    async def body() -> None:
        first, second = Known("a", "s-1"), Known("b", "s-1")
        async with Room(first, second) as room:
            assert await room.directory.find("s-1", may_use=lambda key: key[0] == "b") is second
            # Of which none may be used, one is found: whoever asks is refused, and hears of no other.
            assert await room.directory.find("s-1", may_use=lambda key: False) is first

    run(body())


def test_only_what_may_be_used_is_suggested(run: Run) -> None:
    async def body() -> None:
        async with Room(Known("a", "session-one")) as room:
            with pytest.raises(SessionNotFound, match=r"no such session in plugin `a`.*session-one"):
                await room.directory.find("session-on", "a")
            with pytest.raises(SessionNotFound) as caught:
                await room.directory.find("session-on", may_use=lambda key: False)
            assert str(caught.value).endswith(": no such session")

    run(body())


def test_sessions_are_listed_by_plugin_and_time(run: Run) -> None:
    async def body() -> None:
        made = [
            Known("b", "s-1", 1.0),
            Known("a", "s-9", 2.0),
            Known("a", "s-2", 3.0),
            Known("a", "s-1", 3.0),
        ]
        async with Room(*made) as room:
            assert list(map(repr, await room.directory.all())) == ["a/s-9", "a/s-1", "a/s-2", "b/s-1"]

    run(body())


def test_session_of_no_plugins_list_is_listed_beside_theirs(run: Run) -> None:
    async def body() -> None:
        async with Room(Known("b", "s-1")) as room:
            room.directory.add(shell := Known("a", "t-1"))
            assert list(map(repr, await room.directory.all())) == [repr(shell), "b/s-1"]

    run(body())


def test_session_that_has_ended_and_is_in_no_list_is_forgotten(run: Run) -> None:
    async def body() -> None:
        async with Room() as room:
            room.directory.add(ended := Known("a", "s-1"))
            ended.exit = "left"
            assert await room.directory.all() == []
            assert room.gone == [("a", "s-1")]

    run(body())


def test_end_of_a_session_is_told_once_with_how_and_how_much(run: Run) -> None:
    async def body() -> None:
        async with Room() as room:
            room.directory.add(session := Known("a", "s-1", 7.0))
            room.directory.add(session)
            await asyncio.sleep(0)
            session.leave({"code": 0})
            for _ in range(5):
                await asyncio.sleep(0)
            named = {"plugin": "a", "session": "s-1", "created_at": 7.0}
            assert room.told == [("exec.exited", named | {"exit": {"code": 0}, "totals": {"stdout": 3}})]
            assert room.gone == []  # its output can still be read

    run(body())


def test_end_of_a_plugin_is_told_for_its_session_that_is_gone_with_it(run: Run) -> None:
    async def body() -> None:
        async with Room() as room:
            room.directory.add(session := Known("a", "s-1"))
            await asyncio.sleep(0)
            session.end.set_exception(PluginDied("plugin `a` died"))
            for _ in range(5):
                await asyncio.sleep(0)
            ((method, params),) = room.told
            assert (method, params["plugin"], params["session"]) == ("exec.lost", "a", "s-1")
            assert params["error"]["message"] == "plugin `a` died"
            assert room.gone == [("a", "s-1")]

    run(body())


def test_session_that_took_an_id_anew_is_watched_in_place_of_the_old_one(run: Run) -> None:
    async def body() -> None:
        async with Room() as room:
            old, new = Known("a", "s-1", 1.0), Known("a", "s-1", 2.0)
            room.directory.add(old)
            await asyncio.sleep(0)
            room.directory.add(new)
            await asyncio.sleep(0)
            room.directory.forget_session(old)  # it is not the one that is there
            assert await room.directory.find("s-1") is new
            old.leave({"code": 1})
            new.leave({"code": 2})
            for _ in range(5):
                await asyncio.sleep(0)
            assert [(params["created_at"], params["exit"]) for _, params in room.told] == [
                (2.0, {"code": 2})
            ]

    run(body())
