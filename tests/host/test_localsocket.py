"""Local sockets: who may connect and when, what is replaced and what is not, who wins."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_host.errors import SocketError, SocketInUse
from plugin_host.localsocket import LONGEST_PATH, BoundSocket, LocalSocket, listen, unlink_dead, unlink_own
from plugin_host.peer import Peer, peer_of
from plugin_host.socketfolder import locked
from tests.otheruser import NOBODY, needs_root, open_folder

pytestmark = pytest.mark.edges

__all__ = ["open_folder"]

CONNECT = """
import socket, sys
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except OSError as error:
    sys.exit(error.errno)
"""

LISTEN_AS = """
import os, sys
from plugin_host.localsocket import LocalSocket, listen
os.setgroups([])
os.seteuid(int(sys.argv[2]))
listen(LocalSocket(path=sys.argv[1]))
"""


@pytest.fixture
def room() -> Iterator[Path]:
    """A folder with a short path, as sockets need."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return False
        return True


def stale(path: Path) -> None:
    """A socket that nobody listens on any more."""
    listen(LocalSocket(path=str(path))).close()
    assert path.is_socket()


def error_as_nobody(path: Path, *groups: int) -> int:
    """The errno that another user gets who connects; 0 when it is let in."""
    python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
    ran = subprocess.run(
        [python, "-c", CONNECT, path],
        user=NOBODY.pw_uid,
        group=NOBODY.pw_gid,
        extra_groups=groups,
        cwd="/",
        check=False,
        timeout=20,
    )
    return ran.returncode


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o700, 0o600, 0o660])
@pytest.mark.parametrize("umask", [0o022, 0o777, 0])
def test_socket_has_exactly_the_mode_asked_for_whatever_the_umask(
    room: Path, mode: int, umask: int
) -> None:
    old = os.umask(umask)
    try:
        listening = listen(LocalSocket(path=str(room / "a" / "b" / "s"), mode=mode))
    finally:
        os.umask(old)
    with listening:
        assert mode_of(room / "a" / "b" / "s") == mode
        assert mode_of(room / "a") == mode_of(room / "a" / "b") == 0o700
        assert connects(room / "a" / "b" / "s")


@needs_root
def test_folders_that_are_made_are_the_users_own_and_the_parent_is_left_alone(room: Path) -> None:
    os.chown(room, 0, NOBODY.pw_gid)
    room.chmod(0o2755)  # new folders would take its group
    before = room.stat()
    listen(LocalSocket(path=str(room / "a" / "b" / "s"), group=os.getegid(), folder_mode=0o750)).close()
    for made in (room / "a", room / "a" / "b"):
        assert (mode_of(made), made.stat().st_uid, made.stat().st_gid) == (
            0o750,
            os.geteuid(),
            os.getegid(),
        )
    assert (room.stat().st_mode, room.stat().st_gid) == (before.st_mode, before.st_gid)


def test_socket_does_not_block_and_no_child_inherits_it(room: Path) -> None:
    with listen(LocalSocket(path=str(room / "s"))) as listening:
        assert listening.gettimeout() == 0
        assert not os.get_inheritable(listening.fileno())
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


def test_umask_of_the_process_is_never_touched(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(mask: int) -> int:
        raise AssertionError("other threads make files meanwhile")

    monkeypatch.setattr(os, "umask", touched)
    listen(LocalSocket(path=str(room / "s"))).close()


def test_name_is_visible_only_when_everything_is_right(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    rename = os.rename

    def look(old: str, new: str) -> None:
        assert not (room / "s").exists()
        assert mode_of(Path(old).parent) == 0o700
        seen.append((mode_of(Path(old)), os.lstat(old).st_gid, connects(Path(old))))
        rename(old, new)

    monkeypatch.setattr(os, "rename", look)
    listen(LocalSocket(path=str(room / "s"), mode=0o660, group=os.getegid())).close()
    assert seen == [(0o660, os.getegid(), True)]
    assert os.listdir(room) == ["s"]


@needs_root
def test_socket_and_new_folder_belong_to_the_group(room: Path) -> None:
    place = LocalSocket.configured(str(room / "run" / "s"), None, "nogroup")
    with listen(place):
        assert (room / "run" / "s").stat().st_gid == NOBODY.pw_gid
        assert (mode_of(room / "run" / "s"), mode_of(room / "run")) == (0o660, 0o710)


@pytest.mark.parametrize(
    ("mode", "group", "socket_mode", "folder_mode"),
    [
        (None, None, 0o600, 0o700),
        (None, "staff", 0o660, 0o710),
        (0o640, "staff", 0o640, 0o700),
        (0o666, None, 0o666, 0o711),
    ],
)
def test_who_may_connect_may_search_a_folder_that_is_made(
    mode: int | None, group: str | None, socket_mode: int, folder_mode: int
) -> None:
    place = LocalSocket.configured("/x", mode, group)
    assert (place.mode, place.folder_mode) == (socket_mode, folder_mode)


@needs_root
def test_another_user_is_refused_by_the_socket_alone(open_folder: Path) -> None:
    with listen(LocalSocket(path=str(open_folder / "s"))):
        assert error_as_nobody(open_folder / "s") == errno.EACCES
    with listen(LocalSocket(path=str(open_folder / "s"), mode=0o666)):
        assert error_as_nobody(open_folder / "s") == 0


@needs_root
def test_another_user_of_the_group_is_let_in_and_others_are_not(open_folder: Path) -> None:
    place = LocalSocket.configured(str(open_folder / "in" / "s"), None, 4242)
    with listen(place):
        assert error_as_nobody(open_folder / "in" / "s", 4242) == 0
        assert error_as_nobody(open_folder / "in" / "s") == errno.EACCES


@needs_root
def test_peer_is_the_process_that_connected(open_folder: Path) -> None:
    with listen(LocalSocket(path=str(open_folder / "s"), mode=0o666)) as listening:
        assert error_as_nobody(open_folder / "s") == 0
        with listening.accept()[0] as connection:
            peer = peer_of(connection)
    assert (peer.uid, peer.gid) == (NOBODY.pw_uid, NOBODY.pw_gid)
    assert peer.pid != os.getpid()


def test_both_ends_know_each_other(room: Path) -> None:
    own = Peer(os.getpid(), os.geteuid(), os.getegid())
    with listen(LocalSocket(path=str(room / "s"))) as listening, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(room / "s"))
        with listening.accept()[0] as connection:
            assert peer_of(connection) == peer_of(client) == own


def test_closed_connection_has_no_peer() -> None:
    end, _ = socket.socketpair()
    end.close()
    _.close()
    with pytest.raises(SocketError, match="cannot tell who is connected"):
        peer_of(end)


def test_socket_that_nobody_listens_on_is_replaced(room: Path) -> None:
    stale(room / "s")
    old = (room / "s").stat().st_ino
    with listen(LocalSocket(path=str(room / "s"))):
        assert connects(room / "s")
        assert old is not None
    assert os.listdir(room) == ["s"]


def test_socket_in_use_stays_and_the_error_names_who_listens(room: Path) -> None:
    with listen(LocalSocket(path=str(room / "s"))):
        with pytest.raises(SocketInUse, match=f"process {os.getpid()} .*already listens") as caught:
            listen(LocalSocket(path=str(room / "s"), setting="--here"))
        assert caught.value.pid == os.getpid()
        assert "--here" in str(caught.value)
        assert connects(room / "s")
    assert os.listdir(room) == ["s"]


def test_socket_whose_owner_is_too_busy_to_accept_is_in_use(room: Path) -> None:
    with listen(LocalSocket(path=str(room / "s")), backlog=0):
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(str(room / "s"))
        with pytest.raises(SocketInUse) as caught:
            listen(LocalSocket(path=str(room / "s")))
        for one in waiting:
            one.close()
    assert caught.value.pid is None


@pytest.mark.parametrize("kind", ["file", "folder", "link", "pipe", "datagram"])
def test_what_is_no_socket_of_ours_is_never_removed(room: Path, kind: str) -> None:
    place = room / "s"
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if kind == "file":
        place.write_text("precious")
    elif kind == "folder":
        place.mkdir()
    elif kind == "link":
        place.symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        held.bind(str(place))
    before = place.lstat().st_ino
    with pytest.raises(SocketError, match="stands here"):
        listen(LocalSocket(path=str(place)))
    held.close()
    assert place.lstat().st_ino == before


def test_path_too_long_is_explained(room: Path) -> None:
    path = room / ("x" * 100)
    with pytest.raises(SocketError) as caught:
        listen(LocalSocket(path=str(path), setting="--socket"))
    length = len(str(path))
    assert f"this path has {length} bytes and that of a socket at most 107" in str(caught.value)
    assert "choose a shorter one with --socket" in str(caught.value)
    assert os.listdir(room) == []


def test_bytes_count_and_not_characters(room: Path) -> None:
    with pytest.raises(SocketError, match="bytes"):
        listen(LocalSocket(path=str(room / ("ü" * 50))))


@pytest.mark.parametrize("name", ["s", "a-rather-long-name-for-a-socket.sock"])
def test_longest_path_works_though_its_temporary_one_does_not_fit(room: Path, name: str) -> None:
    inner = room / ("f" * (LONGEST_PATH - len(str(room)) - len(name) - 2))
    path = inner / name
    assert len(str(path)) == LONGEST_PATH
    with listen(LocalSocket(path=str(path), mode=0o640)):
        assert connects(path)
        assert mode_of(path) == 0o640
        assert os.listdir(inner) == [name]


@pytest.mark.parametrize("path", ["a\0b", "folder/"])
def test_path_that_no_socket_can_have_is_refused(path: str) -> None:
    with pytest.raises(SocketError, match="cannot be the path of a socket"):
        listen(LocalSocket(path=path))


def test_existing_folder_keeps_its_mode(room: Path) -> None:
    room.chmod(0o751)
    listen(LocalSocket(path=str(room / "s"))).close()
    assert mode_of(room) == 0o751


@pytest.mark.parametrize(("mode", "letter"), [(0o777, "o"), (0o703, "o")])
def test_folder_that_others_may_change_is_refused(room: Path, mode: int, letter: str) -> None:
    room.chmod(mode)
    with pytest.raises(SocketError, match=f"may replace a socket .*chmod {letter}-w"):
        listen(LocalSocket(path=str(room / "s")))
    assert os.listdir(room) == []


@needs_root
def test_folder_that_a_group_may_change_is_refused_unless_it_is_the_owners_own(room: Path) -> None:
    room.chmod(0o770)
    os.chown(room, -1, NOBODY.pw_gid)
    with pytest.raises(SocketError, match="chmod g-w"):
        listen(LocalSocket(path=str(room / "s")))
    os.chown(room, -1, 0)
    listen(LocalSocket(path=str(room / "s"))).close()


def test_folder_that_all_may_write_to_is_fine_when_they_may_not_rename(room: Path) -> None:
    room.chmod(0o1777)
    listen(LocalSocket(path=str(room / "s"))).close()


@needs_root
def test_folder_of_another_user_is_refused(open_folder: Path) -> None:
    os.chown(open_folder, 1, 1)
    ran = subprocess.run(
        [sys.executable, "-c", LISTEN_AS, str(open_folder / "s"), str(NOBODY.pw_uid)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert "who could replace a socket in it" in ran.stderr


def test_unknown_group_is_explained_and_nothing_is_made(room: Path) -> None:
    with pytest.raises(SocketError, match="group no-such-group does not exist"):
        listen(LocalSocket(path=str(room / "run" / "s"), group="no-such-group"))
    assert os.listdir(room) == []


@pytest.mark.parametrize("step", ["tempfile.mkdtemp", "plugin_host.localsocket.BoundSocket"])
def test_lack_of_something_leaves_nothing_behind(
    room: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def refuse(*arguments: object, **rest: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(step, refuse)
    with pytest.raises(SocketError, match="cannot listen here: Too many open files"):
        listen(LocalSocket(path=str(room / "run" / "s")))
    assert os.listdir(room) == []


@pytest.mark.parametrize("folder_mode", [0o700, 0o750])
def test_failed_start_leaves_no_folder_behind(
    room: Path, monkeypatch: pytest.MonkeyPatch, folder_mode: int
) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(errno.EPERM, "no")

    monkeypatch.setattr(os, "chown", refuse)
    place = LocalSocket(path=str(room / "a" / "b" / "s"), group=os.getegid(), folder_mode=folder_mode)
    with pytest.raises(SocketError, match="no member"):
        listen(place)
    assert os.listdir(room) == []


def test_folder_in_a_place_without_room_for_it_is_explained(room: Path) -> None:
    (room / "file").touch()
    with pytest.raises(SocketError, match="Not a directory"):
        listen(LocalSocket(path=str(room / "file" / "run" / "s")))


@pytest.mark.parametrize("is_stale", [True, False])
def test_of_many_that_start_at_once_exactly_one_wins(room: Path, is_stale: bool) -> None:
    folder = room / "run"
    if is_stale:
        stale(folder / "s")
    won: list[BoundSocket] = []
    lost: list[SocketInUse] = []
    start = threading.Barrier(8)

    def try_it() -> None:
        start.wait()
        try:
            won.append(listen(LocalSocket(path=str(folder / "s"))))
        except SocketInUse as error:
            lost.append(error)

    threads = [threading.Thread(target=try_it) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(won), len(lost)) == (1, 7)
    assert os.listdir(folder) == ["s"]
    with won[0]:
        assert connects(folder / "s")
        assert unlink_own(won[0])


def test_lock_that_somebody_keeps_is_named(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_host.socketfolder._LOCK_S", 0.02)
    with locked(str(room)), pytest.raises(SocketError, match="another process has held the lock"):
        listen(LocalSocket(path=str(room / "s")))


def test_own_name_is_removed_once(room: Path) -> None:
    with listen(LocalSocket(path=str(room / "s"))) as listening:
        assert unlink_own(listening)
        assert not (room / "s").exists()
        assert not unlink_own(listening)


def test_name_that_another_host_has_taken_stays(room: Path) -> None:
    with listen(LocalSocket(path=str(room / "s"))) as first:
        (room / "s").unlink()
        with listen(LocalSocket(path=str(room / "s"))):
            assert not unlink_own(first)
            assert connects(room / "s")


def test_name_of_a_socket_that_was_inherited_stays(room: Path) -> None:
    with socket.socket(socket.AF_UNIX) as inherited:
        inherited.bind(str(room / "s"))
        assert not unlink_own(inherited)
    assert (room / "s").exists()


def test_folder_that_is_gone_is_no_matter_at_the_end(room: Path) -> None:
    with listen(LocalSocket(path=str(room / "run" / "s"))) as listening:
        shutil.rmtree(room / "run")
        assert not unlink_own(listening)


def test_only_a_socket_that_nobody_listens_on_is_swept_away(room: Path) -> None:
    stale(room / "dead")
    (room / "file").write_text("kept")
    with listen(LocalSocket(path=str(room / "alive"))):
        swept = {name: unlink_dead(str(room / name)) for name in ("dead", "file", "alive", "nothing")}
        assert swept == {"dead": True, "file": False, "alive": False, "nothing": False}
        assert connects(room / "alive")
    assert sorted(one.name for one in room.iterdir()) == ["alive", "file"]
