"""Whether sandboxes can be made, and whether those that are wanted have what they name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from plugin_host import bubblewrap

from .finding import Finding, fault, note, ok

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from plugin_host.bubblewrap import Problem

    from .launching import Launching

__all__ = ["find", "judge"]

_SECTION = "sandbox"


def find(launchings: Iterable[Launching]) -> Iterator[Finding]:
    """The system first, then each plugin that is to run in one. Makes one, which takes some 10 ms."""
    general = bubblewrap.problem(os.environ)
    if general is None:
        yield ok(_SECTION, "bubblewrap", str(bubblewrap.find(os.environ)))
    else:
        yield note(_SECTION, "bubblewrap", general.why, general.hint)
    for one in launchings:
        sandbox = one.candidate.trust.sandbox
        if sandbox is not None:
            problem = bubblewrap.problem(os.environ, one.account) if one.account else general
            paths = (*sandbox.writable, *sandbox.readable)
            yield from judge(one.candidate.id, problem, [p for p in paths if not os.path.exists(p)])


def judge(plugin: str, problem: Problem | None, missing: Iterable[str]) -> Iterator[Finding]:
    """What is wrong with the sandbox of a plugin; `missing` are paths of it that are not there."""
    found = [fault(_SECTION, plugin, f"no sandbox: {problem.why}", problem.hint)] if problem else []
    for path in missing:
        text = f"its sandbox names {path}, which does not exist"
        found.append(fault(_SECTION, plugin, text, "make it, or correct the configuration"))
    yield from found or [ok(_SECTION, plugin, "runs in a sandbox")]
