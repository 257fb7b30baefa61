"""Which size a session's terminal has when several viewers look at it: that of the most recent active one.

A viewer is active when it gives a size or writes. When it goes, the size of the one before it counts again.
"""

from __future__ import annotations

from collections.abc import Hashable

from plugin_host.errors import CallFailed

__all__ = ["Sizes", "check_whole"]

Size = tuple[int, int]


def check_whole(asked: str, rows: object, cols: object) -> None:
    """Raise CallFailed for half a size, None being absent; `asked` is what it was given to."""
    if (rows is None) != (cols is None):
        given, missing = ("rows", "cols") if cols is None else ("cols", "rows")
        text = f"{asked}: {given} was given without {missing}: a size takes both, or leave both out"
        raise CallFailed(text, name="rpc.invalid_params")


class Sizes:
    """Sizes by viewer, the most recently active last. `current` is what the terminal was given."""

    def __init__(self, current: Size | None = None) -> None:
        self.current = current
        self._sizes: dict[Hashable, Size] = {}

    def resized(self, viewer: Hashable, size: Size) -> Size | None:
        """The viewer has this size and is active. Returns what to give the terminal, if anything."""
        self._sizes.pop(viewer, None)
        self._sizes[viewer] = size
        return self._wanted()

    def active(self, viewer: Hashable) -> Size | None:
        """The viewer wrote. Returns as `resized` does."""
        size = self._sizes.get(viewer)
        return None if size is None else self.resized(viewer, size)

    def left(self, viewer: Hashable) -> Size | None:
        """The viewer is gone. Returns as `resized` does."""
        self._sizes.pop(viewer, None)
        return self._wanted()

    def _wanted(self) -> Size | None:
        if not self._sizes:
            return None
        wanted = next(reversed(self._sizes.values()))
        return None if wanted == self.current else wanted
