"""Asking a guest: which poll gets what, how often it is tried, and what a reply has to be."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import pytest

from plugin_host.errors import (
    CallFailed,
    CallTimeout,
    FileAccessDenied,
    InvalidPayload,
    NoSuchEndPoint,
)
from plugin_host.guest import GuestTimes
from tests.guest.place import Place, partly, serving
from tests.run import Run

JSON = {"Content_Type": "application/json"}
NONE_KEYS = {"id", "type", "path", "command", "tty"}


async def replied(place: Place, action: str, body: bytes = b"", **headers: str) -> int:
    return (await place.ask("POST", f"reply?id={action}", body, **headers)).status


# Polls.


def test_idle_poll_is_held_and_then_answered_by_none(run: Run) -> None:
    async def body() -> None:
        async with serving(times=GuestTimes(poll=0.05)) as place:
            began = time.monotonic()
            action = await place.poll()
            assert time.monotonic() - began >= 0.05
            assert set(action) == NONE_KEYS
            assert (action["type"], action["path"], action["command"], action["tty"]) == (
                "none",
                "",
                None,
                False,
            )
            assert action["id"]
            assert (await place.poll())["id"] != action["id"]

    run(body())


def test_held_poll_is_answered_at_once(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            polling = asyncio.create_task(place.poll())
            await asyncio.sleep(0.02)
            asked = asyncio.create_task(place.task.kill())
            action = await polling
            assert action["type"] == "kill-process"
            assert await asked == "remembered"

    run(body())


def test_several_polls_share_the_work(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            polls = [asyncio.create_task(place.poll()) for _ in range(3)]
            await asyncio.sleep(0.02)
            asked = [asyncio.create_task(place.task.list_folder(f"/{number}")) for number in range(3)]
            actions = [await poll for poll in polls]
            assert sorted(action["path"] for action in actions) == ["/0", "/1", "/2"]
            for action in actions:
                told = b'{"files":["%s/x"],"notFound":false}' % action["path"].encode()
                assert await replied(place, action["id"], told, **JSON) == 200
            assert [(await one)[0].path for one in asked] == ["/0/x", "/1/x", "/2/x"]

    run(body())


@pytest.mark.parametrize("how", ["closed", "broken"])
def test_guest_lost_in_its_poll_swallows_nothing(run: Run, how: str) -> None:
    async def body() -> None:
        async with serving() as place:
            lost = await place.line()
            lost.send("GET", "poll")
            await lost.writer.drain()
            await asyncio.sleep(0.02)
            if how == "closed":
                await lost.close()
            else:
                lost.abort()
            # Nothing has run since: the host cannot know yet.
            asked = asyncio.create_task(place.task.list_folder("/x"))
            began = time.monotonic()
            action = await place.poll()
            assert time.monotonic() - began < 5
            assert await replied(place, action["id"], b'{"files":[]}', **JSON) == 200
            assert await asked == []

    run(body())


def test_guest_lost_with_its_answer_unread_swallows_nothing(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            lost = await place.line()
            lost.send("GET", "poll")
            await asyncio.sleep(0.02)
            lost.reader._transport.pause_reading()  # type: ignore[attr-defined]
            asked = asyncio.create_task(place.task.list_folder("/x"))
            await asyncio.sleep(0.02)  # it is written, and lies in the kernel
            lost.abort()
            action = await place.poll()
            assert await replied(place, action["id"], b'{"files":[]}', **JSON) == 200
            assert await asked == []

    run(body())


def test_guest_that_closes_each_poll_gets_each_action_once(run: Run) -> None:
    async def body() -> None:
        async with serving(times=GuestTimes(poll=0.1)) as place:
            asked = asyncio.create_task(place.task.list_folder("/x"))
            action = await place.poll()
            assert (await place.poll())["type"] == "none"
            assert await replied(place, action["id"], b'{"files":[]}', **JSON) == 200
            await asked

    run(body())


# Time.


def test_silent_guest_costs_its_tries_and_no_more(run: Run) -> None:
    async def body() -> None:
        async with serving(times=GuestTimes(take=0.03, reply=0.03)) as place:
            with pytest.raises(
                CallTimeout, match=r"list-folder: the guest did not poll for 0\.03 s"
            ) as caught:
                await place.task.list_folder("/x")
            assert caught.value.retryable
            with pytest.raises(CallTimeout, match="exec-shell"):
                await place.task.open_shell()

    run(body())


def test_action_without_a_reply_is_asked_for_again_under_another_id(run: Run) -> None:
    async def body() -> None:
        async with serving(times=GuestTimes(reply=0.5)) as place:
            asked = asyncio.create_task(place.task.list_folder("/x"))
            first, second = [await place.poll() for _ in range(2)]
            assert first["id"] != second["id"]
            assert await replied(place, first["id"], b'{"files":[]}', **JSON) == 400
            assert await replied(place, second["id"], b'{"files":["/x/y"]}', **JSON) == 200
            assert len(await asked) == 1

    run(body())


def test_shell_is_tried_once(run: Run) -> None:
    async def body() -> None:
        async with serving(times=GuestTimes(reply=0.05)) as place:
            opening = asyncio.create_task(place.task.open_shell())
            await place.poll()
            with pytest.raises(CallTimeout, match="exec-shell: the guest took it, and did not answer"):
                await opening

    run(body())


def test_reply_that_has_begun_is_waited_for(run: Run) -> None:
    async def body() -> None:
        async with serving(times=GuestTimes(reply=0.5)) as place:
            asked = asyncio.create_task(place.task.list_folder("/x"))
            action = await place.poll()
            line = await place.line()
            line.begin("POST", f"reply?id={action['id']}", Content_Length="12", **JSON)
            await asyncio.sleep(0.6)
            assert not asked.done()
            line.writer.write(b'{"files":[]}')
            assert (await line.answer()).status == 200
            assert await asked == []

    run(body())


def test_reply_that_stops_is_given_up_and_another_taken(run: Run) -> None:
    async def body() -> None:
        async with serving(times=GuestTimes(stall=0.3)) as place:
            asked = asyncio.create_task(place.task.list_folder("/x"))
            action = await place.poll()
            line = await place.line()
            line.begin("POST", f"reply?id={action['id']}", Content_Length="12", **JSON)
            line.writer.write(b"{")
            answer = await line.answer()
            assert (answer.status, answer.code) == (400, "InvalidPayload")
            assert await replied(place, action["id"], b'{"files":[]}', **JSON) == 200
            assert await asked == []

    run(body())


# Replies.


@pytest.mark.parametrize(
    ("method", "body", "headers", "status"),
    [
        ("PUT", b'{"files":[]}', JSON, 405),
        ("GET", None, JSON, 405),
        ("POST", b'{"files":[]}', {"Content_Type": "text/plain"}, 400),
        ("POST", b'{"files":[]}', {}, 400),
        ("POST", b"no json", JSON, 400),
        ("POST", b"[]", JSON, 400),
    ],
)
def test_wrong_reply_costs_nothing_but_itself(
    run: Run, method: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    async def conversation() -> None:
        async with serving() as place:
            asked = asyncio.create_task(place.task.list_folder("/x"))
            action = await place.poll()
            answer = await place.ask(method, f"reply?id={action['id']}", body, **headers)
            assert answer.status == status
            assert answer.code in ("MethodNotAllowed", "InvalidPayload")
            assert not asked.done()
            assert await replied(place, action["id"], b'{"files":["/x/y"]}', **JSON) == 200
            assert len(await asked) == 1
            assert await replied(place, action["id"], b'{"files":[]}', **JSON) == 400

    run(conversation())


def test_list_is_read_up_to_its_limit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_host.guest.worker.LIST_BYTES", 1000)

    async def body() -> None:
        async with serving() as place:
            asked = asyncio.create_task(place.task.list_folder("/x"))
            action = await place.poll()
            fits = b'{"files":["%s"]}' % (b"/x/" + b"x" * 981)
            assert len(fits) == 998
            answer = await place.ask("POST", f"reply?id={action['id']}", fits + b"   ", **JSON)
            assert (answer.status, answer.code) == (400, "InvalidPayload")
            assert await replied(place, action["id"], fits + b"  ", **JSON) == 200
            assert len(await asked) == 1

    run(body())


def test_long_list_holds_up_nobody(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            asked = asyncio.create_task(place.task.list_folder("/x"))
            action = await place.poll()
            told = json.dumps({"files": [f"/x/{number}" for number in range(50_000)]}).encode()
            assert await replied(place, action["id"], told, **JSON) == 200
            assert len(await asked) == 50_000

    run(body())


@pytest.mark.parametrize("kind", ["get-artifact", "list-folder", "kill-process", "exec-shell"])
def test_guest_that_does_not_know_an_action_says_so_at_once(run: Run, kind: str) -> None:
    async def body() -> None:
        async with serving() as place:
            await place.ask("GET", "execute")
            asks: dict[str, Callable[[str], Awaitable[object]]] = {
                "get-artifact": place.task.get_artifact,
                "list-folder": place.task.list_folder,
                "kill-process": lambda _: place.task.kill(),
                "exec-shell": lambda _: place.task.open_shell(),
            }
            asked = asyncio.ensure_future(asks[kind]("/x"))
            action = await place.poll()
            assert action["type"] == kind
            assert await replied(place, action["id"], X_Taskcluster_Worker_Error="not-supported") == 200
            with pytest.raises(NoSuchEndPoint, match=kind):
                await asked

    run(body())


def test_errors_of_files_are_told_apart(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            asked = asyncio.create_task(place.task.get_artifact("/root/secret"))
            action = await place.poll()
            assert await replied(place, action["id"], X_Taskcluster_Worker_Error="permission-denied") == 200
            with pytest.raises(FileAccessDenied) as caught:
                await asked
            assert caught.value.path == "/root/secret"

    run(body())


def test_paths_are_unicode(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            with pytest.raises(InvalidPayload, match="Unicode"):
                await place.task.get_artifact(b"/caf\xe9")
            asked = asyncio.create_task(place.task.get_artifact("/café"))
            assert (await place.poll())["path"] == "/café"
            asked.cancel()

    run(body())


def test_closed_task_ends_what_is_asked_and_read(run: Run) -> None:
    async def body() -> None:
        async with serving(times=GuestTimes(poll=0.05, close=0.1)) as place:
            await place.ask("PUT", "success")
            asked = asyncio.create_task(place.task.get_artifact("/x"))
            action = await place.poll()
            line = await partly(place, action["id"], b"hello ", 11)
            artifact = await asked
            listing = asyncio.create_task(place.task.list_folder("/x"))
            await asyncio.sleep(0.01)
            await place.task.close()
            with pytest.raises(CallFailed, match="the task is closed"):
                await listing
            assert await artifact.read(100) == b"hello "
            with pytest.raises(CallFailed, match="the task is closed"):
                await artifact.read(100)
            assert (await place.poll())["type"] == "none"
            line.abort()

    run(body())


def test_asking_can_be_given_up(run: Run) -> None:
    async def body() -> None:
        async with serving(times=GuestTimes(poll=0.05)) as place:
            for ask in (place.task.list_folder, place.task.get_artifact):
                asked = asyncio.create_task(ask("/x"))
                action = await place.poll()
                asked.cancel()
                await asyncio.wait([asked])
                assert await replied(place, action["id"], b'{"files":[]}', **JSON) == 400
            assert (await place.poll())["type"] == "none"

    run(body())
