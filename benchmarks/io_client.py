"""The client of raw descriptors that is measured; the same program under the floor and under ours.

Run as a script with two descriptors and a number of bytes: writes so many into the first, reads the second
to its end, and prints one line of JSON: the seconds that took, and whether what came is what was sent.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib

_BLOCK_BYTES = 64 * 1024
_PATTERN = bytes(i * i % 251 for i in range(_BLOCK_BYTES + 251))


def main(writing: int, reading: int, size: int) -> None:
    """Write in a process of its own, read in this one."""
    start = time.perf_counter()
    told, telling = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os.write(telling, b"%d" % _write(writing, size))
        os._exit(0)
    os.close(writing)
    os.close(telling)
    checksum, got = _read(reading)
    took = time.perf_counter() - start
    sent = int(os.read(told, 100))
    os.waitpid(child, 0)
    print(json.dumps({"seconds": took, "is_equal": (checksum, got) == (sent, size)}))


def _write(fd: int, size: int) -> int:
    """The checksum of what was written: blocks that differ from one to the next."""
    checksum, left, shift = 0, size, 0
    while left:
        block = memoryview(_PATTERN)[shift : shift + min(left, _BLOCK_BYTES)]
        checksum = zlib.crc32(block, checksum)
        left -= len(block)
        shift = (shift + 1) % 251
        while block:
            block = block[os.write(fd, block) :]
    return checksum


def _read(fd: int) -> tuple[int, int]:
    checksum = got = 0
    buffer = bytearray(_BLOCK_BYTES)
    view, buffers = memoryview(buffer), [buffer]
    while size := os.readv(fd, buffers):
        checksum = zlib.crc32(view[:size], checksum)
        got += size
    return checksum, got


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
