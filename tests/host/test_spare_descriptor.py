"""A descriptor in reserve, for looking at processes when there is no other."""

from __future__ import annotations

import errno
import os

import pytest

from plugin_host.sparedescriptor import SpareDescriptor


def open_now() -> set[str]:
    """The descriptors of this process, without the one that it takes to list them."""
    return {name for name in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{name}")}


class Scarce:
    """Opens nothing the first `times` times."""

    def __init__(self, times: int, number: int = errno.EMFILE) -> None:
        self.left, self.number = times, number
        self.fds: list[set[str]] = []

    def __call__(self) -> str:
        self.fds.append(open_now())
        if self.left:
            self.left -= 1
            raise OSError(self.number, os.strerror(self.number))
        return "done"


def test_it_is_lent_to_who_finds_none_and_is_there_again_afterwards() -> None:
    spare = SpareDescriptor()
    before = open_now()
    spare.hold()
    spare.hold()
    (fd,) = open_now() - before
    assert not os.get_inheritable(int(fd))
    for _ in range(2):
        work = Scarce(1)
        assert spare.lent_to(work) == "done"
        assert [fd in one for one in work.fds] == [True, False]
    spare.release()
    assert fd in open_now()
    spare.release()
    assert fd not in open_now()


def test_who_needs_none_or_finds_none_still_is_told_what_happened() -> None:
    spare = SpareDescriptor()
    spare.hold()
    missing = Scarce(1, errno.ENOENT)
    with pytest.raises(FileNotFoundError):
        spare.lent_to(missing)
    assert len(missing.fds) == 1
    with pytest.raises(OSError, match="Too many open files"):
        spare.lent_to(Scarce(2))
    assert spare.lent_to(Scarce(1)) == "done", "it is there again"
    spare.release()
    with pytest.raises(OSError, match="Too many open files"):
        spare.lent_to(Scarce(1))
