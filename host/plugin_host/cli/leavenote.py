"""What a user is told when something of his is left running: its id, and how he is let in to it again.

A host may keep what a client has opened for that client alone, whom it knows by a token. Invariant: who is
told an id can use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import output
from .contact import TOKEN, is_named

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plugin_host.control import ControlClient

__all__ = ["announce", "identity"]

_PRIVATE = (
    "plugin-host: the host lets nobody but its owner use it, whom a later command is by the token, as in\n"
    "  {}plugin-host {} {}\n"
)


async def announce(client: ControlClient, left: Mapping[str, str], command: str, *, as_json: bool) -> None:
    """Print what `left` says: all of it and the token as JSON, else the last, an id.

    `command` is one that takes the id. Raises BrokenPipeError, WriteFailed and PluginHostError.
    """
    if as_json:
        output.write_json({**left, "token": client.token})
        return
    who = await identity(client)
    id = list(left.values())[-1]
    output.write(f"{id}\n")
    if who:
        output.complain(_PRIVATE.format(who, command, id))


async def identity(client: ControlClient) -> str:
    """What is to stand before a later command, so that it is the same client; empty where anyone may be it.

    So it is where whoever started this command has chosen the token.
    """
    if is_named() or (await client.ask("host.status"))["share"] == "user":
        return ""
    return f"{TOKEN}={client.token} "
