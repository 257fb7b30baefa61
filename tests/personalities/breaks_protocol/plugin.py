"""Sends what the protocol does not allow, in the way it is asked to."""

from __future__ import annotations

import os
import signal
from typing import Any

from tests.personalities.peer import Peer


def random(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(b"\xc1" + os.urandom(1000))


def text(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(b"Segmentation fault\n")


def truncated(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(peer.pack([1, msgid, None, {"status": 0, "result": "x" * 100}])[:-50])
    os._exit(0)


def unknown_id(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(peer.pack([1, 123456, None, None]))


def twice(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(peer.pack([1, msgid, None, {"status": 0, "result": 1}]) * 2)


def not_utf8(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(b"\x94\x01" + peer.pack(msgid) + b"\xc0\xa2\xff\xfe")


def unhashable(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(b"\x94\x01" + peer.pack(msgid) + b"\xc0\x81\x90\xc0")


def announces(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(b"\x94\x01" + peer.pack(msgid) + b"\xc0\xc6\xff\xff\xff\xff")


def hosts_method(peer: Peer, msgid: int, params: Any) -> None:
    peer.send(peer.pack([0, 1, "command.call", [{}]]))


def closes(peer: Peer, msgid: int, params: Any) -> None:
    os.close(1)


def leaves(peer: Peer, msgid: int, params: Any) -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    os.close(1)


COMMANDS = {
    "random": random,
    "text": text,
    "truncated": truncated,
    "unknown_id": unknown_id,
    "twice": twice,
    "not_utf8": not_utf8,
    "unhashable": unhashable,
    "announces": announces,
    "hosts_method": hosts_method,
    "closes": closes,
    "leaves": leaves,
}
peer = Peer()
peer.be_ready("breaks_protocol", commands=list(COMMANDS))
peer.serve(COMMANDS)
