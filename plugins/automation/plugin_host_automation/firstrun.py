"""Scripts that run once in the life of a machine, and what became of them.

    state_dir/first_run    the results by name

Invariant: a script is begun at most once. One whose end nobody has seen, because the plugin was killed
meanwhile, is not run again and reported so.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec

from plugin_host_sdk.action import ActionFailed, Script, ScriptReport, ScriptResult

from .script import run_script

if TYPE_CHECKING:
    import plugin_host_sdk as sdk
    from plugin_host_sdk.action import Properties

    from .setting import FirstRun, Settings
    from .state import State

__all__ = ["run_once"]

_RECORD = "first_run"
_LOOK_S = 0.2  # whether who waits for another registration's scripts was cancelled
_LOST = ScriptResult(
    success=False, reason="it was begun with an earlier registration, and nobody has seen its end"
)


def run_once(
    ctx: sdk.Context, settings: Settings, state: State, properties: Properties
) -> tuple[ScriptReport, ...]:
    """Run those that match and have not been run, in their order; the reports of all that match."""
    while not state.first_run.acquire(timeout=_LOOK_S):
        ctx.check()
    try:
        reports = []
        for script in settings.first_run:
            if _matches(script, properties):
                reports.append(_report(ctx, settings, state, script))
        return tuple(reports)
    finally:
        state.first_run.release()


def _report(ctx: sdk.Context, settings: Settings, state: State, script: FirstRun) -> ScriptReport:
    record = _load(state)
    if script.name in record:
        return ScriptReport(name=script.name, ran=False, result=record[script.name])
    ctx.check()
    data = _read(script)
    _keep(state, record | {script.name: _LOST})  # in case that nobody will see its end
    asked = Script(name=script.name, data=data, executable=script.executable)
    result = run_script(ctx, asked, settings, script.timeout)
    _keep(state, record | {script.name: result})
    return ScriptReport(name=script.name, ran=True, result=result)


def _matches(script: FirstRun, properties: Properties) -> bool:
    return all(
        fnmatchcase(getattr(properties, name, ""), pattern) for name, pattern in script.match.items()
    )


def _read(script: FirstRun) -> bytes:
    try:
        with open(script.file, "rb") as file:
            return file.read()
    except OSError as error:
        raise ActionFailed(
            f"the first-run script {script.name!r} cannot be read: {script.file}: {error.strerror}"
        ) from None


def _load(state: State) -> dict[str, ScriptResult]:
    data = state.read(_RECORD)
    if data is None:
        return {}
    try:
        return msgspec.msgpack.decode(data, type=dict[str, ScriptResult])
    except msgspec.DecodeError as error:
        raise ActionFailed(f"{state.path}/{_RECORD} is not what was written: {error}") from None


def _keep(state: State, record: dict[str, ScriptResult]) -> None:
    state.write(_RECORD, msgspec.msgpack.encode(record))
