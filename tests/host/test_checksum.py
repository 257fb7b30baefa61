"""What a plugin's checksum covers, and that a changed folder is found out."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from plugin_host.checksum import checksum, verify
from plugin_host.errors import ManifestError
from plugin_host.manifest import MANIFEST_NAME, Launch, Manifest

pytestmark = pytest.mark.edges


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    folder = tmp_path / "plugin"
    (folder / "demo" / "deep").mkdir(parents=True)
    (folder / "demo" / "__init__.py").write_text("x = 1\n")
    (folder / "demo" / "deep" / "data.bin").write_bytes(bytes(range(256)))
    (folder / MANIFEST_NAME).write_text("{}")
    return folder


def declared(value: str | None = None) -> Manifest:
    return Manifest(id="demo", version="1", launch=Launch(entry_point="a:b"), checksum=value)


def test_the_checksum_of_a_known_folder_stays_what_it_was(plugin: Path) -> None:
    def entry(kind: bytes, path: bytes, content: bytes) -> bytes:
        fields = (kind, path, hashlib.sha256(content).digest())
        return b"".join(len(field).to_bytes(8, "big") + field for field in fields)

    expected = hashlib.sha256(
        entry(b"file", b"demo/__init__.py", b"x = 1\n")
        + entry(b"file", b"demo/deep/data.bin", bytes(range(256)))
    )
    assert checksum(plugin) == f"sha256:{expected.hexdigest()}"


def test_manifest_and_bytecode_are_not_covered(plugin: Path) -> None:
    before = checksum(plugin)
    (plugin / MANIFEST_NAME).write_text("changed")
    for folder in (plugin / "__pycache__", plugin / "demo" / "__pycache__"):
        folder.mkdir()
        (folder / "x.pyc").write_bytes(b"1")
    assert checksum(plugin) == before


def test_the_place_of_the_folder_does_not_matter(plugin: Path, tmp_path: Path) -> None:
    before = checksum(plugin)
    moved = plugin.rename(tmp_path / "moved")
    (tmp_path / "link").symlink_to(moved)
    assert checksum(moved) == checksum(tmp_path / "link") == checksum(f"{moved}/") == before


def test_every_change_changes_it(plugin: Path) -> None:
    seen = [checksum(plugin)]
    (plugin / "demo" / "__init__.py").write_text("x = 2\n")
    seen.append(checksum(plugin))
    (plugin / "demo" / "__init__.py").rename(plugin / "demo" / "other.py")
    seen.append(checksum(plugin))
    (plugin / "demo" / "empty").touch()
    seen.append(checksum(plugin))
    (plugin / "demo" / MANIFEST_NAME).write_text("a nested one is a file like any other")
    seen.append(checksum(plugin))
    (plugin / "demo" / os.fsdecode(b"\xff\n")).write_text("a name that is no text")
    seen.append(checksum(plugin))
    assert len(set(seen)) == len(seen)


def test_bytes_cannot_move_between_a_name_and_its_contents(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    (one / "ab").write_text("c")
    (other / "a").write_text("bc")
    assert checksum(one) != checksum(other)


def test_a_link_inside_counts_as_its_target_and_a_file_like_it_does_not(plugin: Path) -> None:
    (plugin / "link").symlink_to("demo")
    linked = checksum(plugin)
    (plugin / "link").unlink()
    (plugin / "link").symlink_to("demo/deep")
    other = checksum(plugin)
    (plugin / "link").unlink()
    (plugin / "link").write_text("demo")
    assert len({linked, other, checksum(plugin)}) == 3


@pytest.mark.parametrize("target", [".", "link", "nowhere"])
def test_links_that_turn_in_circles_or_lead_nowhere_are_no_trouble(plugin: Path, target: str) -> None:
    (plugin / "link").symlink_to(target)
    assert checksum(plugin).startswith("sha256:")


def test_contents_behind_a_link_that_leaves_the_folder_are_covered(plugin: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("x = 1")
    (plugin / "code.py").symlink_to(outside)
    before = checksum(plugin)
    outside.write_text("x = 2")
    assert checksum(plugin) != before


def test_contents_behind_a_link_into_bytecode_are_covered(plugin: Path) -> None:
    hidden = plugin / "__pycache__" / "code.py"
    hidden.parent.mkdir()
    hidden.write_text("x = 1")
    (plugin / "code.py").symlink_to(hidden)
    before = checksum(plugin)
    hidden.write_text("x = 2")
    assert checksum(plugin) != before


def test_a_link_to_a_folder_outside_is_refused(plugin: Path, tmp_path: Path) -> None:
    outside = tmp_path / "plugin-of-another"  # the folder's own name with more after it
    outside.mkdir()
    (plugin / "code").symlink_to(outside)
    with pytest.raises(ManifestError, match=r"code: expected a link to a file.*which no checksum"):
        checksum(plugin)


def test_a_pipe_is_refused_without_waiting(plugin: Path) -> None:
    os.mkfifo(plugin / "pipe")
    with pytest.raises(ManifestError, match="pipe: expected files, folders and links only"):
        checksum(plugin)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"none: .*No such file") as caught:
        checksum(tmp_path / "none")
    assert caught.value.file == str(tmp_path / "none")


def test_without_a_checksum_nothing_is_read(tmp_path: Path) -> None:
    verify(declared(), tmp_path / "none")
    verify(declared(), None)


def test_the_right_checksum_passes(plugin: Path) -> None:
    right = checksum(plugin)
    verify(declared(right), plugin)
    verify(declared(), plugin, right)


def test_a_wrong_checksum_says_expected_and_found(plugin: Path) -> None:
    wrong = "sha256:" + "0" * 64
    with pytest.raises(ManifestError) as caught:
        verify(declared(wrong), plugin)
    assert f"expected {wrong} (in its manifest), found {checksum(plugin)}" in str(caught.value)
    assert caught.value.file == str(plugin / MANIFEST_NAME)
    assert caught.value.path == "$.checksum"


def test_the_pin_wins_over_the_manifest(plugin: Path) -> None:
    right, wrong = checksum(plugin), "sha256:" + "0" * 64
    verify(declared(wrong), plugin, right)
    with pytest.raises(ManifestError, match="pinned by the host's configuration"):
        verify(declared(right), plugin, wrong)


def test_a_pin_for_a_plugin_without_a_folder_is_refused() -> None:
    with pytest.raises(ManifestError, match="no folder to check"):
        verify(declared(), None, "sha256:" + "0" * 64)
