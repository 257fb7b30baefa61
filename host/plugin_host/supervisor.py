"""One plugin's life: starting it, noticing its end, stopping it.

A `Supervisor` owns the process and the link of one plugin while it runs. Starts and stops of one plugin
never overlap. When a plugin dies, the calls in flight fail at once with the reason, and what it leaves
behind is cleaned up beside.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any

from plugin_host_sdk.errors import excerpt

from . import checksum, ladder
from .environment import run_token
from .errors import CallCancelled, CallFailed, HandlerNotFound, LaunchError, PluginDied, PluginNotReady
from .event import PluginNotified
from .exec.proxy import ExecProxy
from .floodgate import Floodgate
from .launch import LaunchOrder, launch
from .launchspec import process_spec
from .link import LinkOwner
from .manifest import Limits, Manifest
from .state import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from plugin_host_sdk.events import RequestReceived

    from .event import HostEvent
    from .launch import Launched
    from .link import Link
    from .plugin import Plugin
    from .process import PluginProcess
    from .service import ServiceTable

__all__ = ["Supervisor", "not_ready"]

# How long after a plugin closed its connection the host waits for the exit that explains it.
_EXIT_FOLLOWS_S = 0.2
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_SHOWN_LINES = 3
# A program that is no plugin may write tens of thousands of lines before it is ended.
_STRAY_LINES = 20


class Supervisor(LinkOwner):
    """Runs one plugin. `emit` gets its events; `gate` limits how many launches run at once."""

    def __init__(
        self,
        plugin: Plugin,
        *,
        run: str,
        version: str,
        gate: asyncio.Semaphore,
        services: ServiceTable,
        emit: Callable[[HostEvent], None],
        outer: Mapping[str, str] | None = None,
    ) -> None:
        self.plugin = plugin
        self.link: Link | None = None
        self.exec: ExecProxy | None = None
        self._process: PluginProcess | None = None
        self._run = run
        self._version = version
        self._gate = gate
        self._services = services
        self._emit = emit
        self._outer = os.environ if outer is None else outer
        self._launches = 0
        self._lock = asyncio.Lock()
        self._ending: asyncio.Task[None] | None = None
        self._launching: asyncio.Task[Launched] | None = None
        self._is_called_off = False  # a stop does not wait for the launch it ends
        self._log = logging.getLogger(f"plugin_host.plugin.{plugin.id}")
        self._floodgate: Floodgate | None = None  # the same for all its launches

    # Starting.

    async def start(self) -> None:
        """Start the plugin unless it runs. Raises LaunchError, ManifestError."""
        async with self._lock:
            await self._finish_ending()
            if self.plugin.state is State.READY:
                return
            await self._start()

    async def _start(self) -> None:
        plugin = self.plugin
        manifest = plugin.candidate.manifest
        if manifest is None:
            assert plugin.candidate.error is not None
            raise plugin.candidate.error
        plugin.error = None
        plugin.move(State.STARTING)
        self._launching = asyncio.create_task(self._launch(manifest), name=f"launch of plugin {plugin.id}")
        try:
            launched = await self._launching
        except Exception as error:
            if isinstance(error, LaunchError):
                error.plugin = plugin.id
            self._fail(error)
            raise
        except BaseException:
            if self._is_called_off:
                raise self._called_off() from None
            self._fail(LaunchError(f"plugin `{plugin.id}`: its launch was cancelled", plugin=plugin.id))
            raise
        finally:
            self._launching = None
        self._adopt(launched)

    async def _launch(self, manifest: Manifest) -> Launched:
        async with self._gate:
            await self._verify(manifest)
            self._floodgate = self._floodgate or Floodgate(self._tell_of_flood)
            return await launch(self._order(manifest), self, self._log_stderr, self._floodgate)

    def _called_off(self) -> LaunchError:
        """The plugin was stopped while it started."""
        self._is_called_off = False
        self.plugin.move(State.STOPPING)
        self.plugin.move(State.STOPPED, "while it started")
        return LaunchError(f"plugin `{self.plugin.id}` was stopped while it started", plugin=self.plugin.id)

    async def _verify(self, manifest: Manifest) -> None:
        """Hold the plugin to what was asked of it before any of its code runs."""
        candidate = self.plugin.candidate
        if candidate.user is not None:
            raise LaunchError(
                f"plugin `{candidate.id}` is configured to run as user {candidate.user}, which this host "
                "cannot do yet; it was not started, rather than started as another user"
            )
        if manifest.limits != Limits():
            self._log.warning("the limits of plugin %s are not enforced by this version", candidate.id)
        if manifest.checksum or candidate.pin:
            await asyncio.to_thread(checksum.verify, manifest, candidate.root, candidate.pin)

    def _order(self, manifest: Manifest) -> LaunchOrder:
        candidate = self.plugin.candidate
        self._launches += 1
        token = run_token(self._run, self.plugin.id, self._launches)
        return LaunchOrder(
            plugin=self.plugin.id,
            spec=process_spec(candidate, manifest, token, self._outer),
            token=token,
            raw=self.plugin.is_raw,
            timeout_s=manifest.launch.start_timeout_s,
            host_version=self._version,
            settings=candidate.settings,
            permissions=candidate.granted,
        )

    def _adopt(self, launched: Launched) -> None:
        plugin = self.plugin
        self._process, self.link = launched.process, launched.link
        self.exec = ExecProxy(plugin.id, launched.link)
        plugin.pid = launched.process.pid
        version = launched.answer.get("plugin", {}).get("version")
        plugin.version = version if version and isinstance(version, str) else plugin.version
        plugin.capabilities = dict(launched.answer.get("capabilities", {}))
        plugin.move(State.READY)
        launched.process.exited.add_done_callback(self._exited)
        launched.hand_over()

    def _fail(self, error: Exception) -> None:
        self.plugin.error = error
        self.plugin.pid = None
        self.plugin.move(State.FAILED, str(error).partition("\n")[0])

    # Dying.

    def ended(self, error: Exception | None) -> None:
        """The link is over; if the plugin is not being stopped, it has died or must be ended."""
        self._begin_ending(error)

    def _exited(self, _: asyncio.Future[Any]) -> None:
        if self.link is not None:
            self.link.drain()
        self._begin_ending(None)

    def _begin_ending(self, error: Exception | None) -> None:
        if self.plugin.state is State.READY and self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(
                self._end(error), name=f"ending of plugin {self.plugin.id}"
            )

    async def _end(self, error: Exception | None) -> None:
        """Explain the death to every caller, then clear away what is left of the plugin."""
        process, link = self._process, self.link
        assert process is not None
        assert link is not None
        # Also after an error: a process that is killed while it writes leaves half a message behind.
        status = await process.wait(_EXIT_FOLLOWS_S)
        process.stderr.drain()
        if status is not None:
            how = status.describe() + (f", after it broke the protocol: {error}" if error else "")
        elif error is not None:
            how = f"it broke the protocol: {error}"
        else:
            how = "it closed its connection and runs on"
        self.link = None
        link.close()
        link.fail_calls(lambda: self._death(process, how, "while the call was in flight"))
        if self.exec is not None:
            self.exec.fail(lambda session: self._death(process, how, f"with session {session} open"))
        self._services.forget(link)
        self._fail(self._death(process, how, ""))
        try:
            await self._clear(process, link, None, 0.0 if status is None else 1.0)
        except OSError as error:  # looking at processes takes descriptors, and there may be none left
            self._log.error("plugin %s: clearing up after it failed: %s", self.plugin.id, error)
        finally:
            self._ending = None

    def _death(self, process: PluginProcess, how: str, when: str) -> PluginDied:
        ended = process.ended or asyncio.get_running_loop().time()
        uptime = ended - process.started
        lines = [line for line in process.stderr.tail if line.strip()][-_SHOWN_LINES:]
        text = f"plugin `{self.plugin.id}` died {when}".rstrip() + f": {how}, after {uptime:.1f} s"
        if lines:
            text += "\n  last lines of its stderr:" + "".join(f"\n    {line}" for line in lines)
        return PluginDied(text, plugin=self.plugin.id, stderr=process.stderr.tail, uptime=uptime)

    async def _finish_ending(self) -> None:
        if self._ending is not None:
            await asyncio.shield(self._ending)

    # Stopping.

    async def stop(self) -> None:
        """Stop the plugin if it runs or starts; within its stop_timeout_s and the ladder's own bounds."""
        if self._launching is not None and not self._launching.done():
            self._is_called_off = True
            self._launching.cancel()
        async with self._lock:
            await self._finish_ending()
            plugin, process, link = self.plugin, self._process, self.link
            if plugin.state is not State.READY or process is None or link is None:
                return
            plugin.move(State.STOPPING)
            manifest = plugin.candidate.manifest
            timeout = manifest.launch.stop_timeout_s if manifest else 0.0
            polite = None if plugin.is_raw else lambda: self._ask_to_stop(link, timeout)
            try:
                await self._clear(process, link, polite, timeout)
            finally:
                self.link = None
                plugin.pid = None
                plugin.move(State.STOPPED)

    async def _clear(
        self,
        process: PluginProcess,
        link: Link,
        polite: Callable[[], Awaitable[None]] | None,
        timeout_s: float,
    ) -> None:
        """Take the whole process tree down and give everything back."""
        mark = run_token(self._run, self.plugin.id, self._launches)
        try:
            report = await ladder.stop(process, polite=polite, timeout_s=timeout_s, mark=mark)
            level = logging.INFO if report.clean else logging.WARNING
            self._log.log(level, "plugin %s stopped: %s", self.plugin.id, report.describe())
        finally:
            link.drain()
            link.close()
            link.fail_calls(lambda: _stopped(self.plugin.id))
            if self.exec is not None:
                self.exec.fail(lambda session: _stopped(self.plugin.id))
            self._services.forget(link)
            process.close()
            self._process = None
            if self._floodgate is not None:
                self._floodgate.flush()

    async def _ask_to_stop(self, link: Link, timeout_s: float) -> None:
        """Ask and wait for the answer, which comes when the plugin's calls have ended."""
        grace_ms = int(timeout_s * 1000 * 0.3)
        _, answer = link.request("shutdown", {"grace_ms": grace_ms})
        await answer

    # What the plugin says while it runs.

    def requested(self, event: RequestReceived) -> None:
        link = self.link
        if link is not None:
            self._services.serve(link, self.plugin.id, self.plugin.candidate.granted, event)

    def cancelled(self, msgid: int) -> None:
        if self.link is not None:
            self._services.cancel(self.link, msgid)

    def notified(self, method: str, params: Any) -> None:
        if self.plugin.is_raw:
            self._emit(PluginNotified(plugin=self.plugin.id, method=method, params=params))
        elif method == "log":
            self._log_record(params)
        elif method == "exec.exited" and self.exec is not None:
            try:
                self.exec.exited(params)
            except CallFailed as error:
                self._log.error("plugin %s: %s", self.plugin.id, error.message)
        elif method == "command.changed":
            self.plugin.capabilities["command"] = params
        elif method == "failure":
            self._log.error("plugin %s says: %s", self.plugin.id, _text(params.get("message")))

    def stray_output(self, data: bytes) -> None:
        lines = data.decode("utf-8", "replace").splitlines()
        for line in lines[:_STRAY_LINES]:
            self._log.warning("stdout before it was ready: %s", line)
        if len(lines) > _STRAY_LINES:
            self._log.warning("stdout before it was ready: %d more lines", len(lines) - _STRAY_LINES)

    def _log_record(self, params: dict[str, Any]) -> None:
        level = _LEVELS.get(_text(params.get("level")), logging.INFO)
        if not self._log.isEnabledFor(level):
            return
        if self._floodgate is not None and not self._floodgate.admit(level):
            if self.link is not None:
                self.link.slow_down()
            return
        extra: dict[str, Any] = {
            "plugin_id": self.plugin.id,
            "plugin_logger": _text(params.get("logger", "")),
        }
        fields = params.get("fields")
        text = _text(params.get("message", ""))
        if isinstance(fields, dict):
            if isinstance(traceback := fields.pop("traceback", None), str):
                text += f"\n{traceback}"  # where logging itself puts one
            extra["plugin_fields"] = fields
        self._log.log(level, "%s: %s", extra["plugin_logger"], text, extra=extra)

    def _tell_of_flood(self, text: str) -> None:
        self._log.warning("plugin %s: %s", self.plugin.id, text)

    def _log_stderr(self, line: str) -> None:
        self._log.info("stderr: %s", line)

    def ensure_exec(self) -> ExecProxy:
        """The plugin's exec sessions. Raises PluginNotReady, and HandlerNotFound when it has none."""
        self.ensure_link()
        if "exec" not in self.plugin.capabilities or self.exec is None:
            raise HandlerNotFound(
                f"plugin `{self.plugin.id}` offers no exec sessions", data={"handlers": []}
            )
        return self.exec

    def ensure_link(self) -> Link:
        """The link to call over. Raises PluginNotReady, which says why there is none."""
        link = self.link
        if link is None or self.plugin.state is not State.READY:
            raise not_ready(self.plugin)
        return link


def not_ready(plugin: Plugin) -> PluginNotReady:
    """Why a plugin cannot be called now."""
    text = f"plugin `{plugin.id}` is {plugin.state}, not ready"
    if plugin.candidate.skipped:
        text += f": {plugin.candidate.skipped}"
    elif plugin.error is not None:
        text += f": {plugin.error}"
    return PluginNotReady(text, plugin=plugin.id, state=str(plugin.state))


def _text(value: Any) -> str:
    """What should be text, from a plugin that may send anything."""
    return value if isinstance(value, str) else excerpt(value)


def _stopped(plugin: str) -> CallCancelled:
    return CallCancelled(
        f"the host stopped plugin `{plugin}` while the call was in flight", name="rpc.cancelled"
    )
