"""Room in the interpreter's table of interned strings, in which every name of a module is looked up.

The table is made anew, twice as large, when it is full: half a megabyte with what a forkserver imports.
Who is forked when it is nearly full would do that in each child, and have a table of its own each time.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["make_room"]

_MOST = 1 << 17
_STEP = 64
_GROWTH_BYTES = 1 << 16
_IMMORTAL = 0x030C0000, 0x030D0000  # between these versions an interned string is never freed


def make_room() -> int:
    """Have the table grow, so that it has room for thousands of names; how many it had room for, at most.

    -1 where it cannot be had. Takes some milliseconds.
    """
    if _IMMORTAL[0] <= sys.hexversion < _IMMORTAL[1]:
        return -1
    try:
        allocated = _allocated()
    except (ImportError, AttributeError, OSError, MemoryError):  # no C library that tells it
        return -1
    names: list[str] = [""] * _MOST
    before = allocated()
    for start in range(0, _MOST, _STEP):
        for place in range(start, start + _STEP):
            names[place] = sys.intern(f"room for {place}")
        after = allocated()
        if after - before > _GROWTH_BYTES:
            return start + _STEP
        before = after
    return -1


def _allocated() -> Callable[[], int]:
    """What tells how many bytes `malloc` has given; strings have another allocator."""
    from ctypes import CDLL, Structure, c_size_t

    class Info(Structure):
        """As `mallinfo2` gives it, of glibc 2.33 and later."""

        _fields_ = [(f"field{n}", c_size_t) for n in range(10)]

    mallinfo = CDLL(None).mallinfo2
    mallinfo.restype = Info

    def allocated() -> int:
        info = mallinfo()
        return int(info.field7 + info.field4)  # uordblks and hblkhd

    return allocated
