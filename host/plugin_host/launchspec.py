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
from .environment import build_environment
from .errors import SpawnError
from .isolation import Isolation
from .process import DUMP_FD, ProcessSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .bytecode import BytecodeFolders
    from .candidate import Candidate
    from .confinement import Confinement
    from .manifest import Launch, Manifest

__all__ = ["isolate", "process_spec", "restraints"]

_SERVE = "from plugin_host_sdk.__main__ import main; main()"


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
    confinement: Confinement | None = None,
    isolation: Isolation | None = None,
) -> ProcessSpec:
    """What to spawn. `token` marks the launch, `outer` is the host's own environment, `isolation` what
    `isolate` said.

    `confinement` is what holds this launch to its limits; None when there is nothing to hold it to.

    Raises ManifestError and SpawnError.
    """
    launch, trust = manifest.launch, candidate.trust
    isolation = isolation or Isolation()
    cwd = _cwd(candidate, manifest)
    return ProcessSpec(
        argv=_argv(candidate, manifest, confinement.options if confinement else []),
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
        prefix=confinement.prefix if confinement else (),
        pass_fds=confinement.pass_fds if confinement else (),
        account=isolation.account,
        umask=trust.umask,
        wrapper=isolation.wrapper,
        sandboxed=bool(isolation.wrapper),
        is_forkable=launch.warm and launch.entry_point is not None and not _names_interpreter(launch),
    )


def _names_interpreter(launch: Launch) -> bool:
    return launch.interpreter is not None or launch.venv is not None


def restraints(candidate: Candidate) -> tuple[str, ...]:
    """What the SDK's start-up or the shim is told besides limits; a sandbox does it by itself."""
    trust = candidate.trust
    return ("--no-new-privs",) if trust.no_new_privs and trust.sandbox is None else ()


def _cwd(candidate: Candidate, manifest: Manifest) -> str | None:
    cwd = manifest.launch.cwd
    return _relative_to_root(candidate, cwd) if cwd else None


def _argv(candidate: Candidate, manifest: Manifest, options: Sequence[str] = ()) -> list[str]:
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
    paths = [part for folder in candidate.sys_path for part in ("--path", folder)]
    # -P: the working folder is nobody's package. -c: what `-m plugin_host_sdk` does, without the
    # milliseconds that finding a module to run takes.
    words = [interpreter, "-P", "-c", _SERVE, *options, "--stacks-fd", DUMP_FD, *paths]
    return [*words, str(launch.entry_point)]


def _relative_to_root(candidate: Candidate, path: str) -> str:
    if os.path.isabs(path) or candidate.root is None:
        return path
    # Nothing else is taken out of a path: what `..` means is the file system's to say.
    return os.path.join(candidate.root, path.removeprefix("./"))
