"""The routes: what each takes and answers, whom they answer, and how a task ends over them."""

from __future__ import annotations

import asyncio
import grp
import os
import signal
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from plugin_host import localsocket
from plugin_host.errors import ConfigurationError, ResourceConflict, SocketInUse, TaskLost
from plugin_host.guest import GuestServer
from plugin_host.guest.report import TaskReport
from plugin_host.task.task import Task
from tests.guest.place import TIMES, Place, offered, serving
from tests.run import Run
from tests.wait import WaitUntil


@pytest.mark.parametrize(
    ("method", "route", "status", "code"),
    [
        ("POST", "execute", 405, "MethodNotAllowed"),
        ("GET", "log", 405, "MethodNotAllowed"),
        ("POST", "success", 405, "MethodNotAllowed"),
        ("GET", "failed", 405, "MethodNotAllowed"),
        ("PUT", "poll", 405, "MethodNotAllowed"),
        ("DELETE", "ping", 405, "MethodNotAllowed"),
        ("GET", "nothing", 404, "NoSuchEndPoint"),
        ("GET", "poll/", 404, "NoSuchEndPoint"),
        ("GET", "/engine/v1/", 404, "NoSuchEndPoint"),
        ("GET", "/execute", 404, "NoSuchEndPoint"),
        ("GET", "/", 404, "NoSuchEndPoint"),
        ("GET", "/reply?id=1", 404, "NoSuchEndPoint"),
        ("POST", "reply", 400, "UnknownActionId"),
        ("POST", "reply?id=unknown", 400, "UnknownActionId"),
        ("GET", "reply?id=unknown", 400, "UnknownActionId"),
    ],
)
def test_requests_that_are_wrong_are_told_why(
    run: Run, method: str, route: str, status: int, code: str
) -> None:
    async def body() -> None:
        async with serving() as place:
            answer = await place.ask(method, route)
            assert (answer.status, answer.code) == (status, code)

    run(body())


def test_connection_is_kept_and_ping_says_nothing(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            line = await place.line()
            for route in ("ping", "unknown", "ping"):
                line.send("GET", route)
            answers = [await line.answer() for _ in range(3)]
            assert [answer.status for answer in answers] == [200, 404, 200]
            assert answers[0].headers == {"content-length": "0"}

    run(body())


def test_fault_of_the_host_has_an_incident(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(report: TaskReport) -> bytes:
        raise OSError("the disk is full")

    monkeypatch.setattr(TaskReport, "order", fail)

    async def body() -> None:
        async with serving() as place:
            answer = await place.ask("GET", "execute")
            assert (answer.status, answer.code) == (500, "InternalError")
            assert "incident" in answer.json["message"]
            assert "disk" not in answer.json["message"]

    run(body())


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_log_whose_sink_fails_is_a_fault_of_the_host(
    run: Run, monkeypatch: pytest.MonkeyPatch, framing: str
) -> None:
    async def fail(task: Task, data: bytes) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Task, "feed", fail)

    async def body() -> None:
        async with serving() as place:
            log = await place.line()
            if framing == "length":
                log.send("POST", "log", b"some")
            else:
                log.begin("POST", "log", Transfer_Encoding="chunked")
                log.chunk(b"some")  # and the end of it does not come
            answer = await log.answer()
            assert (answer.status, answer.code) == (500, "InternalError")
            assert "incident" in answer.json["message"]
            assert "disk" not in answer.json["message"]
            assert (await place.ask("PUT", "failed")).status == 200  # nothing waits for that log
            assert (await place.task.result()).success is False

    run(body())


# The task.


def test_guest_fetches_its_command_as_often_as_it_likes(run: Run) -> None:
    async def body() -> None:
        async with serving("make", env={"A": "ä"}) as place:
            first, second = [await place.ask("GET", "execute") for _ in range(2)]
            assert first.body == second.body == '{"env":{"A":"ä"},"command":["make"]}'.encode()

    run(body())


def test_failure_says_how_when_the_guest_knows(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            wrong = await place.ask("PUT", "failed", b'{"code": "x"}', Content_Type="application/json")
            assert (wrong.status, wrong.code) == (400, "InvalidPayload")
            told = b'{"signal": "SIGKILL", "reason": "out of memory"}'
            answer = await place.ask("PUT", "failed", told, Content_Type="application/json")
            assert answer.status == 200
            result = await place.task.result()
            assert (result.success, result.signal, result.reason) == (False, "SIGKILL", "out of memory")
            # The first guests repeat it without a word, and may.
            assert (await place.ask("PUT", "failed")).status == 200
            assert (await place.ask("PUT", "success")).status == 409
            assert (await place.task.result()).signal == "SIGKILL"

    run(body())


@pytest.mark.parametrize("given", ["application/json; charset=utf-8", "Application/JSON;charset=UTF-8"])
def test_result_in_json_is_read_whatever_the_parameters_of_its_type(run: Run, given: str) -> None:
    async def body() -> None:
        async with serving() as place:
            answer = await place.ask("PUT", "failed", b'{"code":3}', Content_Type=given)
            assert (answer.status, (await place.task.result()).code) == (200, 3)

    run(body())


def test_two_results_at_once_are_one_and_a_conflict(run: Run) -> None:
    async def body() -> None:
        for _ in range(5):
            async with serving() as place:
                routes = ["success", "failed"] * 4
                answers = await asyncio.gather(*(place.ask("PUT", route) for route in routes))
                first = (await place.task.result()).success
                for route, answer in zip(routes, answers, strict=True):
                    assert answer.status == (200 if (route == "success") is first else 409)

    run(body())


def test_result_waits_for_logs_that_are_on_the_way(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with serving() as place:
            log = await place.line()
            log.begin("POST", "log", Transfer_Encoding="chunked")
            log.chunk(b"first ")
            await wait_until.aio(lambda: place.task.info.log_bytes == 6)
            concluding = asyncio.create_task(place.ask("PUT", "success"))
            await asyncio.sleep(0.02)
            assert place.task.state == "offered"
            log.chunk(b"last")
            log.chunk(b"")
            assert (await log.answer()).status == 200
            assert (await concluding).status == 200
            assert b"".join([data async for data in place.task.log()]) == b"first last"
            late = await place.ask("POST", "log", b"later")
            assert (late.status, late.code) == (409, "ResourceConflict")

    run(body())


def test_log_is_live(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with serving() as place:
            log = await place.line()
            log.begin("POST", "log", Transfer_Encoding="chunked")
            reader = place.task.log()
            for word in (b"one", b"two"):  # the next is not written before the last was seen
                log.chunk(word)
                assert await anext(reader) == word
            log.chunk(b"")
            assert (await log.answer()).status == 200
            reader.close()

    run(body())


def test_log_goes_as_fast_as_it_is_read(run: Run, wait_until: WaitUntil) -> None:
    size = 16 * 1024 * 1024

    async def body() -> None:
        async with serving() as place:
            reader = place.task.log()
            log = await place.line()
            log.begin("POST", "log", Content_Length=str(size))

            async def send() -> None:
                for _ in range(size // 65536):
                    log.writer.write(bytes(65536))
                    await log.writer.drain()

            sending = asyncio.create_task(send())
            await wait_until.aio(lambda: place.task.info.log_bytes >= 1_000_000)
            await asyncio.sleep(0.05)
            assert place.task.info.log_bytes < 4_000_000
            assert not sending.done()
            seen = 0
            async for data in reader:
                seen += len(data)
                if seen == size:
                    break
            reader.close()
            await sending
            assert (await log.answer()).status == 200

    run(body())


def test_task_that_was_killed_before_the_guest_came_is_not_run(run: Run) -> None:
    async def body() -> None:
        task = offered("make")
        await task.kill()
        with pytest.raises(ResourceConflict):
            await GuestServer(task).start()
        async with serving() as place:
            assert await place.task.kill() == "remembered"
            action = await place.poll()
            assert action["type"] == "kill-process"
            assert (await place.ask("POST", f"reply?id={action['id']}", b"")).status == 200
            # It hears it again when it fetches what it is to run, in case it was another that heard it.
            assert (await place.ask("GET", "execute")).status == 200
            assert (await place.poll())["type"] == "kill-process"
            assert (await place.ask("PUT", "failed")).status == 200
            assert await place.task.kill() == "ended"
            gone = await place.ask("GET", "execute")
            assert (gone.status, gone.code) == (409, "ResourceConflict")

    run(body())


# Who is answered.


def test_guests_are_told_apart_by_their_addresses(run: Run) -> None:
    async def body() -> None:
        first, second = offered("first"), offered("second")
        async with GuestServer(times=TIMES) as server:
            server.assign("127.0.0.0/30", first)
            server.assign("127.0.0.9", None)
            server.assign("127.0.1.1", second)
            with pytest.raises(ValueError, match="another guest's"):
                server.assign("127.0.1.1", offered())
            assert await fetched(server, "127.0.0.1") == (200, '{"env":{},"command":["first"]}')
            assert await fetched(server, "127.0.0.2") == (200, '{"env":{},"command":["first"]}')
            assert await fetched(server, "127.0.1.1") == (200, '{"env":{},"command":["second"]}')
            assert (await fetched(server, "127.0.0.9"))[0] == 404
            assert (await fetched(server, "127.0.2.1"))[0] == 403
            await server.withdraw("127.0.0.0/30", "its machine crashed")
            assert (await fetched(server, "127.0.0.1"))[0] == 403
            with pytest.raises(TaskLost, match="its machine crashed"):
                await first.result()
            assert second.state == "running"
        with pytest.raises(TaskLost, match="was closed"):
            await second.result()

    run(body())


async def fetched(server: GuestServer, source: str) -> tuple[int, str]:
    """What a guest at an address of this machine is told to run."""
    streams = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(source, 0))
    streams[1].write(b"GET /engine/v1/execute HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    answer = (await streams[0].read()).decode()
    streams[1].close()
    await streams[1].wait_closed()
    head, _, text = answer.partition("\r\n\r\n")
    return int(head.split()[1]), text


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Sec_Fetch_Site": "cross-site"}],
)
def test_pages_are_refused_and_take_nothing(run: Run, headers: dict[str, str]) -> None:
    async def body() -> None:
        async with serving() as place:
            asked = asyncio.create_task(place.task.list_folder("/x"))
            for method, route in (("GET", "poll"), ("GET", "execute"), ("PUT", "failed"), ("POST", "log")):
                assert (await place.ask(method, route, None, **headers)).status == 403
            assert place.task.state == "offered"
            assert (await place.poll())["type"] == "list-folder"
            asked.cancel()

    run(body())


def test_page_opens_no_shell(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            opening = asyncio.create_task(place.task.open_shell(tty=False))
            action = await place.poll()
            route = f"reply?id={action['id']}"
            assert (
                await place.ask("GET", route, None, **upgrade(Origin="http://evil.example"))
            ).status == 403
            # It is there for the guest still.
            async with place.websocket(route) as guest:
                await opening
                await guest.send(b"\x05\x00")

    run(body())


def upgrade(**headers: str) -> dict[str, str]:
    return headers | {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }


@pytest.mark.parametrize(
    ("route", "status", "code"),
    [
        ("poll", 400, "InvalidPayload"),
        ("nothing", 404, "NoSuchEndPoint"),
        ("reply?id=unknown", 400, "UnknownActionId"),
    ],
)
def test_nothing_else_is_upgraded(run: Run, route: str, status: int, code: str) -> None:
    async def body() -> None:
        async with serving() as place:
            answer = await place.ask("GET", route, None, **upgrade())
            assert (answer.status, answer.code) == (status, code)

    run(body())


# Where it listens.


def test_unix_socket_is_the_users_own_and_goes_with_the_server(run: Run, sockets: str) -> None:
    path = f"{sockets}/guest-{os.getpid()}.sock"

    async def body() -> None:
        async with serving("make", path=path) as place:
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            assert (await place.ask("GET", "execute")).json["command"] == ["make"]
            asked = asyncio.create_task(place.task.list_folder("/x"))
            action = await place.poll()
            line = await place.line()
            line.send(
                "POST", f"reply?id={action['id']}", b'{"files":["/x/a"]}', Content_Type="application/json"
            )
            assert (await line.answer()).status == 200
            assert len(await asked) == 1
            with pytest.raises(SocketInUse):
                await GuestServer(offered(), path=path).start()

    run(body())
    assert not os.path.exists(path)


def test_address_that_is_taken_is_told_and_costs_no_task(run: Run) -> None:
    async def body() -> None:
        task = offered()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ConfigurationError, match=f"port {port}"):
                await GuestServer(task, port=port).start()
        async with GuestServer(task) as server:
            assert server.url == f"http://127.0.0.1:{server.port}"

    run(body())


def test_addresses_that_others_reach_must_be_wanted() -> None:
    with pytest.raises(ValueError, match="no loopback address"):
        GuestServer(offered(), host="0.0.0.0")
    GuestServer(offered(), host="169.254.169.254", loopback_only=False)
    with pytest.raises(ValueError, match="not both"):
        GuestServer(offered(), host="127.0.0.1", path="/tmp/x")
    with pytest.raises(ValueError, match="one guest"):
        GuestServer(path="/tmp/x")


def test_server_leaves_the_signals_of_its_process_alone(run: Run) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    async def body() -> None:
        async with serving() as place:
            await place.ask("GET", "ping")
            # The first is that of the loop while that runs.
            assert signal.getsignal(signal.SIGTERM) == before[1]

    run(body())
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_idle_server_wakes_nobody(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        loop: Any = asyncio.get_running_loop()
        before = set(loop._scheduled)  # of whoever runs this
        async with serving() as place:
            await place.ask("GET", "ping")
            await wait_until.aio(lambda: all(one.cancelled() for one in set(loop._scheduled) - before))

    run(body())


def test_a_second_worker_is_refused(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            with pytest.raises(ResourceConflict):
                await GuestServer(place.task).start()
            assert place.task.state == "offered"

    run(body())


def test_place_is_needed_only_once(run: Run) -> None:
    async def body() -> None:
        async with serving() as place:
            assert isinstance(place, Place)
            await place.server.close()
            await place.server.close()

    run(body())


def test_group_of_the_socket_is_not_asked_for_by_the_loop(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer may come from a server elsewhere."""
    asked: list[threading.Thread] = []
    own = grp.getgrgid(os.getegid())

    def ask(name: str) -> grp.struct_group:
        asked.append(threading.current_thread())
        return own

    localsocket._group_number.cache_clear()
    monkeypatch.setattr(grp, "getgrnam", ask)

    async def body() -> None:
        async with GuestServer(offered(), path=tmp_path / "s", group=own.gr_name, mode=0o660):
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o660
        assert len(asked) == 1
        assert asked[0] is not threading.current_thread()

    run(body())
