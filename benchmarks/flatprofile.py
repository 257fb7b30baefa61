"""Samples of running processes, as shares of functions: what py-spy writes, read and summed up. Pure."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["flat", "largest", "lines"]

_SHOWN = 12
_NAMED = 3

# Who is there waits for something to do: names of functions of C, and of frames without a name in libc. By
# `readv` a plugin waits for its host; what that copies is left out with it.
_WAITS = re.compile(
    r"^(epoll_wait|readv \(|poll|ppoll|select|futex|sem_|pthread_cond|__futex|do_futex|0x[0-9a-f]+ \(libc)"
)
_PLACE = re.compile(r":\d+\)$")


def flat(stacks: Iterable[str]) -> Counter[str]:
    """Samples by innermost function, without those in which the thread only waits.

    A stack is `outermost;...;innermost COUNT`, with the place of each in parentheses.
    """
    found: Counter[str] = Counter()
    for stack in stacks:
        frames, _, count = stack.rstrip().rpartition(" ")
        leaf = frames.rpartition(";")[2]
        if leaf and not _WAITS.match(leaf):
            found[_PLACE.sub(")", leaf)] += int(count)
    return found


def lines(found: Counter[str]) -> list[str]:
    """The largest shares, one a line."""
    total = found.total() or 1
    return [f"  {count / total:6.1%}  {name}" for name, count in found.most_common(_SHOWN)]


def largest(sides: Mapping[str, Counter[str]]) -> list[str]:
    """The few largest costs of all sides together, each as a share of the work of all."""
    total = sum(found.total() for found in sides.values()) or 1
    both = Counter({(side, name): count for side, found in sides.items() for name, count in found.items()})
    return [
        f"{place}. {name}, in the {side}: {count / total:.0%} of the work of both"
        for place, ((side, name), count) in enumerate(both.most_common(_NAMED), 1)
    ]
