"""Many times of one thing, as the few numbers that are reported."""

from __future__ import annotations

__all__ = ["latency"]


def latency(seconds: list[float]) -> dict[str, float]:
    """Median and 99th percentile, in microseconds. Raises ValueError when nothing was timed."""
    if not seconds:
        raise ValueError("no call ended within the time of this measurement")
    ordered = sorted(seconds)
    return {
        "median_us": ordered[len(ordered) // 2] * 1e6,
        "p99_us": ordered[len(ordered) * 99 // 100] * 1e6,
    }
