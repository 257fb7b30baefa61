"""Calling a command of a plugin, and reading its answer.

An answer is `status, status_message, result`; a status other than 0 is an exception here. Deadlines and
the chain of plugins of a service that makes the call go with it.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from .errors import CallCancelled, CallError, CallFailed, CallTimeout
from .service import current_caller

if TYPE_CHECKING:
    from .link import Link, Progress
    from .plugin import Plugin

__all__ = ["call_command"]


async def call_command(
    plugin: Plugin,
    link: Link,
    command: str,
    params: Any,
    timeout: float | None,
    on_progress: Progress | None,
    text: bool = False,
) -> Any:
    """The command's result; see `PluginHost.call` for what it raises.

    `text` says that parameter values are text to be converted to the handler's declared types.
    """
    deadline = meta = None
    if timeout is not None or current_caller.get() is not None:
        deadline, meta = _call_metadata(timeout)
    if plugin.is_raw:
        msgid, answer = link.request(command, _positional(plugin, params), None, deadline)
    else:
        arguments = {"name": command, "params": params if params is not None else {}}
        if text:
            arguments["text"] = True
        msgid, answer = link.request("command.call", arguments, meta, deadline, on_progress)
    try:
        result = await answer
    except asyncio.CancelledError:
        link.abandon(msgid)
        raise
    except CallTimeout as error:
        raise _named_timeout(plugin, command, timeout, error) from None
    except CallError as error:
        error.args = (f"{plugin.id} {command}: {error.message}",) if _is_unnamed(error) else error.args
        raise
    if plugin.is_raw:
        return result
    if type(result) is not dict or "status" not in result:
        raise CallFailed(
            f"{plugin.id} {command}: answered {result!r:.80}, which has no status", name="rpc.foreign"
        )
    if result["status"] != 0:
        raise _own_status(plugin, command, result)
    return result.get("result")


def _call_metadata(timeout: float | None) -> tuple[float | None, dict[str, Any] | None]:
    """The deadline on the loop's clock and the metadata to send, both within the outer call's."""
    caller = current_caller.get()
    if caller is not None:
        remaining = caller.remaining()
        if remaining is not None:
            timeout = remaining if timeout is None else min(timeout, remaining)
    if timeout is None:
        return None, {"chain": list(caller.chain)} if caller is not None and caller.chain else None
    if timeout <= 0:
        raise CallTimeout("the deadline passed before the call was sent", name="command.timeout")
    meta: dict[str, Any] = {"timeout_ms": max(1, int(timeout * 1000))}
    if caller is not None and caller.chain:
        meta["chain"] = list(caller.chain)
    return time.monotonic() + timeout, meta


def _positional(plugin: Plugin, params: Any) -> list[Any]:
    if params is None:
        return []
    if isinstance(params, (list, tuple)):
        return list(params)
    raise CallFailed(
        f"plugin `{plugin.id}` speaks plain msgpack-RPC: its parameters are a list, "
        f"not {type(params).__name__}",
        name="command.bad_request",
    )


def _named_timeout(plugin: Plugin, command: str, timeout: float | None, error: CallTimeout) -> CallTimeout:
    waited = f" within {timeout:g} s" if timeout is not None else " within the deadline of the outer call"
    return CallTimeout(f"{plugin.id} {command}: no answer{waited}", name="command.timeout", data=error.data)


def _is_unnamed(error: CallError) -> bool:
    return isinstance(error, (CallFailed, CallCancelled))


def _own_status(plugin: Plugin, command: str, answer: dict[str, Any]) -> CallFailed:
    status = answer["status"]
    text = str(answer.get("status_message") or f"ended with status {status}")
    return CallFailed(
        f"{plugin.id} {command}: {text}",
        name="command.failed",
        code=status if type(status) is int else 0,
        data=answer.get("result"),
    )
