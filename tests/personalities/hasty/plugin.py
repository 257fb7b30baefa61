"""Sends with its answer to `initialize`, in one write, all that comes to its mind."""

from __future__ import annotations

from typing import Any

from tests.personalities.peer import Peer


def heard(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(peer.pack([1, msgid, None, {"status": 0, "result": echoed}]))


peer = Peer()
peer.be_ready(
    "hasty",
    commands=["early"],
    more=peer.pack([0, 1, "host.echo", [{"value": "so soon"}]])
    + peer.pack([2, "command.changed", [{"commands": ["heard"]}]])
    + peer.pack([2, "log", [{"level": "info", "logger": "hasty", "message": "ready, and a word more"}]]),
)
echoed = peer.answer(1)
peer.serve({"heard": heard})
