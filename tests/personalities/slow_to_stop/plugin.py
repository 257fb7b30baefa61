"""Takes its time to end: a handler that does not look up, and an exit handler that sleeps."""

# mypy: disallow-untyped-defs=False

from __future__ import annotations

import atexit
import time

import plugin_host_sdk as sdk

plugin = sdk.Plugin("slow_to_stop", version="1.0.0")
atexit.register(time.sleep, 60)


@plugin.command("sleep")
def sleep(ctx):
    time.sleep(60)
