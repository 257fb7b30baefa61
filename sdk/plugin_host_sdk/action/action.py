"""An action as its handler sees it: `ctx.action`.

Valid while the handler runs, and what was asked to happen after the reply a moment longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host_sdk.errors import ActionInvalid
from plugin_host_sdk.later import Later
from plugin_host_sdk.loopside import on_loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from plugin_host_sdk.cancellation import Cancellation

    from .inflow import Inflow
    from .outflow import Outflow

__all__ = ["GRACE_S", "Action"]

GRACE_S = 2.0

_DONE = Later()
_DONE.resolve()


class Action:
    """One action. `id` is the caller's, `kind` one of those in `types.action.KINDS`.

    `cancelled` is set once it is to end, the same as `ctx.cancelled`; `grace` is how many seconds lie
    between asking and killing, as whoever cancelled it said, 2 unless told.
    """

    def __init__(
        self, id: str, kind: str, cancelled: Cancellation, is_async: bool, leave: Callable[[str], None]
    ) -> None:
        self.id = id
        self.kind = kind
        self.cancelled = cancelled
        self.grace = GRACE_S
        self.outflows: dict[str, Outflow] = {}
        self.inflow: Inflow | None = None
        self.followers: list[Callable[[], object]] = []
        self._is_async = is_async
        self._leave = leave

    def __repr__(self) -> str:
        return f"<Action {self.id} {self.kind}>"

    @property
    def data(self) -> Inflow:
        """The data that came with the action: an iterator of bytes. Raises ActionInvalid without any."""
        if self.inflow is None:
            raise ActionInvalid(f"an action of kind {self.kind!r} comes without data")
        return self.inflow

    def stdout(self, data: bytes | bytearray | memoryview) -> Any:
        """Send output, waiting while the reader takes no more; in an async handler, `await` it."""
        return self._write("stdout", data)

    def stderr(self, data: bytes | bytearray | memoryview) -> Any:
        """The same, for errors."""
        return self._write("stderr", data)

    def begin_write(self, name: str, data: bytes | bytearray | memoryview) -> Later | None:
        """Send output on "stdout" or "stderr" without waiting: None, or what settles when it has gone."""
        return self.outflows[name].write(data)

    def after_reply(self, function: Callable[[], object]) -> None:
        """Call `function()` once the result was sent and the wire has taken it, on a thread of its own.

        Not when the action fails.
        """
        self.followers.append(function)

    def end_plugin(self, reason: str = "an action asked for it") -> None:
        """End the plugin's process, with status 0. What else runs in it is cancelled.

        Meant for `after_reply`: `ctx.action.after_reply(ctx.action.end_plugin)`.
        """
        self._leave(reason)

    def _write(self, name: str, data: bytes | bytearray | memoryview) -> Any:
        later = self.begin_write(name, data)
        if self._is_async and on_loop():
            return later or _DONE
        if later is not None:
            later.wait()
        return None
