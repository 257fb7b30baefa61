"""What is shipped: every wheel carries its whole package, and the two versions move together."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.source import ROOT, project_files

pytestmark = pytest.mark.edges

PACKAGES = {".": "host/plugin_host", "sdk": "sdk/plugin_host_sdk"}
PLUGINS = sorted(str(path.parent.relative_to(ROOT)) for path in ROOT.glob("plugins/*/pyproject.toml"))


def wheel_names(project: str, out: Path) -> set[str]:
    """Build the wheel of ``project`` and list what it holds."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    built = subprocess.run(command, cwd=ROOT / project, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def project_table(folder: str) -> dict[str, object]:
    table = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    assert isinstance(table, dict)
    return table


@pytest.mark.parametrize(("project", "package"), PACKAGES.items())
def test_wheel_holds_the_whole_package_and_its_licence(project: str, package: str, tmp_path: Path) -> None:
    parent = (ROOT / package).parent
    expected = {str(file.relative_to(parent)) for file in project_files(package)}
    names = wheel_names(project, tmp_path)
    assert expected - names == set()
    assert {"py.typed"} <= {Path(name).name for name in names}
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.parametrize("project", PLUGINS)
def test_plugin_wheel_holds_its_manifest_and_nothing_outside_its_package(
    project: str, tmp_path: Path
) -> None:
    names = wheel_names(project, tmp_path)
    (manifest,) = (name for name in names if name.endswith("plugin_manifest.json"))
    package = Path(manifest).parts[0]
    code = {str(file.relative_to(ROOT / project)) for file in project_files(f"{project}/**/*.py")}
    assert code - names == set()
    tops = {Path(name).parts[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {package}


def test_host_and_sdk_share_one_version() -> None:
    host, sdk = project_table("."), project_table("sdk")
    assert host["version"] == sdk["version"]
    assert f"plugin-host-sdk=={sdk['version']}" in str(host["dependencies"])
