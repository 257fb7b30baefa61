"""What a shell may complete a word to: plugins, their commands and resources, sessions, tasks, metadata,
listeners, signals, streams.

Asked from the running host; plugins, where none runs or one of its own is described, from discovery.
Invariants: it is quick and silent, and who does not answer in a moment has no words; whatever it is that
runs, each word and what is said of it is one line that a terminal can be shown.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from click.core import ParameterSource
from click.shell_completion import CompletionItem

from . import output
from .option import Options

if TYPE_CHECKING:
    import click

    from plugin_host.control import ControlClient

__all__ = [
    "action_words",
    "command_words",
    "listener_words",
    "metadata_words",
    "plugin_words",
    "program_words",
    "resource_words",
    "running_words",
    "session_words",
    "signal_words",
    "stream_words",
    "task_words",
]

# A person waits for it with a finger on the key.
_CONNECT_S = 1.0
_LONGEST_S = 2.0

# As much of what is said of a word as fits beside it.
_LONGEST_HELP = 80

_STREAMS = ("stdin", "stdout", "stderr", "stdio")

Items = list[CompletionItem]
_Ask = Callable[["ControlClient"], Awaitable[Items]]


def plugin_words(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Plugins for a command that can start them itself."""
    options = _options(context)
    items = None if options.wants_own_host else _asked(options, _plugins)
    return _beginning(incomplete, _found(options) if items is None else items)


def running_words(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Plugins of the running host, without those that were named already."""
    named = context.params.get(parameter.name or "") or ()
    items = _beginning(incomplete, _asked(_options(context), _plugins) or [])
    return [one for one in items if isinstance(named, str) or one.value not in named]


def command_words(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Commands of the plugin that was named."""

    async def commands(client: ControlClient) -> Items:
        plugins = await client.plugins(context.params["plugin"])
        return [CompletionItem(name) for plugin in plugins for name in plugin["commands"]]

    options = _options(context)
    return _beginning(incomplete, [] if options.wants_own_host else _asked(options, commands) or [])


def resource_words(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Plugins through which programs run, and behind a / their resources."""
    plugin, slash, _ = incomplete.partition("/")
    if not slash:
        return plugin_words(context, parameter, incomplete)

    async def resources(client: ControlClient) -> Items:
        running = [one for one in await client.plugins(plugin) if one["state"] == "ready"]
        handlers = await client.exec_handlers(plugin) if running else []
        return [CompletionItem(f"{plugin}/{one.resource}") for one in handlers]

    options = _options(context)
    return _beginning(incomplete, [] if options.wants_own_host else _asked(options, resources) or [])


def session_words(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Ids of sessions, with their plugin in front where that was begun."""

    async def sessions(client: ControlClient) -> Items:
        from .sessionlist import list_sessions

        return [_session(one, "/" in incomplete) for one in await list_sessions(client)]

    return _beginning(incomplete, _asked(_options(context), sessions) or [])


def action_words(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Ids of actions that run."""

    async def actions(client: ControlClient) -> Items:
        found = [one for one in await client.actions.list() if one.state == "running"]
        return [CompletionItem(one.id, help=f"{one.plugin}: {one.kind}") for one in found]

    named = context.params.get(parameter.name or "") or ()
    items = _beginning(incomplete, _asked(_options(context), actions) or [])
    return [one for one in items if one.value not in named]


def task_words(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Ids of tasks, without those that were named already."""
    named = context.params.get(parameter.name or "") or ()

    async def tasks(client: ControlClient) -> Items:
        found = await client.tasks.list()
        return [CompletionItem(one.id, help=f"{one.plugin}: {' '.join(one.info.command)}") for one in found]

    items = _beginning(incomplete, _asked(_options(context), tasks) or [])
    return [one for one in items if isinstance(named, str) or one.value not in named]


def metadata_words(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Paths of metadata, one name at a time."""
    folder = incomplete.rpartition("/")[0]

    async def paths(client: ControlClient) -> Items:
        found = await client.metadata.look(folder or "/", recursive=False)
        names = found.value if found.exists and isinstance(found.value, list) else []
        return [CompletionItem(f"{folder}/{name}") for name in names if isinstance(name, str)]

    return _beginning(incomplete, _asked(_options(context), paths) or [])


def listener_words(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Command listeners that are there, by their names; files where a path is begun."""
    from .listening import listener_folder, listener_names

    if "/" in incomplete:
        return [CompletionItem(incomplete, type="file")]

    def names() -> Items:
        folder = listener_folder(_options(context), context.params.get("command_dir"))
        return [CompletionItem(name) for name in listener_names(folder) or ()]

    return _beginning(incomplete, _quietly(names) or [])


def signal_words(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Names of signals, with SIG where that was begun."""
    names = list(signal.Signals.__members__)
    if not incomplete.startswith("SIG"):
        names = [name.removeprefix("SIG") for name in names]
    return _beginning(incomplete, [CompletionItem(name) for name in names])


def stream_words(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Streams of a session, with commas between them; none of them twice."""
    before, comma, _ = incomplete.rpartition(",")
    named = before.split(",")
    items = [CompletionItem(f"{before}{comma}{name}") for name in _STREAMS if name not in named]
    return _beginning(incomplete, items)


def program_words(context: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """Words of another program: files."""
    return [CompletionItem(incomplete, type="file")]


def _session(session: Mapping[str, Any], with_plugin: bool) -> CompletionItem:
    name = f"{session['plugin']}/{session['id']}" if with_plugin else session["id"]
    return CompletionItem(name, help=f"{session['plugin']}: {' '.join(session['command'])}")


async def _plugins(client: ControlClient) -> Items:
    return [CompletionItem(one["id"], help=one["state"]) for one in await client.plugins()]


def _found(options: Options) -> Items:
    """What discovery finds, unless that takes long."""
    from .lookup import found

    items = _quietly(lambda: [CompletionItem(one.id) for one in found(options) if one.error is None])
    return items or []


def _asked(options: Options, ask: _Ask) -> Items | None:
    """What the running host says; None when none answers."""
    import asyncio

    from .contact import contact

    async def asking() -> Items:
        async with await contact(options, "completion", timeout=_CONNECT_S) as client:
            return await ask(client)

    return _quietly(lambda: asyncio.run(asking()))


def _quietly(work: Callable[[], Items]) -> Items | None:
    """What comes of it within a moment; None for whatever goes wrong, as the user asked for no news."""
    from .logline import unheard

    try:
        with _limited(), unheard():
            return work()
    except Exception:
        return None


@contextmanager
def _limited() -> Iterator[None]:
    def over(signum: int, frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, _LONGEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _beginning(incomplete: str, items: Sequence[CompletionItem]) -> Items:
    """Those that begin so. One that nobody could type is none: shells take a newline for the next word."""
    found = [one for one in items if one.value.startswith(incomplete) and one.value.isprintable()]
    for one in found:
        if one.help:
            text = output.printable(one.help)
            one.help = text if len(text) <= _LONGEST_HELP else f"{text[: _LONGEST_HELP - 1]}…"
    return found


def _options(context: click.Context) -> Options:
    """As far as they stand on the line already, or in the environment."""
    given = context.params
    options = Options(
        plugin_dirs=given.get("plugin_dirs") or (),
        only=given.get("only") or None,
        block=given.get("block") or (),
        config=given.get("config"),
        socket=given.get("socket"),
        names_socket=context.get_parameter_source("socket") is ParameterSource.COMMANDLINE,
    )
    return options.reaching(given.get("connect"), given.get("psk_file"))
