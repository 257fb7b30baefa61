"""Who is to own a file or run a script, by the names and numbers of the machine of this command.

Invariant: what is sent are numbers; a name that nobody has here is an error, never a guess.
"""

from __future__ import annotations

import grp
import pwd
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from plugin_host_sdk.types.action import RunAs

__all__ = ["run_as"]

_LARGEST = 2**32 - 2


def run_as(option: str, text: str | None) -> RunAs:
    """`USER`, `USER:GROUP` or `:GROUP`, by name or number; None is the plugin's own. Raises UsageError."""
    from plugin_host_sdk.types.action import RunAs

    if text is None:
        return RunAs()
    user, _, group = text.partition(":")
    if not user and not group:
        raise click.UsageError(f"{option}: expected USER, USER:GROUP or :GROUP, found {text!r}")
    uid = _number(option, user, "user") if user else None
    gid = _number(option, group, "group") if group else None
    return RunAs(uid=uid, gid=gid)


def _number(option: str, name: str, kind: str) -> int:
    if name.isascii() and name.isdecimal():
        number = int(name)
        if number > _LARGEST:
            raise click.UsageError(f"{option}: {kind} {name}: expected a number up to {_LARGEST}")
        return number
    try:
        return pwd.getpwnam(name).pw_uid if kind == "user" else grp.getgrnam(name).gr_gid
    except KeyError:
        raise click.UsageError(f"{option}: there is no {kind} {name!r} on this machine") from None
