"""The input of a session: sent in order, no faster than the plugin takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host.errors import SessionClosed
from plugin_host.outbound import Outbound

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.outbound import Outgoing

__all__ = ["Input"]


class Input(Outbound):
    """Writes to stream `number`. `check_session()` raises why the plugin cannot be written to any more."""

    def __init__(
        self,
        session: str,
        streams: Outgoing,
        number: int,
        *,
        urgent: bool,
        check_session: Callable[[], None],
    ) -> None:
        super().__init__(streams, number, urgent=urgent)
        self._session = session
        self._check_session = check_session

    def check(self) -> None:
        """Raise SessionClosed when it is not taken any more, and what `check_session` does."""
        self._check_session()
        if self._refusal:
            raise SessionClosed(self._refusal, session=self._session)
