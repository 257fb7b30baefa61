"""Does what it is asked to: the neighbour that must not notice how the others misbehave."""

# mypy: disallow-untyped-defs=False

from __future__ import annotations

import plugin_host_sdk as sdk

plugin = sdk.Plugin("steady", version="1.0.0")


@plugin.command("echo")
def echo(ctx, value=None):
    """Give back what came."""
    return value


@plugin.command("sleep")
def sleep(ctx, seconds=60.0):
    """Wait until the time is over or the call is cancelled; whether it was cancelled."""
    return ctx.cancelled.wait(seconds)


@plugin.command("ask")
def ask(ctx, service, params=None):
    """What a service of the host answers."""
    return ctx.host.call(service, **(params or {}))


@plugin.command("pid")
def pid(ctx):
    import os

    return os.getpid()
