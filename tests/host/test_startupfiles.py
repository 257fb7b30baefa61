"""What is noticed of the files that an interpreter reads when it begins, and at what cost."""

from __future__ import annotations

import os
import site
import sys
import time
from pathlib import Path

import pytest

from plugin_host.warm.startupfiles import StartupFiles, site_folders


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder that has been left alone for a while."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "old.pth").write_text("/old\n")
    (packages / "module.py").write_text("")
    settle(packages)
    return packages


@pytest.fixture
def files(packages: Path, tmp_path: Path) -> StartupFiles:
    return StartupFiles([str(packages)], str(tmp_path / "pyvenv.cfg"))


def settle(folder: Path) -> None:
    """As if its last change were a minute ago."""
    long_ago = time.time() - 60
    os.utime(folder, (long_ago, long_ago))


@pytest.mark.parametrize("name", ["new.pth", "sitecustomize.py", "usercustomize.py", "sitecustomize.so"])
def test_file_that_an_interpreter_reads_is_noticed_when_it_comes_and_goes(
    files: StartupFiles, packages: Path, name: str
) -> None:
    before = files.look()
    assert files.look() == before
    (packages / name).write_text("/new\n")
    assert files.look() != before
    (packages / name).unlink()
    assert files.look() == before


def test_file_that_is_written_anew_is_noticed_though_its_folder_is_as_before(
    files: StartupFiles, packages: Path
) -> None:
    before = files.look()
    (packages / "old.pth").write_text("/other\n")
    settle(packages)
    files.look()
    after = files.look()
    assert after != before
    os.utime(packages / "old.pth", (1, 1))
    assert files.look() not in (before, after)


def test_package_that_customizes_is_noticed_by_what_is_run(files: StartupFiles, packages: Path) -> None:
    (packages / "sitecustomize").mkdir()
    bare = files.look()
    (packages / "sitecustomize" / "__init__.py").write_text("pass\n")
    assert files.look() != bare


def test_folder_and_configuration_of_the_environment_that_come_later_are_noticed(tmp_path: Path) -> None:
    folder, configuration = tmp_path / "site-packages", tmp_path / "pyvenv.cfg"
    files = StartupFiles([str(folder)], str(configuration))
    looks = [files.look()]
    folder.mkdir()
    looks.append(files.look())
    configuration.write_text("home = /usr/bin\n")
    looks.append(files.look())
    folder.rmdir()
    looks.append(files.look())
    assert len(set(looks)) == 4


def test_other_modules_are_no_matter(files: StartupFiles, packages: Path) -> None:
    before = files.look()
    (packages / "other.py").write_text("")
    (packages / "other-1.0.dist-info").mkdir()
    assert files.look() == before


def test_folder_that_is_as_before_is_not_listed_again(
    files: StartupFiles, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[object] = []
    listdir = os.listdir

    def count(path: str) -> list[str]:
        listed.append(path)
        return listdir(path)

    monkeypatch.setattr(os, "listdir", count)
    for _ in range(3):
        files.look()
    assert len(listed) == 1
    (packages / "new.pth").write_text("/new\n")
    settle(packages)
    for _ in range(3):
        files.look()
    assert len(listed) == 2


def test_file_that_comes_within_a_tick_of_the_clock_is_noticed(files: StartupFiles, packages: Path) -> None:
    now = time.time_ns()
    os.utime(packages, ns=(now, now))
    before = files.look()
    (packages / "new.pth").write_text("/new\n")
    os.utime(packages, ns=(now, now))
    assert files.look() != before


def test_folders_are_those_of_this_interpreter() -> None:
    folders = site_folders()
    assert {*site.getsitepackages(), os.path.dirname(os.__file__)} <= set(folders)
    assert (site.getusersitepackages() in folders) is bool(site.ENABLE_USER_SITE or sys.flags.no_user_site)
    assert len(set(folders)) == len(folders)


def test_entry_of_the_path_that_is_no_text_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """As imports do."""
    monkeypatch.setattr(sys, "path", [*sys.path, Path("/a/site-packages"), None, b"/b/site-packages"])
    assert not {"/a/site-packages", "/b/site-packages"} & set(site_folders())
