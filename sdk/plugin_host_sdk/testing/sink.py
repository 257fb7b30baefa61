"""The host at the other end of a manager's streams, as a test plays it.

Keeps what was sent, in order, and holds the manager to the rules of the wire: credit, frame size, numbers
that are not used twice. Whatever breaks them raises where it was done and is in `faults`, so that a test
learns of it also when somebody caught it. Listeners are called on the test's thread, without a lock.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import CallFailed, LocalProtocolError
from plugin_host_sdk.protocol import FRAME_BYTES
from plugin_host_sdk.wire import Encoder, unpack

from .stream import ReceivedStream, SentStream, StreamEnd

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from plugin_host_sdk.sink import InputListener, OutputListener

    _T = TypeVar("_T")

__all__ = ["RecordingSink"]


class RecordingSink:
    """A `Sink` whose reader and writer is the test. Streams are known by their numbers; unknown: KeyError.

    `notifications` are pairs of method and parameters; `flushes` counts. The test gives credit and stops
    outputs with `credit` and `stop_output`, and feeds inputs with `type` and `end_input`.
    """

    def __init__(self, frame_bytes: int = FRAME_BYTES) -> None:
        self.notifications: list[tuple[str, dict[str, Any]]] = []
        self.faults: list[str] = []
        self.flushes = 0
        self._frame_bytes = frame_bytes
        self._changed = threading.Condition()
        self._outputs: dict[int, SentStream] = {}
        self._inputs: dict[int, ReceivedStream] = {}
        self._is_connected = True
        self._reserved = 1

    def __repr__(self) -> str:
        return f"RecordingSink(outputs={self._outputs}, inputs={self._inputs})"

    # The manager's side.

    @property
    def frame_bytes(self) -> int:
        return self._frame_bytes

    def reserve(self) -> int:
        with self._changed:
            stream, self._reserved = self._reserved, self._reserved + 2
            return stream

    def open_output(self, stream: int, credit: int, listener: OutputListener) -> None:
        with self._changed:
            self._check_new(stream)
            self._outputs[stream] = SentStream(credit, listener)
            self._changed.notify_all()

    def open_input(self, stream: int, window: int, listener: InputListener) -> int:
        with self._changed:
            self._check_new(stream)
            self._inputs[stream] = ReceivedStream(window, listener)
            self._changed.notify_all()
        return window

    def send(self, stream: int, data: bytes | memoryview) -> None:
        with self._changed:
            output = self._sending(stream)
            if output is None:
                return
            if not 0 < len(data) <= self._frame_bytes:
                raise self._fault(f"a frame carries 1 to {self._frame_bytes} bytes, not {len(data)}")
            try:
                output.window.spend(len(data))
            except LocalProtocolError as error:
                raise self._fault(f"stream {stream}: {error}") from None
            output.sent += data
            output.frames.append(len(data))
            output.offset += len(data)
            self._changed.notify_all()

    def gap(self, stream: int, size: int) -> None:
        with self._changed:
            output = self._sending(stream)
            if output is None:
                return
            if size < 1:
                raise self._fault(f"a gap of {size} bytes on stream {stream}")
            output.gaps.append((output.offset, size))
            output.offset += size
            self._changed.notify_all()

    def end(self, stream: int, error: dict[str, Any] | None = None) -> int:
        with self._changed:
            output = self._outputs.get(stream)
            if output is None or output.end is not None or not self._is_connected:
                return 0
            output.end = StreamEnd(output.offset, error)
            self._changed.notify_all()
            return output.offset

    def stop(self, stream: int) -> None:
        with self._changed:
            entry = self._inputs.get(stream)
            if entry is not None and not entry.has_ended and self._is_connected:
                entry.is_stopped = True
                self._changed.notify_all()

    def snapshot(self, result: Any) -> tuple[Any, int]:
        try:
            data = Encoder().encode([result])
        except LocalProtocolError as error:
            raise CallFailed(f"the result: {error}", name="command.not_encodable") from None
        return unpack(data)[0], len(data)

    def forget(self, stream: int) -> None:
        with self._changed:
            self._inputs.pop(stream, None)
            self._outputs.pop(stream, None)
            self._changed.notify_all()

    def consumed(self, stream: int, size: int) -> None:
        with self._changed:
            entry = self._inputs.get(stream)
            if entry is None or entry.is_stopped or not self._is_connected:
                return
            try:
                entry.window.consume(size)
            except LocalProtocolError as error:
                raise self._fault(f"stream {stream}: {error}") from None
            entry.consumed += size
            self._changed.notify_all()

    def notify(self, method: str, params: dict[str, Any]) -> None:
        with self._changed:
            if self._is_connected:
                self.notifications.append((method, params))
                self._changed.notify_all()

    def flush(self) -> None:
        with self._changed:
            self.flushes += 1

    # The host's side, which is the test's: what is done.

    def credit(self, stream: int, size: int) -> None:
        """Take `size` more bytes of an output."""
        with self._changed:
            output = self._outputs[stream]
            if output.end is not None or output.is_stopped:
                return
            output.window.add(size)
        output.listener.credited(size)

    def stop_output(self, stream: int) -> None:
        """Give an output up; only its end may still come."""
        with self._changed:
            output = self._outputs[stream]
            if output.end is not None or output.is_stopped:
                return
            output.is_stopped = True
        output.listener.stopped()

    def type(self, stream: int, data: bytes, timeout: float = 5.0) -> None:
        """Send all of `data` as input, in frames, waiting for room in the window.

        Does nothing once the manager has stopped the stream. Raises TimeoutError, ValueError after the end.
        """
        until, left = monotonic() + timeout, data
        while left:
            with self._changed:
                entry = self._inputs[stream]
                if entry.has_ended:
                    raise ValueError(f"input {stream} has ended: nothing more can be typed")
                if not self._changed.wait_for(entry.takes_more, max(0.0, until - monotonic())):
                    raise TimeoutError(f"{len(left)} of {len(data)} bytes found no room in {timeout:g} s")
                if entry.is_stopped:
                    return
                piece = left[: min(self._frame_bytes, entry.window.credit)]
                left = left[len(piece) :]
                entry.window.receive(len(piece))
                offset, entry.offset = entry.offset, entry.offset + len(piece)
            entry.listener.received(offset, piece)

    def end_input(self, stream: int, error: dict[str, Any] | None = None) -> None:
        """Send the end of an input, with its total; `error` says why it comes early."""
        with self._changed:
            entry = self._inputs[stream]
            if entry.has_ended:
                raise ValueError(f"input {stream} has ended already")
            entry.has_ended = True
        if not entry.is_stopped:
            entry.listener.ended(entry.offset, error)

    def disconnect(self) -> None:
        """The wire is gone: whatever is sent from now on vanishes."""
        with self._changed:
            self._is_connected = False

    # What came.

    def output(self, stream: int) -> bytes:
        """All bytes that were sent, without the gaps."""
        with self._changed:
            return bytes(self._outputs[stream].sent)

    def frames(self, stream: int) -> list[int]:
        """The sizes of the frames."""
        with self._changed:
            return list(self._outputs[stream].frames)

    def gaps(self, stream: int) -> list[tuple[int, int]]:
        """The gaps as (offset, size); offsets count bytes and gaps."""
        with self._changed:
            return list(self._outputs[stream].gaps)

    def credit_left(self, stream: int) -> int:
        """The bytes that may still be sent."""
        with self._changed:
            return self._outputs[stream].window.credit

    def end_of(self, stream: int) -> StreamEnd | None:
        """How an output ended, if it has."""
        with self._changed:
            return self._outputs[stream].end

    def stops(self) -> list[int]:
        """The inputs that the manager gave up, in order of their opening."""
        with self._changed:
            return [number for number, entry in self._inputs.items() if entry.is_stopped]

    def consumed_bytes(self, stream: int) -> int:
        """How much of an input was used."""
        with self._changed:
            return self._inputs[stream].consumed

    # Waiting for it; every wait raises TimeoutError.

    def wait_for_output(self, data: bytes, *, stream: int | None = None, timeout: float = 5.0) -> bytes:
        """Wait until `data` was sent, on any stream unless one is named; all that was sent there so far."""
        looked: dict[int, int] = {}

        def found() -> SentStream | None:
            for number, output in self._outputs.items():
                if stream in (None, number):
                    if output.sent.find(data, looked.get(number, 0)) >= 0:
                        return output
                    looked[number] = max(0, len(output.sent) - len(data) + 1)
            return None

        with self._changed:
            return bytes(self._wait(found, f"output {data!r}", timeout).sent)

    def wait_for_offset(self, stream: int, offset: int, timeout: float = 5.0) -> None:
        """Wait until `offset` bytes of an output came, gaps included."""
        with self._changed:
            self._wait(
                lambda: (output := self._outputs.get(stream)) and output.offset >= offset,
                f"byte {offset} of stream {stream}",
                timeout,
            )

    def wait_for_end(self, stream: int, timeout: float = 5.0) -> StreamEnd:
        """Wait for the end of an output."""

        def found() -> StreamEnd | None:
            output = self._outputs.get(stream)
            return output.end if output is not None else None

        with self._changed:
            return self._wait(found, f"end of stream {stream}", timeout)

    def wait_for_stop(self, stream: int, timeout: float = 5.0) -> None:
        """Wait until the manager gives an input up."""
        with self._changed:
            self._wait(
                lambda: (entry := self._inputs.get(stream)) and entry.is_stopped,
                f"stop of stream {stream}",
                timeout,
            )

    def wait_for_notification(
        self, method: str, matches: Callable[[dict[str, Any]], bool] | None = None, timeout: float = 5.0
    ) -> dict[str, Any]:
        """Wait for a notification, whose parameters `matches` accepts; its parameters."""

        def found() -> dict[str, Any] | None:
            for name, params in self.notifications:
                if name == method and (matches is None or matches(params)):
                    return params
            return None

        with self._changed:
            return self._wait(found, f"notification {method}", timeout)

    def wait_for_exit(self, session: str, timeout: float = 5.0) -> dict[str, Any]:
        """Wait for the `exec.exited` of a session; its parameters `session`, `exit` and `totals`."""
        return self.wait_for_notification(
            "exec.exited", lambda params: params.get("session") == session, timeout
        )

    # Under the lock.

    def _wait(self, found: Callable[[], _T | None], what: str, timeout: float) -> _T:
        result = self._changed.wait_for(found, timeout)
        if not result:
            raise TimeoutError(f"no {what} in {timeout:g} s; {self!r}, notified {self.notifications}")
        return result

    def _sending(self, stream: int) -> SentStream | None:
        """The output if frames may be sent on it; others are dropped without a word, as on the wire."""
        output = self._outputs.get(stream)
        if output is None or output.end is not None or output.is_stopped or not self._is_connected:
            return None
        return output

    def _check_new(self, stream: int) -> None:
        if stream in self._outputs or stream in self._inputs:
            raise CallFailed(
                f"stream {stream} is or was open; ids are never used again", name="rpc.invalid_params"
            )

    def _fault(self, message: str) -> LocalProtocolError:
        self.faults.append(message)
        return LocalProtocolError(message)
