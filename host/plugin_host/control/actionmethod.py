"""What clients ask of actions: `action.*`, as of a plugin but for the plugin's name beside every action.

Whoever triggers one follows it: its output on the streams that were named, and its end as a notification.
Others join with `action.output`. Invariants: who may not use an action learns nothing but that; an action
whose client has gone is cancelled, unless it was to be kept.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from plugin_host.action.actions import KEPT
from plugin_host.errors import ActionInvalid, ActionNotFound, CallFailed, PluginHostError
from plugin_host_sdk.protocol import WINDOW_BYTES
from plugin_host_sdk.types.action import KINDS, Cancel, Trigger

from .actionarrival import ActionArrival
from .actionrelay import ActionRelay

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from plugin_host.action.run import ActionRun
    from plugin_host.host import PluginHost

    from .ask import Ask, Client, Method
    from .claim import ClaimTable, Key

__all__ = ["ActionMethods"]


class _Trigger(Trigger, frozen=True, kw_only=True):
    plugin: str
    keep: bool | None = None
    fail_fast: bool = False


class _Plugin(Struct, kw_only=True):
    plugin: str | None = None


class _Named(Struct, kw_only=True):
    action: str


class _Output(_Named, kw_only=True):
    stdout: Annotated[int, Meta(ge=1)]
    stderr: Annotated[int, Meta(ge=1)]
    window: Annotated[int, Meta(ge=1, le=2**30)] = WINDOW_BYTES
    since: dict[str, Annotated[int, Meta(ge=0)]] | None = None
    lossless: bool = False


class _Keep(_Named, kw_only=True):
    keep: bool = True


class ActionMethods:
    """The methods about actions. `errand(work)` does something to its end for nobody in particular."""

    def __init__(
        self, host: PluginHost, claims: ClaimTable, errand: Callable[[Coroutine[Any, Any, Any]], object]
    ) -> None:
        self._host = host
        self._claims = claims
        self._errand = errand
        self._arrivals: dict[int, set[ActionArrival]] = {}  # by client
        self._ended: deque[Key] = deque()

    def table(self) -> dict[str, Method]:
        """The methods by name."""
        names = ("trigger", "output", "result", "cancel", "list", "kinds", "keep")
        return {f"action.{name}": getattr(self, name) for name in names}

    # Starting one.

    async def trigger(self, ask: Ask) -> Any:
        asked, client = ask.read(_Trigger), ask.client
        request = _request(asked)
        arrival = self._arrival(client, asked.data)
        try:
            run = await self._host.actions.trigger(
                asked.plugin, request, arrival, id=asked.action, fail_fast=asked.fail_fast
            )
        except BaseException:
            if arrival is not None:
                arrival.forget()
            raise
        # From here on nothing is awaited: a client that leaves now has its action dealt with.
        key = run.plugin, run.id
        keep = client.keep if asked.keep is None else asked.keep
        self._claims.make(key, client.number, client.token, keep=keep)
        run.when_over(self._over)
        try:
            ActionRelay(run, client, lossless=True).begin(asked.stdout, asked.stderr, asked.window)
        except CallFailed:
            self._errand(_end(run, "its streams could not be opened"))
            raise
        return {"data_window": None if arrival is None else WINDOW_BYTES}

    def _arrival(self, client: Client, stream: int | None) -> ActionArrival | None:
        """The data that the client sends. Raises CallFailed."""
        if stream is None:
            return None
        arrival = ActionArrival(client.link.streams, stream)
        mine = self._arrivals.setdefault(client.number, set())
        mine.add(arrival)
        arrival.when_over(lambda: mine.discard(arrival))
        return arrival

    def _over(self, run: ActionRun) -> None:
        """Whose it was is known as long as the action is."""
        self._ended.append((run.plugin, run.id))
        if len(self._ended) > KEPT:
            self._claims.forget(self._ended.popleft())

    # Using one.

    def _usable(self, client: Client, run: ActionRun) -> bool:
        return self._claims.may_use((run.plugin, run.id), client.number, client.token)

    def _run(self, ask: Ask, id: str) -> ActionRun:
        """The action, if the client may use it. Raises ActionNotFound, CallFailed."""
        run = self._host.actions.get(id)
        if not self._usable(ask.client, run):
            text = f"action {id} is another client's: only its owner may use it here"
            raise CallFailed(text, name="host.permission_denied")
        return run

    async def output(self, ask: Ask) -> Any:
        asked = ask.read(_Output)
        run = self._run(ask, asked.action)
        relay = ActionRelay(run, ask.client, since=asked.since, lossless=asked.lossless)
        relay.begin(asked.stdout, asked.stderr, asked.window)
        return {"info": msgspec.to_builtins(run.info)}

    async def result(self, ask: Ask) -> Any:
        run = self._run(ask, ask.read(_Named).action)
        result = msgspec.to_builtins(await run.result(), builtin_types=(bytes,))
        return {"kind": run.kind, "result": result}

    async def cancel(self, ask: Ask) -> Any:
        asked = ask.read(Cancel)
        try:
            run = self._run(ask, asked.action)
        except ActionNotFound:
            return {"state": "not_running"}
        return {"state": await run.cancel(asked.reason, grace=asked.grace_ms / 1000)}

    async def list(self, ask: Ask) -> Any:
        plugin = ask.read(_Plugin).plugin
        found = [one for one in self._host.actions.list() if plugin in (None, one.plugin)]
        shown = [one for one in found if self._usable(ask.client, one)]
        return {"actions": [self._described(ask.client, one) for one in shown]}

    def _described(self, client: Client, run: ActionRun) -> dict[str, Any]:
        claim = self._claims.get((run.plugin, run.id))
        return {
            **msgspec.to_builtins(run.info),
            "mine": claim is not None and claim.owner == client.number,
            "keep": claim is None or claim.keep,
        }

    async def kinds(self, ask: Ask) -> Any:
        return {"kinds": await self._host.actions.kinds(ask.read(_Plugin).plugin or "")}

    async def keep(self, ask: Ask) -> Any:
        asked = ask.read(_Keep)
        run = self._run(ask, asked.action)
        key = run.plugin, run.id
        if not self._claims.owns(key, ask.client.number):
            text = f"action {asked.action} is not this client's: only its owner may do that"
            raise CallFailed(text, name="host.permission_denied")
        self._claims.keep(key, keep=asked.keep)
        return {}

    # Leaving.

    def left(self, client: int) -> None:
        """A client has gone: what it was sending ends, and what was not to be kept is cancelled."""
        for arrival in self._arrivals.pop(client, set()).copy():
            arrival.lose()
        for _, id in self._claims.left(client):
            self._errand(self._end_left(id))

    async def _end_left(self, id: str) -> None:
        try:
            run = self._host.actions.get(id)
        except ActionNotFound:
            return  # long ended
        await _end(run, "its client has gone")


async def _end(run: ActionRun, reason: str) -> None:
    try:
        await run.cancel(reason)
    except PluginHostError:
        pass  # it has ended, or its plugin does not say


def _request(asked: _Trigger) -> Any:
    """The request in its own type. Raises ActionInvalid."""
    kind = KINDS.get(asked.kind)
    if kind is None:
        raise ActionInvalid(f"there is no kind of action {asked.kind[:40]!r}: {', '.join(KINDS)}")
    try:
        return msgspec.convert(asked.request, kind.request)
    except msgspec.ValidationError as error:
        raise ActionInvalid(f"{asked.kind}: {error}") from None
