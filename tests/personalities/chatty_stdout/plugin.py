"""Writes to standard output at every occasion: at import, in a handler, from a child, at exit."""

# mypy: disallow-untyped-defs=False

from __future__ import annotations

import atexit
import os
import sys

import plugin_host_sdk as sdk

print("chatty at import")
plugin = sdk.Plugin("chatty_stdout", version="1.0.0")
atexit.register(print, "chatty at exit")


@plugin.command("talk")
def talk(ctx):
    print("chatty in a handler")
    sys.stdout.write("chatty by write\n")
    os.write(1, b"chatty by descriptor\n")
    os.system("echo chatty from a shell")
    return "said"


@plugin.command("repeat")
def repeat(ctx, times):
    for _ in range(times):
        print("the same line again")
