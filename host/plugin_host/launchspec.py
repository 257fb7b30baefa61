"""From a sound candidate to what is spawned for it: command line, environment, channel, user, sandbox.

Nothing of the plugin is started here.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from . import isolation
from .candidate import interpreter_of
from .isolation import Isolation
from .environment import build_environment
from .errors import SpawnError
from .process import ProcessSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .bytecode import BytecodeFolders
    from .candidate import Candidate
    from .manifest import Manifest

__all__ = ["isolate", "process_spec"]

_SERVE = "from plugin_host_sdk.__main__ import main; main()"
_GIVE_UP = "from plugin_host_sdk.runtime.privilege import main; main()"


async def isolate(
    candidate: Candidate, manifest: Manifest, outer: Mapping[str, str], bytecode: BytecodeFolders
) -> Isolation:
    """How the plugin is kept to itself. Raises LaunchError and ManifestError before anything runs.

    At once for a plugin of which nothing of the kind is asked; else a thread looks at files and users.
    """
    trust = candidate.trust
    if not (trust.user or trust.sandbox or manifest.checksum or candidate.pin):
        return Isolation()
    argv, cwd = _argv(candidate, manifest), _cwd(candidate, manifest)
    return await asyncio.to_thread(isolation.isolate, candidate, argv, cwd, outer, bytecode)


def process_spec(
    candidate: Candidate,
    manifest: Manifest,
    token: str,
    outer: Mapping[str, str],
    isolation: Isolation | None = None,
) -> ProcessSpec:
    """What to spawn. `token` marks the launch, `outer` is the host's own environment, `isolation` what
    `isolate` said.

    Raises ManifestError and SpawnError.
    """
    launch, trust = manifest.launch, candidate.trust
    isolation = isolation or Isolation()
    cwd = _cwd(candidate, manifest)
    return ProcessSpec(
        argv=_argv(candidate, manifest),
        cwd="/" if cwd is None and isolation.is_elsewhere else cwd,
        env=build_environment(
            outer,
            token=token,
            inherit=launch.inherit_env,
            launch=launch.env,
            configured=candidate.env,
            replaced=isolation.replaced,
            fixed=isolation.fixed,
        ),
        # On a socketpair `/dev/stdout` cannot be opened and one direction cannot be closed alone, which
        # programs that know nothing of the SDK may want to do.
        channel="pipes" if launch.argv else "socketpair",
        account=isolation.account,
        umask=trust.umask,
        wrapper=isolation.wrapper or _giving_up(candidate, manifest),
        sandboxed=bool(isolation.wrapper),
    )


def _cwd(candidate: Candidate, manifest: Manifest) -> str | None:
    cwd = manifest.launch.cwd
    return _relative_to_root(candidate, cwd) if cwd else None


def _argv(candidate: Candidate, manifest: Manifest) -> list[str]:
    launch = manifest.launch
    if launch.argv:
        program = launch.argv[0]
        if os.sep in program:
            program = _relative_to_root(candidate, program)
        return [program, *launch.argv[1:]]
    interpreter = interpreter_of(manifest, candidate.root) or sys.executable
    if not interpreter:
        raise SpawnError(
            f"plugin `{manifest.id}`: this host does not know its own interpreter; "
            "name one in launch.interpreter",
            plugin=manifest.id,
        )
    options = ["--no-new-privs"] if _gives_up(candidate) else []
    paths = [part for folder in candidate.sys_path for part in ("--path", folder)]
    # -P: the working folder is nobody's package. -c: what `-m plugin_host_sdk` does, without the
    # milliseconds that finding a module to run takes.
    return [interpreter, "-P", "-c", _SERVE, *options, *paths, str(launch.entry_point)]


def _gives_up(candidate: Candidate) -> bool:
    """Whether the launch is to see to `no_new_privs`; a sandbox does so by itself."""
    return candidate.trust.no_new_privs and candidate.trust.sandbox is None


def _giving_up(candidate: Candidate, manifest: Manifest) -> tuple[str, ...]:
    """What a program that the SDK does not serve is started through; the SDK does the same by itself."""
    if manifest.launch.argv and _gives_up(candidate):
        return (sys.executable, "-P", "-c", _GIVE_UP)
    return ()


def _relative_to_root(candidate: Candidate, path: str) -> str:
    if os.path.isabs(path) or candidate.root is None:
        return path
    # Nothing else is taken out of a path: what `..` means is the file system's to say.
    return os.path.join(candidate.root, path.removeprefix("./"))
