"""Which folders a local socket may be in: those in which nobody else can put another, on the whole way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_host.errors import SocketError
from plugin_host.localsocket import LocalSocket, listen, look
from tests.otheruser import NOBODY, needs_root, open_folder

pytestmark = pytest.mark.edges

__all__ = ["open_folder"]

LISTEN_AS = """
import logging, os, sys
from plugin_host.localsocket import LocalSocket, listen
logging.basicConfig(stream=sys.stdout, format="%(message)s")
os.setgroups([])
os.seteuid(int(sys.argv[2]))
try:
    listen(LocalSocket(path=sys.argv[1]))
except Exception as error:
    print(error)
"""


@pytest.fixture
def room() -> Iterator[Path]:
    """A folder with a short path, as sockets need."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    shutil.rmtree(folder)


def told_to_nobody(path: Path) -> str:
    """What the user nobody is told who listens there, or wants to."""
    words = [sys.executable, "-c", LISTEN_AS, str(path), str(NOBODY.pw_uid)]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=20).stdout


@needs_root
@pytest.mark.parametrize("is_there", [True, False])
def test_who_could_put_another_folder_in_place_of_one_on_the_way_is_told(
    open_folder: Path, is_there: bool
) -> None:
    """It is used all the same: in a container, all users may be one."""
    inner = open_folder / "inner"
    if is_there:
        inner.mkdir()
        os.chown(inner, NOBODY.pw_uid, NOBODY.pw_gid)
    open_folder.chmod(0o777)
    told = told_to_nobody(inner / "s")
    assert told.startswith(
        f"all users (mode 0777) may put another folder in place of {inner}, with sockets"
    )
    assert (inner / "s").exists()
    open_folder.chmod(0o1777)
    assert told_to_nobody(inner / "t") == ""


@needs_root
def test_owner_of_a_folder_on_the_way_is_told_and_root_is_nobody_to_tell_of(open_folder: Path) -> None:
    home = open_folder / "home"
    inner = home / "inner"
    inner.mkdir(parents=True)
    os.chown(inner, NOBODY.pw_uid, NOBODY.pw_gid)
    os.chown(home, 1, 1)
    assert told_to_nobody(inner / "s").startswith(f"daemon may put another folder in place of {inner}")
    os.chown(home, 0, 0)
    assert told_to_nobody(inner / "t") == ""


@needs_root
def test_nobody_is_led_into_a_folder_that_somebody_else_has_put_where_all_may(room: Path) -> None:
    theirs, public = room / "theirs", room / "public"
    for folder in (theirs, theirs / "a", public, planted := public / "planted", planted / "deep"):
        folder.mkdir()
    public.chmod(0o1777)
    (link := public / "link").symlink_to(theirs)
    (own_link := theirs / "link").symlink_to(theirs / "a")
    for path in (theirs, theirs / "a", planted, planted / "deep", link, own_link):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid, follow_symlinks=False)
    for path in (planted, planted / "deep", planted / "new", planted / "a" / "b"):
        for use in (listen, look):
            with pytest.raises(SocketError, match=f"{planted}: this folder belongs to nobody"):
                use(LocalSocket(path=str(path / "s")))
        assert path.exists() == (path in (planted, planted / "deep"))
    with pytest.raises(SocketError, match=f"{link}: this link belongs to nobody"):
        listen(LocalSocket(path=str(link / "s")))
    for path in (theirs, theirs / "a", own_link):  # where they are at home, and root has named it
        listen(LocalSocket(path=str(path / "s"))).close()


def test_link_of_this_user_is_followed(room: Path) -> None:
    (room / "a").mkdir()
    (room / "link").symlink_to("a/../a")
    listen(LocalSocket(path=str(room / "link" / "s"))).close()
    assert (room / "a" / "s").exists()


def test_links_in_a_circle_are_explained(room: Path) -> None:
    (room / "one").symlink_to("two")
    (room / "two").symlink_to("one")
    with pytest.raises(SocketError, match="Too many levels of symbolic links"):
        listen(LocalSocket(path=str(room / "one" / "s")))
