"""Where plugins with a checksum keep their bytecode."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from plugin_host.account import Account
from plugin_host.bytecode import PREFIX_NAME, BytecodeFolders, abandoned_folders
from plugin_host.candidate import Candidate
from plugin_host.manifest import Launch, Manifest

PIN = "sha256:" + "0" * 64


def candidate(id: str = "demo", pin: str | None = None, **keys: Any) -> Candidate:
    manifest = Manifest(id=id, version="1", launch=Launch(argv=("x",)), **keys)
    return Candidate(id=id, source="test", manifest=manifest, pin=pin)


def test_plugin_without_a_checksum_gets_none(tmp_path: Path) -> None:
    folders = BytecodeFolders()
    assert folders.environment_for(candidate()) == {}
    folders.close()


def test_each_plugin_has_a_folder_of_its_own_until_the_host_closes() -> None:
    folders = BytecodeFolders()
    first = folders.environment_for(candidate("one", pin=PIN))
    second = folders.environment_for(candidate("two", checksum=PIN))
    assert set(first) == set(second) == {PREFIX_NAME}
    one, two = Path(first[PREFIX_NAME]), Path(second[PREFIX_NAME])
    assert one.parent == two.parent
    assert stat.S_IMODE(one.stat().st_mode) == 0o700
    assert stat.S_IMODE(one.parent.stat().st_mode) == 0o711
    assert folders.environment_for(candidate("one", pin=PIN)) == first
    folders.close()
    assert not one.parent.exists()
    folders.close()


def test_two_hosts_share_nothing() -> None:
    one, two = BytecodeFolders(), BytecodeFolders()
    assert one.environment_for(candidate(pin=PIN)) != two.environment_for(candidate(pin=PIN))
    one.close()
    two.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_folder_belongs_to_the_user_of_the_plugin() -> None:
    folders = BytecodeFolders()
    other = Account("other", 3999999, 3999998, (3999998,))
    found = os.stat(folders.environment_for(candidate(pin=PIN), other)[PREFIX_NAME])
    assert (found.st_uid, found.st_gid) == (3999999, 3999998)
    folders.close()


def test_folder_is_abandoned_when_its_host_is_gone_and_not_before(tmp_path: Path) -> None:
    gone = tmp_path / "plugin-host-bytecode-gone"
    gone.mkdir()
    (tmp_path / "other").mkdir()
    folders = BytecodeFolders()
    used = Path(folders.environment_for(candidate(pin=PIN))[PREFIX_NAME]).parent
    assert abandoned_folders(str(tmp_path)) == [str(gone)]
    assert str(used) not in abandoned_folders()
    folders.close()
