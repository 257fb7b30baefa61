"""What tracing needs when it is switched on, and that it costs nothing when it is not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from plugin_host import PluginHost, PluginHostError

IDLE = """
import asyncio, sys
import plugin_host, plugin_host.cli.run

async def body():
    async with plugin_host.PluginHost(entry_points=False) as host:
        await host.metrics()

asyncio.run(body())
print([name for name in sys.modules if name.partition(".")[0] in ("opentelemetry", "prometheus_client")])
"""


def test_tracing_without_opentelemetry_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "plugin_host.span", raising=False)
    with pytest.raises(PluginHostError, match=r"pip install 'plugin-host\[otel\]'"):
        PluginHost(entry_points=False, tracing=True)


def test_neither_library_is_imported_before_it_is_needed() -> None:
    command = [sys.executable, "-c", IDLE]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    assert ran.stdout == "[]\n"
