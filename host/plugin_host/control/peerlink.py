"""A link whose peer asks and this side answers: it may also tell the peer things."""

from __future__ import annotations

from typing import Any

from plugin_host.link import Link
from plugin_host_sdk.errors import LocalProtocolError
from plugin_host_sdk.protocol import READY

__all__ = ["PeerLink"]


class PeerLink(Link):
    """One client's connection, at the host."""

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Tell the peer something, unless the connection is over; what cannot travel is not told."""
        if self.is_over or self.connection.state is not READY:
            return
        try:
            self._writer.write(self.connection.send_notification(method, params))
        except LocalProtocolError:
            pass

    def progress(self, msgid: int, done: float, total: float | None, message: str) -> None:
        """How far the answer to one of the peer's requests is."""
        if not self.is_over:
            self._writer.write(self.connection.send_progress(msgid, done, total, message))
