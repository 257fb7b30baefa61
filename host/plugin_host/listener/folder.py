"""Where the command listeners of a host are, and how they are called."""

from __future__ import annotations

import os

__all__ = ["HOST_LISTENER", "commands_folder"]

HOST_LISTENER = "host"
"""The listener of the host itself; every other one has the name of its plugin."""


def commands_folder(control_socket: str) -> str:
    """The folder beside a control socket, for when none was named."""
    return f"{os.path.splitext(control_socket)[0]}.commands"
