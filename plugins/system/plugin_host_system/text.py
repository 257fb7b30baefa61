"""Text that the kernel gave as bytes, made fit to travel.

A process may call itself anything and a path may hold any byte; Python keeps such bytes as lone
surrogates, which no UTF-8 message can carry. Here they become U+FFFD.
"""

from __future__ import annotations

__all__ = ["clean", "clean_all"]


def clean(value: str | None) -> str | None:
    """`value` with every undecodable byte replaced; None, and the empty text, become None."""
    if not value:
        return None
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def clean_all(values: list[str] | None) -> list[str] | None:
    """`values` with each text cleaned (an empty text stays); None stays None."""
    return None if values is None else [clean(value) or "" for value in values]
