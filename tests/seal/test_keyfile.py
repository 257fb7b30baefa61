"""The file of a pre-shared key: what is taken, and what is refused and why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plugin_host.errors import KeyFileError
from plugin_host.seal import read_key


def made(file: Path, data: bytes, mode: int = 0o600) -> Path:
    file.write_bytes(data)
    file.chmod(mode)
    return file


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_end_of_the_line_is_not_of_the_key(tmp_path: Path, end: bytes) -> None:
    assert read_key(made(tmp_path / "psk", b"0123456789abcdef" + end)) == b"0123456789abcdef"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_key_that_others_can_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(KeyFileError, match=f"mode 0{mode:o}.*chmod 600"):
        read_key(made(tmp_path / "psk", b"x" * 32, mode))


@pytest.mark.parametrize(("size", "words"), [(0, "0 bytes"), (15, "15 bytes"), (4097, "more than 4096")])
def test_keys_too_short_or_too_long_are_refused(tmp_path: Path, size: int, words: str) -> None:
    with pytest.raises(KeyFileError, match=words):
        read_key(made(tmp_path / "psk", b"x" * size))


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    for place in (tmp_path / "fifo", tmp_path):
        with pytest.raises(KeyFileError, match="expected a file"):
            read_key(place)


def test_a_missing_file_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="umask 077"):
        read_key(tmp_path / "none")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_key_of_another_user_is_refused(tmp_path: Path) -> None:
    file = made(tmp_path / "psk", b"x" * 32)
    os.chown(file, 65534, 65534)
    with pytest.raises(KeyFileError, match="user 65534"):
        read_key(file)
