"""Has the C library keep the memory of large messages, which come in series.

It gives what is free at the end of its heap back to the system, and then each message of 1 MiB has its
pages made anew, five hundred of them, at the price of all that is done with it otherwise. How much it keeps
there it learns from the largest block that it once mapped by itself and was given back (glibc, mallopt(3),
"dynamic mmap threshold"), so it is given one. Elsewhere nothing comes of it. Invariant: no page of that
block is touched.
"""

from __future__ import annotations

__all__ = ["keep_room"]

# It keeps twice as much as the block has. A message is there twice at least: as bytes, and as what they
# mean. The room of larger ones than a quarter of the largest block is given back, as their packers are.
_FACTOR = 4
_LARGEST_BLOCK = 8 * 1024 * 1024

_provided = 0  # the size of message up to which that was done


def keep_room(size: int) -> None:
    """A large message, of `size` bytes at least, is sent or is coming in."""
    global _provided
    if size > _provided:
        _provided = 2 * size
        try:
            bytes(min(_FACTOR * size, _LARGEST_BLOCK))
        except MemoryError:  # this process may have no more
            pass
