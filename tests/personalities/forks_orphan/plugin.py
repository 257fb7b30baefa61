"""Starts children that leave its session, keep its stderr open and ignore SIGTERM."""

# mypy: disallow-untyped-defs=False

from __future__ import annotations

import subprocess
import sys

import plugin_host_sdk as sdk

plugin = sdk.Plugin("forks_orphan", version="1.0.0")

_STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    os._exit(0)
os.setsid()
print(os.getpid(), flush=True)
time.sleep(60)
"""


@plugin.command("fork")
def fork(ctx):
    """The pid of a grandchild whose parent is gone."""
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", _STUBBORN], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdout is not None
    with child, child.stdout:
        return int(child.stdout.readline())
