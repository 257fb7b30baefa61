"""All sessions of a plugin: found, acted on, ended with nothing left, and told of."""

from __future__ import annotations

import inspect
import os
from typing import Any

import pytest

from plugin_host.exec.proxy import ExecProxy
from plugin_host_sdk.errors import (
    CallFailed,
    SessionClosed,
    SessionNotFound,
    TerminalError,
)
from plugin_host_sdk.exec import Handler
from plugin_host_sdk.exec.manager import Manager
from plugin_host_sdk.testing import StreamEnd
from plugin_host_sdk.types.session import HandlerInfo, Provider, Stored
from tests.sdk.managed import CHANGES, Manage, PipeFiles, Script, gives, waits

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


def test_pipes_have_no_size(manage: Manage, given: PipeFiles) -> None:
    managed = manage(given.handler())
    managed.create(tty=False)
    with pytest.raises(TerminalError, match="runs on pipes, which have no size"):
        managed.manager.resize("s", 1, 1)


def test_deaf_handler_is_told_of_after_half_a_second_and_delays_nobody(manage: Manage) -> None:
    deaf = Script()
    managed = manage(Handler("deaf", tty_handler=deaf.on_terminal, handles_resize=True), waits())
    managed.create("deaf", handler="deaf")
    managed.create("other", handler="wait")
    managed.turn()
    later = managed.manager.resize("deaf", 50, 132)
    assert later is not None
    assert managed.manager.resize("other", 40, 100) is None
    managed.terminals.terminals[1].wait_for_size(40, 100)
    managed.clock.advance(0.499)
    managed.turn()
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


def test_functions_take_no_signals(manage: Manage, given: PipeFiles) -> None:
    managed = manage(waits(), given.handler())
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
