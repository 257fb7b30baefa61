"""What is measured of calls, starts and idle plugins, and what is asked of it. Data only."""

from __future__ import annotations

from .figure import Budget, Figure, Trial

__all__ = ["FIGURES"]

_RTT = Trial("rtt on one processor", "rtt", 0.5, 0.15, pinned=True)
_RTT_FREE = Trial("rtt on any processor", "rtt", 0.5, 0.15)
_BLOCKING = Trial("blocking rtt on one processor", "blocking_rtt", 0.5, 0.15, pinned=True)
_BLOCKING_FREE = Trial("blocking rtt on any processor", "blocking_rtt", 0.5, 0.15)
_THREADS = Trial("calls of 8 threads", "threads", 0.5, 0.2)
_FLIGHT = Trial("64 in flight", "flight", 0.4, 0.2, turns=2)  # the noisiest of all
_BIG = Trial("1 MiB", "big", 0.5, 0.2)
_PING_SLEEP = Trial("ping beside sleepers", "ping_sleep", 1.2, 0.5)
_PING_SPIN = Trial("ping beside computing", "ping_spin", 1.2, 0.5)
_COLD = Trial("cold", "cold", turns=3)
_COLD_TYPED = Trial("cold, typed", "cold_typed", turns=3)
_WARM = Trial("warm", "warm", turns=5)
_WARM_TYPED = Trial("warm, typed", "warm_typed", turns=3)
_WARM_CROWD = Trial("100 plugins", "warm_crowd")

FIGURES = (
    Figure(
        "rtt",
        "echo round trip, one processor",
        "µs",
        _RTT,
        "median_us",
        "bare asyncio",
        budgets=(Budget(1.25, "floor"), Budget(0.5, "go-plugin")),
    ),
    Figure(
        "rtt",
        "echo round trip p99, one processor",
        "µs",
        _RTT,
        "p99_us",
        "bare asyncio",
        budgets=(Budget(3.0, "median"),),
    ),
    Figure("rtt", "echo round trip, any processor", "µs", _RTT_FREE, "median_us", "bare asyncio"),
    Figure("rtt", "echo round trip p99, any processor", "µs", _RTT_FREE, "p99_us", "bare asyncio"),
    Figure(
        "flight",
        "64 calls in flight",
        "calls/s",
        _FLIGHT,
        "per_s",
        "bare asyncio",
        budgets=(Budget(0.75, "floor", at_most=False), Budget(2.5, "go-plugin", at_most=False)),
    ),
    Figure(
        "ping",
        "ping p99 beside 64 sleeping handlers",
        "ms",
        _PING_SLEEP,
        "p99_us",
        scale=1e-3,
        budgets=(Budget(5.0),),
    ),
    Figure(
        "ping",
        "ping p99 beside a CPU-bound handler",
        "ms",
        _PING_SPIN,
        "p99_us",
        scale=1e-3,
        budgets=(Budget(10.0),),
    ),
    Figure(
        "big",
        "1 MiB echo",
        "MB/s",
        _BIG,
        "mb_per_s",
        "bare asyncio",
        budgets=(Budget(3.5, "go-plugin", at_most=False),),
    ),
    Figure(
        "cold",
        "cold start to first reply, untyped",
        "ms",
        _COLD,
        "ms",
        "interpreter",
        budgets=(Budget(2.2, "floor"),),
    ),
    Figure("cold", "cold start to first reply, typed", "ms", _COLD_TYPED, "ms", "interpreter"),
    Figure(
        "warm",
        "warm start to first reply, untyped",
        "ms",
        _WARM,
        "ms",
        "interpreter",
        budgets=(Budget(3.0),),
    ),
    Figure("warm", "warm start to first reply, typed", "ms", _WARM_TYPED, "ms", "interpreter"),
    Figure("warm", "100 plugins started at once", "s", _WARM_CROWD, "s", budgets=(Budget(1.0),)),
    Figure(
        "warm",
        "private memory of an idle warm plugin, untyped",
        "MiB",
        _WARM_CROWD,
        "private_mib",
        budgets=(Budget(2.5),),
    ),
    Figure("warm", "private memory of a warm plugin, typed", "MiB", _WARM_TYPED, "private_mib"),
    Figure("memory", "private memory, untyped", "MiB", _COLD, "private_mib", "bare blocking"),
    Figure("memory", "private memory, typed", "MiB", _COLD_TYPED, "private_mib"),
    Figure(
        "blocking",
        "blocking round trip, one processor",
        "µs",
        _BLOCKING,
        "median_us",
        "bare blocking",
        budgets=(Budget(0.4, "rpyc"),),
    ),
    Figure(
        "blocking", "blocking round trip p99, one processor", "µs", _BLOCKING, "p99_us", "bare blocking"
    ),
    Figure(
        "blocking", "blocking round trip, any processor", "µs", _BLOCKING_FREE, "median_us", "bare blocking"
    ),
    Figure("blocking", "blocking calls of 8 threads", "calls/s", _THREADS, "per_s"),
)
