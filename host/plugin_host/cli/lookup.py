"""What there is: discovery for commands that start nothing, and for those that named a wrong plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host.errors import PluginHostError, PluginNotFound, PluginNotReady

if TYPE_CHECKING:
    from plugin_host.candidate import Candidate
    from plugin_host.host import PluginHost
    from plugin_host.plugin import Plugin

    from .option import Options

__all__ = ["chosen", "found", "with_alternatives"]


def found(options: Options) -> list[Candidate]:
    """Every plugin that discovery finds. Raises ConfigurationError and PluginNotFound."""
    try:
        return _discover(options, options.only)
    except PluginNotFound as error:
        raise with_alternatives(error, options) from None


def chosen(host: PluginHost, options: Options, plugin_id: str) -> Plugin:
    """The plugin, found and not started. Raises PluginNotFound, PluginNotReady and ManifestError."""
    try:
        host.discover()
    except PluginNotFound as error:
        raise with_alternatives(error, options) from None
    plugin = host.plugins[plugin_id]
    reason = plugin.candidate.skipped
    if options.only is not None and plugin_id not in options.only:
        reason = f"left out by --only {','.join(options.only)}"
    if reason is not None:
        raise PluginNotReady(
            f"plugin `{plugin_id}` may not be started: {reason}", plugin=plugin_id, state=str(plugin.state)
        )
    if plugin.error is not None:
        raise plugin.error
    return plugin


def with_alternatives(error: PluginNotFound, options: Options) -> PluginNotFound:
    """The same error, followed by the plugins that were found and those that are broken."""
    from .logline import unheard

    try:
        with unheard():
            candidates = _discover(options, ())
    except PluginHostError:
        return error
    ids = ", ".join(one.id for one in candidates if one.error is None)
    lines = [str(error), f"found: {ids or 'none'}"]
    lines += [f"broken: {one.id}: {one.error}" for one in candidates if one.error is not None]
    if not options.plugin_dirs:
        lines.append("hint: --plugin-dir DIR names a folder of plugins that are not installed")
    return PluginNotFound("\n  ".join(lines), plugin=error.plugin, near=error.near)


def _discover(options: Options, only: tuple[str, ...] | None) -> list[Candidate]:
    from plugin_host import discovery, installed
    from plugin_host.configuration import Configuration
    from plugin_host.extension import Extensions

    extensions = Extensions(block=options.block)
    distributions = installed.distributions()
    extensions.load(distributions)
    has_run_code = bool(extensions.names or extensions.problems)  # which may have changed what there is
    return discovery.discover(
        plugin_dirs=options.plugin_dirs,
        only=only,
        block=options.block,
        configuration=options.configuration() or Configuration(),
        extensions=extensions,
        distributions=None if has_run_code else distributions,
    )
