"""What the host tells its keeper, line by line: plugins and cgroup folders that come and go, and goodbye.

Pure. Both sides' bytes are made and read here. A line that is not known is skipped.
"""

from __future__ import annotations

__all__ = ["HELLO", "QUIT", "Dictation", "cgroup_line", "ended_line", "gone_line", "session_line"]

# Says nothing. Once it was read, the keeper is up.
HELLO = b"hello\n"
QUIT = b"quit\n"


def cgroup_line(folder: bytes) -> bytes:
    """This folder was made for a plugin; the keeper may kill who is in it. Raises ValueError."""
    return b"cgroup " + _sound(folder) + b"\n"


def gone_line(folder: bytes) -> bytes:
    """This folder is no more, or not the keeper's business any more. Raises ValueError."""
    return b"gone " + _sound(folder) + b"\n"


def session_line(pid: int, started: int) -> bytes:
    """A plugin runs: the process `pid` that started at `started` (ticks) leads a session of its own."""
    return b"session %d %d\n" % (pid, started)


def ended_line(pid: int) -> bytes:
    """The plugin that `pid` was is gone with all of its session."""
    return b"ended %d\n" % pid


def _sound(folder: bytes) -> bytes:
    if not folder.startswith(b"/") or b"\n" in folder or b"\0" in folder:
        raise ValueError(f"{folder!r} is no absolute path of a cgroup folder")
    return folder


class Dictation:
    """The lines up to now: `folders` are those to look after, `sessions` the plugins' with their leaders'
    start times; `is_over` after goodbye.
    """

    __slots__ = ("_rest", "folders", "is_over", "sessions")

    def __init__(self) -> None:
        self.folders: list[bytes] = []
        self.sessions: dict[int, int] = {}
        self.is_over = False
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take what came from the pipe. A line counts when its end is there."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            word, _, what = line.partition(b" ")
            if word == b"quit":
                self.is_over = True
            elif word in (b"cgroup", b"gone"):
                self._note_folder(word, what)
            elif word in (b"session", b"ended"):
                self._note_session(word, what.split())

    def _note_folder(self, word: bytes, folder: bytes) -> None:
        if word == b"gone" and folder in self.folders:
            self.folders.remove(folder)
        elif word == b"cgroup" and folder.startswith(b"/") and folder not in self.folders:
            self.folders.append(folder)

    def _note_session(self, word: bytes, numbers: list[bytes]) -> None:
        if not all(number.isdigit() for number in numbers):
            return
        if word == b"ended" and len(numbers) == 1:
            self.sessions.pop(int(numbers[0]), None)
        elif word == b"session" and len(numbers) == 2:
            self.sessions[int(numbers[0])] = int(numbers[1])
