"""Has one task done, from its start to its end: its log, its files, its status.

Owns the order of things: the plugin starts where no host runs, the task is given, its log is shown, its
files are brought, it is closed, the plugin stops. Invariant: a task that is left before its end is killed,
and so is one that was to run on and that nobody was told of.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from plugin_host.errors import PluginHostError, PluginNotFound

from .contact import asked, running_host
from .execution import needs_running_host
from .failure import OK, tell
from .fetching import Wish, fetch
from .leavenote import announce
from .localterminal import LocalTerminal
from .logrelay import relay
from .lookup import chosen
from .taskstatus import task_status

if TYPE_CHECKING:
    from plugin_host.control import ControlClient
    from plugin_host.control.remotelog import RemoteLog
    from plugin_host.control.remotetask import RemoteTask
    from plugin_host.task.logreader import LogReader
    from plugin_host.task.task import Task

    from .forwarding import Forwarder
    from .option import Options

__all__ = ["Work", "do"]

# As long as a worker may take to give a task up.
_CLOSE_S = 10.0

_ENDING = frozenset({"SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done, and what is wanted of it; `timeout` in seconds."""

    plugin: str
    command: tuple[str, ...] = ()
    env: dict[str, str] = field(repr=False)
    cwd: str | None = None
    timeout: float | None = None
    tty: bool = True
    detach: bool = False
    wishes: tuple[Wish, ...] = ()

    def given(self) -> dict[str, Any]:
        """What `run` takes beside plugin and command."""
        size = LocalTerminal().size if self.tty else None
        rows, cols = size or (None, None)
        return {
            "env": self.env,
            "cwd": self.cwd,
            "tty": self.tty,
            "timeout": self.timeout,
            "rows": rows,
            "cols": cols,
        }


class _Killing:
    """What becomes of signals to this command: the first kills the task gently, the next at once."""

    def __init__(self, task: Task | RemoteTask) -> None:
        self._task = task
        self._times = 0

    async def signal(self, signal: str) -> None:
        if signal in _ENDING:
            self._times += 1
            await (self._task.kill() if self._times == 1 else self._task.kill(grace=0))


async def do(forwarder: Forwarder, options: Options, work: Work) -> int:
    """Have it done on the host that runs, or by a plugin that is started for this; the task's status.

    With `detach` it runs on and its id is printed. Raises PluginHostError for what the host and the plugin
    could not do, and as `relay` and `announce`.
    """
    client = await running_host(options, "task run")
    if client is None:
        return await _do_here(forwarder, options, work)
    async with client:
        try:
            return await _do_there(forwarder, client, options, work)
        except PluginNotFound as error:
            raise asked(error, client) from None


async def _do_here(forwarder: Forwarder, options: Options, work: Work) -> int:
    """Start the plugin, do the work, stop the plugin."""
    if work.detach:
        raise click.UsageError(needs_running_host("-d", options))
    host = options.host(only=[work.plugin], restarts=False)
    plugin = chosen(host, options, work.plugin)
    status = None
    try:
        async with host:
            if plugin.error is not None:
                raise plugin.error
            async with await host.tasks.run(work.plugin, work.command, **work.given()) as task:
                status = await _see(forwarder, task, task.log(), options, work)
    except asyncio.CancelledError:
        # While the plugin stopped; how the task ended was known by then.
        if status is None:
            raise
    return status


async def _do_there(forwarder: Forwarder, client: ControlClient, options: Options, work: Work) -> int:
    """Do the work on a host that goes on."""
    task = await client.tasks.run(work.plugin, work.command, **work.given(), keep=work.detach)
    if work.detach:
        try:
            left = {"plugin": task.plugin, "task": task.id}
            await announce(client, left, "task log -f", as_json=options.as_json)
        except BaseException:
            await _close(task)
            raise
        return OK
    status = await _see(forwarder, task, task.log(lossless=True), options, work)
    await task.close()
    return status


async def _close(task: RemoteTask) -> None:
    with suppress(PluginHostError, TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await task.close()


async def _see(
    forwarder: Forwarder,
    task: Task | RemoteTask,
    log: LogReader | RemoteLog,
    options: Options,
    work: Work,
) -> int:
    """Show its log to the end, and bring its files."""
    forwarder.forward_to(_Killing(task))
    try:
        async with log:
            await relay(log, forwarder.reacted)
        result = await task.result()
    finally:
        forwarder.forward_to(None)
    error = await _bring(task, options, work)
    try:
        status = task_status(result)
    except PluginHostError:
        if error is not None:
            _say(error, options)
        raise
    if error is not None:
        if status == OK:
            raise error
        _say(error, options)
    # A program that ran has told what there is to tell.
    if status != OK and (result.started is None or result.timed_out or result.code == OK):
        _say(PluginHostError(f"the task failed: {result.reason}"), options)
    return status


async def _bring(task: Task | RemoteTask, options: Options, work: Work) -> PluginHostError | None:
    """All that are wanted, whatever becomes of one; the first that failed is told last."""
    first: PluginHostError | None = None
    for wish in work.wishes:
        try:
            await fetch(task, wish, options.verbosity)
        except PluginHostError as error:
            if first is not None:
                _say(error, options)
            first = first or error
    return first


def _say(error: PluginHostError, options: Options) -> None:
    """Beside a status that says something else."""
    tell(error, as_json=options.as_json, verbose=options.verbosity > 0, runs_program=True)
