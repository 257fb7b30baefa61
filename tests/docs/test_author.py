"""What the page for authors says beside its examples, and its package as pip installs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_host import CallFailed, PluginHost
from tests.docs import page
from tests.run import Run
from tests.source import ROOT

pytestmark = pytest.mark.edges

AUTHOR = ROOT / "docs" / "author.md"
EMBEDDER = ROOT / "docs" / "embedder.md"


def written(folder: Path, source: Path, prefix: str) -> Path:
    """The page's files below `prefix`, in a folder of this test."""
    for block in page.blocks(source):
        if block.file is not None and block.file.startswith(prefix):
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a" if "append" in block.marks else "w") as file:
                file.write("\n\n" * ("append" in block.marks) + block.text)
    return folder / prefix


def test_the_page_builds_one_plugin_with_all_its_commands(tmp_path: Path, run: Run) -> None:
    folder = written(tmp_path, AUTHOR, "greeter/")

    async def body() -> None:
        async with PluginHost(plugin_dirs=[folder], entry_points=False) as host:
            plugin = host.plugins["greeter"]
            assert plugin.error is None
            assert {"greet", "banner", "look_up", "count", "greet_in", "both", "unlock"} <= set(
                plugin.commands
            )
            assert await host.call("greeter", "both") == ["one", "two"]
            assert await host.call("greeter", "greeting") == "hello"

    run(body())


CONVERSIONS = """
import dataclasses, datetime, enum, pathlib, msgspec
import plugin_host_sdk as sdk

class Colour(enum.Enum):
    RED = "red"

@dataclasses.dataclass
class Point:
    x: int
    y: int = 0

plugin = sdk.Plugin("typed", version="1.0.0")

@plugin.command()
def kinds(ctx, day: datetime.date, colour: Colour, point: Point, ratio: float, maybe: int | None = None):
    return [day.year, colour.value, point, ratio, maybe]

@plugin.command()
def untyped(ctx, value, **others):
    return [type(value).__name__, sorted(others)]

@plugin.command()
def give(ctx, what: str):
    return {"set": {1}, "path": pathlib.Path("/"), "tuple": (1, 2), "bytes": b"\\xff", "big": 2**64}[what]
"""
MANIFEST = '{"id": "typed", "version": "1.0.0", "launch": {"entry_point": "typed_plugin:plugin"}}'


@pytest.fixture
def typed(tmp_path: Path) -> Path:
    (tmp_path / "typed").mkdir()
    (tmp_path / "typed" / "typed_plugin.py").write_text(CONVERSIONS)
    (tmp_path / "typed" / "plugin_manifest.json").write_text(MANIFEST)
    return tmp_path


def test_parameters_and_results_are_of_the_types_that_the_page_names(typed: Path, run: Run) -> None:
    async def body() -> None:
        async with PluginHost(plugin_dirs=[typed], entry_points=False) as host:
            given = {"day": "2024-02-29", "colour": "red", "point": {"x": 1}, "ratio": 2}
            assert await host.call("typed", "kinds", given) == [2024, "red", {"x": 1, "y": 0}, 2.0, None]
            with pytest.raises(CallFailed, match=r"ratio.*Expected `float`, got `str`"):
                await host.call("typed", "kinds", given | {"ratio": "2"})
            assert (await host.call_text("typed", "kinds", given | {"ratio": "2"}))[3] == 2.0
            answer = await host.call("typed", "untyped", {"value": b"1", "more": 1, "most": 2})
            assert answer == ["bytes", ["more", "most"]]
            assert await host.call("typed", "give", {"what": "tuple"}) == [1, 2]
            assert await host.call("typed", "give", {"what": "bytes"}) == b"\xff"
            for what in ("set", "path", "big"):
                with pytest.raises(CallFailed) as caught:
                    await host.call("typed", "give", {"what": what})
                assert (caught.value.name, caught.value.code) == ("command.not_encodable", 106)

    run(body())


def install(folder: Path, site: Path) -> None:
    """Install a package as its author would, into a folder of its own and without the network."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    command += ["--no-index", "--disable-pip-version-check", "--target", str(site), str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


def plugin_host(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PLUGIN_HOST")}
    env |= {"PYTHONPATH": str(site), "HOME": str(site), "COLUMNS": "200"}
    command = [sys.executable, "-m", "plugin_host", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)


@pytest.mark.deadline(90)
def test_the_package_is_found_after_pip_has_installed_it(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(written(tmp_path, AUTHOR, "package/"), site)
    ran = plugin_host(site, "list", "--only", "greeter")
    assert (ran.returncode, ran.stderr) == (0, "")
    (row,) = [line.split() for line in ran.stdout.splitlines() if line.startswith("greeter ")]
    assert row[:4] == ["greeter", "1.0.0", "ok", "host.translate"]
    assert "entry point of greeter-plugin 1.0.0" in ran.stdout


@pytest.mark.deadline(90)
def test_the_extension_is_called_after_pip_has_installed_it(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(written(tmp_path, EMBEDDER, "extension/"), site)
    plugin = written(tmp_path, EMBEDDER, "plugins/demo/")
    ran = plugin_host(site, "call", "demo", "greet", "--plugin-dir", str(plugin))
    assert (ran.returncode, ran.stdout) == (0, '{\n  "text": "hello world"\n}\n')
    assert ran.stderr.splitlines() == [
        f"audit: demo is {state}" for state in ("starting", "ready", "stopping", "stopped")
    ]
    ran = plugin_host(site, "list", "--only", "cat", "--no-plugin", "demo")
    assert "hook audit" in ran.stdout
    ran = plugin_host(site, "call", "demo", "greet", "--plugin-dir", str(plugin), "--no-plugin", "audit")
    assert (ran.returncode, ran.stderr) == (0, "")
