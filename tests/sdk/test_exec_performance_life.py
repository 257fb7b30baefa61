"""An author's function on a terminal while it runs: closing, sizes, signals."""

from __future__ import annotations

import io
import os
import signal
import threading
from typing import Any

import pytest

from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.types.session import Size
from tests.sdk.managed import Manage, Perform, Script, acts, exit_of

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

    managed = manage(acts(read))
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
    managed = manage(acts(script.on_terminal))
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
    managed = manage(acts(script.on_terminal_async))
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
    managed = manage(acts(script.on_terminal))
    managed.create()
    assert script.begun.wait(5)
    assert "exec demo/act" in [thread.name for thread in threading.enumerate()]
    script.go.set()
    exit_of(managed)
    managed.wait_until(lambda: "exec demo/act" not in [thread.name for thread in threading.enumerate()])
