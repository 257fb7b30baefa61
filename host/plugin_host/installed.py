"""The distributions along `sys.path` that offer entry points to this project.

Owns which of them count: a name may be found several times, and as with modules the first one does.
Folders are looked up through the cache; files such as wheels, and what other finders on `sys.meta_path`
know of, are asked for every time.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

from .distribution import Distribution, describe, mentioned
from .scancache import ScanCache, cache_folder
from .shelf import key_of, shelf
from .wording import shown

if TYPE_CHECKING:
    from importlib import metadata

__all__ = ["distributions"]

_BACKPORT = "importlib_metadata"  # which puts a finder of its own in place of the one for sys.path
_POINTS = "entry_points.txt"

_log = logging.getLogger(__name__)


def distributions() -> list[Distribution]:
    """Those whose entry points mention a group of this project, sorted by name."""
    folder = cache_folder()
    first: dict[str, Distribution | None] = {}
    for key, distribution in _all(None if folder is None else ScanCache(folder)):
        first.setdefault(key, distribution)
    named: dict[str, Distribution] = {}
    for distribution in filter(None, first.values()):
        named.setdefault(key_of(distribution.name) or distribution.title, distribution)
    return [named[name] for name in sorted(named)]


def _all(cache: ScanCache | None) -> Iterator[tuple[str, Distribution | None]]:
    """Every distribution by its key, in the order in which they count; None mentions no group."""
    for finder in list(sys.meta_path):
        find: Any = getattr(finder, "find_distributions", None)
        if finder is PathFinder or (find and type(finder).__module__.partition(".")[0] == _BACKPORT):
            for path in list(sys.path):
                yield from _in(path, cache)
        elif find is not None:
            from importlib import metadata

            yield from _told(find(metadata.DistributionFinder.Context()))


def _in(path: object, cache: ScanCache | None) -> Iterator[tuple[str, Distribution | None]]:
    if not isinstance(path, str):
        return
    try:
        absolute = os.path.abspath(path)
    except OSError:  # the current folder is gone
        return
    found = shelf(absolute, cache)
    if found is not None:
        yield from found.distributions.items()
        return
    from importlib import metadata

    yield from _told(metadata.distributions(path=[absolute]))


def _told(found: Iterable[metadata.Distribution]) -> Iterator[tuple[str, Distribution | None]]:
    for one in found:
        try:
            text: str | None = one.read_text(_POINTS)
            mentions = mentioned((text or "").encode(errors="surrogateescape"))
        except UnicodeDecodeError as error:
            mentions = mentioned(error.object)
        except Exception as error:
            _log.warning("%s: %s", shown(describe(one, ()).title), error)
            continue
        distribution = describe(one, mentions)
        yield key_of(distribution.name) or distribution.title, distribution if mentions else None
