"""Taking new settings while the plugin runs, from the host or from the file that the host names.

What is in use from start to end, the folder of the state, cannot change under a plugin that runs: the
answer is then that it takes a restart, and nothing has changed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import plugin_host_sdk as sdk
from plugin_host_sdk.action import ReloadResult

from . import setting
from .state import opened

if TYPE_CHECKING:
    from plugin_host_sdk.action import ReloadConfig
    from plugin_host_sdk.reconfiguration import Restart

    from .setting import Settings

__all__ = ["reconfigure", "run"]


def run(ctx: sdk.Context, request: ReloadConfig) -> ReloadResult:
    """Read the file again. One that cannot be used is an error, and the old settings stay."""
    reading = setting.read(ctx.settings)
    if _takes_restart(reading.settings):
        return ReloadResult(restart=True)
    reading.adopt()
    return ReloadResult()


def reconfigure(ctx: sdk.Context, settings: dict[str, Any]) -> Restart | None:
    """Actions that begin from now on use them."""
    reading = setting.read(settings)
    if _takes_restart(reading.settings):
        return sdk.RESTART
    reading.adopt()
    return None


def _takes_restart(settings: Settings) -> bool:
    in_use = opened()
    return in_use is not None and os.path.realpath(settings.state_folder) != in_use
