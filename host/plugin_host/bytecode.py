"""Private folders for the bytecode of plugins whose files are vouched for by a checksum.

A checksum leaves `__pycache__` out, since Python itself writes there, and Python runs what it finds there
without looking at the source. So such a plugin is told to keep its bytecode elsewhere: in a folder that
is new with this host and gone with it, one for each plugin, which no other plugin is told of.

A host keeps a lock on the folder that holds its own, which ends with the host's process however that ends.
So it can be told whether a folder is in use.

Owns those folders. Invariant: bytecode that was there before the host is never run by a plugin that has a
checksum; it compiles what it imports at its first start (some 0.15 s for the SDK), not at later ones.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .account import Account
    from .candidate import Candidate

__all__ = ["PREFIX_NAME", "BytecodeFolders", "abandoned_folders"]

PREFIX_NAME = "PYTHONPYCACHEPREFIX"
_FOLDER_PREFIX = "plugin-host-bytecode-"


class BytecodeFolders:
    """Those of one host. Its methods block for a few file operations; `close` for as many as there are
    files."""

    def __init__(self) -> None:
        self._root: str | None = None
        self._lock = -1
        self._mutex = threading.Lock()

    def environment_for(self, candidate: Candidate, account: Account | None = None) -> dict[str, str]:
        """The variable that leads the plugin to its own folder; nothing for one without a checksum.

        `account` is the user it runs as, who must be able to write there. Raises OSError.
        """
        manifest = candidate.manifest
        if not candidate.pin and (manifest is None or not manifest.checksum):
            return {}
        folder = os.path.join(self._made(), candidate.id)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if account is not None:
            os.chown(folder, account.uid, account.gid)
        return {PREFIX_NAME: folder}

    def _made(self) -> str:
        with self._mutex:
            if self._root is None:
                root = tempfile.mkdtemp(prefix=_FOLDER_PREFIX)
                os.chmod(root, 0o711)  # other users pass through to what is theirs
                self._lock = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(self._lock, fcntl.LOCK_SH)
                self._root = root
            return self._root

    def close(self) -> None:
        """Remove them all, once no plugin runs. A second call does nothing."""
        root, self._root = self._root, None
        if root is not None:
            shutil.rmtree(root, ignore_errors=True)
            os.close(self._lock)


def abandoned_folders(parent: str | None = None) -> list[str]:
    """The folders of this user's hosts, in the folder for temporary files, whose host is gone."""
    parent = parent or tempfile.gettempdir()
    try:
        names = sorted(os.listdir(parent))
    except OSError:
        return []
    paths = [os.path.join(parent, name) for name in names if name.startswith(_FOLDER_PREFIX)]
    return [path for path in paths if _is_abandoned(path)]


def _is_abandoned(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(fd).st_uid == os.geteuid()
    except OSError:  # its host has the lock
        return False
    finally:
        os.close(fd)
