"""One session under test: what is known of it, and which errors its state allows.

Everything that is done to it runs inside `trial`, which counts it, limits its time, and turns what must
not happen into a violation.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from plugin_host import PluginDied, PluginHostError, PluginNotReady, SessionClosed, SessionNotFound
from plugin_host_sdk.protocol import REPLAY_BYTES

from .pattern import Pattern
from .trail import Wrong

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Callable

    from plugin_host import PluginHost, Session

    from .ledger import Ledger
    from .plan import Plan
    from .tally import Tally

__all__ = ["PATIENCE_S", "Subject"]

PATIENCE_S = 60.0
"""Nothing takes longer, however busy the machine is."""


class Subject:
    """A session, the program in it, and how far they are."""

    def __init__(
        self,
        host: PluginHost,
        plugin: str,
        plan: Plan,
        session: Session,
        ledger: Ledger,
        tally: Tally,
        chance: random.Random,
        is_doomed: Callable[[], bool],
    ) -> None:
        self.host = host
        self.plugin = plugin
        self.plan = plan
        self.session = session
        self.ledger = ledger
        self.tally = tally
        self.chance = chance
        self.is_doomed = is_doomed
        self.is_reopened = False  # another of its id was asked for, and perhaps is there
        self.is_closing = False
        self.is_ending = False
        self.patterns = {name: Pattern(tag, is_text=not plan.binary) for name, tag in plan.tags.items()}

    def __repr__(self) -> str:
        plan = self.plan
        where = "terminal" if plan.tty else "pipes"
        what = f"{plan.kind} on {where} of {self.plugin}"
        return f"{plan.id} ({what}, {plan.total} bytes, ends by {plan.ending})"

    @property
    def kept(self) -> int:
        """How many of its newest bytes the session keeps."""
        return REPLAY_BYTES if self.plan.replay_bytes is None else self.plan.replay_bytes

    @property
    def ends_by_itself(self) -> bool:
        """Whether all of its output has to arrive."""
        return not self.is_closing and not self.is_doomed()

    @property
    def is_past(self) -> bool:
        """Whether its program is gone or on its way out."""
        return self.is_ending or self.is_closing or self.is_doomed() or bool(self.ledger["over"])

    def written(self) -> dict[str, int]:
        """Bytes that the program has written for certain, by stream."""
        return {name: self.ledger[f"written_{name}"] for name in self.patterns}

    def offered(self) -> dict[str, int]:
        """Bytes that it may have written."""
        return {name: self.ledger[f"offered_{name}"] for name in self.patterns}

    @asynccontextmanager
    async def trial(self, what: str) -> AsyncIterator[None]:
        """Do something to the session. What goes wrong is noted and ends the block, not its caller."""
        self.tally.count(what)
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield
        except TimeoutError:
            self._violate(f"{what} took more than {PATIENCE_S:.0f} s")
        except Wrong as wrong:
            self._violate(f"{what}: {wrong}")
        except PluginHostError as error:
            if not self.allows(error):
                self._violate(f"{what} raised {type(error).__name__}: {error}")

    def allows(self, error: PluginHostError) -> bool:
        """Whether it may be raised by what is done to the session as it is now."""
        if isinstance(error, PluginDied | PluginNotReady):
            return self.is_doomed()
        if isinstance(error, SessionNotFound):
            return self.is_closing or self.is_doomed()
        return isinstance(error, SessionClosed) and self.is_past

    def _violate(self, what: str) -> None:
        self.tally.violate(repr(self), what)
