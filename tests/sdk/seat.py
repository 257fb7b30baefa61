"""A session as one of its outputs sees it."""

from __future__ import annotations

import os
from collections.abc import Callable

from plugin_host_sdk.exec.output import Output
from plugin_host_sdk.exec.pipesize import PipeSizes
from plugin_host_sdk.exec.reactor import READ
from tests.sdk.turned import TurnedReactor

__all__ = ["Seat"]

MIB = 1024 * 1024


class Seat:
    """A session as its output sees it, with the output, its pipe, and the real time that passes."""

    def __init__(
        self,
        *,
        is_terminal: bool = False,
        before: bytes = b"",
        revive: Callable[[], bool] | None = None,
        chunk: int | None = None,
    ) -> None:
        self.reactor = TurnedReactor()
        self.sizes = PipeSizes()
        self.gives_way = False
        self.may_read: int | None = None  # None is as much as there is
        self.fed: list[bytes] = []
        self.flushed = 0
        self.ends: list[str] = []
        self.closes = 0
        self.now = 100.0
        reading, self.writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(self.writing, False)
        self.reading = reading
        self.output = Output(
            "stdout",
            reading,
            self.reactor,
            self,
            is_terminal=is_terminal,
            close=self._close,
            before=before,
            sizes=self.sizes,
            revive=revive,
            chunk=chunk,
        )

    def _close(self) -> None:
        os.close(self.reading)
        self.closes += 1

    # The session's side.

    def room(self, name: str) -> int:
        assert name == "stdout"
        return MIB if self.may_read is None else self.may_read

    def feed(self, name: str, data: bytes) -> bool:
        assert name == "stdout"
        assert data
        assert not self.ends, "output after its end"
        self.fed.append(data)
        if self.may_read is not None:
            self.may_read = max(0, self.may_read - len(data))
        return self.may_read is None or self.may_read > 0

    def flush(self) -> None:
        self.flushed = len(self.fed)

    def output_ended(self, name: str) -> None:
        assert self.output.is_over
        self.ends.append(name)

    # The test's.

    @property
    def data(self) -> bytes:
        assert self.flushed == len(self.fed), "read and not passed on"
        return b"".join(self.fed)

    @property
    def is_reading(self) -> bool:
        return self.reactor.watched == {self.reading: READ}

    def write(self, data: bytes) -> None:
        """Put out what fits into the pipe: all of it."""
        assert os.write(self.writing, data) == len(data)

    def hang_up(self) -> None:
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def release(self) -> None:
        self.hang_up()
        self.output.close()
