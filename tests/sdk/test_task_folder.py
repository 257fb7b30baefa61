"""What is in a folder: all of it, in order, in parts, and never through a link."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from plugin_host_sdk.errors import InvalidPayload
from plugin_host_sdk.metadata import folder as folder_module
from plugin_host_sdk.metadata.folder import list_part
from plugin_host_sdk.metadata.reach import Reach


def listed(path: Path, *, recursive: bool = False) -> list[dict[str, Any]]:
    """All entries, part by part."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        part = list_part(Reach(None), os.fsencode(path), recursive=recursive, after=after)
        found += part["entries"]
        if not part["more"]:
            return found
        after = found[-1].get("raw") or found[-1]["path"].encode()


def names(path: Path, entries: Iterable[dict[str, Any]]) -> list[str]:
    return [os.path.relpath(entry["path"], path) for entry in entries]


def test_entries_say_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "file").chmod(0o640)
    os.utime(tmp_path / "file", (1, 1_000_000))
    (tmp_path / "link").symlink_to("/etc")
    os.mkfifo(tmp_path / "pipe")
    entries = listed(tmp_path)
    assert [(entry["type"], os.path.basename(entry["path"])) for entry in entries] == [
        ("file", "file"),
        ("folder", "folder"),
        ("link", "link"),
        ("other", "pipe"),
    ]
    assert entries[0] == {
        "path": f"{tmp_path}/file",
        "type": "file",
        "size": 5,
        "mode": 0o640,
        "mtime": 1_000_000.0,
    }


def test_empty_folder_is_an_empty_list_and_a_missing_one_an_error(tmp_path: Path) -> None:
    assert listed(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        listed(tmp_path / "nothing")


def test_folder_stands_before_what_is_in_it(tmp_path: Path) -> None:
    for path in ("a/b/c", "a.b/x", "a/z", "b"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert names(tmp_path, listed(tmp_path, recursive=True)) == [
        "a",
        "a/b",
        "a/b/c",
        "a/z",
        "a.b",
        "a.b/x",
        "b",
    ]
    assert names(tmp_path, listed(tmp_path)) == ["a", "a.b", "b"]


def test_links_are_shown_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "up").symlink_to("..")
    assert names(tmp_path, listed(tmp_path, recursive=True)) == ["folder", "folder/up"]


@pytest.mark.parametrize("recursive", [True, False])
def test_parts_make_up_the_whole(tmp_path: Path, recursive: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "ENTRIES", 3)
    monkeypatch.setattr(folder_module, "_NAMES", 2)
    for outer in range(5):
        (tmp_path / f"f{outer}" / "deep" / "deeper").mkdir(parents=True)
        for inner in range(outer):
            (tmp_path / f"f{outer}" / f"{inner}").touch()
            (tmp_path / f"f{outer}" / "deep" / "deeper" / f"{inner}").touch()
    entries = listed(tmp_path, recursive=recursive)
    paths = [Path(entry["path"]) for entry in entries]
    assert sorted(paths) == sorted(tmp_path.rglob("*") if recursive else tmp_path.iterdir())
    assert paths == sorted(paths, key=lambda path: path.parts)


def test_part_has_a_thousand_entries_at_most(tmp_path: Path) -> None:
    for number in range(1003):
        (tmp_path / f"{number:04}").touch()
    part = list_part(Reach(None), os.fsencode(tmp_path), recursive=False, after=None)
    assert len(part["entries"]) == 1000
    assert part["more"]
    assert len(listed(tmp_path)) == 1003


def test_names_that_are_no_text_can_be_asked_for(tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff"
    os.mkdir(odd)
    (tmp_path / "z").touch()
    first, second = sorted(listed(tmp_path), key=lambda entry: "raw" in entry)
    assert "raw" not in first
    assert second["raw"] == odd
    assert second["path"] == f"{tmp_path}/\\xff"


def test_what_lies_elsewhere_cannot_be_gone_on_from(tmp_path: Path) -> None:
    with pytest.raises(InvalidPayload, match="is nothing of"):
        list_part(Reach(None), os.fsencode(tmp_path), recursive=False, after=b"/etc/passwd")


def test_folder_that_turns_into_a_link_meanwhile_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    top = os.open(tmp_path, os.O_RDONLY)
    walk = folder_module._walk(top, b"/", (), True)
    assert next(walk)["path"] == "/a"
    (tmp_path / "a" / "b").rmdir()
    (tmp_path / "a").rmdir()
    (tmp_path / "a").symlink_to("/etc")
    assert list(walk) == []
    os.close(top)


@pytest.mark.parametrize("path", ["/", "//"])
def test_root_can_be_listed(path: str) -> None:
    entries = list_part(Reach(None), path.encode(), recursive=False, after=None)["entries"]
    assert "/etc" in [entry["path"] for entry in entries]
