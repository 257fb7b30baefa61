"""Whom a program runs as, where that is another user than the plugin.

Owns the change of user in a forked child, and the words for why it is not possible. Invariant: a program
gets the user, the group and all the groups of the account, or is not started.
"""

from __future__ import annotations

import errno
import os
import pwd
from typing import TYPE_CHECKING, NamedTuple

from .executable import refusal

if TYPE_CHECKING:
    from plugin_host_sdk.errors import TerminalError

__all__ = ["Identity", "find_identity"]


class Identity(NamedTuple):
    """An account that is not the plugin's own. `home` and `shell` are as the account has them."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str

    def assume(self) -> None:
        """In a forked child: become this user, for good. Raises OSError."""
        os.setgroups(self.groups)
        os.setgid(self.gid)
        os.setuid(self.uid)

    @property
    def folder(self) -> str:
        """Where this user's programs start unless somebody says: its home, if there is one."""
        return self.home if os.path.isdir(self.home) else "/"

    def variables(self) -> dict[str, str]:
        """What a login puts into the environment of this user."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "SHELL": self.shell}

    def refused(self, number: int) -> TerminalError:
        """The system does not let the plugin become this user."""
        return refusal(
            f"the plugin runs as {_own_name()} and may not run programs as {self.name!r}: "
            f"{os.strerror(number or errno.EPERM)}; run the plugin as root, or as {self.name!r} itself",
            "not_privileged",
            number or errno.EPERM,
            "",
        )


def find_identity(user: str | int | None) -> Identity | None:
    """The account of `user`, a name or a number; None for None and for the plugin's own user.

    Raises TerminalError, `reason` "no_user" when there is no such account, "not_privileged" when the plugin
    may not become it.
    """
    if user is None:
        return None
    account = _account(user)
    if account is None:
        message = f"there is no user {user!r} on this machine: name one of its accounts"
        raise refusal(message, "no_user", errno.ENOENT, "")
    if account.pw_uid == os.geteuid():
        return None
    groups = tuple(os.getgrouplist(account.pw_name, account.pw_gid))
    identity = Identity(
        account.pw_name,
        account.pw_uid,
        account.pw_gid,
        groups,
        account.pw_dir,
        account.pw_shell or "/bin/sh",
    )
    if os.geteuid() != 0:
        raise identity.refused(errno.EPERM)
    return identity


def _account(user: str | int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    except (KeyError, ValueError, OverflowError):
        return None


def _own_name() -> str:
    account = _account(os.geteuid())
    return f"user {os.geteuid()}" if account is None else repr(account.pw_name)
