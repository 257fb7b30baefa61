"""A package from outside this repository, installed by pip beside the host and found by its entry point."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import venv

pytestmark = pytest.mark.edges

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "weather-station"
version = "2.5.0"
dependencies = ["plugin-host-sdk"]

[project.entry-points."plugin_host.plugins"]
weather = "weather_station:plugin"
stormy = "weather_station.storm:plugin"

[tool.hatch.build.targets.wheel]
packages = ["weather_station"]
"""
PACKAGE = """
import sys
import plugin_host_sdk as sdk

if "plugin_host" in sys.modules:
    raise SystemExit("imported by a host")

plugin = sdk.Plugin("weather", version="2.5.0")

@plugin.command("forecast")
def forecast(ctx, city: str, days: int = 1):
    return {"city": city, "days": ["sunny"] * days}
"""
STORM = """
raise RuntimeError("struck by lightning")
"""
HOST = """
import asyncio, json, sys
import plugin_host

async def main():
    async with plugin_host.PluginHost(only=["weather", "stormy"]) as host:
        found = host.plugins
        report = {
            "prefix": sys.prefix,
            "weather": [found["weather"].state, found["weather"].version, found["weather"].source],
            "stormy": [found["stormy"].state, str(found["stormy"].error)],
            "forecast": await host.call("weather", "forecast", {"city": "Oslo", "days": 2}),
            "imported": [name for name in sys.modules if name.startswith("weather_station")],
        }
        print(json.dumps(report))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the host, and with the package that pip put there."""
    home = tmp_path_factory.mktemp("external")
    source = home / "weather-station"
    package = source / "weather_station"
    package.mkdir(parents=True)
    (source / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (package / "__init__.py").write_text(PACKAGE, encoding="utf-8")
    (package / "storm.py").write_text(STORM, encoding="utf-8")
    venv.lend_all(venv.bare(home / "venv"))
    python = home / "venv" / "bin" / "python"
    # Nothing is fetched: what it needs is there already.
    install = ["install", "-qq", "--no-index", "--no-deps", "--no-build-isolation", str(source)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, *install],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return python


@pytest.fixture(scope="module")
def report(python: Path) -> dict[str, Any]:
    """What a host in that environment makes of it."""
    done = subprocess.run(
        [python, "-c", HOST], capture_output=True, text=True, timeout=60, check=False, cwd=python.parent
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.deadline(120)
def test_installed_package_is_found_and_runs(report: dict[str, Any]) -> None:
    state, version, source = report["weather"]
    assert (state, version) == ("ready", "2.5.0")
    assert "weather-station" in source
    assert report["forecast"] == {"city": "Oslo", "days": ["sunny", "sunny"]}


def test_hosts_own_interpreter_is_the_plugins(python: Path, report: dict[str, Any]) -> None:
    assert report["prefix"] == str(python.parent.parent)


def test_host_imports_nothing_of_the_package(report: dict[str, Any]) -> None:
    assert report["imported"] == []


def test_module_that_raises_at_import_is_explained(report: dict[str, Any]) -> None:
    state, error = report["stormy"]
    assert state == "failed"
    assert "RuntimeError: struck by lightning" in error
