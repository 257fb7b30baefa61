"""Values of others in words for a message: of a peer, of any size, depth and shape; errors of an author's.

Pure. Invariants: it raises nothing; for an excerpt neither time nor depth grows with the value.
"""

from __future__ import annotations

from itertools import islice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["encodable", "excerpt", "readable", "said"]


def excerpt(value: Any) -> str:
    """`value` in some 80 characters, for a message. Takes values of any size and depth from a peer."""
    text = _excerpt(value, 3)
    return text if len(text) <= 80 else text[:77] + "..."


def _excerpt(value: Any, depth: int) -> str:
    # A repr of the whole would cost four times its size, or run into the recursion limit.
    if isinstance(value, (str, bytes)):
        return repr(value if len(value) <= 80 else value[:80])
    if isinstance(value, (list, tuple, dict)):
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        if depth == 0 and value:
            return f"{opening}...{closing}"
        parts = [_excerpt(part, depth - 1) for part in islice(value, 20)]
        if isinstance(value, dict):
            items = zip(parts, islice(value.values(), 20), strict=True)
            parts = [f"{key}: {_excerpt(item, depth - 1)}" for key, item in items]
        return opening + ", ".join(parts + ["..."] * (len(value) > 20)) + closing
    try:
        return repr(value)
    except Exception:  # an integer of more than 4300 digits; an author's own type
        return f"a {type(value).__qualname__}"


def readable(error: Any) -> str:
    """The readable part of an error of any shape: the text in it, or all of it."""
    if isinstance(error, (list, tuple)):
        texts = [part for part in error if isinstance(part, str)]
        if texts:
            return "; ".join(texts)
    if isinstance(error, bytes):
        return error.decode("utf-8", "replace")
    return error if isinstance(error, str) else excerpt(error)


def encodable(text: str) -> str:
    """`text` as it can travel: names of files in it may be no Unicode."""
    return text.encode("utf-8", "backslashreplace").decode()


def said(error: BaseException) -> str:
    """The text of an error, of whatever class it is; what is no Unicode in it as escapes."""
    try:
        return encodable(str(error))
    except Exception as another:
        return f"(its text cannot be had: {type(another).__name__})"
