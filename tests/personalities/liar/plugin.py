"""Answers with another id than the host asked for, and does not mind."""

from __future__ import annotations

from tests.personalities.peer import Peer

peer = Peer()
peer.be_ready("somebody_else")
peer.serve({})
