"""The environment a plugin is started with: an allow-list, what was asked for, and the marks.

Pure: nothing here reads the host's own environment. Invariant: what the host happens to have in its
environment reaches a plugin only by the allow-list or by name, and nobody can set the marks but the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "ALLOWED",
    "COOKIE_NAME",
    "COOKIE_VALUE",
    "NEVER_INHERITED",
    "RUN_MARK_NAME",
    "build_environment",
    "run_token",
    "run_tokens",
]

# A trailing * matches the rest of a name.
ALLOWED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_*",
    "TZ",
    "TERM",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
)
# Without .pyc files a plugin starts 30 times slower than a bare interpreter (with them 1.4 times).
NEVER_INHERITED = frozenset({"PYTHONDONTWRITEBYTECODE"})

# Tells a program that it was started by a host and not by hand. No secret, and no security claim.
COOKIE_NAME = "PLUGIN_HOST_COOKIE"
COOKIE_VALUE = "a host started this process"

# Holds one token for each host above the process, outermost first, separated by spaces. Descendants
# keep it, so one that left the process tree is still found by it.
RUN_MARK_NAME = "PLUGIN_HOST_RUN"


def run_token(run: str, plugin: str, launch: int) -> str:
    """The token of one launch: `<run id>/<plugin id>/<n>`. Raises ValueError for unfit ids."""
    for part in (run, plugin):
        if not part or "/" in part or any(c.isspace() or c == "\0" for c in part):
            raise ValueError(f"{part!r} cannot be part of a run token: no space and no '/' may be in it")
    return f"{run}/{plugin}/{launch}"


def run_tokens(mark: str | None) -> tuple[str, ...]:
    """The tokens in a value of PLUGIN_HOST_RUN, outermost first."""
    return tuple(mark.split()) if mark else ()


def build_environment(
    outer: Mapping[str, str],
    *,
    token: str,
    inherit: Iterable[str] = (),
    launch: Mapping[str, str] | None = None,
    configured: Mapping[str, str] | None = None,
    replaced: Mapping[str, str | None] | None = None,
    fixed: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The environment of one launch; `outer` is the host's own.

    `inherit` names variables to take from `outer` besides the allow-list (`NAME`, or `NAME_*`
    for all that begin so), `launch` is the manifest's `env`, `configured` the operator's and wins over it.
    `replaced` stands in for what the host has, with None for what is left out; `fixed` nobody can change.
    """
    environment = _inherited(outer, (*ALLOWED, *inherit))
    for name, value in (replaced or {}).items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    environment.update(launch or {})
    environment.update(configured or {})
    environment.update(fixed or {})
    environment[COOKIE_NAME] = COOKIE_VALUE
    environment[RUN_MARK_NAME] = " ".join((*run_tokens(outer.get(RUN_MARK_NAME)), token))
    return environment


def _inherited(outer: Mapping[str, str], wanted: tuple[str, ...]) -> dict[str, str]:
    names = frozenset(wanted) - NEVER_INHERITED
    prefixes = tuple(name[:-1] for name in wanted if name.endswith("*"))
    return {
        name: value
        for name in outer  # and not all values, each of which os.environ decodes
        if (name in names or (name.startswith(prefixes) and name not in NEVER_INHERITED))
        and not (value := outer.get(name, "()")).startswith("()")  # bash exports functions so: code
    }
