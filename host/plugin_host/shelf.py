"""The distributions in one folder of `sys.path`: as they lie there now, or as they are remembered.

A shelf is remembered with a stamp of every file it was read from, and counts only while all of them are
the same: what is installed, upgraded, removed or changed in place is seen at once. Invariants: a shelf
that was read from a file younger than `SETTLED_S` is not remembered, because a file can be changed twice
within one tick of its file system's clock; whatever is wrong with a memory, the shelf is read anew.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from .distribution import Distribution, describe, mentioned
from .wording import shown

if TYPE_CHECKING:
    from .scancache import ScanCache

__all__ = ["SETTLED_S", "Shelf", "key_of", "shelf"]

SETTLED_S = 2.0
"""No file system in use has times that are coarser."""

_POINTS = "entry_points.txt"
_ABOUT = ("METADATA", "PKG-INFO")
_KINDS = (".dist-info", ".egg-info")

_log = logging.getLogger(__name__)

Stamp = tuple[int, int, int, int]
"""When a file was changed, when that was entered, its size, and which file it is."""

Listing = tuple[tuple[str, Stamp | None], ...]
"""The folders of all distributions, in order, each with the stamp of its `entry_points.txt`, if any."""


class _Offer(Struct, frozen=True, array_like=True):
    """A distribution that mentions a group, and the stamps of the files that say what it is."""

    distribution: Distribution
    about: tuple[Stamp | None, ...]


class Shelf(Struct, frozen=True):
    """What one folder holds; `offers` are those that mention a group, by the names of their folders."""

    path: str
    listing: Listing
    offers: dict[str, _Offer]

    @property
    def distributions(self) -> dict[str, Distribution | None]:
        """By key, the first of each: as with modules only that one counts. None mentions no group."""
        found: dict[str, Distribution | None] = {}
        for name, _ in self.listing:
            offer = self.offers.get(name)
            if offer is None:
                found.setdefault(key_of(_name_in(name)), None)
            else:
                found.setdefault(key_of(offer.distribution.name or _name_in(name)), offer.distribution)
        return found


def key_of(name: str) -> str:
    """What names of distributions have in common that mean the same one."""
    parts = name.replace("_", "-").replace(".", "-").lower().split("-")
    return "-".join(part for part in parts if part)


def shelf(path: str, cache: ScanCache | None) -> Shelf | None:
    """The shelf in the folder `path`; None when that is a file. One that cannot be read is empty."""
    now = time.time()
    try:
        listing = _survey(path)
    except NotADirectoryError:
        return None
    except (OSError, ValueError):  # it is missing, locked, or a name that no file can have
        return Shelf(path, (), {})
    if cache is None or not any(stamp for _, stamp in listing):
        return _read(path, listing)[0]
    remembered = _recall(path, listing, cache)
    if remembered is not None:
        return remembered
    found, is_whole = _read(path, listing)
    if is_whole and _newest(found) < now - SETTLED_S:
        _remember(found, cache)
    return found


def _recall(path: str, listing: Listing, cache: ScanCache) -> Shelf | None:
    data = cache.load(path)
    if data is None:
        return None
    try:
        found = msgspec.json.decode(data, type=Shelf)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        _log.debug("what is remembered of %s is of no use: %s", shown(path), error)
        return None
    if found.path != path or found.listing != listing:
        return None
    if any(offer.about != _about(path, name) for name, offer in found.offers.items()):
        return None
    return found


def _remember(found: Shelf, cache: ScanCache) -> None:
    try:
        data = msgspec.json.encode(found)
    except ValueError:  # a name that is not UTF-8
        return
    cache.store(found.path, data)


def _survey(path: str) -> Listing:
    names = [name for name in os.listdir(path) if name.lower().endswith(_KINDS) or name == "EGG-INFO"]
    return tuple((name, _stamp(f"{path}/{name}/{_POINTS}")) for name in names)


def _stamp(file: str) -> Stamp | None:
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return None
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino)


def _about(path: str, name: str) -> tuple[Stamp | None, ...]:
    return tuple(_stamp(f"{path}/{name}/{file}") for file in _ABOUT)


def _read(path: str, listing: Listing) -> tuple[Shelf, bool]:
    """The shelf, and whether everything on it could be read."""
    offers = {}
    is_whole = True
    for name, stamp in listing:
        if stamp is None:
            continue
        try:
            mentions = _mentions(f"{path}/{name}/{_POINTS}")
        except PermissionError:
            is_whole = False  # it may be given at any time
            continue
        except OSError as error:
            is_whole = False
            _log.warning("%s: %s", shown(f"{path}/{name}"), error)
            continue
        if mentions:
            from importlib import metadata

            about = _about(path, name)
            distribution = describe(metadata.Distribution.at(f"{path}/{name}"), mentions)
            offers[name] = _Offer(distribution, about)
    return Shelf(path, listing, offers), is_whole


def _mentions(file: str) -> tuple[str, ...]:
    try:
        with open(file, "rb") as stream:
            return mentioned(stream.read())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ()


def _newest(found: Shelf) -> float:
    """When the youngest of its files was changed, in seconds since the epoch."""
    stamps = [stamp for _, stamp in found.listing]
    for offer in found.offers.values():
        stamps += offer.about
    return max((max(stamp[:2]) for stamp in stamps if stamp), default=0) / 1e9


def _name_in(folder: str) -> str:
    """The distribution's name in that of its folder, as `importlib.metadata` takes it out."""
    return folder.rpartition(".")[0].partition("-")[0]
