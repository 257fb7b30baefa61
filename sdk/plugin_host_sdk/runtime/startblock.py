"""The memory in which the kernel looks for a process's command line and environment.

/proc/PID/cmdline and /proc/PID/environ show what was laid there when the process's program began. Children
that were only forked have their parent's, so they write their own over it: whoever looks for a plugin by
its mark, or by its name, finds it. Invariants: nothing outside the block is written; nothing in this
process points into it any more once `Block` was made, so writing it changes nothing but what is shown; of
what was shown before nothing is left.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Block", "encoded"]

_MEMORY = "/proc/self/mem"
# Places in /proc/self/stat, counted from behind the name.
_ARG_START, _ARG_END, _ENV_START, _ENV_END = 45, 46, 47, 48


class Block:
    """Of this process. `room` is what an environment may take there, in bytes."""

    __slots__ = ("_end", "_environ", "_shown", "_start", "room")

    def __init__(self) -> None:
        """Raises OSError where nothing is told of it, or it cannot be written."""
        with open("/proc/self/stat", "rb", buffering=0) as file:
            fields = file.read().rpartition(b")")[2].split()
        self._start, self._end, self._environ, end = (
            int(fields[place]) for place in (_ARG_START, _ARG_END, _ENV_START, _ENV_END)
        )
        self.room = self._shown = end - self._environ
        if not 0 < self._start < self._end <= self._environ < end:
            raise OSError("this system does not tell where the environment of a process lies")
        # The C library's own list points there, until each variable was set anew.
        os.environ.update(dict(os.environ))
        os.close(os.open(_MEMORY, os.O_RDWR | os.O_CLOEXEC))

    def write(self, argv: Sequence[str], environ: Mapping[str, str]) -> None:
        """Show these. Raises ValueError for more environment than there is room for, and OSError.

        Arguments are shown with spaces between them and cut to what fits.
        """
        data = encoded(environ)
        if len(data) > self.room:
            raise ValueError(f"an environment of {len(data)} bytes does not fit into {self.room}")
        size = self._end - self._start
        title = os.fsencode(" ".join(argv)).replace(b"\0", b" ")[: size - 2]
        fd = os.open(_MEMORY, os.O_RDWR | os.O_CLOEXEC)
        try:
            # By the last byte the kernel sees that this is no list of arguments any more, but a text.
            os.pwrite(fd, title.ljust(size - 1, b"\0") + b"\1", self._start)
            # The rest of the room is zeros already, but for what was there before.
            os.pwrite(fd, data.ljust(self._shown, b"\0"), self._environ)
        finally:
            os.close(fd)
        self._shown = len(data)


def encoded(environ: Mapping[str, str]) -> bytes:
    """As it lies there."""
    return os.fsencode("".join([f"{name}={value}\0" for name, value in environ.items()]))
