"""Services of the host as plugins meet them, without a plugin: who may call, and how calls end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from plugin_host.errors import CallFailed
from plugin_host.service import Caller, ServiceTable, current_caller
from plugin_host_sdk.events import RequestReceived
from tests.run import Run


class Link:
    """Keeps the answer to each request."""

    is_full = False  # it reads

    def __init__(self) -> None:
        self.answers: dict[int, Any] = {}
        self.changed = asyncio.Event()

    def answer(self, msgid: int, result: Any) -> None:
        assert msgid not in self.answers
        self.answers[msgid] = result
        self.changed.set()

    def refuse(self, msgid: int, error: Any) -> None:
        self.answer(msgid, error)

    async def expect(self, msgid: int = 1) -> Any:
        while msgid not in self.answers:
            self.changed.clear()
            await self.changed.wait()
        return self.answers[msgid]


@contextmanager
def offering(services: Mapping[str, Callable[..., Any]]) -> Iterator[tuple[ServiceTable, Any]]:
    table = ServiceTable(services)
    link: Any = Link()
    try:
        yield table, link
    finally:
        table.close()


async def ask(function: Callable[..., Any], params: Any = None, **meta: Any) -> Any:
    """What `host.one` is answered with when it is `function`."""
    with offering({"one": function}) as (table, link):
        table.serve(link, "demo", ("host.one",), RequestReceived(1, "host.one", params or {}, meta))
        return await link.expect()


def test_plain_and_async_functions_serve(run: Run) -> None:
    def plain(caller: Caller, word: str) -> tuple[str, str, bool]:
        return caller.plugin, word, threading.current_thread() is threading.main_thread()

    async def coroutine(caller: Caller, word: str) -> tuple[str, str, bool]:
        return plain(caller, word)

    assert run(ask(plain, {"word": "hi"})) == ("demo", "hi", False)
    assert run(ask(coroutine, {"word": "hi"})) == ("demo", "hi", True)
    assert run(ask(lambda caller, word: coroutine(caller, word), {"word": "hi"})) == ("demo", "hi", True)


def test_a_raw_peer_calls_by_position(run: Run) -> None:
    async def coroutine(caller: Caller, first: int, second: int) -> int:
        return first - second

    assert run(ask(lambda caller, first, second: first - second, [5, 3])) == 2
    assert run(ask(coroutine, [5, 3])) == 2


def test_deadline_and_chain_reach_the_function_in_its_thread_too(run: Run) -> None:
    def service(caller: Caller) -> None:
        assert current_caller.get() is caller
        assert caller.chain == ("first", "demo")
        remaining = caller.remaining()
        assert remaining is not None
        assert 1 < remaining <= 2

    assert run(ask(service, timeout_ms=2000, chain=["first", "demo"])) is None


def test_what_is_late_is_a_timeout(run: Run) -> None:
    started = threading.Event()

    async def waits(caller: Caller) -> None:
        await asyncio.Event().wait()

    def sleeps(caller: Caller) -> None:
        started.set()
        release.wait(5)

    release = threading.Event()
    for function in (waits, sleeps):
        error = run(ask(function, timeout_ms=50))
        assert (error.name, str(error)) == ("rpc.deadline_exceeded", "host.one did not end in time")
    release.set()
    error = run(ask(waits, timeout_ms=0))
    assert error.name == "rpc.deadline_exceeded"


@pytest.mark.parametrize("meta", [{}, {"timeout_ms": 60_000}])
def test_a_timeout_of_the_functions_own_is_its_failure(meta: dict[str, Any], run: Run) -> None:
    async def coroutine(caller: Caller) -> None:
        raise TimeoutError("the database")

    def plain(caller: Caller) -> None:
        raise TimeoutError("the database")

    for function in (coroutine, plain):
        error = run(ask(function, **meta))
        assert error.name == "host.service_failed"
        assert str(error) == "host.one raised TimeoutError: the database"


@pytest.mark.parametrize("base", [Exception, BaseException])
def test_an_error_without_a_text_is_told_all_the_same(base: type[BaseException], run: Run) -> None:
    class Mute(base):  # type: ignore[misc, valid-type]
        def __str__(self) -> str:
            raise ValueError("no text")

    def service(caller: Caller) -> None:
        raise Mute

    error = run(ask(service))
    assert error.name == "host.service_failed"
    assert "Mute: (its text cannot be had: ValueError)" in str(error)


def test_an_error_of_a_call_it_made_is_passed_on(run: Run) -> None:
    def service(caller: Caller) -> None:
        raise CallFailed("no", name="command.failed", code=3)

    error = run(ask(service))
    assert (error.name, error.code) == ("command.failed", 3)


def test_wrong_parameters_are_the_functions_failure(run: Run) -> None:
    assert "unexpected keyword argument 'x'" in str(run(ask(lambda caller: None, {"x": 1})))


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("host.two", "host.service_not_found"),
        ("host.secret", "host.permission_denied"),
        ("hello", "rpc.method_not_found"),
    ],
)
def test_what_may_not_be_called_is_refused(method: str, name: str, run: Run) -> None:
    async def body() -> Any:
        with offering({"one": print, "secret": print}) as (table, link):
            table.serve(link, "demo", ("host.one", "host.two"), RequestReceived(1, method, {}, None))
            return await link.expect()

    assert run(body()).name == name


def test_denials_of_ever_new_names_are_told_and_not_logged_without_end(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        with offering({}) as (table, link):
            for msgid in range(200):
                table.serve(link, "demo", (), RequestReceived(msgid, f"host.{msgid:x<9999}", {}, None))
                assert (await link.expect(msgid)).name == "host.permission_denied"
                assert len(str(link.answers[msgid])) < 500

    run(body())
    assert len(caplog.records) == 64


@pytest.mark.parametrize("turns", [0, 1, 5])
def test_a_cancelled_call_is_answered_even_if_it_had_not_begun(turns: int, run: Run) -> None:
    async def forever(caller: Caller) -> None:
        await asyncio.Event().wait()

    async def body() -> Any:
        with offering({"one": forever}) as (table, link):
            for msgid in (1, 2):
                table.serve(link, "demo", ("host.one",), RequestReceived(msgid, "host.one", {}, {}))
            for _ in range(turns):
                await asyncio.sleep(0)
            table.cancel(link, 1)
            assert (await link.expect(1)).name == "rpc.cancelled"
            assert 2 not in link.answers
            table.cancel(link, 2)
            return await link.expect(2)

    assert run(body()).name == "rpc.cancelled"


@pytest.mark.parametrize(
    "meta", [{"chain": "demo"}, {"chain": [1]}, {"chain": ["x" * 65]}, {"timeout_ms": "1"}]
)
def test_call_metadata_is_checked(meta: dict[str, Any], run: Run) -> None:
    assert run(ask(print, **meta)).name == "rpc.invalid_params"


def test_chain_that_is_too_long_is_refused(run: Run) -> None:
    def length(caller: Caller) -> int:
        return len(caller.chain)

    assert run(ask(length, chain=["demo"] * 17)) == 17
    error = run(ask(length, chain=["demo"] * 100_000))
    assert error.name == "rpc.chain_too_deep"
    assert len(error.message) < 200


def test_a_caller_has_no_less_than_no_time() -> None:
    assert Caller("demo", deadline=time.monotonic() - 1).remaining() == 0.0
    assert Caller("demo").remaining() is None


def test_a_service_is_a_function() -> None:
    with pytest.raises(TypeError, match="service 'one' is not a function: 1"):
        ServiceTable({"one": 1})  # type: ignore[dict-item]
