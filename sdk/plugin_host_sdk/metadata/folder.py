"""What is in a folder, part by part: sorted, so that each part begins behind the last entry of another.

A folder stands right before what is in it. Links are shown and never followed, also when one takes the
place of a folder meanwhile. Only the names on the way are held, and no more entries than a part has. What
goes away while it is listed is left out.
"""

from __future__ import annotations

import heapq
import os
import stat
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import InvalidPayload, excerpt
from plugin_host_sdk.types.task import ENTRIES

from .reach import Reach, path_of
from .refusal import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.types.task import FolderRequest

    from .option import PluginOpts
    from .task import Task

    Parts = tuple[bytes, ...]

__all__ = ["FolderListing", "list_part"]

_NAMES = ENTRIES + 2
_PART_BYTES = 2 * 1024 * 1024  # of paths
_INNER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}


class FolderListing:
    """What answers `metadata.list_folder`."""

    def __init__(self, opts: PluginOpts) -> None:
        self._opts = opts

    def serve(self, ctx: Context, task: Task, asked: FolderRequest) -> dict[str, Any]:
        function = self._opts.list_folder
        if function is not None:
            return _cut(function(ctx, task, asked.path, asked.recursive), asked.after)
        reach = Reach(self._opts.surroundings(ctx.settings).roots)
        return list_part(reach, path_of(asked), recursive=asked.recursive, after=asked.after)

    async def serve_async(self, ctx: Context, task: Task, asked: FolderRequest) -> dict[str, Any]:
        function = self._opts.list_folder
        assert function is not None
        return _cut(await function(ctx, task, asked.path, asked.recursive), asked.after)


def list_part(reach: Reach, path: bytes, *, recursive: bool, after: bytes | None) -> dict[str, Any]:
    """One part of a folder, as it travels. Raises OSError, OutsideRoots."""
    base = b"/" + b"/".join(part for part in path.split(b"/") if part not in (b"", b"."))
    prefix = base if base == b"/" else base + b"/"
    if after is not None and not after.startswith(prefix):
        raise InvalidPayload(f"metadata.list_folder: {shown(after)} is nothing of {shown(base)}")
    from_ = () if after is None else tuple(after[len(prefix) :].split(b"/"))
    top = reach.open_folder(path)
    try:
        return _part(_walk(top, prefix, from_, recursive))
    finally:
        os.close(top)


def _part(entries: Iterable[dict[str, Any]]) -> dict[str, Any]:
    part: list[dict[str, Any]] = []
    size = 0
    for entry in entries:
        size += len(entry["path"])
        if part and (len(part) == ENTRIES or size > _PART_BYTES):
            return {"entries": part, "more": True}
        part.append(entry)
    return {"entries": part, "more": False}


def _walk(top: int, prefix: bytes, after: Parts, recursive: bool) -> Iterator[dict[str, Any]]:
    """Entries behind `after`, a path below the top, in order."""
    # Of each folder on the way: where it is, and what of it is still to be given.
    way: list[tuple[Parts, Iterator[tuple[bytes, os.stat_result]]]] = [((), _names(top, (), after))]
    while way:
        folder, names = way[-1]
        found = next(names, None)
        if found is None:
            way.pop()
            continue
        name, status = found
        inner = (*folder, name)
        if after[: len(inner)] != inner:  # or it was given before
            yield _entry(prefix + b"/".join(inner), status)
        if recursive and stat.S_ISDIR(status.st_mode):
            way.append((inner, _names(top, inner, after)))


def _names(top: int, folder: Parts, after: Parts) -> Iterator[tuple[bytes, os.stat_result]]:
    """The names of a folder from `after` on, with what they are. Some at a time, so that few are held."""
    first = after[len(folder)] if after[: len(folder)] == folder and len(after) > len(folder) else b""
    while True:
        try:
            fd = _open_inner(top, folder)
        except OSError:
            return  # gone, another's, or a link by now
        try:
            with os.scandir(fd) as found:
                names = (name for entry in found if (name := os.fsencode(entry.name)) >= first)
                some = heapq.nsmallest(_NAMES, names)
            looked_at = list(_looked_at(fd, some))
        except OSError:
            return
        finally:
            os.close(fd)
        yield from looked_at
        if len(some) < _NAMES:
            return
        first = some[-1] + b"\0"  # the next name there could be


def _looked_at(fd: int, names: Iterable[bytes]) -> Iterator[tuple[bytes, os.stat_result]]:
    for name in names:
        try:
            yield name, os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError:
            continue


def _open_inner(top: int, folder: Parts) -> int:
    fd = os.open(b".", _INNER, dir_fd=top)
    for part in folder:
        outer = fd
        try:
            fd = os.open(part, _INNER, dir_fd=outer)
        finally:
            os.close(outer)
    return fd


def _entry(path: bytes, status: os.stat_result) -> dict[str, Any]:
    entry = {
        "path": shown(path),
        "type": _TYPES.get(stat.S_IFMT(status.st_mode), "other"),
        "size": status.st_size,
        "mode": stat.S_IMODE(status.st_mode),
        "mtime": status.st_mtime,
    }
    return entry if _is_text(path) else entry | {"raw": path}


def _is_text(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def _cut(result: Iterable[Any], after: bytes | None) -> dict[str, Any]:
    """One part of what an author's function gave."""
    entries = [_as_map(one) for one in result]
    entries.sort(key=_order)
    if after is not None:
        last = tuple(after.split(b"/"))
        entries = [one for one in entries if _order(one) > last]
    return _part(entries)


def _order(entry: dict[str, Any]) -> Parts:
    raw = entry.get("raw")
    return tuple((raw if isinstance(raw, bytes) else str(entry["path"]).encode()).split(b"/"))


def _as_map(entry: Any) -> dict[str, Any]:
    if isinstance(entry, (str, os.PathLike)):
        return {"path": os.fspath(entry), "type": "file"}
    if isinstance(entry, dict):
        return entry
    import msgspec

    from plugin_host_sdk.types.task import FolderEntry

    if not isinstance(entry, FolderEntry):
        raise TypeError(f"list_folder gives paths or FolderEntry, not {excerpt(entry)}")
    result: dict[str, Any] = msgspec.to_builtins(entry, builtin_types=(bytes,))
    return result
