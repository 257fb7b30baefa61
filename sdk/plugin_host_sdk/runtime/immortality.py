"""Objects of a forkserver that are counted no more.

A forked process shares its memory with its parent until it writes there, and an interpreter that counts
references writes to whatever it looks at. From CPython 3.12 on there are objects it does not count, None
for one (PEP 683); code, and what never changes, is made like them before the first fork: modules, classes,
functions, descriptors, texts, numbers, and tuples of these. Invariant: what holds other objects, and may
come to hold more, is counted as ever, but for the names of modules and classes, which let go of what they
held when it is replaced; so nothing but code outlives its last use.
"""

from __future__ import annotations

import gc
import sys
from types import (
    BuiltinFunctionType,
    CellType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ctypes import Array, c_uint32

__all__ = ["make_immortal"]

_FIRST = 0x030C0000  # the version that has such objects; `sys.version_info` is a constant to a type checker

_PLAIN: set[type] = {str, bytes, int, float, complex, bool, type(None), type(...), type(NotImplemented)}
_CODE: set[type] = {
    ModuleType,
    CodeType,
    WrapperDescriptorType,
    MethodDescriptorType,
    ClassMethodDescriptorType,
    MemberDescriptorType,
    GetSetDescriptorType,
}
# These are eternal if all is that they were made with: a closure, the object of a method.
_HOLDERS: set[type] = {
    tuple,
    frozenset,
    FunctionType,
    BuiltinFunctionType,
    CellType,
    property,
    classmethod,
    staticmethod,
}


def make_immortal() -> int:
    """Have code counted no more that is loaded now; how many objects these are, 0 where it cannot be had.

    Called with the collector off. Takes some 40 ms for all that a forkserver has.
    """
    words = _words()
    if words is None:
        return 0
    mark = words[id(None) >> 2]
    eternal = _eternal(_code())
    for address in eternal:
        words[address >> 2] = mark
    return len(eternal)


def _words() -> Array[c_uint32] | None:
    """The memory of this process, in which an object's count is the first word; None where it is not, or
    where everything is counted."""
    if sys.hexversion < _FIRST or sys.byteorder != "little" or sys.maxsize < 1 << 32:
        return None
    try:
        from ctypes import c_uint32
    except (ImportError, MemoryError):  # which needs memory that can be run
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


def _code() -> dict[int, object]:
    """What may be eternal of what the collector knows, and of what is reached from there, by address."""
    known: dict[int, object] = {}
    found = gc.get_objects()
    while found:
        classes = {kind for kind in set(map(type, found)) if issubclass(kind, type)}
        kinds = _PLAIN | _CODE | _HOLDERS | classes
        fresh = {id(one): one for one in found if type(one) in kinds and id(one) not in known}
        known |= fresh
        found = gc.get_referents(*fresh.values())
        for one in fresh.values():
            if type(one) is CodeType:  # which tells the collector nothing
                found += one.co_consts, one.co_names
    return known


def _eternal(code: dict[int, object]) -> set[int]:
    """The addresses of what is not worth a count."""
    eternal, unsure = set(), []
    for address, one in code.items():
        kind = type(one)
        if kind in _HOLDERS:
            unsure.append(one)
            continue
        eternal.add(address)
        if kind is ModuleType or isinstance(one, type):  # and its names
            eternal.update(id(each) for each in gc.get_referents(one) if type(each) is dict)
    while True:
        sure = [one for one in unsure if _holds_only(one, eternal)]
        if not sure:
            return eternal
        eternal.update(map(id, sure))
        unsure = [one for one in unsure if id(one) not in eternal]


def _holds_only(one: object, eternal: set[int]) -> bool:
    """Whether all that it holds is eternal or plain."""
    if type(one) is FunctionType and not (one.__closure__ or one.__defaults__ or one.__kwdefaults__):
        return True
    held = gc.get_referents(one)
    return _PLAIN.issuperset(map(type, held)) or all(
        id(each) in eternal or type(each) in _PLAIN or (type(each) is dict and _names_only(each, eternal))
        for each in held
    )


def _names_only(table: dict[object, object], eternal: set[int]) -> bool:
    """The same of a function's own tables: its attributes, annotations and defaults."""
    return all(id(each) in eternal or type(each) in _PLAIN for each in table.values())
