"""`plugin-host action run-script`: run a script through a plugin, as if it ran here."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from plugin_host.errors import PluginHostError

from . import account, output, variable
from .actionreach import reach
from .failure import NOT_EXECUTABLE, NOT_FOUND, TIMED_OUT, ProgramUsageError, ReadFailed
from .option import Options, host_options, reach_options
from .programstatus import signal_number, status_of
from .wordcompletion import plugin_words

if TYPE_CHECKING:
    from plugin_host.action.run import ActionRun
    from plugin_host_sdk.types.action import RunScript, ScriptResult

    from .forwarding import Forwarder
    from .outflow import Outflow

__all__ = ["command"]

_DESCRIPTORS = {"stdout": output.STDOUT, "stderr": output.STDERR}

# What is said of a program that is nowhere.
_MISSING = ("there is no file", "is not in the session's PATH")

# Ending a script takes 2 s where it does not go by itself.
_CANCEL_S = 5.0
_GRACE_S = 2.0

_HELP = """Run the script in FILE, or on stdin (-), through PLUGIN.

The plugin is that of the running host (plugin-host run). Where none runs, and with --plugin-dir, --only,
--no-plugin or --config, just that plugin is started, and stopped afterwards.

What runs the script is --executable, or else its #! line, or else /bin/sh. Words behind FILE are its
arguments. Its output is passed on as it comes, stdout and stderr apart. It does not get your environment
but what -e names; with -e it has nothing else.

SIGINT (Ctrl-C), SIGTERM, SIGHUP and SIGQUIT cancel the script: it and all that it started get SIGTERM, and
2 s later SIGKILL. This waits for its end; the third time it does not. So does the death of this.

\b
Exit status: the script's own, or
  128+n  a signal n ended the script, or this
  124    its --timeout was over
  1      the plugin refuses it: not allowed, not privileged
  125    the plugin could not: not found, not started, died; also wrong usage, and a script that somebody
         else cancelled, if its own status is 0
  126    the script cannot be executed
  127    what should run it was not found
With --json each piece of output is one line of JSON, {"event": "output", "stream": ..., "offset": ...,
"data": ...}, and the last is {"event": "finished", "result": ...}.

\b
Examples:
  plugin-host action run-script automation nightly.sh
  plugin-host action run-script automation report.py --run-as www-data --cwd /srv -e LANG=C -- --all
  echo 'uname -a' | plugin-host action run-script automation -
"""


class _ScriptCommand(click.Command):
    """Its usage errors end with the status of own failures: the script's statuses are passed on."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = "what is the script's own stands behind --"
            raise ProgramUsageError(f"{error.format_message()} For the script: {hint}.", ctx) from None
        except click.UsageError as error:
            raise ProgramUsageError(error.format_message(), ctx) from None


@click.command("run-script", cls=_ScriptCommand, help=_HELP, short_help="Run a script through a plugin.")
@click.argument("plugin", shell_complete=plugin_words)
@click.argument("file", type=click.Path(allow_dash=True))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "-e",
    "--env",
    metavar="K[=V]",
    multiple=True,
    help="Set a variable for the script, or pass on your own. Repeatable.",
)
@click.option("--run-as", metavar="USER[:GROUP]", help="Whom it runs as, by name or number.")
@click.option("-w", "--cwd", metavar="DIR", help="Where it starts.")
@click.option("--executable", metavar="PROGRAM", help="What runs it.")
@click.option(
    "--timeout", metavar="SECONDS", type=click.FloatRange(min=0, min_open=True), help="End it after this."
)
@host_options
@reach_options
def command(
    options: Options,
    plugin: str,
    file: str,
    arguments: tuple[str, ...],
    env: tuple[str, ...],
    run_as: str | None,
    cwd: str | None,
    executable: str | None,
    timeout: float | None,
) -> None:
    with options.reported(runs_program=True):
        for where, word in (
            ("--cwd", cwd),
            ("--executable", executable),
            *(("", one) for one in arguments),
        ):
            variable.check_text(where or "argument", word or "")
        variables = variable.variables(env, os.environ)
        fields = {
            "name": "stdin" if file == "-" else Path(file).name[:200],
            "data": _read(file),
            "run_as": account.run_as("--run-as", run_as),
            "environment": variables,
            "working_directory": cwd,
            "executable": executable,
            "arguments": arguments,
            "timeout": timeout,
        }

        from . import forwarding

        request = _request(fields)
        status = forwarding.run(lambda forwarder: _execute(forwarder, options, plugin, request))
        raise click.exceptions.Exit(status)


def _read(file: str) -> bytes:
    try:
        if file == "-":
            return sys.stdin.buffer.read()
        return Path(file).read_bytes()
    except OSError as error:
        raise ReadFailed(f"cannot read {file}: {error.strerror}") from None


def _request(fields: dict[str, Any]) -> RunScript:
    from plugin_host_sdk.types.action import RunScript

    try:
        return RunScript(**fields)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


class _Canceller:
    """What signals are sent to: whichever it is, the script is cancelled. `caught` is the first."""

    def __init__(self, run: ActionRun) -> None:
        self._run = run
        self.caught: str | None = None

    async def signal(self, signal: str) -> None:
        if not signal.startswith("SIGUSR"):
            self.caught = self.caught or signal
            await self._run.cancel(f"plugin-host got {signal}", grace=_GRACE_S)


async def _execute(forwarder: Forwarder, options: Options, plugin: str, request: RunScript) -> int:
    """Run the script to its end; the status that stands for it."""
    from .outflow import Outflow

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
