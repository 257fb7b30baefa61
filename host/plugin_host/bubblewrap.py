"""Whether this system can make sandboxes, and when not, why and what to do.

Owns finding the program `bwrap` and trying it. Invariant: nothing of a plugin runs in the trial, and a
trial that succeeds used every kind of separation that a real sandbox does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from .access import name_of
from .sandbox import View, command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .account import Account

__all__ = ["Problem", "find", "problem"]

_PROGRAM = "bwrap"
_TRIAL_S = 10.0
_SHOWN = 300
# What may forbid user namespaces, and the value with which it does.
_SWITCHES = (
    ("/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "kernel.apparmor_restrict_unprivileged_userns",
    ),
)


class Problem(NamedTuple):
    """Why there can be no sandbox, and what to do about it."""

    why: str
    hint: str


def find(environ: Mapping[str, str]) -> str | None:
    """The absolute path of bubblewrap by the PATH of `environ`, the host's own."""
    found = shutil.which(_PROGRAM, path=environ.get("PATH", os.defpath))
    return os.path.abspath(found) if found else None


def problem(environ: Mapping[str, str], account: Account | None = None) -> Problem | None:
    """Why `account` (None: the host's own user) cannot have a sandbox; None when it can.

    Makes one and ends it, which takes about 10 ms and blocks.
    """
    bwrap = find(environ)
    if bwrap is None:
        return Problem(
            "bubblewrap (`bwrap`) is not in PATH",
            "install it (the package is called bubblewrap), or remove `sandbox` from the configuration",
        )
    hidden = tuple(path for path in View().hidden if os.path.isdir(path) and not os.path.islink(path))
    trial = [*command(bwrap, View(hidden=hidden)), bwrap, "--version"]
    try:
        done = subprocess.run(
            trial,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            timeout=_TRIAL_S,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=account.groups if account else None,
            start_new_session=True,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return Problem(f"{bwrap} could not be tried: {error}", "install bubblewrap again")
    if done.returncode == 0:
        return None
    said = done.stderr.decode("utf-8", "replace").strip().removeprefix("bwrap: ")[:_SHOWN]
    who = name_of(account.uid if account else os.geteuid())
    return Problem(
        f"bubblewrap cannot make a sandbox for {who}: {said or f'status {done.returncode}'}", _hint()
    )


def _hint() -> str:
    closed = [f"{name} is {value}" for path, value, name in _SWITCHES if _read(path) == value]
    if closed:
        return f"user namespaces are forbidden here ({', '.join(closed)}): allow them with sysctl"
    return (
        "let this user make user namespaces: see `sysctl user kernel`, the security module, and when the "
        "host runs in a container, the container's profile"
    )


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read().strip()
    except (OSError, ValueError):
        return None
