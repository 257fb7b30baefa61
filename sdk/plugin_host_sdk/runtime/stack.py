"""What every thread of a plugin is doing, and every task of its event loop, as `stacks` answers it.

The reading thread looks while the others run on. Invariants: nothing of the author's runs and no lock is
waited for; however much there is to tell, the answer is one frame of the wire, so no bulk is ahead of it.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from types import AsyncGeneratorType, CoroutineType, GeneratorType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType
    from typing import Any

    CallOf = Callable[[FrameType], str | None]

__all__ = ["take_stacks"]

MOST_THREADS = 100
MOST_TASKS = 100
MOST_FRAMES = 40
MOST_BYTES = 56 * 1024

_PATH_CHARACTERS = 500
_TEXT_CHARACTERS = 200
_ONE_OVERHEAD, _FRAME_OVERHEAD = 64, 16  # bytes for keys, numbers and headers
_MOST_FILES = 32
_FILE_BYTES = 1024 * 1024
_TRIES = 3


def take_stacks(loop: AbstractEventLoop | None, call_of: CallOf) -> dict[str, Any]:
    """Threads and tasks, those with calls first; `left_out` counts what there was no room for.

    `call_of` names the call that a frame of the runtime serves, None for any other frame. Frames go from
    the outermost to the innermost; what the runtime does around a handler is not shown.
    """
    room = _Room()
    threads = room.furnish(_threads(room, call_of), MOST_THREADS)
    tasks = room.furnish(_tasks(room, loop, call_of), MOST_TASKS)
    return {"threads": threads, "tasks": tasks, "left_out": room.left_out}


class _Room:
    """Counts the bytes, and reads the files that frames are from, each once."""

    def __init__(self) -> None:
        self.left = MOST_BYTES
        self.left_out = 0
        self._files: dict[str, list[bytes]] = {}

    def furnish(self, every: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
        """Those of the threads or tasks that there is room for, `most` of them at most."""
        taken: list[dict[str, Any]] = []
        for one in sorted(every, key=lambda one: "call" not in one):
            size = _ONE_OVERHEAD + sum(_size(one[key]) for key in ("name", "call") if key in one)
            for file, _, function, source in one["frames"]:
                size += _FRAME_OVERHEAD + _size(file) + _size(function) + _size(source)
            if size <= self.left and len(taken) < most:
                self.left -= size
                taken.append(one)
            else:
                self.left_out += 1
        return taken

    def describe(self, frames: Iterable[tuple[FrameType, int]]) -> list[list[Any]]:
        """`[file, line, function, text of the line]` of each."""
        return [
            [
                _text(frame.f_code.co_filename, _PATH_CHARACTERS),
                line,
                _text(frame.f_code.co_qualname, _TEXT_CHARACTERS),
                self._line(frame.f_code.co_filename, line),
            ]
            for frame, line in frames
        ]

    def _line(self, path: str, number: int) -> str:
        if path not in self._files:
            if len(self._files) >= _MOST_FILES:
                return ""
            self._files[path] = _read_lines(path)
        lines = self._files[path]
        if not 0 < number <= len(lines):
            return ""
        return _text(lines[number - 1].decode("utf-8", "backslashreplace").strip(), _TEXT_CHARACTERS)


def _threads(room: _Room, call_of: CallOf) -> list[dict[str, Any]]:
    # The dictionary itself: `threading.enumerate` waits for a lock.
    known = dict(threading._active)  # type: ignore[attr-defined]
    found = []
    for ident, frame in sys._current_frames().items():
        thread = known.get(ident)
        frames, call = _unwind(frame, call_of)
        one = {
            # Not the properties, which an author's class may have replaced.
            "name": _text(thread._name if thread else "", _TEXT_CHARACTERS),
            "ident": ident,
            "native": thread._native_id if thread else None,
            "frames": room.describe(frames),
        }
        if call is not None:
            one["call"] = _text(call, _TEXT_CHARACTERS)
        found.append(one)
    return found


def _unwind(innermost: FrameType, call_of: CallOf) -> tuple[list[tuple[FrameType, int]], str | None]:
    """Frames with their lines, outermost first and without those of the runtime around a handler."""
    frames: list[tuple[FrameType, int]] = []
    call = None
    frame: FrameType | None = innermost
    while frame is not None:
        frames.append((frame, frame.f_lineno or 0))
        call = call or call_of(frame)
        frame = frame.f_back
    while len(frames) > 1 and _is_scaffold(frames[-1][0]):
        frames.pop()
    return frames[:MOST_FRAMES][::-1], call


def _is_scaffold(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    return type(name) is str and (name == "threading" or name.startswith("plugin_host_sdk."))


def _tasks(room: _Room, loop: AbstractEventLoop | None, call_of: CallOf) -> list[dict[str, Any]]:
    if loop is None:
        return []
    found = []
    for task in _all_tasks(loop):
        frames, call = _follow(task.get_coro(), call_of)
        one = {"name": _text(task.get_name(), _TEXT_CHARACTERS), "frames": room.describe(frames)}
        if call is not None:
            one["call"] = _text(call, _TEXT_CHARACTERS)
        found.append(one)
    return found


def _all_tasks(loop: AbstractEventLoop) -> list[Any]:
    from asyncio import all_tasks

    for _ in range(_TRIES):
        try:
            return list(all_tasks(loop))
        except RuntimeError:  # the loop's own thread made or ended one meanwhile
            pass
    return []


def _follow(awaited: object, call_of: CallOf) -> tuple[list[tuple[FrameType, int]], str | None]:
    """Down a chain of awaits, as far as it leads through Python; outermost first."""
    frames: list[tuple[FrameType, int]] = []
    call = None
    for frame in _awaiting(awaited):
        frames.append((frame, frame.f_lineno or 0))
        call = call or call_of(frame)
        if len(frames) == MOST_FRAMES:
            break
    while len(frames) > 1 and _is_scaffold(frames[0][0]):
        frames.pop(0)
    return frames, call


def _awaiting(awaited: object) -> Iterator[FrameType]:
    """The frames of a chain of awaits. Other types than these may run anything when they are asked."""
    while True:
        frame: FrameType | None
        if isinstance(awaited, CoroutineType):
            frame, awaited = awaited.cr_frame, awaited.cr_await
        elif isinstance(awaited, GeneratorType):
            frame, awaited = awaited.gi_frame, awaited.gi_yieldfrom
        elif isinstance(awaited, AsyncGeneratorType):
            frame, awaited = awaited.ag_frame, awaited.ag_await
        else:
            return
        if frame is None:  # it has just ended
            return
        yield frame


def _read_lines(path: str) -> list[bytes]:
    """The lines of a source file; none when it is not a plain file that can be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return []
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return []
        return os.read(fd, _FILE_BYTES).splitlines()
    except OSError:
        return []
    finally:
        os.close(fd)


def _text(value: object, most: int) -> str:
    """A text that travels, whatever an author has made of a name."""
    text = value if type(value) is str else type(value).__name__
    return text[:most].encode("utf-8", "backslashreplace").decode()


def _size(text: str) -> int:
    return len(text.encode())
