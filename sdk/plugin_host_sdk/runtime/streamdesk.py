"""The streams of a plugin's capabilities on the wire: frames out, and frames in to who listens.

Owns which listener a stream has. Every touch of the connection happens under the wiring's mutex; listeners
are called outside it, on the reading thread. Once the wire is gone, sending does nothing: whoever sends
learns of the end elsewhere.
"""

from __future__ import annotations

from plugin_host_sdk.errors import CallFailed, LocalProtocolError
from plugin_host_sdk.events import CreditReceived, DataReceived, EndReceived, StopReceived
from plugin_host_sdk.protocol import FULL_PAYLOAD_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from plugin_host_sdk.sink import InputListener, OutputListener

    from .wiring import Wiring

__all__ = ["StreamDesk"]

# What may wait in the bulk lane before those who fill it do.
_BULK_BYTES = 1024 * 1024


class StreamDesk:
    """The `Sink` of a runtime."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._streams = wiring.connection.streams
        self._outputs: dict[int, OutputListener] = {}
        self._inputs: dict[int, InputListener] = {}
        self.handlers: dict[type, Callable[[Any], None]] = {
            DataReceived: self._receive_data,
            CreditReceived: self._receive_credit,
            StopReceived: self._receive_stop,
            EndReceived: self._receive_end,
        }

    @property
    def frame_bytes(self) -> int:
        return min(self._streams.peer_frame_bytes, FULL_PAYLOAD_BYTES)

    # Opening.

    def reserve(self) -> int:
        with self._wiring.mutex:
            return self._streams.reserve()

    def open_output(self, stream: int, credit: int, listener: OutputListener) -> None:
        with self._wiring.mutex:
            try:
                outbound = self._streams.open_send(stream, credit)
            except LocalProtocolError as error:
                raise CallFailed(str(error), name="rpc.invalid_params") from None
            self._outputs[stream] = listener
        if outbound.stopped:  # by a caller that did not wait for the answer
            listener.stopped()

    def open_input(self, stream: int, window: int, listener: InputListener) -> int:
        window = min(window, self._wiring.connection.limits.window_bytes)
        with self._wiring.mutex:
            try:
                self._streams.open_receive(stream, window)
            except LocalProtocolError as error:
                raise CallFailed(str(error), name="rpc.invalid_params") from None
            self._inputs[stream] = listener
        return window

    # Sending.

    def send(self, stream: int, data: bytes | memoryview) -> None:
        wiring, streams = self._wiring, self._streams
        with wiring.mutex:
            outbound = streams.sending.get(stream)
            if outbound is not None and not outbound.stopped and wiring.is_open():
                wiring.outbox.put_bulk(stream, streams.send_data(stream, data))

    def gap(self, stream: int, size: int) -> None:
        with self._wiring.mutex:
            if self._is_open(stream):
                self._wiring.outbox.put_bulk(stream, (self._streams.send_gap(stream, size),))

    def end(self, stream: int, error: dict[str, Any] | None = None) -> int:
        with self._wiring.mutex:
            self._outputs.pop(stream, None)
            outbound = self._streams.sending.get(stream)
            if outbound is None or not self._wiring.is_open():
                return 0
            self._wiring.outbox.put_bulk(stream, (self._streams.send_end(stream, error),))
            return outbound.offset

    def stop(self, stream: int) -> None:
        with self._wiring.mutex:
            self._inputs.pop(stream, None)
            if stream in self._streams.receiving and self._wiring.is_open():
                self._wiring.put(self._streams.send_stop(stream))

    def forget(self, stream: int) -> None:
        with self._wiring.mutex:
            self._inputs.pop(stream, None)
            self._outputs.pop(stream, None)
            self._streams.forget(stream)

    def consumed(self, stream: int, size: int) -> None:
        with self._wiring.mutex:
            if self._wiring.is_open():
                self._wiring.outbox.put(self._streams.consume(stream, size))

    def notify(self, method: str, params: dict[str, Any]) -> None:
        self._wiring.notify(method, params)

    def snapshot(self, result: Any) -> tuple[Any, int]:
        return self._wiring.snapshot(result, "command.not_encodable")

    def flush(self) -> None:
        wiring = self._wiring
        wiring.flush(wait=wiring.outbox.bulk_bytes > _BULK_BYTES)

    def _is_open(self, stream: int) -> bool:
        """Whether frames may be sent; one that was stopped takes only its end."""
        outbound = self._streams.sending.get(stream)
        return outbound is not None and not outbound.stopped and self._wiring.is_open()

    # Receiving, on the reading thread.

    def _receive_data(self, event: DataReceived) -> None:
        listener = self._inputs.get(event.stream)
        if listener is not None:
            listener.received(event.offset, event.data)

    def _receive_end(self, event: EndReceived) -> None:
        listener = self._inputs.pop(event.stream, None)
        if listener is not None:
            listener.ended(event.total, event.error)

    def _receive_credit(self, event: CreditReceived) -> None:
        listener = self._outputs.get(event.stream)
        if listener is not None:
            listener.credited(event.size)

    def _receive_stop(self, event: StopReceived) -> None:
        listener = self._outputs.get(event.stream)
        if listener is not None:
            listener.stopped()
