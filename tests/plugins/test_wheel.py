"""What pip installs of each plugin: the entry point, and the manifest inside the package."""

from __future__ import annotations

import configparser
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.edges

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


@pytest.mark.parametrize("name", ["system", "neovim", "shell", "automation", "runner"])
def test_wheel_has_the_manifest_and_the_entry_point_for_it(name: str, tmp_path: Path) -> None:
    text = (PLUGINS / name / "plugin_manifest.json").read_text()
    manifest = json.loads(text)
    installed = install(PLUGINS / name, tmp_path)
    about = installed / f"plugin_host_{name}-{manifest['version']}.dist-info"
    entry_points = configparser.ConfigParser(delimiters=["="])
    entry_points.read_string((about / "entry_points.txt").read_text())
    value = entry_points["plugin_host.plugins"][manifest["id"]]
    assert value == manifest["launch"].get("entry_point", f"plugin_host_{name}")
    assert (installed / f"plugin_host_{name}" / "plugin_manifest.json").read_text() == text


def install(project: Path, out: Path) -> Path:
    """Build the wheel and unpack it, which is all that installing it does."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    built = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    [wheel] = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(out / "installed")
    return out / "installed"
