"""Started by a shell that greets on standard output first."""

# mypy: disallow-untyped-defs=False

from __future__ import annotations

import plugin_host_sdk as sdk

plugin = sdk.Plugin("chatty_wrapper", version="1.0.0")


@plugin.command("echo")
def echo(ctx, value=None):
    return value
