"""What runs inside the sessions that are measured; the same program under the floors and under ours.

Run as a script with one word: `blocks` writes 64 KiB blocks for ever, `raw` and `cooked` write lines to a
terminal for ever, `sink` reads to the end of its input. It ends when nobody reads or writes any more.
"""

from __future__ import annotations

import os
import sys

_BLOCK_BYTES = 64 * 1024
_LINE = b"".join(bytes([32 + i % 95]) for i in range(79)) + b"\n"


def main(mode: str) -> None:
    """Do what the word says."""
    if mode == "sink":
        buffers = [bytearray(_BLOCK_BYTES)]
        while os.readv(0, buffers):
            pass
        return
    if mode == "raw":
        _make_raw()
    block = bytes(_BLOCK_BYTES) if mode == "blocks" else (_LINE * 1000)[:_BLOCK_BYTES]
    try:
        while True:
            os.write(1, block)
    except OSError:
        pass  # the reader has had enough


def _make_raw() -> None:
    import tty  # here, because only terminals need it

    tty.setraw(0)


if __name__ == "__main__":
    main(sys.argv[1])
