"""Actions over a link whose other end is the test: what is asked, what is made of what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from plugin_host import action
from plugin_host.action.actions import begin
from plugin_host.action.proxy import ActionProxy
from plugin_host.action.run import ActionRun
from plugin_host.errors import (
    ActionFailed,
    ActionInvalid,
    ActionRefused,
    CallFailed,
    PluginDied,
)
from plugin_host.event import ActionEnded, ActionStarted, HostEvent
from plugin_host_sdk.events import (
    CreditReceived,
    DataReceived,
    EndReceived,
    RequestReceived,
    StopReceived,
)
from tests.linked import Owner, PluginEnd, linked

SCRIPT = action.RunScript(data=b"echo hi")


class Peer:
    """A plugin with actions, by hand."""

    def __init__(self, end: PluginEnd, proxy: ActionProxy, events: list[HostEvent]) -> None:
        self.end = end
        self.proxy = proxy
        self.events = events
        self.asked: dict[str, Any] = {}

    async def trigger(self, request: Any = SCRIPT, data: Any = None, *, window: int = 1 << 20) -> ActionRun:
        """An action that has been accepted."""
        task = asyncio.create_task(begin(self.proxy, request, data, id="a1"))
        asked = await self.end.request("action.trigger")
        self.accept(asked, window)
        answer = {"data_window": window if self.asked["data"] else None}
        await self.end.answer(asked.msgid, answer)
        return await task

    def accept(self, asked: RequestReceived, window: int) -> None:
        self.asked = asked.params
        streams = self.end.connection.streams
        for name in ("stdout", "stderr"):
            streams.open_send(self.asked[name], self.asked["window"])
        if self.asked["data"] is not None:
            streams.open_receive(self.asked["data"], window)

    async def write(self, stream: str, data: bytes) -> None:
        for start in range(0, len(data), 65536):
            frame = self.end.connection.streams.send_data(self.asked[stream], data[start : start + 65536])
            await self.end.send(b"".join(frame))

    async def close(self) -> None:
        for name in ("stdout", "stderr"):
            await self.end.send(self.end.connection.streams.send_end(self.asked[name]))

    async def finish(self, result: Any = None, error: Any = None, **totals: int) -> None:
        said = {"action": "a1", "result": result, "error": error, "totals": totals}
        await self.say("action.finished", said)

    async def say(self, method: str, params: Any) -> None:
        await self.end.send(self.end.connection.send_notification(method, params))


class Told(Owner):
    """Passes on what is said of actions, as an instance does."""

    proxy: ActionProxy

    def notified(self, method: str, params: Any) -> None:
        try:
            self.proxy.told(method, params)
        except CallFailed as error:
            self.notices.append((method, error))


@asynccontextmanager
async def peer() -> AsyncIterator[Peer]:
    async with linked() as (link, end, _), asyncio.timeout(10):
        owner = link._owner = Told()
        events: list[HostEvent] = []
        owner.proxy = ActionProxy("demo", link, events.append)
        yield Peer(end, owner.proxy, events)


def test_output_comes_apart_with_offsets_and_the_result_after_it() -> None:
    async def body() -> None:
        async with peer() as there:
            run = await there.trigger()
            assert there.asked["request"]["data"] == b"echo hi"
            assert there.asked["kind"] == "run_script"
            reader = run.output()
            await there.finish({"success": True, "code": 0}, stdout=6, stderr=3)
            waiting = asyncio.create_task(run.result())
            await there.write("stdout", b"one")
            await there.write("stderr", b"err")
            assert not waiting.done()
            await there.write("stdout", b"two")
            result = await waiting
            assert result == action.ScriptResult(success=True, code=0)
            pieces = [piece async for piece in reader]
            assert b"".join(one.data for one in pieces if one.stream == "stdout") == b"onetwo"
            assert [(one.offset, one.data) for one in pieces if one.stream == "stderr"] == [(0, b"err")]
            assert [type(event) for event in there.events] == [ActionStarted, ActionEnded]
            assert there.events[1].success  # type: ignore[attr-defined]
            assert there.proxy.running == []

    asyncio.run(body())


def test_refusal_is_raised_by_the_trigger_and_leaves_nothing() -> None:
    async def body() -> None:
        async with peer() as there:
            task = asyncio.create_task(begin(there.proxy, action.Reboot(), None, id="a1"))
            asked = await there.end.request("action.trigger")
            refused = ActionRefused("rebooting is not allowed", data={"option": "allow_reboot"})
            data = there.end.connection.send_error(asked.msgid, refused.to_map())
            await there.end.send(data)
            with pytest.raises(ActionRefused, match="not allowed") as caught:
                await task
            assert caught.value.option == "allow_reboot"
            assert there.proxy.running == []
            assert there.events == []
            assert not there.proxy._link.connection.streams.receiving

    asyncio.run(body())


def test_trigger_that_is_cancelled_cancels_the_action() -> None:
    async def body() -> None:
        async with peer() as there:
            task = asyncio.create_task(begin(there.proxy, SCRIPT, None, id="a1"))
            asked = await there.end.request("action.trigger")
            there.accept(asked, 0)
            task.cancel()
            stopped = await there.end.expect(StopReceived)
            assert stopped.stream in (there.asked["stdout"], there.asked["stderr"])
            cancel = await there.end.request("action.cancel")
            assert cancel.params["action"] == "a1"
            await there.end.answer(cancel.msgid, {"state": "cancelling"})
            with pytest.raises(asyncio.CancelledError):
                await task
            assert there.proxy.running == []

    asyncio.run(body())


def test_result_does_not_wait_for_output_that_nobody_reads() -> None:
    async def body() -> None:
        async with peer() as there:
            run = await there.trigger()
            size = 0
            for _ in range(40):
                await there.write("stdout", b"x" * 65536)
                size += 65536
                if size % (1 << 19) == 0:
                    await there.end.expect(CreditReceived)
            await there.finish({"success": True}, stdout=size)
            assert (await run.result()).success
            kept = [piece async for piece in run.output()]
            assert sum(len(piece.data) for piece in kept) <= 1_000_000
            assert kept[-1].offset + len(kept[-1].data) == size

    asyncio.run(body())


def test_reader_is_waited_for_until_its_own_task_waits_for_the_result() -> None:
    async def body() -> None:
        async with peer() as there:
            run = await there.trigger()
            reader = run.output()
            await there.write("stdout", b"x" * (1 << 20))
            await there.end.send(there.end.connection.send_request("ping", {})[1])
            await there.end.hear()
            assert not any(isinstance(event, CreditReceived) for event in there.end.events)
            waiting = asyncio.create_task(run.result())  # another task's wait changes nothing
            await asyncio.sleep(0)
            assert run.ring._holders
            own = asyncio.create_task(_finish(there))
            assert (await run.result()).success
            await asyncio.gather(own, waiting)
            assert b"".join([piece.data async for piece in reader])[-2:] == b"xx"

    async def _finish(there: Peer) -> None:
        await there.end.expect(CreditReceived)
        await there.write("stdout", b"xx")
        await there.finish({"success": True}, stdout=(1 << 20) + 2)

    asyncio.run(body())


def test_reader_that_was_dropped_is_not_waited_for() -> None:
    async def body() -> None:
        async with peer() as there:
            run = await there.trigger()
            async for _piece in _first(run):
                break
            run.output()
            await there.write("stdout", b"x" * (1 << 20))
            await there.end.expect(CreditReceived)

    def _first(run: ActionRun) -> Any:
        reader = run.output()
        run.ring.put("stdout", 0, b"")
        return reader

    asyncio.run(body())


def test_reader_that_comes_back_goes_on_where_it_was() -> None:
    async def body() -> None:
        async with peer() as there:
            run = await there.trigger()
            await there.write("stdout", b"0123456789")
            await there.finish({"success": True}, stdout=10)
            await run.result()
            pieces = [piece async for piece in run.output(since={"stdout": 4})]
            assert [(piece.offset, piece.data) for piece in pieces] == [(4, b"456789")]

    asyncio.run(body())


def test_death_fails_the_run_after_what_it_had_put_out() -> None:
    async def body() -> None:
        async with peer() as there:
            run = await there.trigger()
            reader = run.output()
            await there.write("stdout", b"last words")
            await there.end.send(there.end.connection.send_request("ping", {})[1])
            await there.end.hear()
            there.proxy.fail(lambda id: PluginDied(f"died with {id}", plugin="demo"))
            with pytest.raises(PluginDied, match="died with a1"):
                await run.result()
            assert (await anext(reader)).data == b"last words"
            with pytest.raises(PluginDied):
                await anext(reader)
            assert await run.cancel() == "not_running"
            assert not run.succeeded

    asyncio.run(body())


@pytest.mark.parametrize(
    "said",
    [
        {"action": "a1", "result": 5},
        {"action": "a1", "totals": {"stdout": "many"}},
        {"action": "a1", "result": {"success": "perhaps"}},
    ],
)
def test_end_that_cannot_be_meant_is_an_error_of_the_result(said: dict[str, Any]) -> None:
    async def body() -> None:
        async with peer() as there:
            run = await there.trigger()
            await there.say("action.finished", said)
            with pytest.raises(CallFailed, match="oddly"):
                await run.result()

    asyncio.run(body())


def test_end_with_an_error_is_raised_each_time() -> None:
    async def body() -> None:
        async with peer() as there:
            run = await there.trigger()
            await there.finish(error=ActionFailed("no space left", data={"errno": 28}).to_map())
            for _ in range(2):
                with pytest.raises(ActionFailed, match="no space") as caught:
                    await run.result()
                assert caught.value.data == {"errno": 28}

    asyncio.run(body())


def test_output_that_was_lost_is_an_error_and_no_wait() -> None:
    async def body() -> None:
        async with peer() as there:
            run = await there.trigger()
            await there.write("stdout", b"123")
            await there.close()
            await there.finish({"success": True}, stdout=4)
            with pytest.raises(CallFailed, match="4 bytes of stdout were reported, and 3"):
                await run.result()

    asyncio.run(body())


def test_keepalive_is_a_sign_and_silence_ends_nothing() -> None:
    async def body() -> None:
        async with peer() as there:
            run = await there.trigger()
            run.last_sign = 0
            heard = asyncio.Event()
            run.signs.append(heard.set)
            await there.say("action.keepalive", {"action": "a1", "elapsed_ms": 3_600_000.0})
            await heard.wait()
            assert run.last_sign > 0
            assert not run.is_over

    asyncio.run(body())


def test_cancel_asks_with_reason_and_grace() -> None:
    async def body() -> None:
        async with peer() as there:
            run = await there.trigger()
            task = asyncio.create_task(run.cancel("enough", grace=0.5))
            asked = await there.end.request("action.cancel")
            assert asked.params == {"action": "a1", "reason": "enough", "grace_ms": 500.0}
            await there.end.answer(asked.msgid, {"state": "cancelling"})
            assert await task == "cancelling"

    asyncio.run(body())


UPLOAD = action.UploadFile(path="/tmp/x", mode=0o640)


async def received(there: Peer, *, consume: bool = True) -> bytes:
    data = bytearray()
    while True:
        event = await there.end.expect(
            object,
            lambda one: isinstance(one, (DataReceived, EndReceived)),  # type: ignore[type-var]
        )
        if isinstance(event, EndReceived):
            assert event.error is None
            return bytes(data)
        assert isinstance(event, DataReceived)
        data += event.data
        grant = there.end.connection.streams.consume(event.stream, len(event.data))
        if grant:
            await there.end.send(grant)


def test_upload_goes_under_credit_and_is_held_against_the_sum() -> None:
    async def body() -> None:
        async with peer() as there:
            whole = bytes(range(256)) * 1000
            run = await there.trigger(UPLOAD, whole, window=1000)
            assert there.asked["request"]["size"] == len(whole)
            assert run.upload is not None
            assert run.progress[0] <= 1000
            assert await received(there) == whole
            assert run.progress == (len(whole), len(whole))
            result = {"path": "/tmp/x", "size": len(whole), "sha256": run.upload.source.sha256}
            await there.finish(result)
            assert (await run.result()).size == len(whole)

    asyncio.run(body())


def test_upload_of_which_other_bytes_were_written_has_failed() -> None:
    async def body() -> None:
        async with peer() as there:
            run = await there.trigger(UPLOAD, b"data")
            await received(there)
            await there.finish({"path": "/tmp/x", "size": 4, "sha256": "0" * 64})
            with pytest.raises(ActionFailed, match="wrote other data"):
                await run.result()

    asyncio.run(body())


def test_source_that_fails_ends_the_action_and_is_the_reason() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise OSError(5, "disk on fire")

    async def body() -> None:
        async with peer() as there:
            run = await there.trigger(UPLOAD, broken())
            end = await there.end.expect(EndReceived)
            assert end.error["name"] == "action.failed"
            assert "disk on fire" in end.error["message"]
            cancel = await there.end.request("action.cancel")
            await there.end.answer(cancel.msgid, {"state": "cancelling"})
            await there.finish(error=ActionFailed("the data ended early").to_map())
            with pytest.raises(OSError, match="disk on fire"):
                await run.result()

    asyncio.run(body())


def test_action_that_ends_before_its_data_closes_the_source() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"more"
                await asyncio.sleep(0)
        finally:
            closed.set()

    async def body() -> None:
        async with peer() as there:
            run = await there.trigger(UPLOAD, endless(), window=100)
            await there.finish(error=ActionFailed("no room").to_map())
            with pytest.raises(ActionFailed, match="no room"):
                await run.result()
            await closed.wait()

    asyncio.run(body())


@pytest.mark.parametrize(
    ("request_", "data", "said"),
    [
        (UPLOAD, None, "needs data"),
        (SCRIPT, b"data", "takes no data"),
        (action.UploadFile(path="/x", size=3), b"four", "says 3 bytes, and the data has 4"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_sent(request_: Any, data: Any, said: str) -> None:
    async def body() -> None:
        async with peer() as there:
            with pytest.raises(ActionInvalid, match=said):
                await begin(there.proxy, request_, data, id="a1")
            with pytest.raises(TypeError, match="one of the Structs"):
                await begin(there.proxy, "reboot", None, id="a1")  # type: ignore[arg-type]

    asyncio.run(body())


@pytest.mark.parametrize("mode", ["798", "", "07777777", -1, 0o10000])
def test_mode_that_is_none_is_refused(mode: Any) -> None:
    with pytest.raises(ValueError, match="mode"):
        action.UploadFile(path="/x", mode=mode)
