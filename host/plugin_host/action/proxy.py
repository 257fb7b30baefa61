"""The actions of one running plugin, over its link.

Knows the actions that run, so that their ends and the plugin's death reach them. A trigger that is
cancelled leaves nothing behind: what it named is cancelled in the plugin.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from plugin_host.errors import ActionInvalid, CallError, CallFailed, PluginHostError
from plugin_host.event import ActionEnded, ActionStarted
from plugin_host.trace import current_trace
from plugin_host_sdk.protocol import WINDOW_BYTES
from plugin_host_sdk.types.action import Accepted, Cancelled, Finished, Keepalive, Kinds

from .run import ActionRun
from .runstate import STREAMS

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.event import HostEvent
    from plugin_host.link import Link
    from plugin_host.stream import Streams
    from plugin_host_sdk.types.action import Request

    from .upload import Upload

__all__ = ["ActionProxy"]

_T = TypeVar("_T")


class ActionProxy:
    """The actions of plugin `plugin`. Every method raises PluginDied, and what the plugin refuses with."""

    def __init__(
        self, plugin: str, link: Link, emit: Callable[[HostEvent], None] = lambda event: None
    ) -> None:
        self.plugin = plugin
        self._link = link
        self._emit = emit
        self._runs: dict[str, ActionRun] = {}
        self._make_error: Callable[[str], Exception] | None = None

    def __repr__(self) -> str:
        return f"<ActionProxy {self.plugin} running={len(self._runs)}>"

    @property
    def streams(self) -> Streams:
        """The streams of the link."""
        return self._link.streams

    @property
    def running(self) -> list[ActionRun]:
        """The actions that have not ended, the oldest first."""
        return list(self._runs.values())

    async def kinds(self) -> list[str]:
        """The kinds of actions that the plugin has, sorted."""
        return list((await self._ask("action.kinds", {}, Kinds)).kinds)

    async def trigger(
        self, request: Request, id: str, upload: Upload | None, more: dict[str, Any] | None = None
    ) -> ActionRun:
        """Start an action; returns once the plugin has taken it on. Raises what it refuses with."""
        run = self._adopt(request.kind, id)
        run.upload = upload
        data = None if upload is None else upload.number
        try:
            asked = msgspec.to_builtins(request, builtin_types=(bytes, bytearray, memoryview))
            params = {"kind": request.kind, "request": asked, "data": data, **(more or {})}
            accepted = await self._open(run, "action.trigger", params, Accepted)
        except BaseException as error:
            if upload is not None:
                self.streams.forget(upload.number)
            if not _is_refusal(error):
                self._call_off(run.id)
            raise
        if upload is not None:
            upload.open(accepted.data_window or 0)
        self._accepted(run)
        return run

    async def _open(self, run: ActionRun, method: str, params: dict[str, Any], kind: type[_T]) -> _T:
        """Ask with streams for the run's output; without an answer there is no run."""
        named = {stream: self.streams.open_receive(WINDOW_BYTES, run) for stream in STREAMS}
        for stream, number in named.items():
            run.name(number, stream)
        try:
            return await self._ask(
                method, {"action": run.id, "window": WINDOW_BYTES, **named, **params}, kind
            )
        except BaseException as error:
            self._runs.pop(run.id, None)
            # Of one that may have been opened the plugin would wait for a reader.
            for number in named.values():
                (self.streams.forget if _is_refusal(error) else self.streams.stop)(number)
            raise

    def _adopt(self, kind: str, id: str) -> ActionRun:
        """A run, before the plugin has answered: its end may come together with that."""
        if self._make_error is not None:
            raise self._make_error(id)
        if id in self._runs:
            raise ActionInvalid(f"action {id} runs already: choose another id, or none")
        run = self._runs[id] = ActionRun(self, self.plugin, kind, id)
        run.when_over(self._ended)
        return run

    def _accepted(self, run: ActionRun) -> None:
        run.accept()
        self._emit(ActionStarted(plugin=self.plugin, action=run.id, kind=run.kind))
        if run.id not in self._runs:  # it has ended already
            self._tell_end(run)

    def _ended(self, run: ActionRun) -> None:
        if self._runs.pop(run.id, None) is not None and run.is_accepted:
            self._tell_end(run)

    def _tell_end(self, run: ActionRun) -> None:
        ended = ActionEnded(plugin=self.plugin, action=run.id, kind=run.kind, success=run.succeeded)
        self._emit(ended)

    def _call_off(self, id: str) -> None:
        """End what may have been started, without waiting."""
        try:
            params = {"action": id, "reason": "nobody waits for it any more", "grace_ms": 0.0}
            _, answer = self._link.request("action.cancel", self._scoped(params), name="")
        except CallError:
            return
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def cancel(self, action: str, reason: str, grace: float) -> str:
        """Ask the plugin to end an action."""
        params = {"action": action, "reason": reason, "grace_ms": grace * 1000.0}
        return (await self._ask("action.cancel", params, Cancelled)).state

    async def _ask(self, method: str, params: dict[str, Any], kind: type[_T]) -> _T:
        if self._make_error is not None:
            raise self._make_error(str(params.get("action", "")))
        params = self._scoped(params)
        self._link.survey(params)
        trace = current_trace.get()
        msgid, answer = self._link.request(method, params, None if trace is None else trace.to_meta())
        try:
            result = await answer
        except asyncio.CancelledError:
            self._link.abandon(msgid)
            raise
        except CallError as error:
            raise self.failure(error) from None
        try:
            return msgspec.convert(result, kind)
        except msgspec.ValidationError as error:
            text = f"{self.plugin} answered {method} oddly: {error}"
            raise CallFailed(text, name="rpc.foreign") from None

    def _scoped(self, params: dict[str, Any]) -> dict[str, Any]:
        """Parameters as they are sent."""
        return params

    def failure(self, error: Any) -> PluginHostError:
        """The exception for an error map, or for one that the link has rebuilt."""
        return error if isinstance(error, PluginHostError) else CallError.from_map(error)

    # What the plugin says.

    def told(self, method: str, params: Any) -> None:
        """`action.finished` or `action.keepalive`. Raises CallFailed for what cannot be meant."""
        run = self._runs.get(str(params.get("action"))) if isinstance(params, dict) else None
        try:
            if method == "action.finished":
                finished = msgspec.convert(params, Finished)
                if run is not None:
                    run.finish(finished)
            elif method == "action.keepalive":
                msgspec.convert(params, Keepalive)
                if run is not None:
                    run.alive()
        except msgspec.ValidationError as error:
            text = f"{self.plugin} sent {method} oddly: {error}"
            if run is not None and method == "action.finished":
                run.lose(lambda: CallFailed(text, name="rpc.foreign"))
            raise CallFailed(text, name="rpc.foreign") from None

    def fail(self, make_error: Callable[[str], Exception]) -> None:
        """The plugin is gone; `make_error(action)` says why."""
        if self._make_error is not None:
            return
        self._make_error = make_error
        for run in self.running:
            self._lose(run, make_error)

    def consume(self, stream: int, size: int) -> None:
        """So many bytes of a stream have been used."""
        if self._make_error is None:
            self.streams.consume(stream, size)

    def _lose(self, run: ActionRun, make_error: Callable[[str], Exception]) -> None:
        run.lose(lambda: make_error(run.id))


def _is_refusal(error: BaseException) -> bool:
    """Whether it says that nothing was started."""
    return isinstance(error, PluginHostError) and getattr(error, "name", "") != "rpc.foreign"
