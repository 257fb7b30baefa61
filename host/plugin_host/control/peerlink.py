"""A link whose peer asks and this side answers: it may also tell the peer things.

It may be read no further for a while, as a plugin's never is: what a client asks is the client's to keep.
"""

from __future__ import annotations

from typing import Any

from plugin_host.link import READS_AT_ONCE, Link
from plugin_host_sdk.errors import LocalProtocolError
from plugin_host_sdk.protocol import READY

__all__ = ["PeerLink"]


class PeerLink(Link):
    """One client's connection, at the host."""

    _last_byte: int | None = None  # how far it is read

    def read_at_most(self, size: int) -> None:
        """Read so many bytes more, about, until `read_on`; called again it changes nothing."""
        if self._last_byte is None:
            self._last_byte = self.received_bytes + size

    def read_on(self) -> None:
        """Read all that comes."""
        self._last_byte = None
        if not self.is_over:
            self._listen()

    def _read(self, again: int = READS_AT_ONCE - 1) -> None:
        if self._last_byte is not None and self.received_bytes >= self._last_byte:
            self._stop_listening()
        else:
            super()._read(again)

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Tell the peer something, unless the connection is over; what cannot travel is not told."""
        if self.is_over or self.connection.state is not READY:
            return
        try:
            self._writer.write(self.connection.send_notification(method, params))
        except LocalProtocolError:
            pass

    def progress(self, msgid: int, done: float, total: float | None, message: str) -> None:
        """How far the answer to one of the peer's requests is; who has too much to read is not told."""
        if not self.is_over and not self._writer.is_overfull:
            self._writer.write(self.connection.send_progress(msgid, done, total, message))
