"""What is measured of calls, for every kind of host, and what is asked of it. Data only."""

from __future__ import annotations

from .contestant import Contestant, needs, python
from .figure import OURS, Budget, Figure, Trial
from .group import Group

__all__ = ["GROUP"]

_RTT = Trial("rtt on one processor", "rtt", 0.5, 0.15, pinned=True)
_RTT_FREE = Trial("rtt on any processor", "rtt", 0.5, 0.15)
_FLIGHT = Trial("64 in flight", "flight", 0.4, 0.2, turns=2)  # the noisiest of all
_BIG = Trial("1 MiB", "big", 0.5, 0.2)
_MANY = Trial("call_many", "many", 0.4, 0.2, turns=2)
_THREADS = Trial("calls of 8 threads", "threads", 0.5, 0.2)
_PING_SLEEP = Trial("ping beside sleepers", "ping_sleep", 1.2, 0.5)
_PING_SPIN = Trial("ping beside computing", "ping_spin", 1.2, 0.5)

_BLOCKING, _UVLOOP = "ours, blocking", "ours, uvloop"
_FLOOR, _FLOOR_BLOCKING, _FLOOR_UVLOOP = "bare asyncio", "bare blocking", "bare uvloop"

_MEDIAN = Budget(3.0, "median", key="median_us")
_SHORT = (Budget(1.25, "floor"), Budget(0.5, "go-plugin"))
_FAST = (Budget(0.75, "floor", at_most=False), Budget(2.5, "go-plugin", at_most=False))
_WIDE = (Budget(3.5, "go-plugin", at_most=False),)
_BATCHED = (Budget(150_000, at_most=False),)


def _trip(row: str, title: str, floor: str, subject: str, *budgets: Budget) -> tuple[Figure, ...]:
    """The figures of one call at a time, `budgets` for that whose processes share one processor."""

    def figure(what: str, trial: Trial, key: str, *asked: Budget) -> Figure:
        return Figure(row, f"{title}{what}", "µs", trial, key, floor, budgets=asked, subject=subject)

    return (
        figure(", one processor", _RTT, "median_us", *budgets),
        figure(" p99, one processor", _RTT, "p99_us", *([_MEDIAN] if row != "blocking" else [])),
        figure(", any processor", _RTT_FREE, "median_us"),
        figure(" p99, any processor", _RTT_FREE, "p99_us"),
    )


def _flight(title: str, floor: str, subject: str, *budgets: Budget) -> Figure:
    return Figure("flight", title, "calls/s", _FLIGHT, "per_s", floor, budgets=budgets, subject=subject)


def _big(title: str, floor: str, subject: str) -> Figure:
    return Figure("big", title, "MB/s", _BIG, "mb_per_s", floor, budgets=_WIDE, subject=subject)


def _many(title: str, subject: str, *budgets: Budget) -> Figure:
    return Figure(
        "many", title, "calls/s", _MANY, "per_s", _FLOOR_BLOCKING, budgets=budgets, subject=subject
    )


def _ping(title: str, trial: Trial, most_ms: float) -> Figure:
    return Figure("ping", title, "ms", trial, "p99_us", scale=1e-3, budgets=(Budget(most_ms),))


_FIGURES = (
    *_trip("rtt", "echo round trip", _FLOOR, OURS, *_SHORT),
    _flight("64 calls in flight", _FLOOR, OURS, *_FAST),
    _ping("ping p99 beside 64 sleeping handlers", _PING_SLEEP, 5.0),
    _ping("ping p99 beside a CPU-bound handler", _PING_SPIN, 10.0),
    _big("1 MiB echo", _FLOOR, OURS),
    *_trip("blocking", "blocking round trip", _FLOOR_BLOCKING, _BLOCKING, Budget(0.4, "rpyc")),
    Figure("blocking", "blocking calls of 8 threads", "calls/s", _THREADS, "per_s", subject=_BLOCKING),
    _many("call_many, blocking host", _BLOCKING, *_BATCHED),
    _many("call_many, asyncio host", OURS),
    _many("call_many, asyncio host on uvloop", _UVLOOP),
    *_trip("rtt", "echo round trip on uvloop", _FLOOR_UVLOOP, _UVLOOP, *_SHORT),
    _flight("64 calls in flight on uvloop", _FLOOR_UVLOOP, _UVLOOP, *_FAST),
    _flight("64 calls in flight, blocking host, of 64 threads", _FLOOR_BLOCKING, _BLOCKING),
    _big("1 MiB echo on uvloop", _FLOOR_UVLOOP, _UVLOOP),
    _big("1 MiB echo, blocking host", _FLOOR_BLOCKING, _BLOCKING),
)

_CALLS = frozenset({"rtt", "flight", "big"})

GROUP = Group(
    _FIGURES,
    (
        Contestant(_FLOOR_UVLOOP, "floor", python("floor_uvloop"), _CALLS, needs("uvloop")),
        Contestant(OURS, "ours", python("ours"), _CALLS | {"many", "ping_sleep", "ping_spin"}),
        Contestant(_UVLOOP, "ours", python("ours_uvloop"), _CALLS | {"many"}, needs("uvloop")),
        Contestant(_BLOCKING, "ours", python("ours_blocking"), _CALLS | {"many", "threads"}),
    ),
)
