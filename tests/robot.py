"""A plugin with actions for the test's use: `robot` runs scripts by sh, keeps uploads, refuses to reboot.

What is tested with it is the way of an action from whoever wants it to the plugin and back; what the
actions of a real plugin do is tested with `plugins/automation`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plugin_host import PluginHost
from tests.stage import stage, write_plugin

__all__ = ["robot", "write_robot"]

CODE = """
    kept = {}

    def run_script(ctx, request):
        environment = request.environment or None
        if environment is not None:
            environment = {"PATH": os.environ["PATH"], **environment}
        return action.run_program(
            ctx,
            ["sh", "-c", request.data.decode()],
            env=environment,
            cwd=request.working_directory,
            timeout=request.timeout,
        )

    def upload_file(ctx, request):
        digest, size = hashlib.sha256(), 0
        with open(request.path, "wb") as file:
            for piece in ctx.action.data:
                digest.update(piece)
                size += file.write(piece)
        return action.UploadResult(path=request.path, size=size, sha256=digest.hexdigest())

    def upload_file_and_exit(ctx, request):
        ctx.action.after_reply(ctx.action.end_plugin)
        return upload_file(ctx, request)

    def exit(ctx, request):
        ctx.action.after_reply(ctx.action.end_plugin)
        return action.Done(message="leaving")

    def refuse(ctx, request):
        raise action.ActionRefused("rebooting is not allowed", data={"option": "allow_reboot"})

    def shutdown(ctx, request):
        os._exit(7)

    def update_key(ctx, request):
        if request.phase == "offer":
            kept["offered"] = request.key
            return action.KeyResult(state="offered", nonce="n1")
        if request.phase == "prove":
            if request.proof != action.key_proof(kept["offered"], "n1") or kept["offered"] == "bad":
                raise action.KeyRejected("the proof is not right")
            return action.KeyResult(state="proved", fingerprint="f1")
        return action.KeyResult(state={"drop": "dropped", "withdraw": "withdrawn"}[request.phase])

    def register(ctx, request):
        if request.key != "let me in":
            raise action.KeyRejected("not the registration key")
        kept["offered"] = "new key"
        result = action.ScriptResult(success=True, code=0, stdout=b"first\\n")
        report = action.ScriptReport(name="first-run", ran=True, result=result)
        return action.RegisterResult(key="new key", nonce="n1", scripts=(report,))

    action.register_plugin(plugin, action.PluginOpts(
        run_script=run_script,
        upload_file=upload_file,
        upload_file_and_exit=upload_file_and_exit,
        reload_config=lambda ctx, request: action.ReloadResult(restart=True),
        exit=exit,
        reboot=action.Handler("reboot", lambda ctx, request: None, check=refuse),
        shutdown=shutdown,
        update_key=update_key,
        register=register,
        heartbeat=lambda ctx, request: action.HeartbeatResult(
            nonce=request.nonce, versions={"robot": "1.0.0"}
        ),
        keepalive=0.05,
    ))

    @plugin.command("pid")
    def pid(ctx):
        return os.getpid()
"""
HEAD = "import hashlib, os\nfrom plugin_host_sdk import action"


def write_robot(folder: Path, **keys: Any) -> Path:
    """Write the plugin `robot` into `folder/plugins`, which is returned."""
    return write_plugin(folder / "plugins", "robot", CODE, head=HEAD, **keys)


def robot(folder: Path, *, options: dict[str, Any] | None = None, **keys: Any) -> PluginHost:
    """A host with the plugin `robot`; `keys` go into its manifest, `options` to the host."""
    return stage("robot", dirs=[write_robot(folder, **keys)], **(options or {}))
