"""What may be asked for as descriptors: everything else is refused before anything is done."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from plugin_host import Exit
from plugin_host.control.grant import Grant, check_streams
from plugin_host.errors import CallFailed, SessionClosed


def session(*, tty: bool = False, exit: Exit | None = None) -> Any:
    return SimpleNamespace(id="one", tty=tty, exit=exit)


def grant(*streams: str, offset: Any = None) -> Grant:
    return Grant(session=session(), streams=streams, uid=0, offset=offset)


@pytest.mark.parametrize(
    "streams",
    [
        ["stdin"],
        ["stdout"],
        ["stderr"],
        ["stdio"],
        ["stderr", "stdin", "stdout"],
        ["stdout", "stderr"],
        ["stdio", "stderr"],
    ],
)
def test_distinct_streams_in_any_order_are_granted(streams: list[str]) -> None:
    check_streams(streams, session())


@pytest.mark.parametrize(
    ("streams", "reason"),
    [
        ([], "1 to 3 streams"),
        (["stdin", "stdout", "stderr", "stdio"], "1 to 3 streams"),
        (["stdin"] * 1000, "not 1000"),
        (["stdout", "stdout"], "once"),
        (["stdlog"], "'stdlog'"),
        (["STDIN"], "'STDIN'"),
        ([""], "''"),
        (["stdio", "stdin"], "in one"),
        (["stdout", "stdio"], "in one"),
    ],
)
def test_a_bad_choice_of_streams_is_refused(streams: list[str], reason: str) -> None:
    with pytest.raises(CallFailed, match=reason) as caught:
        check_streams(streams, session())
    assert caught.value.name == "rpc.invalid_params"


def test_a_terminal_has_no_stderr_of_its_own() -> None:
    check_streams(["stdio"], session(tty=True))
    with pytest.raises(CallFailed, match="terminal"):
        check_streams(["stdin", "stdout", "stderr"], session(tty=True))


def test_an_ended_session_can_be_read_and_not_written() -> None:
    ended = session(exit=Exit(code=0, reason="it is over"))
    check_streams(["stdout", "stderr"], ended)
    for streams in (["stdin"], ["stdio"]):
        with pytest.raises(SessionClosed, match="it is over"):
            check_streams(streams, ended)


def test_a_grant_tells_input_from_outputs() -> None:
    assert (grant("stderr", "stdin").has_input, grant("stderr", "stdin").outputs) == (True, ("stderr",))
    assert (grant("stdio").has_input, grant("stdio").outputs) == (True, ("stdout",))
    assert (grant("stdout").has_input, grant("stdout").outputs) == (False, ("stdout",))


@pytest.mark.parametrize(
    ("offset", "of_stdout", "of_stderr"),
    [
        (None, False, False),
        (0, True, False),
        (-1, True, False),
        ({"stderr": 0}, False, True),
        ({"stdout": 5, "stderr": None}, True, False),
    ],
)
def test_who_names_an_offset_must_have_that_byte(offset: Any, of_stdout: bool, of_stderr: bool) -> None:
    asked = grant("stdout", "stderr", offset=offset)
    assert (asked.wants_beginning("stdout"), asked.wants_beginning("stderr")) == (of_stdout, of_stderr)
