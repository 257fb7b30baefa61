"""An author's function on a terminal: what it is given, how it ends, and what may follow it."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from plugin_host_sdk.errors import ExecError, TerminalError
from plugin_host_sdk.exec import ExecSpec, Handler
from plugin_host_sdk.protocol import NOTIFICATION
from plugin_host_sdk.testing import StreamEnd
from plugin_host_sdk.types.session import SessionOptions, Size
from plugin_host_sdk.wire import Encoder
from tests.sdk.managed import Managed, Script

Manage = Callable[..., Managed]
Perform = Callable[..., Managed]


@pytest.fixture
def manage() -> Iterator[Manage]:
    """Makes a manager whose only handler is a function on a terminal."""
    made: list[Managed] = []

    def make(function: Callable[..., Any], **options: Any) -> Managed:
        made.append(Managed([Handler("act", tty_handler=function, **options)]))
        return made[-1]

    yield make
    for managed in made:
        managed.close()
        assert managed.logged == []


def as_coroutine(function: Callable[..., Any]) -> Callable[..., Any]:
    async def coroutine(*arguments: Any) -> Any:
        return await asyncio.to_thread(function, *arguments)

    return coroutine


@pytest.fixture(params=["function", "coroutine"])
def perform(request: pytest.FixtureRequest, manage: Manage) -> Perform:
    """Opens session "s" of a function, which is a plain one or a coroutine function; viewer 1 looks."""

    def start(function: Callable[..., Any], stdin: int | None = None, **options: Any) -> Managed:
        managed = manage(as_coroutine(function) if request.param == "coroutine" else function, **options)
        managed.create(stdin=stdin)
        managed.attach()
        return managed

    return start


def exit_of(managed: Managed) -> dict[str, Any]:
    """How session "s" ended; the message travels."""
    exited = managed.sink.wait_for_exit("s")
    Encoder().encode([NOTIFICATION, "exec.exited", [exited]])
    exit = exited["exit"]
    assert isinstance(exit, dict)
    return exit


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
        "TypeError: a tty_handler returns an exit code, None or an ExecSpec, not "
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


# Closing.


def test_function_learns_that_its_session_is_closed(perform: Perform) -> None:
    script = Script(lambda ctx, opts, tty, resize: tty.write(b"cleaned up") and 9)
    managed = perform(script.on_terminal)
    assert script.begun.wait(5)
    later = managed.manager.close("s")
    exit = exit_of(managed)
    assert (exit["code"], exit["reason"]) == (
        9,
        "its handler returned 9; the host closed the session",
    )
    assert managed.sink.output(4) == b"cleaned up"
    managed.settle(later)
    assert script.contexts[0].cancelled.reason == "the host closed the session"


def test_function_that_reads_learns_it_from_its_terminal(manage: Manage) -> None:
    results: list[Any] = []

    def read(ctx: Any, opts: Any, tty: io.FileIO, resize: Any) -> None:
        try:
            results.append(tty.read(1))
        except OSError as error:
            results.append(error)

    managed = manage(read)
    managed.create()
    managed.end()
    managed.wait_until(lambda: results)
    assert results[0] == b"" or isinstance(results[0], OSError)


def test_function_that_waits_for_sizes_learns_it_from_them(perform: Perform) -> None:
    managed = perform(lambda ctx, opts, tty, resize: len(list(resize)))
    later = managed.manager.close("s")
    assert exit_of(managed)["code"] == 0
    managed.settle(later)


def test_function_that_does_not_return_is_given_up(manage: Manage) -> None:
    script = Script(lambda *_: 3, is_deaf=True)
    managed = manage(script.on_terminal)
    managed.create()
    assert script.begun.wait(5)
    later = managed.manager.close("s")
    assert later is not None
    managed.clock.advance(1.9)
    assert not later.is_settled
    managed.settle(later)
    exit = exit_of(managed)
    assert exit["code"] is None
    assert exit["reason"].endswith("the host closed the session")
    managed.terminals.terminals[0].wait_for_close()
    script.go.set()
    assert len(managed.sink.notifications) == 1


def test_coroutine_that_does_not_return_is_cancelled_or_given_up(manage: Manage) -> None:
    script = Script(lambda *_: 3, is_deaf=True)
    managed = manage(script.on_terminal_async)
    managed.create()
    assert script.begun.wait(5)
    managed.end()
    assert exit_of(managed)["code"] is None
    script.go.set()


@pytest.mark.parametrize("by_number", [False, True])
def test_function_may_close_its_terminal_itself(perform: Perform, by_number: bool) -> None:
    may_end = threading.Event()

    def close(ctx: Any, opts: Any, tty: io.FileIO, resize: Any) -> int:
        tty.write(b"last")
        tty.close()
        may_end.wait(5)
        return 4

    def close_number(ctx: Any, opts: Any, tty: io.FileIO, resize: Any) -> int:
        tty.write(b"last")
        os.close(tty.fileno())
        return 4

    managed = perform(close_number if by_number else close)
    if not by_number:
        assert managed.sink.wait_for_output(b"last", stream=4) == b"last"
        assert managed.manager.get("s").state == "running"
    may_end.set()
    assert exit_of(managed)["code"] == 4
    assert managed.sink.output(4) == b"last"


# Sizes.


def test_sizes_reach_the_terminal_and_then_the_function(perform: Perform) -> None:
    sizes: list[Size] = []

    def listen(ctx: Any, opts: Any, tty: io.FileIO, resize: Any) -> None:
        for size in resize:
            sizes.append(size)
            if size.rows == 3:
                return

    managed = perform(listen)
    for rows in (1, 2, 3):
        assert managed.manager.resize("s", rows, 80) is None
        assert managed.terminals.terminals[0].sizes[-1] == (rows, 80)
        managed.wait_until(lambda rows=rows: sizes[-1:] == [Size(rows, 80)])  # type: ignore[misc]
    assert exit_of(managed)["code"] == 0


def test_function_that_handles_sizes_sets_them_itself(perform: Perform) -> None:
    may_take, done = threading.Event(), threading.Event()

    def take(ctx: Any, opts: Any, tty: io.FileIO, resize: Any) -> int:
        may_take.wait(5)
        size = resize.get()
        done.wait(5)
        return int(size.rows)

    managed = perform(take, handles_resize=True)
    later = managed.manager.resize("s", 40, 100)
    assert later is not None
    assert not later.is_settled
    assert managed.manager.get("s").rows == 27
    may_take.set()
    assert later.wait(5) == {}
    assert (managed.manager.get("s").rows, managed.manager.get("s").cols) == (40, 100)
    assert managed.terminals.terminals[0].sizes == [(27, 72)]
    managed.clock.advance(10)
    done.set()
    assert exit_of(managed)["code"] == 40


def test_size_that_nobody_took_is_settled_when_the_function_returns(perform: Perform) -> None:
    may_return = threading.Event()
    managed = perform(lambda *_: may_return.wait(5) and None, handles_resize=True)
    later = managed.manager.resize("s", 40, 100)
    may_return.set()
    assert later is not None
    later.wait(5)
    exit_of(managed)


# Signals, threads.


def test_signal_goes_to_what_has_the_terminal(perform: Perform, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script()
    managed = perform(script.on_terminal)
    assert script.begun.wait(5)
    with pytest.raises(TerminalError, match="it runs a function of its plugin, which takes no signals"):
        managed.manager.signal("s", "SIGINT")
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "killpg", lambda group, number: sent.append((group, number)))
    managed.terminals.terminals[0].group = 4711
    managed.manager.signal("s", "SIGINT")
    assert sent == [(4711, signal.SIGINT)]
    managed.terminals.terminals[0].group = None


def test_what_has_the_terminal_is_hung_up_when_its_session_is_closed(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function may have put a group of processes on it."""
    script = Script()
    managed = perform(script.on_terminal)
    assert script.begun.wait(5)
    sent: list[tuple[int, int]] = []

    def kill(group: int, number: int) -> None:
        sent.append((group, number))
        raise ProcessLookupError

    monkeypatch.setattr(os, "killpg", kill)
    managed.terminals.terminals[0].group = 4711
    managed.end()
    assert sent == [(4711, signal.SIGHUP)]


def test_plain_function_has_a_thread_that_is_named_after_it(manage: Manage) -> None:
    script = Script()
    managed = manage(script.on_terminal)
    managed.create()
    assert script.begun.wait(5)
    assert "exec demo/act" in [thread.name for thread in threading.enumerate()]
    script.go.set()
    exit_of(managed)
    managed.wait_until(lambda: "exec demo/act" not in [thread.name for thread in threading.enumerate()])
