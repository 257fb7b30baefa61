"""What the host's configuration changes about a found plugin.

Owns the rules by which the operator's word and the manifest's become one. Invariant: pure; the same
configuration and candidate give the same result, and nothing is read or started.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import msgspec

from .candidate import Candidate
from .configuration import Configuration, PluginConfiguration, SandboxConfiguration, mode_of
from .manifest import Manifest
from .trust import Sandbox, Trust

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
        trust=_trust(candidate.trust, manifest, entry),
    )


def _trust(given: Trust, manifest: Manifest, entry: PluginConfiguration) -> Trust:
    """The operator's word, else that of who found the plugin, else the manifest's.

    The group goes with its user. What a manifest needs of a sandbox is granted by the operator alone.
    """
    launch = manifest.launch
    umask = entry.umask if entry.umask is not None else given.umask
    umask = launch.umask if umask is None else umask
    asked = given.no_new_privs or launch.no_new_privs
    user, group = (entry.user, entry.group) if entry.user else (given.user, given.group)
    return Trust(
        user=user,
        group=group,
        umask=None if umask is None else mode_of(umask),
        no_new_privs=asked if entry.no_new_privs is None else entry.no_new_privs,
        sandbox=given.sandbox if entry.sandbox is None else _sandbox(entry.sandbox),
    )


def _sandbox(said: SandboxConfiguration) -> Sandbox | None:
    if not said.enabled:
        return None
    return Sandbox(writable=said.writable, readable=said.readable, network=said.network)


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
