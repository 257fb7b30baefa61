"""Keeps the protocol and answers calls with what no command answers."""

from __future__ import annotations

from typing import Any

from tests.personalities.peer import Peer


def answer(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(peer.pack([1, msgid, params.get("error"), params.get("result")]))


def ignore(peer: Peer, msgid: int, params: Any) -> None:
    """Never answers."""


peer = Peer()
peer.be_ready("answers_strangely", commands=["answer", "ignore"])
peer.serve({"answer": answer, "ignore": ignore})
