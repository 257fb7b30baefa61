"""Where a host would listen: who does already, what stands in the way, and what dead hosts left behind.

Makes and removes nothing. Where a host listens at the control socket, its other sockets are not looked at.
"""

from __future__ import annotations

import os
import shlex
import stat
from typing import TYPE_CHECKING

from plugin_host.configuration import mode_of
from plugin_host.control.iosocket import io_place
from plugin_host.errors import SocketError
from plugin_host.listener.folder import HOST_LISTENER, commands_folder
from plugin_host.localsocket import LocalSocket, check_path, look
from plugin_host.runtimefolder import default_socket

from .finding import Finding, fault, note, ok

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plugin_host.configuration import Configuration

__all__ = ["find"]

_SECTION = "sockets"
_CONTROL = "control socket"
_DESCRIPTORS = "descriptors"
_COMMANDS = "command listeners"
_SETTING = "`dir` under [commands] in the configuration"


def find(settled: Configuration, socket: str | None) -> Iterator[Finding]:
    """Of a host with this configuration; `socket` is the path of its control socket, if one was named."""
    control = settled.control
    try:
        path = check_path(socket or control.socket or default_socket())
    except SocketError as error:
        yield _refused(_CONTROL, error, "--socket or PLUGIN_HOST_SOCKET")
        return
    mode = None if control.mode is None else mode_of(control.mode)
    place = LocalSocket.configured(path, mode, control.group)
    found = _looked_at(_CONTROL, place)
    yield found
    if found.level == "ok" and os.path.lexists(path):
        return
    beside = io_place(place, path)
    if found.level != "fault" and beside is not None:
        yield _looked_at(_DESCRIPTORS, beside)
    yield from _listeners(settled, path)


def _looked_at(subject: str, place: LocalSocket) -> Finding:
    try:
        listener = look(place)
    except SocketError as error:
        return _refused(subject, error, place.setting)
    if listener is not None:
        who = f"process {listener.pid} (uid {listener.uid})" if listener.pid else "a process"
        return ok(_SECTION, subject, f"{place.path}: {who} listens here")
    if os.path.lexists(place.path):
        return _left(subject, [place.path], place.path)
    return ok(_SECTION, subject, f"{place.path}: free")


def _listeners(settled: Configuration, control: str) -> Iterator[Finding]:
    """The host's own listener, and sockets of plugins behind which nobody is."""
    said = settled.commands
    folder = said.dir or commands_folder(control)
    mode = None if said.mode is None else mode_of(said.mode)
    path = os.path.join(folder, HOST_LISTENER)
    found = _looked_at(_COMMANDS, LocalSocket.configured(path, mode, said.group, setting=_SETTING))
    dead = [] if found.level == "fault" else _dead(folder)
    yield _left(_COMMANDS, dead, folder) if dead else found


def _dead(folder: str) -> list[str]:
    try:
        paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    except OSError:
        return []
    return [path for path in paths if _is_dead(path)]


def _is_dead(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode) and look(LocalSocket(path=path)) is None
    except (OSError, SocketError):
        return False


def _left(subject: str, paths: list[str], where: str) -> Finding:
    text = f"{where}: left by a host that is gone; the next one replaces it"
    return note(_SECTION, subject, text, f"rm {shlex.join(paths)}")


def _refused(subject: str, error: SocketError, setting: str) -> Finding:
    """What to do stands at the end of most messages."""
    text, _, advice = str(error).partition("; ")
    return fault(
        _SECTION, subject, text, advice or f"put that right, or choose another path with {setting}"
    )
