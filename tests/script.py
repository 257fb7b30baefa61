"""What the personality `odd_sessions` is told, and the messages that it is told to send.

Texts such as "$session" and "$stdout" in them stand for what the plugin was last asked for; see there.
"""

from __future__ import annotations

from typing import Any

from plugin_host import Gap, Output, PluginHost, Session, State

__all__ = ["ENDED", "answer", "collected", "data", "end", "exited", "is_well", "opened", "say"]

ENDED: dict[str, Any] = {"code": 0, "reason": "exited with status 0", "duration": 0.1}


async def answer(host: PluginHost, method: str, **answer: Any) -> None:
    """What the plugin answers from now on."""
    await host.call("odd_sessions", "answer", {"method": f"exec.{method}", **answer})


async def say(host: PluginHost, *messages: list[Any]) -> None:
    """Messages that the plugin sends now."""
    await host.call("odd_sessions", "say", {"messages": list(messages)})


async def opened(host: PluginHost, **options: Any) -> Session:
    return await host.exec("odd_sessions", tty=False, **options)


async def is_well(host: PluginHost) -> bool:
    """Whether the plugin still serves."""
    await say(host)
    return host.plugins["odd_sessions"].state is State.READY


def exited(**fields: Any) -> list[Any]:
    told = {"session": "$session", "exit": ENDED, "totals": {"stdout": 0, "stderr": 0}}
    return [2, "exec.exited", [told | fields]]


def data(stream: str, offset: int, payload: bytes) -> list[Any]:
    return [2, "stream.data", [stream, offset, payload]]


def end(stream: str, total: int, error: Any = None) -> list[Any]:
    return [2, "stream.end", [stream, total, error]]


async def collected(session: Session) -> list[Output | Gap]:
    async with await session.attach() as viewer:
        return [item async for item in viewer]
