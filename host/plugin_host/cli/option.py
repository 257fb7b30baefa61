"""The options that several commands share, and what they come to.

A command gets its share of them as one `Options`. Nothing is read or started before it is asked for.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .failure import reported

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from plugin_host.configuration import Configuration
    from plugin_host.host import PluginHost

__all__ = ["PSK_FILE", "Options", "client_options", "host_options", "output_options", "reach_options"]

_Function = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was given on the command line; see the help texts for their meaning.

    `names_socket` is that --socket was given, and not only set in the environment.
    """

    as_json: bool = False
    verbosity: int = 0
    plugin_dirs: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    block: tuple[str, ...] = ()
    config: str | None = None
    socket: str | None = None
    names_socket: bool = False
    connect: str | None = None
    psk_file: str | None = None

    @property
    def wants_own_host(self) -> bool:
        """Whether a host is described that is to be the command's own, whichever else runs."""
        return bool(self.plugin_dirs or self.only or self.block or self.config is not None)

    def reaching(self, connect: str | None, psk_file: str | None) -> Options:
        """The same with the host on a network that was given, unless these name a host themselves.

        So what is in the environment is for commands that name none.
        """
        names_host = self.names_socket or self.wants_own_host
        return dataclasses.replace(self, connect=None if names_host else connect, psk_file=psk_file)

    def configuration(self) -> Configuration | None:
        """The host's configuration, if there is any. Raises ConfigurationError."""
        from plugin_host import configuration

        file = configuration.find(self.config)
        return None if file is None else configuration.load(file)

    def host(self, only: Sequence[str] | None = None, *, restarts: bool = True) -> PluginHost:
        """A host that is not entered yet; `only` wins over the option. Raises ConfigurationError."""
        from plugin_host.host import PluginHost

        return PluginHost(
            plugin_dirs=self.plugin_dirs,
            only=self.only if only is None else only,
            block=self.block,
            config=self.configuration(),
            restarts=restarts,
        )

    def reported(self, *, runs_program: bool = False) -> AbstractContextManager[None]:
        """In which a command runs: what it raises is said and ends it, what it logs is shown if wanted.

        With `runs_program` the statuses are those of a command that passes on a program's.
        """
        from .logline import listen

        listen(self.verbosity)
        return reported(as_json=self.as_json, verbose=self.verbosity > 0, runs_program=runs_program)


def output_options(function: _Function) -> _Function:
    """`--json` and `-v`; the command's function gets `options`."""

    # Eager: it is known when another option or word turns out to be wrong.
    @click.option("as_json", "--json", is_flag=True, is_eager=True, help="Write JSON, for programs.")
    @click.option(
        "verbosity", "-v", "--verbose", count=True, help="Show on stderr what happens; -vv shows more."
    )
    @functools.wraps(function)
    def command(as_json: bool, verbosity: int, **others: Any) -> Any:
        return function(options=Options(as_json=as_json, verbosity=verbosity), **others)

    return command


def host_options(function: _Function) -> _Function:
    """Which plugins and which configuration, with the output options; the function gets `options`."""

    @functools.wraps(function)
    def command(
        options: Options,
        plugin_dirs: tuple[str, ...],
        only: tuple[str, ...],
        block: tuple[str, ...],
        config: str | None,
        socket: str | None,
        **others: Any,
    ) -> Any:
        given = dataclasses.replace(
            options,
            plugin_dirs=plugin_dirs,
            only=only or None,
            block=block,
            config=config,
            socket=socket,
            names_socket=_is_on_the_command_line("socket"),
        )
        return function(options=given, **others)

    decorated = output_options(command)
    for option in reversed((*_PLUGIN_OPTIONS, _CONFIG, _SOCKET)):
        decorated = option(decorated)
    return decorated


def client_options(function: _Function) -> _Function:
    """Where the running host is, with the output options; the function gets `options`."""
    function = reach_options(function)

    @functools.wraps(function)
    def command(options: Options, config: str | None, socket: str | None, **others: Any) -> Any:
        names_socket = _is_on_the_command_line("socket")
        given = dataclasses.replace(options, config=config, socket=socket, names_socket=names_socket)
        return function(options=given, **others)

    return output_options(_CONFIG(_SOCKET(command)))


def reach_options(function: _Function) -> _Function:
    """How a running host is reached over a network, for a function that gets `options`."""

    @functools.wraps(function)
    def command(options: Options, connect: str | None, psk_file: str | None, **others: Any) -> Any:
        is_given = _is_on_the_command_line("connect")
        if is_given and (options.names_socket or options.wants_own_host):
            raise click.UsageError("--connect names the host; it goes with no other option that does")
        return function(options=options.reaching(connect, psk_file), **others)

    return _CONNECT(PSK_FILE(command))


def _is_on_the_command_line(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def _ids(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Ids, given one by one or with commas between them."""
    ids = tuple(one.strip() for value in values for one in value.split(","))
    if "" in ids:
        raise click.BadParameter("expected an id, found nothing")
    return ids


def _named(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A file that is named by no character, as by a variable that is not set, is not the one by default."""
    if value == "":
        raise click.BadParameter("expected a file, found nothing")
    return value


_PLUGIN_OPTIONS = (
    click.option(
        "plugin_dirs",
        "--plugin-dir",
        metavar="DIR",
        multiple=True,
        type=click.Path(exists=True, file_okay=False),
        help="A plugin's folder, or a folder of such folders. Repeatable.",
    ),
    click.option(
        "only",
        "--only",
        metavar="ID[,ID]",
        multiple=True,
        callback=_ids,
        help="These plugins and no others. Repeatable.",
    ),
    click.option(
        "block",
        "--no-plugin",
        metavar="ID",
        multiple=True,
        callback=_ids,
        help="Leave this plugin out, or this host extension. Repeatable.",
    ),
)
_CONFIG = click.option(
    "config",
    "--config",
    metavar="FILE",
    callback=_named,
    help="The configuration. Else $PLUGIN_HOST_CONFIG, else plugin-host/plugin-host.toml in your"
    " configuration folder.",
)
_SOCKET = click.option(
    "socket",
    "--socket",
    metavar="PATH",
    envvar="PLUGIN_HOST_SOCKET",
    show_envvar=True,
    help="The control socket of a host, by default the user's own. Command listeners are beside it.",
)
_CONNECT = click.option(
    "connect",
    "--connect",
    metavar="HOST:PORT",
    envvar="PLUGIN_HOST_CONNECT",
    show_envvar=True,
    help="Use the host that listens there (plugin-host run --listen), with the key of --psk-file.",
)
PSK_FILE = click.option(
    "psk_file",
    "--psk-file",
    metavar="FILE",
    envvar="PLUGIN_HOST_PSK_FILE",
    show_envvar=True,
    help="The key shared by a host on a network and its clients: 16 bytes or more, mode 0600.",
)
