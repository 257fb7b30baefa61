"""What a session of the resource `local` runs: the command that was asked for, or a login shell.

Says it and starts nothing. What the caller names (command, cwd, env) wins over the operator's settings,
and those over the user's account.
"""

from __future__ import annotations

import os

import plugin_host_sdk as sdk

from . import account, setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from plugin_host_sdk.types.session import SessionOptions

__all__ = ["environment", "run"]


def run(ctx: sdk.Context, opts: SessionOptions) -> sdk.exec.ExecSpec:
    """The program of one session. Raises ExecError when the plugin's settings cannot be used."""
    settings = setting.read(ctx.settings)
    shell = settings.shell or account.login_command(account.shell(os.environ))
    return sdk.exec.ExecSpec(
        opts.command or shell,
        cwd=settings.cwd or account.home(),
        env=environment(shell[0], os.environ),
    )


def environment(shell: str, inherited: Mapping[str, str]) -> dict[str, str | None]:
    """What is added to the plugin's environment: `SHELL`, and of the account what is not there."""
    return {
        **{name: value for name, value in account.variables().items() if not inherited.get(name)},
        "SHELL": shell,
    }
