"""Files that the automation plugin writes: whole or not at all, with owner and mode, following no link."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plugin_host_automation.place import open_folder as open_place
from plugin_host_automation.place import parse
from plugin_host_automation.replacement import Replacement, part_name
from plugin_host_sdk import CallCancelled, action
from plugin_host_sdk.action import RunAs, UploadFile, UploadFileAndExit, UploadResult
from plugin_host_sdk.testing import ActionBench
from tests.otheruser import NOBODY, as_nobody, needs_root
from tests.plugins.automation import Serve, serve

__all__ = ["as_nobody", "serve"]  # fixtures

DATA = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


def upload(bench: ActionBench, path: Path, data: bytes = DATA, **fields: Any) -> UploadResult:
    run = bench.trigger(UploadFile(path=str(path), **fields))
    run.write(data)
    run.end_data()
    result = run.result()
    assert isinstance(result, UploadResult)
    return result


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# what is written


def test_a_file_is_written_with_what_was_sent(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "file"
    result = upload(serve(), path, size=len(DATA), sha256=SHA256)
    assert result == UploadResult(path=str(path), size=len(DATA), sha256=SHA256, replaced=False)
    assert path.read_bytes() == DATA
    assert mode_of(path) == 0o644
    assert upload(serve(), path, b"").replaced
    assert path.read_bytes() == b""
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("mode", "bits"), [(0o640, 0o640), ("640", 0o640), ("755", 0o755), ("4711", 0o4711)]
)
def test_the_mode_is_what_was_asked_for_whatever_the_umask(
    serve: Serve, tmp_path: Path, mode: int | str, bits: int
) -> None:
    before = os.umask(0o077)
    try:
        upload(serve(), tmp_path / "file", mode=mode)
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "file") == bits


@needs_root
def test_the_owner_is_who_was_named_and_so_is_that_of_new_folders(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "one" / "two" / "file"
    upload(serve(), path, owner=RunAs(uid=NOBODY.pw_uid), mode="4755", parents=True)
    for made in (path, path.parent, path.parent.parent):
        assert (made.stat().st_uid, made.stat().st_gid) == (NOBODY.pw_uid, NOBODY.pw_gid)
    assert mode_of(path) == 0o4755  # a change of owner takes such bits away, so it came first
    assert tmp_path.stat().st_uid == 0


@pytest.fixture
def served(serve: Serve) -> ActionBench:
    """A plugin that has done an action, and so read all of its code: who has no privilege may not."""
    bench = serve()
    with pytest.raises(action.ActionFailed):
        bench.trigger(UploadFile(path="/nowhere/file"))
    return bench


def test_without_privilege_no_file_is_given_away(
    served: ActionBench, tmp_path: Path, as_nobody: None
) -> None:
    with pytest.raises(action.ActionNotPrivileged, match="give a file to uid 0"):
        served.trigger(UploadFile(path=str(tmp_path / "file"), owner=RunAs(uid=0)))


def test_folders_are_made_when_that_is_asked_for(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "one" / "two" / "file"
    with pytest.raises(action.ActionFailed, match=f"there is no folder {tmp_path}/one: make it, or ask"):
        serve().trigger(UploadFile(path=str(path)))
    upload(serve(), path, parents=True)
    assert path.read_bytes() == DATA


# what is not


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"size": len(DATA) + 1}, f"{len(DATA)} bytes came, not {len(DATA) + 1}"),
        ({"size": len(DATA) - 1}, f"more bytes came, not {len(DATA) - 1}"),
        ({"sha256": "0" * 64}, f"has the SHA-256 {SHA256}, not 0000"),
    ],
)
def test_what_is_not_what_was_announced_changes_nothing(
    serve: Serve, tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(action.ActionFailed, match=words):
        upload(serve(), path, **fields)
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["file"])


def test_a_sender_that_fails_changes_nothing(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    run = serve().trigger(UploadFile(path=str(path)))
    run.write(DATA)
    run.end_data({"message": "the source broke"})
    with pytest.raises(action.ActionFailed, match="the source broke"):
        run.result()
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["file"])


def test_a_cancelled_upload_changes_nothing(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    run = serve().trigger(UploadFile(path=str(path)))
    run.write(DATA)
    assert run.cancel("enough") == "cancelling"
    with pytest.raises(CallCancelled):
        run.result()
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["file"])


def test_while_it_is_written_the_old_file_is_there_and_the_new_one_is_nobodys_business(
    serve: Serve, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    run = serve().trigger(UploadFile(path=str(path), mode=0o777))
    run.write(bytes(2_000_000))  # more than a window, so that some of it has been taken
    [part] = tmp_path.glob(".plugin-host-*")
    assert (mode_of(part), path.read_text()) == (0o600, "old")
    run.end_data()
    run.result()
    assert (mode_of(path), path.stat().st_size) == (0o777, 2_000_000)


def test_two_do_not_write_one_file_at_once(serve: Serve, tmp_path: Path) -> None:
    bench, path = serve(), tmp_path / "file"
    first = bench.trigger(UploadFile(path=str(path)))
    first.write(bytes(2_000_000))
    second = bench.trigger(UploadFile(path=str(path)))
    with pytest.raises(action.ActionFailed, match="is being written by somebody else") as caught:
        second.result()
    assert caught.value.retryable
    first.end_data()
    assert first.result().size == 2_000_000
    assert upload(bench, path).replaced


def test_a_full_disk_is_told_and_changes_nothing(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    real = os.write

    def write(fd: int, data: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{fd}").endswith(".part"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(action.ActionFailed, match="No space left") as caught:
        upload(serve(), path)
    assert caught.value.data["errno"] == errno.ENOSPC
    assert (path.read_text(), os.listdir(tmp_path)) == ("old", ["file"])


def test_a_plugin_that_is_killed_in_the_middle_leaves_the_old_file_whole(
    serve: Serve, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    code = f"""if True:
        import time
        from plugin_host_automation.place import parse
        from plugin_host_automation.replacement import Replacement
        file = Replacement(parse({str(path)!r}), mode=0o644)
        file.write(bytes(1_000_000))
        print("half", flush=True)
        time.sleep(600)
    """
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    with subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"half\n"
        with pytest.raises(
            action.ActionFailed, match="somebody else"
        ):  # it lives, so nothing is taken away
            Replacement(parse(str(path)), mode=0o644)
        writer.send_signal(signal.SIGKILL)
    assert path.read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == [part_name("file"), "file"]
    upload(serve(), path)
    assert (path.read_bytes(), os.listdir(tmp_path)) == (DATA, ["file"])


# links and other traps


@pytest.mark.parametrize("target", ["other", "nowhere", "/etc/passwd"])
def test_a_link_in_the_place_of_the_file_is_neither_followed_nor_replaced(
    serve: Serve, tmp_path: Path, target: str
) -> None:
    (tmp_path / "other").write_text("precious")
    (tmp_path / "file").symlink_to(target)
    with pytest.raises(action.ActionFailed, match=r"/file is a symbolic link, and those are not followed"):
        upload(serve(), tmp_path / "file")
    assert os.readlink(tmp_path / "file") == target
    assert (tmp_path / "other").read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


def test_a_link_on_the_way_is_not_followed(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for parents in (False, True):
        with pytest.raises(action.ActionFailed, match=f"{tmp_path}/link is a symbolic link"):
            upload(serve(), tmp_path / "link" / "file", parents=parents)
    assert os.listdir(tmp_path / "real") == []


def test_a_link_that_comes_while_it_is_written_is_not_followed(serve: Serve, tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    run = serve().trigger(UploadFile(path=str(folder / "file")))
    run.write(bytes(2_000_000))
    folder.rename(tmp_path / "moved")
    folder.symlink_to(elsewhere)
    run.end_data()
    run.result()  # it is where it was begun
    assert os.listdir(elsewhere) == []
    assert os.listdir(tmp_path / "moved") == ["file"]
    (tmp_path / "moved" / "file").unlink()
    second = serve().trigger(UploadFile(path=str(tmp_path / "moved" / "file")))
    second.write(bytes(2_000_000))
    (tmp_path / "moved" / "file").symlink_to("/etc/passwd")
    second.end_data()
    with pytest.raises(action.ActionFailed, match="symbolic link"):
        second.result()


def test_what_lies_where_the_new_file_grows_is_removed_and_not_written(
    serve: Serve, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    part = tmp_path / part_name("file")
    traps: list[Callable[[], None]] = [
        lambda: os.link(precious, part),
        lambda: part.symlink_to(precious),
        lambda: os.mkfifo(part),
    ]
    for trap in traps:
        trap()
        upload(serve(), tmp_path / "file")
        assert (tmp_path / "file").read_bytes() == DATA
        assert precious.read_text() == "precious"
        assert sorted(os.listdir(tmp_path)) == ["file", "precious"]


@pytest.mark.parametrize(
    ("path", "words"),
    [("/", "names no file"), ("/tmp/", "names no file"), ("/tmp/../etc/x", "climbs"), ("/..", "climbs")],
)
def test_a_path_that_is_no_files_is_refused(serve: Serve, path: str, words: str) -> None:
    with pytest.raises(action.ActionInvalid, match=words):
        serve().trigger(UploadFile(path=path))


def test_a_folder_or_a_device_is_not_replaced(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(action.ActionFailed, match="is a folder"):
        upload(serve(), tmp_path / "folder")
    with pytest.raises(action.ActionFailed, match="is no regular file"):
        upload(serve(), tmp_path / "pipe")
    with pytest.raises(action.ActionFailed, match="/etc/passwd is no folder"):
        upload(serve(), Path("/etc/passwd/file"))


def test_the_roots_bound_where_files_are_written(serve: Serve, tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "inside-not"
    inside.mkdir()
    outside.mkdir()
    (inside / "out").symlink_to(outside)
    bench = serve(roots=[f"{inside}/", "/srv"])
    upload(bench, inside / "file")
    for path in (outside / "file", inside, tmp_path / "file"):
        with pytest.raises(
            action.ActionRefused, match="outside of what the setting roots allows"
        ) as caught:
            bench.trigger(UploadFile(path=str(path)))
        assert caught.value.option == "roots"
    with pytest.raises(action.ActionInvalid):
        bench.trigger(UploadFile(path=f"{inside}/../inside-not/file"))
    with pytest.raises(action.ActionFailed, match="symbolic link"):
        bench.trigger(UploadFile(path=f"{inside}/out/file"))
    assert os.listdir(outside) == []
    with pytest.raises(action.ActionRefused, match="no folder"):
        serve(roots=[]).trigger(UploadFile(path=str(inside / "file")))


def test_a_folder_that_one_may_enter_and_not_read_takes_files(tmp_path: Path, as_nobody: None) -> None:
    with pytest.raises(action.ActionFailed, match="cannot be entered or made: Permission denied"):
        open_place(("root", "folder") if os.getuid() == 0 else ("proc", "1", "fd", "folder"))


# and then


def test_the_plugin_ends_behind_the_reply(serve: Serve, tmp_path: Path) -> None:
    bench, path = serve(), tmp_path / "file"
    run = bench.trigger(UploadFileAndExit(path=str(path)))
    run.write(DATA)
    assert bench.left is None
    run.end_data()
    assert run.result().size == len(DATA)
    assert bench.wait_until_left() == f"{path} was written"


def test_the_plugin_stays_when_nothing_was_written(serve: Serve, tmp_path: Path) -> None:
    bench = serve()
    run = bench.trigger(UploadFileAndExit(path=str(tmp_path / "file"), size=1))
    run.end_data()
    with pytest.raises(action.ActionFailed):
        run.result()
    bench.close()
    assert bench.left is None
