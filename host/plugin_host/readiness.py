"""What the service manager is told of this process: that it is ready, what it does, that it stops.

Speaks the datagrams of `sd_notify`. Invariant: whether anybody listens, and what goes wrong, is nothing to
the host: nothing raises and nothing waits.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ready", "status", "stopping"]

_log = logging.getLogger("plugin_host")


def ready(text: str = "", environ: Mapping[str, str] | None = None) -> bool:
    """Say that the host serves, and with `text` what it does; whether a service manager was told."""
    return _tell(environ, "READY=1", *_status(text))


def stopping(text: str = "", environ: Mapping[str, str] | None = None) -> bool:
    """Say that the host has begun to stop."""
    return _tell(environ, "STOPPING=1", *_status(text))


def status(text: str, environ: Mapping[str, str] | None = None) -> bool:
    """Say in one line what the host does, for `systemctl status`."""
    return _tell(environ, *_status(text))


def _status(text: str) -> list[str]:
    return [f"STATUS={' '.join(text.split())}"] if text.strip() else []


def _tell(environ: Mapping[str, str] | None, *lines: str) -> bool:
    address = (os.environ if environ is None else environ).get("NOTIFY_SOCKET", "")
    if not lines or not address.startswith(("/", "@")):  # also those of virtual machines (vsock:)
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
            teller.setblocking(False)
            teller.sendto("\n".join(lines).encode("utf-8", "replace"), address)
    except (OSError, ValueError) as error:
        _log.debug("the service manager was not told %s: %s", lines[0], error)
        return False
    return True
