"""An author's function on a terminal: what it is given, how it ends, and what may follow it."""

from __future__ import annotations

import io
import os
import signal
import threading
from typing import Any

import pytest

from plugin_host_sdk.errors import ExecError, TerminalError
from plugin_host_sdk.exec import ExecSpec
from plugin_host_sdk.testing import StreamEnd
from plugin_host_sdk.types.session import SessionOptions
from tests.sdk.managed import Perform, Script, exit_of

# What it is given.


def test_function_has_the_terminal_both_ways(perform: Perform) -> None:
    def echo(ctx: Any, opts: Any, tty: io.FileIO, resize: Any) -> int:
        tty.write(b"name? ")
        tty.write(b"hello " + tty.read(100))
        return 5

    managed = perform(echo, stdin=2)
    managed.sink.wait_for_output(b"name? ", stream=4)
    managed.sink.type(2, bytes(range(50)))
    exit = exit_of(managed)
    assert (exit["code"], exit["reason"], exit["error"]) == (5, "its handler returned 5", None)
    assert managed.sink.wait_for_end(4) == StreamEnd(12 + 50, None)
    assert managed.sink.output(4) == b"name? hello " + bytes(range(50))


def test_function_is_given_its_context_the_options_and_a_raw_file(perform: Perform) -> None:
    given: list[Any] = []

    def look(ctx: Any, opts: Any, tty: io.FileIO, resize: Any) -> None:
        given.extend([ctx.name, opts, type(tty), tty.isatty(), os.get_inheritable(tty.fileno())])
        given.append(os.ttyname(tty.fileno()) == os.ttyname(0) if os.isatty(0) else False)

    exit_of(perform(look))
    name, opts, kind, is_terminal, is_inheritable, is_ours = given
    assert name == "exec demo/act"
    assert isinstance(opts, SessionOptions)
    assert (opts.id, opts.rows, opts.cols) == ("s", 27, 72)
    assert (kind, is_terminal, is_inheritable, is_ours) == (io.FileIO, True, False, False)


def test_end_of_input_is_read_as_its_character(perform: Perform) -> None:
    def read(ctx: Any, opts: Any, tty: io.FileIO, resize: Any) -> None:
        tty.write(tty.read(100))

    managed = perform(read, stdin=2)
    managed.manager.close_stdin("s", 0)
    exit_of(managed)
    assert managed.sink.output(4) == b"\x04"


# What it returns.


@pytest.mark.parametrize(
    ("result", "code"), [(None, 0), (0, 0), (7, 7), (255, 255), (True, 1), (False, 0), (signal.SIGINT, 2)]
)
def test_number_it_returns_is_the_exit_code(perform: Perform, result: Any, code: int) -> None:
    exit = exit_of(perform(lambda ctx, opts, tty, resize: result))
    assert (exit["code"], exit["signal"], exit["error"]) == (code, None, None)
    assert type(exit["code"]) is int
    assert exit["reason"] == f"its handler returned {code}"


@pytest.mark.parametrize("result", ["done", 1.5, b"", [], (None, None), {"code": 1}])
def test_result_that_is_no_way_to_go_on_is_a_failure(perform: Perform, result: Any) -> None:
    exit = exit_of(perform(lambda ctx, opts, tty, resize: result))
    assert exit["code"] is None
    assert exit["error"]["message"].startswith(
        "TypeError: a tty_handler returns an exit code, None, an ExecSpec or a Popen, not "
    )


@pytest.mark.parametrize("code", [2**63, -(2**70)])
def test_number_that_cannot_travel_is_no_exit_code(perform: Perform, code: int) -> None:
    """Its message would never be sent, and the session would have no end."""
    exit = exit_of(perform(lambda *_: code))
    assert exit["code"] is None
    assert "no exit code" in exit["error"]["message"]


@pytest.mark.parametrize("code", [2**63, -(2**70)])
def test_exit_with_such_a_number_is_one_with_the_largest(perform: Perform, code: int) -> None:
    def leave(*_: Any) -> None:
        raise SystemExit(code)

    assert abs(exit_of(perform(leave))["code"]) == 2**31 - 1


@pytest.mark.parametrize(("raised", "code"), [(None, 0), (0, 0), (3, 3)])
def test_function_may_exit(perform: Perform, raised: int | None, code: int) -> None:
    def leave(ctx: Any, opts: Any, tty: io.FileIO, resize: Any) -> None:
        tty.write(b"bye")
        raise SystemExit(raised)

    managed = perform(leave)
    exit = exit_of(managed)
    assert (exit["code"], exit["reason"]) == (code, f"its handler exited with {code}")
    assert managed.sink.output(4) == b"bye"


def test_exit_with_words_is_a_failure(perform: Perform) -> None:
    def leave(*_: Any) -> None:
        raise SystemExit("no such pod")

    assert exit_of(perform(leave))["error"]["message"] == "SystemExit: no such pod"


# What it raises.


def test_words_of_an_exec_error_are_the_end(perform: Perform) -> None:
    def fail(ctx: Any, opts: Any, tty: io.FileIO, resize: Any) -> None:
        tty.write(b"looking")
        try:
            raise LookupError
        except LookupError as error:
            raise ExecError(
                "No pod", "it is gone", "start it", retryable=False, retry_commands=["start pod"]
            ) from error

    managed = perform(fail)
    exit = exit_of(managed)
    assert (exit["code"], exit["signal"], exit["reason"]) == (None, None, "No pod: it is gone")
    assert dict(exit["error"], retry_commands=list(exit["error"]["retry_commands"])) == {
        "title": "No pod",
        "message": "it is gone",
        "suggestion": "start it",
        "retryable": False,
        "retry_commands": ["start pod"],
    }
    assert managed.sink.wait_for_end(4) == StreamEnd(7, None)
    assert managed.sink.output(4) == b"looking"


def test_exec_error_inside_speaks_for_what_was_raised(perform: Perform) -> None:
    def fail(*_: Any) -> None:
        try:
            raise ExecError("No pod")
        except ExecError as error:
            raise RuntimeError("of the author's library") from error

    exit = exit_of(perform(fail))
    assert (exit["error"]["title"], exit["reason"]) == ("No pod", "No pod")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (LookupError("no pod"), "LookupError: no pod"),
        (LookupError(), "LookupError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (TerminalError("no terminal"), "no terminal"),
    ],
)
def test_whatever_it_raises_is_told(perform: Perform, error: BaseException, message: str) -> None:
    def fail(*_: Any) -> None:
        raise error

    exit = exit_of(perform(fail))
    assert (exit["code"], exit["error"]["title"], exit["error"]["message"]) == (
        None,
        "Session failed",
        message,
    )
    assert exit["reason"] == f"Session failed: {message}"
    assert exit["error"]["retryable"] is True


class Rude(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(2, "No such file", "/srv/\udcff"),
        RuntimeError("x" * (20 << 20)),
        Rude(),
        ExecError("\udcff", "x" * (20 << 20)),
        ExecError(title=5, message=LookupError("a"), suggestion=None, retry_commands=[1]),  # type: ignore[arg-type, list-item]
    ],
    ids=["surrogate", "long", "rude", "exec", "types"],
)
def test_failure_travels_whatever_it_holds(perform: Perform, error: Exception) -> None:
    def fail(*_: Any) -> None:
        raise error

    exit = exit_of(perform(fail))
    assert exit["error"]["title"]
    assert exit["reason"]


# A program in its place.


def test_program_takes_the_place_of_the_function(perform: Perform) -> None:
    def choose(ctx: Any, opts: Any, tty: io.FileIO, resize: Any) -> ExecSpec:
        tty.write(b"which? ")
        tty.write(b"starting " + tty.read(100) + b"\n")
        return ExecSpec(["program"], env={"CHOSEN": "yes"})

    managed = perform(choose, stdin=2)
    managed.sink.wait_for_output(b"which? ", stream=4)
    managed.sink.type(2, b"one")
    terminal = managed.terminals.wait_for_terminal(2)
    assert (terminal.argv, terminal.env and terminal.env["CHOSEN"]) == (["program"], "yes")
    managed.wait_until(lambda: managed.manager.get("s").pid == terminal.pid)
    terminal.write_output(b"$ ")
    managed.sink.wait_for_output(b"$ ", stream=4)
    managed.sink.type(2, b"exit\r")
    assert terminal.wait_for_input(b"\r") == b"exit\r"
    managed.manager.resize("s", 50, 132)
    assert terminal.sizes == [(27, 72), (50, 132)]
    terminal.finish(3)
    exit = exit_of(managed)
    assert (exit["code"], exit["error"]) == (3, None)
    assert managed.sink.wait_for_end(4)
    assert managed.sink.output(4) == b"which? starting one\n$ "
    managed.terminals.terminals[0].wait_for_close()


def test_program_that_cannot_be_started_is_the_end(perform: Perform) -> None:
    may_end = threading.Event()

    def choose(*_: Any) -> ExecSpec:
        may_end.wait(5)
        return ExecSpec(["program"])

    managed = perform(choose)
    managed.terminals.fail()
    may_end.set()
    exit = exit_of(managed)
    assert exit["error"]["message"] == "no terminal could be opened: the test does not let it"


def test_program_has_the_size_that_was_given_to_the_function(perform: Perform) -> None:
    may_end = threading.Event()

    def choose(*_: Any) -> ExecSpec:
        may_end.wait(5)
        return ExecSpec(["program"])

    managed = perform(choose)
    managed.manager.resize("s", 50, 132)
    may_end.set()
    terminal = managed.terminals.wait_for_terminal(2)
    terminal.wait_for_size(50, 132)
    terminal.finish(0)
    exit_of(managed)


def test_program_has_the_size_that_was_given_while_it_was_awaited(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_start, may_end = threading.Event(), threading.Event(), threading.Event()

    def choose(*_: Any) -> ExecSpec:
        may_end.wait(5)
        return ExecSpec(["program"])

    managed = perform(choose)
    spawn = managed.terminals.spawn

    def spawn_late(*arguments: Any, **options: Any) -> Any:
        begun.set()
        may_start.wait(5)
        return spawn(*arguments, **options)

    monkeypatch.setattr(managed.terminals, "spawn", spawn_late)
    may_end.set()
    assert begun.wait(5)
    managed.terminals.terminals[0].wait_for_close()
    assert managed.manager.resize("s", 50, 132) is None
    assert managed.manager.get("s").rows == 50
    may_start.set()
    terminal = managed.terminals.wait_for_terminal(2)
    terminal.wait_for_size(50, 132)
    terminal.finish(0)
    exit_of(managed)


def test_program_waits_half_a_second_for_what_holds_the_terminal_of_the_function(perform: Perform) -> None:
    held: list[int] = []

    def choose(ctx: Any, opts: Any, tty: io.FileIO, resize: Any) -> ExecSpec:
        held.append(os.dup(tty.fileno()))
        tty.write(b"last of the function")
        return ExecSpec(["program"])

    managed = perform(choose)
    managed.sink.wait_for_output(b"last of the function", stream=4)
    assert len(managed.terminals.terminals) == 1
    managed.pass_time_until(lambda: len(managed.terminals.terminals) == 2)
    terminal = managed.terminals.wait_for_terminal(2)
    terminal.write_output(b" first of the program")
    managed.sink.wait_for_output(b"first of the program", stream=4)
    terminal.finish(0)
    exit_of(managed)
    assert managed.sink.output(4) == b"last of the function first of the program"
    os.close(held[0])


def test_nothing_takes_the_place_of_one_that_was_closed(perform: Perform) -> None:
    script = Script(lambda *_: ExecSpec(["program"]))
    managed = perform(script.on_terminal)
    assert script.begun.wait(5)
    managed.end()
    exit = exit_of(managed)
    assert "the host closed the session" in exit["reason"]
    for terminal in managed.terminals.terminals:
        terminal.wait_for_close()
