"""The address of a host that is reached over TCP: `host:port`, `[v6]:port`, with or without `tcp://`.

Invariant: an address that is written, `str`, reads as the same.
"""

from __future__ import annotations

import socket
from typing import NamedTuple

from plugin_host.errors import ConfigurationError, HostUnreachable
from plugin_host.wording import shown

__all__ = ["SCHEME", "Address", "parse_address", "unreachable"]

SCHEME = "tcp://"
_LAST_PORT = 65535


class Address(NamedTuple):
    """A name or number of a machine, and a port; 0 is any that is free, for who listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Raises ConfigurationError."""
    bare = text.removeprefix(SCHEME)
    host, colon, port = bare.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigurationError(f"{shown(text)}: write an IPv6 address in brackets, as in [::1]:7411")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= len(str(_LAST_PORT)) else -1
    if not colon or not host or not 0 <= number <= _LAST_PORT or any(c.isspace() for c in host):
        raise ConfigurationError(f"{shown(text)}: expected HOST:PORT, with a port up to {_LAST_PORT}")
    if ":" not in host and not all(0 < len(label) < 64 for label in host.removesuffix(".").split(".")):
        raise ConfigurationError(f"{shown(text)}: no host has such a name: parts have 1 to 63 characters")
    return Address(host, number)


def unreachable(address: str, error: Exception) -> HostUnreachable:
    """Why no host was reached at an address."""
    is_absent = isinstance(error, ConnectionRefusedError)
    if is_absent:
        reason = (
            "no host listens there: start one with `plugin-host run --listen HOST:PORT --psk-file FILE`"
        )
    elif isinstance(error, TimeoutError):
        reason = "whoever listens there does not answer, or nobody does and a firewall keeps it to itself"
    elif isinstance(error, socket.gaierror):
        reason = f"this name is not known: {error.strerror}"
    else:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return HostUnreachable(f"{address}: {reason}", socket=address, is_absent=is_absent)
