"""What decides over warm launches: fitness, the switch, posture, messages, and the life of a forkserver."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from plugin_host.account import Account
from plugin_host.candidate import Candidate
from plugin_host.errors import ConfigurationError
from plugin_host.exitstatus import ExitStatus
from plugin_host.launchspec import process_spec
from plugin_host.manifest import Launch, Manifest
from plugin_host.process import ProcessSpec
from plugin_host.warm import forkserver
from plugin_host.warm.childreaper import Record
from plugin_host.warm.fitness import unfit
from plugin_host.warm.forkserver import COLD_FIRST, MOST_RETIRED, PAUSES_S, Forkserver
from plugin_host.warm.helper import Helper
from plugin_host.warm.posture import posture
from plugin_host.warm.switch import switch
from plugin_host_sdk import forkorder
from tests.run import Run
from tests.wait import WaitUntil

BASE = {"PATH": "/bin", "LANG": "C.UTF-8", "HOME": "/root", "PLUGIN_HOST_RUN": "run/(forkserver)/1"}
OWN = {**BASE, "PLUGIN_HOST_RUN": "run/demo/1"}
ROOM = 1000


def spec(env: Mapping[str, str] = OWN, **others: Any) -> ProcessSpec:
    return ProcessSpec(["python"], **{"cwd": None, "env": env, "is_forkable": True, **others})


def test_plugin_of_the_hosts_own_interpreter_is_fit() -> None:
    assert unfit(spec(), BASE, ROOM) is None
    assert unfit(spec({**OWN, "COLOUR": "red", "TZ": "Asia/Tokyo", "PATH": "/usr/bin"}), BASE, ROOM) is None
    assert unfit(spec(umask=0o77, cwd="/"), BASE, ROOM) is None


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (spec(is_forkable=False), "interpreter or a program of its own"),
        (spec(account=Account("nobody", 65534, 65534, ())), "another user"),
        (spec(prefix=("shim", "--")), "another program"),
        (spec(wrapper=("bwrap",)), "another program"),
        (spec(pass_fds=(7,)), "another program"),
        (spec({**OWN, "PYTHONPATH": "/x"}), "PYTHONPATH"),
        (spec({**OWN, "LD_PRELOAD": "x.so"}), "LD_PRELOAD"),
        (spec({**OWN, "LC_ALL": "de_DE.UTF-8"}), "LC_ALL"),
        (spec({**OWN, "LANG": "C"}), "LANG"),
        (spec({**OWN, "HOME": "/home/other"}), "HOME"),
        (spec({name: value for name, value in OWN.items() if name != "LANG"}), "LANG"),
        (spec({**OWN, "BIG": "x" * ROOM}), "bytes"),
        (spec({**OWN, "BIG": "ä" * (ROOM // 2)}), "bytes"),
    ],
)
def test_what_a_fork_cannot_give_is_not_fit_and_said(asked: ProcessSpec, why: str) -> None:
    said = unfit(asked, BASE, ROOM)
    assert said is not None
    assert why in said


@pytest.mark.parametrize(
    ("start", "protocol", "is_forkable"),
    [
        (Launch(entry_point="demo:plugin"), "plugin-host", True),
        (Launch(entry_point="demo:plugin", warm=False), "plugin-host", False),
        (Launch(entry_point="demo:plugin", interpreter="/usr/bin/python3"), "plugin-host", False),
        (Launch(entry_point="demo:plugin", venv="venv"), "plugin-host", False),
        (Launch(argv=("demo",)), "plugin-host", False),
        (Launch(argv=("demo",)), "msgpack-rpc", False),
    ],
)
def test_only_a_plugin_of_the_hosts_own_interpreter_that_does_not_opt_out_is_forkable(
    start: Launch, protocol: Any, is_forkable: bool, tmp_path: Path
) -> None:
    manifest = Manifest(id="demo", version="1", protocol=protocol, launch=start)
    one = Candidate(id="demo", source="test", manifest=manifest, root=tmp_path)
    assert process_spec(one, manifest, "r/demo/1", {}).is_forkable is is_forkable


@pytest.mark.parametrize(
    ("variable", "means"),
    [(None, "auto"), ("", "auto"), ("0", "never"), ("1", "always"), ("auto", "auto"), ("never", "never")],
)
def test_variable_wins_over_the_configuration(variable: str | None, means: str) -> None:
    environ = {} if variable is None else {"PLUGIN_HOST_WARM": variable}
    assert switch("auto", environ) == means


def test_configuration_counts_without_the_variable_and_a_wrong_word_is_an_error() -> None:
    assert switch("never", {}) == "never"
    with pytest.raises(ConfigurationError, match="PLUGIN_HOST_WARM: expected one of 0, 1, auto"):
        switch("auto", {"PLUGIN_HOST_WARM": "yes"})


def test_messages_are_packets_of_a_bounded_size() -> None:
    message = ("become", ["python", "\udc80"], {"NAME": "ä"}, None)
    assert forkorder.unpack(forkorder.pack(*message)) == message
    with pytest.raises(ValueError, match="is longer than"):
        forkorder.pack("become", "x" * forkorder.MOST_BYTES)


# The life of a forkserver.


async def take(server: Forkserver, what: ProcessSpec | None = None) -> Any:
    return await server.take(what or spec())


class Fake:
    """Stands in for the process."""

    made: list[Fake] = []  # noqa: RUF012
    room, threads, comes_up = 4000, 1, True
    problems: Sequence[str] = ()
    error: OSError | None = None

    def __init__(
        self, environ: Mapping[str, str], imports: Sequence[str], *, on_line: Any, on_end: Any
    ) -> None:
        if Fake.error is not None:
            raise Fake.error
        loop = asyncio.get_running_loop()
        self.environ, self.imports, self.on_end = environ, imports, on_end
        self.pid, self.started = len(self.made), loop.time()
        self.up: asyncio.Future[bool] = loop.create_future()
        if self.comes_up:
            self.up.set_result(self.is_sound)
        self.childless: asyncio.Future[None] = loop.create_future()
        self.is_retired = self.is_closed = False
        self.made.append(self)

    @property
    def is_sound(self) -> bool:
        return self.room > 0 and self.threads == 1

    async def spare(self, timeout_s: float) -> Any:
        return self

    def retire(self) -> None:
        self.is_retired = True

    async def close(self) -> None:
        self.is_closed = True
        if not self.childless.done():
            self.childless.set_result(None)

    def die(self) -> None:
        self.childless.set_result(None)
        self.on_end(self, ExitStatus(None, signal.SIGKILL))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Fake]:
    """The forkservers that were started."""
    monkeypatch.setattr(forkserver, "Helper", Fake)
    monkeypatch.setattr(Fake, "made", [])
    return Fake.made


@pytest.mark.parametrize(("wanted", "cold"), [("auto", COLD_FIRST), ("always", 0), ("never", 9)])
def test_switch_says_from_which_launch_on_plugins_are_forked(
    run: Run, made: list[Fake], wanted: Any, cold: int
) -> None:
    async def body() -> None:
        server = Forkserver("run", wanted, ["numpy"], BASE)
        got = [await take(server) for _ in range(5)]
        assert [one is None for one in got] == [number < cold for number in range(5)]
        assert len(made) == (cold < 5)
        await server.close()
        assert all(one.is_closed for one in made)
        assert await take(server) is None

    run(body())


def test_forkserver_has_the_allowed_environment_and_a_mark_that_is_no_plugins(
    run: Run, made: list[Fake]
) -> None:
    async def body() -> None:
        server = Forkserver("run", "always", (), {"PATH": "/bin", "SECRET": "x"})
        assert await server.take(spec(is_forkable=False)) is None
        assert not made  # nobody needs it yet
        await server.take(spec({"PATH": "/bin"}))
        assert made[0].environ["PATH"] == "/bin"
        assert made[0].environ["PLUGIN_HOST_RUN"] == "run/(forkserver)/1"
        assert "SECRET" not in made[0].environ
        await server.close()

    run(body())


def test_dead_one_is_replaced_and_one_that_always_dies_is_given_up(
    run: Run, made: list[Fake], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(forkserver, "PAUSES_S", (0.0, 0.0, 0.0, 3600.0))

    async def body() -> None:
        server = Forkserver("run", "always", (), BASE)
        for number in range(3):
            assert await take(server) is made[number]
            made[number].die()
        assert await take(server) is made[3]
        made[3].die()
        assert await take(server) is None  # for an hour
        server._not_before = 0.0
        await take(server)
        made[4].die()
        server._not_before = 0.0
        assert await take(server) is None
        assert len(made) == len(PAUSES_S) + 1
        await server.close()

    with caplog.at_level(logging.WARNING, "plugin_host.warm"):
        run(body())
    assert "plugins that it had started go on" in caplog.messages[0]
    assert "as 4 did before it" in caplog.messages[-1]


def test_what_the_host_changes_about_itself_asks_for_another_one(
    run: Run, made: list[Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        server = Forkserver("run", "always", (), BASE)
        assert await take(server) is made[0]
        changed = posture()._replace(scheduling=(19, 0, 0))
        monkeypatch.setattr(forkserver, "posture", lambda: changed)
        assert await take(server) is made[1]
        assert await take(server) is made[1]
        assert (made[0].is_retired, made[0].is_closed) == (True, False)
        await server.close()
        assert [one.is_closed for one in made] == [True, True]

    run(body())


def test_replaced_one_is_closed_when_its_last_child_is_gone_and_not_too_many_wait_for_that(
    run: Run, made: list[Fake], monkeypatch: pytest.MonkeyPatch, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        server = Forkserver("run", "always", (), BASE)
        for number in range(MOST_RETIRED + 1):
            changed = posture()._replace(scheduling=(number, 0, 0))
            monkeypatch.setattr(forkserver, "posture", lambda changed=changed: changed)
            assert (await take(server) is None) is (number == MOST_RETIRED)
        assert [(one.is_retired, one.is_closed) for one in made] == [(True, False)] * MOST_RETIRED
        made[3].childless.set_result(None)
        await wait_until.aio(lambda: len(server._retired) < MOST_RETIRED)
        assert made[3].is_closed
        assert await take(server) is made[MOST_RETIRED]
        await server.close()
        assert all(one.is_closed for one in made)
        assert not server._retired

    run(body())


def test_forkserver_that_does_not_come_up_is_waited_for_once(
    run: Run, made: list[Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fake, "comes_up", False)
    monkeypatch.setattr(Fake, "room", -1)

    async def body() -> None:
        server = Forkserver("run", "always", (), BASE)
        server._patience = 0.01
        assert await take(server) is None
        server._patience = 3600.0
        assert await take(server) is None
        made[0].room = 4000
        made[0].up.set_result(True)
        assert await take(server) is made[0]
        await server.close()

    run(body())


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [("room", 0, "cannot show its own environment"), ("threads", 2, "importing evil starts threads")],
)
def test_forkserver_that_cannot_be_used_is_given_up(
    run: Run,
    made: list[Fake],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    attribute: str,
    value: int,
    words: str,
) -> None:
    monkeypatch.setattr(Fake, attribute, value)

    async def body() -> None:
        server = Forkserver("run", "always", ["evil"], BASE)
        assert await take(server) is None
        await asyncio.sleep(0)
        assert await take(server) is None
        assert len(made) == 1
        await server.close()

    with caplog.at_level(logging.INFO, "plugin_host.warm"):
        run(body())
    (said,) = caplog.messages
    assert words in said


def test_forkserver_that_cannot_be_started_costs_nobody_anything(
    run: Run, made: list[Fake], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        server = Forkserver("run", "always", (), BASE)
        monkeypatch.setattr(Fake, "error", OSError("no process left"))
        assert await take(server) is None
        monkeypatch.setattr(Fake, "error", None)
        assert await take(server) is made[0]
        await server.close()

    run(body())


def test_child_that_nobody_waits_for_any_more_when_its_forkserver_ends_is_discarded(run: Run) -> None:
    async def body() -> None:
        helper = Helper(BASE, (), on_line=print, on_end=print)
        try:
            assert await helper.up
            first = await helper.spare(10)
            assert first is not None
            first.discard()
            while helper._spares:
                helper._spares.pop().discard()
            launch = asyncio.create_task(helper.spare(10))
            await asyncio.sleep(0)
            (waiter,) = helper._waiting

            def end(_: object) -> None:
                helper._give_over()
                launch.cancel()

            waiter.add_done_callback(end)
            with pytest.raises(asyncio.CancelledError):
                await launch
            second = waiter.result()
            assert second is not None
            assert second._pidfd == -1
            assert not helper._spares
        finally:
            await asyncio.wait((helper._reaper.exited,), timeout=10)
            await helper.close()

    run(body())


def test_question_that_a_forkserver_has_no_room_for_is_asked_again(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        helper = Helper(BASE, (), on_line=print, on_end=print)
        answers: list[Record | None] = []
        try:
            assert await helper.up
            os.kill(helper.pid, signal.SIGSTOP)
            nobody, asked = 1 << 22, 0  # is above every process's number
            while not helper._unsent:
                helper.take(nobody + asked, answers.append)
                asked += 1
            os.kill(helper.pid, signal.SIGCONT)
            await wait_until.aio(lambda: len(answers) == asked)
            assert set(answers) == {None}
        finally:
            await helper.close()

    run(body())


@pytest.mark.parametrize("room", [0, 1])
def test_child_whose_descriptors_find_no_room_is_let_go(run: Run, wait_until: WaitUntil, room: int) -> None:
    async def body() -> None:
        helper = Helper(BASE, (), on_line=print, on_end=print)
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            assert await helper.up
            first = await helper.spare(10)
            assert first is not None
            first.discard()
            while helper._coming or helper._spares:  # so that the next one comes when there is no room
                if helper._spares:
                    helper._spares.popleft().discard()
                await asyncio.sleep(0.01)
            free = os.dup(0)
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free + room, limit[1]))
            try:
                assert await helper.spare(10) is None
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            await wait_until.aio(lambda: not helper._coming)
            second = await helper.spare(10)
            assert second is not None
            second.discard()
        finally:
            await helper.close()

    run(body())
