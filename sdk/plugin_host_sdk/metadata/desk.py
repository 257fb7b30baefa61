"""The `metadata.*` requests of the host about tasks: checked, answered by a default or by the author.

Every request names its task. A fault of the author's function is logged under an incident id, which the
host is told, and nothing else of it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, TypeVar

import msgspec

from plugin_host_sdk.endpoint import is_async
from plugin_host_sdk.errors import CallError, InternalError, InvalidPayload
from plugin_host_sdk.types.task import (
    ArtifactRequest,
    CloseRequest,
    FolderRequest,
    KillRequest,
    ShellRequest,
    TaskOrder,
)

from .artifact import ArtifactDispatch
from .book import TaskBook
from .folder import FolderListing
from .intake import Intake
from .refusal import refusal_of
from .shell import Shells
from .worker import Workers

if TYPE_CHECKING:
    from typing import Any

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.endpoint import Runtime
    from plugin_host_sdk.exec import ExecCapability

    from .option import PluginOpts
    from .task import Task

__all__ = ["Desk"]

_T = TypeVar("_T")

_REQUESTS: dict[str, Any] = {
    "get_artifact": ArtifactRequest,
    "list_folder": FolderRequest,
    "exec_shell": ShellRequest,
    "kill_process": KillRequest,
    "close": CloseRequest,
}


class Desk:
    """What serves the tasks of plugin `plugin`. Shells are sessions of `sessions`."""

    def __init__(self, plugin: str, opts: PluginOpts, runtime: Runtime, sessions: ExecCapability) -> None:
        _prepare()
        self._runtime = runtime
        self._opts = opts
        self.book = TaskBook()
        self.intake = Intake(runtime, self.book, self._end_by_author if opts.kill_process else None)
        self.workers = Workers(runtime, opts, self.intake, self.book)
        self._artifacts = ArtifactDispatch(runtime.sink)
        self._services: dict[str, Any] = {
            "get_artifact": self._artifacts.service(opts),
            "list_folder": FolderListing(opts),
            "exec_shell": Shells(plugin, opts, sessions),
        }

    def answer(self, name: str, ctx: Context, params: dict[str, Any]) -> Any:
        """Answer one request. Raises CallError."""
        asked = _convert(name, params)
        if name == "kill_process":
            return {"state": self.book.find(asked.task).kill(asked.grace_ms / 1000)}
        if name == "close":
            task = self.book.forget(asked.task)
            if task is not None:
                task.clear()
            return {}
        task = self.book.find(asked.task)
        try:
            return self._services[name].serve(ctx, task, asked)
        except Exception as error:
            raise self._told(error, name, asked) from None

    async def answer_async(self, name: str, ctx: Context, params: dict[str, Any]) -> Any:
        """The same where the author's function is a coroutine function."""
        asked = _convert(name, params)
        task = self.book.find(asked.task)
        try:
            return await self._services[name].serve_async(ctx, task, asked)
        except Exception as error:
            raise self._told(error, name, asked) from None

    def close(self, grace: float) -> None:
        """End everything within `grace` seconds."""
        self.workers.close(grace)
        self._artifacts.close()

    def _told(self, error: Exception, name: str, asked: Any) -> CallError:
        if isinstance(error, CallError):
            return error
        path = getattr(asked, "path", None)
        if path is not None and isinstance(error, OSError):
            return refusal_of(error, path, is_folder=name == "list_folder")
        return self._incident(error, f"metadata.{name}")

    def _incident(self, error: BaseException, what: str) -> InternalError:
        import traceback

        incident = secrets.token_hex(8)
        text = "".join(traceback.format_exception(error))
        self._runtime.log("error", "metadata", f"{what} failed, incident {incident}\n{text}", {})
        return InternalError(f"{what}: the plugin failed, incident {incident}", data={"incident": incident})

    def _end_by_author(self, task: Task, grace: float) -> None:
        """On a thread of its own."""
        function = self._opts.kill_process
        assert function is not None
        ctx = self._runtime.context("metadata.kill_process")
        if is_async(function):
            ctx.is_async = True

            async def end() -> None:
                try:
                    await function(ctx, task, grace)
                except Exception as error:
                    self._incident(error, "metadata.kill_process")

            self._runtime.run_async(end)
            return
        try:
            function(ctx, task, grace)
        except Exception as error:
            self._incident(error, "metadata.kill_process")


def _prepare() -> None:
    """Let msgspec look at every type once, on one thread: two that do it at the same time crash it."""
    for kind in (*_REQUESTS.values(), TaskOrder):
        try:
            msgspec.convert({}, kind)
        except msgspec.ValidationError:
            pass  # nothing is missing from what is asked


def _convert(name: str, params: dict[str, Any]) -> Any:
    try:
        return msgspec.convert(params, _REQUESTS[name])
    except msgspec.ValidationError as error:
        raise InvalidPayload(f"metadata.{name}: {error}") from None
