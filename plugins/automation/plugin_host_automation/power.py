"""Starting the machine anew and switching it off, where the operator allows it."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from plugin_host_sdk.action import ActionFailed, ActionRefused, Done

from . import setting

if TYPE_CHECKING:
    import plugin_host_sdk as sdk
    from plugin_host_sdk.action import Reboot, Shutdown

__all__ = ["check", "run"]


def check(ctx: sdk.Context, request: Reboot | Shutdown) -> None:
    """Raises ActionRefused, which names the setting, unless it is allowed."""
    option = f"allow_{request.kind}"
    if not getattr(setting.current(ctx.settings), option):
        raise ActionRefused(
            f"{request.kind} is not allowed here: the setting {option} would allow it",
            data={"option": option},
        )


def run(ctx: sdk.Context, request: Reboot | Shutdown) -> Done:
    settings = setting.current(ctx.settings)
    command = settings.reboot_command if request.kind == "reboot" else settings.shutdown_command
    if shutil.which(command[0]) is None:
        raise ActionFailed(
            f"{request.kind} cannot be done: there is no program {command[0]}; see the setting "
            f"{request.kind}_command"
        )

    def act() -> None:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            words = done.stderr.decode("utf-8", "replace").strip()
            ctx.log.error(f"{request.kind} failed: {command[0]} ended with {done.returncode}: {words}")

    ctx.action.after_reply(act)
    return Done(message=f"{' '.join(command)} runs now")
