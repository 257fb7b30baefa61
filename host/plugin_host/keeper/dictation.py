"""What the host tells its keeper, line by line: cgroup folders that were made or are gone, and goodbye.

Pure. Both sides' bytes are made and read here. A line that is not known is skipped.
"""

from __future__ import annotations

__all__ = ["HELLO", "QUIT", "Dictation", "cgroup_line", "gone_line"]

# Says nothing. Once it was read, the keeper is up.
HELLO = b"hello\n"
QUIT = b"quit\n"


def cgroup_line(folder: bytes) -> bytes:
    """This folder was made for a plugin; the keeper may kill who is in it. Raises ValueError."""
    return b"cgroup " + _sound(folder) + b"\n"


def gone_line(folder: bytes) -> bytes:
    """This folder is no more, or not the keeper's business any more. Raises ValueError."""
    return b"gone " + _sound(folder) + b"\n"


def _sound(folder: bytes) -> bytes:
    if not folder.startswith(b"/") or b"\n" in folder or b"\0" in folder:
        raise ValueError(f"{folder!r} is no absolute path of a cgroup folder")
    return folder


class Dictation:
    """The lines up to now: `folders` are those to look after, oldest first; `is_over` after goodbye."""

    __slots__ = ("_rest", "folders", "is_over")

    def __init__(self) -> None:
        self.folders: list[bytes] = []
        self.is_over = False
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take what came from the pipe. A line counts when its end is there."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            word, _, folder = line.partition(b" ")
            if word == b"quit":
                self.is_over = True
            elif word == b"cgroup" and folder.startswith(b"/") and folder not in self.folders:
                self.folders.append(folder)
            elif word == b"gone" and folder in self.folders:
                self.folders.remove(folder)
