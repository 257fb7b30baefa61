"""What a command's handler answers with, and what the registry tells, without a runtime around them."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from plugin_host_sdk import command
from plugin_host_sdk.context import Context
from plugin_host_sdk.errors import (
    CallCancelled,
    CallError,
    CallFailed,
    CallTimeout,
    CommandError,
    RegistrationError,
)
from plugin_host_sdk.wire import Encoder
from tests.wait import WaitUntil

NO_SESSION: Any = None


def call(function: Callable[..., Any], params: dict[str, Any] | None = None, **context: Any) -> Any:
    """The answer of a handler; a coroutine function is run to its end."""
    handler = command.Handler("one", function)
    answer = handler.endpoint.run(Context(NO_SESSION, "one", **context), {"params": params or {}})
    return asyncio.run(answer) if handler.endpoint.is_async else answer


def failure(
    function: Callable[..., Any], params: dict[str, Any] | None = None, **context: Any
) -> CallError:
    with pytest.raises(CallError) as caught:
        call(function, params, **context)
    return caught.value


class Rude(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


def raising(error: BaseException, *, is_async: bool) -> Callable[..., Any]:
    def plain(ctx: Any) -> None:
        raise error

    async def coroutine(ctx: Any) -> None:
        raise error

    return coroutine if is_async else plain


kinds = pytest.mark.parametrize("is_async", [False, True])


@kinds
def test_a_status_of_the_handlers_own_is_an_answer(is_async: bool) -> None:
    error = CommandError(7, "no such thing", thing="it")
    assert call(raising(error, is_async=is_async)) == {
        "status": 7,
        "status_message": "no such thing",
        "result": {"thing": "it"},
    }


@kinds
def test_an_exception_becomes_type_message_and_traceback(is_async: bool) -> None:
    error = failure(raising(LookupError("not here"), is_async=is_async))
    assert type(error) is CallFailed
    assert (error.name, error.code) == ("command.handler_failed", 105)
    assert error.message == "command 'one' raised LookupError: not here"
    assert (error.data["type"], error.data["message"]) == ("LookupError", "not here")
    assert "raise error" in error.data["traceback"]
    assert "command.py" not in error.data["traceback"]


@kinds
@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), RecursionError()])
def test_not_even_an_exit_ends_the_plugin(error: BaseException, is_async: bool) -> None:
    assert failure(raising(error, is_async=is_async)).data["type"] == type(error).__name__


def test_an_exception_whose_text_raises_is_named_all_the_same() -> None:
    error = failure(raising(Rude(), is_async=False))
    assert error.message == "command 'one' raised Rude: (its text cannot be had: ZeroDivisionError)"
    assert error.data["type"] == "Rude"


@kinds
def test_an_exception_that_quotes_what_is_no_unicode_travels_whole(is_async: bool) -> None:
    error = failure(raising(LookupError("a file \udcff"), is_async=is_async))
    assert error.data["message"] == "a file \\udcff"
    assert "LookupError: a file \\udcff" in error.data["traceback"]
    assert Encoder().encode([error.to_map()])


@kinds
def test_a_handler_that_saw_its_deadline_pass_timed_out(is_async: bool) -> None:
    function = raising(CallTimeout("too late", name="rpc.deadline_exceeded"), is_async=is_async)
    assert type(failure(function, deadline=time.monotonic() - 1)) is CallTimeout


@kinds
@pytest.mark.parametrize("deadline_in_s", [None, 60])
def test_a_timeout_of_something_else_is_a_failure(deadline_in_s: float | None, is_async: bool) -> None:
    function = raising(CallTimeout("too late", name="rpc.deadline_exceeded"), is_async=is_async)
    deadline = None if deadline_in_s is None else time.monotonic() + deadline_in_s
    assert failure(function, deadline=deadline).name == "command.handler_failed"


@kinds
def test_a_handler_that_gave_up_was_cancelled(is_async: bool) -> None:
    error = failure(raising(CallCancelled("given up"), is_async=is_async))
    assert type(error) is CallCancelled
    assert (error.name, error.code) == ("rpc.cancelled", 4)


def test_wrong_parameters_name_the_command_and_the_place() -> None:
    error = failure(lambda ctx, size: None, {"siz": 1})
    assert (error.name, error.code, error.data) == ("command.bad_request", 102, {"path": "$.siz"})
    assert error.message == "command 'one': unknown parameter 'siz'; did you mean 'size'? (takes: size)"


def test_useless_annotations_are_the_handlers_failure() -> None:
    def handler(ctx: Any, size: NoSuchType) -> None:  # type: ignore[name-defined] # noqa: F821
        raise NotImplementedError

    error = failure(handler, {"size": 1})
    assert error.name == "command.handler_failed"
    assert "command 'one': its annotations cannot be used: NameError" in error.message
    assert error.data["type"] == "NameError"
    assert "NoSuchType" in error.data["traceback"]


def test_an_unknown_command_is_answered_with_those_like_it() -> None:
    monitor = command.Monitor({"disk_usage": lambda ctx: 1, "disks": lambda ctx: 2})
    resolve = monitor.routes["command.call"]
    with pytest.raises(CallFailed, match="did you mean 'disk_usage'") as caught:
        resolve({"name": "disk-usage"})
    assert (caught.value.name, caught.value.code) == ("command.not_found", 101)
    assert caught.value.data == {"commands": ["disk_usage", "disks"]}
    with pytest.raises(CallFailed, match=r"no command 'x{9}.* \(commands: disk_usage, disks\)") as caught:
        resolve({"name": "x" * 1_000_000})
    assert len(caught.value.message) < 300
    with pytest.raises(CallFailed, match="name is a text, not None"):
        resolve({})


def test_the_listing_is_left_to_workers_as_it_runs_code_of_the_author() -> None:
    endpoint, _ = command.Monitor().routes["command.list"]({})
    assert not endpoint.quick


def test_none_is_registered_when_one_cannot_be() -> None:
    monitor = command.Monitor({"a": lambda ctx: 1})
    with pytest.raises(RegistrationError, match="'a' is registered already"):
        monitor.add({"b": lambda ctx: 1, "a": lambda ctx: 1})
    assert monitor.names == ["a"]
    with pytest.raises(RegistrationError, match="'b' is not registered; did you mean"):
        command.Monitor({"bb": lambda ctx: 1}).unregister_handler("b")


def test_a_partial_is_registered_under_the_name_it_is_given() -> None:
    handler = command.Handler("two", functools.partial(lambda ctx, size: size, size=3))
    assert handler.describe()["params"][0]["default"] == 3


def test_the_host_hears_the_newest_list_last(wait_until: WaitUntil) -> None:
    monitor = command.Monitor()
    told: list[list[str]] = []
    first_told, go_on = threading.Event(), threading.Event()

    def notify(method: str, params: dict[str, Any]) -> None:
        if not first_told.is_set():
            first_told.set()
            assert go_on.wait(5)
        told.append(params["commands"])

    sink = SimpleNamespace(notify=notify, flush=lambda: None)
    monitor.open(cast("Any", SimpleNamespace(sink=sink)))
    slow = threading.Thread(target=monitor.register_handler, args=("a", print))
    fast = threading.Thread(target=monitor.register_handler, args=("b", print))
    slow.start()
    assert first_told.wait(5)
    fast.start()
    wait_until(lambda: monitor.names == ["a", "b"])
    go_on.set()
    slow.join(5)
    fast.join(5)
    assert told == [["a"], ["a", "b"]]


def _gives_many(ctx: Any) -> Any:
    yield 1


async def _gives_many_in_time(ctx: Any) -> Any:
    yield 1


@pytest.mark.parametrize(
    "function",
    [_gives_many, _gives_many_in_time, functools.partial(_gives_many)],
    ids=["plain", "async", "partial"],
)
def test_a_generator_is_no_handler(function: Callable[..., Any]) -> None:
    with pytest.raises(RegistrationError, match=r"'one' is a generator, .*: return a list"):
        command.Handler("one", function)


def test_a_function_that_says_it_gives_a_coroutine_is_awaited() -> None:
    async def inner(ctx: Any) -> int:
        return 5

    def wrapper(ctx: Any) -> Any:
        return inner(ctx)

    mark = getattr(inspect, "markcoroutinefunction", None)  # since 3.12
    if mark is None:
        wrapper._is_coroutine_marker = True  # type: ignore[attr-defined]
    else:
        mark(wrapper)
    assert call(wrapper)["result"] == 5
