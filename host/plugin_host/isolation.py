"""What keeps a plugin to itself: the user it runs as, its sandbox, and where these do not fit.

Owns the step from the operator's words to what a launch does about them. Looks at users, files and the
system, so it blocks; starts nothing of a plugin. Invariant: what was asked for is done in full, or the
plugin is not started and a LaunchError says why.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import bubblewrap
from .access import mode_and_owner, obstacle
from .account import Account, account_of
from .errors import LaunchError
from .installation import folders_of, package_in
from .sandbox import HIDDEN, View, command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .bytecode import BytecodeFolders
    from .candidate import Candidate
    from .trust import Sandbox

__all__ = ["Isolation", "check_reach", "isolate"]

# What the host has of its own user, and what lies in folders that a sandbox hides.
_HOSTS_OWN: dict[str, str | None] = {"XDG_RUNTIME_DIR": None, "TMPDIR": None}


@dataclass(frozen=True, slots=True)
class Isolation:
    """What a launch adds to a plugin's own command line and environment; by default nothing.

    `wrapper` comes before the command line. `replaced` stands in for variables of the host (None: left
    out); `fixed` wins over everybody's. `unmet` says in words what the plugin needs and was not granted.
    """

    account: Account | None = None
    wrapper: tuple[str, ...] = ()
    replaced: Mapping[str, str | None] = field(repr=False, default_factory=dict)
    fixed: Mapping[str, str] = field(repr=False, default_factory=dict)
    unmet: tuple[str, ...] = ()

    @property
    def is_elsewhere(self) -> bool:
        """Whether the host's own working folder is not the plugin's to start in."""
        return self.account is not None or bool(self.wrapper)


def isolate(
    candidate: Candidate,
    argv: Sequence[str],
    cwd: str | None,
    outer: Mapping[str, str],
    bytecode: BytecodeFolders,
) -> Isolation:
    """How `candidate` is kept to itself when `argv` is run in `cwd`; `outer` is the host's environment.

    Raises LaunchError. Blocks: a look at some files, and 10 ms for a sandbox.
    """
    trust = candidate.trust
    account = account_of(candidate.id, trust.user, trust.group) if trust.user else None
    program = _located(argv[0], cwd, candidate.env.get("PATH", outer.get("PATH", "")), account)
    try:
        fixed = bytecode.environment_for(candidate, account)
    except OSError as error:
        raise LaunchError(
            f"plugin `{candidate.id}` has a checksum, and no folder for its bytecode can be made: {error}",
            plugin=candidate.id,
        ) from error
    if account is not None:
        check_reach(candidate, account, program)
    replaced = dict(account.variables) if account else {}
    if account is None and trust.sandbox is None:
        return Isolation(fixed=fixed)
    wrapper: tuple[str, ...] = ()
    if trust.sandbox is not None:
        wrapper = _wrapper(candidate, trust.sandbox, account, program, cwd, outer, tuple(fixed.values()))
    return Isolation(account, wrapper, {**_HOSTS_OWN, **replaced}, fixed, tuple(_unmet(candidate)))


def _located(program: str, cwd: str | None, search: str, account: Account | None) -> str | None:
    """The program's absolute path, with its links; None when there is none, which the launch explains.

    Of those in the folders of `search` it is the first that the account can run.
    """
    if os.sep in program:
        return os.path.normpath(os.path.join(cwd or os.getcwd(), program))
    places = [os.path.join(os.path.abspath(folder), program) for folder in search.split(os.pathsep)]
    found = [place for place in places if os.path.isfile(place)]
    runnable = (place for place in found if obstacle(place, os.X_OK, account) is None)
    return next(runnable, found[0] if found else None)


def check_reach(candidate: Candidate, account: Account, program: str | None) -> None:
    """Raise LaunchError unless the user can reach the program, the plugin's folders and the SDK.

    `program` is an absolute path; None where there is none to look at.
    """
    for path, bits in _reached(candidate, program):
        found = obstacle(path, bits, account)
        if found is None:
            continue
        verb = "search" if found.is_folder_on_the_way else "run" if bits == os.X_OK else "read"
        way = f", which is on the way to {path}" if found.path != path else ""
        raise LaunchError(
            f"plugin `{candidate.id}` cannot run as user {account.name}, who may not {verb} "
            f"{found.path} ({mode_and_owner(found.path)}){way}",
            plugin=candidate.id,
            file=found.path,
            hint=f"allow {account.name} to {verb} it, or put the plugin and its Python elsewhere",
        )


def _reached(candidate: Candidate, program: str | None) -> Iterator[tuple[str, int]]:
    folders = (*([str(candidate.root)] if candidate.root else ()), *candidate.sys_path)
    yield from ((folder, os.R_OK | os.X_OK) for folder in folders)
    if program is None:
        return
    yield program, os.X_OK
    if _is_python(program):
        yield os.path.dirname(os.path.dirname(os.path.realpath(program))), os.R_OK | os.X_OK
        sdk = package_in(program, "plugin_host_sdk")
        if sdk is not None:
            yield sdk, os.R_OK | os.X_OK


def _is_python(program: str) -> bool:
    return os.path.basename(os.path.realpath(program)).startswith(("python", "pypy"))


# The sandbox.


def _wrapper(
    candidate: Candidate,
    sandbox: Sandbox,
    account: Account | None,
    program: str | None,
    cwd: str | None,
    outer: Mapping[str, str],
    private: tuple[str, ...],
) -> tuple[str, ...]:
    if problem := bubblewrap.problem(outer, account):
        raise LaunchError(
            f"plugin `{candidate.id}` is configured to run in a sandbox, and {problem.why}",
            plugin=candidate.id,
            hint=problem.hint,
        )
    bwrap = bubblewrap.find(outer)
    assert bwrap is not None  # it was just tried
    for name in ("writable", "readable"):
        for path in getattr(sandbox, name):
            if not os.path.exists(path):
                raise LaunchError(
                    f"plugin `{candidate.id}`: `{name}` of its sandbox names {path}, which does not exist",
                    plugin=candidate.id,
                    file=path,
                    hint="make it, or correct the configuration",
                )
    hidden = tuple(path for path in HIDDEN if os.path.isdir(path) and not os.path.islink(path))
    shown_whole = not sandbox.readable
    needed = _needed(candidate, program, sandbox.network and shown_whole)
    view = View(
        needed=tuple(_visible(needed, hidden if shown_whole else ("/",), sandbox.writable)),
        readable=None if shown_whole else tuple(map(os.path.realpath, sandbox.readable)),
        writable=tuple(map(os.path.realpath, (*sandbox.writable, *private))),
        hidden=hidden,
        network=sandbox.network,
        cwd=cwd,
    )
    return tuple(command(bwrap, view))


def _needed(candidate: Candidate, program: str | None, names_hosts: bool) -> list[str]:
    """What the plugin cannot start without, as it is written."""
    found = [str(candidate.root)] if candidate.root else []
    found += candidate.sys_path
    found += candidate.env.get("PYTHONPATH", "").split(os.pathsep)
    if program is not None:
        found += folders_of(program) if _is_python(program) else (program,)
    if names_hosts:
        found.append(os.path.realpath("/etc/resolv.conf"))
    return [path for path in found if os.path.isabs(path) and os.path.exists(path)]


def _visible(
    needed: Iterable[str], hidden: Iterable[str], writable: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Those to be shown expressly, since they lie in what is hidden, and those to be kept from writing.

    Each stands where it really is, and under the name by which it is asked for when that is hidden too.
    """
    held = tuple(map(os.path.realpath, writable))
    for path in needed:
        real = os.path.realpath(path)
        if _is_within(real, (*hidden, *held)):
            yield real, real
        if path != real and _is_within(path, hidden):
            yield real, path


def _is_within(path: str, folders: Iterable[str]) -> bool:
    return any(os.path.join(path, "").startswith(os.path.join(folder, "")) for folder in folders)


def _unmet(candidate: Candidate) -> Iterator[str]:
    """What the manifest says it needs in a sandbox and the operator did not grant."""
    sandbox, manifest = candidate.trust.sandbox, candidate.manifest
    if sandbox is None or manifest is None:
        return
    if manifest.sandbox.network and not sandbox.network:
        yield "the network"
    granted = tuple(map(os.path.realpath, sandbox.writable))
    for path in manifest.sandbox.writable:
        real = os.path.realpath(os.path.join(candidate.root or "/", path))
        if not _is_within(real, granted):
            yield f"writing to {real}"
