"""What one installed distribution says of itself, and which entry points of this project's it has.

Owns the use of `importlib.metadata`. Invariant: metadata is read and nothing is imported; what cannot be
read is said in the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from .wording import shown

if TYPE_CHECKING:
    from importlib import metadata  # at run time only where it is used: it is slow to import

__all__ = ["GROUPS", "Distribution", "Point", "describe", "mentioned"]

GROUPS = ("plugin_host.plugins", "plugin_host")
"""The groups of entry points that this project looks for: plugins, and extensions of the host."""


class Point(Struct, frozen=True):
    """One entry point of one of the groups."""

    group: str
    name: str
    value: str


class Distribution(Struct, frozen=True, kw_only=True):
    """Name, version and summary, each empty where the metadata lack it, and the entry points.

    `mentions` are the groups whose names stand in its `entry_points.txt`; `problem` says why that cannot
    be understood, `place` where it is installed.
    """

    name: str
    version: str
    summary: str
    place: str
    mentions: tuple[str, ...]
    points: tuple[Point, ...] = ()
    problem: str | None = None

    @property
    def title(self) -> str:
        """How users are told of it."""
        title = shown(f"{self.name} {self.version}".strip())
        return title or f"a distribution without metadata in {shown(self.place)}"

    def of(self, group: str) -> list[Point]:
        """Its entry points of one group, in order."""
        return [point for point in self.points if point.group == group]


def mentioned(text: bytes) -> tuple[str, ...]:
    """The groups whose names stand anywhere in the text of an `entry_points.txt`."""
    return tuple(group for group in GROUPS if group.encode() in text)


def describe(distribution: metadata.Distribution, mentions: tuple[str, ...]) -> Distribution:
    """What is worth knowing of a distribution whose `entry_points.txt` mentions these groups."""
    try:
        fields = distribution.metadata
        known = {key: str(fields[key]) for key in ("Name", "Version", "Summary") if key in fields}
    except Exception:  # no METADATA at all, or none that can be read
        known = {}
    points: tuple[Point, ...] = ()
    problem = None
    try:
        found = [one for one in distribution.entry_points if one.group in GROUPS]
        points = tuple(Point(one.group, one.name, one.value) for one in found)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    return Distribution(
        name=known.get("Name", ""),
        version=known.get("Version", ""),
        summary=known.get("Summary", ""),
        place=str(distribution.locate_file("")),
        mentions=mentions,
        points=points,
        problem=problem,
    )
