"""Answers with more than its host receives."""

from __future__ import annotations

from typing import Any

from tests.personalities.peer import Peer


def huge(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(peer.pack([1, msgid, None, {"status": 0, "result": b"x" * (17 << 20)}]))


def endless(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(b"\x94\x01\x00\xc0\xc6\xff\xff\xff\xff")
    while True:
        peer.send(b"x" * 65536)


peer = Peer()
peer.be_ready("sends_huge", commands=["endless", "huge"])
peer.serve({"endless": endless, "huge": huge})
