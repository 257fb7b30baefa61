"""The one list of plugins: every source joined, conflicts named, the operator's word applied.

Owns the order of the list, what happens to two plugins of one id, and which plugins are not to run.
The sources themselves are `folder`, `entry_point` and the extensions. Invariants: the list is sorted
by id and the same for the same input; a broken plugin stays in it, explained; nothing is started.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import UnionType

import msgspec

from . import entry_point, folder, manifest
from .candidate import Candidate, interpreter_of
from .configuration import Configuration
from .distribution import Distribution
from .errors import ConfigurationError, ManifestError, PluginNotFound
from .extension import Extensions
from .manifest import Manifest
from .override import apply
from .settings import settle
from .trust import Trust
from .wording import near, shown, suggestion

__all__ = ["discover"]

_log = logging.getLogger(__name__)

_FIELDS: dict[str, type | UnionType] = {
    "id": str,
    "manifest": Manifest | None,
    "error": ManifestError | ConfigurationError | None,
    "root": Path | None,
    "manifest_file": Path | None,
    "sys_path": tuple,
    "settings": Mapping,
    "env": Mapping,
    "pin": str | None,
    "trust": Trust,
    "skipped": str | None,
}
"""What an extension may put into a candidate; later code relies on it."""


def discover(
    *,
    plugin_dirs: Iterable[str | os.PathLike[str]] = (),
    entry_points: bool = True,
    only: Sequence[str] | None = None,
    block: Collection[str] = (),
    configuration: Configuration | None = None,
    extensions: Extensions | None = None,
    distributions: Sequence[Distribution] | None = None,
) -> list[Candidate]:
    """Every plugin there is, sorted by id; the sound before the broken where an id is found twice.

    `plugin_dirs` and `block` add to the configuration's, `only` replaces it, and entry points are read
    when both say so, of `distributions` for who has looked already what is installed. What `only` and
    `block` leave out stays in the list with `skipped` set. Raises `PluginNotFound` for an id in `only` that
    is not in the list.
    """
    settled = configuration or Configuration()
    wanted = settled.only if only is None else only
    refused = {*block, *settled.block}
    found: list[Candidate] = []
    for plugin_dir in (*plugin_dirs, *settled.plugin_dirs):
        found += folder.candidates(plugin_dir)
    if entry_points and settled.entry_points:
        found += entry_point.candidates(distributions)
    for name, offered in extensions.discover(settled) if extensions else ():
        found += [_from_hook(name, candidate) for candidate in offered]
    found = [apply(settled, one) for one in _without_conflicts(_without_repeats(found))]
    found = settle([_selected(candidate, wanted, refused) for candidate in found], file=settled.file)
    found.sort(key=lambda one: (one.id, one.error is not None, one.source))
    others = {*extensions.names, *extensions.blocked, *extensions.problems} if extensions else set()
    _check_names(found, wanted, refused - others, settled)
    return found


def _from_hook(name: str, candidate: Candidate) -> Candidate:
    """An extension's candidate, validated as if it had been read from a file."""
    source = f"hook {shown(name)}"
    try:
        checked = _checked_manifest(candidate, source)
    except ManifestError as error:
        return Candidate(id=shown(candidate.id), source=source, error=error)
    return replace(candidate, source=source, manifest=checked)


def _checked_manifest(candidate: Candidate, source: str) -> Manifest | None:
    where = shown(candidate.manifest_file or source)
    for name, expected in _FIELDS.items():
        value = getattr(candidate, name)
        if not isinstance(value, expected):
            text = f"candidate `{shown(candidate.id)}`: {name}: found {type(value).__name__} in it"
            raise ManifestError(f"{where}: {text}", file=where)
    if candidate.manifest is None:
        return None
    try:
        raw = msgspec.to_builtins(candidate.manifest)
    except (TypeError, ValueError, RecursionError) as error:
        raise ManifestError(f"{where}: $: {error}", file=where, path="$") from None
    checked = manifest.convert(raw, file=where)
    if checked.id != candidate.id:
        text = f"expected `{shown(candidate.id)}`, the candidate's id, found `{checked.id}`"
        raise ManifestError(f"{where}: $.id: {text}", file=where, path="$.id")
    interpreter_of(checked, candidate.root)
    return checked


def _without_repeats(found: list[Candidate]) -> list[Candidate]:
    """Each manifest file once: a folder named twice, or installed from where it lies, is one plugin."""
    seen: set[tuple[str, str]] = set()
    kept = []
    for candidate in found:
        if candidate.manifest_file is not None:
            key = (candidate.id, os.path.realpath(candidate.manifest_file))
            if key in seen:
                continue
            seen.add(key)
        kept.append(candidate)
    return kept


def _without_conflicts(found: list[Candidate]) -> list[Candidate]:
    """The same list, with sound plugins that share an id broken: none of them is the right one."""
    holders: defaultdict[str, list[Candidate]] = defaultdict(list)
    for candidate in found:
        if candidate.error is None:
            holders[candidate.id].append(candidate)
    return [
        candidate
        if candidate.error is not None or len(holders[candidate.id]) == 1
        else _conflicting(candidate, holders[candidate.id])
        for candidate in found
    ]


def _conflicting(candidate: Candidate, holders: list[Candidate]) -> Candidate:
    sources = " and ".join(sorted(one.source for one in holders))
    file = None if candidate.manifest_file is None else shown(candidate.manifest_file)
    message = (
        f"expected one plugin of the id `{candidate.id}`, found {len(holders)}: {sources}; "
        "remove one, or give it another id"
    )
    error = ManifestError(message, file=file, path="$.id")
    return replace(candidate, manifest=None, error=error)


def _selected(candidate: Candidate, wanted: Sequence[str] | None, refused: Collection[str]) -> Candidate:
    if candidate.id in refused:
        return replace(candidate, skipped="blocked")
    if wanted is not None and candidate.id not in wanted:
        return replace(candidate, skipped=f"not among the wanted: {', '.join(wanted) or 'none'}")
    return candidate


def _check_names(
    found: list[Candidate],
    wanted: Sequence[str] | None,
    refused: Collection[str],
    configuration: Configuration,
) -> None:
    """Name every id that was written down and means no plugin: wanted ones are an error."""
    ids = {candidate.id for candidate in found}
    for plugin in wanted or ():
        if plugin not in ids:
            message = f"no plugin `{shown(plugin)}` was found{suggestion(plugin, ids)}"
            raise PluginNotFound(message, plugin=plugin, near=near(plugin, ids))
    for plugin in sorted(set(configuration.plugins) - ids):
        hint = suggestion(plugin, ids)
        _log.warning("configuration: [plugins.%s]: no such plugin was found%s", plugin, hint)
    for plugin in sorted(set(refused) - ids):
        _log.warning("blocked: no plugin `%s` was found%s", shown(plugin), suggestion(plugin, ids))
