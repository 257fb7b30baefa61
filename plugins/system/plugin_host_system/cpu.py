"""How busy the CPUs are: two samples of the kernel's counters and what changed between them.

The counters say nothing by themselves, so every figure here covers the measured interval and that
interval is part of the answer. psutil's own `cpu_percent` keeps a sample per thread between calls;
this keeps nothing, so concurrent calls do not disturb each other.
"""

from __future__ import annotations

import time

import plugin_host_sdk as sdk

from . import deferred

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["busy_percent", "cpu", "shares", "wait"]

# Linux counts a guest's time a second time, inside `user` and `nice`.
_COUNTED_TWICE = {"guest": "user", "guest_nice": "nice"}
_NOT_BUSY = ("idle", "iowait")


def cpu(ctx: sdk.Context, interval: deferred.parameter.Interval = 0.25) -> dict[str, object]:
    """Measure how busy the CPUs are over `interval` seconds.

    `percent` is of all CPUs together (100 is all of them busy), `per_cpu_percent` of each, and
    `shares_percent` says what the time was spent on. `usable_cpus` is how many this plugin may run
    on, `load_average` the run queue over 1, 5 and 15 minutes. A figure that the system does not give
    is null.
    """
    psutil = deferred.psutil
    before = [_counters(times) for times in psutil.cpu_times(percpu=True)]
    elapsed = wait(ctx, interval)
    after = [_counters(times) for times in psutil.cpu_times(percpu=True)]
    # A CPU that came or went in between has no pair and is left out.
    each = [shares(old, new) for old, new in zip(before, after, strict=False)]
    total = shares(_summed(before[: len(each)]), _summed(after[: len(each)]))
    return {
        "percent": busy_percent(total),
        "per_cpu_percent": [busy_percent(one) for one in each],
        "shares_percent": total,
        "interval_s": round(elapsed, 3),
        "logical_cpus": psutil.cpu_count(),
        "physical_cpus": psutil.cpu_count(logical=False),
        "usable_cpus": _usable_cpus(),
        "load_average": [round(load, 2) for load in psutil.getloadavg()],
    }


def wait(ctx: sdk.Context, interval: float) -> float:
    """Wait `interval` seconds and return how many really passed.

    Raises `CallCancelled` as soon as the call is cancelled, `CallTimeout` past its deadline.
    """
    start = time.monotonic()
    ctx.cancelled.wait(interval)
    ctx.check()
    return time.monotonic() - start


def shares(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float] | None:
    """What part of the time between two samples each kind took, in percent; None if none passed."""
    # Linux lets `iowait` run backwards now and then.
    spent = {kind: max(0.0, after[kind] - before[kind]) for kind in after}
    total = sum(spent.values())
    if total <= 0:
        return None
    return {kind: round(100 * seconds / total, 1) for kind, seconds in spent.items()}


def busy_percent(share: Mapping[str, float] | None) -> float | None:
    """The part that was not idle, in percent; waiting for a disk is idle."""
    if share is None:
        return None
    idle = sum(share.get(kind, 0.0) for kind in _NOT_BUSY)
    return round(min(100.0, max(0.0, 100 - idle)), 1)


def _counters(times: object) -> dict[str, float]:
    """psutil's named tuple as seconds per kind, each second counted once."""
    counters: dict[str, float] = times._asdict()  # type: ignore[attr-defined]
    for inner, outer in _COUNTED_TWICE.items():
        if inner in counters:
            counters[outer] -= counters[inner]
    return counters


def _summed(samples: list[dict[str, float]]) -> dict[str, float]:
    """One sample for all CPUs."""
    kinds = samples[0] if samples else {}
    return {kind: sum(sample[kind] for sample in samples) for kind in kinds}


def _usable_cpus() -> int | None:
    """How many CPUs this process may run on; None where the system does not say."""
    process = deferred.psutil.Process()
    return len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else None
