"""Sockets that a service manager hands over: what is taken, and what is not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from plugin_host.activation import inherited
from plugin_host.errors import SocketError

FIRST = 180  # far above what the tests have open
PID = os.getpid()

REAL = """
import os, socket
from plugin_host.activation import inherited
(only,) = inherited()
print(only.name, only.socket.fileno(), os.get_inheritable(3), only.socket.gettimeout())
print("LISTEN_FDS" in os.environ)
"""


@pytest.fixture
def handed() -> Iterator[list[socket.socket]]:
    """Two listening sockets at the descriptors from FIRST on."""
    with ExitStack() as stack:
        sockets = []
        for fd in (FIRST, FIRST + 1):
            made = stack.enter_context(socket.socket(socket.AF_UNIX))
            made.bind("")  # an abstract name of the kernel's choice
            made.listen()
            os.dup2(made.fileno(), fd, inheritable=True)
            stack.callback(close, fd)
            sockets.append(made)
        yield sockets


def close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:  # the test has done it
        pass


def environ(count: object = 2, **others: str) -> dict[str, str]:
    return {"LISTEN_PID": str(PID), "LISTEN_FDS": str(count), "HOME": "/", **others}


def test_sockets_are_taken_with_their_names(handed: list[socket.socket]) -> None:
    given = environ(LISTEN_FDNAMES="control:io")
    taken = inherited(given, first=FIRST)
    assert [one.name for one in taken] == ["control", "io"]
    assert [one.socket.getsockname() for one in taken] == [one.getsockname() for one in handed]
    assert given == {"HOME": "/"}
    for one in taken:
        assert one.socket.gettimeout() == 0
        assert not os.get_inheritable(one.socket.fileno())
        one.socket.close()


def test_sockets_without_names_have_empty_ones(handed: list[socket.socket]) -> None:
    taken = inherited(environ(), first=FIRST)
    assert [one.name for one in taken] == ["", ""]
    for one in taken:
        one.socket.close()


def test_variables_that_are_meant_for_another_process_are_removed_and_not_believed(
    handed: list[socket.socket],
) -> None:
    given = environ(LISTEN_FDNAMES="a:b")
    assert inherited(given, pid=PID + 1, first=FIRST) == []
    assert given == {"HOME": "/"}


def test_without_a_service_manager_there_are_none() -> None:
    assert inherited({"HOME": "/"}) == []


@pytest.mark.parametrize("count", ["-1", "two", "99999", "²"])
def test_count_that_is_none_is_refused(count: str) -> None:
    with pytest.raises(SocketError, match="LISTEN_FDS: expected a number"):
        inherited(environ(count), first=FIRST)


def test_descriptor_that_is_not_open_is_refused(handed: list[socket.socket]) -> None:
    with pytest.raises(SocketError, match=f"descriptor {FIRST + 2}, .*not open"):
        inherited(environ(3), first=FIRST)
    assert os.get_inheritable(FIRST)  # nothing was taken


@pytest.mark.parametrize("kind", ["file", "internet", "datagram", "connected"])
def test_other_descriptors_are_refused(handed: list[socket.socket], kind: str) -> None:
    with ExitStack() as stack:
        if kind == "file":
            fd = os.open("/dev/null", os.O_RDONLY)
            stack.callback(os.close, fd)
        elif kind == "connected":
            one, other = socket.socketpair()
            stack.enter_context(one)
            fd = stack.enter_context(other).fileno()
        else:
            family = socket.AF_INET if kind == "internet" else socket.AF_UNIX
            type_ = socket.SOCK_STREAM if kind == "internet" else socket.SOCK_DGRAM
            fd = stack.enter_context(socket.socket(family, type_)).fileno()
        os.dup2(fd, FIRST + 1)
        with pytest.raises(SocketError, match=f"descriptor {FIRST + 1}, .*expected a listening"):
            inherited(environ(), first=FIRST)


def test_real_process_takes_descriptor_three() -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("")
        made.listen()
        script = f'exec 3<&{made.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=x exec "$0" -c "$1"'
        ran = subprocess.run(
            ["bash", "-c", script, sys.executable, REAL],
            pass_fds=(made.fileno(),),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert (ran.stdout, ran.stderr) == ("x 3 False 0.0\nFalse\n", "")
