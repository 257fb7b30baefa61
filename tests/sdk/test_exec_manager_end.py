"""What is called off leaves nothing, what has ended is kept for a while, and a stop has an end."""

from __future__ import annotations

import asyncio
import io
import subprocess
import threading
from typing import Any

import pytest

from plugin_host_sdk.errors import (
    CallCancelled,
    SessionExists,
    SessionNotFound,
    TerminalError,
)
from plugin_host_sdk.exec import ExecSpec, Handler
from plugin_host_sdk.types.session import SessionOptions
from tests.run import Run
from tests.sdk.managed import CHANGES, Manage, Managed, Outcome, PipeFiles, Script, gives, is_open, waits

# Calling off.


@pytest.mark.parametrize("why", ["the caller cancelled", "the host is stopping this plugin"])
def test_call_that_is_cancelled_while_a_handler_starts_leaves_nothing_and_says_why(
    manage: Manage, given: PipeFiles, why: str
) -> None:
    script = Script(lambda ctx, opts: (given.reading, None))
    managed = manage(Handler("files", command_handler=script))
    call = managed.call()
    opening = Outcome(lambda: managed.create(tty=False, stdin=2, call=call))
    assert script.begun.wait(5)
    call.cancelled.set(why)
    with pytest.raises(CallCancelled, match=why):
        opening.result()
    assert script.contexts[0].cancelled.reason == why
    managed.pass_time_until(managed.is_gone)
    assert not is_open(given.reading)


def test_session_that_is_closed_while_it_starts_leaves_nothing(manage: Manage, given: PipeFiles) -> None:
    script = Script(lambda ctx, opts: (given.reading, None))
    managed = manage(Handler("files", command_handler=script))
    opening = Outcome(lambda: managed.create(tty=False, stdin=2))
    assert script.begun.wait(5)
    closed = managed.manager.close("s")
    assert closed is not None
    assert script.contexts[0].cancelled.reason == "the host closed the session"
    with pytest.raises(CallCancelled, match="session s: the host closed the session"):
        opening.result()
    managed.settle(closed)
    assert managed.is_gone()
    assert not is_open(given.reading)


def test_process_of_a_session_that_is_closed_while_it_starts_is_ended(manage: Manage) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def start(ctx: Any, opts: Any) -> Any:
        started.append(subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE))
        return started[0]

    script = Script(start)
    managed = manage(Handler("files", command_handler=script))
    opening = Outcome(lambda: managed.create(tty=False))
    assert script.begun.wait(5)
    closed = managed.manager.close("s")
    with pytest.raises(CallCancelled):
        opening.result()
    managed.settle(closed)
    assert started[0].poll() is not None


def test_nothing_is_started_for_a_session_that_was_closed_meanwhile(manage: Manage) -> None:
    script = Script(lambda ctx, opts: ExecSpec(["program"]))
    managed = manage(Handler("run", command_handler=script))
    opening = Outcome(lambda: managed.create())
    assert script.begun.wait(5)
    closed = managed.manager.close("s")
    with pytest.raises(CallCancelled):
        opening.result()
    managed.settle(closed)
    assert managed.terminals.terminals == []


def test_close_waits_for_the_handler_that_starts(manage: Manage) -> None:
    script = Script(lambda ctx, opts: (io.BytesIO(), None), is_deaf=True)
    managed = manage(Handler("files", command_handler=script))
    opening = Outcome(lambda: managed.create(tty=False))
    assert script.begun.wait(5)
    closed = managed.manager.close("s")
    assert closed is not None
    assert managed.manager.close("s") is closed
    managed.clock.advance(100)
    assert not closed.is_settled
    with pytest.raises(SessionExists):  # the id is taken until then
        managed.create(tty=False)
    script.go.set()
    with pytest.raises(CallCancelled):
        opening.result()
    managed.settle(closed)
    managed.create(tty=False)


def test_session_that_starts_is_known_by_its_id_alone(manage: Manage) -> None:
    script = Script(lambda ctx, opts: (io.BytesIO(), None))
    managed = manage(Handler("files", command_handler=script))
    opening = Outcome(lambda: managed.create(tty=False))
    assert script.begun.wait(5)
    assert managed.manager.get("s").state == "starting"
    assert managed.manager.list() == []
    with pytest.raises(SessionNotFound, match="it is not open yet"):
        managed.attach()
    for act, arguments in CHANGES:
        with pytest.raises(SessionNotFound, match="it is not open yet"):
            getattr(managed.manager, act)("s", *arguments)
    script.go.set()
    assert opening.result().session.id == "s"


def test_session_outlives_the_call_that_opened_it(manage: Manage) -> None:
    script = Script()
    managed = manage(Handler("local", tty_handler=script.on_terminal))
    call = managed.call()
    call.chain = ("other",)
    managed.create(call=call)
    assert script.begun.wait(5)
    (ctx,) = script.contexts
    assert ctx.chain == ("other",)
    call.cancelled.set("the host is gone, or the call took too long")
    assert not ctx.cancelled
    assert managed.manager.get("s").state == "running"


def test_coroutine_that_opens_a_session_does_the_same(manage: Manage, run: Run) -> None:
    managed = manage(Handler("files", session_handler=Script(lambda *_: (None, io.BytesIO(b"x"), None))))
    script = managed.manager._handlers["demo/files"].session_handler
    assert isinstance(script, Script)
    managed.manager._handlers["demo/files"].session_handler = script.as_coroutine
    script.go.set()
    created = run(managed.manager.create_async(SessionOptions(id="s", tty=False), 2))
    assert (created.session.id, created.stdin_window) == ("s", 1024 * 1024)
    assert managed.sink.wait_for_exit("s")["totals"] == {"stdout": 1, "stderr": 0}


def test_coroutine_that_is_cancelled_while_it_opens_leaves_nothing(manage: Manage, run: Run) -> None:
    begun = threading.Event()

    async def files(ctx: Any, opts: Any) -> Any:
        begun.set()
        await asyncio.sleep(60)

    managed = manage(Handler("files", session_handler=files))

    async def body() -> None:
        task = asyncio.ensure_future(managed.manager.create_async(SessionOptions(id="s", tty=False), 2))
        await asyncio.to_thread(begun.wait, 5)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run(body())
    assert managed.is_gone()
    with pytest.raises(KeyError):
        managed.sink.consumed_bytes(2)


def test_coroutine_that_is_cancelled_while_its_program_starts_leaves_nothing(
    manage: Manage, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def program(ctx: Any, opts: Any) -> Any:
        return ExecSpec(["program"])

    managed = manage(Handler("run", session_handler=program))
    has_begun, may_go_on, spawn = threading.Event(), threading.Event(), managed.terminals.spawn

    def spawn_slowly(*arguments: Any, **options: Any) -> Any:
        has_begun.set()
        assert may_go_on.wait(5)
        return spawn(*arguments, **options)

    monkeypatch.setattr(managed.terminals, "spawn", spawn_slowly)

    async def body() -> None:
        task = asyncio.ensure_future(managed.manager.create_async(SessionOptions(id="s"), 2))
        assert await asyncio.to_thread(has_begun.wait, 5)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        may_go_on.set()
        await asyncio.to_thread(managed.terminals.wait_for_terminal)

    run(body())
    managed.pass_time_until(managed.is_gone)
    managed.terminals.terminals[0].wait_for_close()


def test_coroutine_that_fails_is_told_like_a_function(manage: Manage, run: Run) -> None:
    async def files(ctx: Any, opts: Any) -> Any:
        raise LookupError("no pod")

    managed = manage(Handler("files", session_handler=files))
    with pytest.raises(TerminalError, match="LookupError: no pod"):
        run(managed.manager.create_async(SessionOptions(id="s", tty=False)))
    assert managed.is_gone()


def test_close_that_comes_just_after_the_end_of_a_session_is_settled(manage: Manage) -> None:
    """Whoever closes has found it a moment before it was forgotten."""
    managed = manage(waits())
    managed.create()
    session = managed.manager._sessions["s"]
    managed.end()
    closing = managed.manager._begin_closing(session, "late", 0.0)
    managed.settle(closing.done)
    managed.create()
    managed.manager._forget(session)  # another has its id now
    assert managed.manager.get("s").state == "running"
    managed.end()


# Retention.


def open_and_end(managed: Managed, *names: str) -> None:
    for name in names:
        managed.create(name, tty=False)
        managed.sink.wait_for_exit(name)
        managed.turn()


def test_ended_session_stays_for_a_minute(manage: Manage) -> None:
    managed = manage(gives(b"x"))
    open_and_end(managed, "s")
    managed.turn()
    managed.clock.advance(60 - 0.001)
    managed.turn()
    assert not managed.is_gone()
    managed.clock.advance(0.001)
    managed.wait_until(managed.is_gone)


def test_minute_begins_when_the_last_viewer_leaves(manage: Manage) -> None:
    managed = manage(gives(b"xyz"))
    open_and_end(managed, "s")
    managed.attach(window=1)
    for _ in range(10):
        managed.clock.advance(60)
        managed.turn()
    assert managed.manager.get("s").viewers == 1
    managed.clock.advance(60 / 2)
    managed.manager.detach("s", 1)
    managed.clock.advance(60 - 0.001)
    managed.turn()
    assert not managed.is_gone()
    managed.pass_time_until(managed.is_gone)


def test_no_more_than_so_many_ended_sessions_stay_and_the_oldest_go_first(manage: Manage) -> None:
    managed = manage(gives(b"x"), waits())
    managed.create("alive", handler="wait")
    for number in range(64 + 3):
        managed.create(f"s{number:02}", tty=False, handler="files")
        managed.sink.wait_for_exit(f"s{number:02}")
        managed.clock.advance(0.01)
    managed.turn()
    names = [info.id for info in managed.manager.list()]
    assert names == ["alive", *(f"s{number:02}" for number in range(3, 64 + 3))]


def test_session_that_has_the_id_of_a_forgotten_one_has_its_own_minute(manage: Manage) -> None:
    managed = manage(gives(b"x"))
    open_and_end(managed, "s")
    managed.manager.close("s")
    managed.clock.advance(60 - 1)
    open_and_end(managed, "s")
    managed.turn()
    managed.clock.advance(2)
    managed.turn()
    assert not managed.is_gone()
