"""The host's own `initialize` in what a program sends back, which is not to be shown: it holds settings.

Pure. Invariant: output without it is passed on as it is.
"""

from __future__ import annotations

from plugin_host_sdk.protocol import INITIALIZE_ID, REQUEST

__all__ = ["NOTICE", "without_echo"]

_MARK = bytes([0x94, REQUEST, 0xCE]) + INITIALIZE_ID.to_bytes(4, "big")
NOTICE = b"(what the host had sent it)"


def without_echo(data: bytes) -> bytes:
    """`data` up to the host's own message, with NOTICE in place of that and what follows."""
    before, echoed, _ = data.partition(_MARK)
    return before + NOTICE if echoed else data
