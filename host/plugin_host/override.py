"""What the host's configuration changes about a found plugin.

Owns the rules by which the operator's word and the manifest's become one. Invariant: pure; the same
configuration and candidate give the same result, and nothing is read or started.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import msgspec

from .candidate import Candidate
from .configuration import Configuration, PluginConfiguration
from .manifest import Manifest

__all__ = ["apply"]

Part = TypeVar("Part", bound=msgspec.Struct)


def apply(configuration: Configuration, candidate: Candidate) -> Candidate:
    """`candidate` with everything in it settled; a broken one is returned as it is.

    Granted are the permissions asked for that the configuration lists, or all when it lists none.
    Settings and variables of the configuration win over those already there.
    """
    manifest = candidate.manifest
    if manifest is None:
        return candidate
    entry = configuration.plugins.get(candidate.id, PluginConfiguration())
    asked, listed = manifest.permissions, entry.permissions
    return replace(
        candidate,
        manifest=_changed(manifest, entry),
        settings={**candidate.settings, **entry.settings},
        env={**manifest.launch.env, **candidate.env, **entry.env},
        granted=tuple(one for one in asked if listed is None or one in listed),
        pin=entry.checksum or candidate.pin,
        user=entry.user or candidate.user,
    )


def _changed(manifest: Manifest, entry: PluginConfiguration) -> Manifest:
    return msgspec.structs.replace(
        manifest,
        restart=_laid_over(manifest.restart, entry.restart),
        health=_laid_over(manifest.health, entry.health),
        limits=_laid_over(manifest.limits, entry.limits),
        activation=entry.activation or manifest.activation,
    )


def _laid_over(part: Part, override: msgspec.Struct) -> Part:
    """`part` with those values of `override`, a type of the same field names, that are given."""
    given = {name: getattr(override, name) for name in override.__struct_fields__}
    return msgspec.structs.replace(
        part, **{name: value for name, value in given.items() if value is not None}
    )
