"""`plugin-host run`: start all plugins, tell what happens to them, stop them when asked to."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from plugin_host.errors import LaunchError, PluginNotFound
from plugin_host.notation import to_json

from . import output
from .failure import Interrupted, sentence
from .listening import command_dir_option
from .option import PSK_FILE, Options, host_options
from .port import Ports

if TYPE_CHECKING:
    from collections.abc import Collection

    from plugin_host.event import EventStream, HostEvent
    from plugin_host.host import PluginHost

__all__ = ["command"]

# How long the last lines may take after everything has stopped, when stdout is hardly read.
_LAST_WORDS_S = 1.0

_HELP = """Start all plugins and keep them running until SIGINT (Ctrl-C) or SIGTERM.

Listens at a control socket, by which the other commands, and any program, use this host: --socket,
PLUGIN_HOST_SOCKET, the configuration's, or the user's own. Taken over from systemd where it has it open.

Prints one line for every change of a plugin's state, and a table when all are started; with --json
every event is one JSON object on one line: {"event": "state" | "ready" | "notification" | "lost",
"at": seconds since the epoch, ...}.

The first signal stops the plugins politely and the exit status is 0; a second one kills them at once.
A plugin that fails does not stop the others; when all have failed, the command ends with status 3.
Any program may send commands to the host and to its plugins as JSON (see plugin-host send).
SIGUSR1 prints the table of plugins as it is then (with --json {"event": "status", ...}).

\b
Examples:
  plugin-host run
  plugin-host run --plugin-dir ./plugins --only system,neovim
  plugin-host run --json | jq -c 'select(.new == "failed")'
"""


@click.command("run", help=_HELP)
@command_dir_option
@host_options
@click.option(
    "metrics_port",
    "--metrics-port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    help="Tell metrics to Prometheus at http://127.0.0.1:PORT/metrics; 0 is any port that is free.",
)
@click.option(
    "listen",
    "--listen",
    metavar="HOST:PORT",
    help="Take clients at this TCP port, too: those that have the key of --psk-file. Port 0 is any.",
)
@PSK_FILE
def command(
    options: Options,
    command_dir: str | None,
    metrics_port: int | None,
    listen: str | None,
    psk_file: str | None,
) -> None:
    # From before all that takes time: who asks for the table too early, or too late, ends nothing.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    with options.reported():
        from . import interruption
        from .aside import aside

        ports = Ports(metrics=metrics_port, sealed=listen, psk_file=psk_file)
        try:
            with aside():
                interruption.run(_run(options, command_dir, ports))
        except Interrupted:
            pass  # being told to stop is how this command ends


async def _run(options: Options, command_dir: str | None, ports: Ports) -> None:
    import asyncio

    from plugin_host import readiness
    from plugin_host.configuration import Configuration

    from .eventline import HostReady
    from .serving import serving

    config = options.configuration() or Configuration()
    ports = ports.configured(config.control)
    host = options.host()
    told, watched = host.events(), host.events()
    _check_found(host, options)
    _show_when_asked(told)
    teller = asyncio.create_task(_tell(host, told, as_json=options.as_json))
    try:
        async with serving(options, host, command_dir, ports), host:
            told.put(HostReady())
            readiness.ready()
            idle = asyncio.create_task(_idle(host, watched))
            await asyncio.wait({teller, idle}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        await asyncio.wait({teller}, timeout=_LAST_WORDS_S)
        if not teller.cancel():
            teller.result()
    raise LaunchError("no plugin is running any more, so there is nothing to do")


def _show_when_asked(told: EventStream) -> None:
    """SIGUSR1 asks for the table. The loop's own handler would end with the loop, before the process."""
    import asyncio

    from .eventline import StatusAsked

    loop = asyncio.get_running_loop()

    def ask() -> None:
        told.put(StatusAsked())

    signal.signal(signal.SIGUSR1, lambda *_: loop.call_soon_threadsafe(ask))


async def _idle(host: PluginHost, events: EventStream) -> None:
    """Returns when every plugin has failed or ended by itself, or the host has stopped.

    One that somebody has stopped may be started again.
    """
    from plugin_host.event import StateChanged
    from plugin_host.state import State

    stopped: set[str] = set()
    if _is_over(host, stopped):
        return
    async for event in events:
        if isinstance(event, StateChanged):
            by_request = event.old is State.STOPPING and event.new is State.STOPPED
            (stopped.add if by_request else stopped.discard)(event.plugin)
        if _is_over(host, stopped):
            return


def _is_over(host: PluginHost, stopped: Collection[str]) -> bool:
    from plugin_host.state import State

    over = (State.DISCOVERED, State.FAILED, State.STOPPED)
    return not stopped and all(plugin.state in over for plugin in host.plugins.values())


async def _tell(host: PluginHost, events: EventStream, *, as_json: bool) -> None:
    """Write every event until the host has stopped.

    What cannot be written, as on a full disk, is counted and told of later: the plugins go on.
    """
    from plugin_host.event import EventsLost

    from .eventline import event_map, event_text, troubles
    from .outlet import Outlet

    outlet = Outlet()
    ascii_only = output.needs_ascii()
    is_brief = output.is_terminal(output.STDOUT) and output.is_terminal(output.STDERR)
    missing = 0

    def shown(event: HostEvent) -> str:
        if as_json:
            return to_json(event_map(event, host.plugins), ascii_only=ascii_only) + "\n"
        return event_text(event, host.plugins, is_brief=is_brief)

    try:
        async for event in events:
            if text := shown(event):
                if missing:  # the last line may have been written in part
                    text = f"\n{shown(EventsLost(plugin='', count=missing))}{text}"
                try:
                    await outlet.write(text)
                    missing = 0
                except output.WriteFailed as failed:
                    if not missing:
                        output.complain(f"plugin-host: {failed}; the plugins go on\n")
                    missing += 1
            for error in () if as_json else troubles(event, host.plugins):
                output.complain(f"plugin-host: {sentence(error)}\n")
    finally:
        outlet.close()


def _check_found(host: PluginHost, options: Options) -> None:
    """Find the plugins, which clients may ask for from now on.

    Raises PluginNotFound when there are none, or not the wanted ones.
    """
    try:
        host.expect()
    except PluginNotFound as error:
        from .lookup import with_alternatives

        raise with_alternatives(error, options) from None
    if all(plugin.candidate.skipped is not None for plugin in host.plugins.values()):
        left_out = f"all that were found are left out: {', '.join(host.plugins)}"
        none = "none is installed, and no --plugin-dir names a folder of them"
        raise PluginNotFound(f"no plugins to run: {left_out if host.plugins else none}", plugin="")
