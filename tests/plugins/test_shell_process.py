"""The shell plugin through a real host: shells and commands, on terminals and on pipes, to their ends."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from plugin_host import (
    CallFailed,
    Configuration,
    ConfigurationError,
    HandlerNotFound,
    Output,
    PluginHost,
    Session,
    SessionClosed,
    TerminalError,
)
from plugin_host.configuration import PluginConfiguration
from plugin_host.reconfiguration import reconfigure
from plugin_host.state import State
from plugin_host_shell import account
from tests.run import Run
from tests.stage import link_of
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
ALL_BYTES = bytes(range(256)) * 4096
# It speaks once it has the terminal: keys that come before that are the shell's.
SLEEP = "sh -c 'echo asleep; exec sleep 600'\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home: a login shell reads its own profile there, and nothing of this machine's user."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / ".profile").write_text("PS1='ready$ '; PROFILE=read; export PROFILE\n")
    (folder / ".inputrc").write_text("set enable-bracketed-paste off\n")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("LS_COLORS", raising=False)
    return folder


@asynccontextmanager
async def shell(settings: dict[str, Any] | None = None) -> AsyncIterator[PluginHost]:
    """A host with this plugin alone."""
    config = Configuration(plugins={"shell": PluginConfiguration(settings=settings or {})})
    async with PluginHost(plugin_dirs=[PLUGINS], entry_points=False, only=["shell"], config=config) as host:
        assert host.plugins["shell"].state is State.READY, host.plugins["shell"].error
        yield host


async def spoken(session: Session) -> tuple[bytes, bytes]:
    """All that a session says until its end: stdout and stderr."""
    said = {"stdout": b"", "stderr": b""}
    async with await session.attach() as viewer:
        async for item in viewer:
            assert isinstance(item, Output)
            assert item.offset == len(said[item.stream])
            said[item.stream] += item.data
    return said["stdout"], said["stderr"]


async def ran(host: PluginHost, *command: str, **options: Any) -> tuple[bytes, bytes, int | None]:
    """What a command without input says on pipes, and its exit code."""
    session = await host.exec("shell", command or None, tty=False, **options)
    with suppress(SessionClosed):  # it needs none, and has ended already
        await session.close_stdin()
    said = await spoken(session)
    return (*said, (await session.wait()).code)


class Screen:
    """What a session on a terminal has shown."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.text = b""
        self._shown = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with await self.session.attach() as viewer:
            async for item in viewer:
                assert isinstance(item, Output)
                self.text += item.data
                self._shown.set()

    async def until(self, text: bytes) -> bytes:
        """Take what is shown up to and with `text`."""
        while text not in self.text:
            assert not self._reading.done(), self.text
            self._shown.clear()
            waiting = asyncio.create_task(self._shown.wait())
            await asyncio.wait({waiting, self._reading}, return_when=asyncio.FIRST_COMPLETED, timeout=10)
            waiting.cancel()
        shown, _, self.text = self.text.partition(text)
        return shown + text

    async def type(self, text: str) -> None:
        await self.session.write(text.encode())

    async def end(self) -> bytes:
        await asyncio.wait_for(self._reading, 10)
        return self.text


# a shell on a terminal


def test_a_login_shell_answers_on_a_terminal(run: Run, home: Path) -> None:
    async def body() -> None:
        async with shell({"shell": "/bin/bash"}) as host:
            session = await host.exec("shell", rows=30, cols=90)
            screen = Screen(session)
            await screen.until(b"ready$ ")
            await screen.type("echo $PROFILE; pwd; stty size; shopt -q login_shell && echo login\n")
            lines = (await screen.until(b"ready$ ")).decode().splitlines()[1:-1]
            assert lines == ["read", str(home), "30 90", "login"]
            await screen.type("exit 3\n")
            await screen.end()
            assert (await session.wait()).code == 3

    run(body())


def test_control_c_stops_the_command_and_not_the_shell(run: Run) -> None:
    async def body() -> None:
        async with shell({"shell": "/bin/bash"}) as host:
            session = await host.exec("shell")
            screen = Screen(session)
            await screen.until(b"ready$ ")
            await screen.type(SLEEP)
            await screen.until(b"asleep\r\n")
            await screen.type("\x03")
            await screen.until(b"ready$ ")
            await screen.type("echo $?\n")
            await screen.until(b"\r\n130\r\n")
            await screen.until(b"ready$ ")
            await session.close_stdin()
            await screen.end()
            assert (await session.wait()).code == 0  # of the echo

    run(body())


def test_jobs_go_to_the_background_and_come_back(run: Run) -> None:
    async def body() -> None:
        async with shell({"shell": "/bin/bash"}) as host:
            session = await host.exec("shell")
            screen = Screen(session)
            await screen.until(b"ready$ ")
            await screen.type(SLEEP)
            await screen.until(b"asleep\r\n")
            await screen.type("\x1a")
            await screen.until(b"Stopped")
            await screen.until(b"ready$ ")
            await screen.type("kill %1; fg\n")
            await screen.until(b"Terminated")
            await screen.until(b"ready$ ")
            await screen.type("exit 0\n")
            await screen.end()
            assert (await session.wait()).code == 0

    run(body())


def test_a_command_has_a_terminal_when_asked_for_one(run: Run) -> None:
    async def body() -> None:
        async with shell() as host:
            session = await host.exec("shell", ["sh", "-c", "tty; echo no >&2; exit 7"])
            said = await Screen(session).end()
            first, second = said.splitlines()
            assert first.startswith(b"/dev/")
            assert second == b"no"
            assert (await session.wait()).code == 7

    run(body())


# pipes


def test_a_command_on_pipes_keeps_stderr_apart_and_its_status(run: Run) -> None:
    async def body() -> None:
        async with shell() as host:
            said = await ran(host, "sh", "-c", "tty; echo no >&2; exit 7")
            assert said == (b"not a tty\n", b"no\n", 7)

    run(body())


def test_every_byte_goes_in_and_comes_out(run: Run) -> None:
    async def body() -> None:
        async with shell() as host:
            session = await host.exec("shell", ["cat"], tty=False)
            reading = asyncio.create_task(spoken(session))
            await session.write(ALL_BYTES)
            await session.close_stdin()
            assert await reading == (ALL_BYTES, b"")
            assert (await session.wait()).code == 0

    run(body())


def test_a_shell_on_pipes_runs_what_it_reads(run: Run, home: Path) -> None:
    async def body() -> None:
        async with shell({"shell": "/bin/sh"}) as host:
            session = await host.exec("shell", tty=False)
            await session.write(b"pwd; echo $PROFILE\nsh -c 'exit 5'\n")
            await session.close_stdin()
            assert await spoken(session) == (f"{home}\nread\n".encode(), b"")
            assert (await session.wait()).code == 5

    run(body())


# surroundings


def test_it_is_the_users_own_shell(run: Run) -> None:
    async def body() -> None:
        async with shell() as host:
            said, _, _ = await ran(host, "sh", "-c", "echo $SHELL")
            assert said.decode().strip() == own_shell()

    run(body())


def own_shell() -> str:
    return account.shell(os.environ)


def test_cwd_and_env_of_the_caller_win(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with shell({"cwd": "/"}) as host:
            show = ("sh", "-c", "pwd; echo $SHELL:$NAME")
            assert (await ran(host, *show))[0] == f"/\n{own_shell()}:\n".encode()
            env = {"SHELL": "mine", "NAME": "grüße"}
            said = await ran(host, *show, cwd=str(tmp_path), env=env)
            assert said[0] == f"{tmp_path}\nmine:grüße\n".encode()

    run(body())


def test_nothing_of_the_plugin_reaches_the_command(run: Run) -> None:
    program = "import os; print(sorted(os.listdir('/proc/self/fd'), key=int)[:-1])"

    async def body() -> None:
        async with shell() as host:
            assert (await ran(host, sys.executable, "-c", program))[0] == b"['0', '1', '2']\n"
            names = [line.partition(b"=")[0] for line in (await ran(host, "env"))[0].splitlines()]
            ours = [name for name in names if name.startswith((b"PLUGIN_HOST", b"PYTHON"))]
            assert b"PLUGIN_HOST_COOKIE" not in ours
            assert b"HOME" in names

    run(body())


# what is not there


def test_it_has_one_resource_which_need_not_be_named(run: Run) -> None:
    async def body() -> None:
        async with shell() as host:
            [handler] = await host.exec_handlers("shell")
            assert (handler.key, handler.tty, handler.pipes) == ("shell/local", True, True)
            assert (await ran(host, "true", resource="local"))[2] == 0
            with pytest.raises(HandlerNotFound) as caught:
                await host.exec("shell", resource="remote")
            assert caught.value.data["handlers"] == ["shell/local"]

    run(body())


@pytest.mark.parametrize("tty", [True, False])
@pytest.mark.parametrize(
    ("command", "cwd", "reason"),
    [
        (["no-such-program"], None, "not_found"),
        (["/etc/passwd"], None, "not_executable"),
        (["true"], "/no/such/folder", "bad_cwd"),
    ],
)
def test_what_cannot_run_is_explained(
    command: list[str], cwd: str | None, reason: str, tty: bool, run: Run
) -> None:
    async def body() -> None:
        async with shell() as host:
            with pytest.raises(TerminalError) as caught:
                await host.exec("shell", command, cwd=cwd, tty=tty)
            assert caught.value.data["reason"] == reason
            assert (cwd or command[0]) in str(caught.value)
            assert await host.sessions() == []

    run(body())


def test_a_setting_that_does_not_fit_is_refused_before_the_start(run: Run) -> None:
    async def body() -> None:
        config = Configuration(plugins={"shell": PluginConfiguration(settings={"cwd": "relative"})})
        async with PluginHost(
            plugin_dirs=[PLUGINS], entry_points=False, only=["shell"], config=config
        ) as host:
            with pytest.raises(
                ConfigurationError, match=r"\$\.plugins\.shell\.settings\.cwd: expected text"
            ):
                await host.start("shell")

    run(body())


def test_a_wrong_setting_is_explained_to_whoever_opens_a_session(run: Run) -> None:
    async def body() -> None:
        async with shell({"shell": [""]}) as host:
            with pytest.raises(TerminalError, match=r"its setting shell is \[''\]") as caught:
                await host.exec("shell")
            assert caught.value.data["error"]["retryable"] is False
            assert "[plugins.shell.settings]" in caught.value.data["error"]["suggestion"]

    run(body())


def test_new_settings_are_for_sessions_that_are_opened_from_then_on(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with shell({"cwd": "/"}) as host:
            link = link_of(host, "shell")
            session = await host.exec("shell", ["sleep", "600"])
            assert await reconfigure(link, {"cwd": str(tmp_path)}, 5) == "applied"
            with pytest.raises(CallFailed, match="its setting cwd is 'relative'"):
                await reconfigure(link, {"cwd": "relative"}, 5)
            other = await host.exec("shell", ["pwd"], tty=False)
            assert (await spoken(other))[0].decode().strip() == str(tmp_path)
            assert session.id in [one.id for one in await host.sessions()]

    run(body())


# the end


def test_a_stop_takes_the_shell_and_all_it_started_down(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> list[psutil.Process]:
        async with shell({"shell": "/bin/bash"}) as host:
            session = await host.exec("shell")
            screen = Screen(session)
            await screen.until(b"ready$ ")
            await screen.type("nohup sleep 600 >/dev/null 2>&1 & setsid -f sleep 601; echo started\n")
            await screen.until(b"started\r\n")
            plugin = psutil.Process(host.plugins["shell"].pid)
            await wait_until.aio(lambda: len(plugin.children(recursive=True)) >= 2)
            return plugin.children(recursive=True)

    started = run(body())
    assert len(started) >= 2
    wait_until(lambda: not [process for process in started if is_alive(process)])


def is_alive(process: psutil.Process) -> bool:
    """An orphan that has ended may wait for a first process that never asks for it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
