"""Which of the distributions along `sys.path` count, wherever they are known from."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from plugin_host import shelf
from plugin_host.installed import distributions
from tests.host.site import install, many

GROUP = "plugin_host.plugins"
DEMO = "[plugin_host.plugins]\ndemo = demo_code:plugin\n"


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other distributions, and all files as if they had long been as they are."""
    monkeypatch.setattr(shelf, "SETTLED_S", -3600.0)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])


def names() -> list[str]:
    return [f"{one.name} {one.version}" for one in distributions()]


def test_first_on_the_path_counts_whatever_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    install(old, "Some.Demo", DEMO)
    install(new, "some_demo", None, version="2.0")
    monkeypatch.setattr(sys, "path", [str(old), str(new), *sys.path])
    assert names() == ["Some.Demo 1.0"]
    monkeypatch.setattr(sys, "path", [str(new), str(old), *sys.path])
    assert names() == []


def test_folder_that_joins_the_path_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that a `.pth` file names does at the next start."""
    install(tmp_path / "one", "one", DEMO)
    install(tmp_path / "two", "two", DEMO)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "one"), *sys.path])
    assert names() == ["one 1.0"]
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "two")])
    assert names() == ["one 1.0", "two 1.0"]


def test_wheels_on_the_path_are_read(tmp_path: Path) -> None:
    """By a process of its own: importlib.metadata keeps the file open."""
    wheel = tmp_path / "demo.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("demo-1.0.dist-info/METADATA", "Name: demo\nVersion: 1.0\n")
        archive.writestr("demo-1.0.dist-info/entry_points.txt", DEMO)
    code = "from plugin_host.installed import *; print(*(one.name for one in distributions()))"
    environment = {**os.environ, "PYTHONPATH": str(wheel)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert "demo" in done.stdout.split()


def test_relative_paths_are_those_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "here", "here", DEMO)
    monkeypatch.setattr(sys, "path", ["", 3, b"/bytes", *sys.path])
    monkeypatch.chdir(tmp_path / "here")
    assert names() == ["here 1.0"]
    monkeypatch.chdir(tmp_path)
    assert names() == []


def test_finders_of_others_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = install(tmp_path, "told", DEMO)

    class Finder:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None: ...

        @staticmethod
        def find_distributions(context: object) -> Iterator[metadata.Distribution]:
            yield metadata.Distribution.at(folder)

    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    assert names() == ["told 1.0"]


def test_what_is_found_is_what_importlib_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(tmp_path / "site", 300, 10)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    expected = sorted((point.name, point.value) for point in metadata.entry_points(group=GROUP))
    for _ in range(2):  # read, then remembered
        found = [(point.name, point.value) for one in distributions() for point in one.of(GROUP)]
        assert sorted(found) == expected
    assert len(expected) == 10


def test_remembered_folder_needs_no_importlib_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(tmp_path / "site", 20, 3)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    found = distributions()
    monkeypatch.setitem(sys.modules, "importlib.metadata", None)
    assert distributions() == found
