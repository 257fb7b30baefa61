"""One shell as the host keeps it: credit, ends and the exit, from messages to events and back.

Pure: messages go in and events come out, and what is to be sent is returned. Each stream may be a window
ahead of its reader. Invariants: nothing is sent without credit; a guest that sends more than its window, or
acknowledges what it was not sent, has broken the protocol for good; after the exit nothing counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from plugin_host.errors import LocalProtocolError, RemoteProtocolError

from .shellframe import (
    BLOCK_BYTES,
    STDERR,
    STDIN,
    STDOUT,
    WINDOW_BYTES,
    Ack,
    Data,
    Exit,
    decode,
    encode,
)

__all__ = ["Arrived", "Credited", "Ended", "Event", "Exited", "ShellState"]

_OUTPUTS = {STDOUT: "stdout", STDERR: "stderr"}


@dataclass(frozen=True, slots=True)
class Arrived:
    """Bytes of an output, to be given back to `ShellState.consume`."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """An output has ended."""

    stream: int


@dataclass(frozen=True, slots=True)
class Credited:
    """More input may be sent."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The shell has ended."""

    code: int


Event = Arrived | Ended | Credited | Exited


class _Output:
    """One output of the guest."""

    __slots__ = ("consumed", "has_ended", "held")

    def __init__(self) -> None:
        self.held = 0  # arrived, and not acknowledged
        self.consumed = 0  # of those: to be acknowledged
        self.has_ended = False


class ShellState:
    """Both directions of one shell. `window` is the credit of each stream."""

    def __init__(self, window: int = WINDOW_BYTES) -> None:
        self.credit = window
        self.sent = 0
        self.exit: int | None = None
        self._window = window
        self._outputs = {stream: _Output() for stream in _OUTPUTS}
        self._has_ended_input = False

    def __repr__(self) -> str:
        return f"<ShellState credit={self.credit} exit={self.exit}>"

    def receive(self, message: bytes) -> list[Event]:
        """What a message of the guest says. Raises RemoteProtocolError, after which the shell is over."""
        if self.exit is not None:
            return []  # acknowledgements may still be on the way
        match decode(message):
            case Data(stream, data):
                return [self._arrive(stream, data)]
            case Ack(stream, size):
                return [self._acknowledge(stream, size)]
            case Exit(code):
                self.exit = code
                ends = [Ended(stream) for stream, output in self._outputs.items() if not output.has_ended]
                return [*ends, Exited(code)]
        return []

    def _arrive(self, stream: int, data: bytes) -> Event:
        output = self._outputs.get(stream)
        if output is None:
            raise RemoteProtocolError(f"a guest sends stdout and stderr of a shell, not stream {stream}")
        if output.has_ended:
            raise RemoteProtocolError(f"{_OUTPUTS[stream]} of a shell goes on behind its end")
        if not data:
            output.has_ended = True
            return Ended(stream)
        output.held += len(data)
        if output.held > self._window:
            raise RemoteProtocolError(
                f"{_OUTPUTS[stream]} of a shell is {output.held} bytes ahead of its reader, and its window "
                f"has {self._window}"
            )
        return Arrived(stream, data)

    def _acknowledge(self, stream: int, size: int) -> Event:
        if stream != STDIN or size > self._window - self.credit:
            raise RemoteProtocolError(
                f"{size} bytes of stream {stream} are acknowledged that were not sent"
            )
        self.credit += size
        return Credited()

    def consume(self, stream: int, size: int) -> None:
        """So many bytes of an output have been used."""
        output = self._outputs[stream]
        output.consumed += size
        if output.consumed > output.held:
            raise LocalProtocolError(f"{size} bytes of {_OUTPUTS[stream]} consumed that never arrived")

    def acks(self) -> list[bytes]:
        """What says that bytes were consumed: one message for a stream, however many calls there were."""
        messages = []
        for stream, output in self._outputs.items():
            if output.consumed:
                messages.append(encode(Ack(stream, output.consumed)))
                output.held -= output.consumed
                output.consumed = 0
        return messages

    def send(self, data: bytes) -> list[bytes]:
        """Messages with input. Raises LocalProtocolError beyond the credit and behind the end."""
        if self._has_ended_input:
            raise LocalProtocolError("the input of the shell has been ended")
        if len(data) > self.credit:
            raise LocalProtocolError(f"{len(data)} bytes to send and credit for {self.credit}")
        self.credit -= len(data)
        self.sent += len(data)
        blocks = range(0, len(data), BLOCK_BYTES)
        return [encode(Data(STDIN, data[start : start + BLOCK_BYTES])) for start in blocks]

    def end_input(self) -> list[bytes]:
        """The message that ends the input; none the second time."""
        if self._has_ended_input:
            return []
        self._has_ended_input = True
        return [encode(Data(STDIN))]
