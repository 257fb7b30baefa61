"""The `shell` plugin: a shell or any command of the machine it runs on, as a session.

This file puts the one resource, `local`, on the plugin, and takes new settings. `local` says what a
session runs, `account` whose shell and home that is, `setting` what the operator changed. How it is run,
on a terminal or on pipes, is the SDK's.
"""

from __future__ import annotations

import plugin_host_sdk as sdk

from . import local, setting

__all__ = ["plugin"]

plugin = sdk.Plugin("shell", version="0.1.0")

sdk.exec.register_plugin(
    plugin, sdk.exec.PluginOpts(handlers=[sdk.exec.Handler("local", command_handler=local.run)])
)


@plugin.on_reconfigure
def reconfigure(ctx: sdk.Context, settings: dict[str, object]) -> None:
    """Sessions that are opened from now on use them; those that run go on."""
    setting.read(settings)
