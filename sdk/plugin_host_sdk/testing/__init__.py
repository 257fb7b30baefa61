"""What tests of exec handlers, of actions and of the manager put in the place of the machine and the host.

    with FakeTerminalFactory() as terminals:
        clock, sink = FakeClock(), RecordingSink()
        manager = Manager(handlers, sink=sink, terminals=terminals, clock=clock)

    with ActionBench(plugin) as bench:
        result = bench.trigger(action.Heartbeat(nonce="one")).result()

The test is the program on the terminal (`FakeTerminal`), the host at the other end of the streams
(`RecordingSink`), and the passing of time (`FakeClock`). Every wait has a deadline and raises TimeoutError
with what there was instead. Nothing here is loaded by `import plugin_host_sdk`.
"""

from __future__ import annotations

from .bench import ActionBench, ActionRun
from .clock import FakeClock
from .factory import FakeTerminalFactory
from .sink import RecordingSink
from .stream import StreamEnd
from .terminal import FakeTerminal

__all__ = [
    "ActionBench",
    "ActionRun",
    "FakeClock",
    "FakeTerminal",
    "FakeTerminalFactory",
    "RecordingSink",
    "StreamEnd",
]
