"""What outlives the plugin's process: a folder of its own, with small files for nobody else's eyes.

The folder is locked from its first use to the end of the process, so that two plugins never change one key.
Invariant: a file in it is whole, whatever happens while it is written, and has the mode 0600.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from typing import TYPE_CHECKING

from plugin_host_sdk.action import ActionFailed

from .place import parse
from .replacement import Replacement

if TYPE_CHECKING:
    from .setting import Settings

__all__ = ["State", "close_state", "open_state", "opened"]

_MODE = 0o600
_LARGEST_BYTES = 16 * 1024 * 1024

_opening = threading.Lock()
_state: State | None = None


class State:
    """The folder `path`. `turn` is held by whoever changes more than one file of the keys, for a moment;
    `first_run` by whoever runs the scripts of a first run, for as long as they take."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.turn = threading.RLock()
        self.first_run = threading.Lock()
        try:
            os.makedirs(path, mode=0o700, exist_ok=True)
            self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise _failed(path, error) from None
        try:
            self._take()
        except BaseException:
            os.close(self._fd)
            raise

    def read(self, name: str) -> bytes | None:
        """What the file holds; None when there is none. Raises ActionFailed."""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)
            with open(fd, "rb") as file:
                return file.read(_LARGEST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _failed(os.path.join(self.path, name), error) from None

    def write(self, name: str, data: bytes) -> None:
        """Replace the file in one step. Raises ActionFailed."""
        with Replacement(parse(os.path.join(self.path, name)), mode=_MODE) as file:
            file.write(data)
            file.commit()

    def remove(self, name: str) -> None:
        """Remove the file, if there is one."""
        try:
            os.unlink(name, dir_fd=self._fd)
            os.fsync(self._fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _failed(os.path.join(self.path, name), error) from None

    def close(self) -> None:
        os.close(self._fd)

    def _take(self) -> None:
        """Lock it. Raises ActionFailed for a folder that another process uses, or others may look into."""
        found = os.fstat(self._fd)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise ActionFailed(
                f"{self.path} holds secrets and has to belong to uid {os.geteuid()} alone: it belongs to "
                f"uid {found.st_uid} with mode {stat.S_IMODE(found.st_mode):04o}; chown and chmod 700 it"
            )
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ActionFailed(
                f"{self.path} is used by another process: give each plugin a state_dir of its own",
                retryable=True,
            ) from None


def open_state(settings: Settings) -> State:
    """The state of this process, opened at the first use. Raises ActionFailed.

    It stays where it was opened: another state_dir takes a restart.
    """
    global _state
    with _opening:
        if _state is None:
            _state = State(os.path.realpath(settings.state_folder))
        return _state


def opened() -> str | None:
    """The folder that is in use; None before the first use."""
    state = _state
    return None if state is None else state.path


def close_state() -> None:
    """Let go of it."""
    global _state
    with _opening:
        state, _state = _state, None
    if state is not None:
        state.close()


def _failed(path: str, error: OSError) -> ActionFailed:
    return ActionFailed(f"{path}: {error.strerror}", data={"errno": error.errno, "path": path})
