"""What would be started for each plugin, and whether it is there.

Starts nothing. A plugin whose program or user is wrong is a finding and is looked at no further.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plugin_host.account import account_of
from plugin_host.diagnosis import foresee
from plugin_host.environment import run_token
from plugin_host.errors import LaunchError, ManifestError
from plugin_host.isolation import Isolation, check_reach
from plugin_host.launchspec import process_spec
from plugin_host.process import DUMP_FD

from .finding import Finding, fault, ok

if TYPE_CHECKING:
    from collections.abc import Iterable

    from plugin_host.account import Account
    from plugin_host.candidate import Candidate
    from plugin_host.manifest import Manifest
    from plugin_host.process import ProcessSpec

__all__ = ["Launching", "prepare"]

_SECTION = "programs"


@dataclass(frozen=True, slots=True)
class Launching:
    """A plugin whose program can be started, as far as can be seen."""

    candidate: Candidate
    manifest: Manifest
    spec: ProcessSpec

    @property
    def is_python(self) -> bool:
        """Whether the SDK serves it."""
        return self.manifest.launch.entry_point is not None

    @property
    def account(self) -> Account | None:
        """Whom it is to run as."""
        return self.spec.account


def prepare(candidates: Iterable[Candidate]) -> tuple[list[Launching], list[Finding]]:
    """What would be started for those that have a manifest, and what speaks against it."""
    launchings, findings = [], []
    for candidate in candidates:
        if candidate.manifest is None:
            continue
        found = _launching(candidate, candidate.manifest)
        if isinstance(found, Finding):
            findings.append(found)
            continue
        launchings.append(found)
        if not found.is_python:
            findings.append(ok(_SECTION, candidate.id, str(found.spec.argv[0])))
        if found.account is not None:
            findings.append(ok("users", candidate.id, f"runs as {found.account.name}"))
    return launchings, findings


def _launching(candidate: Candidate, manifest: Manifest) -> Launching | Finding:
    trust = candidate.trust
    try:
        account = account_of(candidate.id, trust.user, trust.group) if trust.user else None
    except LaunchError as error:
        return fault("users", candidate.id, str(error), error.hint or "")
    isolation = Isolation(account=account, replaced=dict(account.variables) if account else {})
    token = run_token("doctor", candidate.id, 1)
    try:
        spec = process_spec(candidate, manifest, token, os.environ, isolation=isolation)
    except (LaunchError, ManifestError) as error:
        return fault(_SECTION, candidate.id, str(error), getattr(error, "hint", None) or "")
    argv = ["-1" if word == DUMP_FD else word for word in spec.argv]
    if refusal := foresee(argv, spec.cwd, spec.env, account):
        return fault(_SECTION, candidate.id, str(refusal), _advice(manifest, refusal.hint or ""))
    if account is not None:
        program = spec.argv[0]
        try:
            check_reach(candidate, account, program if os.path.isabs(program) else None)
        except LaunchError as error:
            return fault("users", candidate.id, str(error), error.hint or "")
    return Launching(candidate, manifest, spec)


def _advice(manifest: Manifest, hint: str) -> str:
    venv = manifest.launch.venv
    return f"{hint}; the environment is made with: python3 -m venv {venv}" if venv else hint
