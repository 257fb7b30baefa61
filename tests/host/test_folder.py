"""Plugins in a folder the operator named."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plugin_host import folder
from plugin_host.manifest import MANIFEST_NAME

pytestmark = pytest.mark.edges


def plugin(path: Path, plugin_id: str | None = None) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    content = {"id": plugin_id or path.name, "version": "1", "launch": {"argv": ["true"]}}
    (path / MANIFEST_NAME).write_text(json.dumps(content))
    return path


def refusal(path: Path | str) -> str:
    (found,) = folder.candidates(path)
    assert found.error is not None
    return str(found.error)


@contextmanager
def without_privilege() -> Iterator[None]:
    """Root may read everything, so these tests look at folders as nobody does."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_each_subfolder_with_a_manifest_is_a_plugin(tmp_path: Path) -> None:
    two, one = plugin(tmp_path / "two"), plugin(tmp_path / "one", "first")
    (tmp_path / "empty").mkdir()
    (tmp_path / "README").touch()
    found = folder.candidates(tmp_path)
    assert [(each.id, each.source) for each in found] == [
        ("first", f"folder {one}"),
        ("two", f"folder {two}"),
    ]
    assert (found[0].root, found[0].manifest_file) == (one, one / MANIFEST_NAME)
    assert found[0].sys_path == (str(one),)


def test_the_folder_itself_may_be_a_plugin(tmp_path: Path) -> None:
    plugin(tmp_path, "outer")
    plugin(tmp_path / "inner")
    assert [found.id for found in folder.candidates(tmp_path)] == ["outer", "inner"]


def test_deeper_folders_and_hidden_ones_are_not_looked_at(tmp_path: Path) -> None:
    plugin(tmp_path / "fine")
    plugin(tmp_path / "fine" / "deeper")
    plugin(tmp_path / ".hidden", "hidden")
    assert [found.id for found in folder.candidates(tmp_path)] == ["fine"]


def test_a_relative_folder_becomes_absolute_and_links_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin(tmp_path / "real" / "demo")
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    (found,) = folder.candidates("link")
    assert found.root == tmp_path / "link" / "demo"


def test_an_empty_folder_holds_no_plugins(tmp_path: Path) -> None:
    assert folder.candidates(tmp_path) == []


def test_a_broken_manifest_is_explained_and_its_neighbours_are_found(tmp_path: Path) -> None:
    broken = plugin(tmp_path / "broken")
    (broken / MANIFEST_NAME).write_text("{")
    plugin(tmp_path / "fine")
    first, second = folder.candidates(tmp_path)
    assert (first.id, first.manifest_file) == ("broken", broken / MANIFEST_NAME)
    assert first.error is not None
    assert first.error.file == str(broken / MANIFEST_NAME)
    assert second.error is None


def test_a_folder_with_things_but_no_manifest_is_explained(tmp_path: Path) -> None:
    (tmp_path / "code.py").touch()
    text = f"{tmp_path}: expected a {MANIFEST_NAME} here or in a subfolder, found none"
    assert refusal(tmp_path) == text


def test_a_folder_that_is_none_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    assert refusal(tmp_path / "none").endswith("expected a folder of plugins: No such file or directory")
    assert refusal(tmp_path / "file").endswith("expected a folder of plugins: Not a directory")
    assert refusal(tmp_path / "loop").endswith("Too many levels of symbolic links")
    assert "expected a path without NUL characters" in refusal("a\0b")


def test_a_relative_folder_is_refused_where_the_working_folder_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert refusal("plugins") == (
        "plugins: expected an absolute path, as the working folder of the host is gone"
    )


def test_links_to_nowhere_and_in_circles_are_broken_lines(tmp_path: Path) -> None:
    plugin(tmp_path / "fine")
    (tmp_path / "gone").symlink_to(tmp_path / "away")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "up").symlink_to(".")
    fine, gone, loop = folder.candidates(tmp_path)
    assert fine.error is None
    assert gone.id == "gone"
    assert f"found a link to {tmp_path / 'away'}, which is missing" in str(gone.error)
    assert "Too many levels of symbolic links" in str(loop.error)


def test_a_manifest_that_is_a_folder_or_a_loop_is_a_broken_line(tmp_path: Path) -> None:
    (tmp_path / "one" / MANIFEST_NAME).mkdir(parents=True)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / MANIFEST_NAME).symlink_to(MANIFEST_NAME)
    one, two = folder.candidates(tmp_path)
    assert "expected a file, found a folder" in str(one.error)
    assert "Too many levels of symbolic links" in str(two.error)


def test_a_name_that_is_no_text_can_be_shown(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"bad\xff\n")
    path.mkdir()
    (path / MANIFEST_NAME).write_text("")
    (found,) = folder.candidates(tmp_path)
    assert found.id.isprintable()
    assert str(found.error).isprintable()


def test_what_may_not_be_read_is_a_broken_line(tmp_path: Path) -> None:
    locked = plugin(tmp_path / "locked")
    locked.chmod(0)
    try:
        with without_privilege():
            assert "Permission denied" in refusal(locked)
    finally:
        locked.chmod(0o700)
