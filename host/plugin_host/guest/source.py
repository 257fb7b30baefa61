"""Which guest is asking: told by the address that it asks from.

Pure. Invariant: an address is one guest's, that of the smallest network it lies in.
"""

from __future__ import annotations

import ipaddress
from typing import Generic, TypeVar

__all__ = ["SourceUnknown", "Sources", "is_loopback"]

_T = TypeVar("_T")


class SourceUnknown(Exception):
    """No guest has that address."""


class Sources(Generic[_T]):
    """Guests by network. What is None is a guest for which nobody serves."""

    def __init__(self) -> None:
        self._entries: dict[ipaddress.IPv4Network | ipaddress.IPv6Network, _T | None] = {}

    def assign(self, network: str, guest: _T | None) -> None:
        """`network` is an address or a network, "10.0.3.0/24". Raises ValueError."""
        self._entries[ipaddress.ip_network(network)] = guest

    def has(self, network: str) -> bool:
        """Whether that very network is somebody's. Raises ValueError."""
        return self._entries.get(ipaddress.ip_network(network)) is not None

    def withdraw(self, network: str) -> _T | None:
        """The network is nobody's any more; what it was."""
        return self._entries.pop(ipaddress.ip_network(network), None)

    def find(self, address: str) -> _T | None:
        """The guest at `address`. Raises SourceUnknown."""
        try:
            asking = ipaddress.ip_address(address)
        except ValueError:
            raise SourceUnknown(address) from None
        mapped = getattr(asking, "ipv4_mapped", None)
        matching = [network for network in self._entries if (mapped or asking) in network]
        if not matching:
            raise SourceUnknown(address)
        return self._entries[max(matching, key=lambda network: network.prefixlen)]


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach that address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
