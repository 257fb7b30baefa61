"""The actions of all plugins of a host: starting them, and finding those that there are.

Invariant: one that runs is always found; of those that have ended, the newest `KEPT` are.
"""

from __future__ import annotations

import builtins
import uuid
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from plugin_host.errors import ActionInvalid, ActionNotFound, ActionNotSupported
from plugin_host.wording import suggestion
from plugin_host_sdk.types.action import KINDS

from .source import open_source
from .upload import Upload

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.stream import Streams
    from plugin_host.supervisor import Supervisor
    from plugin_host_sdk.types.action import Request

    from .proxy import ActionProxy
    from .run import ActionRun
    from .source import Data

__all__ = ["KEPT", "Actions", "begin"]

KEPT = 32


class Actions:
    """`PluginHost.actions`."""

    def __init__(self, find: Callable[[str], Supervisor]) -> None:
        self._find = find
        self._runs: dict[str, ActionRun] = {}
        self._ended: deque[str] = deque()

    def __repr__(self) -> str:
        return f"<Actions running={len(self._runs) - len(self._ended)}>"

    async def trigger(
        self,
        plugin: str,
        request: Request,
        data: Data | None = None,
        *,
        id: str | None = None,
        on_progress: Callable[[int, int | None], None] | None = None,
        fail_fast: bool = False,
    ) -> ActionRun:
        """Have a plugin do something: run a script, write a file, …; see `plugin_host.action`.

        Returns once the plugin has accepted it. `data` is what an upload sends: bytes, the path of a file,
        an open file, or an iterator of bytes, plain or async; never more than a piece of it is in memory.
        `on_progress(sent, total)` is called on the loop. `id` is chosen when none is given. A plugin that
        is not ready yet is waited for as `PluginHost.call` does.

        Raises PluginNotFound, PluginNotReady, ActionNotSupported, ActionRefused (its `option` names the
        setting that would allow it), ActionNotPrivileged, ActionInvalid, KeyRejected, PluginDied, and
        OSError for a file that cannot be read. Cancelling it cancels the action.
        """
        proxy = await self._proxy(plugin, fail_fast=fail_fast)
        id = id or uuid.uuid4().hex
        if id in self._runs:
            raise ActionInvalid(f"action {id} is known already: choose another id, or none")
        run = await begin(proxy, request, data, id=id, on_progress=on_progress)
        self._runs[id] = run
        run.when_over(self._over)
        return run

    async def kinds(self, plugin: str) -> builtins.list[str]:
        """The kinds of actions that a plugin has. Raises as `trigger`."""
        return await (await self._proxy(plugin, fail_fast=False)).kinds()

    def list(self) -> builtins.list[ActionRun]:
        """Those that run and the newest that have ended, the oldest first."""
        return builtins.list(self._runs.values())

    def get(self, id: str) -> ActionRun:
        """The action of that id. Raises ActionNotFound."""
        run = self._runs.get(id)
        if run is None:
            raise ActionNotFound(f"no action {id[:80]}, or no longer{suggestion(id, self._runs)}")
        return run

    async def _proxy(self, plugin: str, *, fail_fast: bool) -> ActionProxy:
        supervisor = self._find(plugin)
        link, _ = await supervisor.admit(None, fail_fast=fail_fast)
        if "action" in supervisor.plugin.capabilities:
            for instance in supervisor.instances:
                if instance.link is link and instance.actions is not None:
                    return instance.actions
        raise ActionNotSupported(f"plugin `{plugin}` has no actions", data={"kinds": []})

    def _over(self, run: ActionRun) -> None:
        self._ended.append(run.id)
        if len(self._ended) > KEPT:
            self._runs.pop(self._ended.popleft(), None)


async def begin(
    proxy: ActionProxy,
    request: Request,
    data: Data | None,
    *,
    id: str,
    on_progress: Callable[[int, int | None], None] | None = None,
    more: dict[str, Any] | None = None,
) -> ActionRun:
    """Trigger an action through a proxy, with its data behind it; see `Actions.trigger`."""
    request = _checked(request)
    kind = KINDS[request.kind]
    if kind.takes_data != (data is not None):
        needs = "needs data: what is to be written" if kind.takes_data else "takes no data"
        raise ActionInvalid(f"{request.kind} {needs}")
    if data is None:
        return await proxy.trigger(request, id, None, more)
    upload = await _upload(proxy.streams, request, data, on_progress)
    try:
        size = upload.source.size
        return await proxy.trigger(msgspec.structs.replace(request, size=size), id, upload, more)
    except BaseException:
        await upload.source.close()
        raise


def _checked(request: Request) -> Request:
    """The request as it will be read. Raises ActionInvalid, TypeError."""
    kind = KINDS.get(getattr(request, "kind", ""))
    if kind is None or type(request) is not kind.request:
        raise TypeError(f"a request is one of the Structs of plugin_host.action, not {request!r:.80}")
    try:
        plain = msgspec.to_builtins(request, builtin_types=(bytes, bytearray, memoryview))
        return msgspec.convert(plain, kind.request)
    except (msgspec.ValidationError, TypeError) as error:
        raise ActionInvalid(f"{request.kind}: {error}") from None


async def _upload(
    streams: Streams,
    request: Any,
    data: Data,
    on_progress: Callable[[int, int | None], None] | None,
) -> Upload:
    source = await open_source(data, request.size)
    if request.size is not None and source.size != request.size:
        await source.close()
        raise ActionInvalid(f"the request says {request.size} bytes, and the data has {source.size}")
    return Upload(streams, source, on_progress)
