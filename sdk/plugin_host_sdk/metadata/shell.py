"""Shells beside a task: sessions like any other, of a handler that nobody sees in the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host_sdk.endpoint import is_async
from plugin_host_sdk.exec.handler import ExecSpec, Handler
from plugin_host_sdk.exec.identity import find_identity

if TYPE_CHECKING:
    from typing import Any

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.exec import ExecCapability
    from plugin_host_sdk.types.session import SessionOptions
    from plugin_host_sdk.types.task import ShellRequest

    from .option import PluginOpts, Surroundings
    from .task import Task

__all__ = ["Shells"]


class Shells:
    """What answers `metadata.exec_shell`. Sessions are those of `sessions`."""

    def __init__(self, plugin: str, opts: PluginOpts, sessions: ExecCapability) -> None:
        self._plugin = plugin
        self._opts = opts
        self._sessions = sessions

    def serve(self, ctx: Context, task: Task, asked: ShellRequest) -> Any:
        return self._sessions.desk().open(ctx, asked, asked.stdin, self._handler(task))

    async def serve_async(self, ctx: Context, task: Task, asked: ShellRequest) -> Any:
        return await self._sessions.desk().open_async(ctx, asked, asked.stdin, self._handler(task))

    def _handler(self, task: Task) -> Handler:
        """One that makes shells beside `task`."""
        function: Any = self._opts.exec_shell

        def make(ctx: Context, options: SessionOptions) -> Any:
            if function is not None:
                return function(ctx, task, options)
            return _default(self._opts.surroundings(ctx.settings), options)

        async def make_async(ctx: Context, options: SessionOptions) -> Any:
            return await function(ctx, task, options)

        made = make_async if is_async(function) else make
        return Handler("shell", plugin=self._plugin, session_handler=made)


def _default(surroundings: Surroundings, options: SessionOptions) -> ExecSpec:
    """The plugin's environment, then the surroundings'; a task's own is not a shell's."""
    cwd = surroundings.workdir
    if cwd is None and (identity := find_identity(surroundings.user)) is not None:
        cwd = identity.folder
    return ExecSpec(
        options.command or surroundings.shell,
        cwd=cwd,
        env=dict(surroundings.env),
        user=surroundings.user,
    )
