"""Everything that is counted of one plugin, over all its runs, for as long as its host lives.

Whoever does the work adds to the numbers; nothing is looked up here. Used from the loop's thread.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from .call import CallTable, count_error
from .odometer import Odometer

if TYPE_CHECKING:
    from collections.abc import Callable

    from .snapshot import SessionFigures, TrafficFigures

__all__ = ["Meter", "SessionMeter", "Wire"]


class Wire(Protocol):
    """What counts its bytes."""

    @property
    def received_bytes(self) -> int: ...
    @property
    def sent_bytes(self) -> int: ...


class SessionMeter:
    """The exec sessions of one plugin. `ended` is by outcome: `ok`, `error`, `signal`, `lost`."""

    __slots__ = ("ended", "failures", "opened")

    def __init__(self) -> None:
        self.opened = 0
        self.failures: dict[str, int] = {}
        self.ended = dict.fromkeys(("ok", "error", "signal", "lost"), 0)

    def refuse(self, error: BaseException) -> None:
        """One could not be opened."""
        count_error(self.failures, error)

    def end(self, code: int | None, signal: str | None) -> None:
        """One has ended, as its plugin says."""
        self.ended["signal" if signal is not None else "ok" if code == 0 else "error"] += 1

    def figures(self, running: int) -> SessionFigures:
        """It as plain numbers."""
        return {
            "opened": self.opened,
            "running": running,
            "failures": dict(sorted(self.failures.items())),
            "ended": dict(self.ended),
        }


class Meter:
    """One plugin's numbers; `offers(command)` says whether it has such a command."""

    __slots__ = (
        "_past_received",
        "_past_sent",
        "_wires",
        "calls",
        "cpu",
        "deaths",
        "misses",
        "reloads",
        "restarts",
        "sessions",
        "starts",
        "unresponsive",
    )

    def __init__(self, offers: Callable[[str], bool] = lambda _: True) -> None:
        self.calls = CallTable(offers)
        self.sessions = SessionMeter()
        self.cpu = Odometer()
        self.starts = 0
        self.restarts = 0
        self.reloads = 0
        self.deaths: Counter[str] = Counter()  # by phase
        self.misses = 0
        self.unresponsive = 0
        self._wires: dict[Wire, None] = {}
        self._past_received = 0
        self._past_sent = 0

    def missed(self) -> None:
        """A question about its health was not answered in time, or its event loop did not come round."""
        self.misses += 1

    def add_wire(self, wire: Wire) -> None:
        """Its bytes count from now on."""
        self._wires[wire] = None

    def drop_wire(self, wire: Wire) -> None:
        """It has ended: its bytes still count. A second time does nothing."""
        if wire in self._wires:
            del self._wires[wire]
            self._past_received += wire.received_bytes
            self._past_sent += wire.sent_bytes

    def traffic(self) -> TrafficFigures:
        """The bytes of all its connections to the host."""
        return {
            "received_bytes": self._past_received + sum(wire.received_bytes for wire in self._wires),
            "sent_bytes": self._past_sent + sum(wire.sent_bytes for wire in self._wires),
        }
