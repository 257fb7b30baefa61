"""Starting one plugin: spawn it, send `initialize`, and take the first of answer, exit and deadline.

This is where processes and the protocol meet. A launch that fails leaves nothing behind and says which
of the three it was.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from plugin_host_sdk.connection import HOST, Connection
from plugin_host_sdk.errors import CallError, LocalProtocolError
from plugin_host_sdk.handshake import initialize_params

from . import hang, ladder, launchfailure
from .errors import LaunchError
from .launchfailure import LaunchFacts
from .link import Link
from .linkowner import LinkOwner
from .precondition import is_gone
from .process import PluginProcess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from plugin_host_sdk.events import RequestReceived

    from .confinement import Confinement
    from .link import LinkMaker
    from .process import ProcessSpec, Start
    from .stderr import LineMeter

__all__ = ["LaunchOrder", "Launched", "launch"]

HOST_NAME = "plugin-host"
_STRAY_KEPT = 4096


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """What to start, and what to tell it.

    `on_spawn` gets the process before anything of the plugin runs, `on_admitted` once it is under its
    limits. `take_start` gives a process that can become the plugin, or None.
    """

    plugin: str
    spec: ProcessSpec
    token: str
    raw: bool
    timeout_s: float
    host_version: str
    settings: Mapping[str, Any] = field(repr=False, default_factory=dict)
    permissions: tuple[str, ...] = ()
    confinement: Confinement | None = None
    on_spawn: Callable[[PluginProcess], None] = field(default=lambda process: None, repr=False)
    on_admitted: Callable[[PluginProcess], None] = field(default=lambda process: None, repr=False)
    make_link: LinkMaker = Link
    take_start: Callable[[ProcessSpec], Awaitable[Start | None]] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Launched:
    """A plugin that is ready. `answer` is what it said of itself; empty for raw peers.

    What it has said since waits for `hand_over`, which tells the owner of it once it knows the plugin.
    """

    process: PluginProcess
    link: Link
    answer: dict[str, Any]
    hand_over: Callable[[], None]


async def launch(
    order: LaunchOrder,
    owner: LinkOwner,
    on_stderr: Callable[[str], None],
    meter: LineMeter | None = None,
) -> Launched:
    """Start a plugin and wait until it is ready. Raises LaunchError; then nothing of it is left.

    `on_stderr` gets the lines of its stderr that `meter` has room for.
    """
    start = await order.take_start(order.spec) if order.take_start is not None else None
    process = PluginProcess.spawn(order.spec, on_stderr=on_stderr, meter=meter, start=start)
    order.on_spawn(process)
    relay = _Relay(owner)
    link: Link | None = None
    try:
        link = order.make_link(process.channel, Connection(HOST, raw=order.raw), relay)
        await _admit(order, process, link, relay)
        order.on_admitted(process)
        answer = {} if order.raw else await _initialize(order, process, link, relay)
    except BaseException as error:
        if isinstance(error, LaunchError):
            error.pid, error.uptime = process.pid, process.uptime
        if link is not None:
            link.close()
        try:
            await ladder.stop(process, polite=None, timeout_s=0.0, mark=order.token)
        finally:
            process.close()
        raise
    return Launched(process, link, answer, relay.hand_over)


async def _admit(order: LaunchOrder, process: PluginProcess, link: Link, relay: _Relay) -> None:
    """Put it under its limits, within the time that its start may take."""
    if order.confinement is None:
        return
    try:
        async with asyncio.timeout(order.timeout_s):
            await order.confinement.admit(process.pid, order.spec)
    except TimeoutError:
        raise await _failure(order, process, link, relay) from None


class _Relay(LinkOwner):
    """Stands between a link and its owner: until the plugin is ready, an end is the launch's to explain.

    A plugin may say more together with its answer, before its owner knows that it is ready.
    """

    def __init__(self, owner: LinkOwner) -> None:
        self._owner = owner
        self._waiting: list[Callable[[], None]] | None = []
        self.stray = b""
        self.over: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def requested(self, event: RequestReceived) -> None:
        self._tell(lambda: self._owner.requested(event))

    def cancelled(self, msgid: int) -> None:
        self._tell(lambda: self._owner.cancelled(msgid))

    def notified(self, method: str, params: Any) -> None:
        self._tell(lambda: self._owner.notified(method, params))

    def _tell(self, what: Callable[[], None]) -> None:
        if self._waiting is None:
            what()
        else:
            self._waiting.append(what)

    def hand_over(self) -> None:
        """The owner is ready to hear it all: first what has come up to now."""
        waiting, self._waiting = self._waiting, None
        for tell in waiting or ():
            tell()

    def stray_output(self, data: bytes) -> None:
        self.stray = (self.stray + data)[:_STRAY_KEPT]
        self._owner.stray_output(data)

    def ended(self, error: Exception | None) -> None:
        self.over.set_result(error)
        self._tell(lambda: self._owner.ended(error))


async def _initialize(
    order: LaunchOrder, process: PluginProcess, link: Link, relay: _Relay
) -> dict[str, Any]:
    params = initialize_params(
        plugin=order.plugin,
        host={"name": HOST_NAME, "version": order.host_version},
        limits=link.connection.limits,
        settings=dict(order.settings),
        permissions=order.permissions,
    )
    try:
        link.initialize(params)
    except LocalProtocolError as error:
        raise launchfailure.unsendable(order.plugin, error) from None
    ends: set[asyncio.Future[Any]] = {link.initialized, process.exited, relay.over}
    await asyncio.wait(
        ends,
        timeout=order.timeout_s - (asyncio.get_running_loop().time() - process.started),
        return_when=asyncio.FIRST_COMPLETED,
    )
    if relay.over.done() and relay.over.result() is None and not link.initialized.done():
        # End of file comes a moment before the exit it is part of.
        await process.wait_for_end(_EXIT_FOLLOWS_S)
    if process.status is not None:
        link.drain()
    if link.initialized.done() and link.initialized.exception() is None:
        answer = link.initialized.result()
        if answer["plugin"]["id"] == order.plugin:
            return answer
    raise await _failure(order, process, link, relay)


# How long after a plugin closed its end the host waits for the exit that explains it.
_EXIT_FOLLOWS_S = 0.5


async def _failure(order: LaunchOrder, process: PluginProcess, link: Link, relay: _Relay) -> Exception:
    process.stderr.drain()
    facts = LaunchFacts(
        plugin=order.plugin,
        argv=order.spec.argv,
        stray=relay.stray or link.connection.stray_output,
        stderr=process.stderr.tail,
        gone=_gone(order.spec.argv),
    )
    if link.initialized.done():
        error = link.initialized.exception()
        if error is None:
            return launchfailure.wrong_plugin(facts, link.initialized.result()["plugin"]["id"])
        assert isinstance(error, CallError)
        return launchfailure.refused(facts, error)
    if relay.over.done() and (problem := relay.over.result()) is not None:
        return launchfailure.wrong_answer(facts, problem)
    if process.status is not None:
        verdict = order.confinement.verdict(process.status, facts.stderr) if order.confinement else None
        return launchfailure.exited(facts, process.status, verdict)
    if relay.over.done():
        return launchfailure.wrong_answer(facts, EOFError("it closed its stdout and runs on"))
    return await _lateness(order, process, facts)


def _gone(argv: Sequence[str]) -> str | None:
    """The folder in which its code is looked for, if it is not there."""
    folders = [folder for option, folder in pairwise(argv) if option == "--path"]
    return next(filter(is_gone, folders), None)


async def _lateness(order: LaunchOrder, process: PluginProcess, facts: LaunchFacts) -> Exception:
    """Its time is over; a plugin of the SDK is in the middle of its import mostly, and can say where."""
    found = await hang.examine(process, None) if process.dump is not None else None
    process.stderr.drain()
    facts.stderr = process.stderr.tail
    facts.doing = found.summary if found is not None else None
    error = launchfailure.timed_out(facts, order.timeout_s)
    error.hang = found.render() if found is not None else None
    return error
