"""What an author's exception becomes: words for a person, whatever it holds, and always able to travel."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk.errors import CallFailed, ExecError, SessionClosed, TerminalError
from plugin_host_sdk.exec.failure import error_of, failure_of, sayable
from plugin_host_sdk.types.session import SessionFailure

DEFAULTS: dict[str, Any] = {
    "title": "Session failed",
    "suggestion": "The exec session terminated unexpectedly.",
    "retryable": True,
}


class Rude(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (LookupError("no pod"), "LookupError: no pod"),
        (LookupError(), "LookupError"),
        (CallFailed("the words alone", name="rpc.busy"), "the words alone"),
        (SessionClosed("it has ended", session="s"), "it has ended"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
def test_exception_is_told_by_its_kind_and_words(error: BaseException, message: str) -> None:
    assert failure_of(error) == SessionFailure(message=message, **DEFAULTS)


def test_exception_whose_words_cannot_be_had_is_told_by_its_kind() -> None:
    assert failure_of(Rude()).message.startswith("Rude")


def test_exec_error_speaks_for_itself() -> None:
    error = ExecError("No pod", "it is gone", "start it", retryable=False, retry_commands=["a", "b"])
    assert failure_of(error) == SessionFailure(
        title="No pod",
        message="it is gone",
        suggestion="start it",
        retryable=False,
        retry_commands=("a", "b"),
    )
    assert failure_of(ExecError()) == SessionFailure(**DEFAULTS)


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("is_cause", [True, False])
def test_exec_error_is_found_in_the_chain(depth: int, is_cause: bool) -> None:
    error: BaseException = ExecError("No pod")
    for _ in range(depth):
        outer = RuntimeError("around it")
        if is_cause:
            outer.__cause__ = error
        else:
            outer.__context__ = error
        error = outer
    assert failure_of(error).title == "No pod"


def test_chain_that_is_a_circle_has_an_end() -> None:
    one, two = RuntimeError("one"), RuntimeError("two")
    one.__cause__, two.__cause__ = two, one
    assert failure_of(one).message == "RuntimeError: one"


def test_answer_names_the_handler_and_keeps_the_cause() -> None:
    cause = FileNotFoundError(2, "No such file or directory", "/none")
    answer = error_of(cause, "s", "demo/local")
    assert isinstance(answer, TerminalError)
    assert answer.message.startswith("demo/local: Session failed: FileNotFoundError: [Errno 2]")
    assert (answer.session, answer.data["errno"], answer.__cause__) == ("s", 2, cause)
    assert answer.data["error"]["title"] == "Session failed"


def test_answer_to_an_exec_error_has_all_its_words() -> None:
    told = ExecError("No pod", retryable=False, retry_commands=["a"])
    answer = error_of(told, "s", "demo/local")
    assert answer.message == "demo/local: No pod"
    assert (answer.data["error"], answer.retryable) == (told.to_map(), False)


def test_error_of_a_call_is_the_answer_as_it_is() -> None:
    error = CallFailed("busy", name="rpc.busy")
    assert error_of(error, "s", "demo/local") is error


@given(st.text(st.characters()) | st.binary() | st.integers() | st.none())
def test_whatever_is_said_is_a_text_that_travels(value: object) -> None:
    said = sayable(value)
    said.encode()
    if isinstance(value, str) and value.isascii():
        assert said == value


def test_what_is_said_is_no_longer_than_a_person_reads() -> None:
    assert len(sayable("x" * (20 << 20))) < 100_000


@pytest.mark.parametrize("value", ["/srv/\udcff", "\ud800"])
def test_half_characters_are_written_out(value: str) -> None:
    assert "\\ud" in sayable(value)
