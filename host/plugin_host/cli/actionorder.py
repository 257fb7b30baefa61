"""`plugin-host action reload`, `exit`, `reboot`, `shutdown` and `heartbeat`: orders without data."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from plugin_host.errors import ActionFailed

from . import output
from .actionreach import done, restarted
from .option import Options, host_options, reach_options
from .wordcompletion import plugin_words

if TYPE_CHECKING:
    import msgspec

__all__ = ["exit", "heartbeat", "reboot", "reload", "shutdown"]

_RESTARTED = "read; the plugin was restarted for it"

_HELPS = {
    "exit": """End the process of PLUGIN after it has answered.

Whether it is started again is for its restart policy to say: plugin-host stop stops it for good.
""",
    "reboot": """Start the machine on which PLUGIN runs anew.

The plugin refuses unless its settings allow it.
""",
    "shutdown": """Switch the machine on which PLUGIN runs off.

The plugin refuses unless its settings allow it.
""",
    "reload": """Have PLUGIN read its own configuration again. If that takes a restart of it, it is
restarted.

To look at its manifest and code anew is another matter: plugin-host reload.
""",
    "heartbeat": """Ask PLUGIN for a sign of life, its versions and the properties of its machine.
""",
}


def _request(name: str) -> msgspec.Struct:
    from plugin_host_sdk.types import action

    if name == "heartbeat":
        return action.Heartbeat(nonce=secrets.token_hex(16))
    kinds = {"exit": action.Exit, "reboot": action.Reboot, "shutdown": action.Shutdown}
    return kinds.get(name, action.ReloadConfig)()


def _command(name: str) -> click.Command:
    @click.command(name, help=_HELPS[name])
    @click.argument("plugin", shell_complete=plugin_words)
    @host_options
    @reach_options
    def command(options: Options, plugin: str) -> None:
        with options.reported():
            import msgspec

            from . import interruption

            request = _request(name)
            result, was_restarted = interruption.run(_order(options, plugin, request))
            if name == "heartbeat" and result.nonce != getattr(request, "nonce", ""):
                raise ActionFailed(f"{plugin} answered with another nonce than it was sent")
            if options.as_json:
                output.write_json(msgspec.to_builtins(result))
            else:
                lines = [_RESTARTED] if was_restarted else _TEXTS.get(name, _message)(plugin, result)
                output.write("".join(f"{output.printable(line)}\n" for line in lines))

    return command


async def _order(options: Options, plugin: str, request: msgspec.Struct) -> tuple[Any, bool]:
    """The result, and whether the plugin was restarted, as it had asked to be."""
    result = await done(options, plugin, request)
    return result, getattr(result, "restart", False) and await restarted(options, plugin)


def _message(plugin: str, result: Any) -> Sequence[str]:
    return [result.message or "done"]


def _reloaded(plugin: str, result: Any) -> Sequence[str]:
    if result.restart:
        return ["read; it is in force when the plugin is started next"]
    return ["read, and in force"]


def _beaten(plugin: str, result: Any) -> Sequence[str]:
    import msgspec

    known = {**result.versions, **msgspec.to_builtins(result.properties)}
    return [f"{name}: {value}" for name, value in known.items() if value]


_TEXTS: dict[str, Callable[[str, Any], Sequence[str]]] = {"reload": _reloaded, "heartbeat": _beaten}

exit = _command("exit")
reboot = _command("reboot")
shutdown = _command("shutdown")
reload = _command("reload")
heartbeat = _command("heartbeat")
