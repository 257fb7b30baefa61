"""`plugin-host list`: what is found, and for each plugin that cannot run, why. Starts nothing."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import click

from . import output
from .lookup import found
from .option import Options, host_options
from .table import table

if TYPE_CHECKING:
    from plugin_host.candidate import Candidate
    from plugin_host.limit import Enforcement
    from plugin_host.machine import Machine

__all__ = ["command"]

_HELP = """Show the plugins that are found, and for each one that is broken, why.

No plugin is started and no code of theirs is run. Plugins come from installed packages (the entry
points plugin_host.plugins), from --plugin-dir folders and from the configuration.

\b
Examples:
  plugin-host list
  plugin-host list --plugin-dir ./plugins
  plugin-host list --json | jq -r '.[] | select(.status == "broken") | .reason'
"""


@click.command("list", help=_HELP)
@host_options
def command(options: Options) -> None:
    with options.reported():
        candidates = found(options)
        if options.as_json:
            output.write_json([_as_map(one) for one in candidates])
        else:
            output.write(_as_text(candidates))


def _status(candidate: Candidate) -> tuple[str, str]:
    """`ok`, `broken` or `skipped`, and the reason."""
    if candidate.error is not None:
        return "broken", str(candidate.error)
    if candidate.skipped is not None:
        return "skipped", candidate.skipped
    return "ok", ""


def _as_text(candidates: list[Candidate]) -> str:
    if not candidates:
        return "No plugins found: none is installed, and no --plugin-dir names a folder of them.\n"
    rows = [_row(one) for one in candidates]
    text = table(("PLUGIN", "VERSION", "STATUS", "PERMISSIONS", "SOURCE"), rows)
    for one in candidates:
        status, reason = _status(one)
        if reason:
            text += output.printable(f"\n{one.id} is {status}: {reason}", lines=True)
        for enforcement in _enforcements(one):
            if enforcement.reason or not enforcement.is_held:
                text += output.printable(f"\n{one.id}: {enforcement.describe()}", lines=True)
    return text if text.endswith("\n") else text + "\n"


def _row(candidate: Candidate) -> list[str]:
    manifest = candidate.manifest
    version = manifest.version if manifest else ""
    return [candidate.id, version, _status(candidate)[0], _permissions(candidate), candidate.source]


def _permissions(candidate: Candidate) -> str:
    """What was asked for; what of it is withheld stands in parentheses."""
    asked = candidate.manifest.permissions if candidate.manifest else ()
    return " ".join(one if one in candidate.granted else f"({one} withheld)" for one in asked)


def _enforcements(candidate: Candidate) -> tuple[Enforcement, ...]:
    """How this machine would hold the plugin to its limits."""
    limits = candidate.manifest.limits if candidate.manifest else None
    if limits is None or limits == type(limits)():
        return ()
    from plugin_host.limit import plan

    return plan(limits, _machine())


@functools.cache
def _machine() -> Machine:
    """Looked at when the first plugin has limits."""
    from plugin_host.machine import survey

    return survey()


def _as_map(candidate: Candidate) -> dict[str, Any]:
    status, reason = _status(candidate)
    manifest = candidate.manifest
    return {
        "id": candidate.id,
        "version": manifest.version if manifest else None,
        "status": status,
        "reason": reason or None,
        "source": candidate.source,
        "manifest": str(candidate.manifest_file) if candidate.manifest_file else None,
        "name": manifest.name if manifest else None,
        "description": manifest.description if manifest else None,
        "protocol": manifest.protocol if manifest else None,
        "activation": manifest.activation if manifest else None,
        "permissions": {
            "asked": list(manifest.permissions) if manifest else [],
            "granted": list(candidate.granted),
        },
        "limits": {
            one.limit: {"value": one.value, "how": one.how, "reason": one.reason or None}
            for one in _enforcements(candidate)
        },
    }
