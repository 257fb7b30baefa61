"""What the benchmarks call: echoes, untyped and typed, and handlers that sleep or compute.

Imports nothing that an ordinary small plugin would not, so that its cold start is one.
"""

from __future__ import annotations

import os
import time

from plugin_host_sdk import Plugin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["plugin"]

# As many workers as sleepers, so that all of them sleep at once.
plugin = Plugin("benchmark", version="1.0.0", workers=64)


@plugin.command("echo")
def echo(ctx, payload):  # type: ignore[no-untyped-def]
    """Give back what came; declares no type, so nothing is validated."""
    return payload


@plugin.command("echo_typed")
def echo_typed(ctx: Any, payload: bytes) -> bytes:
    """Give back what came, validated."""
    return payload


@plugin.command("sleep")
def sleep(ctx: Any, seconds: float) -> None:
    """Wait in a worker without computing."""
    time.sleep(seconds)


@plugin.command("spin")
def spin(ctx: Any, seconds: float) -> None:
    """Compute in Python, holding the interpreter as much as it lets."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


if "BENCHMARK_PROFILE" in os.environ:
    import importlib

    importlib.import_module("benchmark_profile").install(plugin)
