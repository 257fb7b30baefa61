"""What a link tells whoever owns it. Every method is called on the loop and must not block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_host_sdk.events import RequestReceived

__all__ = ["LinkOwner"]


class LinkOwner:
    """Hears what comes over a link; here it takes no notice of it."""

    def stray_output(self, data: bytes) -> None:
        """Bytes before the answer to initialize that are not of the protocol."""

    def requested(self, event: RequestReceived) -> None:
        """The peer asks; answer with `Link.answer` or `Link.refuse`."""

    def cancelled(self, msgid: int) -> None:
        """The peer no longer wants the answer to this request of its."""

    def notified(self, method: str, params: Any) -> None:
        """The peer says something."""

    def ended(self, error: Exception | None) -> None:
        """The link is over: None after end of file, else what the peer did wrong. Called once."""
