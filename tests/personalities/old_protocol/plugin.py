"""Speaks a version of the protocol that no host knows any more, and says so."""

from __future__ import annotations

from tests.personalities.peer import Peer

peer = Peer()
peer.refuse(
    {
        "code": 1,
        "name": "initialize.no_common_protocol",
        "message": "no common protocol version",
        "data": {"host": [1], "plugin": [-2, -1]},
        "retryable": False,
    }
)
