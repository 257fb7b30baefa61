"""The stacks of a plugin's threads and tasks, as they come from its reader or from its faulthandler.

Owns the types, and their decoding: what a plugin says is taken for what it is worth, cut to bounds, and
nothing it can say raises. Frames go from the outermost to the innermost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plugin_host_sdk.errors import excerpt

from .wording import shown

__all__ = ["Frame", "Stack", "from_wire"]

MOST_STACKS = 200
MOST_FRAMES = 100
_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Frame:
    """One call of a function: where it is, and the text of that line where it is known."""

    file: str
    line: int
    function: str
    source: str = ""

    @property
    def is_own(self) -> bool:
        """Whether it is the plugin's code, or a library's it uses: not Python's own, nor the SDK's."""
        file = self.file
        if file.startswith("<") or "/plugin_host_sdk/" in file:
            return False
        _, found, rest = file.rpartition("/lib/python3")
        return not found or "/site-packages/" in rest or "/dist-packages/" in rest

    @property
    def is_scaffold(self) -> bool:
        """Whether it is of what starts threads and runs handlers."""
        return "/plugin_host_sdk/" in self.file or self.file.endswith("/threading.py")

    def describe(self) -> str:
        """`file:line in function`, with the line itself if there is one."""
        text = f"{shown(self.file)}:{self.line} in {shown(self.function)}"
        return f"{text} (`{shown(self.source)}`)" if self.source else text


@dataclass(frozen=True, slots=True)
class Stack:
    """A thread, or a task of the event loop (`ident` is 0).

    `call` is the call that it serves. `native` is the number by which the kernel knows a thread, and
    `state` what the kernel says of it; both may be unknown.
    """

    name: str
    frames: tuple[Frame, ...]
    ident: int = 0
    native: int | None = None
    call: str = ""
    state: str = ""

    @property
    def own_frame(self) -> Frame | None:
        """The innermost frame of the plugin's own code: where its author should look."""
        return next((frame for frame in reversed(self.frames) if frame.is_own), None)

    @property
    def works(self) -> bool:
        """Whether it does something of the plugin's; the runtime's threads and idle workers do not."""
        return bool(self.call) or self.own_frame is not None

    @property
    def label(self) -> str:
        """What it is, by its name or what else it can be told by, and for which call."""
        kind = "thread" if self.ident else "task"
        text = f"{kind} {shown(self.name) if self.name else f'0x{self.ident:x}'}"
        return f"{text}, in the call `{shown(self.call)}`" if self.call else text

    def lines(self) -> list[str]:
        """It for a log or a terminal, one line for each frame, the innermost last as in a traceback."""
        head = f"{self.label}, {self.state}" if self.state else self.label
        return [f"{head}:", *(f"  {frame.describe()}" for frame in self.frames)]


def from_wire(answer: Any) -> tuple[tuple[Stack, ...], tuple[Stack, ...], int]:
    """Threads, tasks, and how many were left out, from an answer to `stacks`."""
    if not isinstance(answer, dict):
        return (), (), 0
    left_out = answer.get("left_out")
    return (
        _stacks(answer.get("threads")),
        _stacks(answer.get("tasks")),
        left_out if type(left_out) is int and left_out > 0 else 0,
    )


def _stacks(value: Any) -> tuple[Stack, ...]:
    every = value if isinstance(value, list) else []
    return tuple(_stack(one) for one in every[:MOST_STACKS] if isinstance(one, dict))


def _stack(value: dict[Any, Any]) -> Stack:
    ident, native, frames = value.get("ident"), value.get("native"), value.get("frames")
    return Stack(
        name=_text(value.get("name", "")),
        frames=tuple(_frames(frames)) if isinstance(frames, list) else (),
        ident=ident if type(ident) is int else 0,
        native=native if type(native) is int else None,
        call=_text(value.get("call", "")),
    )


def _frames(value: list[Any]) -> list[Frame]:
    frames = []
    for one in value[-MOST_FRAMES:]:
        if isinstance(one, list) and len(one) >= 3 and type(one[1]) is int:
            source = _text(one[3]) if len(one) > 3 else ""
            frames.append(Frame(_text(one[0]), one[1], _text(one[2]), source))
    return frames


def _text(value: Any) -> str:
    return value[:_CHARACTERS] if isinstance(value, str) else excerpt(value)
