"""The process in the middle of the bare relay: reads 64 KiB from descriptor 0, writes them to 1.

Run as a script. It looks at nothing, keeps nothing and ends with its input, which is the least that a
plugin between a session and its host has to do.
"""

from __future__ import annotations

import os

_READ_BYTES = 64 * 1024


def main() -> None:
    """Relay until one of both ends is closed."""
    buffer = bytearray(_READ_BYTES)
    view = memoryview(buffer)
    buffers = [buffer]
    try:
        while size := os.readv(0, buffers):
            sent = 0
            while sent < size:
                sent += os.write(1, view[sent:size])
    except (BrokenPipeError, ConnectionResetError):
        pass  # the reader has had enough


if __name__ == "__main__":
    main()
