"""All sessions of a plugin: opened once, found, ended with nothing left, and forgotten in time."""

from __future__ import annotations

import asyncio
import inspect
import io
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from plugin_host.exec.proxy import ExecProxy
from plugin_host_sdk.errors import (
    CallCancelled,
    CallFailed,
    ExecError,
    HandlerNotFound,
    SessionClosed,
    SessionExists,
    SessionNotFound,
    TerminalError,
)
from plugin_host_sdk.exec import ExecSpec, Handler
from plugin_host_sdk.exec.launcher import MARK
from plugin_host_sdk.exec.manager import KEPT_S, KEPT_SESSIONS, MOST_TOLD_BYTES, Manager
from plugin_host_sdk.testing import RecordingSink, StreamEnd
from plugin_host_sdk.types.session import HandlerInfo, Provider, SessionOptions, Stored
from tests.run import Run
from tests.sdk.managed import Managed, Outcome, Script

Manage = Callable[..., Managed]


@pytest.fixture
def manage() -> Iterator[Manage]:
    """Makes managers of handlers, and ends them."""
    made: list[Managed] = []

    def make(*handlers: Handler, **options: Any) -> Managed:
        made.append(Managed(handlers, **options))
        return made[-1]

    yield make
    for managed in made:
        managed.close()


def gives(stdout: bytes, stderr: bytes = b"") -> Handler:
    """A handler whose sessions put out these bytes and end."""
    return Handler("files", command_handler=lambda ctx, opts: (io.BytesIO(stdout), io.BytesIO(stderr)))


def waits(resource: str = "wait") -> Handler:
    """A handler whose terminals wait until they are closed."""
    return Handler(resource, tty_handler=lambda ctx, opts, tty, resize: ctx.cancelled.wait(20) and None)


CHANGES = [("resize", (1, 1)), ("signal", ("SIGINT",)), ("close_stdin", (0,))]


class PipeFiles:
    """Files of a handler whose other ends are the test's: `out` is what its sessions read."""

    def __init__(self) -> None:
        self.reading, self.out = os.pipe()

    def handler(self, resource: str = "pipe") -> Handler:
        return Handler(resource, command_handler=lambda ctx, opts: (self.reading, None))

    def close(self) -> None:
        os.close(self.out)


@pytest.fixture
def pipe() -> Iterator[PipeFiles]:
    files = PipeFiles()
    yield files
    files.close()


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


# The interface.


def test_manager_and_proxy_are_providers() -> None:
    def as_providers(manager: Manager, proxy: ExecProxy) -> list[Provider]:
        return [manager, proxy]  # which the type checker looks at

    assert callable(as_providers)
    methods = [name for name in vars(Provider) if not name.startswith("_")]
    assert len(methods) == 10
    for name in methods:
        wanted = list(inspect.signature(getattr(Provider, name)).parameters)
        for kind in (Manager, ExecProxy):
            found = inspect.signature(getattr(kind, name)).parameters
            assert list(found)[: len(wanted)] == wanted, (kind, name)
            extra = list(found.values())[len(wanted) :]
            assert all(parameter.default is not inspect.Parameter.empty for parameter in extra)


def test_handlers_are_told_in_a_stable_order(manage: Manage) -> None:
    managed = manage(waits("b"), gives(b""), waits("a"), Handler("a", plugin="aaa", default_command=["sh"]))
    assert [handler.key for handler in managed.manager.handlers()] == [
        "aaa/a",
        "demo/a",
        "demo/b",
        "demo/files",
    ]
    assert managed.manager.handlers()[0] == HandlerInfo(
        key="aaa/a", plugin="aaa", resource="a", default_command=("sh",)
    )
    assert repr(managed.manager).endswith("sessions=0>")


# The life of a session.


def test_session_lives_from_create_to_close(manage: Manage) -> None:
    managed = manage(waits())
    created = managed.create(labels={"team": "x"})
    assert (created.session.id, created.session.handler, created.session.state) == (
        "s",
        "demo/wait",
        "running",
    )
    assert created.stdin_window == 0
    assert managed.manager.get("s").labels == {"team": "x"}
    assert [info.id for info in managed.manager.list()] == ["s"]
    managed.end()
    exited = managed.sink.wait_for_exit("s")
    assert "the host closed the session" in exited["exit"]["reason"]
    with pytest.raises(SessionNotFound):
        managed.manager.get("s")
    assert managed.manager.list() == []


def test_nothing_is_listed_when_there_is_nothing(manage: Manage) -> None:
    assert manage(waits()).manager.list() == []


def test_sessions_are_listed_the_oldest_first(manage: Manage) -> None:
    managed = manage(waits())
    for name in "cab":
        managed.create(name)
        managed.clock.advance(1)
    listed = managed.manager.list()
    assert [info.id for info in listed] == ["c", "a", "b"]
    assert [info.created_at for info in listed] == [1_700_000_000, 1_700_000_001, 1_700_000_002]


def test_attached_tells_whether_anybody_looks(manage: Manage) -> None:
    managed = manage(waits())
    assert not managed.create().session.attached
    assert managed.attach().session.attached
    managed.attach(number=2)
    managed.manager.detach("s", 1)
    assert (managed.manager.get("s").viewers, managed.manager.get("s").attached) == (1, True)
    managed.manager.detach("s", 2)
    assert not managed.manager.get("s").attached
    managed.manager.detach("s", 2)


def test_session_that_ends_by_itself_is_told_and_stays(manage: Manage) -> None:
    managed = manage(gives(b"out", b"error"))
    managed.create(tty=False)
    exited = managed.sink.wait_for_exit("s")
    assert (exited["exit"]["code"], exited["totals"]) == (0, {"stdout": 3, "stderr": 5})
    info = managed.manager.get("s")
    assert (info.state, info.output) == ("ended", {"stdout": Stored(0, 3), "stderr": Stored(0, 5)})
    managed.attach()
    assert (managed.sink.output(4), managed.sink.output(6)) == (b"out", b"error")
    assert managed.sink.wait_for_end(4) == StreamEnd(3, None)


def test_ended_session_is_read_and_takes_nothing(manage: Manage) -> None:
    managed = manage(gives(b"out"), waits())
    managed.create(tty=False, handler="files")
    managed.sink.wait_for_exit("s")
    for act, arguments in CHANGES:
        with pytest.raises(SessionClosed, match="it has ended: its output has ended") as caught:
            getattr(managed.manager, act)("s", *arguments)
        assert caught.value.session == "s"
    managed.manager.close("s")
    for act, arguments in CHANGES:
        with pytest.raises(SessionNotFound):
            getattr(managed.manager, act)("s", *arguments)


@pytest.mark.parametrize(("act", "arguments"), [*CHANGES, ("get", ()), ("detach", (1,)), ("close", ())])
def test_session_that_is_not_there_is_not_found(
    manage: Manage, act: str, arguments: tuple[Any, ...]
) -> None:
    managed = manage(waits())
    with pytest.raises(SessionNotFound, match="no such session") as caught:
        getattr(managed.manager, act)("none", *arguments)
    assert caught.value.session == "none"
    with pytest.raises(SessionNotFound):
        managed.attach("none")


def test_second_close_finds_nothing(manage: Manage) -> None:
    managed = manage(waits())
    managed.create()
    managed.end()
    with pytest.raises(SessionNotFound):
        managed.manager.close("s")
    assert managed.manager.close("s", missing_ok=True) is None


def test_close_of_one_that_is_being_closed_waits_for_the_same(manage: Manage) -> None:
    managed = manage(waits())
    managed.create()
    first = managed.manager.close("s")
    assert managed.manager.close("s") is first
    managed.settle(first)


def test_close_of_an_ended_session_forgets_it_at_once(manage: Manage) -> None:
    managed = manage(gives(b"kept"))
    managed.create(tty=False)
    managed.sink.wait_for_exit("s")
    managed.attach(window=2)
    assert managed.manager.close("s") is None
    assert managed.is_gone()
    managed.sink.credit(4, 2)  # who reads it reads on
    assert managed.sink.wait_for_end(4) == StreamEnd(4, None)
    assert managed.sink.output(4) == b"kept"


def test_id_is_free_again_after_the_close(manage: Manage) -> None:
    managed = manage(waits())
    managed.create()
    managed.end()
    managed.create()
    assert managed.manager.get("s").state == "running"


# Creating.


def test_unknown_handler_is_told_with_those_there_are(manage: Manage) -> None:
    managed = manage(waits("b"), waits("a"))
    for wanted in ("none", None):
        with pytest.raises(HandlerNotFound) as caught:
            managed.create(handler=wanted)
        assert caught.value.data["handlers"] == ["demo/a", "demo/b"]
    assert managed.manager.list() == []


def test_handler_is_found_by_key_by_resource_or_as_the_only_one(manage: Manage) -> None:
    managed = manage(waits())
    for number, wanted in enumerate(["demo/wait", "wait", None]):
        assert managed.create(f"s{number}", handler=wanted).session.handler == "demo/wait"


def test_handler_of_terminals_only_is_not_found_for_pipes(manage: Manage) -> None:
    managed = manage(waits())
    with pytest.raises(HandlerNotFound, match="serves terminals only: ask with tty=True") as caught:
        managed.create(tty=False, stdin=2)
    assert caught.value.data == {"handlers": ["demo/wait"], "session": "s"}
    assert managed.is_gone()


def test_session_that_has_the_id_keeps_it_and_the_handler_is_not_asked(manage: Manage) -> None:
    asked: list[str] = []

    def files(ctx: Any, opts: Any) -> Any:
        asked.append(opts.id)
        return io.BytesIO(), None

    managed = manage(Handler("files", command_handler=files))
    managed.create(tty=False)
    managed.sink.wait_for_exit("s")
    with pytest.raises(SessionExists) as caught:
        managed.create(tty=False, stdin=2)
    assert caught.value.session == "s"
    assert asked == ["s"]
    assert managed.manager.get("s").state == "ended"
    with pytest.raises(KeyError):
        managed.sink.consumed_bytes(2)  # the stream it named is not open


def test_one_of_many_with_the_same_id_is_opened(manage: Manage) -> None:
    script = Script(lambda ctx, opts: (io.BytesIO(), None))
    managed = manage(Handler("files", command_handler=script))
    outcomes = [Outcome(lambda: managed.create(tty=False)) for _ in range(8)]
    managed.wait_until(lambda: sum(one.is_done for one in outcomes) == 7)
    script.go.set()
    results = []
    for one in outcomes:
        try:
            results.append(one.result().session.id)
        except SessionExists:
            results.append("exists")
    assert sorted(results) == ["exists"] * 7 + ["s"]
    assert len(script.contexts) == 1


def test_many_are_opened_at_the_same_time(manage: Manage) -> None:
    managed = manage(gives(b"x"), waits())

    def create(number: int) -> None:
        is_tty = number % 2 == 0
        managed.create(f"s{number:02}", tty=is_tty, handler="wait" if is_tty else "files")

    outcomes = [Outcome(partial(create, number)) for number in range(30)]
    for one in outcomes:
        one.result()
    assert sorted(info.id for info in managed.manager.list()) == [f"s{number:02}" for number in range(30)]


@pytest.mark.parametrize(
    ("asked", "own", "replay_bytes"), [(None, 5, 5), (3, 5, 3), (0, 5, 0), (None, None, 1_000_000)]
)
def test_ring_is_what_is_asked_for_or_what_the_plugin_says(
    manage: Manage, asked: int | None, own: int | None, replay_bytes: int
) -> None:
    managed = manage(gives(b"0123456789"), **({} if own is None else {"replay_bytes": own}))
    managed.create(tty=False, replay_bytes=asked, detached=True)
    managed.sink.wait_for_exit("s")
    assert managed.manager.get("s").output["stdout"] == Stored(max(0, 10 - replay_bytes), 10)


@pytest.mark.parametrize(("tty", "window"), [(True, 256 * 1024), (False, 1024 * 1024)])
def test_input_is_opened_with_the_window_of_its_kind(manage: Manage, tty: bool, window: int) -> None:
    managed = manage(waits(), gives(b""))
    handler = "wait" if tty else "files"
    assert managed.create(tty=tty, handler=handler, stdin=2).stdin_window == window


LARGE = "x" * MOST_TOLD_BYTES


@pytest.mark.parametrize(
    "options",
    [{"labels": {"a": LARGE}}, {"params": {"a": LARGE.encode()}}, {"command": (LARGE,)}],
    ids=["labels", "params", "command"],
)
def test_more_than_can_be_told_again_and_again_is_refused(manage: Manage, options: dict[str, Any]) -> None:
    """Everybody who lists sessions is told; what only the handler needs may be larger."""
    managed = manage(gives(b""))
    with pytest.raises(CallFailed, match="give what is large as resource_data") as caught:
        managed.create(tty=False, **options)
    assert caught.value.name == "rpc.invalid_params"
    assert managed.is_gone()
    managed.create(tty=False, resource_data={"a": LARGE})


def test_input_stream_that_is_in_use_fails_the_session(manage: Manage) -> None:
    managed = manage(waits())
    managed.create("one", stdin=2)
    with pytest.raises(CallFailed, match="stream 2 is or was open"):
        managed.create("two", stdin=2)
    assert managed.is_gone("two")


# What a program is given. These start a process each, which does nothing.


def test_program_is_given_its_command_folder_and_environment(
    manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FROM_PLUGIN", "plugin")
    monkeypatch.setenv("PAGER", "less")
    monkeypatch.setenv("TERM", "dumb")
    spec = ExecSpec(["program", "word"], cwd="/srv", env={"FROM_HANDLER": "h", "BOTH": "h", "PAGER": None})
    managed = manage(Handler("run", command_handler=lambda ctx, opts: spec))
    managed.create(rows=10, cols=20, env={"BOTH": "caller", "EMPTY": ""})
    (terminal,) = managed.terminals.terminals
    assert (terminal.argv, terminal.cwd, terminal.sizes) == (["program", "word"], "/srv", [(10, 20)])
    env = terminal.env
    assert env is not None
    assert {name: env.get(name) for name in ("FROM_PLUGIN", "FROM_HANDLER", "BOTH", "EMPTY", "PAGER")} == {
        "FROM_PLUGIN": "plugin",
        "FROM_HANDLER": "h",
        "BOTH": "caller",
        "EMPTY": "",
        "PAGER": None,
    }
    assert env["TERM"] == "xterm-256color"
    assert env[MARK].startswith("s:")


@pytest.mark.parametrize(
    ("command", "argv"), [((), ["sh", "-i"]), (("ls", "-l"), ["ls", "-l"])], ids=["default", "asked"]
)
def test_command_is_what_is_asked_for_or_the_default(
    manage: Manage, command: tuple[str, ...], argv: list[str]
) -> None:
    managed = manage(Handler("run", default_command=["sh", "-i"]))
    created = managed.create(command=command, cwd="/tmp", env={"TERM": "vt100"})
    (terminal,) = managed.terminals.terminals
    assert (terminal.argv, terminal.cwd) == (argv, "/tmp")
    assert (terminal.env or {})["TERM"] == "vt100"
    assert created.session.command == tuple(argv)
    assert created.session.pid == terminal.pid


def test_session_without_any_command_is_refused(manage: Manage) -> None:
    managed = manage(Handler("run"))
    with pytest.raises(TerminalError, match="demo/run has no default command: name one"):
        managed.create()
    assert managed.is_gone()


def test_terminal_that_cannot_be_had_fails_the_session(manage: Manage) -> None:
    managed = manage(waits())
    managed.terminals.fail()
    with pytest.raises(TerminalError, match="the test does not let it"):
        managed.create(stdin=2)
    assert managed.is_gone()
    with pytest.raises(KeyError):
        managed.sink.consumed_bytes(2)
    managed.create(stdin=2)


# Handlers that fail.


def raises(error: BaseException) -> Handler:
    def fail(ctx: Any, opts: Any) -> Any:
        raise error

    return Handler("files", command_handler=fail)


def test_failure_of_a_handler_has_its_cause(manage: Manage) -> None:
    error = LookupError("no pod")
    managed = manage(raises(error))
    with pytest.raises(TerminalError, match="demo/files: Session failed: LookupError: no pod") as caught:
        managed.create(tty=False, stdin=2)
    assert caught.value.__cause__ is error
    assert caught.value.session == "s"
    assert caught.value.retryable
    assert caught.value.data == {
        "session": "s",
        "error": {
            "title": "Session failed",
            "message": "LookupError: no pod",
            "suggestion": "The exec session terminated unexpectedly.",
            "retryable": True,
            "retry_commands": [],
        },
    }
    assert managed.is_gone()
    with pytest.raises(KeyError):
        managed.sink.consumed_bytes(2)
    assert managed.sink.notifications == []


def test_number_of_an_os_error_is_told(manage: Manage) -> None:
    managed = manage(raises(FileNotFoundError(2, "No such file", "/none")))
    with pytest.raises(TerminalError) as caught:
        managed.create(tty=False)
    assert caught.value.data["errno"] == 2


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_words_of_an_exec_error_are_told(manage: Manage, is_wrapped: bool) -> None:
    told = ExecError("No pod", "it is gone", "start it", retryable=False, retry_commands=["start"])
    error: BaseException = told
    if is_wrapped:
        error = RuntimeError("in the author's library")
        error.__cause__ = told
    managed = manage(raises(error))
    with pytest.raises(TerminalError, match="demo/files: No pod: it is gone") as caught:
        managed.create(tty=False)
    assert caught.value.data["error"] == told.to_map()
    assert not caught.value.retryable


def test_error_of_a_call_passes_as_it_is(manage: Manage) -> None:
    error = CallFailed("busy", name="rpc.busy", retryable=True)
    managed = manage(raises(error))
    with pytest.raises(CallFailed) as caught:
        managed.create(tty=False)
    assert caught.value is error
    assert caught.value.__cause__ is None
    assert managed.is_gone()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_whatever_a_handler_raises_nothing_of_its_session_stays(
    manage: Manage, error: BaseException
) -> None:
    managed = manage(raises(error))
    with pytest.raises(type(error)):
        managed.create(tty=False)
    assert managed.is_gone()


@pytest.mark.parametrize("result", [None, True, "text", (), (None,), (None,) * 4, {"stdout": None}])
def test_result_that_is_nothing_to_run_is_refused(manage: Manage, result: Any) -> None:
    managed = manage(Handler("files", command_handler=lambda ctx, opts: result))
    with pytest.raises(TerminalError, match="give an ExecSpec") as caught:
        managed.create(tty=False)
    assert caught.value.data["reason"] == "bad_result"
    assert managed.is_gone()


@pytest.mark.parametrize("tty", [False, True])
def test_descriptors_in_a_result_that_is_refused_are_closed(manage: Manage, tty: bool) -> None:
    fds = [*os.pipe(), *os.pipe()]
    managed = manage(Handler("files", command_handler=lambda ctx, opts: tuple(fds)))
    with pytest.raises(TerminalError):
        managed.create(tty=tty)
    assert [fd for fd in fds if is_open(fd)] == []


@pytest.mark.parametrize("tty", [False, True])
def test_number_that_is_no_result_is_no_descriptor_either(
    manage: Manage, pipe: PipeFiles, tty: bool
) -> None:
    """An author who returns an exit code must not lose standard error."""
    managed = manage(Handler("files", command_handler=lambda ctx, opts: pipe.out))
    with pytest.raises(TerminalError):
        managed.create(tty=tty)
    assert is_open(pipe.out)
    os.close(pipe.reading)


def test_files_are_no_terminal(manage: Manage, pipe: PipeFiles) -> None:
    managed = manage(pipe.handler())
    with pytest.raises(TerminalError, match="which is no terminal: ask with tty=False"):
        managed.create()
    assert not is_open(pipe.reading)


# Calling off.


def test_call_that_is_cancelled_while_a_handler_starts_leaves_nothing(
    manage: Manage, pipe: PipeFiles
) -> None:
    script = Script(lambda ctx, opts: (pipe.reading, None))
    managed = manage(Handler("files", command_handler=script))
    call = managed.call()
    opening = Outcome(lambda: managed.create(tty=False, stdin=2, call=call))
    assert script.begun.wait(5)
    call.cancelled.set("the caller has gone")
    with pytest.raises(CallCancelled, match="the caller cancelled"):
        opening.result()
    assert script.contexts[0].cancelled.reason == "the caller cancelled"
    managed.pass_time_until(managed.is_gone)
    assert not is_open(pipe.reading)


def test_session_that_is_closed_while_it_starts_leaves_nothing(manage: Manage, pipe: PipeFiles) -> None:
    script = Script(lambda ctx, opts: (pipe.reading, None))
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
    assert not is_open(pipe.reading)


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
        settle(managed)


def test_ended_session_stays_for_a_minute(manage: Manage) -> None:
    managed = manage(gives(b"x"))
    open_and_end(managed, "s")
    settle(managed)
    managed.clock.advance(KEPT_S - 0.001)
    settle(managed)
    assert not managed.is_gone()
    managed.clock.advance(0.001)
    managed.wait_until(managed.is_gone)


def test_minute_begins_when_the_last_viewer_leaves(manage: Manage) -> None:
    managed = manage(gives(b"xyz"))
    open_and_end(managed, "s")
    managed.attach(window=1)
    for _ in range(10):
        managed.clock.advance(KEPT_S)
        settle(managed)
    assert managed.manager.get("s").viewers == 1
    managed.clock.advance(KEPT_S / 2)
    managed.manager.detach("s", 1)
    managed.clock.advance(KEPT_S - 0.001)
    settle(managed)
    assert not managed.is_gone()
    managed.pass_time_until(managed.is_gone)


def test_no_more_than_so_many_ended_sessions_stay_and_the_oldest_go_first(manage: Manage) -> None:
    managed = manage(gives(b"x"), waits())
    managed.create("alive", handler="wait")
    for number in range(KEPT_SESSIONS + 3):
        managed.create(f"s{number:02}", tty=False, handler="files")
        managed.sink.wait_for_exit(f"s{number:02}")
        managed.clock.advance(0.01)
    settle(managed)
    names = [info.id for info in managed.manager.list()]
    assert names == ["alive", *(f"s{number:02}" for number in range(3, KEPT_SESSIONS + 3))]


def test_session_that_has_the_id_of_a_forgotten_one_has_its_own_minute(manage: Manage) -> None:
    managed = manage(gives(b"x"))
    open_and_end(managed, "s")
    managed.manager.close("s")
    managed.clock.advance(KEPT_S - 1)
    open_and_end(managed, "s")
    settle(managed)
    managed.clock.advance(2)
    settle(managed)
    assert not managed.is_gone()


def settle(managed: Managed) -> None:
    """Let the manager do what is due."""
    for _ in range(3):
        done = threading.Event()
        managed.manager._reactor.call_soon(done.set)
        assert done.wait(5)


# Sizes.


@pytest.mark.parametrize(
    ("rows", "cols"),
    [(0, 80), (24, 0), (-1, 80), (65536, 80), (24, 65536), (24.0, 80), (True, 80), ("9", 9)],
)
def test_size_that_cannot_be_is_refused(manage: Manage, rows: Any, cols: Any) -> None:
    managed = manage(waits())
    managed.create()
    with pytest.raises(CallFailed, match="of a terminal are 1 to 65535") as caught:
        managed.manager.resize("s", rows, cols)
    assert caught.value.name == "rpc.invalid_params"
    assert managed.terminals.terminals[0].sizes == [(27, 72)]


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (65535, 65535), (50, 132)])
def test_terminal_has_the_size_it_was_given(manage: Manage, rows: int, cols: int) -> None:
    managed = manage(waits())
    managed.create()
    assert managed.manager.resize("s", rows, cols) is None
    assert managed.terminals.terminals[0].sizes == [(27, 72), (rows, cols)]
    assert (managed.manager.get("s").rows, managed.manager.get("s").cols) == (rows, cols)


def test_pipes_have_no_size(manage: Manage, pipe: PipeFiles) -> None:
    managed = manage(pipe.handler())
    managed.create(tty=False)
    with pytest.raises(TerminalError, match="runs on pipes, which have no size"):
        managed.manager.resize("s", 1, 1)


def test_deaf_handler_is_told_of_after_half_a_second_and_delays_nobody(manage: Manage) -> None:
    deaf = Script()
    managed = manage(Handler("deaf", tty_handler=deaf.on_terminal, handles_resize=True), waits())
    managed.create("deaf", handler="deaf")
    managed.create("other", handler="wait")
    settle(managed)
    later = managed.manager.resize("deaf", 50, 132)
    assert later is not None
    assert managed.manager.resize("other", 40, 100) is None
    managed.terminals.terminals[1].wait_for_size(40, 100)
    managed.clock.advance(0.499)
    settle(managed)
    assert not later.is_settled
    managed.clock.advance(0.001)
    with pytest.raises(TerminalError, match=r"did not take the new size within 0\.5 s") as caught:
        later.wait(5)
    assert caught.value.session == "deaf"
    assert managed.terminals.terminals[0].sizes == [(27, 72)]  # its handler sets it, if anybody does
    assert managed.manager.get("deaf").rows == 27


# Signals and the end of input.


@pytest.mark.parametrize("name", ["SIGNONE", "INT", "sigint", "2", "", "__doc__", "from_bytes", 2, None])
def test_signal_that_is_none_is_refused(manage: Manage, name: Any) -> None:
    managed = manage(waits())
    managed.create()
    with pytest.raises(CallFailed, match=r"there is no signal .*SIGINT.*SIGTERM") as caught:
        managed.manager.signal("s", name)
    assert caught.value.name == "rpc.invalid_params"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL", "SIGUSR1"])
def test_signal_reaches_the_program(manage: Manage, name: str) -> None:
    managed = manage(Handler("run", default_command=["program"]))
    managed.create()
    managed.manager.signal("s", name)
    assert managed.sink.wait_for_exit("s")["exit"]["signal"] == name


def test_functions_take_no_signals(manage: Manage, pipe: PipeFiles) -> None:
    managed = manage(waits(), pipe.handler())
    managed.create("function", handler="wait")
    managed.create("files", handler="pipe", tty=False)
    for name in ("function", "files"):
        with pytest.raises(TerminalError, match=r"takes? no signals"):
            managed.manager.signal(name, "SIGINT")


@pytest.mark.parametrize("total", [-1, 1.5, True, None, "3"])
def test_end_of_input_that_is_no_number_of_bytes_is_refused(manage: Manage, total: Any) -> None:
    managed = manage(waits())
    managed.create(stdin=2)
    with pytest.raises(CallFailed, match="input ends after 0 bytes or more"):
        managed.manager.close_stdin("s", total)


def test_input_reaches_the_handlers_file_and_ends(manage: Manage) -> None:
    reading, writing = os.pipe()
    managed = manage(Handler("files", session_handler=lambda ctx, opts: (writing, None, None)))
    managed.create(tty=False, stdin=2)
    managed.sink.type(2, b"typed")
    try:
        assert os.read(reading, 100) == b"typed"
    finally:
        os.close(reading)


# The stop of the plugin.


def test_stop_ends_all_that_runs_and_takes_no_more(manage: Manage) -> None:
    scripts = [Script(), Script()]
    managed = manage(
        *(Handler(f"r{n}", tty_handler=script.on_terminal) for n, script in enumerate(scripts))
    )
    for number in range(2):
        managed.create(f"s{number}", handler=f"r{number}")
        assert scripts[number].begun.wait(5)
    stopping = Outcome(lambda: managed.manager.shutdown(5.0))
    managed.pass_time_until(lambda: stopping.is_done)
    stopping.result()
    for number in range(2):
        exited = managed.sink.wait_for_exit(f"s{number}")
        assert "the plugin is stopping" in exited["exit"]["reason"]
        assert scripts[number].contexts[0].cancelled.reason == "the plugin is stopping"
    with pytest.raises(CallCancelled, match="the plugin is stopping"):
        managed.create("late", handler="r0")
    assert managed.logged == []


def test_stop_is_bounded_whatever_a_handler_does(manage: Manage) -> None:
    """The clock stands still, so not even a kill happens in time."""
    script = Script(is_deaf=True)
    managed = manage(Handler("deaf", tty_handler=script.on_terminal))
    managed.create()
    assert script.begun.wait(5)
    Outcome(lambda: managed.manager.shutdown(0.05)).result()
    assert managed.logged == [("warning", "not every session ended in time")]
    session = managed.manager._sessions["s"]
    session.cut_off()  # a plugin's exit does that
    session.input.close()
    script.go.set()


def test_stop_does_not_wait_for_a_handler_that_still_starts(manage: Manage, pipe: PipeFiles) -> None:
    script = Script(lambda ctx, opts: (pipe.reading, None), is_deaf=True)
    managed = manage(Handler("files", command_handler=script))
    opening = Outcome(lambda: managed.create(tty=False))
    assert script.begun.wait(5)
    Outcome(lambda: managed.manager.shutdown(0.05)).result()
    script.go.set()
    with pytest.raises(CallCancelled, match="the plugin is stopping"):
        opening.result()
    assert managed.is_gone()
    assert not is_open(pipe.reading)


def test_stop_of_one_that_has_opened_nothing_is_at_once(manage: Manage) -> None:
    managed = manage(waits())
    managed.manager.shutdown(0.0)
    managed.manager.shutdown(0.0)


def test_fault_of_the_manager_itself_is_logged(manage: Manage) -> None:
    managed = manage(waits())

    def fail() -> None:
        raise LookupError("a fault")

    managed.manager._reactor.call_soon(fail)
    managed.wait_until(lambda: managed.logged)
    ((level, text),) = managed.logged
    assert level == "error"
    assert "LookupError: a fault" in text


def test_sink_alone_makes_a_manager() -> None:
    manager = Manager([], sink=RecordingSink())
    assert manager.handlers() == []
    manager.shutdown(0.0)
