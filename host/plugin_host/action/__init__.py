"""Actions: what a host has its plugins do, and how it is told.

    run = await host.actions.trigger("automation", action.RunScript(data=b"echo hello"))
    async for piece in run.output():
        print(piece.stream, piece.data)
    print(await run.result())

The requests and results are those of the plugin's side; see `plugin_host_sdk.types.action`.
"""

from plugin_host_sdk.types.action import (
    Done,
    Exit,
    File,
    Heartbeat,
    HeartbeatResult,
    KeyResult,
    Properties,
    Reboot,
    Register,
    RegisterResult,
    ReloadConfig,
    ReloadResult,
    Request,
    RunAs,
    RunScript,
    ScriptReport,
    ScriptResult,
    Shutdown,
    UpdateKey,
    UploadFile,
    UploadFileAndExit,
    UploadResult,
    key_fingerprint,
    key_proof,
)

from .info import ActionInfo
from .reader import ActionOutput
from .run import ActionRun

__all__ = [
    "ActionInfo",
    "ActionOutput",
    "ActionRun",
    "Done",
    "Exit",
    "File",
    "Heartbeat",
    "HeartbeatResult",
    "KeyResult",
    "Properties",
    "Reboot",
    "Register",
    "RegisterResult",
    "ReloadConfig",
    "ReloadResult",
    "Request",
    "RunAs",
    "RunScript",
    "ScriptReport",
    "ScriptResult",
    "Shutdown",
    "UpdateKey",
    "UploadFile",
    "UploadFileAndExit",
    "UploadResult",
    "key_fingerprint",
    "key_proof",
]
