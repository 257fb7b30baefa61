"""What a sealed connection makes of the bytes that came."""

from __future__ import annotations

from dataclasses import dataclass, field

from plugin_host.errors import SealError

__all__ = ["Confirmed", "Ended", "Event", "Failed", "KeyNeeded", "MessageReceived"]


@dataclass(frozen=True, slots=True)
class KeyNeeded:
    """Derive the keys with this salt and hand them to `keyed`."""

    salt: bytes


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Both sides have proved that they have the key; messages may be sent."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """One message of the peer, the next after the one before."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """The peer has said that it sends nothing more."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The connection is over, for this reason. Nothing follows."""

    error: SealError


Event = KeyNeeded | Confirmed | MessageReceived | Ended | Failed
