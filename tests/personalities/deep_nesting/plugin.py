"""Answers with structures that are hard to take apart."""

from __future__ import annotations

from typing import Any

from tests.personalities.peer import Peer


def nested(depth: int) -> Any:
    value: Any = "bottom"
    for _ in range(depth):
        value = [value]
    return value


def lists(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(b"\x94\x01" + peer.pack(msgid) + b"\xc0" + b"\x91" * 100_000 + b"\xc0")


def many(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(peer.pack([1, msgid, None, [[] for _ in range(200_000)]]))


def bare(peer: Peer, msgid: int, params: Any) -> None:
    """As deep as passes, as the answer itself."""
    peer.send(peer.pack([1, msgid, None, nested(params["depth"])]))


def error(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(peer.pack([1, msgid, {"message": nested(params["depth"]), "name": "deep"}, None]))


def status_message(peer: Peer, msgid: int, params: Any) -> None:
    answer = {"status": 7, "status_message": nested(params["depth"]), "result": None}
    peer.send(peer.pack([1, msgid, None, answer]))


def log(peer: Peer, msgid: int, params: Any) -> None:
    text = nested(params["depth"])
    for record in (
        {"level": text, "logger": text, "message": text, "fields": text},
        {"level": "info", "logger": "a", "message": "b", "fields": {"c": text}},
    ):
        peer.send(peer.pack([2, "log", [record]]))
    peer.send(peer.pack([2, "failure", [{"message": text}]]))
    peer.send(peer.pack([2, "command.changed", [{"commands": text}]]))
    peer.send(peer.pack([1, msgid, None, {"status": 0, "result": "logged"}]))


COMMANDS = {
    "lists": lists,
    "many": many,
    "bare": bare,
    "error": error,
    "status_message": status_message,
    "log": log,
}
peer = Peer()
peer.be_ready("deep_nesting", commands=list(COMMANDS))
peer.serve(COMMANDS)
