"""A file that a person wrote, read safely whatever lies under its name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plugin_host import manifest
from plugin_host.errors import ManifestError


@contextmanager
def without_privilege() -> Iterator[None]:
    """Root may read everything, so these tests look at files as nobody does."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def load_refusal(file: Path) -> str:
    with pytest.raises(ManifestError) as caught:
        manifest.load(file)
    assert str(caught.value).startswith(f"{file}: ")
    return str(caught.value).removeprefix(f"{file}: ")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'"\xff"', "found byte 0xff at line 1, column 2"),
        (b"\xef\xbb\xbf{}", "found a UTF-8 byte order mark"),
        ("{}".encode("utf-16"), "found a UTF-16 byte order mark"),
        (b'{"id":\n "\xff"}', "found byte 0xff at line 2, column 3"),
    ],
)
def test_a_file_of_another_encoding_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    file = tmp_path / "m"
    file.write_bytes(data)
    assert words in load_refusal(file)


def test_a_huge_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    file = tmp_path / "m"
    with file.open("wb") as stream:
        stream.truncate(100 * 1024 * 1024)
    assert load_refusal(file) == "expected at most 1048576 bytes (1 MiB), found more"


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    assert load_refusal(tmp_path) == "expected a file, found a folder"
    assert load_refusal(pipe) == "expected a file, found a device, pipe or socket"
    assert load_refusal(tmp_path / "none") == "expected a file, found nothing there"
    assert load_refusal(loop) == "cannot be read: Too many levels of symbolic links"


def test_an_unreadable_file_says_so(tmp_path: Path) -> None:
    file = tmp_path / "m"
    file.write_text("{}")
    file.chmod(0)
    with without_privilege():
        assert load_refusal(file) == "cannot be read: Permission denied"


def test_a_name_with_a_nul_is_refused() -> None:
    with pytest.raises(ManifestError, match="expected a path without NUL characters"):
        manifest.load("a\0b")
