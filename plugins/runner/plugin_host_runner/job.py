"""What a task runs: the entrypoint of the operator with the command of the task behind it.

Where it starts: the task's folder, else the operator's, else the user's home. Its environment: the
plugin's, then the operator's, then the task's.
"""

from __future__ import annotations

import plugin_host_sdk as sdk

from . import setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["run"]


def run(ctx: sdk.Context, task: sdk.metadata.Task) -> Any:
    """Run one task to its end; how it ended. Raises TerminalError for what cannot be started."""
    settings = setting.read(ctx.settings)
    words = (*settings.entrypoint, *task.command)
    if not words:
        task.failed("there is nothing to run: give the task a command, or the plugin an entrypoint")
        return None
    around = settings.surroundings
    return task.run(words, cwd=around.workdir, env=around.env, user=around.user)
