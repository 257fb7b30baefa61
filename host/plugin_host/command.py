"""Calling a command of a plugin, and reading its answer.

An answer is `status, status_message, result`; a status other than 0 is an exception here. Deadlines and
the chain of plugins of a service that makes the call go with it, and so does the trace it is part of.
Every call is counted here, and nowhere else.
"""

from __future__ import annotations

import asyncio
import time
from time import perf_counter
from typing import TYPE_CHECKING, Any

from plugin_host_sdk.errors import excerpt
from plugin_host_sdk.wire import ATOMS

from .askedlink import LinkGone
from .errors import CallCancelled, CallError, CallFailed, CallTimeout
from .metric.call import OTHER
from .service import current_caller
from .trace import current_trace

if TYPE_CHECKING:
    from .asker import Progress
    from .link import Link
    from .plugin import Plugin
    from .sharedlink import SharedLink

__all__ = [
    "ask_command",
    "call_command",
    "call_metadata",
    "explained",
    "is_flat",
    "own_failure",
    "positional",
]

_ENDLESS_S = 1e9  # thirty years, and infinity too, are no deadline


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
    msgid: int | None
    row = plugin.meter.calls[command if type(command) is str or isinstance(command, str) else OTHER]
    row.started += 1
    begun = perf_counter()
    try:
        deadline = meta = None
        if timeout is not None or current_caller.get() is not None or current_trace.get() is not None:
            deadline, meta = call_metadata(plugin, command, timeout)
        joint = shared = None
        if is_flat(params):
            joint = link.joint if link.gathering else None
            if joint is not None and meta is None and on_progress is None and not text:
                shared = joint.add(command, params)
        elif not link.connection.raw:  # what is in them may change before it is sent, so it goes by itself
            _survey(plugin, link, command, params)
        if joint is not None and shared is not None:
            try:
                result = await shared
            except asyncio.CancelledError:
                joint.give_up()
                raise
        else:
            method, raw = "command.call", link.connection.raw
            arguments: Any = {"name": command, "params": params if params is not None else {}}
            if raw:
                method, arguments, meta = command, positional(plugin, params), None
            elif text:
                arguments["text"] = True
            try:
                msgid, answer = link.call(method, arguments, meta, deadline, on_progress, command)
                result = answer if msgid is None else await answer
            except asyncio.CancelledError:
                if msgid is not None:
                    link.abandon(msgid)
                raise
            except CallError as error:
                raise explained(plugin, command, timeout, deadline, error) from None
            if not raw:
                if type(result) is not dict or result.get("status") != 0:
                    raise own_failure(plugin, command, result)
                result = result.get("result")
    except BaseException as error:
        row.fail(perf_counter() - begun, error)
        raise
    row.end(perf_counter() - begun)
    return result


def ask_command(
    plugin: Plugin,
    link: SharedLink,
    command: str,
    params: Any,
    timeout: float | None,
    on_progress: Progress | None,
    text: bool = False,
) -> Any:
    """The same for a thread, which waits. Raises LinkGone, too.

    An interrupt comes through while it waits, and not between the counts: what began is counted as ended.
    """
    row = plugin.meter.calls.get(command) if isinstance(command, str) else None
    if row is None:
        with link.mutex:
            row = plugin.meter.calls[command if isinstance(command, str) else OTHER]
    signals = link.signals()
    try:
        signals.begin()
        begun = perf_counter()
        with link.mutex:  # counts are for one thread at a time
            row.started += 1
        try:
            # As in `call_command`, and not shared: of what a call costs a host, this is a tenth.
            raw, deadline, meta = link.connection.raw, None, None
            if timeout is not None or current_caller.get() is not None or current_trace.get() is not None:
                deadline, meta = call_metadata(plugin, command, timeout)
            method = "command.call"
            arguments: Any = {"name": command, "params": {} if params is None else params}
            if raw:
                method, arguments, meta = command, positional(plugin, params), None
            elif text:
                arguments["text"] = True
            try:
                if not raw and not is_flat(params):
                    link.survey(params)
                result = link.ask_held(signals, method, arguments, meta, deadline, on_progress, command)
            except CallError as error:
                raise explained(plugin, command, timeout, deadline, error) from None
            if not raw:
                if type(result) is not dict or result.get("status") != 0:
                    raise own_failure(plugin, command, result)
                result = result.get("result")
        except LinkGone:
            with link.mutex:
                row.started -= 1  # it will be, elsewhere
            raise
        except BaseException as error:
            with link.mutex:
                row.fail(perf_counter() - begun, error)
            raise
        with link.mutex:
            row.end(perf_counter() - begun)
        return result
    finally:
        signals.end()


def _survey(plugin: Plugin, link: Link, command: str, params: Any) -> None:
    """Raise CallFailed for parameters that would cost the plugin its life."""
    try:
        link.survey(params)
    except CallError as error:
        raise explained(plugin, command, None, None, error) from None


def explained(
    plugin: Plugin, command: str, timeout: float | None, deadline: float | None, error: CallError
) -> CallError:
    """The error, which says of which call it is."""
    if isinstance(error, CallTimeout):
        return _named_timeout(plugin, command, timeout, deadline, error)
    if error.name == "rpc.method_not_found" and not plugin.is_raw and "command" not in plugin.capabilities:
        return _without_commands(plugin, command)
    if _is_unnamed(error):
        _name(error, plugin, command)
    return error


def _without_commands(plugin: Plugin, command: str) -> CallFailed:
    """What a plugin that takes no calls at all means by its answer."""
    others = ", ".join(sorted(plugin.capabilities))
    text = f"the plugin offers no commands{f', only {others}' if others else ''}"
    return CallFailed(f"{plugin.id} {command}: {text}", name="command.not_found", data={"commands": []})


def is_flat(params: Any) -> bool:
    """Whether parameters are so plain that nothing in them can be a surprise for the plugin's decoder."""
    if type(params) is not dict:
        return params is None
    for key in params:  # noqa: SIM110 - a generator, pairs or sets of types would cost more
        if type(params[key]) not in ATOMS or type(key) not in ATOMS:
            return False
    return True


def call_metadata(
    plugin: Plugin, command: str, timeout: float | None
) -> tuple[float | None, dict[str, Any] | None]:
    """The deadline on the loop's clock and the metadata to send, both within the outer call's."""
    if timeout is not None and (not isinstance(timeout, (int, float)) or timeout != timeout):
        raise TypeError(f"timeout is a number of seconds or None, not {timeout!r}")
    caller = current_caller.get()
    remaining = caller.remaining() if caller is not None else None
    if remaining is not None:
        timeout = remaining if timeout is None else min(timeout, remaining)
    meta: dict[str, Any] = {"chain": list(caller.chain)} if caller is not None and caller.chain else {}
    if (trace := current_trace.get()) is not None:
        meta |= trace.to_meta()
    if timeout is None or timeout > _ENDLESS_S:
        return None, meta or None
    if timeout <= 0:
        text = "the deadline passed before the call was sent"
        raise CallTimeout(f"{plugin.id} {command}: {text}", name="command.timeout")
    meta["timeout_ms"] = max(1, int(timeout * 1000))
    return time.monotonic() + timeout, meta


def positional(plugin: Plugin, params: Any) -> list[Any]:
    if params is None:
        return []
    if isinstance(params, (list, tuple)):
        return list(params)
    raise CallFailed(
        f"plugin `{plugin.id}` speaks plain msgpack-RPC: its parameters are a list, "
        f"not {type(params).__name__}",
        name="command.bad_request",
    )


def _named_timeout(
    plugin: Plugin, command: str, timeout: float | None, deadline: float | None, error: CallTimeout
) -> CallTimeout:
    caller = current_caller.get()
    outer = caller.deadline if caller is not None else None
    if deadline is None:  # not the host's: something the plugin waited for
        reason = error.message
    elif timeout is None or (outer is not None and deadline > outer - 0.001):
        reason = "no answer within the deadline of the outer call"
    else:
        reason = f"no answer within {timeout:g} s"
    return CallTimeout(f"{plugin.id} {command}: {reason}", name="command.timeout", data=error.data)


def _named(plugin: Plugin, command: str, message: str) -> str:
    """A message of the plugin's side, which names the command at most, with both names in front."""
    own = f"command {command!r}"
    if message.startswith((f"{own}: ", f"{own} raised ")):
        return f"{plugin.id} {command}{message.removeprefix(own)}"
    return f"{plugin.id} {command}: {message}"


def _name(error: CallError, plugin: Plugin, command: str) -> None:
    """Have it say of which call it is, also where it travels on to the plugin that had asked for it."""
    error.message = _named(plugin, command, error.message)
    error.args = (error.message,)


def _is_unnamed(error: CallError) -> bool:
    return isinstance(error, (CallFailed, CallCancelled))


def own_failure(plugin: Plugin, command: str, answer: Any) -> CallFailed:
    """What an answer means that is not the command's success."""
    if type(answer) is not dict or "status" not in answer:
        text = f"{plugin.id} {command}: answered {excerpt(answer)}, which has no status"
        return CallFailed(text, name="rpc.foreign")
    status = answer["status"]
    text = answer.get("status_message") or f"ended with status {excerpt(status)}"
    error = CallFailed(
        text if isinstance(text, str) else excerpt(text),
        name="command.failed",
        code=status if type(status) is int else 0,
        data=answer.get("result"),
    )
    _name(error, plugin, command)
    return error
