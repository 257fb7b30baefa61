"""Plugins that installed distributions offer, read from their metadata and never loaded.

Owns all use of `importlib.metadata`. Invariant: no code of a plugin runs here; of a plugin's modules
only the top-level name is looked up, which imports nothing, and everything below it is paths.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from . import manifest
from .candidate import Candidate
from .errors import ManifestError
from .manifest import MANIFEST_NAME, Manifest
from .wording import shown

if TYPE_CHECKING:
    from importlib import metadata  # at run time only where it is used: it is slow to import

__all__ = ["GROUP", "candidates", "entries"]

GROUP = "plugin_host.plugins"

_log = logging.getLogger(__name__)


def entries(group: str) -> list[metadata.EntryPoint]:
    """The entry points of `group`, ordered by name; a distribution that cannot be read is logged."""
    found: list[metadata.EntryPoint] = []
    for distribution in _distributions(group):
        try:
            found += distribution.entry_points.select(group=group)
        except Exception as error:
            _log.error("%s: entry points cannot be read: %s", _About(distribution).title, error)
    return sorted(found, key=lambda entry: (entry.name, entry.value))


def candidates() -> list[Candidate]:
    """A candidate for every entry point of `plugin_host.plugins`, sound or broken."""
    found: list[Candidate] = []
    for distribution in _distributions(GROUP):
        try:
            offered = list(distribution.entry_points.select(group=GROUP))
        except Exception as error:
            found.append(_unreadable(distribution, error))
            continue
        found += [_candidate(entry, distribution) for entry in offered]
    return found


class _About:
    """Name, version and summary of a distribution; empty where its metadata lacks them."""

    def __init__(self, distribution: metadata.Distribution) -> None:
        try:
            fields = distribution.metadata
            known = {key: str(fields[key]) for key in ("Name", "Version", "Summary") if key in fields}
        except Exception:  # no METADATA at all, or none that can be read
            known = {}
        self.name = known.get("Name", "")
        self.version = known.get("Version", "")
        self.summary = known.get("Summary", "")
        self.title = shown(f"{self.name} {self.version}".strip())
        if not self.title:
            place = shown(distribution.locate_file(""))
            self.title = f"a distribution without metadata in {place}"


def _distributions(group: str) -> list[metadata.Distribution]:
    """The distributions whose entry points name `group`, each the one that imports would find.

    A name may be found several times along `sys.path`; as with modules the first one counts.
    """
    from importlib import metadata

    named: dict[str, metadata.Distribution] = {}
    for distribution in metadata.distributions():
        if _mentions(distribution, group):
            about = _About(distribution)
            named.setdefault(re.sub(r"[-_.]+", "-", about.name).lower() or about.title, distribution)
    return [_first(name, named[name]) for name in sorted(named)]


def _first(name: str, distribution: metadata.Distribution) -> metadata.Distribution:
    from importlib import metadata

    try:
        return metadata.distribution(name)
    except Exception:  # its folder is not named as its metadata say
        return distribution


def _mentions(distribution: metadata.Distribution, group: str) -> bool:
    try:
        return group in (distribution.read_text("entry_points.txt") or "")
    except UnicodeDecodeError as error:
        return group.encode() in error.object
    except Exception as error:
        _log.warning("%s: %s", _About(distribution).title, error)
        return False


def _candidate(entry: metadata.EntryPoint, distribution: metadata.Distribution) -> Candidate:
    about = _About(distribution)
    source = f"entry point of {about.title}"
    try:
        file = _manifest_file(entry)
        found = _from_value(entry, about) if file is None else _from_file(entry, file)
    except ManifestError as error:
        message = f"entry point `{shown(entry.name)}` of {about.title}: {error}"
        broken = ManifestError(message, file=error.file, path=error.path)
        return Candidate(id=shown(entry.name), source=source, error=broken)
    root = None if file is None else file.parent
    return Candidate(id=found.id, source=source, manifest=found, root=root, manifest_file=file)


def _from_value(entry: metadata.EntryPoint, about: _About) -> Manifest:
    """The manifest that an entry point without one stands for."""
    value = _value(entry)
    if ":" not in value:
        raise ManifestError(
            f"expected `module:attribute`, or a package that holds a {MANIFEST_NAME}, "
            f"found `{shown(value)}`"
        )
    raw = {"id": entry.name, "version": about.version, "launch": {"entry_point": value}}
    if about.summary.isprintable():
        raw["description"] = about.summary
    return manifest.convert(raw, file="entry_points.txt")


def _from_file(entry: metadata.EntryPoint, file: Path) -> Manifest:
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


def _value(entry: metadata.EntryPoint) -> str:
    """`module:attribute` without spaces and the extras in brackets that may follow it."""
    value = re.sub(r"\s*\[[^\]]*\]\s*$", "", entry.value)
    return re.sub(r"\s*:\s*", ":", value).strip()


def _manifest_file(entry: metadata.EntryPoint) -> Path | None:
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


def _unreadable(distribution: metadata.Distribution, error: Exception) -> Candidate:
    about = _About(distribution)
    broken = ManifestError(
        f"entry_points.txt of {about.title}: expected entry points, found {type(error).__name__}: {error}",
        file="entry_points.txt",
    )
    name = shown(about.name or about.title)
    return Candidate(id=name, source=f"entry point of {about.title}", error=broken)
