"""A client's descriptors and the session behind them, from the moment they are made to their last byte.

Owns the host's ends. Invariant: when `run` returns, or `abort` was called, none of them is open and the
viewer is gone; whatever a client does with one descriptor, the others and the session go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from plugin_host.errors import CallFailed, PluginHostError

from .drain import Drain
from .intake import Intake
from .tap import Tap

if TYPE_CHECKING:
    from collections.abc import Callable

    from .grant import Grant
    from .hangup import HangupWatch

__all__ = ["Splice"]

# A plugin that does not answer is found by others; here nobody waits for it.
_DETACH_S = 2.0


class Splice:
    """Made by `open`. `theirs` are the client's ends, in the order that was asked for.

    `note(text)` is told when one does not get all.
    """

    def __init__(self, grant: Grant, watch: HangupWatch, note: Callable[[str], None]) -> None:
        self._note = note
        self.theirs: list[socket.socket] = []
        self._grant = grant
        self._session = grant.session
        self._drains: dict[str, Drain] = {}
        self._feed: Intake | None = None
        self._tap: Tap | None = None
        try:
            for name in grant.streams:
                self._pair(name, watch)
        except OSError as error:
            self.abort()
            self.close_theirs()
            text = f"no descriptors can be made: {error.strerror}"
            raise CallFailed(text, name="host.out_of_descriptors") from None

    def __repr__(self) -> str:
        return f"<Splice of session {self._session.id}: {' '.join(self._grant.streams)}>"

    @classmethod
    async def open(cls, grant: Grant, watch: HangupWatch, note: Callable[[str], None]) -> Splice:
        """Make the descriptors and attach. Raises CallFailed and what `Session.attach` does; nothing is
        left then."""
        splice = cls(grant, watch, note)
        try:
            if splice._drains:
                await splice._attach()
        except BaseException:
            splice.close_theirs()
            await splice.end()
            raise
        return splice

    # Making.

    def _pair(self, name: str, watch: HangupWatch) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.theirs.append(theirs)
        ours.setblocking(False)
        if name == "stdin":
            self._take_in(ours)
        elif name == "stdio":
            self._drains["stdout"] = Drain(ours, watch, shared=True)
            self._take_in(ours.dup())
        else:
            self._drains[name] = Drain(ours, watch, shared=False)
            theirs.send(b"\0")  # see Drain

    def _take_in(self, sock: socket.socket) -> None:
        self._feed = Intake(sock, self._session, ends_input=self._grant.ends_input)

    async def _attach(self) -> None:
        grant, session = self._grant, self._session
        lossless = grant.lossless
        if lossless is None:
            # Who neither writes nor is alone may not hold back what others look at.
            lossless = grant.has_input or not (await session.get()).attached
        tap = Tap(session, self._drains, self._note, read_only=not grant.has_input)
        await session.join(tap, offset=grant.offset, lossless=lossless)
        self._tap = tap
        for name in self._drains:
            if grant.wants_beginning(name) and (lost := tap.evicted[name]):
                text = f"the first {lost} bytes of {name} that were asked for are kept no longer"
                raise CallFailed(text, name="host.output_lost")
        tap.forgo_others()

    # Running.

    async def run(self) -> None:
        """Until the client has closed its descriptors, or the session has ended and was read."""
        loop = asyncio.get_running_loop()
        over = loop.create_task(self._session.wait(), name=f"end of {self!r}")
        feed = self._feed.run() if self._feed is not None else _nothing()
        feeding = loop.create_task(feed, name=f"input of {self!r}")
        filling = loop.create_task(self._fill(), name=f"output of {self!r}")
        over.add_done_callback(lambda _: feeding.cancel())
        tasks = over, feeding, filling
        try:
            await asyncio.wait((feeding, filling))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.end()

    async def _fill(self) -> None:
        """Until every output has reached the client, or the client has closed it."""
        # Shielded: cancelling who waits must not be taken for what is waited for.
        if self._tap is not None:
            await asyncio.shield(self._tap.is_over)
            if not all(drain.is_ending for drain in self._drains.values()):
                await self._tap.finish()
            for drain in self._drains.values():
                await asyncio.shield(drain.closed)

    # Ending.

    def close_theirs(self) -> None:
        """The client has its ends, or never will."""
        for sock in self.theirs:
            sock.close()

    def abort(self) -> None:
        """Close the host's ends, now."""
        for drain in self._drains.values():
            drain.abort()
        if self._feed is not None:
            self._feed.close()

    async def end(self) -> None:
        """Close the host's ends, now, and detach."""
        self.abort()
        if self._tap is not None:
            with contextlib.suppress(PluginHostError, TimeoutError):
                async with asyncio.timeout(_DETACH_S):
                    await self._tap.detach()


async def _nothing() -> None:
    """What a client without input writes."""
