"""Dies in the middle of a call, in the way it is asked to."""

# mypy: disallow-untyped-defs=False

from __future__ import annotations

import os
import signal
import sys
import threading

import plugin_host_sdk as sdk

plugin = sdk.Plugin("dies_midcall", version="1.0.0")


@plugin.command("leave")
def leave(ctx, status):
    print(f"leaving with status {status}", file=sys.stderr, flush=True)
    os._exit(status)


@plugin.command("signal")
def send_signal(ctx, name):
    os.kill(os.getpid(), getattr(signal, name))
    threading.Event().wait()


@plugin.command("wait")
def wait(ctx):
    threading.Event().wait()
