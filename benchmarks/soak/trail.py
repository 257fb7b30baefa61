"""The trail of one viewer: that what it is given is what belongs there, next to what came before."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plugin_host import Output

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plugin_host import Gap

    from .pattern import Pattern

__all__ = ["Trail", "Wrong"]


class Wrong(Exception):
    """Something that must never be: a violation, in words."""


@dataclass(slots=True)
class Trail:
    """Follows the items of one viewer.

    `starts` has for each stream where the first item has to begin; None is anywhere, and
    `earliest` holds then. Gaps are allowed before the first byte, and later only with `may_skip`.
    """

    patterns: Mapping[str, Pattern]
    starts: dict[str, int | None]
    earliest: dict[str, int] = field(default_factory=dict)
    may_skip: bool = False
    may_start_late: bool = True
    places: dict[str, int] = field(default_factory=dict)
    seen_bytes: int = 0
    skipped_bytes: int = 0
    gaps: int = 0

    def follow(self, item: Output | Gap) -> None:
        """One item. Raises Wrong."""
        if item.stream not in self.patterns:
            raise Wrong(f"output of {item.stream!r}, which the session has not")
        self._check_place(item.stream, item.offset)
        if isinstance(item, Output):
            self._check_data(item)
            size = len(item.data)
            self.seen_bytes += size
        else:
            self._check_gap(item)
            size = item.size
            self.gaps += 1
            self.skipped_bytes += size
        self.places[item.stream] = item.offset + size

    def _check_place(self, stream: str, offset: int) -> None:
        expected = self.places.get(stream, self.starts.get(stream))
        if expected is not None and offset != expected:
            what = f"{expected - offset} bytes again" if offset < expected else "a hole"
            raise Wrong(f"{stream} goes on at {offset} instead of {expected}: {what}")
        if offset < self.earliest.get(stream, 0):
            raise Wrong(f"{stream} starts at {offset}, before {self.earliest[stream]}")

    def _check_data(self, item: Output) -> None:
        if not item.data:
            raise Wrong(f"no bytes at all at {item.offset} of {item.stream}")
        place = self.patterns[item.stream].difference(item.offset, item.data)
        if place is not None:
            found = bytes(item.data[place : place + 40])
            expected = self.patterns[item.stream].slice(item.offset + place, 40)
            raise Wrong(f"{item.stream} has {found!r} at {item.offset + place} instead of {expected!r}")

    def _check_gap(self, item: Gap) -> None:
        if item.size <= 0:
            raise Wrong(f"a gap of {item.size} bytes at {item.offset} of {item.stream}")
        if self.may_skip:
            return
        if item.stream in self.places:
            raise Wrong(f"a lossless viewer lost {item.size} bytes at {item.offset} of {item.stream}")
        if not self.may_start_late:
            raise Wrong(f"{item.size} bytes of {item.stream} were lost before the first viewer came")

    def finish(self, written: Mapping[str, int], offered: Mapping[str, int]) -> None:
        """The session has ended, and with it the output. Raises Wrong when it is not all there."""
        for stream, place in self.places.items():
            if not written[stream] <= place <= offered[stream]:
                wrote = f"{written[stream]} to {offered[stream]}"
                raise Wrong(f"{stream} ended at {place}, and the program wrote {wrote}")
        for stream, start in self.starts.items():
            if stream not in self.places and start is not None and start < written[stream]:
                raise Wrong(f"nothing of {stream} came from {start} on, of {written[stream]} bytes")
