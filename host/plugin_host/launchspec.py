"""From a sound candidate to what is spawned for it: command line, environment, channel.

Pure but for the environment it is given; nothing is started here.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from .candidate import interpreter_of
from .environment import build_environment
from .errors import SpawnError
from .process import DUMP_FD, ProcessSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .candidate import Candidate
    from .confinement import Confinement
    from .manifest import Manifest

__all__ = ["process_spec"]

_SERVE = "from plugin_host_sdk.__main__ import main; main()"


def process_spec(
    candidate: Candidate,
    manifest: Manifest,
    token: str,
    outer: Mapping[str, str],
    confinement: Confinement | None = None,
) -> ProcessSpec:
    """What to spawn. `token` marks the launch, `outer` is the host's own environment.

    `confinement` is what holds this launch to its limits; None when there is nothing to hold it to.

    Raises ManifestError and SpawnError.
    """
    launch = manifest.launch
    return ProcessSpec(
        argv=_argv(candidate, manifest, confinement.options if confinement else []),
        cwd=_relative_to_root(candidate, launch.cwd) if launch.cwd else None,
        env=build_environment(
            outer, token=token, inherit=launch.inherit_env, launch=launch.env, configured=candidate.env
        ),
        # On a socketpair `/dev/stdout` cannot be opened and one direction cannot be closed alone, which
        # programs that know nothing of the SDK may want to do.
        channel="pipes" if launch.argv else "socketpair",
        prefix=confinement.prefix if confinement else (),
        pass_fds=confinement.pass_fds if confinement else (),
    )


def _argv(candidate: Candidate, manifest: Manifest, options: list[str]) -> list[str]:
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
