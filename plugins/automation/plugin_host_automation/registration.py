"""Taking a machine in: a registration key is shown, the machine gets a key of its own, and is set up once.

Registration is off until the operator names a file with the key for it. A machine that has a key already
keeps it until it has proved the new one, as with every other change of keys.
"""

from __future__ import annotations

import hmac
import os
import stat
from typing import TYPE_CHECKING

from plugin_host_sdk.action import ActionFailed, ActionRefused, KeyRejected, RegisterResult

from . import setting
from .firstrun import run_once
from .key import KeyStore, new_key
from .property import properties
from .state import open_state

if TYPE_CHECKING:
    import plugin_host_sdk as sdk
    from plugin_host_sdk.action import Register

__all__ = ["check", "run"]

_OPTION = "registration_key_file"
_LONGEST_KEY = 4096


def check(ctx: sdk.Context, request: Register) -> None:
    """Raises ActionRefused where registration is off, KeyRejected for a wrong key."""
    settings = setting.current(ctx.settings)
    if settings.registration_key_file is None:
        raise ActionRefused(
            f"registration is off here: the setting {_OPTION} would allow it", data={"option": _OPTION}
        )
    if not hmac.compare_digest(request.key.encode(), _read_key(settings.registration_key_file)):
        raise KeyRejected("this is not the registration key")
    open_state(settings)


def run(ctx: sdk.Context, request: Register) -> RegisterResult:
    settings = setting.current(ctx.settings)
    state = open_state(settings)
    reports = run_once(ctx, settings, state, request.properties or properties())
    with state.turn:
        keys, key, nonce = KeyStore(state), new_key(), ""
        if keys.current is None:
            keys.begin(key)
        else:
            nonce = keys.propose(key).nonce
    return RegisterResult(key=key, nonce=nonce, scripts=reports)


def _read_key(path: str) -> bytes:
    """The key in a file that nobody else can read. Raises ActionFailed."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            mode = os.fstat(fd).st_mode
            key = file.read(_LONGEST_KEY).rstrip(b"\r\n")
    except OSError as error:
        raise ActionFailed(f"the registration key cannot be read: {path}: {error.strerror}") from None
    if not stat.S_ISREG(mode) or mode & 0o077:
        raise ActionFailed(f"{path} is a secret that others may read: chmod 600 it, and change the key")
    if not key:
        raise ActionFailed(f"{path} is empty: write the registration key into it")
    return key
