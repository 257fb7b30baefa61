"""A length of time for people: the largest unit that says something. Pure."""

from __future__ import annotations

__all__ = ["brief_duration"]

_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def brief_duration(seconds: float) -> str:
    """`3 s`, `12 min`, `5 h`, `2 d`; what has not begun yet is `0 s`."""
    for unit, size in _UNITS:
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(0, int(seconds))} s"
