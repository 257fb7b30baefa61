"""What the system plugin promises around its handlers: bounds, statuses, manifest, start-up cost."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import tomllib
import typing
from pathlib import Path
from typing import Any

import msgpack
import msgspec
import pytest

import plugin_host_sdk
import plugin_host_system
from plugin_host_system import cpu, disk, failure, memory, network, process, ranking

FOLDER = Path(__file__).resolve().parents[2] / "plugins" / "system"
HANDLERS = {
    "cpu": cpu.cpu,
    "memory": memory.memory,
    "disk_usage": disk.disk_usage,
    "disks": disk.disks,
    "network": network.network,
    "processes": ranking.processes,
    "process": process.process,
    "children": process.children,
}


def accepts(command: str, parameter: str, value: object) -> bool:
    hints = typing.get_type_hints(HANDLERS[command], include_extras=True)
    try:
        msgspec.convert(value, hints[parameter])
    except msgspec.ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    ("command", "parameter", "good", "bad"),
    [
        ("cpu", "interval", [0.05, 1, 60], [0, -1, 61, math.nan, math.inf, "1", None]),
        ("processes", "interval", [0.05, 60.0], [0.04, 1e9, math.nan]),
        ("processes", "limit", [1, 1000], [0, 1001, -1, 1.5, True, "20"]),
        ("processes", "sort", ["cpu", "memory", "pid", "name", "started"], ["CPU", "", None]),
        ("processes", "name", ["", "sh"], [None, 1]),
        ("process", "pid", [1, 2**40], [0, -1, "1", 1.0, True]),
        ("children", "recursive", [True, False], [1, "yes", None]),
        ("disk_usage", "path", ["/", ""], [None, 1, b"/"]),
        ("disks", "all_mounts", [True], [0]),
    ],
)
def test_parameters_have_bounds(
    command: str, parameter: str, good: list[object], bad: list[object]
) -> None:
    assert [value for value in good if not accepts(command, parameter, value)] == []
    assert [value for value in bad if accepts(command, parameter, value)] == []


def test_the_plugin_has_these_commands() -> None:
    commands = plugin_host_system.plugin.commands
    assert commands.names == sorted(HANDLERS)
    functions = {name: handler.function for name, handler in commands._handlers.items()}
    assert functions == HANDLERS


def test_each_command_explains_itself() -> None:
    for handler in HANDLERS.values():
        first, _, _ = (handler.__doc__ or "").partition("\n")
        assert first.endswith(".")


def test_readme_has_the_statuses_and_the_commands() -> None:
    readme = (FOLDER / "README.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", readme, re.MULTILINE)
    assert {int(number): meaning for number, meaning in rows} == failure.MEANINGS
    assert re.findall(r"^\| `(\w+)` \|", readme, re.MULTILINE) == list(HANDLERS)


def test_statuses_are_those_that_belong_to_handlers() -> None:
    assert all(1 <= status <= 99 for status in failure.MEANINGS)


def test_plugin_manifest_and_entry_point_agree() -> None:
    manifest = json.loads((FOLDER / "plugin_manifest.json").read_text())
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())
    declared = project["project"]["entry-points"]["plugin_host.plugins"]
    plugin = plugin_host_system.plugin
    assert (manifest["id"], manifest["version"]) == (plugin.id, plugin.version)
    assert declared == {manifest["id"]: manifest["launch"]["entry_point"]}


def test_importing_the_plugin_loads_nothing_heavy() -> None:
    program = """
import sys
import plugin_host_system
print([name for name in ("psutil", "msgspec", "typing", "socket", "subprocess") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": os.pathsep.join(_import_folders())},
        check=True,
    )
    assert done.stdout.strip() == "[]"


def _import_folders() -> list[str]:
    """Where the plugin and what it needs are; `-S` keeps what .pth files load out of the count."""
    modules: list[Any] = [plugin_host_system, plugin_host_sdk, msgpack]
    return [str(Path(module.__file__).parents[1]) for module in modules]
