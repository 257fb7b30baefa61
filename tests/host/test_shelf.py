"""What one folder of distributions holds: remembered, and never for longer than it is so."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import NoReturn

import pytest

from plugin_host import shelf as shelf_module
from plugin_host.scancache import ScanCache
from plugin_host.shelf import SETTLED_S, shelf
from tests.host.site import install

DEMO = "[plugin_host.plugins]\ndemo = demo_code:plugin\n"
SCRIPT = "[console_scripts]\nscript = code:main\n"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a plugin, a script and a distribution that offers nothing."""
    folder = tmp_path / "site"
    install(folder, "demo", DEMO)
    install(folder, "script", SCRIPT)
    install(folder, "plain")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> ScanCache:
    return ScanCache(str(tmp_path / "cache"))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every file had long been as it is: nothing can set back when one was really changed."""
    monkeypatch.setattr(shelf_module, "SETTLED_S", -3600.0)


def plugins(site: Path, cache: ScanCache | None) -> dict[str, str]:
    """The plugins on a shelf, each with name and version of its distribution."""
    found = shelf(str(site), cache)
    assert found is not None
    return {
        point.name: f"{one.name} {one.version}"
        for one in found.distributions.values()
        if one is not None
        for point in one.of("plugin_host.plugins")
    }


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders of distributions whose metadata were read."""
    found: list[str] = []
    at = metadata.Distribution.at

    def record(path: str) -> metadata.Distribution:
        found.append(os.path.basename(path))
        return at(path)

    monkeypatch.setattr(metadata.Distribution, "at", staticmethod(record))
    return found


@pytest.mark.usefixtures("settled")
def test_shelf_that_is_as_it_was_is_not_read_again(site: Path, cache: ScanCache, reads: list[str]) -> None:
    first = shelf(str(site), cache)
    assert shelf(str(site), cache) == first
    assert reads == ["demo-1.0.dist-info"]


def add_another(site: Path) -> None:
    install(site, "new", DEMO.replace("demo", "late"))


def change_in_place(site: Path) -> None:
    (site / "demo-1.0.dist-info" / "entry_points.txt").write_text(DEMO.replace("demo =", "other ="))


def add_to_one_without(site: Path) -> None:
    (site / "plain-1.0.dist-info" / "entry_points.txt").write_text(DEMO.replace("demo", "late"))


def add_to_a_script(site: Path) -> None:
    with open(site / "script-1.0.dist-info" / "entry_points.txt", "a") as stream:
        stream.write(DEMO.replace("demo", "late"))


def upgrade(site: Path) -> None:
    shutil.rmtree(site / "demo-1.0.dist-info")
    install(site, "demo", DEMO, version="2.0")


def install_again(site: Path) -> None:
    shutil.rmtree(site / "demo-1.0.dist-info")
    install(site, "demo", DEMO.replace("demo =", "else ="))


def change_version_in_place(site: Path) -> None:
    (site / "demo-1.0.dist-info" / "METADATA").write_text("Name: demo\nVersion: 1.1\n")


def link_to_another(site: Path) -> None:
    """As an editable install may have it: the metadata lie in the folder of the sources."""
    elsewhere = install(site.parent / "sources", "demo", DEMO.replace("demo =", "linked ="))
    shutil.rmtree(site / "demo-1.0.dist-info")
    (site / "demo-1.0.dist-info").symlink_to(elsewhere)


each_change = pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda site: install(site, "new", DEMO.replace("demo", "new")),
            {"demo": "demo 1.0", "new": "new 1.0"},
        ),
        (lambda site: shutil.rmtree(site / "demo-1.0.dist-info"), {}),
        (upgrade, {"demo": "demo 2.0"}),
        (install_again, {"else": "demo 1.0"}),
        (change_in_place, {"other": "demo 1.0"}),
        (change_version_in_place, {"demo": "demo 1.1"}),
        (add_to_one_without, {"demo": "demo 1.0", "late": "plain 1.0"}),
        (add_to_a_script, {"demo": "demo 1.0", "late": "script 1.0"}),
        (link_to_another, {"linked": "demo 1.0"}),
        (lambda site: (site / "demo-1.0.dist-info" / "entry_points.txt").unlink(), {}),
    ],
    ids=[
        *("installed", "removed", "upgraded", "installed again", "changed in place", "version in place"),
        *("added to one without", "added to a script", "linked", "file removed"),
    ],
)


@pytest.mark.usefixtures("settled")
@each_change
def test_every_change_is_seen_at_once(
    site: Path, cache: ScanCache, change: Callable[[Path], object], expected: dict[str, str]
) -> None:
    assert plugins(site, cache) == {"demo": "demo 1.0"}
    change(site)
    assert plugins(site, cache) == expected
    assert plugins(site, cache) == expected


@pytest.mark.usefixtures("settled")
@each_change
def test_every_change_is_seen_although_all_times_are_set_back(
    site: Path, cache: ScanCache, change: Callable[[Path], object], expected: dict[str, str]
) -> None:
    """As by tools that unpack archives, or copy with the times of what they copy."""
    for folder, names, files in os.walk(site):
        for name in (*names, *files):
            os.utime(os.path.join(folder, name), (1, 1))
    plugins(site, cache)
    change(site)
    for folder, names, files in os.walk(site):
        for name in (*names, *files):
            os.utime(os.path.join(folder, name), (1, 1))
    os.utime(site, (1, 1))
    assert plugins(site, cache) == expected


def test_shelf_with_a_young_file_is_not_remembered(site: Path, cache: ScanCache, tmp_path: Path) -> None:
    plugins(site, cache)
    assert not (tmp_path / "cache").exists()


def test_shelf_is_remembered_once_its_files_are_settled(
    site: Path, cache: ScanCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + SETTLED_S + 1)
    plugins(site, cache)
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    "data", [b"", b"null", b"{}", b"[" * 100_000, b'{"path": 1, "listing": [], "offers": {}}', b"\xff"]
)
def test_memory_of_another_form_is_of_no_use(
    site: Path, cache: ScanCache, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cache.store(str(site), data)
    with caplog.at_level(logging.INFO):
        assert plugins(site, cache) == {"demo": "demo 1.0"}
    assert caplog.records == []


@pytest.mark.usefixtures("settled")
def test_memory_of_another_folder_is_of_no_use(
    site: Path, cache: ScanCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the names of two files are the same by chance."""
    monkeypatch.setattr("plugin_host.scancache._name_of", lambda path: "same.json")
    other = tmp_path / "other"
    install(other, "demo", DEMO.replace("demo =", "other ="))
    assert plugins(other, cache) == {"other": "demo 1.0"}
    assert plugins(site, cache) == {"demo": "demo 1.0"}


def test_without_a_cache_everything_is_read(site: Path, reads: list[str]) -> None:
    for _ in range(2):
        assert plugins(site, None) == {"demo": "demo 1.0"}
    assert len(reads) == 2


@pytest.mark.usefixtures("settled")
def test_what_cannot_be_read_is_named_and_not_remembered(
    site: Path,
    cache: ScanCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(file: str) -> NoReturn:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shelf_module, "_mentions", fail)
    assert plugins(site, cache) == {}
    assert "demo-1.0.dist-info: [Errno 5] Input/output error" in caplog.text
    monkeypatch.undo()
    assert plugins(site, cache) == {"demo": "demo 1.0"}


@pytest.mark.parametrize("path", ["/nowhere/at/all", "/bad\0name", ""])
def test_folder_that_is_not_there_is_an_empty_shelf(path: str, cache: ScanCache, tmp_path: Path) -> None:
    found = shelf(path, cache)
    assert found is not None
    assert found.distributions == {}


def test_file_is_no_shelf(tmp_path: Path, cache: ScanCache) -> None:
    wheel = tmp_path / "some.whl"
    wheel.write_bytes(b"")
    assert shelf(str(wheel), cache) is None


@pytest.mark.usefixtures("settled")
def test_folder_without_entry_points_leaves_no_file(tmp_path: Path, cache: ScanCache) -> None:
    install(tmp_path / "site", "plain")
    assert plugins(tmp_path / "site", cache) == {}
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("settled")
def test_names_that_are_no_text_are_read_every_time(tmp_path: Path, cache: ScanCache) -> None:
    site = tmp_path / "site\udcff"
    install(site, "demo", DEMO)
    for _ in range(2):
        assert plugins(site, cache) == {"demo": "demo 1.0"}


def test_first_of_two_versions_hides_the_other(tmp_path: Path) -> None:
    """As what an upgrade that broke off leaves behind: imports find the first as well."""
    install(tmp_path, "demo", DEMO, version="1.0")
    install(tmp_path, "demo", None, version="2.0")
    first = next(name for name in os.listdir(tmp_path) if name.startswith("demo"))
    expected = {"demo": "demo 1.0"} if first == "demo-1.0.dist-info" else {}
    assert plugins(tmp_path, None) == expected
