"""The streams of one shell by number, as a session speaks of them.

Knows which number stands for the input and which for a viewer's copy of an output; bytes go straight
through.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from plugin_host.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Collection

    from plugin_host.stream import Receiver, Sender

    from .shelllink import ShellLink
    from .shelloutput import ShellOutput

__all__ = ["ShellStreams"]


class ShellStreams:
    """`outputs` are those of the shell behind `link`."""

    def __init__(self, link: ShellLink, outputs: Collection[ShellOutput]) -> None:
        self._link = link
        self._outputs = outputs
        self._numbers = count(1)
        self._expected: dict[int, tuple[int, Receiver]] = {}
        self._input: Sender | None = None

    def __repr__(self) -> str:
        return f"<ShellStreams of {self._link!r}>"

    def credited(self) -> None:
        """The guest takes more input."""
        if self._input is not None:
            self._input.credited()

    # Receiving.

    def open_receive(self, window: int, receiver: Receiver) -> int:
        """A number for a viewer's copy of an output, which `expected` tells to whoever follows it."""
        stream = self.reserve()
        self._expected[stream] = (window, receiver)
        return stream

    def expected(self, stream: int) -> tuple[int, Receiver]:
        """The window and the receiver of a stream that was opened just now."""
        return self._expected.pop(stream)

    def consume(self, stream: int, size: int) -> None:
        """The reader took `size` bytes."""
        for output in self._outputs:
            output.credit(stream, size)

    def stop(self, stream: int) -> None:
        """Nobody wants what still comes."""
        self._expected.pop(stream, None)
        for output in self._outputs:
            output.leave(stream)

    def forget(self, stream: int) -> None:
        """What named it failed."""
        self.stop(stream)

    # Sending.

    def reserve(self) -> int:
        """A number."""
        return next(self._numbers)

    def open_send(self, stream: int, credit: int, sender: Sender) -> None:
        """The input; its credit is the shell's."""
        self._input = sender

    def credit(self, stream: int) -> int:
        """How many bytes of input may be sent now."""
        return 0 if self._link.is_over else self._link.state.credit

    def room(self) -> None:
        """The credit alone bounds what waits to be sent."""

    def send(self, stream: int, data: bytes | memoryview, *, urgent: bool) -> None:
        """Send up to `credit` bytes."""
        self._link.send(bytes(data))

    def skip(self, stream: int, size: int) -> None:
        """Raises LocalProtocolError: what is typed has no gaps."""
        raise LocalProtocolError("the input of a shell cannot be left out in part")

    def end(self, stream: int, *, urgent: bool, error: dict[str, Any] | None = None) -> None:
        """Nothing more is written; `close_stdin` says so to the guest, when it is to know."""
        self._input = None
