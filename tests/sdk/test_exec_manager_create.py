"""Opening sessions: which handler, which program, and what is told when there is none."""

from __future__ import annotations

import io
import os
from functools import partial
from typing import Any

import pytest

from plugin_host_sdk.errors import (
    CallFailed,
    ExecError,
    HandlerNotFound,
    SessionExists,
    TerminalError,
)
from plugin_host_sdk.exec import ExecSpec, Handler
from plugin_host_sdk.exec.launcher import MARK
from plugin_host_sdk.exec.manager import MOST_TOLD_BYTES
from plugin_host_sdk.types.session import Stored
from tests.sdk.managed import Manage, Outcome, PipeFiles, Script, gives, is_open, waits

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


@pytest.mark.parametrize(
    ("error", "words"), [(KeyboardInterrupt(), "KeyboardInterrupt$"), (SystemExit(3), "SystemExit: 3$")]
)
def test_whatever_a_handler_raises_nothing_of_its_session_stays(
    manage: Manage, error: BaseException, words: str
) -> None:
    managed = manage(raises(error))
    with pytest.raises(TerminalError, match=f"Session failed: {words}") as caught:
        managed.create(tty=False)
    assert caught.value.__cause__ is error
    assert managed.is_gone()


@pytest.mark.parametrize(
    "result", [None, True, "text", (), (None,), (None,) * 4, {"stdout": None}, ["ls", "-l"]]
)
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
    manage: Manage, given: PipeFiles, tty: bool
) -> None:
    """An author who returns an exit code must not lose standard error."""
    managed = manage(Handler("files", command_handler=lambda ctx, opts: given.out))
    with pytest.raises(TerminalError):
        managed.create(tty=tty)
    assert is_open(given.out)
    os.close(given.reading)


def test_files_are_no_terminal(manage: Manage, given: PipeFiles) -> None:
    managed = manage(given.handler())
    with pytest.raises(TerminalError, match="which is no terminal: ask with tty=False"):
        managed.create()
    assert not is_open(given.reading)
