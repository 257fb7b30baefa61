"""Whether /proc shows the processes that this process means by their numbers.

In a PID namespace that has no /proc of its own, the one that is seen is that of another, with other
numbers: who took it for this one's would look at strangers, and end them.
"""

from __future__ import annotations

import os
import sys

__all__ = ["has_own_proc", "is_blind"]


def has_own_proc() -> bool:
    """Whether there is a /proc, and it is this namespace's."""
    own = str(os.getpid())
    try:
        with open("/proc/self/status", "rb") as status:
            for line in status:
                if line.startswith(b"NSpid:"):  # the number in each namespace, from that of this /proc on
                    return line.split()[1:] == [own.encode()]
        return os.readlink("/proc/self") == own  # a kernel that does not list them
    except OSError:
        return False


def is_blind() -> bool:
    """Whether no other process can be seen at all: tools would read the wrong /proc, too, or miss it."""
    return sys.platform == "linux" and not has_own_proc()
