"""`plugin-host action list` and `cancel`: the actions of the running host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from . import output
from .option import Options, client_options
from .wordcompletion import action_words, running_words

if TYPE_CHECKING:
    from plugin_host.control import ControlClient

__all__ = ["cancel", "list_actions"]

_LIST = """Show the actions of the running host, or of one of its plugins.

Those that run are shown, and the newest that have ended.
"""

_CANCEL = """Ask each ACTION of the running host to end.

A script and all that it started get SIGTERM, and SIGKILL when --grace has passed. One that has ended is no
error. ACTION is an id, or the beginning of one; plugin-host action list shows them.
"""


@click.command("list", help=_LIST)
@click.argument("plugin", required=False, shell_complete=running_words)
@client_options
def list_actions(options: Options, plugin: str | None) -> None:
    with options.reported():
        from .contact import visit

        async def listed(client: ControlClient) -> list[dict[str, Any]]:
            import msgspec

            from .pluginlist import find_plugin

            if plugin is not None:
                await find_plugin(client, plugin)
            return [msgspec.to_builtins(one) for one in await client.actions.list(plugin)]

        found = visit(options, "action", listed)
        if options.as_json:
            output.write_json(found)
        else:
            output.write(_table(found))


def _table(found: list[dict[str, Any]]) -> str:
    import time

    from .duration import brief_duration
    from .table import table

    now = time.time()
    rows = [
        (
            one["id"],
            one["plugin"],
            one["kind"],
            one["state"],
            brief_duration(now - one["started_at"]),
            brief_duration(now - one["last_sign"]),
        )
        for one in found
    ]
    return table(("ID", "PLUGIN", "ACTION", "STATE", "BEGAN", "LAST SIGN"), rows)


@click.command("cancel", help=_CANCEL)
@click.argument("actions", metavar="ACTION...", nargs=-1, required=True, shell_complete=action_words)
@click.option("--reason", metavar="TEXT", default="", help="For who reads how it ended.")
@click.option(
    "--grace",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=2.0,
    show_default=True,
    help="Between asking and killing.",
)
@client_options
def cancel(options: Options, actions: tuple[str, ...], reason: str, grace: float) -> None:
    with options.reported():
        from .contact import visit
        from .outcome import outcomes, report

        async def cancel(client: ControlClient) -> list[Any]:
            known = [one.id for one in await client.actions.list()]

            async def cancel_one(name: str) -> dict[str, str]:
                id = _chosen(name, known)
                return {"action": id, "state": await client.actions.cancel(id, reason, grace=grace)}

            return await outcomes(actions, cancel_one)

        def text(done: Any) -> str:
            return f"{done['action']}: {done['state'].replace('_', ' ')}"

        report(options, actions, visit(options, "action", cancel), text)


def _chosen(name: str, known: list[str]) -> str:
    """The id that is meant. Raises ActionNotFound, ActionInvalid."""
    from plugin_host.errors import ActionInvalid, ActionNotFound
    from plugin_host.wording import suggestion

    found = [id for id in known if id == name] or [id for id in known if name and id.startswith(name)]
    if not found:
        raise ActionNotFound(f"no action `{name}`, or no longer{suggestion(name, known)}")
    if len(found) > 1:
        raise ActionInvalid(f"`{name}` stands for several actions: {', '.join(found)}")
    return found[0]
