"""What a guest says its body is: the type alone, without parameters such as a charset.

Pure. JSON is UTF-8 whatever its parameters say.
"""

from __future__ import annotations

__all__ = ["JSON", "media_type"]

JSON = "application/json"


def media_type(header: str | None) -> str:
    """The type in a `Content-Type`, in lower case; empty when there is none."""
    return (header or "").partition(";")[0].strip().lower()
