"""The end of a host as its keeper sees it: a goodbye, or the end of the process, never of the pipe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from plugin_host.keeper.dictation import HELLO, QUIT, cgroup_line
from plugin_host.keeper.watch import Watch


@pytest.fixture(params=["pidfd", "no pidfd"], autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "no pidfd":
        monkeypatch.delattr(os, "pidfd_open")
    return str(request.param)


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """A reading end, which the watch may close, and a writing end."""
    read, write = os.pipe()
    yield read, write
    for fd in (read, write):
        try:
            os.close(fd)
        except OSError:
            pass


def test_goodbye_of_a_living_host_is_no_loss() -> None:
    with pipe() as (read, write):
        os.write(write, HELLO + cgroup_line(b"/a") + QUIT)
        watch = Watch(os.getppid(), read)
        assert not watch.outlive()
        assert watch.told.folders == [b"/a"]


def test_host_that_is_not_the_parent_is_gone() -> None:
    with pipe() as (read, write):
        os.write(write, HELLO + cgroup_line(b"/a"))
        watch = Watch(os.getpid(), read)
        assert watch.outlive()
        assert watch.told.folders == [b"/a"]


def test_host_that_said_goodbye_and_ended_is_no_loss() -> None:
    with pipe() as (read, write):
        os.write(write, QUIT)
        os.close(write)
        assert not Watch(os.getpid(), read).outlive()


def test_goodbye_cut_short_is_none() -> None:
    with pipe() as (read, write):
        os.write(write, QUIT[:-1])
        os.close(write)
        assert Watch(os.getpid(), read).outlive()


def test_pipe_that_is_closed_leaves_it_waiting_for_the_host(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "pidfd":
        return  # the same, but for the waking: that is shown with hosts that are killed
    parents = [7, 7, 7, 1]
    monkeypatch.setattr(os, "getppid", lambda: parents.pop(0))
    with pipe() as (read, write):
        os.write(write, cgroup_line(b"/a"))
        os.close(write)
        watch = Watch(7, read)
        assert watch.outlive()
        assert watch.told.folders == [b"/a"]
        assert not parents
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(read)
