"""Whom more than one group is compared with: the bare loops, and what one would pick instead."""

from __future__ import annotations

from . import peer_goplugin
from .contestant import Contestant, needs, python

__all__ = ["CONTESTANTS"]

_CALLS = frozenset({"rtt", "flight", "big"})
_ALL = _CALLS | {"cold"}

CONTESTANTS = (
    Contestant("bare asyncio", "floor", python("floor_asyncio"), _CALLS),
    Contestant("bare blocking", "floor", python("floor_blocking"), _ALL | {"many"}),
    Contestant("go-plugin", "peer", peer_goplugin.command, _ALL, peer_goplugin.missing),
    Contestant("rpyc", "peer", python("peer_rpyc"), _ALL, needs("rpyc")),
    Contestant("execnet", "peer", python("peer_execnet"), _ALL, needs("execnet")),
    Contestant("grpcio", "peer", python("peer_grpcio"), _ALL, needs("grpc", "grpcio")),
)
