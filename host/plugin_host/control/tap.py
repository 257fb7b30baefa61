"""A viewer that is not iterated over: what arrives goes into drains at once, each at its own speed.

Every output of a session is a stream with credit of its own, so a drain that is slow holds back that
output and no other. Invariant: an output that lost a byte is cut, never ended.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from plugin_host.errors import PluginHostError
from plugin_host.exec.viewer import Viewer

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host.exec.session import Session

    from .drain import Drain

__all__ = ["Tap"]


class Tap(Viewer):
    """Fills `drains`, by output; outputs without one are not asked for. `is_over` when all are filled.

    `note(text)` is told of an output that is cut.
    """

    def __init__(
        self, session: Session, drains: dict[str, Drain], note: Callable[[str], None], *, read_only: bool
    ) -> None:
        super().__init__(session, session.next_viewer(), read_only=read_only)
        self.is_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._drains = drains
        self._note = note
        self._numbers: dict[str, int] = {}
        for name, drain in drains.items():
            drain.closed.add_done_callback(partial(self._closed, name))

    # Joining.

    def name(self, stream: int, name: str) -> None:
        super().name(stream, name)
        self._numbers[name] = stream
        if (drain := self._drains.get(name)) is not None:
            drain.taken = partial(self._note_taken, stream)

    def forgo_others(self) -> None:
        """Ask for nothing of the outputs that have no drain. Once it is attached."""
        for stream, name in list(self._names.items()):
            if name not in self._drains:
                self._stop(stream)

    def _note_taken(self, stream: int, size: int) -> None:
        if stream in self._names:
            self.session.consume(stream, size)

    # What arrives.

    def received(self, stream: int, offset: int, data: bytes) -> None:
        if (drain := self._drains.get(self._names[stream])) is not None:
            drain.put(data)

    def skipped(self, stream: int, offset: int, size: int) -> None:
        name = self._names[stream]
        drain = self._drains.get(name)
        # At 0 it is what was evicted before the viewer came, and whoever attached it decides.
        if offset and drain is not None and not drain.is_ending:
            at = f"at {self._bases.get(name, 0) + offset}"
            self._note(f"{self!r}: {name} is cut {at}: it fell behind and lost {size} bytes")
            drain.cut()
            self._stop(stream)

    def ended(self, stream: int, total: int, error: Any) -> None:
        super().ended(stream, total, error)
        if error is not None:
            self.fail(self.session.failure(error))
        self._note_over()

    def wake(self) -> None:
        """The session, or its plugin, has ended."""
        if not self.is_over.done():
            try:
                self.session.check_plugin()
            except PluginHostError as error:
                self.fail(error)

    # Ending.

    def fail(self, error: PluginHostError) -> None:
        """Nothing more comes, and that is not the end."""
        for name, drain in self._drains.items():
            if not drain.is_ending:
                self._note(f"{self!r}: {name} is cut: {error}")
                drain.cut()
        self._set_over()

    async def finish(self) -> None:
        """All has come: end what comes whole. Waits for the session's word on how much that was."""
        try:
            await self._check_end()
        except PluginHostError as error:
            self.fail(error)
            return
        for drain in self._drains.values():
            drain.finish()

    def _closed(self, name: str, closed: asyncio.Future[None]) -> None:
        """The client wants no more of it, or has all of it."""
        if self._names.get(stream := self._numbers.get(name, 0)) == name:
            self._stop(stream)

    def _stop(self, stream: int) -> None:
        del self._names[stream]
        self.session.stop(stream)
        self._note_over()

    def _note_over(self) -> None:
        if not self._names:
            self._set_over()

    def _set_over(self) -> None:
        if not self.is_over.done():
            self.is_over.set_result(None)
