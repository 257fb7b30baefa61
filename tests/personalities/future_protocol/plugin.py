"""Chooses a version of the protocol that was not offered."""

from __future__ import annotations

from tests.personalities.peer import Peer

peer = Peer()
peer.be_ready("future_protocol", protocol=99)
peer.serve({})
