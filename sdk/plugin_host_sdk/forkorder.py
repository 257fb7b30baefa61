"""What a host and its forkserver say to each other, and what the host tells a child that becomes a plugin.

Pure. A message is a tuple of builtins that begins with its name and travels as one packet; descriptors go
with it. Both ends run the same interpreter, so its own format serves.

    host to forkserver   ("fork", is_awaited)               make one more spare child
                         ("take", pid)                      that child has ended: how?
    forkserver to host   ("hello", room, problems, threads) once everything is imported
                         ("spare", pid)                     with its pidfd and the socket for its order
                         ("stuck", text)                    no child can be made now
                         ("ended", pid, status, usage)      as of wait4; status None: no child of mine
    host to spare child  ("become", argv, environ, umask)   with channel, stderr, folder, maybe stacks

`usage` are the numbers of a struct_rusage, `umask` is None for the one that the child has. `argv` is a
whole command line, in which STACKS stands for the number of the descriptor for stacks.
"""

from __future__ import annotations

import marshal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["ENVIRONMENT_ROOM", "MOST_BYTES", "MOST_FDS", "STACKS", "TITLE_ROOM", "pack", "unpack"]

MOST_BYTES = 128 * 1024
"""What one message may have; the socket's buffer holds more."""

MOST_FDS = 4

STACKS = "\0stacks"
"""No argument of a program can have a zero byte."""

ENVIRONMENT_ROOM = 32 * 1024
"""With how much environment a forkserver is started, so that its children's can be written over it."""

TITLE_ROOM = 2048


def pack(*message: Any) -> bytes:
    """One packet. Raises ValueError when it is longer than MOST_BYTES."""
    data = marshal.dumps(message)
    if len(data) > MOST_BYTES:
        raise ValueError(f"a message of {len(data)} bytes is longer than {MOST_BYTES}")
    return data


def unpack(data: bytes) -> tuple[Any, ...]:
    """The message in a packet. Raises ValueError, EOFError or TypeError when it is none."""
    message: tuple[Any, ...] = marshal.loads(data)
    return message
