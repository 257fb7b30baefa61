"""The `automation` plugin: what a host may ask of the machine it runs on, one file for each kind of action.

This file puts the actions on the plugin and holds nothing else. `setting` is what the operator wrote,
`place` and `replacement` are how files are written, `state` is what outlives the plugin. What the actions
need is loaded by the first one, never by importing this package.
"""

from __future__ import annotations

import plugin_host_sdk as sdk

from .deferred import deferred

__all__ = ["plugin"]

plugin = sdk.Plugin("automation", version="0.1.0")

for kind, module in {
    "run_script": "script",
    "upload_file": "upload",
    "upload_file_and_exit": "upload",
    "reboot": "power",
    "shutdown": "power",
    "update_key": "keychange",
    "register": "registration",
}.items():
    plugin.action(kind, check=deferred(module, "check"))(deferred(module, "run"))
for kind, module in {"reload_config": "reload", "exit": "leaving", "heartbeat": "heartbeat"}.items():
    plugin.action(kind)(deferred(module, "run"))


@plugin.on_reconfigure
def reconfigure(ctx: sdk.Context, settings: dict[str, object]) -> object:
    """Actions that begin from now on use them; another folder for the state takes a restart."""
    return deferred("reload", "reconfigure")(ctx, settings)
