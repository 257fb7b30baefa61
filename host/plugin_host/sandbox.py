"""The command line of bubblewrap that shows a plugin a part of the system and lets it write to less.

Pure: it is told what there is, and looks at nothing. Invariants: what is not listed cannot be written;
there is no network unless it is granted; the plugin keeps no capability; and of two folders, one inside
the other, the inner one has its own word.

A sandbox has process numbers of its own. Bubblewrap stays outside as the process that the host knows; a
second one is number 1 inside, and when that ends, the kernel ends everything inside. `--die-with-parent` is
left out: it acts when the thread that started the process ends, which a host's thread may at any time.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["HIDDEN", "SYSTEM", "View", "command"]

HIDDEN = ("/tmp", "/var/tmp", "/run")
"""Empty inside, and the plugin's own: other programs' files and sockets lie here."""

SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
    "/etc/alternatives", "/etc/group", "/etc/hosts", "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d", "/etc/locale.alias", "/etc/localtime", "/etc/nsswitch.conf", "/etc/passwd",
    "/etc/services", "/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/terminfo", "/etc/timezone",
)  # fmt: skip
"""What programs need to run at all, shown when not everything is."""

_ROOT = "/"
_NETWORK = ("/etc/resolv.conf", "/etc/gai.conf", "/etc/host.conf")


class View(NamedTuple):
    """What a sandbox shows. Paths are absolute, and where links matter resolved.

    `needed` are pairs of a path and where it stands inside; they can be read. `readable` None shows the
    whole file system. `writable` are paths, `hidden` those of `HIDDEN` that this system has as folders.
    `cwd` None is `/`.
    """

    needed: tuple[tuple[str, str], ...] = ()
    readable: tuple[str, ...] | None = None
    writable: tuple[str, ...] = ()
    hidden: tuple[str, ...] = HIDDEN
    network: bool = False
    cwd: str | None = None


def command(bwrap: str, view: View) -> list[str]:
    """What to put before a plugin's command line to run it in a sandbox; `bwrap` is the program's path."""
    words = [bwrap, "--unshare-all", "--cap-drop", "ALL"]
    if view.network:
        words.append("--share-net")
    is_whole = view.readable is None or _ROOT in (*view.readable, *view.writable)
    if is_whole:
        words += ["--bind" if _ROOT in view.writable else "--ro-bind", _ROOT, _ROOT]
    else:
        for path in (*SYSTEM, *(_NETWORK if view.network else ())):
            words += ["--ro-bind-try", path, path]
    for folder in view.hidden:
        words += ["--tmpfs", folder]
    words += ["--dev", "/dev", "--proc", "/proc"]
    for option, source, inside in _binds(view):
        words += [option, source, inside]
    if not is_whole:
        words += ["--remount-ro", _ROOT]  # the folder that holds what is shown, made for this sandbox
    words += ["--chdir", view.cwd or "/", "--"]
    return words


def _binds(view: View) -> Iterable[tuple[str, str, str]]:
    """From the outside in, so that what is inside another folder comes after it and counts.

    The root is outside of all, of what is hidden too, and was the first.
    """
    binds: dict[str, tuple[str, str]] = {}
    for source, inside in view.needed:
        binds[os.path.normpath(inside)] = "--ro-bind", source
    for path in view.readable or ():
        binds[os.path.normpath(path)] = "--ro-bind", path
    for path in view.writable:
        binds[os.path.normpath(path)] = "--bind", path
    binds.pop(_ROOT, None)
    for inside in sorted(binds, key=lambda path: path.split("/")):
        option, source = binds[inside]
        yield option, source, inside
