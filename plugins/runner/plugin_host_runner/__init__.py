"""The `runner` plugin: runs the tasks that its host gives it, and answers for what they made.

This file puts the tasks on the plugin, and takes new settings. `job` says what a task runs, `setting` what
the operator changed. The log, the result, artifacts, folders, shells and kills are the SDK's defaults.
"""

from __future__ import annotations

import plugin_host_sdk as sdk

from . import job, setting

__all__ = ["plugin"]

plugin = sdk.Plugin("runner", version="0.1.0")

_tasks = sdk.metadata.register_plugin(
    plugin,
    sdk.metadata.PluginOpts(
        on_task=job.run,
        at_once=lambda settings: setting.read(settings).at_once,
        surroundings=lambda settings: setting.read(settings).surroundings,
    ),
)


@plugin.on_reconfigure
def reconfigure(ctx: sdk.Context, settings: dict[str, object]) -> None:
    """Tasks and shells that start from now on use them; those that run go on."""
    _tasks.at_once = setting.read(settings).at_once
