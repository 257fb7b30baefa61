"""Objects of a forkserver that are counted no more.

A forked process shares its memory with its parent until it writes there, and an interpreter that counts
references writes to whatever it looks at. From CPython 3.12 on there are objects it does not count, None
for one (PEP 683); what the forkserver has imported is made like them before the first fork, for it outlives
every plugin anyway: plugins end without the interpreter's tearing itself down. Invariant: an object whose
end would do something, closing a file for instance, is counted as ever.
"""

from __future__ import annotations

import gc
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import Array, c_uint32

__all__ = ["make_immortal"]

_FIRST = 0x030C0000  # the version that has such objects; `sys.version_info` is a constant to a type checker


def make_immortal() -> int:
    """Have nothing counted any more that lives now; how many objects these are, 0 where it cannot be had.

    Called with the collector off. Takes some 30 ms for all that a forkserver has.
    """
    words = _words()
    if words is None:
        return 0
    everything = _everything()
    mortal = {kind for kind in set(map(type, everything.values())) if _is_mortal(kind)}
    mark, count = words[id(None) >> 2], 0
    for address, one in everything.items():
        if type(one) not in mortal:
            words[address >> 2] = mark
            count += 1
    return count


def _words() -> Array[c_uint32] | None:
    """The memory of this process, in which an object's count is the first word; None where it is not, or
    where everything is counted."""
    if sys.hexversion < _FIRST or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return None
    try:
        from ctypes import c_uint32
    except ImportError:
        return None
    words = (c_uint32 * (1 << 45)).from_address(0)
    probe = object()
    place = id(probe) >> 2
    before = words[place]
    held = [probe] * 8
    if words[place] != before + len(held):
        return None
    words[place] = mark = words[id(None) >> 2]
    held += held
    if words[place] == mark:
        return words
    words[place] = before + len(held)
    return None


def _everything() -> dict[int, object]:
    """What the collector knows, and all that is reached from there, by address."""
    from types import CodeType

    known: dict[int, object] = {}
    found = gc.get_objects()
    while found:
        fresh = dict(zip(map(id, found), found, strict=True))
        for address in fresh.keys() & known.keys():
            del fresh[address]
        known |= fresh
        found = gc.get_referents(*fresh.values())
        for one in fresh.values():
            if type(one) is CodeType:  # which tells the collector nothing
                found += one.co_consts, one.co_names, one.co_linetable, one.co_exceptiontable
                found += one.co_filename, one.co_name, one.co_qualname
    return known


def _is_mortal(kind: type) -> bool:
    """Whether the end of such an object is of consequence, or near."""
    from types import FrameType, TracebackType

    return kind in (FrameType, TracebackType) or any("__del__" in vars(base) for base in kind.__mro__)
