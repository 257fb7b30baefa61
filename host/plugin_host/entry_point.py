"""Plugins that installed distributions offer, read from their metadata and never loaded.

Invariant: no code of a plugin runs here; of a plugin's modules only the top-level name is looked up, which
imports nothing, and everything below it is paths.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from . import installed, manifest
from .candidate import Candidate
from .errors import ManifestError
from .manifest import MANIFEST_NAME, Manifest
from .wording import shown

if TYPE_CHECKING:
    from importlib import metadata  # at run time only where it is used: it is slow to import

    from .distribution import Distribution, Point

__all__ = ["GROUP", "candidates", "entries"]

GROUP = "plugin_host.plugins"

_log = logging.getLogger(__name__)


def entries(group: str, among: Sequence[Distribution] | None = None) -> list[metadata.EntryPoint]:
    """The entry points of `group`, ordered by name; a distribution that cannot be read is logged.

    `among` is what is installed, for who has looked already.
    """
    found: list[Point] = []
    for distribution in _mentioning(group, among):
        if distribution.problem is not None:
            _log.error("%s: entry points cannot be read: %s", distribution.title, distribution.problem)
        found += distribution.of(group)
    return [_loadable(point) for point in sorted(found, key=lambda point: (point.name, point.value))]


def candidates(among: Sequence[Distribution] | None = None) -> list[Candidate]:
    """A candidate for every entry point of `plugin_host.plugins`, sound or broken; `among` as above."""
    found: list[Candidate] = []
    for distribution in _mentioning(GROUP, among):
        if distribution.problem is not None:
            found.append(_unreadable(distribution, distribution.problem))
        found += [_candidate(point, distribution) for point in distribution.of(GROUP)]
    return found


def _mentioning(group: str, among: Sequence[Distribution] | None) -> list[Distribution]:
    every = installed.distributions() if among is None else among
    return [one for one in every if group in one.mentions]


def _loadable(point: Point) -> metadata.EntryPoint:
    from importlib import metadata

    return metadata.EntryPoint(name=point.name, value=point.value, group=point.group)


def _candidate(entry: Point, distribution: Distribution) -> Candidate:
    source = f"entry point of {distribution.title}"
    try:
        file = _manifest_file(entry)
        found = _from_value(entry, distribution) if file is None else _from_file(entry, file)
    except ManifestError as error:
        message = f"entry point `{shown(entry.name)}` of {distribution.title}: {error}"
        broken = ManifestError(message, file=error.file, path=error.path)
        return Candidate(id=shown(entry.name), source=source, error=broken)
    root = None if file is None else file.parent
    return Candidate(id=found.id, source=source, manifest=found, root=root, manifest_file=file)


def _from_value(entry: Point, distribution: Distribution) -> Manifest:
    """The manifest that an entry point without one stands for."""
    value = _value(entry)
    if ":" not in value:
        raise ManifestError(
            f"expected `module:attribute`, or a package that holds a {MANIFEST_NAME}, "
            f"found `{shown(value)}`"
        )
    raw = {"id": entry.name, "version": distribution.version, "launch": {"entry_point": value}}
    if distribution.summary.isprintable():
        raw["description"] = distribution.summary
    return manifest.convert(raw, file="entry_points.txt")


def _from_file(entry: Point, file: Path) -> Manifest:
    """The manifest in the package, which must say the same as the entry point."""
    found = manifest.load(file)
    pairs = [("id", entry.name, found.id)]
    if ":" in _value(entry) and found.launch.entry_point is not None:
        pairs.append(("launch.entry_point", _value(entry), found.launch.entry_point))
    for key, ours, theirs in pairs:
        if ours != theirs:
            raise ManifestError(
                f"{shown(file)}: $.{key}: expected `{shown(ours)}`, as the entry point says, "
                f"found `{theirs}`",
                file=shown(file),
                path=f"$.{key}",
            )
    return found


def _value(entry: Point) -> str:
    """`module:attribute` without spaces and the extras in brackets that may follow it."""
    value = re.sub(r"\s*\[[^\]]*\]\s*$", "", entry.value)
    return re.sub(r"\s*:\s*", ":", value).strip()


def _manifest_file(entry: Point) -> Path | None:
    """The manifest in the entry point's package, the deepest one; None when there is none."""
    top, *deeper = _value(entry).partition(":")[0].split(".")
    if not top.isidentifier():
        return None
    for folder in _package_folders(top):
        chain = [folder]
        for name in deeper:
            folder = os.path.join(folder, name)
            chain.append(folder)
        for place in reversed(chain):
            file = os.path.join(place, MANIFEST_NAME)
            if os.path.lexists(file):
                return Path(file)
    return None


def _package_folders(top: str) -> Iterator[str]:
    """Where the package of this top-level name lies; none for a module, or a name not found.

    That nothing is there to import is found out at launch, where the traceback can be shown.
    """
    try:
        spec = find_spec(top)
        yield from (spec.submodule_search_locations or ()) if spec else ()
    except Exception as error:
        message = f"expected to find the package `{top}`, found {type(error).__name__}: {error}"
        raise ManifestError(message) from None


def _unreadable(distribution: Distribution, problem: str) -> Candidate:
    broken = ManifestError(
        f"entry_points.txt of {distribution.title}: expected entry points, found {problem}",
        file="entry_points.txt",
    )
    name = shown(distribution.name or distribution.title)
    return Candidate(id=name, source=f"entry point of {distribution.title}", error=broken)
