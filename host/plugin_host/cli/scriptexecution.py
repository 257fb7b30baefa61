"""A script that runs through a plugin: its output as it comes, signals to it, and the status at its end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from plugin_host.errors import PluginHostError

from . import output
from .actionreach import reach
from .failure import NOT_EXECUTABLE, NOT_FOUND, TIMED_OUT
from .outflow import Outflow
from .programstatus import signal_number, status_of

if TYPE_CHECKING:
    from plugin_host.action.run import ActionRun
    from plugin_host_sdk.types.action import RunScript, ScriptResult

    from .forwarding import Forwarder
    from .option import Options

__all__ = ["execute"]

_DESCRIPTORS = {"stdout": output.STDOUT, "stderr": output.STDERR}

# What is said of a program that is nowhere.
_MISSING = ("there is no file", "is not in the session's PATH")

# Ending a script takes 2 s where it does not go by itself.
_CANCEL_S = 5.0
_GRACE_S = 2.0


class _Canceller:
    """What signals are sent to: whichever it is, the script is cancelled. `caught` is the first."""

    def __init__(self, run: ActionRun) -> None:
        self._run = run
        self.caught: str | None = None

    async def signal(self, signal: str) -> None:
        if not signal.startswith("SIGUSR"):
            self.caught = self.caught or signal
            await self._run.cancel(f"plugin-host got {signal}", grace=_GRACE_S)


async def execute(forwarder: Forwarder, options: Options, plugin: str, request: RunScript) -> int:
    """Run the script to its end; the status that stands for it."""
    status = None
    try:
        async with reach(options, plugin) as actions:
            run = await actions.trigger(plugin, request)
            outflow = Outflow()
            try:
                canceller = _Canceller(run)
                forwarder.forward_to(canceller)
                result = await _watched(forwarder, run, outflow, as_json=options.as_json)
                status = _status(result, canceller.caught, quiet=options.as_json)
            except BaseException:
                await _end(run)
                raise
            finally:
                forwarder.forward_to(None)
                outflow.close()
    except asyncio.CancelledError:
        # While the plugin stopped; how the script ended was known by then.
        if status is None:
            raise
    return status or 0


async def _watched(
    forwarder: Forwarder, run: ActionRun, outflow: Outflow, *, as_json: bool
) -> ScriptResult:
    """Show its output until its end. Raises BrokenPipeError, WriteFailed, and as `ActionRun.result`."""
    showing = asyncio.create_task(_show(forwarder, run, outflow, as_json=as_json))
    # What is shown may have to wait for the next output to notice that nobody reads it.
    breaking = asyncio.create_task(outflow.broken())
    tasks: tuple[asyncio.Task[Any], ...] = (showing, breaking)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if breaking.done():
            breaking.result()
        return showing.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _show(forwarder: Forwarder, run: ActionRun, outflow: Outflow, *, as_json: bool) -> ScriptResult:
    try:
        async with run.output() as pieces:
            async for piece in pieces:
                forwarder.reacted()
                if as_json:
                    shown = {"stream": piece.stream, "offset": piece.offset, "data": _text(piece.data)}
                    await outflow.write(output.STDOUT, _line({"event": "output", **shown}))
                else:
                    await outflow.write(_DESCRIPTORS[piece.stream], piece.data)
        result: ScriptResult = await run.result()
    finally:
        with suppress(asyncio.CancelledError):
            await outflow.flush()
    if as_json:
        import msgspec

        plain = msgspec.to_builtins(result, builtin_types=(bytes,))
        told = plain | {name: _text(plain[name]) for name in _DESCRIPTORS}
        await outflow.write(output.STDOUT, _line({"event": "finished", "action": run.id, "result": told}))
        await outflow.flush()
    return result


def _line(value: dict[str, Any]) -> bytes:
    from plugin_host.notation import to_json

    return to_json(value, ascii_only=output.needs_ascii()).encode() + b"\n"


def _text(data: bytes) -> Any:
    """Text where it is that; other bytes as all bytes are written in JSON."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _status(result: ScriptResult, caught: str | None, *, quiet: bool) -> int:
    """What stands for how it ended, with words where it says nothing by itself; 0 only for success.

    `caught` is the signal because of which it was cancelled from here.
    """
    from plugin_host_sdk.types.session import Exit

    if (result.exec_error or result.timed_out) and not quiet:
        output.complain(f"plugin-host: {output.printable(result.exec_error or result.reason)}\n")
    if result.exec_error:
        return NOT_FOUND if any(one in result.exec_error for one in _MISSING) else NOT_EXECUTABLE
    if result.timed_out:
        return TIMED_OUT
    status = status_of(Exit(code=result.code, signal=result.signal, reason=result.reason))
    if status == 0 and not result.success:
        if caught is None:
            raise PluginHostError(f"the script did not succeed: {result.reason or 'no reason given'}")
        return 128 + signal_number(caught)
    return status


async def _end(run: ActionRun) -> None:
    """It is left before its end: at once, and its plugin may not answer."""
    with suppress(PluginHostError, TimeoutError):
        async with asyncio.timeout(_CANCEL_S):
            if await run.cancel("plugin-host was ended", grace=0) == "cancelling":
                await run.result()
