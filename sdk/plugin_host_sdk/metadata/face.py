"""`ctx.metadata`: the host's metadata, and tasks for plugins that take them."""

from __future__ import annotations

from plugin_host_sdk.errors import CallFailed

from .reader import MetadataReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["MetadataFace"]


class MetadataFace(MetadataReader):
    """Metadata and tasks as one call sees them; made by `Context.metadata`.

    `log`, `success` and `failed` are those of the newest task that this call has taken.
    """

    __slots__ = ("_ctx",)

    def __init__(self, ask: Callable[[str, dict[str, Any]], Any], is_async: bool, ctx: Any) -> None:
        super().__init__(ask, is_async)
        self._ctx = ctx  # of a type that knows this one

    def execute(self) -> Any:
        """The next `Task`, waited for as long as there is none; awaited in async handlers.

        Raises CallCancelled when the plugin stops, CallFailed when it has not registered for tasks.
        """
        capability = self._ctx._session.capabilities.get("metadata")
        if capability is None:
            raise CallFailed(
                "the plugin takes no tasks: give it sdk.metadata.register_plugin(plugin)",
                name="rpc.internal",
            )
        return capability.execute(self._ctx)

    @property
    def task(self) -> Any:
        """The newest `Task` of this call. Raises CallFailed when it has taken none."""
        task = getattr(self._ctx, "task", None)
        if task is None:
            raise CallFailed("this call has taken no task: call execute first", name="rpc.internal")
        return task

    def log(self, data: bytes | bytearray | memoryview | str) -> Any:
        """Add to the task's log."""
        return self.task.log(data)

    def success(self, code: int | None = 0) -> Any:
        """The task succeeded."""
        return self.task.success(code)

    def failed(self, reason: str, code: int | None = None, signal: str | None = None) -> Any:
        """The task failed."""
        return self.task.failed(reason, code, signal)
