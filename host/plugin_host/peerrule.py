"""Who may be at the other end of a local socket, by the kernel's word about each connection.

The modes of a socket and of its folder keep others from connecting; a name whose mode was changed and a
descriptor that was handed on get around them, and this does not. Invariant: the rule is that of the socket
as it was made or handed over, whatever becomes of its name.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass

from .errors import SocketError
from .peer import Peer, groups_of, peer_of

__all__ = ["PeerRule", "admitted", "rule_for"]

_ROOT = 0


@dataclass(frozen=True, slots=True)
class PeerRule:
    """Root, the `users`, the members of `group` if there is one, or everybody."""

    users: frozenset[int]
    group: int | None = None
    is_open: bool = False

    @classmethod
    def of(cls, status: os.stat_result) -> PeerRule:
        """What owner, group and mode of a socket say: who may write to it may connect."""
        group = status.st_gid if status.st_mode & stat.S_IWGRP else None
        users = frozenset((os.geteuid(), status.st_uid))
        return cls(users, group, bool(status.st_mode & stat.S_IWOTH))

    def __str__(self) -> str:
        if self.is_open:
            return "everybody"
        names = [f"uid {uid}" for uid in sorted(self.users - {_ROOT})] + ["root"]
        names += [] if self.group is None else [f"members of group {self.group}"]
        return " and ".join(names)

    def admits(self, peer: Peer, groups: Callable[[], Collection[int]]) -> bool:
        """Whether `peer` is one of them; `groups` tells its supplementary groups, if it comes to that."""
        if self.is_open or peer.uid == _ROOT or peer.uid in self.users:
            return True
        return self.group is not None and (peer.gid == self.group or self.group in groups())


def rule_for(listening: socket.socket) -> PeerRule:
    """The rule of a socket that was handed over; one without a name is for this process's user and root."""
    name = listening.getsockname()
    if isinstance(name, str) and name:
        try:
            status = os.lstat(name)
        except OSError:  # its name is gone
            pass
        else:
            if stat.S_ISSOCK(status.st_mode):
                return PeerRule.of(status)
    return PeerRule(frozenset((os.geteuid(),)))


def admitted(connection: socket.socket, rule: PeerRule) -> Peer:
    """Who is connected. Raises SocketError for who is not to be, or where that cannot be told."""
    peer = peer_of(connection)
    if rule.admits(peer, lambda: groups_of(connection)):
        return peer
    raise SocketError(
        f"process {peer.pid} of uid {peer.uid} is not admitted: this socket is for {rule}; "
        "`group` and `mode` in the host's configuration let others in"
    )
