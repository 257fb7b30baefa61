"""What there is: discovery for commands that start nothing, and for those that named a wrong plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host.errors import PluginHostError, PluginNotFound

from . import output

if TYPE_CHECKING:
    from plugin_host.candidate import Candidate

    from .option import Options

__all__ = ["found", "with_alternatives"]


def found(options: Options) -> list[Candidate]:
    """Every plugin that discovery finds.

    Extensions of the host that cannot be used are named on stderr. Raises ConfigurationError and
    PluginNotFound.
    """
    try:
        candidates, problems = _discover(options, options.only)
    except PluginNotFound as error:
        raise with_alternatives(error, options) from None
    for name, problem in problems.items():
        output.complain(output.printable(f"plugin-host: extension {name}: {problem}") + "\n")
    return candidates


def with_alternatives(error: PluginNotFound, options: Options) -> PluginNotFound:
    """The same error, followed by the plugins that were found and those that are broken."""
    try:
        candidates, _ = _discover(options, ())
    except PluginHostError:
        return error
    ids = ", ".join(one.id for one in candidates if one.error is None)
    lines = [str(error), f"found: {ids or 'none'}"]
    lines += [f"broken: {one.id}: {one.error}" for one in candidates if one.error is not None]
    if not options.plugin_dirs:
        lines.append("hint: --plugin-dir DIR names a folder of plugins that are not installed")
    return PluginNotFound("\n  ".join(lines), plugin=error.plugin, near=error.near)


def _discover(options: Options, only: tuple[str, ...] | None) -> tuple[list[Candidate], dict[str, str]]:
    """The plugins, and the extensions that cannot be used with the reason."""
    from plugin_host import discovery
    from plugin_host.configuration import Configuration
    from plugin_host.extension import Extensions

    configuration = options.configuration() or Configuration()
    extensions = Extensions(block=options.block)
    extensions.load()
    candidates = discovery.discover(
        plugin_dirs=options.plugin_dirs,
        only=only,
        block=options.block,
        configuration=configuration,
        extensions=extensions,
    )
    return candidates, extensions.problems
