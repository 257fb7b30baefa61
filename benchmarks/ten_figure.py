"""What is measured of one host with ten plugins, and what is asked of it. Data only."""

from __future__ import annotations

from .contestant import Contestant, python
from .figure import OURS, Budget, Figure, Trial
from .group import Group

__all__ = ["GROUP"]

_RTT = Trial("rtt beside nine plugins", "ten_rtt", 1.0, 0.3, pinned=True)
_FLIGHT = Trial("64 in flight over ten plugins", "ten_flight", 6.0, 0.5)

_FLOOR = "bare asyncio"
_VERBS = frozenset({"ten_rtt", "ten_flight"})

# "No worse", with room for what two measurements of the same thing differ by.
_TRIP = Budget(1.05, "one plugin", key="one_median_us")
_RATE = Budget(0.95, "one plugin", at_most=False, key="one_per_s")


def _flight(title: str, key: str) -> Figure:
    return Figure("ten", f"64 calls in flight {title}", "calls/s", _FLIGHT, key, _FLOOR, budgets=(_RATE,))


_FIGURES = (
    Figure(
        "ten",
        "echo round trip beside nine idle plugins",
        "µs",
        _RTT,
        "median_us",
        _FLOOR,
        budgets=(_TRIP,),
    ),
    _flight("over ten plugins", "per_s"),
    _flight("to each of ten plugins", "each_per_s"),
)

GROUP = Group(
    _FIGURES,
    (
        Contestant(_FLOOR, "floor", python("floor_ten"), _VERBS),
        Contestant(OURS, "ours", python("ours_ten"), _VERBS),
    ),
)
