"""As whom something is done: from what a request says to the numbers of a user.

Invariant: a right that the process has not is refused before anything is done, and said so.
"""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING, NamedTuple

from plugin_host_sdk.errors import ActionInvalid, ActionNotPrivileged

if TYPE_CHECKING:
    from plugin_host_sdk.types.action import RunAs

__all__ = ["Identity"]


class Identity(NamedTuple):
    """A user and a group by number; what the passwd database says of the user, "" where it has nothing."""

    uid: int
    gid: int
    name: str = ""
    home: str = ""

    @classmethod
    def of(cls, run_as: RunAs) -> Identity | None:
        """Who is meant; None for the user and group of this process.

        Raises ActionInvalid for a user without an entry whose group is not named.
        """
        if run_as.inherit:
            return None
        uid = os.geteuid() if run_as.uid is None else run_as.uid
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            entry = None
        if run_as.gid is not None:
            gid = run_as.gid
        elif entry is not None:
            gid = entry.pw_gid
        else:
            raise ActionInvalid(f"there is no user {uid} here, so a gid has to go with it")
        if (uid, gid) == (os.geteuid(), os.getegid()):
            return None
        return cls(uid, gid, entry.pw_name if entry else "", entry.pw_dir if entry else "")

    @classmethod
    def to_run(cls, run_as: RunAs) -> Identity | None:
        """Who is to run something. Raises as `of`, and ActionNotPrivileged where only root may do that."""
        identity = cls.of(run_as)
        if identity is not None and os.geteuid() != 0:
            raise ActionNotPrivileged(
                f"to run as {identity} takes root, and the plugin runs as {_me()}: leave run_as out, or "
                "have the operator start the plugin as root"
            )
        return identity

    @classmethod
    def to_own(cls, owner: RunAs) -> Identity | None:
        """Who is to own a file. Raises as `of`, and ActionNotPrivileged where it takes root to give it."""
        identity = cls.of(owner)
        if identity is not None and os.geteuid() != 0:
            if identity.uid == os.geteuid() and identity.gid in os.getgroups():
                return identity
            raise ActionNotPrivileged(
                f"to give a file to {identity} takes root, and the plugin runs as {_me()}: leave the owner "
                "out, or have the operator start the plugin as root"
            )
        return identity

    def __str__(self) -> str:
        name = f" ({self.name})" if self.name else ""
        return f"uid {self.uid}{name} and gid {self.gid}"


def _me() -> str:
    return f"uid {os.geteuid()} and gid {os.getegid()}"
