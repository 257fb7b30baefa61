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
import os, sys
from plugin_host.localsocket import LocalSocket, listen
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


def refused_to_nobody(path: Path) -> str:
    """What the user nobody is told who wants to listen there."""
    words = [sys.executable, "-c", LISTEN_AS, str(path), str(NOBODY.pw_uid)]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=20).stdout


@needs_root
@pytest.mark.parametrize("is_there", [True, False])
def test_folder_in_one_that_others_may_change_is_refused(open_folder: Path, is_there: bool) -> None:
    """They could put another in its place, with a socket of their own."""
    inner = open_folder / "inner"
    if is_there:
        inner.mkdir()
        os.chown(inner, NOBODY.pw_uid, NOBODY.pw_gid)
    open_folder.chmod(0o777)
    assert f"other users may replace {inner} (mode 0777)" in refused_to_nobody(inner / "s")
    assert inner.exists() == is_there
    with pytest.raises(SocketError, match="may replace"):
        listen(LocalSocket(path=str(inner / "s")))
    with pytest.raises(SocketError, match="may replace"):
        look(LocalSocket(path=str(inner / "s")))
    open_folder.chmod(0o1777)
    assert refused_to_nobody(inner / "s") == ""


@needs_root
def test_folder_in_one_of_another_user_is_refused(open_folder: Path) -> None:
    inner = open_folder / "inner"
    inner.mkdir()
    os.chown(inner, NOBODY.pw_uid, NOBODY.pw_gid)
    os.chown(open_folder, 1, 1)
    assert f"who could replace {inner}" in refused_to_nobody(inner / "s")
    os.chown(open_folder, 0, 0)
    assert refused_to_nobody(inner / "s") == ""


@needs_root
def test_root_is_led_to_nobodys_folder_by_a_link_or_a_name_of_their_own(room: Path) -> None:
    theirs, public = room / "theirs", room / "public"
    for folder in (theirs, public, planted := public / "planted"):
        folder.mkdir()
    link = public / "link"
    link.symlink_to(theirs)
    public.chmod(0o1777)
    for path in (theirs, planted, link):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid, follow_symlinks=False)
    with pytest.raises(SocketError, match=f"{link}: this link belongs to nobody"):
        listen(LocalSocket(path=str(link / "s")))
    with pytest.raises(SocketError, match=f"{planted}: this folder belongs to nobody"):
        listen(LocalSocket(path=str(planted / "s")))
    listen(LocalSocket(path=str(theirs / "s"))).close()  # which root has named


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
