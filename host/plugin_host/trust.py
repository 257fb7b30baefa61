"""Whom a plugin runs as and what it may touch: what manifest and operator said, settled.

Owns the shape alone; `isolation` makes it so. Invariant: names and paths are as somebody wrote them,
but for paths being absolute; nothing is looked up here.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Sandbox", "Trust"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """What a sandboxed plugin may reach: paths it may write; paths it may read, the whole file system when
    none is named; and whether it has the network."""

    writable: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    network: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """`user` and `group` are names or numbers; None is the host's own, or the user's primary group.

    `umask` is what the plugin's new files lack, None the host's own; `no_new_privs` keeps it from gaining
    rights through set-user-id programs; without `sandbox` it has the system as it is.
    """

    user: str | None = None
    group: str | None = None
    umask: int | None = None
    no_new_privs: bool = False
    sandbox: Sandbox | None = None
