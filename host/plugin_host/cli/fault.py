"""Every fault of a manifest or configuration, where reading it alone stops at the first.

A faulty value is taken out, or replaced by a sound one where something has to be, and the rest is read
again. Invariant: no fault is named that the document does not have, and paths are those of the document
as it was written.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from plugin_host import checksum, configuration, discovery, document, manifest, settings
from plugin_host.errors import ConfigurationError, InvalidPayload, ManifestError
from plugin_host.metadata.tree import MetadataTree
from plugin_host.wording import found, shown

__all__ = ["Fault", "configuration_faults", "manifest_faults"]

Refusal = ManifestError | ConfigurationError
Steps = tuple[str | int, ...]

# Far more than anybody mends at a time; a document may have millions.
_MOST = 200

# A document that is faulty as a whole, or of a version of which nothing is known, has no further faults.
_FINAL = (None, "$", "$.manifest_version")

# Sound values for what a manifest cannot do without.
_FILLERS: dict[Steps, Any] = {
    ("id",): "x",
    ("version",): "0",
    ("launch",): {"argv": ["x"]},
    ("launch", "argv"): ["x"],
    ("launch", "entry_point"): "x:y",
}
_STEP = re.compile(r'\.([\w$-]+)|\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]')


@dataclass(frozen=True, slots=True)
class Fault:
    """`path` is the place in the document, None when it is the document as a whole."""

    path: str | None
    message: str


def manifest_faults(file: Path) -> list[Fault]:
    """What is wrong with the manifest in `file`, and with the folder it vouches for."""
    try:
        loaded = manifest.load(file)
        settings.check_schema(loaded, file=shown(file))
        checksum.verify(loaded, file.parent)
    except ManifestError as error:
        return _all(error, _read_manifest, file, _FILLERS)
    return []


def configuration_faults(file: Path) -> list[Fault]:
    """What is wrong with the configuration in `file`, and with the settings in it for plugins it finds."""
    try:
        loaded = configuration.load(file)
    except ConfigurationError as error:
        return _all(error, _read_configuration, file, {})
    return [*_metadata_faults(loaded), *_settings_faults(loaded, shown(file))]


def _metadata_faults(loaded: configuration.Configuration) -> list[Fault]:
    """What a host could not begin with."""
    try:
        MetadataTree().fill(loaded.metadata)
    except InvalidPayload as error:
        return [Fault("$.metadata", error.message)]
    return []


def _settings_faults(loaded: configuration.Configuration, name: str) -> list[Fault]:
    """One for each plugin whose settings do not fit its schema; who else is broken is not asked here."""
    from .logline import unheard

    everything = msgspec.structs.replace(loaded, only=None, block=())
    everything.__dict__["file"] = loaded.file
    with unheard():
        candidates = discovery.discover(configuration=everything)
    errors = (one.error for one in candidates if isinstance(one.error, ConfigurationError))
    return [_fault(error, name, error.path) for error in errors if error.file == name]


Reader = Callable[[Path, str], tuple[Any, Callable[[Any], Any]]]


def _read_manifest(file: Path, name: str) -> tuple[Any, Callable[[Any], Any]]:
    raw = json.loads(document.read(file, ManifestError))
    return raw, lambda raw: settings.check_schema(manifest.convert(raw, file=name), file=name)


def _read_configuration(file: Path, name: str) -> tuple[Any, Callable[[Any], Any]]:
    return configuration.read(file), lambda raw: configuration.convert(raw, file=name)


def _all(first: Refusal, reader: Reader, file: Path, fillers: Mapping[Steps, Any]) -> list[Fault]:
    """`first`, which reading met, or all faults of a document that can be read but not accepted."""
    name = shown(file)
    if first.path in _FINAL:
        return [_fault(first, name, first.path)]
    raw, convert = reader(file, name)
    mender = _Mender(copy.deepcopy(raw), fillers)
    faults: list[Fault] = []
    while len(faults) < _MOST:
        try:
            convert(mender.document)
        except (ManifestError, ConfigurationError) as error:
            fault = _fault(error, name, mender.original(error.path))
            if fault in faults:
                break
            faults.append(fault)
            if not mender.mend(error.path, fault.message):
                break
        else:
            break
    return faults or [_fault(first, name, first.path)]


def _fault(error: Refusal, name: str, path: str | None) -> Fault:
    message = str(error).removeprefix(f"{name}: ")
    return Fault(path, message.removeprefix(f"{error.path}: ") if error.path else message)


@dataclass(slots=True)
class _Mender:
    """A document whose faulty parts are taken out one by one."""

    document: Any
    fillers: Mapping[Steps, Any]
    # For each list, by its steps: how many items were taken out, and before which of those that are left.
    removed: dict[Steps, list[int]] = field(default_factory=dict)

    def original(self, path: str | None) -> str | None:
        """The place as it was before anything was taken out of the lists on the way to it."""
        steps = _steps(path)
        if path is None or steps is None:
            return path
        moved = path
        for depth, step in enumerate(steps):
            if isinstance(step, int):
                index = self._original_index(steps[:depth], step)
                moved = moved.replace(f"[{step}]", f"[{index}]", 1)
        return moved

    def _original_index(self, steps: Steps, index: int) -> int:
        for gone in sorted(self.removed.get(steps, ())):
            if gone <= index:
                index += 1
        return index

    def mend(self, path: str | None, message: str) -> bool:
        """Make the place sound; whether that was possible."""
        steps = _steps(path)
        if not steps:
            return False
        if message.startswith("wrong key: "):
            return self._drop_key(steps, message)
        *above, last = steps
        parent = self._at(tuple(above))
        if steps in self.fillers and isinstance(parent, dict):
            parent[str(last)] = copy.deepcopy(self.fillers[steps])
            return True
        if isinstance(parent, dict) and last in parent:
            del parent[str(last)]
            return True
        if isinstance(parent, list) and isinstance(last, int) and last < len(parent):
            gone = self._original_index(tuple(above), last)
            del parent[last]
            self.removed.setdefault(tuple(above), []).append(gone)
            return True
        return False

    def _drop_key(self, steps: Steps, message: str) -> bool:
        table = self._at(steps)
        for key in list(table) if isinstance(table, dict) else ():
            if message.endswith(f", found {found(key)}"):
                del table[key]
                return True
        return False

    def _at(self, steps: Steps) -> Any:
        value = self.document
        for step in steps:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value


def _steps(path: str | None) -> Steps | None:
    """`$.launch.argv[0]` as ("launch", "argv", 0); None when it is not such a path."""
    if path is None or not path.startswith("$"):
        return None
    steps: list[str | int] = []
    at = 1
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            return None
        name, index, quoted = step.groups()
        steps.append(name or (int(index) if index else json.loads(quoted)))
        at = step.end()
    return tuple(steps)
