"""Watching many links with one timer: real sockets, the plugin's end played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

import pytest

from plugin_host.health import Condition, HealthVerdict
from plugin_host.link import Link
from plugin_host.manifest import Health
from plugin_host.vigil import Vigil, Watch
from plugin_host.vitals import Vitals
from plugin_host_sdk.errors import CallFailed
from plugin_host_sdk.events import CancelReceived, RequestReceived
from tests.linked import PluginEnd, initialize, linked
from tests.run import Run
from tests.wait import WaitUntil

# Silence is noticed at once, and the lack of an answer too, unless a test says otherwise.
SOON = Health(interval_s=0.02, timeout_s=0.2, misses=2)
PATIENT = Health(interval_s=0.02, timeout_s=10, misses=2)


class Told:
    """What the vigil told of one plugin."""

    def __init__(self) -> None:
        self.verdicts: list[HealthVerdict] = []
        self.recoveries = 0

    def recovered(self) -> None:
        self.recoveries += 1

    def watch(self, vigil: Vigil, link: Link, policy: Health = SOON) -> Watch:
        return vigil.watch(link, policy, on_unresponsive=self.verdicts.append, on_recovered=self.recovered)


@asynccontextmanager
async def plugin(*features: Any, raw: bool = False) -> AsyncIterator[tuple[Link, PluginEnd]]:
    """A link to a plugin that named these features."""
    async with linked(ready=False, raw=raw) as (link, end, _):
        if not raw:
            await initialize(link, end, {"features": list(features)})
        yield link, end


@contextmanager
def answering(ends: Iterable[PluginEnd], answer: Any = None, *, unless: str = "") -> Iterator[list[str]]:
    """Have the plugins' ends answer every question but one; the methods that were asked for."""
    loop, asked = asyncio.get_running_loop(), list[str]()

    def answer_one(end: PluginEnd) -> None:
        for event in end.connection.receive_data(end.socket.recv(65536)):
            if isinstance(event, RequestReceived):
                asked.append(event.method)
                if event.method == unless:
                    continue
                end.socket.send(end.connection.send_response(event.msgid, answer))

    ends = list(ends)
    for end in ends:
        loop.add_reader(end.socket, answer_one, end)
    yield asked
    for end in ends:
        loop.remove_reader(end.socket)


@pytest.mark.parametrize(
    ("features", "question"),
    [
        (["stacks", "vitals"], "vitals"),
        (["stacks"], "ping"),
        ([], "ping"),
        ([5, None, ["vitals"]], "ping"),
    ],
    ids=repr,
)
def test_silent_plugin_is_asked_what_it_can_answer(run: Run, features: list[Any], question: str) -> None:
    async def body() -> None:
        async with plugin(*features) as (link, end):
            vigil = Vigil()
            Told().watch(vigil, link, PATIENT)
            event = await end.expect(RequestReceived)
            assert event.method == question
            vigil.close()

    run(body())


def test_features_that_are_no_list_are_none(run: Run) -> None:
    async def body() -> None:
        async with linked(ready=False) as (link, end, _):
            assert link.features == frozenset()
            await initialize(link, end, {"features": "vitals"})
            assert link.features == frozenset()

    run(body())


def test_features_are_looked_at_once(run: Run) -> None:
    async def body() -> None:
        async with linked(ready=False) as (link, end, _):
            await initialize(link, end, {"features": ["vitals", 1, None, *map(str, range(1000))]})
            assert link.features == {"vitals", *map(str, range(1000))}
            assert link.features is link.features

    run(body())


def test_raw_peer_is_never_asked(run: Run) -> None:
    async def body() -> None:
        async with plugin(raw=True) as (link, end), plugin() as (other, other_end):
            vigil = Vigil()
            watch = Told().watch(vigil, link, PATIENT)
            Told().watch(vigil, other, PATIENT)
            for _ in range(5):
                event = await other_end.expect(RequestReceived)
                await other_end.answer(event.msgid)
            assert link.in_flight == 0
            with pytest.raises(BlockingIOError):
                end.socket.recv(1)
            watch.close()
            vigil.close()

    run(body())


def test_vitals_that_come_are_kept_and_nothing_is_told(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with plugin("vitals") as (link, end):
            vigil, told = Vigil(), Told()
            watch = told.watch(vigil, link, PATIENT)
            with answering([end], {"running": 1, "oldest": "nap"}):
                await wait_until.aio(lambda: watch.vitals == Vitals(running=1, oldest="nap"))
            assert watch.condition is Condition.WELL
            assert (told.verdicts, told.recoveries) == ([], 0)
            vigil.close()

    run(body())


def test_plugin_that_talks_is_not_asked(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with plugin("vitals") as (link, end):
            vigil = Vigil()
            watch = Told().watch(vigil, link, Health(interval_s=1000))
            for _ in range(10):
                await end.send(end.connection.send_notification("log", {"level": "info"}))
                await wait_until.aio(lambda: link.has_heard)
                watch.wake(watch.due)
                assert not watch.is_asking
            watch.wake(watch.due)
            assert watch.is_asking
            vigil.close()

    run(body())


def test_call_that_does_not_end_is_asked_about_although_the_plugin_talks(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with plugin("vitals") as (link, end):
            vigil = Vigil()
            watch = Told().watch(vigil, link, PATIENT)
            _, waiting = link.request("command.call", {})

            async def talk_until_asked() -> bool:
                await end.send(end.connection.send_notification("log", {"level": "info"}))
                return watch.is_asking

            await wait_until.aio(talk_until_asked)
            vigil.close()
            waiting.cancel()

    run(body())


def test_silence_becomes_a_verdict_and_an_answer_recovery(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with plugin("vitals") as (link, end):
            vigil, told = Vigil(), Told()
            watch = told.watch(vigil, link)
            event = await end.expect(RequestReceived)
            await wait_until.aio(lambda: told.verdicts)
            (verdict,) = told.verdicts
            assert (verdict.cause, verdict.misses) == ("silent", 2)
            assert verdict.seconds > 0.2
            conditions = [watch.condition]
            assert link.in_flight == 1  # the one question, however long it takes
            await end.answer(event.msgid)
            await wait_until.aio(lambda: told.recoveries == 1)
            conditions.append(watch.condition)
            assert conditions == [Condition.UNRESPONSIVE, Condition.WELL]
            vigil.close()

    run(body())


def test_refusal_is_a_sign_of_life(run: Run) -> None:
    async def body() -> None:
        async with plugin("vitals") as (link, end):
            vigil, told = Vigil(), Told()
            watch = told.watch(vigil, link, PATIENT)
            event = await end.expect(RequestReceived)
            error = CallFailed("no", name="rpc.method_not_found").to_map()
            await end.send(end.connection.send_error(event.msgid, error))
            await end.expect(RequestReceived)  # the next question: the one before has its answer
            assert watch.condition is Condition.WELL
            vigil.close()

    run(body())


def test_blocked_loop_becomes_a_verdict(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with plugin("vitals") as (link, end):
            vigil, told = Vigil(), Told()
            told.watch(vigil, link, PATIENT)
            with answering([end], {"loop_ms": 20_000}):
                await wait_until.aio(lambda: told.verdicts)
            assert told.verdicts[0].describe() == "its event loop has not come round for 20.0 s"
            vigil.close()

    run(body())


def test_calls_that_stand_still_are_told_although_the_plugin_talks_and_its_callers_give_up(
    run: Run, wait_until: WaitUntil
) -> None:
    """Each caller is gone at the next look, what waited is answered, and what runs never is."""

    async def body() -> None:
        async with plugin("vitals") as (link, end):
            vigil, told = Vigil(), Told()
            watch = told.watch(vigil, link, Health(interval_s=1000, timeout_s=0.001, misses=2))
            finished, asked = 5, 0

            async def look() -> None:
                nonlocal asked
                msgid, call = link.request("command.call", {})
                await end.expect(RequestReceived)
                link.abandon(msgid)
                call.cancel()
                await end.send(end.connection.send_notification("log", {"level": "info"}))
                await wait_until.aio(lambda: link.has_heard)
                watch.wake(watch.due)
                if not watch.is_asking:
                    return
                asked += 1
                question = await end.expect(RequestReceived)
                assert question.method == "vitals"
                await end.answer(question.msgid, {"running": 2, "waiting": 3, "finished": finished})
                await wait_until.aio(lambda: not watch.is_asking)

            while not told.verdicts:
                await look()
            assert asked == 3
            (verdict,) = told.verdicts
            assert (verdict.cause, verdict.misses) == ("stalled", 2)
            assert (watch.condition, told.recoveries) == (Condition.STALLED, 0)
            finished = 6
            await look()
            assert (watch.condition, told.recoveries) == (Condition.WELL, 1)
            vigil.close()

    run(body())


def test_closed_watch_takes_its_question_back_and_tells_nothing(run: Run) -> None:
    async def body() -> None:
        async with plugin("vitals") as (link, end):
            vigil, told = Vigil(), Told()
            watch = told.watch(vigil, link)
            event = await end.expect(RequestReceived)
            watch.close()
            watch.close()
            assert link.in_flight == 0
            assert await end.expect(CancelReceived) == CancelReceived(event.msgid)
            assert vigil._timer is None
            assert vigil.asking == 0
            assert told.verdicts == []

    run(body())


def test_end_of_the_link_ends_the_watch(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with plugin("vitals") as (link, end):
            vigil, told = Vigil(), Told()
            told.watch(vigil, link)
            await end.expect(RequestReceived)
            end.socket.shutdown(2)
            await wait_until.aio(lambda: link.is_over)
            link.fail_calls(lambda: CallFailed("it died", name="command.connection"))
            await wait_until.aio(lambda: vigil._timer is None)
            assert told.verdicts == []

    run(body())


def test_link_that_is_over_before_a_look_is_not_watched_on(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with plugin("vitals") as (link, end):
            vigil, told = Vigil(), Told()
            told.watch(vigil, link)
            end.socket.shutdown(2)
            await wait_until.aio(lambda: vigil._timer is None)
            assert link.is_over
            assert told.verdicts == []

    run(body())


def test_who_raises_when_told_harms_no_other_watch(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        met: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: met.append(context))
        async with plugin() as (bad, _), plugin() as (good, _):
            vigil, told = Vigil(), Told()

            def fail(_: HealthVerdict) -> None:
                raise LookupError("no such thing")

            vigil.watch(bad, SOON, on_unresponsive=fail, on_recovered=told.recovered)
            told.watch(vigil, good)
            await wait_until.aio(lambda: told.verdicts)
            assert [type(context["exception"]) for context in met] == [LookupError]
            vigil.close()

    run(body())


def test_plugin_with_its_hands_full_of_calls_is_asked_later(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with plugin("vitals") as (link, _):
            vigil = Vigil()
            watch = Told().watch(vigil, link)
            monkeypatch.setattr("plugin_host.asker.PENDING_REQUESTS", 0)
            due = watch.due
            watch.wake(due)
            watch.wake(watch.due)
            assert not watch.is_asking
            assert watch.due > due
            vigil.close()

    run(body())


# The timer.


def test_hundred_plugins_are_looked_at_in_as_few_turns_as_one(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with AsyncExitStack() as links:
            vigil = Vigil()
            loop = asyncio.get_running_loop()
            fired: list[float] = []
            fire = vigil._fire
            vigil._fire = lambda: (fired.append(loop.time()), fire())  # type: ignore[assignment, method-assign, func-returns-value]
            both = [await links.enter_async_context(plugin("vitals")) for _ in range(100)]
            policy = Health(interval_s=0.5, timeout_s=30)
            watches = [Told().watch(vigil, link, policy) for link, _ in both]
            assert len({watch.due for watch in watches}) <= 2
            with answering(end for _, end in both) as asked:
                await wait_until.aio(lambda: len(asked) >= 200)
            # A hundred questions are two turns of the loop; the first look asks nothing, and that between.
            assert len(fired) <= 2 * 4
            vigil.close()

    run(body())


def test_idle_plugin_is_left_in_peace_until_something_is_sent_to_it(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with plugin("vitals") as (link, end):
            vigil = Vigil()
            watch = Told().watch(vigil, link, Health(interval_s=1000, timeout_s=2, misses=2))

            async def asks() -> bool:
                """At the next look; it is answered."""
                watch.wake(watch.due)
                is_asking = watch.is_asking
                await wait_until.aio(lambda: not watch.is_asking)
                return is_asking

            with answering([end]):
                assert [await asks() for _ in range(8)] == [
                    False,
                    True,
                    False,
                    True,
                    False,
                    False,
                    False,
                    True,
                ]
                await link.request("work", {})[1]
                assert [look for look in range(4) if await asks()] == [1, 3]
            vigil.close()

    run(body())


def test_idle_plugin_that_still_serves_a_call_that_was_given_up_is_left_in_peace(
    run: Run, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with plugin("vitals") as (link, end):
            vigil = Vigil()
            watch = Told().watch(vigil, link, Health(interval_s=1000, timeout_s=2, misses=2))
            msgid, call = link.request("work", {})
            link.abandon(msgid)
            call.cancel()
            asked = []
            with answering([end], {"running": 1, "waiting": 0, "finished": 0}, unless="work"):
                for _ in range(8):
                    watch.wake(watch.due)
                    asked.append(watch.is_asking)
                    await wait_until.aio(lambda: not watch.is_asking)
            assert link.connection.abandoned == {msgid}
            assert asked == [True, False, True, False, False, False, True, False]
            vigil.close()

    run(body())


def test_timer_sleeps_until_the_next_look_when_all_have_answered(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with plugin() as (link, end), plugin() as (other, _):
            vigil = Vigil()
            far = Health(interval_s=1000, timeout_s=1)
            # Long enough to be seen between two questions.
            watch = Told().watch(vigil, link, Health(interval_s=0.5, timeout_s=10))
            distant = Told().watch(vigil, other, far)
            event = await end.expect(RequestReceived)
            assert vigil._timer is not None
            before = vigil._when
            await end.answer(event.msgid)
            await wait_until.aio(lambda: not watch.is_asking)
            assert vigil._when < before
            watch.close()
            assert vigil._timer is not None
            distant.close()
            assert vigil._timer is None

    run(body())


def test_every_sign_of_life_that_does_not_come_is_told(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with plugin() as (link, _):
            vigil, told, missed = Vigil(), Told(), list[int]()
            vigil.watch(
                link,
                SOON,
                on_unresponsive=told.verdicts.append,
                on_recovered=told.recovered,
                on_miss=lambda: missed.append(len(told.verdicts)),
            )
            await wait_until.aio(lambda: told.verdicts)
            assert missed[:2] == [0, 0]
            vigil.close()

    run(body())
