"""An action from its acceptance to its end, in a plugin that is driven by a test in the host's place."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgpack
import pytest

import plugin_host_sdk as sdk
from plugin_host_sdk import action
from plugin_host_sdk.errors import CallFailed
from plugin_host_sdk.testing import ActionBench, ActionRun, FakeClock
from tests.wait import WaitUntil

Serve = Callable[..., ActionBench]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Makes benches for a plugin with these handlers by kind."""
    made: list[ActionBench] = []

    def make(clock: FakeClock | None = None, **handlers: Any) -> ActionBench:
        plugin = sdk.Plugin("demo", version="1.0.0")
        action.register_plugin(plugin, action.PluginOpts(**handlers))
        made.append(ActionBench(plugin, settings={"colour": "red"}, clock=clock))
        return made[-1]

    yield make
    for bench in made:
        bench.close()
        assert bench.sink.faults == []


def release_on_cancel(ctx: sdk.Context, request: Any) -> action.Done:
    ctx.cancelled.wait()
    return action.Done(message=str(ctx.cancelled.reason))


# results and errors


def test_a_result_of_the_kinds_own_type_arrives(serve: Serve) -> None:
    def echo(ctx: sdk.Context, request: action.Heartbeat) -> action.HeartbeatResult:
        return action.HeartbeatResult(nonce=request.nonce, versions={"colour": ctx.settings["colour"]})

    result = serve(heartbeat=echo).trigger(action.Heartbeat(nonce="n")).result()
    assert result == action.HeartbeatResult(nonce="n", versions={"colour": "red"})


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("exit", None, action.Done()),
        ("exit", {"message": "soon"}, action.Done(message="soon")),
        ("reload_config", sdk.RESTART, action.ReloadResult(restart=True)),
        ("reload_config", None, action.ReloadResult()),
    ],
)
def test_shorter_ways_to_say_a_result(serve: Serve, kind: str, given: Any, expected: Any) -> None:
    request = action.Exit() if kind == "exit" else action.ReloadConfig()
    bench = serve(**{kind: lambda ctx, request: given})
    assert bench.trigger(request).result() == expected


@pytest.mark.parametrize("given", [None, 7, {"nonce": 3}, action.Done()])
def test_a_result_that_is_none_is_an_error(serve: Serve, given: Any) -> None:
    run = serve(heartbeat=lambda ctx, request: given).trigger(action.Heartbeat(nonce="n"))
    with pytest.raises(action.ActionFailed, match="heartbeat"):
        run.result()
    assert len(run.endings) == 1


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("raised", "name", "words"),
    [
        (ValueError("wrong"), "action.failed", "exit: ValueError: wrong"),
        (Unspeakable(), "action.failed", "its text cannot be had"),
        (sdk.CommandError(7, "seven"), "action.failed", "seven"),
        (action.ActionRefused("no", data={"option": object()}), "action.refused", "no"),
        (CallFailed("odd \udcff", name="my.own", data={1: {2: {3}}}), "my.own", "odd"),
        (action.ActionFailed("deep", data=[[[[[]]]]]), "action.failed", "deep"),
        (action.ActionFailed("huge", data={"number": 2**70, "text": "\udcff"}), "action.failed", "huge"),
        (SystemExit(3), "action.failed", "SystemExit: 3"),
    ],
)
def test_whatever_is_raised_can_be_sent(serve: Serve, raised: BaseException, name: str, words: str) -> None:
    def fail(ctx: sdk.Context, request: Any) -> None:
        raise raised

    run = serve(exit=fail).trigger(action.Exit())
    with pytest.raises(sdk.errors.CallError, match=words) as caught:
        run.result()
    assert caught.value.name == name
    [ending] = run.endings
    assert msgpack.unpackb(msgpack.packb(ending.error), strict_map_key=False)["name"] == name


def test_output_that_is_text_is_refused_in_plain_words(serve: Serve) -> None:
    run = serve(exit=lambda ctx, request: ctx.action.stdout("hello")).trigger(action.Exit())
    with pytest.raises(action.ActionFailed, match="output of an action is bytes, not the text 'hello'"):
        run.result()


def test_child_that_comes_back_from_a_handler_ends_and_concludes_nothing(serve: Serve) -> None:
    def fork(ctx: sdk.Context, request: Any) -> action.Done | None:
        pid = os.fork()
        if pid == 0:
            return None
        return action.Done(message=f"status {os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}")

    run = serve(exit=fork).trigger(action.Exit())
    assert run.result() == action.Done(message="status 0")
    assert len(run.endings) == 1


# what is refused before anything is done


def test_a_kind_that_is_not_there_is_refused_with_those_that_are(serve: Serve) -> None:
    bench = serve(exit=lambda ctx, request: None)
    with pytest.raises(action.ActionNotSupported, match="it has: exit") as caught:
        bench.trigger(action.Reboot())
    assert caught.value.data == {"kinds": ["exit"]}
    assert bench.ask("action.kinds", {}) == {"kinds": ["exit"]}


def test_a_request_that_cannot_be_meant_is_refused(serve: Serve) -> None:
    called: list[Any] = []
    bench = serve(run_script=lambda ctx, request: called.append(request), exit=lambda ctx, request: None)
    asked = {"action": "a", "kind": "run_script", "stdout": 2, "stderr": 4}
    for request in ({}, {"data": "text"}, {"data": b"", "files": [{"path": "/f", "mode": "798"}]}):
        with pytest.raises(action.ActionInvalid, match="run_script"):
            bench.ask("action.trigger", asked | {"request": request})
    with pytest.raises(action.ActionInvalid, match="does not take a stream"):
        bench.ask("action.trigger", asked | {"request": {"data": b""}, "data": 6})
    for wrong in ({"action": ""}, {"stdout": 0}, {"window": 0}):
        with pytest.raises(CallFailed, match=r"action\.trigger") as caught:
            bench.ask("action.trigger", asked | wrong)
        assert caught.value.name == "rpc.invalid_params"
    assert called == []
    assert bench.sink.notifications == []


@pytest.mark.parametrize("is_async", [False, True])
def test_a_check_refuses_before_it_is_accepted(serve: Serve, is_async: bool) -> None:
    def check(ctx: sdk.Context, request: Any) -> None:
        raise action.ActionRefused("not here", data={"option": "allow_exit"})

    async def check_async(ctx: sdk.Context, request: Any) -> None:
        check(ctx, request)

    called: list[Any] = []
    handler = action.Handler(
        "exit", lambda ctx, request: called.append(1), check=check_async if is_async else check
    )
    bench = serve(exit=handler)
    with pytest.raises(action.ActionRefused, match="not here") as caught:
        bench.trigger(action.Exit())
    assert caught.value.option == "allow_exit"
    assert (called, bench.sink.notifications) == ([], [])
    bench.close()  # nothing is left that would have to end


@pytest.mark.parametrize("is_async", [False, True])
def test_a_check_that_passes_lets_it_begin(serve: Serve, is_async: bool) -> None:
    checked: list[Any] = []

    async def check_async(ctx: sdk.Context, request: Any) -> None:
        checked.append(ctx.settings)

    def check(ctx: sdk.Context, request: Any) -> None:
        checked.append(ctx.settings)

    handler = action.Handler("exit", lambda ctx, request: None, check=check_async if is_async else check)
    assert serve(exit=handler).trigger(action.Exit()).result() == action.Done()
    assert checked == [{"colour": "red"}]


def test_a_fault_of_a_check_is_an_actions_error(serve: Serve) -> None:
    def check(ctx: sdk.Context, request: Any) -> None:
        raise ZeroDivisionError

    bench = serve(exit=action.Handler("exit", lambda ctx, request: None, check=check))
    with pytest.raises(action.ActionFailed, match="ZeroDivisionError"):
        bench.trigger(action.Exit())


def test_an_action_that_is_cancelled_while_it_is_checked_does_not_begin(serve: Serve) -> None:
    called: list[Any] = []

    def check(ctx: sdk.Context, request: Any) -> None:
        asked = {"action": "a", "reason": "changed my mind"}
        assert bench.ask("action.cancel", asked) == {"state": "cancelling"}

    bench = serve(exit=action.Handler("exit", lambda ctx, request: called.append(1), check=check))
    with pytest.raises(sdk.CallCancelled, match="changed my mind"):
        bench.trigger(action.Exit(), id="a")
    assert called == []


def test_an_id_is_used_once_at_a_time(serve: Serve) -> None:
    bench = serve(exit=release_on_cancel)
    run = bench.trigger(action.Exit(), id="a")
    with pytest.raises(action.ActionInvalid, match="runs already"):
        bench.trigger(action.Exit(), id="a")
    run.cancel("over")
    assert run.result() == action.Done(message="over")


def test_one_more_than_may_run_at_once_is_busy(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_host_sdk.action.desk.AT_ONCE", 2)
    bench = serve(exit=release_on_cancel)
    for _ in range(2):
        bench.trigger(action.Exit())
    with pytest.raises(CallFailed) as caught:
        bench.trigger(action.Exit())
    assert (caught.value.name, caught.value.retryable) == ("rpc.busy", True)


# output


@pytest.mark.parametrize("is_async", [False, True])
def test_the_end_comes_once_behind_all_output(serve: Serve, is_async: bool) -> None:
    def speak(ctx: sdk.Context, request: Any) -> None:
        for _ in range(100):
            ctx.action.stdout(b"out")
            ctx.action.stderr(b"error")

    async def speak_async(ctx: sdk.Context, request: Any) -> None:
        for _ in range(100):
            await ctx.action.stdout(b"out")
            await ctx.action.stderr(b"error")

    run = serve(exit=speak_async if is_async else speak).trigger(action.Exit(), window=150)
    run.credit(200)
    assert run.endings == []
    run.credit(10_000)
    run.result()
    [ending] = run.endings
    assert (ending.totals.stdout, ending.totals.stderr) == (300, 500)
    assert (run.stdout, run.stderr) == (b"out" * 100, b"error" * 100)


def test_output_is_sent_once_and_not_again_with_every_piece(serve: Serve) -> None:
    def speak(ctx: sdk.Context, request: Any) -> None:
        for _ in range(200):
            ctx.action.stdout(bytes(1000))

    run = serve(exit=speak).trigger(action.Exit())
    run.result()
    assert len(run.stdout) == 200_000  # all that went over the wire


def test_a_result_that_is_too_large_is_an_error_and_still_an_end(serve: Serve) -> None:
    bench = serve(exit=lambda ctx, request: action.Done(message="x" * 100))
    notify = bench.sink.notify

    def refuse(method: str, params: dict[str, Any]) -> None:
        if params.get("result") is not None:
            raise sdk.errors.MessageTooLarge("a message of 17 MiB")
        notify(method, params)

    bench.sink.notify = refuse  # type: ignore[method-assign]
    with pytest.raises(action.ActionFailed, match="cannot be sent: a message of 17 MiB"):
        bench.trigger(action.Exit()).result()


# data


@pytest.mark.parametrize("is_async", [False, True])
def test_data_reaches_the_handler(serve: Serve, is_async: bool) -> None:
    def take(ctx: sdk.Context, request: Any) -> action.UploadResult:
        return action.UploadResult(path="/f", size=sum(map(len, ctx.action.data)), sha256="")

    async def take_async(ctx: sdk.Context, request: Any) -> action.UploadResult:
        size = 0
        async for data in ctx.action.data:
            size += len(data)
        return action.UploadResult(path="/f", size=size, sha256="")

    run = serve(upload_file=take_async if is_async else take).trigger(action.UploadFile(path="/f"))
    run.write(bytes(3_000_000))
    run.end_data()
    assert run.result().size == 3_000_000


def test_data_that_the_handler_leaves_is_stopped(serve: Serve) -> None:
    bench = serve(upload_file=lambda ctx, request: action.UploadResult(path="/f", size=0, sha256=""))
    run = bench.trigger(action.UploadFile(path="/f"))
    run.result()
    assert bench.sink.stops() == [run.data_number]


def test_an_action_without_data_says_so(serve: Serve) -> None:
    run = serve(exit=lambda ctx, request: list(ctx.action.data)).trigger(action.Exit())
    with pytest.raises(action.ActionInvalid, match="comes without data"):
        run.result()


# cancelling


def test_cancelling_is_answered_when_nothing_runs(serve: Serve) -> None:
    bench = serve(exit=lambda ctx, request: None)
    assert bench.ask("action.cancel", {"action": "never"}) == {"state": "not_running"}
    run = bench.trigger(action.Exit())
    run.result()
    assert [run.cancel(), run.cancel()] == ["not_running", "not_running"]


def test_cancelling_twice_keeps_the_first_reason(serve: Serve) -> None:
    seen: list[float] = []

    def wait(ctx: sdk.Context, request: Any) -> action.Done:
        ctx.cancelled.wait()
        again.wait(5)
        seen.append(ctx.action.grace)
        return action.Done(message=str(ctx.action.cancelled.reason))

    again = threading.Event()
    run = serve(exit=wait).trigger(action.Exit())
    assert [run.cancel("one", 9), run.cancel("two", 0.5), run.cancel("three", 20)] == ["cancelling"] * 3
    again.set()
    assert run.result() == action.Done(message="one")
    assert seen == [0.5]


def test_each_action_is_cancelled_by_its_own_id(serve: Serve) -> None:
    bench = serve(exit=release_on_cancel)
    first, second, third = (bench.trigger(action.Exit()) for _ in range(3))
    second.cancel("you")
    assert second.result() == action.Done(message="you")
    assert (first.endings, third.endings) == ([], [])


def test_a_coroutine_is_cancelled_like_a_task(serve: Serve) -> None:
    async def wait(ctx: sdk.Context, request: Any) -> None:
        ctx.action.begin_write("stdout", b"here")
        await asyncio.sleep(60)

    run = serve(exit=wait).trigger(action.Exit())
    run.wait_for_stdout(b"here")
    run.cancel("enough")
    with pytest.raises(sdk.CallCancelled, match="enough"):
        run.result()


def test_a_coroutine_that_is_cancelled_before_it_begins_ends_too(serve: Serve) -> None:
    async def wait(ctx: sdk.Context, request: Any) -> None:
        await asyncio.sleep(60)

    bench = serve(exit=wait)
    for _ in range(20):
        run = bench.trigger(action.Exit())
        run.cancel()
        with pytest.raises(sdk.CallCancelled):
            run.result()
        assert len(run.endings) == 1


def test_a_cancelled_action_ends_although_nobody_reads(serve: Serve) -> None:
    clock = FakeClock()

    def speak(ctx: sdk.Context, request: Any) -> None:
        ctx.action.stdout(bytes(100))

    run = serve(clock, exit=speak).trigger(action.Exit(), window=10)
    run.wait_for_stdout(bytes(10))
    run.cancel(grace=2)
    assert run.endings == []
    clock.advance(3.1)
    assert run.result() == action.Done()
    assert run.endings[0].totals.stdout == 100


def test_stopping_the_plugin_ends_every_action(serve: Serve) -> None:
    bench = serve(exit=release_on_cancel)
    runs = [bench.trigger(action.Exit()) for _ in range(5)]
    bench.close()
    assert [run.result().message for run in runs] == ["the plugin is stopping"] * 5
    with pytest.raises(sdk.CallCancelled, match="is stopping"):
        bench.trigger(action.Exit())


# signs of life


def has_given(run: ActionRun, signs: int) -> bool:
    return len(run.keepalives) == signs


def test_a_silent_action_gives_a_sign_every_ten_seconds(serve: Serve, wait_until: WaitUntil) -> None:
    clock = FakeClock()
    run = serve(clock, exit=release_on_cancel).trigger(action.Exit())
    for number in range(1, 4):
        clock.advance(10)
        wait_until(partial(has_given, run, number))
    assert run.keepalives == [10_000, 20_000, 30_000]
    run.cancel()
    run.result()
    clock.advance(100)
    assert len(run.keepalives) == 3


def test_the_interval_of_the_signs_is_the_authors(serve: Serve, wait_until: WaitUntil) -> None:
    clock = FakeClock()
    run = serve(clock, exit=release_on_cancel, keepalive=0.5).trigger(action.Exit())
    clock.advance(0.5)
    wait_until(lambda: run.keepalives == [500])


# after the reply


def test_what_is_to_follow_the_reply_finds_it_sent(serve: Serve) -> None:
    told: list[int] = []

    def leave(ctx: sdk.Context, request: Any) -> None:
        ctx.action.after_reply(lambda: told.append(len(run.endings)))
        ctx.action.after_reply(lambda: 1 / 0)
        ctx.action.after_reply(ctx.action.end_plugin)
        ready.wait(5)

    ready = threading.Event()
    bench = serve(exit=leave)
    run = bench.trigger(action.Exit())
    ready.set()
    assert bench.wait_until_left() == "an action asked for it"
    assert told == [1]
    assert [message for level, message in bench.logs] == [
        "after the reply to exit: ZeroDivisionError: division by zero"
    ]


def test_nothing_follows_an_action_that_failed(serve: Serve) -> None:
    def leave(ctx: sdk.Context, request: Any) -> None:
        ctx.action.after_reply(ctx.action.end_plugin)
        raise ValueError

    bench = serve(exit=leave)
    with pytest.raises(action.ActionFailed):
        bench.trigger(action.Exit()).result()
    bench.close()
    assert bench.left is None


# many at once


def test_many_actions_run_side_by_side_and_keep_their_output_apart(serve: Serve) -> None:
    barrier = threading.Barrier(50)

    def speak(ctx: sdk.Context, request: action.Heartbeat) -> action.HeartbeatResult:
        barrier.wait(10)
        for _ in range(20):
            ctx.action.stdout(request.nonce.encode())
        return action.HeartbeatResult(nonce=request.nonce)

    bench = serve(heartbeat=speak)
    runs = [bench.trigger(action.Heartbeat(nonce=f"{number:02}")) for number in range(50)]
    for number, run in enumerate(runs):
        assert run.result().nonce == f"{number:02}"
        assert run.stdout == f"{number:02}".encode() * 20
