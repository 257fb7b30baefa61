"""What tests of a plugin put in the place of the machine and the host: for sessions, and for tasks.

    with FakeTerminalFactory() as terminals:
        clock, sink = FakeClock(), RecordingSink()
        manager = Manager(handlers, sink=sink, terminals=terminals, clock=clock)

    with TaskHost(plugin) as host:
        task = host.give(["make", "check"])
        assert task.wait().success

The test is the program on the terminal (`FakeTerminal`), the host at the other end of the streams
(`RecordingSink`), the passing of time (`FakeClock`), and who gives tasks (`TaskHost`). Every wait has a
deadline and raises TimeoutError with what there was instead. Nothing here is loaded by
`import plugin_host_sdk`.
"""

from __future__ import annotations

from .clock import FakeClock
from .factory import FakeTerminalFactory
from .giventask import GivenTask, TaskOutcome
from .sink import RecordingSink
from .stream import StreamEnd
from .taskhost import TaskHost
from .terminal import FakeTerminal

__all__ = [
    "FakeClock",
    "FakeTerminal",
    "FakeTerminalFactory",
    "GivenTask",
    "RecordingSink",
    "StreamEnd",
    "TaskHost",
    "TaskOutcome",
]
