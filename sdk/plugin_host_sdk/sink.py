"""Streams as a capability sees them: where its output goes and its input comes from.

The runtime's sink puts frames on the wire; the test kit's records them. Streams have the numbers that
the caller gave them. Sends are queued at once and never wait; `flush` may.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class OutputListener(Protocol):
        """Hears of one stream that this side sends. Called on the reading thread: never waits."""

        def credited(self, size: int) -> None:
            """The reader takes `size` more bytes."""

        def stopped(self) -> None:
            """The reader gave the stream up: only its end may still be sent."""

    class InputListener(Protocol):
        """Hears of one stream that this side receives. Called on the reading thread: never waits."""

        def received(self, offset: int, data: bytes) -> None:
            """Bytes, in order; to be given back to `Sink.consumed` when they are used."""

        def ended(self, total: int, error: Any = None) -> None:
            """Nothing more comes. With `error`, a map, the writer could not send all that it wanted to."""

    class Sink(Protocol):
        """Every method may be called from any thread."""

        @property
        def frame_bytes(self) -> int:
            """The largest piece for `send`."""

        def reserve(self) -> int:
            """A number for a stream that this side names in a request of its own."""

        def open_output(self, stream: int, credit: int, listener: OutputListener) -> None:
            """Start to send on `stream`, whose reader takes `credit` bytes for now.

            Raises CallFailed `rpc.invalid_params` for a number that is or was in use.
            """

        def open_input(self, stream: int, window: int, listener: InputListener) -> int:
            """Start to receive on `stream`; the window that is granted, at most `window`.

            Raises as `open_output` does.
            """

        def send(self, stream: int, data: bytes | memoryview) -> None:
            """Queue output within the reader's credit. Does nothing once the wire is gone."""

        def gap(self, stream: int, size: int) -> None:
            """Queue the word that `size` bytes are left out here."""

        def end(self, stream: int, error: dict[str, Any] | None = None) -> int:
            """Queue the end of an output stream, with its total; the number is not used again.

            Returns that total; 0 once the wire is gone.
            """

        def stop(self, stream: int) -> None:
            """Give an input stream up: what still comes is dropped."""

        def snapshot(self, result: Any) -> tuple[Any, int]:
            """A result as its receiver would have it now, and how many bytes it takes.

            Raises CallFailed for one that no answer can hold.
            """

        def forget(self, stream: int) -> None:
            """The request that named a stream failed: it was never opened for the caller."""

        def consumed(self, stream: int, size: int) -> None:
            """`size` bytes of input were used, so the writer may send as many."""

        def notify(self, method: str, params: dict[str, Any]) -> None:
            """Queue a notification."""

        def flush(self) -> None:
            """Write what is queued, unless another thread is at it; may wait for the wire."""


__all__: list[str] = []
