"""The test kit with the manager it is made for: the test is the program, the host and the time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.exec import Handler
from plugin_host_sdk.exec.manager import Manager
from plugin_host_sdk.testing import FakeClock, FakeTerminalFactory, RecordingSink, StreamEnd
from plugin_host_sdk.types.session import AttachOptions, SessionOptions
from tests.wait import WaitUntil

STDIN, VIEWER, STDOUT = 2, 4, 6


class Stage:
    """A manager between the three parts of the kit; `logged` is what it logged."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.sink = RecordingSink()
        self.terminals = FakeTerminalFactory()
        self.logged: list[tuple[str, str]] = []
        self.manager = Manager(
            [Handler("local", plugin="demo", default_command=["bash"])],
            sink=self.sink,
            terminals=self.terminals,
            clock=self.clock,
            logger=lambda level, message: self.logged.append((level, message)),
        )

    def open(self) -> None:
        self.manager.create(SessionOptions(id="s", rows=24, cols=80), stdin=STDIN)
        self.manager.attach("s", AttachOptions(viewer=VIEWER, stdout=STDOUT, window=10))


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    for session in stage.manager.list():
        for terminal in stage.terminals.terminals:
            terminal.finish(0)
        stage.sink.wait_for_exit(session.id)
    stage.manager.shutdown(1.0)
    stage.terminals.close()
    assert stage.sink.faults == []
    assert stage.logged == []


def test_test_plays_program_and_host(stage: Stage) -> None:
    stage.open()
    terminal = stage.terminals.wait_for_terminal()
    assert (terminal.argv, terminal.sizes) == (["bash"], [(24, 80)])
    terminal.write_output(b"$ ")
    stage.sink.wait_for_output(b"$ ", stream=STDOUT)
    stage.sink.type(STDIN, b"exit 3\r")
    assert terminal.wait_for_input(b"\r") == b"exit 3\r"
    stage.clock.advance(2.5)
    terminal.write_output(b"bye")
    terminal.finish(3)
    exited = stage.sink.wait_for_exit("s")
    assert (exited["exit"]["code"], exited["exit"]["duration"]) == (3, 2.5)
    assert exited["totals"] == {"stdout": 5}
    assert stage.sink.wait_for_end(STDOUT) == StreamEnd(5, None)
    assert stage.sink.output(STDOUT) == b"$ bye"


def test_output_waits_for_credit(stage: Stage) -> None:
    stage.open()
    terminal = stage.terminals.wait_for_terminal()
    terminal.write_output(b"0123456789abcdef")
    stage.sink.wait_for_offset(STDOUT, 10)
    assert stage.sink.credit_left(STDOUT) == 0
    stage.sink.credit(STDOUT, 100)
    assert stage.sink.wait_for_output(b"f", stream=STDOUT) == b"0123456789abcdef"


def test_resize_reaches_the_terminal(stage: Stage) -> None:
    stage.open()
    stage.manager.resize("s", 50, 132)
    stage.terminals.wait_for_terminal().wait_for_size(50, 132)


def test_signal_ends_the_stand_in(stage: Stage) -> None:
    stage.open()
    stage.manager.signal("s", "SIGTERM")
    assert stage.sink.wait_for_exit("s")["exit"]["signal"] == "SIGTERM"


def test_time_passes_for_output_that_a_grandchild_holds_open(stage: Stage, wait_until: WaitUntil) -> None:
    stage.open()
    terminal = stage.terminals.wait_for_terminal()
    terminal.finish(0, keep_open=True)
    wait_until(lambda: stage.manager.get("s").state == "ending")
    assert stage.sink.notifications == []

    def has_exited_after_a_while() -> bool:
        # Asked again, should the first time have passed before anything waited for it.
        stage.clock.advance(0.6)
        return bool(stage.sink.notifications)

    wait_until(has_exited_after_a_while)
    terminal.wait_for_close()


def test_terminal_that_cannot_be_had_fails_the_session(stage: Stage) -> None:
    stage.terminals.fail()
    with pytest.raises(TerminalError, match="the test does not let it"):
        stage.manager.create(SessionOptions(id="s"))
    assert stage.manager.list() == []
