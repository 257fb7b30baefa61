"""What a process that was forked off has of its parent's hosts: nothing that it may use.

The child has a copy of every descriptor, so what it wrote would reach the parent's plugins, and what it
stopped would be theirs. Invariant: a wire of the parent leads nowhere in the child, before any other code
runs there.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Protocol
from weakref import WeakSet

__all__ = ["MESSAGE", "Watched", "generation", "lead_nowhere", "watch"]

MESSAGE = (
    "this host belongs to the process that this one was forked from: make a host after the fork, in the "
    "process that is to use it"
)

generation = 0
"""Differs from what it was in the parent, and never else."""


class Watched(Protocol):
    """What is told, in a child, that it is the parent's."""

    def disown(self) -> object: ...


_watched: WeakSet[Watched] = WeakSet()
_nowhere: list[int] = []


def watch(thing: Watched) -> None:
    """Have its `disown` called in every child that is forked off while it lives."""
    _watched.add(thing)


def lead_nowhere(*fds: int) -> None:
    """Make these descriptors those of a wire on which nothing comes, and nobody listens."""
    for fd in {*fds} - {-1}:
        try:
            os.dup2(_wire_to_nowhere(), fd, inheritable=False)
        except OSError:  # no descriptor is left for one
            os.close(fd)
            os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)  # which gets the number that is free now


def _wire_to_nowhere() -> int:
    if not _nowhere:
        _nowhere.extend(end.detach() for end in socket.socketpair())
        os.set_blocking(_nowhere[0], False)
    return _nowhere[0]


def _note() -> None:
    global generation
    generation += 1
    for thing in list(_watched):
        with suppress(OSError):  # of one descriptor; the others have their turn
            thing.disown()
    _watched.clear()


os.register_at_fork(after_in_child=_note)
