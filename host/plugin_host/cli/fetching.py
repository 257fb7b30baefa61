"""Files of tasks, brought here: each is there whole or not at all. Who looks at a terminal sees a bar."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from plugin_host.errors import PluginHostError

from .outflow import Outflow
from .output import STDOUT
from .progress import ProgressLine

if TYPE_CHECKING:
    from plugin_host.control.remotetask import RemoteTask
    from plugin_host.task.artifact import Artifact
    from plugin_host.task.task import Task

__all__ = ["Wish", "amount", "bar", "fetch", "parse_wish"]

_BAR = 24
_UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True, slots=True)
class Wish:
    """A file of a task, by its absolute path, and where it is to be: a file or a folder, `-` is stdout."""

    path: str
    dest: str


def parse_wish(word: str) -> Wish:
    """What `PATH:DEST` stands for; the first colon parts them. Raises click.UsageError."""
    path, _, dest = word.partition(":")
    if not path.startswith("/") or not dest or dest == "-":
        raise click.UsageError(f"--artifact {word}: expected PATH:DEST with an absolute PATH")
    return Wish(path, dest)


async def fetch(task: Task | RemoteTask, wish: Wish, verbosity: int) -> dict[str, Any]:
    """Bring one; `path`, `dest`, `size` and `sha256` of what was brought.

    Raises what `Task.get_artifact` and reading raise, and PluginHostError for what cannot be written.
    """
    async with await task.get_artifact(wish.path) as artifact:
        if wish.dest == "-":
            await _print(artifact)
            dest = "-"
        else:
            dest = _place(wish)
            await _save(artifact, dest, verbosity)
        return {"path": wish.path, "dest": dest, "size": artifact.size, "sha256": artifact.sha256}


def _place(wish: Wish) -> str:
    """The file: in a folder it has the name that it has."""
    if os.path.isdir(wish.dest) or wish.dest.endswith("/"):
        return os.path.join(wish.dest, os.path.basename(wish.path))
    return wish.dest


async def _save(artifact: Artifact, dest: str, verbosity: int) -> None:
    line = ProgressLine() if ProgressLine.is_wanted(verbosity) else None
    name = os.path.basename(artifact.path)

    def draw(done: int, size: int) -> None:
        if line is not None:
            line(done, size, f"{bar(done, size)}  {amount(done)}  {name}")

    try:
        await artifact.save(dest, on_progress=draw)
    except OSError as error:
        raise PluginHostError(f"cannot write {dest}: {error.strerror or error}") from None
    finally:
        if line is not None:
            line.clear()


async def _print(artifact: Artifact) -> None:
    outflow = Outflow()
    try:
        async for piece in artifact:
            await outflow.write(STDOUT, piece)
        await outflow.flush()
    finally:
        outflow.close()


def bar(done: int, size: int) -> str:
    """How much of it is there."""
    full = _BAR if size <= 0 else min(_BAR, _BAR * done // size)
    return f"[{'#' * full}{'.' * (_BAR - full)}]"


def amount(size: float) -> str:
    """`999 B`, `1.0 kB`, `13.2 MB`."""
    unit = 0
    while size >= 999.95 and unit < len(_UNITS) - 1:
        size /= 1000
        unit += 1
    return f"{size:.{1 if unit else 0}f} {_UNITS[unit]}"
