"""Running a script that a host sends, as whom it says, with live output and a result.

Without an `executable` the script's `#!` line decides what runs it, else it is /bin/sh.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from plugin_host_sdk.action import ActionFailed, Identity, ScriptResult, run_program

from . import setting, upload
from .scriptfile import ScriptFile

if TYPE_CHECKING:
    import plugin_host_sdk as sdk
    from plugin_host_sdk.action import RunScript, Script

    from .setting import Settings

__all__ = ["check", "environment", "run", "run_script"]

_SHELL = "/bin/sh"
# What the system itself can start: a line that names an interpreter, and a program.
_STARTABLE = (b"#!", b"\x7fELF")
# With it in front the line is a command of /bin/sh, which then does not find one of that name.
_MARKED = b"\xef\xbb\xbf#!"
_MARK_ERROR = "its #! line is behind a byte order mark, as editors on Windows write: save it without one"


def check(ctx: sdk.Context, request: RunScript) -> None:
    """Refuse what is not allowed before anything was done."""
    settings = setting.current(ctx.settings)
    Identity.to_run(request.run_as)
    for file in request.files:
        upload.check_file(file, settings)


def run(ctx: sdk.Context, request: RunScript) -> ScriptResult:
    return run_script(ctx, request, setting.current(ctx.settings), request.timeout)


def run_script(ctx: sdk.Context, script: Script, settings: Settings, timeout: float | None) -> ScriptResult:
    """Write the script's files, run it and wait for its end.

    What keeps it from running at all is in the result's `exec_error`.
    """
    identity = Identity.to_run(script.run_as)
    if script.executable is None and script.data.startswith(_MARKED):
        return ScriptResult(success=False, exec_error=f"the script cannot be executed: {_MARK_ERROR}")
    try:
        for file in script.files:
            upload.write_file(file, settings)
    except ActionFailed as error:
        return ScriptResult(success=False, exec_error=error.message)
    try:
        with ScriptFile(script.data, identity, settings.script_dir) as path:
            return run_program(
                ctx,
                [*_interpreter(script), path, *script.arguments],
                cwd=script.working_directory or ("/" if identity is not None else None),
                env=environment(script, identity, settings),
                identity=identity,
                timeout=timeout,
                kept_bytes=settings.result_bytes,
            )
    except OSError as error:
        return ScriptResult(success=False, exec_error=f"its file cannot be written: {error}")


def environment(script: Script, identity: Identity | None, settings: Settings) -> dict[str, str]:
    """What the script finds: its own environment instead of the plugin's if it has one.

    The plugin's says who another user is; a PATH that is set for scripts counts where the script has none.
    """
    env = dict(script.environment)
    if not env:
        env = dict(os.environ)
        if identity is not None:
            env.pop("XDG_RUNTIME_DIR", None)
            env["HOME"] = identity.home or "/"
            env["USER"] = env["LOGNAME"] = identity.name or str(identity.uid)
    if settings.path is not None and "PATH" not in script.environment:
        env["PATH"] = settings.path
    return env


def _interpreter(script: Script) -> tuple[str, ...]:
    if isinstance(script.executable, str):
        return (script.executable,)
    if script.executable is not None:
        return script.executable
    return () if script.data.startswith(_STARTABLE) else (_SHELL,)
