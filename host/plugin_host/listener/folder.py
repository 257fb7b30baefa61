"""Where the command listeners of a host are, and how they are called."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from plugin_host.localsocket import check_path
from plugin_host.runtimefolder import default_socket

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HOST_LISTENER", "commands_folder", "endpoint_path"]

HOST_LISTENER = "host"
"""The listener of the host itself; every other one has the name of its plugin."""


def commands_folder(control_socket: str) -> str:
    """The folder beside a control socket, for when none was named."""
    return f"{os.path.splitext(control_socket)[0]}.commands"


def endpoint_path(name: str = HOST_LISTENER, environ: Mapping[str, str] | None = None) -> str:
    """The socket of the listener `name` of the host that PLUGIN_HOST_SOCKET names, or of the user's own.

    It need not exist. Raises SocketError when no socket can have that path, or its folder is not to be
    trusted.
    """
    environ = os.environ if environ is None else environ
    control = environ.get("PLUGIN_HOST_SOCKET") or default_socket(environ)
    return check_path(os.path.join(commands_folder(os.path.abspath(control)), name))
