"""The files that remember what was found: whole, the user's own, replaced at once, never in the way."""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from plugin_host import scancache
from plugin_host.scancache import MOST_BYTES, MOST_FILES, ScanCache, cache_folder

PATH = "/usr/lib/packages"

each_damage = pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: b"",
        lambda content: b"\0" * len(content),
        lambda content: content.replace(b"value", b"valve"),
        lambda content: content.replace(b"plugin-host ", b"plugin-host 0"),
        lambda content: b"\xff" * MOST_BYTES + content,
    ],
    ids=["cut", "longer", "empty", "zeros", "changed", "other version", "huge"],
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home / "cache" / "plugin-host"


@pytest.fixture
def cache(folder: Path) -> ScanCache:
    return ScanCache(str(folder))


@pytest.fixture
def file(cache: ScanCache, folder: Path) -> Path:
    """A file that holds `value` for PATH."""
    cache.store(PATH, b"value")
    (file,) = folder.iterdir()
    assert cache.load(PATH) == b"value"
    return file


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_CACHE_HOME": "/x/cache", "HOME": "/home/me"}, "/x/cache/plugin-host"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/home/me"}, "/home/me/.cache/plugin-host"),
        ({"HOME": "/home/me"}, "/home/me/.cache/plugin-host"),
        ({"HOME": "nowhere"}, None),
    ],
)
def test_folder_is_in_the_cache_folder_of_the_user(environ: dict[str, str], expected: str | None) -> None:
    assert cache_folder(environ) == expected


def test_what_was_stored_is_loaded_by_another(cache: ScanCache, folder: Path) -> None:
    assert cache.load(PATH) is None
    cache.store(PATH, b"first")
    cache.store(PATH, b"second")
    cache.store("/another", b"other")
    assert ScanCache(str(folder)).load(PATH) == b"second"
    assert cache.load("/another") == b"other"


def test_folder_and_files_are_for_this_user_alone(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.parent.parent.stat().st_mode) == 0o700


def test_nothing_is_made_before_there_is_something_to_keep(cache: ScanCache, folder: Path) -> None:
    cache.load(PATH)
    assert not folder.parent.exists()


@each_damage
def test_damaged_file_is_not_used_and_is_replaced(
    cache: ScanCache, file: Path, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    file.write_bytes(damage(file.read_bytes()))
    with caplog.at_level(logging.DEBUG):
        assert cache.load(PATH) is None
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    cache.store(PATH, b"new")
    assert cache.load(PATH) == b"new"


@pytest.mark.parametrize("mode", [0o660, 0o602, 0o666])
def test_file_that_others_may_write_is_not_used(cache: ScanCache, file: Path, mode: int) -> None:
    file.chmod(mode)
    assert cache.load(PATH) is None


def test_folder_that_others_may_write_is_not_used(cache: ScanCache, file: Path) -> None:
    file.parent.chmod(0o770)
    assert cache.load(PATH) is None
    before = file.read_bytes()
    cache.store(PATH, b"new")
    assert file.read_bytes() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_belongs_to_another_is_not_used(cache: ScanCache, file: Path, what: str) -> None:
    os.chown(file if what == "file" else file.parent, 65534, 65534)
    assert cache.load(PATH) is None
    if what == "folder":
        cache.store(PATH, b"new")
        assert b"new" not in file.read_bytes()


@pytest.mark.parametrize(
    "environ", [{"HOME": "/home-of-nobody"}, {"XDG_CACHE_HOME": "/home-of-nobody/.cache", "HOME": "/"}]
)
def test_home_that_is_not_there_is_not_made(tmp_path: Path, environ: dict[str, str]) -> None:
    folder = cache_folder({name: f"{tmp_path}{path}" for name, path in environ.items()})
    assert folder is not None
    ScanCache(folder).store(PATH, b"value")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is at work in the home of another")
def test_root_makes_no_folder_in_the_home_of_another(cache: ScanCache, tmp_path: Path) -> None:
    home = tmp_path / "home"
    os.chown(home, 65534, 65534)
    cache.store(PATH, b"value")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("kind", ["link to a file", "folder", "pipe"])
def test_what_is_no_file_is_not_read(cache: ScanCache, file: Path, tmp_path: Path, kind: str) -> None:
    content = file.read_bytes()
    file.unlink()
    if kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        (tmp_path / "elsewhere").write_bytes(content)
        file.symlink_to(tmp_path / "elsewhere")
    assert cache.load(PATH) is None


def test_folder_that_is_a_link_is_not_used(cache: ScanCache, file: Path, tmp_path: Path) -> None:
    os.rename(file.parent, tmp_path / "moved")
    file.parent.symlink_to(tmp_path / "moved")
    assert cache.load(PATH) is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO])
def test_disk_that_takes_nothing_is_a_line_for_debugging(
    cache: ScanCache,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
) -> None:
    def refuse(*paths: object, **descriptors: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "rename", refuse)
    with caplog.at_level(logging.DEBUG):
        cache.store(PATH, b"new")
    assert [record.levelname for record in caplog.records] == ["DEBUG"]
    assert os.strerror(number) in caplog.text
    assert list(file.parent.iterdir()) == [file]
    assert cache.load(PATH) == b"value"


@pytest.mark.parametrize("obstacle", ["file in its place", "file above it"])
def test_folder_that_cannot_be_made_costs_nothing_but_time(
    cache: ScanCache, folder: Path, obstacle: str
) -> None:
    place = folder if obstacle == "file in its place" else folder.parent
    place.parent.mkdir(exist_ok=True)
    place.write_text("")
    cache.store(PATH, b"value")
    assert cache.load(PATH) is None
    assert place.read_text() == ""


def test_writers_at_the_same_time_leave_one_whole_file(cache: ScanCache, file: Path) -> None:
    contents = [bytes([letter]) * 200_000 for letter in b"abcdefgh"]
    seen: list[bytes | None] = []

    def write(content: bytes) -> None:
        for _ in range(10):
            cache.store(PATH, content)
            seen.append(cache.load(PATH))

    threads = [threading.Thread(target=write, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) <= {*contents}
    assert list(file.parent.iterdir()) == [file]


def test_what_a_killed_writer_left_is_removed_in_time(cache: ScanCache, file: Path) -> None:
    old, young = (file.with_name(f"{name}.1.1.new") for name in ("old", "young"))
    for left in (old, young):
        left.write_text("half")
    os.utime(old, (1, 1))
    cache.store(PATH, b"new")
    assert (old.exists(), young.exists()) == (False, True)


def test_oldest_files_go_when_there_are_many(cache: ScanCache, file: Path) -> None:
    os.utime(file, (1, 1))
    for number in range(MOST_FILES):
        cache.store(f"/folder/{number}", b"other")
    assert len(list(file.parent.iterdir())) == MOST_FILES
    assert cache.load(PATH) is None


def test_too_much_is_not_kept(cache: ScanCache, folder: Path) -> None:
    cache.store(PATH, bytes(MOST_BYTES))
    assert not folder.exists()


def test_interpreters_do_not_share_files(
    cache: ScanCache, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scancache, "_ENDING", ".cpython-999.json")
    assert cache.load(PATH) is None
