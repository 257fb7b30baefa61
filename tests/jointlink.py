"""A link that keeps what a joint asks of it, for tests that answer themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from plugin_host.joint import Joint

__all__ = ["Link", "add", "callers", "ended", "joint_of", "many", "one", "settled"]


class Link:
    """Keeps what is asked; the tests answer."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.answers: list[asyncio.Future[Any]] = []
        self.abandoned: list[int] = []
        self.splits: dict[int, Callable[[Any], None]] = {}
        self.refusal: Callable[[], Exception] | None = None
        self.joint: Joint | None = None

    def request(
        self, method: str, params: Any, *, name: str, at_once: bool = False
    ) -> tuple[int, asyncio.Future[Any]]:
        if self.refusal is not None:
            raise self.refusal()
        self.asked.append((method, params))
        self.answers.append(asyncio.get_running_loop().create_future())
        return len(self.answers) - 1, self.answers[-1]

    def abandon(self, msgid: int) -> None:
        self.abandoned.append(msgid)

    def gather(self, tell: Any) -> None:
        tell()

    def send_gathered(self) -> None:
        assert self.joint is not None
        self.joint.flush()


def joint_of(link: Link) -> Joint:
    plugin: Any = SimpleNamespace(id="demo")
    link.joint = joint = Joint(plugin, link)  # type: ignore[arg-type]
    assert joint.takes("echo")
    return joint


def add(joint: Joint, command: str, params: Any) -> asyncio.Future[Any]:
    call = joint.add(command, params)
    assert call is not None
    return call


def ended(*results: Any) -> dict[str, Any]:
    """The answer to calls of which the first had these results."""
    return {"results": list(results), "failures": []}


async def callers(joint: Joint, count: int, go_on: Callable[[int, Any], Any]) -> list[asyncio.Task[Any]]:
    """Tasks that have called, and go on with their number and their result."""

    async def call(number: int) -> Any:
        result = await add(joint, "echo", {"a": number})
        return go_on(number, result)

    tasks = [asyncio.create_task(call(number)) for number in range(count)]
    await asyncio.sleep(0)
    return tasks


def many(*params: Any) -> tuple[str, Any]:
    return "command.call_many", {"name": "echo", "many": list(params), "split": True}


def one(params: Any) -> tuple[str, Any]:
    return "command.call", {"name": "echo", "params": params}


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)
