"""The host's side of its keeper process: starting it, telling it, replacing it when it dies, ending it.

One for each host. It belongs to the loop it was started in, uses no thread, and never keeps the host from
its work: a keeper that cannot be had is one warning in the log. Invariant: after `close` neither the
process nor a descriptor of it is left.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import subprocess
import sys
import termios
from pathlib import Path
from signal import SIGKILL
from typing import TYPE_CHECKING

from plugin_host.reaper import Reaper
from plugin_host.tree import identify
from plugin_host.undertaking import all_done
from plugin_host_sdk.ownproc import has_own_proc

from .dictation import HELLO, QUIT, cgroup_line, ended_line, gone_line, session_line

if TYPE_CHECKING:
    from plugin_host.exitstatus import ExitStatus

__all__ = ["HEALTHY_S", "PAUSES_S", "Keeper"]

PAUSES_S = (0.0, 0.5, 2.0, 8.0)
"""How long the host waits before it replaces a keeper that died, for each that died in a row."""

HEALTHY_S = 60.0
"""One that lived for so long does not count as another in a row."""

_PROGRAM = Path(__file__).with_name("program.py")
_QUIT_S = 1.0
_KILL_S = 2.0
_LOSS = (
    "if this host is killed with SIGKILL, its plugins have to notice by themselves, and those that hang, "
    "are stopped or left the plugin's process stay behind"
)

_log = logging.getLogger("plugin_host.keeper")


class Keeper:
    """The keeper of one host; `run` is the id that begins the tokens in its plugins' PLUGIN_HOST_RUN."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._reaper: Reaper | None = None
        self._pipe = -1
        self._folders: dict[bytes, None] = {}
        self._plugins: dict[str, tuple[int, int]] = {}  # pid and start time by id
        self._unsent = b""
        self._started = 0.0
        self._deaths = 0
        self._again: asyncio.TimerHandle | None = None
        self._is_begun = False
        self._is_lacking = False
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """Of the process that runs now."""
        return self._reaper.pid if self._reaper else None

    def start(self) -> None:
        """Start the process unless that was done; takes about a millisecond and waits for nothing.

        To be called in the running loop before the first plugin is started. Where there can be no keeper
        the log says so, and that is all.
        """
        if self._is_begun or self._is_closed:
            self.retry()
            return
        self._is_begun = True
        if obstacle := _obstacle():
            _log.warning("no keeper process can be started: %s; %s", obstacle, _LOSS)
            return
        self._try()

    def retry(self) -> None:
        """Try again where the first could not be started, as for want of a descriptor."""
        if self._is_lacking and not self._is_closed:
            self._try()

    def _try(self) -> None:
        was_lacking = self._is_lacking
        try:
            self._spawn()
        except OSError as error:
            self._is_lacking = True
            if not was_lacking:
                text = "no keeper process could be started: %s; %s. It is tried again with the next plugin"
                _log.warning(text, error, _LOSS)
        else:
            self._is_lacking = False
            if was_lacking:
                _log.info("the keeper process could be started now")

    def note_plugin(self, plugin: str, pid: int | None) -> None:
        """The plugin of this id runs as `pid`, which leads a session of its own; or (None) it does not run.

        So its children are found even where it ends before its keeper looks, and they have no mark.
        """
        known = self._plugins.get(plugin)
        if pid == (known and known[0]):
            return
        if known is not None:
            del self._plugins[plugin]
            self._send(ended_line(known[0]))
        if pid is not None and (identity := identify(pid)):
            self._plugins[plugin] = pid, int(identity.started)
            self._send(session_line(*self._plugins[plugin]))

    def tell_cgroup(self, path: str | os.PathLike[str]) -> None:
        """A cgroup folder was made for a plugin: nobody in it shall outlive the host, nor the folder.

        Of cgroup v1, each hierarchy's folder is told. Raises ValueError for what is no absolute path.
        """
        folder = os.fsencode(path)
        line = cgroup_line(folder)
        if folder not in self._folders:
            self._folders[folder] = None
            self._send(line)

    def forget_cgroup(self, path: str | os.PathLike[str]) -> None:
        """A folder that was told is removed."""
        folder = os.fsencode(path)
        if folder in self._folders:
            del self._folders[folder]
            self._send(gone_line(folder))

    async def close(self) -> None:
        """End the process, within a second or a little more; all plugins should have been stopped.

        One that is not up yet is killed: its interpreter is not worth waiting for.
        """
        self._is_closed = True
        if self._again is not None:
            self._again.cancel()
        if (reaper := self._reaper) is None:
            return
        try:
            if self._is_up() and self._send(QUIT):
                await asyncio.wait((reaper.exited,), timeout=_QUIT_S)
        finally:
            reaper.send_signal(SIGKILL)
            reaped = asyncio.create_task(asyncio.wait((reaper.exited,), timeout=_KILL_S))
            try:
                await all_done([reaped], hurries=False)
            finally:
                self._drop()

    def _spawn(self) -> None:
        """Raises OSError."""
        read_fd, write_fd = os.pipe()
        try:
            os.set_blocking(write_fd, False)
            child = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_PROGRAM), str(os.getpid()), self._run],
                stdin=read_fd,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            os.close(write_fd)
            raise
        finally:
            os.close(read_fd)
        # Popen has done its part: the reaper waits for the pid, and this keeps Popen from doing so too.
        child.returncode = 0
        self._pipe, self._unsent = write_fd, b""
        self._reaper = Reaper(child.pid, self._ended)
        self._started = asyncio.get_running_loop().time()
        plugins = [session_line(*plugin) for plugin in self._plugins.values()]
        self._send(HELLO + b"".join([*map(cgroup_line, self._folders), *plugins]))

    def _is_up(self) -> bool:
        """Whether it has read what it was told so far, the first line at least."""
        try:
            unread = fcntl.ioctl(self._pipe, termios.FIONREAD, bytes(4))
        except OSError:
            return False
        return not self._unsent and not any(unread)

    def _send(self, line: bytes) -> bool:
        """Say it now, or when the pipe has room again; False when nobody listens."""
        if self._pipe < 0:
            return False
        is_waiting = bool(self._unsent)
        self._unsent += line
        return is_waiting or self._write()

    def _write(self) -> bool:
        loop = asyncio.get_running_loop()
        try:
            self._unsent = self._unsent[os.write(self._pipe, self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:  # it has ended, which the reaper tells
            loop.remove_writer(self._pipe)
            self._unsent = b""
            return False
        if self._unsent:
            loop.add_writer(self._pipe, self._write)
        else:
            loop.remove_writer(self._pipe)
        return True

    def _drop(self) -> None:
        """Give back what is held of the process that ended."""
        reaper, self._reaper = self._reaper, None
        pipe, self._pipe = self._pipe, -1
        if reaper is not None:
            reaper.close()
        if pipe >= 0:
            asyncio.get_running_loop().remove_writer(pipe)
            os.close(pipe)

    def _ended(self, status: ExitStatus) -> None:
        if self._is_closed:
            return  # `close` sees it too
        loop = asyncio.get_running_loop()
        pid = self.pid
        self._drop()
        if loop.time() - self._started >= HEALTHY_S:
            self._deaths = 0
        self._deaths += 1
        self._replace(f"the keeper process {pid} ended: {status.describe()}")

    def _replace(self, story: str) -> None:
        if self._deaths > len(PAUSES_S):
            _log.error("%s, as %d did before it; no other is started: %s", story, len(PAUSES_S), _LOSS)
            return
        pause = PAUSES_S[self._deaths - 1]
        _log.warning("%s; another is started%s", story, f" in {pause:g} s" if pause else "")
        self._again = asyncio.get_running_loop().call_later(pause, self._spawn_again)

    def _spawn_again(self) -> None:
        try:
            self._spawn()
        except OSError as error:
            self._deaths += 1
            self._replace(f"no keeper process could be started: {error}")


def _obstacle() -> str | None:
    """Why there can be no keeper here."""
    if not has_own_proc():
        return "this system has no /proc of this PID namespace, in which it would look for the plugins"
    if getattr(sys, "frozen", False) or not sys.executable:
        return "this program has no Python interpreter of its own to run it with"
    if not _PROGRAM.is_file():
        return f"{_PROGRAM} is not there"
    return None
