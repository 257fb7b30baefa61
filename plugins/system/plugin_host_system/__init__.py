"""The `system` plugin: what the machine it runs on is doing, one command per question.

This file puts the commands on the plugin and holds nothing else. A handler is a plain function in the
file named after its subject; `failure` has the statuses a command may end with. psutil and msgspec are
loaded by the first call that needs them, never by importing this package.
"""

from __future__ import annotations

import plugin_host_sdk as sdk

from . import cpu, disk, memory, network, process, ranking

__all__ = ["plugin"]

plugin = sdk.Plugin("system", version="0.1.0")

plugin.command("cpu")(cpu.cpu)
plugin.command("memory")(memory.memory)
plugin.command("disk_usage")(disk.disk_usage)
plugin.command("disks")(disk.disks)
plugin.command("network")(network.network)
plugin.command("processes")(ranking.processes)
plugin.command("process")(process.process)
plugin.command("children")(process.children)
