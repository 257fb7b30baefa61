"""Passing a session's terminal on to its host, which reads it then instead of the plugin.

The descriptor travels on a connection of its own, never on the wire: to the socket that the host names,
with the token that it gave. The plugin keeps its own for input, sizes and signals, and reads nothing.
Invariant: it is sent before the session is said to be open, or the session is not opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host_sdk.errors import TerminalError

from .executable import refusal
from .output import Output

if TYPE_CHECKING:
    from plugin_host_sdk.types.session import Handover

__all__ = ["PassedOutput", "pass_on", "refuse_to_pass_on"]

_SENDING_S = 2.0


class PassedOutput(Output):
    """The output of a terminal that somebody else reads: here it ends with its program."""

    __slots__ = ()

    def resume(self) -> None:
        pass

    def drain(self) -> None:
        self.close()

    def cut_off(self) -> None:
        self.close()


def pass_on(master: int, handover: Handover) -> None:
    """Send the descriptor of a terminal to the host. Raises TerminalError."""
    import socket  # for the few who ask for it

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
            channel.settimeout(_SENDING_S)
            channel.connect(f"\0{handover.socket}")
            socket.send_fds(channel, [handover.token.encode()], [master])
    except OSError as error:
        raise refusal(
            f"the terminal cannot be passed on, for the host is not in reach: {error.strerror or error}. "
            "A plugin in a sandbox without network cannot do it; open the session without `direct`",
            "out_of_reach",
            error.errno or 0,
            "",
        ) from None


def refuse_to_pass_on(session: str, key: str) -> TerminalError:
    """The error for a terminal that its handler writes to itself."""
    return TerminalError(
        f"{key} runs a function of its plugin on terminals, and only those of programs can be passed on: "
        "open the session without `direct`",
        session=session,
    )
