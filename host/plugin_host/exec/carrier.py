"""What a session stands on: whoever runs it, asked over whatever leads there.

Types only. `ExecProxy` is one, for the sessions of a plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from plugin_host.outbound import Outgoing

if TYPE_CHECKING:
    from plugin_host.errors import PluginHostError
    from plugin_host.stream import Receiver
    from plugin_host_sdk.types.session import Attached, AttachOptions, SessionInfo

__all__ = ["SessionCarrier", "SessionStreams"]


class SessionStreams(Outgoing, Protocol):
    """The streams of sessions, as `plugin_host.stream.Streams` has them."""

    def open_receive(self, window: int, receiver: Receiver) -> int:
        """A stream to be sent on, to be named when it is asked for."""

    def reserve(self) -> int:
        """A stream to send on, to be named when it is asked for."""

    def consume(self, stream: int, size: int) -> None:
        """The reader took `size` bytes."""

    def stop(self, stream: int) -> None:
        """Nobody wants what still comes."""

    def forget(self, stream: int) -> None:
        """The request that named it failed."""


class SessionCarrier(Protocol):
    """Methods raise what `Provider` says, and why whoever runs the session cannot be asked any more."""

    plugin: str

    @property
    def streams(self) -> SessionStreams:
        """The streams of its sessions."""

    @property
    def is_over(self) -> bool:
        """Whether nobody can be asked any more."""

    def check(self, session: str = "") -> None:
        """Raise why nobody can be asked any more, if so."""

    def failure(self, error: Any) -> PluginHostError:
        """The exception for an error map with which a stream ended."""

    def next_viewer(self) -> int:
        """A number for another viewer."""

    def drop(self, session: Any) -> None:
        """A `Session` that is gone for good."""

    async def get(self, session: str) -> SessionInfo:
        """The session at this moment."""

    async def attach(self, session: str, options: AttachOptions) -> Attached:
        """Add a viewer."""

    async def detach(self, session: str, viewer: int) -> None:
        """Remove a viewer."""

    async def resize(self, session: str, rows: int, cols: int) -> None:
        """Give the terminal a size."""

    async def signal(self, session: str, signal: str) -> None:
        """Send a signal by name."""

    async def close_stdin(self, session: str, total: int) -> None:
        """End the input after its first `total` bytes."""

    async def join_input(self, session: str, stdin: int) -> int:
        """An input for a session that another opened: its first credit."""

    async def close(self, session: str) -> None:
        """End a session and forget it."""
