"""Plugins that answer for sessions, and tell of their exits, what no session of the SDK would."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugin_host import (
    CallCancelled,
    CallError,
    CallFailed,
    Output,
    RemoteProtocolError,
    SessionClosed,
    SessionExists,
    SessionNotFound,
)
from tests.run import Run
from tests.script import ENDED, answer, collected, data, end, exited, is_well, opened, say
from tests.stage import stage, write_plugin

pytestmark = pytest.mark.edges

# The personality itself.


def test_plugin_that_does_nothing_odd_is_a_plugin_like_others(run: Run) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            await answer(
                host,
                "attach",
                before=[data("$stdout", 0, b"early")],
                after=[
                    data("$stdout", 5, b" late"),
                    data("$stderr", 0, b"oh"),
                    end("$stdout", 10),
                    end("$stderr", 2),
                    exited(totals={"stdout": 10, "stderr": 2}),
                ],
            )
            assert await collected(session) == [
                Output("stdout", 0, b"early"),
                Output("stdout", 5, b" late"),
                Output("stderr", 0, b"oh"),
            ]
            assert (await session.wait()).code == 0

    run(body())


# Answers.


def test_session_refused_because_the_plugin_stops_says_which_plugin(run: Run) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            error = {"name": "rpc.cancelled", "code": 4, "message": "the plugin is stopping"}
            await answer(host, "create", error=error)
            with pytest.raises(CallCancelled) as caught:
                await opened(host)
            assert str(caught.value) == "odd_sessions exec.create: the plugin is stopping"

    run(body())


def test_odd_answers_to_create_are_failures_that_leave_nothing(run: Run) -> None:
    session = {"id": "$session", "handler": "odd_sessions/one"}
    odd: list[Any] = [
        None,
        7,
        "text",
        [],
        {},
        {"session": None},
        {"session": {}},
        {"session": {"id": 5, "handler": "x"}},
        {"session": session | {"state": 7}},
        {"session": session | {"rows": "many"}},
        {"session": session, "stdin_window": "x"},
        {"session": session, "stdin_window": -1},
        {"session": session, "stdin_window": 2**62},
    ]

    async def body() -> None:
        async with stage("odd_sessions") as host:
            for result in odd:
                await answer(host, "create", result=result)
                with pytest.raises(CallFailed) as caught:
                    await opened(host, id="one")
                assert caught.value.name == "rpc.foreign", result
                assert len(str(caught.value)) < 500
            await answer(host, "create")
            assert (await opened(host, id="one")).id == "one"

    run(body())


def test_errors_of_any_shape_are_call_errors(run: Run) -> None:
    odd: list[Any] = [
        1,
        "broken",
        [0, "also"],
        {"name": 5},
        {"message": [1]},
        {"name": "exec.session_closed"},
    ]
    data_: list[Any] = [None, 7, {"session": 7}, {"handlers": 7}]

    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            for error in odd + [{"name": "exec.session_not_found", "data": one} for one in data_]:
                for method in ("create", "get", "attach", "signal", "list"):
                    await answer(host, method, error=error)
                for act in (opened(host), session.get(), session.attach(), session.signal("SIGINT")):
                    with pytest.raises(CallError):
                        await act
                assert await host.sessions() == [session]
            assert await is_well(host)

    run(body())


def test_odd_answers_to_everything_else_are_failures(run: Run) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            odd: list[Any] = [None, 7, "text", [1], {"session": 1}, {"sessions": [1]}, {"handlers": {}}]
            for result in odd:
                for method in ("get", "list", "handlers", "attach"):
                    await answer(host, method, result=result)
                for act in (session.get(), session.attach(), host.exec_handlers("odd_sessions")):
                    with pytest.raises(CallFailed) as caught:
                        await act
                    assert caught.value.name == "rpc.foreign"
                assert await host.sessions() == [session]
            # Of these the answer says nothing but that it is one.
            for method in ("signal", "detach", "close"):
                await answer(host, method, result={"more": "than expected"})
            await session.signal("SIGINT")
            assert await is_well(host)

    run(body())


def test_plugin_that_lists_oddly_keeps_nobody_from_the_sessions_of_others(
    run: Run, tmp_path: Path, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugin_host.exec.proxy._MOST_SESSIONS", 100)
    code = """
        @plugin.exec("shell")
        def shell(ctx, options):
            return sdk.exec.ExecSpec(["cat"])
    """

    async def body() -> None:
        async with stage("odd_sessions", "good", dirs=[write_plugin(tmp_path, "good", code)]) as host:
            bad, good = await opened(host), await host.exec("good", tty=False)
            many = [{"id": f"x{number}", "handler": "odd_sessions/one"} for number in range(101)]
            await answer(host, "list", result={"sessions": many[:60], "more": True})
            assert await host.sessions() == [good, bad]
            await answer(host, "list", error={"name": "rpc.internal", "message": "out of order"})
            assert await host.sessions() == [good, bad]
            assert logged.text.count("does not list its sessions") == 1
            await answer(host, "list", result={"sessions": many[:90]})
            assert len(listed := await host.sessions()) == 91
            # Ever new ones are not kept for ever.
            await answer(host, "list", result={"sessions": many[90:]})
            assert len(await host.sessions()) == len(listed) + 1

    run(body())
    told = "plugin odd_sessions does not list its sessions: odd_sessions lists more than 100 sessions"
    assert logged.text.count(told) == 2


def test_place_of_a_viewer_that_is_none_is_a_failure(run: Run) -> None:
    session = {"id": "$session", "handler": "odd_sessions/one"}
    odd: list[Any] = [
        {"session": session, "stdout": {}},
        {"session": session, "stdout": {}, "stderr": None},
        {"session": session, "stdout": None, "stderr": {}},
        {"session": session, "stdout": {"base": "x"}, "stderr": {}},
        {"session": session, "stdout": {"base": -1}, "stderr": {}},
        {"session": session, "stdout": {"evicted": -1}, "stderr": {}},
    ]

    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            for result in odd:
                await answer(host, "attach", result=result, after=[data("$stderr", 0, b"x")])
                with pytest.raises(CallFailed) as caught:
                    await session.attach()
                assert caught.value.name == "rpc.foreign", result
            assert await is_well(host)

    run(body())


def test_fields_that_nobody_knows_yet_are_ignored(run: Run) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = {"id": "$session", "handler": "odd_sessions/one", "colour": "red", "tty": False}
            await answer(host, "create", result={"session": session, "stdin_window": 5, "more": [1]})
            one = await opened(host)
            await say(host, exited(exit=ENDED | {"mood": "good"}, more=1))
            assert (await one.wait()).code == 0

    run(body())


# The exit.


def test_exit_may_come_before_the_answer_that_opens_the_session(run: Run) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            await answer(host, "create", before=[exited()])
            session = await opened(host)
            assert (await session.wait()).code == 0
            with pytest.raises(SessionClosed):
                await session.write(b"more")

    run(body())


def test_plugin_that_does_not_say_whether_it_keeps_an_ended_session_keeps_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugin_host.exec.session._KEPT_S", 0.05)

    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            await say(host, exited())
            await session.wait()
            for odd in ({"silent": True}, {"result": 7}):
                await answer(host, "get", **odd)
                with pytest.raises(SessionClosed):
                    await session.write(b"more")

    run(body())


def test_id_that_became_anothers_elsewhere_is_found_out_by_its_time(run: Run) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            await say(host, exited())
            await session.wait()
            successor = {"id": session.id, "handler": "odd_sessions/one", "created_at": 1e9}
            await answer(host, "get", result=successor)
            for _ in range(2):
                with pytest.raises(SessionNotFound, match="another's"):
                    await session.write(b"more")
            with pytest.raises(SessionNotFound, match="another's"):
                await session.signal("SIGTERM")

    run(body())


def test_first_exit_counts_and_others_are_ignored(run: Run) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            await say(
                host,
                exited(session="no such session"),
                exited(exit=ENDED | {"code": 3}),
                exited(exit=ENDED | {"code": 4}),
                exited(exit=ENDED | {"code": 5}, totals={"stdout": 100}),
            )
            assert (await session.wait()).code == 3
            await say(host, exited(exit=ENDED | {"code": 6}))
            assert (await session.wait()).code == 3
            assert await is_well(host)

    run(body())


def test_of_an_exit_no_more_is_kept_than_a_person_reads(run: Run) -> None:
    much = "x" * 1_000_000

    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            odd = ENDED | {"code": 3, "reason": much, "error": {"message": much}}
            await say(host, exited(exit=odd, totals={"stdout": 0, "stderr": 0, much: 0}))
            exit = await session.wait()
            assert (exit.code, exit.error) == (3, None)
            assert 1000 < len(exit.reason) < 2000
            # Of those whom nobody knows the last are kept, and their ids have the length of ids.
            before = psutil.Process().memory_info().rss
            for number in range(60):
                await say(host, exited(session=f"s{number}", exit=ENDED | {"reason": much}))
                await say(host, exited(session=f"{number}{much}"))
            assert psutil.Process().memory_info().rss - before < 30_000_000
            assert await is_well(host)

    run(body())


def test_word_of_an_exit_that_cannot_be_read_is_logged_and_nothing_else(
    run: Run, logged: pytest.LogCaptureFixture
) -> None:
    odd: list[Any] = [
        {},
        {"session": "$session"},
        {"session": 5, "exit": ENDED, "totals": {}},
        {"session": "$session", "exit": None, "totals": {}},
        {"session": "$session", "exit": {"code": "x"}, "totals": {}},
        {"session": "$session", "exit": ENDED, "totals": {"stdout": "x"}},
        {"session": "$session", "exit": ENDED, "totals": 5},
    ]

    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            await say(host, *([2, "exec.exited", [one]] for one in odd))
            assert await is_well(host)
            assert session.exit is None
            await say(host, exited())
            assert (await session.wait()).code == 0

    run(body())
    assert logged.text.count("told of an exit oddly") == len(odd)


@pytest.mark.parametrize("totals", [{"stdout": 11, "stderr": 0}, {"stdout": 9, "stderr": 0}, {}])
def test_totals_that_are_not_what_came_are_an_error_and_no_clean_end(run: Run, totals: Any) -> None:
    """Output cannot be lost and the exit look like a success."""

    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            await answer(
                host,
                "attach",
                after=[
                    data("$stdout", 0, b"0123456789"),
                    end("$stdout", 10),
                    end("$stderr", 0),
                    exited(totals=totals),
                ],
            )
            viewer = await session.attach()
            assert await anext(viewer) == Output("stdout", 0, b"0123456789")
            with pytest.raises(RemoteProtocolError, match="output was lost"):
                await anext(viewer)
            assert await is_well(host)

    run(body())


def test_end_with_an_error_that_nobody_asked_for_is_no_clean_end(run: Run) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            error = {"name": "odd.reason", "message": "the disk is full"}
            await answer(host, "attach", after=[data("$stdout", 0, b"half"), end("$stdout", 4, error)])
            viewer = await session.attach()
            assert await anext(viewer) == Output("stdout", 0, b"half")
            with pytest.raises(CallFailed, match="the disk is full"):
                await anext(viewer)
            await viewer.detach()
            await say(host, exited(totals={"stdout": 9, "stderr": 0}))
            assert (await session.wait()).code == 0

    run(body())


def test_viewer_waits_for_the_exit_behind_the_last_byte(run: Run) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            await answer(host, "attach", after=[end("$stdout", 0), end("$stderr", 0)])
            viewer = await session.attach()
            reading = asyncio.ensure_future(anext(viewer))
            assert await is_well(host)
            assert not reading.done()
            await say(host, exited())
            with pytest.raises(StopAsyncIteration):
                await reading

    run(body())


def test_close_that_is_answered_ends_the_waiting_even_without_an_exit(run: Run) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            waiting = asyncio.ensure_future(session.wait())
            await asyncio.sleep(0)
            await session.close()
            exit = await waiting
            assert (exit.code, exit.signal) == (None, None)
            assert "did not say" in exit.reason
            with pytest.raises(SessionNotFound):
                await session.write(b"more")

    run(body())


def test_exit_of_one_that_was_called_off_is_not_taken_for_its_successors(run: Run) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            await answer(host, "create", silent=True)
            await answer(host, "close", silent=True)
            opening = asyncio.ensure_future(opened(host, id="one"))
            await is_well(host)
            opening.cancel()
            await asyncio.wait([opening])
            # Its end is still to come, and until then its id is taken.
            await answer(host, "create")
            with pytest.raises(SessionExists):
                await opened(host, id="one")
            await say(host, exited(session="one"))
            other = await opened(host, id="two")
            assert other.exit is None

    run(body())


# The plugin asks.


def test_plugin_cannot_ask_the_host_for_sessions(run: Run) -> None:
    async def body() -> None:
        async with stage("odd_sessions") as host:
            session = await opened(host)
            await say(host, [0, 77, "exec.create", [{"id": "mine"}]], [2, "exec.created", [{}]])
            assert await is_well(host)
            await answer(host, "get", error={"name": "exec.session_not_found", "message": "forgotten"})
            with pytest.raises(SessionNotFound, match="forgotten"):
                await session.get()

    run(body())
