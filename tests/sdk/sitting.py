"""A session with a test around it: the test is its program, its host, its time and its reactor.

The fixture `sit` makes them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plugin_host_sdk.exec.attention import Attention
from plugin_host_sdk.exec.output import Output
from plugin_host_sdk.exec.pipesize import PipeSizes
from plugin_host_sdk.exec.processtable import ProcessTable
from plugin_host_sdk.exec.session import Session
from plugin_host_sdk.later import Later
from plugin_host_sdk.testing import FakeClock, RecordingSink
from plugin_host_sdk.types.session import Attached, AttachOptions, Exit, SessionOptions
from tests.sdk.turned import TurnedReactor

if TYPE_CHECKING:
    from plugin_host_sdk.sink import OutputListener

__all__ = ["FakeBody", "OutputPipe", "Sit", "Sitting"]


class FakeBody:
    """What a session runs: nothing. `calls` is what it was asked; with `is_left` something of it stays."""

    def __init__(self, pid: int | None = 4711) -> None:
        self.pid = pid
        self.is_left = False
        self.calls: list[tuple[Any, ...]] = []
        self.resize_answer: Later | None = None

    def twin(self, pid: int) -> FakeBody:
        return FakeBody(pid)

    def outputs_ended(self) -> None:
        self.calls.append(("outputs_ended",))

    def resize(self, rows: int, cols: int) -> Later | None:
        self.calls.append(("resize", rows, cols))
        return self.resize_answer

    def signal(self, number: int) -> None:
        self.calls.append(("signal", number))

    def hang_up(self, table: ProcessTable | None = None) -> None:
        self.calls.append(("hang_up",))

    def terminate(self) -> None:
        self.calls.append(("terminate",))

    def kill(self, thoroughly: bool = True) -> None:
        self.calls.append(("kill", thoroughly))

    def is_gone(self) -> bool:
        return not self.is_left

    def release(self) -> None:
        self.calls.append(("release",))


class ToldSink(RecordingSink):
    """A sink that also keeps the order of what it was told over all streams, in `told`."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def open_output(self, stream: int, credit: int, listener: OutputListener) -> None:
        super().open_output(stream, credit, listener)
        self.told.append(f"open {stream}")

    def send(self, stream: int, data: bytes | memoryview) -> None:
        super().send(stream, data)
        self.told.append(f"send {stream}")

    def end(self, stream: int, error: dict[str, Any] | None = None) -> int:
        total = super().end(stream, error)
        self.told.append(f"end {stream}")
        return total

    def notify(self, method: str, params: dict[str, Any]) -> None:
        super().notify(method, params)
        self.told.append("notify")

    def flush(self) -> None:
        super().flush()
        self.told.append("flush")


class OutputPipe:
    """A pipe that the session reads and the test writes."""

    def __init__(self, sitting: Sitting, name: str) -> None:
        self.reading, self._writing = os.pipe()
        os.set_blocking(self.reading, False)
        os.set_blocking(self._writing, False)
        fd = self.reading
        self.output = Output(
            name,
            fd,
            sitting.reactor,
            sitting.session,
            is_terminal=False,
            close=lambda: os.close(fd),
            sizes=PipeSizes(),
        )

    def write(self, data: bytes) -> None:
        assert os.write(self._writing, data) == len(data)

    def hang_up(self) -> None:
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1


class Sitting:
    """One session; `options` are those of `SessionOptions`. Viewer n has streams 4n and 4n + 2.

    `run` gives it a body and a pipe for each of its outputs. `ended` are the sessions that said so.
    """

    def __init__(self, *, replay_bytes: int = 1000, **options: Any) -> None:
        self.clock = FakeClock()
        self.reactor = TurnedReactor(self.clock)
        self.sink = ToldSink()
        self.attention = Attention()
        self.ended: list[Session] = []
        self.body = FakeBody()
        self.outputs: dict[str, OutputPipe] = {}
        self.session = Session(
            SessionOptions(id="s", **options),
            "demo/local",
            replay_bytes,
            sink=self.sink,
            reactor=self.reactor,
            clock=self.clock,
            attention=self.attention,
            ended=self.ended.append,
        )
        self._viewers = 0

    @property
    def told(self) -> list[str]:
        return self.sink.told

    @property
    def exit(self) -> Exit:
        assert self.session.exit is not None
        return self.session.exit

    def run(self) -> OutputPipe:
        """Let it run; the pipe of its terminal or stdout."""
        self.outputs = {name: OutputPipe(self, name) for name in self.session.names}
        self.session.run(self.body, [pipe.output for pipe in self.outputs.values()])
        self.reactor.settle()
        return self.outputs["stdout"]

    def attach(self, **options: Any) -> Attached:
        """Attach the next viewer."""
        number = self._viewers + 1
        streams = {"stdout": 4 * number, "stderr": None if self.session.options.tty else 4 * number + 2}
        attached = self.session.attach(AttachOptions(**({"viewer": number} | streams | options)))
        self._viewers = number
        return attached

    def hang_up(self) -> None:
        """Let go of the program's ends."""
        for pipe in self.outputs.values():
            pipe.hang_up()

    def release(self) -> None:
        """Close what the test and the session still hold."""
        self.hang_up()
        for pipe in self.outputs.values():
            pipe.output.close()


Sit = Callable[..., Sitting]
