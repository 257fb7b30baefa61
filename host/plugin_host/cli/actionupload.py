"""`plugin-host action upload`: write a file through a plugin."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import click

from . import account, output, variable
from .actionreach import reach
from .failure import ReadFailed, standard_input
from .option import Options, host_options, reach_options
from .progress import ProgressLine
from .wordcompletion import plugin_words

if TYPE_CHECKING:
    from plugin_host.action.source import Data
    from plugin_host_sdk.types.action import UploadFile

__all__ = ["command"]

_HELP = """Write the file SRC, or stdin (-), to the absolute path DEST of the machine on which PLUGIN runs.

Whoever reads DEST finds the old file or the new one, whole, and never a part: the data goes to a temporary
file beside it, is checked by its SHA-256, and takes its place in one step. Symbolic links are not
followed.

\b
Examples:
  plugin-host action upload automation site.conf /etc/site.conf --owner root:www-data --mode 640
  tar c site | plugin-host action upload automation - /srv/site.tar --parents
"""


def _mode(context: click.Context, parameter: click.Parameter, value: str) -> str:
    from plugin_host_sdk.types.action import mode_bits

    try:
        mode_bits(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


@click.command("upload", help=_HELP)
@click.argument("plugin", shell_complete=plugin_words)
@click.argument("source", metavar="SRC", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.argument("dest")
@click.option("--owner", metavar="USER[:GROUP]", help="Whose it is, by name or number.")
@click.option(
    "--mode", metavar="OCTAL", default="644", show_default=True, callback=_mode, help="As chmod takes it."
)
@click.option("--parents", is_flag=True, help="Make the folders that are missing.")
@click.option("--exit", "exits", is_flag=True, help="The plugin's process ends then, to be started anew.")
@host_options
@reach_options
def command(
    options: Options,
    plugin: str,
    source: str,
    dest: str,
    owner: str | None,
    mode: str,
    parents: bool,
    exits: bool,
) -> None:
    with options.reported():
        variable.check_text("DEST", dest)
        fields = {
            "path": dest,
            "owner": account.run_as("--owner", owner),
            "mode": mode,
            "parents": parents,
        }

        from . import interruption

        result = interruption.run(_upload(options, plugin, _request(fields, exits=exits), source))
        if options.as_json:
            output.write_json(result)
        else:
            text = f"{result['path']}: {result['size']} bytes, SHA-256 {result['sha256']}\n"
            output.write(output.printable(text, lines=True))


def _request(fields: dict[str, Any], *, exits: bool) -> UploadFile:
    from plugin_host_sdk.types.action import UploadFile, UploadFileAndExit

    try:
        return (UploadFileAndExit if exits else UploadFile)(**fields)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


async def _upload(options: Options, plugin: str, request: UploadFile, source: str) -> dict[str, Any]:
    import msgspec

    # Without a buffer: its lock would be held by a read that waits when the process ends.
    data: Data = io.FileIO(standard_input().fileno(), closefd=False) if source == "-" else source
    line = ProgressLine() if ProgressLine.is_wanted(options.verbosity) else None

    def progress(sent: int, total: int | None) -> None:
        if line is not None:
            line(sent, total, f"{_megabytes(sent)} of {_megabytes(total)}" if total else _megabytes(sent))

    try:
        async with reach(options, plugin) as actions:
            run = await actions.trigger(plugin, request, data, on_progress=progress)
            try:
                result: dict[str, Any] = msgspec.to_builtins(await run.result())
            except BaseException:
                await run.cancel("plugin-host was ended", grace=0)
                raise
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise ReadFailed(f"cannot read {source}: {error.strerror or error}") from None
    finally:
        if line is not None:
            line.clear()
    return result


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
