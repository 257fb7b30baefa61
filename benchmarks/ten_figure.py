"""What is measured of one host with ten plugins, and what is asked of it. Data only."""

from __future__ import annotations

from .contestant import Contestant, python
from .figure import OURS, Budget, Figure, Trial
from .group import Group

__all__ = ["GROUP"]

_RTT = Trial("rtt beside nine plugins", "ten_rtt", 1.0, 0.3, pinned=True)
_FLIGHT = Trial("64 in flight over ten plugins", "ten_flight", 1.2, 0.4)

# "No worse", with room for what two measurements of the same thing differ by.
_TRIP = Budget(1.05, "one plugin", key="one_median_us")
_RATE = Budget(0.95, "one plugin", at_most=False, key="one_per_s")

GROUP = Group(
    (
        Figure(
            "ten",
            "echo round trip beside nine idle plugins",
            "µs",
            _RTT,
            "median_us",
            budgets=(_TRIP,),
        ),
        Figure(
            "ten",
            "64 calls in flight over ten plugins",
            "calls/s",
            _FLIGHT,
            "per_s",
            budgets=(_RATE,),
        ),
    ),
    (Contestant(OURS, "ours", python("ours_ten"), frozenset({"ten_rtt", "ten_flight"})),),
)
