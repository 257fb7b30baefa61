"""Whether a fork of the forkserver can be what a launch asks for.

Pure. Invariant: what is fit here ends up like a process that was started by itself; in doubt it is not fit.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plugin_host.process import ProcessSpec

__all__ = ["unfit"]

# What the loader, the C library and the interpreter read when a program begins, and never again.
_READ_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "GLIBC_")
# The interpreter looks for packages in the user's own folder.
_OF_THE_USER = ("HOME",)


def unfit(spec: ProcessSpec, base: Mapping[str, str], room: int) -> str | None:
    """Why not, in words; None when it can.

    `base` is the environment that the forkserver was started with, `room` the bytes that a child's may
    have.
    """
    if not spec.is_forkable:
        return "it is not to be, or runs by an interpreter or a program of its own"
    if spec.account is not None:
        return "it runs as another user"
    if spec.prefix or spec.wrapper or spec.pass_fds:
        return "it is started by another program"
    for name in {**base, **spec.env}:
        is_early = name.startswith(_READ_AT_START) or name in _OF_THE_USER
        if is_early and base.get(name) != spec.env.get(name):
            return f"its variable {name} has to be there when an interpreter begins"
    size = sum(len(os.fsencode(name)) + len(os.fsencode(value)) + 2 for name, value in spec.env.items())
    return f"its environment takes {size} bytes" if size > room else None
