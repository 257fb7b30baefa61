"""Any program's requests, through the listeners of a host, to real plugins and back."""

from __future__ import annotations

import asyncio
import grp
import os
import signal
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from plugin_host import CommandListeners, PluginHost, State, localsocket
from plugin_host.errors import PluginNotFound, SocketInUse
from plugin_host.listener.limit import Limits
from tests.host.talk import Talk, exchanged, room, said
from tests.run import Run
from tests.stage import logged, stage, write_plugin
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

__all__ = ["logged", "room"]

ONE = """
import os, signal, time

@plugin.command()
def greet(ctx, name: str, times: int = 1): return {"text": " ".join(["hello"] * times + [name])}

@plugin.command()
def number(ctx): return 5

@plugin.command()
def own(ctx): raise sdk.CommandError(42, "too hot", Degrees=99)

@plugin.command()
def fail(ctx): raise ValueError("no luck")

@plugin.command()
def clash(ctx): return {"status": "fine"}

@plugin.command()
def raw(ctx, data: bytes): return {"data": data[::-1]}

@plugin.command()
def die(ctx): os.kill(os.getpid(), signal.SIGKILL)

@plugin.command()
async def wait(ctx):
    import asyncio
    mark = ctx.settings["mark"]
    open(mark + ".began", "w").close()
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        open(mark, "w").close()
        raise

@plugin.command("event.start")
def started(ctx, zone: str = ""): return {"zone": zone, "plugin": "not me"}
"""
TWO = """
import time

@plugin.command("event")
def event(ctx, event: str, **others):
    if event == "slow":
        time.sleep(5)
    if event == "bad":
        raise sdk.CommandError(7, "not now")
    if event == "wrong":
        raise LookupError(event)
    return {"event": event, **others}
"""
ECHO = """
import msgpack, os, sys
unpacker = msgpack.Unpacker()
while data := os.read(0, 4096):
    unpacker.feed(data)
    for kind, msgid, method, params in unpacker:
        os.write(1, msgpack.packb([1, msgid, None, [method, params]]))
"""
LISTEN_AND_DIE = """
import os, signal, socket, sys
made = socket.socket(socket.AF_UNIX)
made.bind(sys.argv[1])
made.listen()
os.kill(os.getpid(), signal.SIGKILL)
"""
LIMITS = Limits(event_s=0.5)


@asynccontextmanager
async def listening(
    room: Path, host: PluginHost, limits: Limits = LIMITS, **options: Any
) -> AsyncIterator[CommandListeners]:
    async with host, CommandListeners(host, room / "c", limits=limits, **options) as listeners:
        yield listeners


def one(tmp_path: Path, **options: Any) -> PluginHost:
    write_plugin(tmp_path, "one", ONE)
    return stage("one", dirs=[tmp_path], **options)


def test_request_is_a_call_and_every_end_has_its_status(tmp_path: Path, room: Path, run: Run) -> None:
    async def body() -> None:
        async with listening(room, one(tmp_path)):
            place = room / "c" / "one"
            assert await said(place, "greet", name="Ada", times=2) == {
                "Status": 0,
                "StatusMessage": "",
                "text": "hello hello Ada",
            }
            assert (await said(place, "number"))["Result"] == 5
            assert await said(place, "own") == {"Status": 42, "StatusMessage": "too hot", "Degrees": 99}
            failed = await said(place, "fail")
            assert failed == {"Status": 105, "StatusMessage": "no luck", "ErrorType": "ValueError"}
            assert (await said(place, "clash"))["Result"] == {"status": "fine"}
            reply = await said(place, "raw", data={"$bytes": "AQI="})
            assert reply["data"] == {"$bytes": "AgE="}
            for typo in ("greeet", "GREET", "Greet"):
                missing = await said(place, typo, name="Ada")
                assert missing["Status"] == 101
                assert "did you mean 'greet'?" in missing["StatusMessage"]
            wrong = await said(place, "greet", name=5)
            assert (wrong["Status"], wrong["Path"]) == (102, "$.name")
            empty = (await exchanged(place, b"{}"))[0]
            assert empty["Status"] == 101
            assert "greet" in empty["StatusMessage"]
            died = await said(place, "die")
            assert died["Status"] == 502
            assert "SIGKILL" in died["StatusMessage"]
            gone = await said(place, "greet", name="Ada")
            assert gone["Status"] == 501
            assert "not ready" in gone["StatusMessage"]

    run(body())


def test_plugin_without_commands_says_so(tmp_path: Path, room: Path, run: Run) -> None:
    async def body() -> None:
        write_plugin(tmp_path, "doer", '@plugin.action("run_script")\ndef script(ctx, request): ...')
        async with listening(room, stage("doer", dirs=[tmp_path])):
            reply = await said(room / "c" / "doer", "greet")
            assert reply == {
                "Status": 101,
                "StatusMessage": "doer greet: the plugin offers no commands, only action",
            }

    run(body())


def test_call_that_takes_too_long_is_104_and_that_of_a_client_that_goes_is_cancelled(
    tmp_path: Path, room: Path, run: Run, wait_until: WaitUntil
) -> None:
    mark, began = tmp_path / "mark", tmp_path / "mark.began"
    write_plugin(tmp_path, "one", ONE)
    settings = tmp_path / "plugin-host.toml"
    settings.write_text(f'[plugins.one.settings]\nmark = "{mark}"\n')

    async def body() -> None:
        host = stage("one", dirs=[tmp_path], config=settings)
        # Long enough for a call to begin on a busy machine: one that has not is never run.
        async with listening(room, host, Limits(handle_s=2)):
            reply = await said(room / "c" / "one", "wait")
            assert reply["Status"] == 104
            await wait_until.aio(mark.exists)
            mark.unlink()
            began.unlink()
        async with listening(room, stage("one", dirs=[tmp_path], config=settings)):
            talk = await Talk.to(room / "c" / "one")
            talk.say(b'{"Command":"wait"}')
            await wait_until.aio(began.exists)
            await talk.close()
            await wait_until.aio(mark.exists)

    run(body())


def test_peer_of_plain_msgpack_takes_a_list(tmp_path: Path, room: Path, run: Run) -> None:
    launch = {"argv": ["python3", "-c", ECHO]}
    write_plugin(tmp_path, "peer", launch=launch, protocol="msgpack-rpc")

    async def body() -> None:
        async with listening(room, stage("peer", dirs=[tmp_path])):
            place = room / "c" / "peer"
            assert (await said(place, "add", Params=[1, 2]))["Result"] == ["add", [1, 2]]
            assert (await said(place, "add"))["Result"] == ["add", []]
            assert (await said(place, "add", Params={"a": 1}))["Status"] == 102

    run(body())


def test_where_a_handler_failed_is_in_the_log_of_its_plugin_and_not_in_the_reply(
    tmp_path: Path, room: Path, run: Run
) -> None:
    async def body() -> None:
        host = one(tmp_path)
        async with listening(room, host):
            assert (await said(room / "c" / "one", "own"))[
                "Status"
            ] == 42  # an end of its own is no failure
            assert host.logs.records("one", level="warning") == []
            failed = await said(room / "c" / "one", "fail")
            assert failed == {"Status": 105, "StatusMessage": "no luck", "ErrorType": "ValueError"}
            (record,) = host.logs.records("one", level="warning")
            assert record.message.startswith(
                "plugin one: command 'fail' failed\nTraceback (most recent call"
            )
            assert 'raise ValueError("no luck")' in record.message
            assert record.message.endswith("ValueError: no luck")

    run(body())


def test_tracebacks_are_in_replies_for_who_wants_them(tmp_path: Path, room: Path, run: Run) -> None:
    def fail(request: object) -> None:
        raise KeyError("our own")

    async def body() -> None:
        write_plugin(tmp_path, "two", TWO)
        write_plugin(tmp_path, "one", ONE)
        async with listening(room, stage("one", "two", dirs=[tmp_path]), debug=True) as listeners:
            failed = await said(room / "c" / "one", "fail")
            assert 'raise ValueError("no luck")' in failed["Traceback"]
            assert "Traceback" not in await said(room / "c" / "one", "own")
            listeners.monitor.register("fail", fail)
            assert 'raise KeyError("our own")' in (await said(room / "c" / "host", "fail"))["Traceback"]
            told = await said(room / "c" / "host", "host.event", Event="wrong")
            (result,) = told["Results"]
            assert "LookupError: wrong" in result["Traceback"]
            option = await said(room / "c" / "host", "host.getoption", Option="commands.debug")
            assert option["Value"] == "true"

    run(body())


def test_event_reaches_every_plugin_that_listens_at_once_and_each_is_named(
    tmp_path: Path, room: Path, run: Run
) -> None:
    write_plugin(tmp_path, "one", ONE)
    write_plugin(tmp_path, "two", TWO)
    write_plugin(tmp_path, "deaf", "")

    async def body() -> None:
        host = stage("two", "one", "deaf", dirs=[tmp_path])
        async with listening(room, host):
            place = room / "c" / "host"
            reply = await said(place, "host.event", Event="start", zone="x")
            assert reply["Status"] == 0
            assert reply["Results"] == [
                {
                    "Plugin": "one",
                    "Status": 0,
                    "StatusMessage": "",
                    "Result": {"zone": "x", "plugin": "not me"},
                },
                {"Plugin": "two", "Status": 0, "StatusMessage": "", "event": "start", "zone": "x"},
            ]
            bad = await said(place, "host.event", event="bad")
            assert (bad["Status"], bad["StatusMessage"]) == (1, "1 of 1 plugins failed: two")
            assert bad["Results"][0] == {"Plugin": "two", "Status": 7, "StatusMessage": "not now"}
            slow = await said(place, "host.event", Event="slow")
            assert (slow["Status"], slow["StatusMessage"]) == (1, "1 of 1 plugins failed: two")
            assert [(one["Plugin"], one["Status"]) for one in slow["Results"]] == [("two", 104)]
            for wrong in ({}, {"Event": ""}, {"Event": 5}):
                assert (await said(place, "host.event", **wrong))["Status"] == 102

    run(body())


def test_event_that_no_plugin_listens_to_has_no_results(tmp_path: Path, room: Path, run: Run) -> None:
    async def body() -> None:
        async with listening(room, one(tmp_path)):
            reply = await said(room / "c" / "host", "host.event", Event="other")
            assert reply == {"Status": 0, "StatusMessage": "", "Event": "other", "Results": []}

    run(body())


MEETS = """
import os, time

@plugin.command("event.meet")
def meet(ctx, folder: str, others: list):
    open(os.path.join(folder, plugin.id), "w").close()
    end = time.monotonic() + 5
    while not all(os.path.exists(os.path.join(folder, one)) for one in others):
        if time.monotonic() > end:
            raise sdk.CommandError(9, "the others were not told")
        time.sleep(0.01)
"""


def test_plugins_hear_of_an_event_while_others_still_work_on_it(
    tmp_path: Path, room: Path, run: Run
) -> None:
    names = ["left", "right"]
    for name in names:
        write_plugin(tmp_path, name, MEETS)
    meeting = tmp_path / "meeting"
    meeting.mkdir()

    async def body() -> None:
        async with listening(room, stage(*names, dirs=[tmp_path]), Limits(event_s=15)):
            place = room / "c" / "host"
            met = await said(place, "host.event", Event="meet", folder=str(meeting), others=names)
            assert met["Results"] == [{"Plugin": name, "Status": 0, "StatusMessage": ""} for name in names]

    run(body())


def test_plugins_that_are_not_ready_are_named_and_not_told(tmp_path: Path, room: Path, run: Run) -> None:
    write_plugin(tmp_path, "lazy", TWO, activation="lazy")
    write_plugin(tmp_path, "broken", launch={"entry_point": "nowhere:plugin"})
    write_plugin(tmp_path, "one", ONE)
    write_plugin(tmp_path, "two", TWO)
    write_plugin(tmp_path, "unwanted", TWO)

    async def body() -> None:
        host = stage("two", "one", "broken", "lazy", dirs=[tmp_path])
        async with listening(room, host):
            await host.stop("one")
            reply = await said(room / "c" / "host", "host.event", Event="start")
            broken, lazy, one, two = reply["Results"]
            assert two == {"Plugin": "two", "Status": 0, "StatusMessage": "", "event": "start"}
            assert (broken["Plugin"], broken["Status"]) == ("broken", 501)
            assert broken["StatusMessage"].startswith("plugin `broken` is failed, not ready: ")
            assert "nowhere" in broken["StatusMessage"]
            text = "plugin `lazy` is idle, not ready"
            assert lazy == {"Plugin": "lazy", "Status": 501, "StatusMessage": text}
            text = "plugin `one` is stopped, not ready"
            assert one == {"Plugin": "one", "Status": 501, "StatusMessage": text}
            missed = "not ready, so not told: broken, lazy, one"
            assert (reply["Status"], reply["StatusMessage"]) == (0, missed)
            assert host.plugins["lazy"].state is State.IDLE
            bad = await said(room / "c" / "host", "host.event", Event="bad")
            assert bad["Status"] == 1
            assert bad["StatusMessage"] == f"1 of 1 plugins failed: two; {missed}"

    run(body())


@pytest.mark.parametrize("is_named", [True, False])
def test_group_of_the_sockets_is_not_asked_for_by_the_loop(
    room: Path, run: Run, monkeypatch: pytest.MonkeyPatch, is_named: bool
) -> None:
    """The answer may come from a server elsewhere."""
    asked: list[threading.Thread] = []
    look_up = grp.getgrnam

    def ask(name: str) -> grp.struct_group:
        asked.append(threading.current_thread())
        return look_up(name)

    own = grp.getgrgid(os.getegid())
    localsocket._group_number.cache_clear()
    monkeypatch.setattr(grp, "getgrnam", ask)

    async def body() -> None:
        async with listening(room, PluginHost(only=[]), group=own.gr_name if is_named else str(own.gr_gid)):
            assert (room / "c" / "host").stat().st_gid == own.gr_gid
        assert len(asked) == 1
        assert asked[0] is not threading.current_thread()

    run(body())


def test_host_tells_of_itself_and_its_plugins(tmp_path: Path, room: Path, run: Run) -> None:
    write_plugin(tmp_path, "broken", launch={"entry_point": "nowhere:plugin"})

    async def body() -> None:
        write_plugin(tmp_path, "one", ONE)
        host = stage("one", "broken", dirs=[tmp_path])
        async with listening(room, host):
            place = room / "c" / "host"
            status = await said(place, "host.status")
            assert (status["Pid"], status["States"]) == (os.getpid(), {"failed": 1, "ready": 1})
            listed = (await said(place, "host.plugins"))["Plugins"]
            assert [entry["Plugin"] for entry in listed] == ["broken", "one"]
            assert listed[1]["Pid"] == host.plugins["one"].pid
            assert "greet" in listed[1]["Commands"]
            assert "nowhere" in listed[0]["Error"]
            option = await said(place, "host.getoption", Option="commands.dir")
            assert option["Value"] == str(room / "c")
            assert (await said(place, "host.getoption", Option="commands.dir.x"))["Status"] == 1
            assert (await said(place, "host.status"))["Status"] == 0

    run(body())


def test_embedder_has_commands_of_its_own_beside_them(tmp_path: Path, room: Path, run: Run) -> None:
    async def body() -> None:
        async with listening(room, one(tmp_path)) as listeners:
            listeners.monitor.register("hello", lambda request: {"to": request["Name"]})
            assert (await said(room / "c" / "host", "hello", name="Ada"))["to"] == "Ada"

    run(body())


def test_listeners_are_one_for_the_host_and_one_for_each_plugin_that_can_be_started(
    tmp_path: Path, room: Path, run: Run
) -> None:
    write_plugin(tmp_path, "broken", launch={"argv": "nothing"})
    write_plugin(tmp_path, "lazy", ONE, activation="lazy")

    async def body() -> None:
        write_plugin(tmp_path, "one", ONE)
        host = stage("one", "broken", "lazy", dirs=[tmp_path])
        async with listening(room, host) as listeners:
            assert sorted(os.listdir(room / "c")) == ["host", "lazy", "one"]
            assert listeners.names == ["host", "lazy", "one"]
            assert stat.S_IMODE((room / "c").stat().st_mode) == 0o700
            for name in listeners.names:
                assert stat.S_IMODE((room / "c" / name).stat().st_mode) == 0o600
            assert host.plugins["lazy"].state is State.IDLE
            assert (await said(room / "c" / "lazy", "number"))["Result"] == 5  # which starts it
            await host.stop("one")
            assert (await said(room / "c" / "one", "number"))["Status"] == 501
            await host.start("one")
            assert (await said(room / "c" / "one", "number"))["Status"] == 0
        assert os.listdir(room) == []

    run(body())


def test_only_plugins_that_are_asked_for_get_one(tmp_path: Path, room: Path, run: Run) -> None:
    async def body() -> None:
        async with listening(room, one(tmp_path), plugins=[]) as listeners:
            assert listeners.names == ["host"]
            listeners.listen("one")
            listeners.listen("one")
            assert listeners.names == ["host", "one"]
            with pytest.raises(PluginNotFound, match="did you mean"):
                listeners.listen("ones")

    run(body())


def test_folder_that_was_there_stays(tmp_path: Path, room: Path, run: Run) -> None:
    (room / "c").mkdir(mode=0o750)

    async def body() -> None:
        async with listening(room, one(tmp_path), plugins=[]):
            pass
        assert stat.S_IMODE((room / "c").stat().st_mode) == 0o750
        assert os.listdir(room / "c") == []

    run(body())


def test_plugin_of_the_name_host_does_not_get_the_hosts_listener(
    tmp_path: Path, room: Path, run: Run, logged: pytest.LogCaptureFixture
) -> None:
    write_plugin(tmp_path, "host", ONE)

    async def body() -> None:
        async with listening(room, stage("host", dirs=[tmp_path])):
            assert os.listdir(room / "c") == ["host"]
            assert (await said(room / "c" / "host", "host.status"))["Status"] == 0
        assert "plugin `host` has no command listener" in logged.text

    run(body())


def test_start_that_fails_leaves_nothing_behind(tmp_path: Path, room: Path, run: Run) -> None:
    async def body() -> None:
        host = one(tmp_path)
        async with listening(room, host, plugins=[]):
            other = CommandListeners(host, room / "c")
            with pytest.raises(SocketInUse):
                await other.start()
            assert other.names == []
            wanted = CommandListeners(host, room / "d", plugins=["one", "nowhere"])
            with pytest.raises(PluginNotFound):
                await wanted.start()
            assert sorted(os.listdir(room)) == ["c"]
            assert (await said(room / "c" / "host", "host.status"))["Status"] == 0

    run(body())


def test_host_that_comes_back_replaces_what_a_killed_one_left(tmp_path: Path, room: Path, run: Run) -> None:
    async def body() -> None:
        (room / "c").mkdir(mode=0o700)
        for name in ("host", "one"):
            place = str(room / "c" / name)
            killed = await asyncio.create_subprocess_exec("python3", "-c", LISTEN_AND_DIE, place)
            assert await killed.wait() == -signal.SIGKILL
        async with listening(room, one(tmp_path)):
            assert (await said(room / "c" / "one", "number"))["Status"] == 0

    run(body())
