"""The file of a pre-shared key: what is taken, and what is refused and why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plugin_host.errors import KeyFileError
from plugin_host.seal import read_key, read_keys


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


def test_a_new_key_is_valid_beside_the_other_and_behind_it(tmp_path: Path) -> None:
    file = made(tmp_path / "psk", b"the key in force\n")
    assert read_keys(file) == [b"the key in force"]
    made(tmp_path / "psk.new", b"the key to come!\n")
    assert read_keys(file) == [b"the key in force", b"the key to come!"]
    made(file, b"the key to come!\n")
    assert read_keys(file) == [b"the key to come!"]


def test_a_new_key_does_not_stand_in_for_one_that_is_missing(tmp_path: Path) -> None:
    made(tmp_path / "psk.new", b"the key to come!\n")
    with pytest.raises(KeyFileError, match="cannot be read"):
        read_keys(tmp_path / "psk")


@pytest.mark.parametrize(("data", "mode"), [(b"x" * 15, 0o600), (b"x" * 32, 0o640)])
def test_a_new_key_that_cannot_be_used_is_logged_and_left_out(
    tmp_path: Path, data: bytes, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    made(tmp_path / "psk.new", data, mode)
    assert read_keys(made(tmp_path / "psk", b"the key in force\n")) == [b"the key in force"]
    assert f"this new key is not taken: {tmp_path}/psk.new" in caplog.text


def test_a_new_key_that_is_a_link_is_left_out_since_anybody_may_have_made_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In a folder like /tmp others cannot replace a file, but they can add one that is not there."""
    known = made(tmp_path / "known", b"what many know of the owner's files\n")
    file = made(tmp_path / "psk", b"the key in force\n")
    (tmp_path / "psk.new").symlink_to(known)
    assert read_keys(file) == [b"the key in force"]
    assert "psk.new: this key is a symbolic link" in caplog.text


def test_the_key_in_force_may_be_a_link(tmp_path: Path) -> None:
    made(tmp_path / "elsewhere", b"the key in force\n")
    (tmp_path / "psk").symlink_to("elsewhere")
    assert read_keys(tmp_path / "psk") == [b"the key in force"]


def test_a_new_key_lies_beside_what_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    made(tmp_path / "state" / "key", b"the key in force\n")
    made(tmp_path / "state" / "key.new", b"the key to come!\n")
    (tmp_path / "middle").symlink_to("state/key")
    (tmp_path / "psk").symlink_to(tmp_path / "middle")
    assert read_keys(tmp_path / "psk") == [b"the key in force", b"the key to come!"]


@pytest.mark.parametrize("name", ["loop", "none", "a\0b"])
def test_a_path_that_leads_nowhere_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(KeyFileError, match="cannot be read"):
        read_keys(tmp_path / name)


def test_a_key_that_moves_while_it_is_read_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = made(tmp_path / "psk", b"the key in force\n")
    new = made(tmp_path / "psk.new", b"the key to come!\n")

    def read_then_moved(path: str | os.PathLike[str], *, follows: bool = True) -> bytes:
        key = read_key(path, follows=follows)
        if new.exists():
            new.rename(file)
        return key

    monkeypatch.setattr("plugin_host.seal.keyfile.read_key", read_then_moved)
    assert b"the key to come!" in read_keys(file)
