"""Programs that people use, at a terminal of a session, as a person would: keys in, a screen out."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from plugin_host import Output, PluginHost, Session, Viewer
from tests.run import Run
from tests.screen import Screen
from tests.session import PATIENCE_S, is_alive, processes, runner
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

ROWS, COLS = 24, 80
BASH = ["bash", "--norc", "--noprofile", "-i"]
PROMPT = {"PS1": "ready> "}
ESCAPE, CTRL_B, CTRL_C, CTRL_D, CTRL_Z = "\x1b", "\x02", "\x03", "\x04", "\x1a"


class Seat:
    """Somebody who types and looks."""

    def __init__(self, session: Session, viewer: Viewer) -> None:
        self.session = session
        self.screen = Screen(ROWS, COLS)
        self._wait_until = WaitUntil()
        self._viewer = viewer

    async def type(self, keys: str) -> None:
        await self._viewer.write(keys.encode())

    async def resize(self, rows: int, cols: int) -> None:
        """Have a window of another size, and see in it what is drawn from now on."""
        self.screen.clear()
        self.screen.resize(rows, cols)
        await self._viewer.resize(rows=rows, cols=cols)

    async def until(self, condition: Callable[[Screen], bool]) -> None:
        """Look until the screen is as wanted."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not condition(self.screen):
                    item = await anext(self._viewer)
                    assert isinstance(item, Output)
                    self.screen.feed(item.data)
        except (TimeoutError, StopAsyncIteration) as error:
            raise AssertionError(f"not what was wanted:\n{self.screen.text}") from error

    async def sees(self, text: str) -> None:
        await self.until(lambda screen: text in screen.text)

    async def sees_line(self, line: str) -> None:
        """A line that is this and nothing else."""
        await self.until(lambda screen: line in screen.lines)

    async def is_asked(self, prompt: str) -> None:
        """The program sleeps behind `prompt`; what is typed sooner it may take for something else."""
        await self.until(lambda screen: screen.lines[screen.row] == prompt and screen.col > 0)
        stat = Path(f"/proc/{self.session.info.pid}/stat")
        await self._wait_until.aio(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S")

    async def exit_code(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            async for _ in self._viewer:
                pass
            exit = await self.session.wait()
            assert exit.code is not None, exit
            return exit.code


@asynccontextmanager
async def seat(host: PluginHost, *command: str, **options: Any) -> AsyncIterator[Seat]:
    """A place in front of a program on a terminal of 24 x 80."""
    env = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "HISTFILE": ""} | options.pop("env", {})
    session = await host.exec("desk", command, rows=ROWS, cols=COLS, env=env, **options)
    async with await session.attach(rows=ROWS, cols=COLS) as viewer:
        yield Seat(session, viewer)


def test_bash_has_a_prompt_jobs_and_interrupts(run: Run, tmp_path: Path) -> None:
    job = "bash -c 'trap \"echo going on\" CONT; echo job ${0}s; while :; do sleep 0.05; done' start"

    async def body() -> None:
        async with runner(tmp_path) as host, seat(host, *BASH, env=PROMPT) as bash:
            await bash.is_asked("ready>")
            await bash.type(f"clear; {job}\r")
            await bash.sees_line("job starts")
            await bash.type(CTRL_Z)
            await bash.sees("Stopped")
            await bash.is_asked("ready>")
            await bash.type("clear; jobs\r")
            await bash.sees("[1]+  Stopped")
            await bash.is_asked("ready>")
            await bash.type("clear; fg\r")
            await bash.sees_line("going on")
            await bash.type(CTRL_C)
            await bash.is_asked("ready>")
            await bash.type("echo status $?\r")
            await bash.sees_line("status 130")
            await bash.is_asked("ready>")
            # At the prompt it is the line that is given up.
            await bash.type("never run")
            await bash.is_asked("ready> never run")
            await bash.type(CTRL_C)
            await bash.is_asked("ready>")
            await bash.type("clear; tty -s && echo on a terminal; exit 3\r")
            await bash.sees_line("on a terminal")
            assert await bash.exit_code() == 3

    run(body())


def test_shells_job_in_the_background_ends_with_the_session(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            async with seat(host, *BASH, env=PROMPT) as bash:
                await bash.is_asked("ready>")
                await bash.type(f"sh -c 'sleep 60; : {tmp_path}' & clear\r")
                await wait_until.aio(lambda: len(processes(tmp_path)) == 1)
                await bash.session.close()
            assert processes(tmp_path) == []

    run(body())


def test_nvim_fills_the_screen_and_follows_its_size(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("first line\nsecond line\n", encoding="utf-8")
    if shutil.which("nvim") is None:
        pytest.fail("nvim is not installed (on Debian: apt-get install neovim)")

    async def body() -> None:
        async with (
            runner(tmp_path) as host,
            seat(host, "nvim", "-u", "NONE", "-i", "NONE", "-n", str(file)) as nvim,
        ):
            await nvim.until(lambda screen: screen.lines[:3] == ["first line", "second line", "~"])
            await nvim.until(lambda screen: screen.lines[21] == "~")
            await nvim.type(":echo 'size' &lines &columns\r")
            await nvim.sees_line("size 24 80")
            await nvim.resize(40, 100)
            await nvim.until(lambda screen: screen.lines[37] == "~")
            await nvim.type(":echo 'size' &lines &columns\r")
            await nvim.sees_line("size 40 100")
            await nvim.resize(10, 30)
            await nvim.until(lambda screen: "All" in screen.lines[8])
            await nvim.type(":echo 'size' &lines &columns\r")
            await nvim.until(lambda screen: screen.lines[9] == "size 10 30")
            await nvim.type("Gothe ünlaut 漢")
            await nvim.until(lambda screen: "INSERT" in screen.lines[9])
            await nvim.sees("the ünlaut")
            await nvim.type(ESCAPE)
            await nvim.until(lambda screen: "INSERT" not in screen.lines[9])
            await nvim.type(":wq\r")
            assert await nvim.exit_code() == 0
        assert file.read_text(encoding="utf-8") == "first line\nsecond line\nthe ünlaut 漢\n"

    run(body())


def test_python_reads_evaluates_and_prints(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host, seat(host, sys.executable, "-q", "-i") as python:
            for typed, shown in (
                ("6 * 7\r", "42"),
                ("import os; tuple(os.get_terminal_size())\r", "(80, 24)"),
                ("'ü' * 3\r", "'üüü'"),
            ):
                await python.is_asked(">>>")
                await python.type(typed)
                await python.sees_line(shown)
            await python.is_asked(">>>")
            await python.type("def f():\r")
            await python.is_asked("...")
            await python.type("  return 'ab' * 3\r")
            await python.is_asked("...")
            await python.type("\r")
            await python.is_asked(">>>")
            await python.type("print('wait' + 'ing', flush=True); import time; time.sleep(60)\r")
            await python.sees_line("waiting")
            await python.type(CTRL_C)
            await python.sees_line("KeyboardInterrupt")
            await python.is_asked(">>>")
            await python.type("f()\r")
            await python.sees_line("'ababab'")
            await python.is_asked(">>>")
            await python.type(CTRL_D)
            assert await python.exit_code() == 0

    run(body())


def test_less_turns_pages_and_quits(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    file.write_text("".join(f"line {number}\n" for number in range(1, 201)))

    async def body() -> None:
        async with runner(tmp_path) as host, seat(host, "less", str(file), env={"LESS": ""}) as less:
            await less.until(lambda screen: screen.lines[:2] == ["line 1", "line 2"])
            assert less.screen.lines[22] == "line 23"
            await less.type(" ")
            await less.until(lambda screen: screen.lines[0] == "line 24" and screen.lines[22] == "line 46")
            await less.is_asked(":")  # it may miss a signal on its way to the next key
            await less.resize(11, 40)
            await less.until(lambda screen: screen.lines[9] == "line 33" and screen.lines[10] == ":")
            await less.type("G")
            await less.until(lambda screen: screen.lines[9] == "line 200")
            await less.type("g")
            await less.until(lambda screen: screen.lines[0] == "line 1" and screen.lines[10] == ":")
            await less.type("/line 77\r")
            await less.until(lambda screen: screen.lines[0] == "line 77")
            await less.type("q")
            assert await less.exit_code() == 0

    run(body())


def test_less_on_the_input_of_a_pipeline_still_has_the_keys(run: Run, tmp_path: Path) -> None:
    """It reads them from /dev/tty, the terminal that the session gave to its program."""

    async def body() -> None:
        async with (
            runner(tmp_path) as host,
            seat(host, "sh", "-c", "seq 100 | less; echo left with $?", env={"LESS": ""}) as less,
        ):
            await less.until(lambda screen: screen.lines[0] == "1" and screen.lines[22] == "23")
            await less.type("q")
            await less.sees("left with 0")
            assert await less.exit_code() == 0

    run(body())


def test_stty_sees_the_size_and_sets_modes(run: Run, tmp_path: Path) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host, seat(host, "sh", env={"PS1": "ready> "}) as shell:
            await shell.is_asked("ready>")
            await shell.type("stty size\r")
            await shell.sees_line("24 80")
            await shell.resize(33, 111)
            await shell.type("stty size\r")
            await shell.sees("33 111")
            await shell.is_asked("ready>")
            await shell.type("stty -echo; echo se''en\r")
            await shell.sees_line("seen")
            await shell.is_asked("ready>")
            await shell.type("echo a se''cret\r")
            await shell.sees("a secret")
            assert "se''cret" not in shell.screen.text
            await shell.type("exit 4\r")
            assert await shell.exit_code() == 4

    run(body())


def test_script_passes_keys_sizes_and_the_status_on(run: Run, tmp_path: Path) -> None:
    """A terminal in the terminal."""
    if shutil.which("script") is None:
        pytest.skip("script is not installed")
    gate = tmp_path / "gate"
    inner = f"trap 'stty size' WINCH; stty size; echo start; while [ ! -e {gate} ]; do sleep 0.05; done;"
    inner += "read x; echo got $x; exit 7"

    async def body() -> None:
        async with runner(tmp_path) as host, seat(host, "script", "-qec", inner, "/dev/null") as script:
            await script.sees_line("24 80")
            await script.sees_line("start")
            await script.resize(30, 90)
            await script.sees_line("30 90")
            gate.touch()
            await script.type("keys\r")
            await script.sees_line("got keys")
            assert await script.exit_code() == 7

    run(body())


@pytest.fixture
def tmux(tmp_path: Path) -> Callable[..., list[str]]:
    """The words of a tmux with a server of its own."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    # Not the user's shell: what its start files do takes time, and may take away what is typed meanwhile.
    configuration = tmp_path / "tmux.conf"
    configuration.write_text("set -g default-command \"env 'PS1=ready> ' sh\"\n")
    return lambda *words: ["tmux", "-S", str(tmp_path / "tmux"), "-f", str(configuration), *words]


def test_tmux_detaches_attaches_and_ends(run: Run, tmp_path: Path, tmux: Callable[..., list[str]]) -> None:
    """Its server outlives the session that started it, as what a program leaves behind does."""

    async def body() -> None:
        async with runner(tmp_path) as host:
            async with seat(host, *tmux("new-session", "-n", "one", "env 'PS1=ready> ' sh")) as first:
                await first.until(lambda screen: screen.lines[23].startswith("[0] 0:one"))
                await first.is_asked("ready>")
                await first.type("echo from in''side; stty size\r")
                await first.sees_line("from inside")
                await first.sees_line("23 80")
                await first.resize(30, 100)
                await first.until(lambda screen: screen.lines[29].startswith("[0] 0:one"))
                await first.is_asked("ready>")
                await first.type("stty size\r")
                await first.sees_line("29 100")
                await first.type(CTRL_B + "d")
                await first.sees("[detached (from session 0)]")
                assert await first.exit_code() == 0
            async with seat(host, *tmux("attach")) as second:
                await second.sees_line("from inside")
                await second.type(CTRL_B + "%")
                await second.until(lambda screen: "│ready>" in screen.lines[0])
                await second.type("echo right si''de; exit\r")
                await second.until(lambda screen: "│" not in screen.text)
                await second.type("exit\r")
                await second.sees("[exited]")
                assert await second.exit_code() == 0

    run(body())


def test_tmux_is_closed_with_its_server(
    run: Run, tmp_path: Path, wait_until: WaitUntil, tmux: Callable[..., list[str]]
) -> None:
    async def body() -> None:
        async with runner(tmp_path) as host:
            async with seat(host, *tmux("new-session", "-n", "one", "env 'PS1=ready> ' sh")) as seated:
                await seated.is_asked("ready>")
                await seated.type("sh -c 'echo pid $$; exec sleep 60'\r")
                await seated.until(lambda screen: "\npid " in screen.text)
                (line,) = (line for line in seated.screen.lines if line.startswith("pid "))
                pid = int(line.split()[1])
                assert is_alive(pid)
                await seated.session.close()
            assert not is_alive(pid)
            assert processes(tmp_path) == []

    run(body())
