"""Which folders a Python needs, from what lies on the disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from plugin_host.installation import folders_of, package_in
from tests.venv import bare


@pytest.fixture
def environment(tmp_path: Path) -> tuple[Path, Path]:
    """A virtual environment: its folder and its site-packages."""
    packages = bare(tmp_path / "venv")
    return tmp_path / "venv", packages


def python(environment: Path) -> str:
    return str(environment / "bin" / "python")


def test_environment_comes_with_the_installation_behind_it(environment: tuple[Path, Path]) -> None:
    found = folders_of(python(environment[0]))
    assert str(environment[0]) in found
    assert any(sysconfig.get_paths()["stdlib"].startswith(f"{folder}/") for folder in found)
    assert str(environment[0] / "bin") in found  # where the link lies


def test_every_folder_that_the_interpreter_names_is_covered() -> None:
    """Asked of the interpreter itself, which runs code of the environment and so is not asked otherwise."""
    code = "import sys; print('\\n'.join([*sys.path, sys.prefix, sys.base_prefix]))"
    said = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    found = [os.path.realpath(folder) for folder in folders_of(sys.executable)]
    for path in map(os.path.realpath, filter(os.path.isdir, said.stdout.splitlines())):
        assert any(f"{path}/".startswith(f"{folder}/") for folder in found), path


def test_folders_in_pth_files_are_found(environment: tuple[Path, Path], tmp_path: Path) -> None:
    home, packages = environment
    (tmp_path / "project").mkdir()
    (packages / "relative").mkdir()
    lines = ["# a comment", "", str(tmp_path / "project"), "relative", "import os; os.getcwd()", "/none"]
    (packages / "own.pth").write_text("\n".join(lines))
    found = folders_of(python(home))
    assert {str(tmp_path / "project"), str(packages / "relative")} <= set(found)
    assert "/none" not in found


def test_editable_installs_are_found_by_their_origin(
    environment: tuple[Path, Path], tmp_path: Path
) -> None:
    home, packages = environment
    for name, editable in (("edited one", True), ("built", False)):
        (tmp_path / name).mkdir()
        record = packages / f"{name}-1.dist-info"
        record.mkdir()
        origin = {"url": (tmp_path / name).as_uri(), "dir_info": {"editable": editable}}
        (record / "direct_url.json").write_text(json.dumps(origin))
    for name, text in (("a", "no json"), ("b", "[]"), ("c", '{"url": 3}')):
        (packages / f"{name}-1.dist-info").mkdir()
        (packages / f"{name}-1.dist-info" / "direct_url.json").write_text(text)
    found = folders_of(python(home))
    assert str(tmp_path / "edited one") in found
    assert str(tmp_path / "built") not in found


def test_linked_packages_are_found_where_they_are(environment: tuple[Path, Path], tmp_path: Path) -> None:
    home, packages = environment
    (tmp_path / "elsewhere" / "lent").mkdir(parents=True)
    (packages / "lent").symlink_to(tmp_path / "elsewhere" / "lent")
    assert str(tmp_path / "elsewhere" / "lent") in folders_of(python(home))


def test_every_link_on_the_way_to_the_program_counts(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
    (tmp_path / "first" / "python").symlink_to("../second/python")
    (tmp_path / "second" / "python").symlink_to(os.path.realpath(sys.executable))
    found = folders_of(str(tmp_path / "first" / "python"))
    assert {str(tmp_path / "first"), str(tmp_path / "second")} <= set(found)


def test_circle_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to("python")
    assert folders_of(str(tmp_path / "python")) is not None


def test_package_is_found_where_it_would_be_imported_from(environment: tuple[Path, Path]) -> None:
    home, packages = environment
    assert package_in(python(home), "demo") is None
    (packages / "demo").mkdir()
    assert package_in(python(home), "demo") == str(packages / "demo")
    found = package_in(sys.executable, "plugin_host_sdk")
    assert found is not None
    assert os.path.isfile(os.path.join(found, "__init__.py"))
