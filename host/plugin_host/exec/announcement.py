"""Telling of the sessions of one run of a plugin: that one was opened, and how it ended.

Invariant: each session that was opened is told of twice, first as opened and then as ended, also when its
exit came before the answer that it was opened; of others nothing is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host.event import SessionEnded, SessionOpened

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.event import HostEvent
    from plugin_host_sdk.types.session import Exit, SessionInfo

__all__ = ["Announcement"]


class Announcement:
    """`emit` gets the events."""

    def __init__(self, plugin: str, emit: Callable[[HostEvent], None]) -> None:
        self._plugin = plugin
        self._emit = emit
        self._begun: dict[str, Exit | None] = {}  # not opened yet, and how they ended nevertheless
        self._open: dict[str, None] = {}

    def begin(self, session: str) -> None:
        """It is being opened."""
        self._begun[session] = None

    def call_off(self, session: str) -> None:
        """It was not opened after all."""
        self._begun.pop(session, None)

    def opened(self, info: SessionInfo) -> None:
        """It was opened."""
        self._emit(SessionOpened(plugin=self._plugin, session=info.id, info=info))
        self._open[info.id] = None
        if (exit := self._begun.pop(info.id, None)) is not None:
            self.ended(info.id, exit)

    def ended(self, session: str, exit: Exit | None) -> None:
        """It has ended; without an `exit` it was lost."""
        if session in self._begun:
            self._begun[session] = exit
        elif session in self._open:
            del self._open[session]
            self._emit(SessionEnded(plugin=self._plugin, session=session, exit=exit))

    def lose(self) -> None:
        """The plugin is gone, and all that were open with it."""
        self._begun.clear()
        for session in list(self._open):
            self.ended(session, None)
