"""The configuration, the host extensions and every plugin, as discovery sees them.

Invariant: what cannot be read is a finding, and the rest is looked at all the same. No value of a setting
or variable is in a finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from plugin_host import checksum, configuration, discovery
from plugin_host.configuration import Configuration
from plugin_host.errors import ConfigurationError, ManifestError, PluginNotFound
from plugin_host.extension import Extensions
from plugin_host.wording import shown, suggestion

from .finding import Finding, fault, note, ok

if TYPE_CHECKING:
    from plugin_host.candidate import Candidate

__all__ = ["Inventory", "take"]


class Inventory:
    """What there is: the candidates that are sound and to be run are `runnable`."""

    def __init__(
        self, configuration: Configuration, candidates: Sequence[Candidate], findings: Sequence[Finding]
    ) -> None:
        self.configuration = configuration
        self.candidates = list(candidates)
        self.findings = list(findings)

    @property
    def runnable(self) -> list[Candidate]:
        """Those that a host would start."""
        return [one for one in self.candidates if one.is_startable]


def take(
    *,
    plugin_dirs: Sequence[str] = (),
    only: Sequence[str] | None = None,
    block: Sequence[str] = (),
    config: str | None = None,
) -> Inventory:
    """Everything that a host with these options finds. Loads extensions, and no plugin."""
    settled, findings = _configuration(config)
    extensions = Extensions(block=block)
    extensions.load()
    wanted = settled.only if only is None else tuple(only)
    found: list[Candidate] | None = None
    while found is None:
        try:
            found = discovery.discover(
                plugin_dirs=plugin_dirs,
                only=wanted,
                block=block,
                configuration=settled,
                extensions=extensions,
            )
        except PluginNotFound as error:
            findings.append(fault("plugins", error.plugin, str(error), "correct the id"))
            wanted = tuple(one for one in wanted or () if one != error.plugin)
    findings += _extensions(extensions)
    findings += [_plugin(candidate) for candidate in found]
    findings += _unfound(settled, found)
    if not found:
        advice = "install a package with plugins, or name a folder of them with --plugin-dir"
        findings.append(note("plugins", "plugins", "none is found", advice))
    return Inventory(settled, found, findings)


def _configuration(config: str | None) -> tuple[Configuration, list[Finding]]:
    file = configuration.find(config)
    if file is None:
        return Configuration(), [ok("configuration", "configuration", "none; everything has its default")]
    try:
        settled = configuration.load(file)
    except ConfigurationError as error:
        advice = f"correct it; `plugin-host validate {file}` names every fault"
        return Configuration(), [fault("configuration", str(file), str(error), advice)]
    return settled, [ok("configuration", str(file), "in use")]


def _unfound(settled: Configuration, found: Sequence[Candidate]) -> list[Finding]:
    """What is configured for nobody: it is not installed, or a user or sandbox has a typing error."""
    ids = [candidate.id for candidate in found]
    return [
        note(
            "configuration",
            f"plugins.{id}",
            f"no plugin of this id is found{suggestion(id, ids)}, so nothing of it is in force",
            "correct the id, or remove it",
        )
        for id in settled.plugins
        if id not in ids
    ]


def _extensions(extensions: Extensions) -> list[Finding]:
    """An extension that is broken stops nobody, and does not do what it was installed for."""
    section = "host extensions"
    found = [ok(section, name, "loaded") for name in extensions.names]
    found += [note(section, name, "left out by --no-plugin") for name in sorted(extensions.blocked)]
    for name, reason in sorted(extensions.problems.items()):
        advice = f"repair or remove the package that offers it, or leave it out with --no-plugin {name}"
        found.append(fault(section, name, reason, advice))
    return found


def _plugin(candidate: Candidate) -> Finding:
    """A broken plugin that is not to run is in nobody's way."""
    manifest, error = candidate.manifest, candidate.error
    if candidate.skipped is not None:
        return note("plugins", candidate.id, f"not to be run: {candidate.skipped}")
    if manifest is None:
        return fault("plugins", candidate.id, f"broken: {error}", _repair(candidate))
    if manifest.checksum or candidate.pin:
        try:
            checksum.verify(manifest, candidate.root, candidate.pin)
        except ManifestError as refused:
            advice = "find out who changed its files; when that is in order, write down the new checksum"
            return fault("plugins", candidate.id, str(refused), advice)
    return ok("plugins", candidate.id, f"{manifest.version}, {candidate.source}")


def _repair(candidate: Candidate) -> str:
    error, file = candidate.error, candidate.manifest_file
    if isinstance(error, ConfigurationError):
        return f"correct {error.file}" if error.file else "correct the configuration"
    if file is not None and str(error).startswith(f"{shown(file)}:"):
        return f"correct it; `plugin-host validate {shown(file)}` names every fault"
    if candidate.source.startswith("entry point") and file is None:
        return "install a version of the package that is correct, or uninstall it"
    return f"put right what is named, or leave the plugin out with --no-plugin {candidate.id}"
