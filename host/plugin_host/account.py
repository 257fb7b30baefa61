"""The user and groups that a plugin runs as, looked up by the names an operator wrote.

Owns the look-up and what in an environment belongs to a user. Invariant: an `Account` is complete, so
that a process started with it keeps nothing of the host's own user.
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass

from .errors import LaunchError

__all__ = ["Account", "account_of", "is_privileged"]

_CAP_SETGID, _CAP_SETUID = 6, 7
_LARGEST_ID = 2**32 - 2  # the last number means "leave it"


@dataclass(frozen=True, slots=True)
class Account:
    """A user with the groups of a process of theirs; `groups` are the supplementary ones."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str = "/"
    shell: str = "/bin/sh"

    @property
    def variables(self) -> dict[str, str]:
        """What an environment says of its user."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "SHELL": self.shell}


def account_of(plugin: str, user: str, group: str | None = None) -> Account:
    """The account that `user` and `group`, names or numbers, stand for; for `plugin`, which errors name.

    Raises LaunchError: no such user or group, or a host that cannot change to another one. May ask the
    network, where users are kept there.
    """
    if not is_privileged():
        raise LaunchError(
            f"plugin `{plugin}` is configured to run as user {user}, and this host may not change users: "
            f"it runs as {_own_name()} without CAP_SETUID and CAP_SETGID",
            plugin=plugin,
            hint="run the host as root, or remove `user` from the plugin's configuration",
        )
    entry = _user(user)
    uid = entry.pw_uid if entry else _number(user)
    if uid is None:
        raise _unknown(plugin, "user", user)
    if group is not None:
        gid = _group(group)
        if gid is None:
            raise _unknown(plugin, "group", group)
    elif entry is None:
        raise LaunchError(
            f"plugin `{plugin}` is configured to run as user {user}, a number without a name here, so that "
            "its group is not known",
            plugin=plugin,
            hint="name a `group` beside `user`",
        )
    else:
        gid = entry.pw_gid
    if entry is None:
        return Account(str(uid), uid, gid, (gid,))
    groups = tuple(os.getgrouplist(entry.pw_name, gid))
    return Account(entry.pw_name, uid, gid, groups, entry.pw_dir or "/", entry.pw_shell or "/bin/sh")


def is_privileged() -> bool:
    """Whether this process may change to any user: root, and with the capabilities that takes."""
    if os.geteuid() != 0:
        return False
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            line = next(line for line in status if line.startswith("CapEff:"))
    except (OSError, StopIteration):  # no Linux: root is root
        return True
    held = int(line.split()[1], 16)
    return all(held >> needed & 1 for needed in (_CAP_SETGID, _CAP_SETUID))


def _user(text: str) -> pwd.struct_passwd | None:
    """By name first: a name may be all digits."""
    try:
        return pwd.getpwnam(text)
    except KeyError:
        number = _number(text)
    try:
        return None if number is None else pwd.getpwuid(number)
    except KeyError:
        return None


def _group(text: str) -> int | None:
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        return _number(text)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) <= _LARGEST_ID else None


def _unknown(plugin: str, kind: str, text: str) -> LaunchError:
    return LaunchError(
        f"plugin `{plugin}` is configured to run with the {kind} {text}, which does not exist here",
        plugin=plugin,
        hint=f"correct `{kind}` in the plugin's configuration, or make that {kind} "
        f"(`getent {'passwd' if kind == 'user' else 'group'} {text}` shows it when it is there)",
    )


def _own_name() -> str:
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
