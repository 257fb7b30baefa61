"""Two sides of a sealed connection, joined by hand, with keys that cost nothing to derive again."""

from __future__ import annotations

import functools

import pytest

from plugin_host.seal import key as key_module
from plugin_host.seal.connection import Role, SealedConnection, State
from plugin_host.seal.event import Event, KeyNeeded
from plugin_host.seal.key import Keys, derive

__all__ = ["CLIENT_NONCE", "KEY", "OTHER_KEY", "SERVER_NONCE", "agreed", "fresh", "keys", "quick", "shake"]

KEY = b"a key of at least sixteen bytes"
OTHER_KEY = b"another key, as long as the one"
CLIENT_NONCE = bytes(range(16))
SERVER_NONCE = bytes(range(16, 32))

keys = functools.cache(derive)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """For two sides in this process, where what a derivation costs is not what is tested."""
    monkeypatch.setattr(key_module, "_N", 16)


def fresh(limit: int = 1024) -> tuple[SealedConnection, SealedConnection]:
    """A client and a server that have said nothing yet."""
    client = SealedConnection(Role.CLIENT, CLIENT_NONCE, limit=limit)
    return client, SealedConnection(Role.SERVER, SERVER_NONCE, limit=limit)


def take(side: SealedConnection, data: bytes, secret: bytes) -> list[Event]:
    events = side.receive_data(data) if data else []
    for event in events:
        if isinstance(event, KeyNeeded):
            return events + side.keyed(_keys(secret, event.salt))
    return events


def _keys(secret: bytes, salt: bytes) -> Keys:
    return keys(secret, salt)


def shake(
    client: SealedConnection, server: SealedConnection, client_key: bytes = KEY, server_key: bytes = KEY
) -> tuple[list[Event], list[Event]]:
    """Carry the handshake to its end; what each side was told."""
    told: tuple[list[Event], list[Event]] = ([], [])
    for _ in range(4):
        told[1].extend(take(server, client.data_to_send(), server_key))
        told[0].extend(take(client, server.data_to_send(), client_key))
    return told


def agreed(limit: int = 1024) -> tuple[SealedConnection, SealedConnection]:
    """A client and a server that have proved their key."""
    client, server = fresh(limit)
    shake(client, server)
    assert client.state is server.state is State.OPEN
    return client, server
