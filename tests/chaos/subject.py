"""The code of every plugin in the suite: commands that are called all the time, sessions, and harm.

Runs in plugins; `CHAOS_PLUGIN` is the id.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import plugin_host_sdk as sdk
from tests.chaos import harm, note

__all__ = ["plugin"]

_KEPT = ("worker-", "watchdog")  # threads of calls, which are kept for the next call


note.come_to_grief()

plugin = sdk.Plugin(os.environ["CHAOS_PLUGIN"], version="1.0.0")
sdk.exec.register_plugin(plugin, sdk.exec.PluginOpts(handlers=[sdk.exec.Handler("local")]))
harm.register(plugin)


@plugin.command()
def echo(ctx: sdk.Context, value: Any) -> Any:
    return value


@plugin.command()
def nap(ctx: sdk.Context, seconds: float, value: Any) -> Any:
    time.sleep(seconds)
    return value


@plugin.command()
async def doze(ctx: sdk.Context, seconds: float, value: Any) -> Any:
    await asyncio.sleep(seconds)
    return value


@plugin.command()
def compute(ctx: sdk.Context, value: int) -> int:
    return sum(range(value))


@plugin.command()
def wait(ctx: sdk.Context) -> None:
    """Until nobody waits for it any more."""
    while not ctx.cancelled.wait(60):
        pass


@plugin.command()
def relay(ctx: sdk.Context, to: str, value: Any) -> dict[str, Any]:
    """Through a service of the host to another plugin: its `result`, or the `error` in words."""
    try:
        return {"result": ctx.host.call("relay", to=to, value=value)}
    except sdk.PluginHostError as error:
        return {"error": str(error)}


@plugin.command()
def stamp(ctx: sdk.Context, value: Any) -> Any:
    """Through a service that runs in a thread of the host's."""
    return ctx.host.call("stamp", value=value)


@plugin.command()
def holdings(ctx: sdk.Context) -> dict[str, int]:
    """What this process has: numbers by kind."""
    held = dict.fromkeys(("threads", "processes"), 0)
    for name in os.listdir("/proc/self/fd"):
        try:
            kind = f"descriptors of kind {os.readlink(f'/proc/self/fd/{name}').partition(':')[0]}"
        except OSError:
            continue  # that of this very listing
        held[kind] = held.get(kind, 0) + 1
    held["threads"] = sum(not thread.name.startswith(_KEPT) for thread in threading.enumerate())
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    held["processes"] = len(children.split())
    return held
