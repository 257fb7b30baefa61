"""Neovim as a plugin, through a real host: its values, its errors, what it says by itself, its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from msgpack import ExtType

from plugin_host import CallFailed, CallTimeout, LaunchError, PluginDied, PluginHost, PluginNotReady
from plugin_host.configuration import Configuration, PluginConfiguration, RestartOverride
from plugin_host.event import EventStream, PluginNotified
from plugin_host.state import State
from tests.run import Run
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
MANIFEST: dict[str, Any] = json.loads((PLUGINS / "neovim" / "plugin_manifest.json").read_text())

NEVER = Configuration(
    plugins={"neovim": PluginConfiguration(restart=RestartOverride(policy="never"))},
)
"""These tests look at what is left of it, so it is not started again by itself."""

BUFFER, WINDOW, TAB_PAGE = 0, 1, 2
"""Neovim's extension types, as `nvim_get_api_info` has them."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Neovim keeps its swap files and may find nothing of this machine's user."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


class Neovim:
    """A host with this plugin alone, ready to be asked."""

    def __init__(self, host: PluginHost) -> None:
        self.host = host
        self.plugin = host.plugins["neovim"]

    async def __call__(self, method: str, *params: Any, timeout: float | None = None) -> Any:
        return await self.host.call("neovim", method, params, timeout=timeout)

    async def eval(self, expression: str) -> Any:
        return await self("nvim_eval", expression)

    async def refuses(self, method: str, *params: Any) -> CallFailed:
        with pytest.raises(CallFailed) as caught:
            await self(method, *params)
        return caught.value

    async def dies(self, call: Awaitable[Any]) -> PluginDied:
        """Await a call whose plugin ends, and the end of the ending."""
        with pytest.raises(PluginDied) as caught:
            await call
        assert self.plugin.state is State.FAILED
        return caught.value


@asynccontextmanager
async def neovim(folder: Path = PLUGINS, **options: Any) -> AsyncIterator[Neovim]:
    options.setdefault("config", NEVER)
    async with PluginHost(plugin_dirs=[folder], entry_points=False, only=["neovim"], **options) as host:
        assert host.plugins["neovim"].state is State.READY, host.plugins["neovim"].error
        yield Neovim(host)


def written(folder: Path, **changes: Any) -> Path:
    """A plugin folder with the manifest changed."""
    manifest = {**MANIFEST, **changes}
    home = folder / "plugins" / str(manifest["id"])
    home.mkdir(parents=True)
    (home / "plugin_manifest.json").write_text(json.dumps(manifest))
    return home.parent


async def notified(events: EventStream) -> PluginNotified:
    async for event in events:
        if isinstance(event, PluginNotified):
            return event
    pytest.fail("the host ended")


# values


def test_it_computes(run: Run) -> None:
    async def body() -> None:
        async with neovim() as nvim:
            assert await nvim.eval("6*7") == 42
            assert nvim.plugin.is_raw
            assert nvim.plugin.version == MANIFEST["version"]
            assert nvim.plugin.pid is not None
            assert psutil.Process(nvim.plugin.pid).name() == "nvim"

    run(body())


def test_many_calls_at_once_each_get_their_answer(run: Run) -> None:
    async def body() -> None:
        async with neovim() as nvim:
            answers = await asyncio.gather(*(nvim.eval(f"{number}*2") for number in range(2000)))
            assert answers == [number * 2 for number in range(2000)]

    run(body())


def test_values_of_every_type_survive(run: Run) -> None:
    value = {"n": None, "t": True, "i": -(2**63), "f": 1.5, "s": "grüße", "l": [1, [2, {}]], "e": ""}

    async def body() -> None:
        async with neovim() as nvim:
            await nvim("nvim_set_var", "kept", value)
            assert await nvim("nvim_get_var", "kept") == value
            assert await nvim("nvim_exec_lua", "return ...", [value]) == value

    run(body())


def test_buffers_windows_and_tab_pages_survive_both_ways(run: Run) -> None:
    async def body() -> None:
        async with neovim() as nvim:
            [buffer] = await nvim("nvim_list_bufs")
            [window] = await nvim("nvim_list_wins")
            [tab_page] = await nvim("nvim_list_tabpages")
            assert [type(one) for one in (buffer, window, tab_page)] == [ExtType] * 3
            assert [one.code for one in (buffer, window, tab_page)] == [BUFFER, WINDOW, TAB_PAGE]
            await nvim("nvim_buf_set_lines", buffer, 0, -1, True, ["one", "two"])
            assert await nvim("nvim_buf_line_count", buffer) == 2
            assert await nvim("nvim_win_get_buf", window) == buffer
            assert await nvim("nvim_tabpage_list_wins", tab_page) == [window]

    run(body())


def test_text_that_is_not_utf8_survives_both_ways(run: Run, tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"caf\xe9")

    async def body() -> None:
        async with neovim() as nvim:
            assert await nvim.eval(r'"a\xff\xfe"') == "a\udcff\udcfe"
            await nvim("nvim_set_var", "kept", "\udcffb")
            assert await nvim.eval("strlen(g:kept)") == 2  # bytes, not an escape of them
            assert await nvim.eval("g:kept") == "\udcffb"
            await nvim("nvim_command", f"edit {file}")
            await nvim("nvim_buf_set_lines", 0, 0, -1, True, ["\udc80", "ok"])
            await nvim("nvim_command", "write ++bin")
            error = await nvim.refuses("nvim_command", "throw '\udcff'")
            assert "\udcff" in error.data[1]

    run(body())
    assert file.read_bytes() == b"\x80\nok\n"


def test_ten_megabytes_go_in_and_out(run: Run) -> None:
    async def body() -> None:
        async with neovim() as nvim:
            text = "x" * 10_000_000
            await nvim("nvim_set_var", "kept", text)
            assert await nvim.eval("g:kept") == text
            lines = [f"{number:099d}" for number in range(100_000)]
            await nvim("nvim_buf_set_lines", 0, 0, -1, True, lines)
            assert await nvim("nvim_buf_get_lines", 0, 0, -1, True) == lines

    run(body())


def test_a_call_over_the_limit_fails_alone(run: Run) -> None:
    async def body() -> None:
        async with neovim() as nvim:
            error = await nvim.refuses("nvim_set_var", "kept", "x" * 17_000_000)
            assert error.name == "rpc.too_large"
            assert await nvim.eval("6*7") == 42

    run(body())


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("repeat('x', 17000000)", "the peer announced a message of more than 16777216 bytes"),
        ("map(range(100001), '[]')", "more than 100000 lists"),
    ],
)
def test_an_answer_over_a_limit_ends_it_by_name(expression: str, words: str, run: Run) -> None:
    async def body() -> None:
        async with neovim() as nvim:
            error = await nvim.dies(nvim.eval(expression))
            assert "broke the protocol" in str(error)
            assert words in str(error)
            await nvim.host.start("neovim")
            assert await nvim.eval("6*7") == 42

    run(body())


# errors


@pytest.mark.parametrize(
    ("method", "params", "kind", "text"),
    [
        ("nvim_eval", ["1/"], 0, "E15: Invalid expression"),
        ("nvim_eval", ["nothing"], 0, "E121: Undefined variable: nothing"),
        ("nvim_evil", [], 0, "Invalid method: nvim_evil"),
        ("nvim_eval", [], 0, "Wrong number of arguments: expecting 1 but got 0"),
        ("nvim_eval", [7], 0, "expecting String"),
        ("nvim_buf_get_lines", [0, 5, 9, True], 1, "Index out of bounds"),
        ("nvim_exec_lua", ["error('two\\nlines')", []], 0, "two\nlines"),
        ("nvim_command", [f"throw '{'x' * 5000}'"], 0, "x" * 5000),
    ],
)
def test_an_error_is_readable_and_complete(
    method: str, params: list[Any], kind: int, text: str, run: Run
) -> None:
    async def body() -> None:
        async with neovim() as nvim:
            error = await nvim.refuses(method, *params)
            assert isinstance(error.data, list)
            assert error.data[0] == kind
            assert text in error.data[1]
            assert str(error) == f"neovim {method}: {error.data[1]}"
            assert (error.name, error.retryable) == ("rpc.foreign", False)
            assert await nvim.eval("6*7") == 42

    run(body())


def test_named_parameters_are_refused_here(run: Run) -> None:
    async def body() -> None:
        async with neovim() as nvim:
            with pytest.raises(CallFailed, match="its parameters are a list, not dict") as caught:
                await nvim.host.call("neovim", "nvim_eval", {"expression": "6*7"})
            assert caught.value.name == "command.bad_request"

    run(body())


def test_without_nvim_the_launch_says_what_is_missing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    async def body() -> None:
        async with PluginHost(plugin_dirs=[PLUGINS], entry_points=False, only=["neovim"]) as host:
            error = host.plugins["neovim"].error
            assert isinstance(error, LaunchError)
            assert "nvim" in str(error)
            assert str(tmp_path) in str(error)

    run(body())


# what it says by itself


def test_notifications_become_events(run: Run) -> None:
    async def body() -> None:
        async with neovim() as nvim:
            events = nvim.host.events()
            await nvim.eval(r'rpcnotify(1, "hello", 1, {"two": "\xff"})')
            event = await notified(events)
            assert event == PluginNotified(plugin="neovim", method="hello", params=[1, {"two": "\udcff"}])

            await nvim("nvim_subscribe", "greeting")
            await nvim.eval('rpcnotify(0, "unheard") + rpcnotify(0, "greeting", "hi")')
            assert await notified(events) == PluginNotified(
                plugin="neovim", method="greeting", params=["hi"]
            )

    run(body())


def test_changes_of_an_attached_buffer_arrive_in_order(run: Run) -> None:
    async def body() -> None:
        async with neovim() as nvim:
            events = nvim.host.events()
            [buffer] = await nvim("nvim_list_bufs")
            assert await nvim("nvim_buf_attach", buffer, False, {})
            for number in range(500):
                await nvim("nvim_buf_set_lines", buffer, 0, 1, True, [f"line {number}"])
            await nvim("nvim_buf_detach", buffer)
            arrived = []
            while (event := await notified(events)).method != "nvim_buf_detach_event":
                if event.method == "nvim_buf_lines_event":
                    assert event.params[0] == buffer
                    arrived.append(event.params[2:5])
            assert arrived == [[0, 1, [f"line {number}"]] for number in range(500)]
            assert event.params == [buffer]

    run(body())


def test_a_request_of_its_own_is_refused_and_does_not_hang_it(run: Run) -> None:
    async def body() -> None:
        async with neovim() as nvim:
            error = await nvim.refuses("nvim_eval", "rpcrequest(1, 'hello', 1)")
            assert "Error invoking 'hello' on channel 1" in error.data[1]
            error = await nvim.refuses("nvim_eval", "rpcrequest(1, 'host.double', 21)")
            assert "host.double" in error.data[1]
            # One that waits for its answer serves others meanwhile.
            *answers, error = await asyncio.gather(
                *(nvim.eval("6*7") for _ in range(50)),
                nvim.refuses("nvim_eval", "rpcrequest(1, 'hello')"),
            )
            assert answers == [42] * 50

    run(body())


def test_a_granted_service_answers_it_even_by_asking_back(run: Run, tmp_path: Path) -> None:
    async def double(caller: Any, number: int) -> int:
        return number * int(await hosts[0].call("neovim", "nvim_eval", ["1+1"]))

    hosts: list[PluginHost] = []
    folder = written(tmp_path, permissions=["host.double"])

    async def body() -> None:
        async with neovim(folder, services={"double": double}) as nvim:
            hosts.append(nvim.host)
            assert await nvim.eval("rpcrequest(1, 'host.double', 21)") == 42

    run(body())


# time


def test_a_late_answer_is_dropped(run: Run) -> None:
    async def body() -> None:
        async with neovim() as nvim:
            with pytest.raises(CallTimeout, match=r"neovim nvim_command: no answer within 0\.05 s"):
                await nvim("nvim_command", "sleep 200m", timeout=0.05)
            waiting = asyncio.create_task(nvim("nvim_command", "sleep 200m"))
            await asyncio.sleep(0)
            waiting.cancel()
            assert await nvim.eval("6*7") == 42
            await nvim("nvim_command", "sleep 500m")  # by now both late answers have come
            assert nvim.plugin.state is State.READY

    run(body())


# the end


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (["nvim_command", "qa!"], "exited with status 0"),
        (["nvim_command", "cquit 3"], "exited with status 3"),
        (["nvim_exec_lua", f"vim.loop.kill(vim.loop.getpid(), {int(signal.SIGKILL)})", []], "SIGKILL"),
    ],
)
def test_its_end_fails_the_calls_in_flight(how: list[Any], words: str, run: Run) -> None:
    async def body() -> None:
        async with neovim() as nvim:
            sleeping = asyncio.create_task(nvim("nvim_command", "sleep 60"))
            await asyncio.sleep(0)
            error = await nvim.dies(nvim(*how))
            assert words in str(error)
            assert (error.plugin, error.retryable, error.name) == ("neovim", True, "command.connection")
            assert words in str(await nvim.dies(sleeping))
            with pytest.raises(PluginNotReady, match=words):
                await nvim.eval("6*7")
            assert nvim.plugin.pid is None
            await nvim.host.start("neovim")
            assert await nvim.eval("6*7") == 42

    run(body())


def swap_files(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*.sw?")]


def temporary_files() -> set[str]:
    return set(os.listdir(os.environ["TMPDIR"]))


def test_a_stop_leaves_no_process_and_no_swap_file(
    run: Run, home: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    file = tmp_path / "text"
    file.write_text("as it was\n")
    before = temporary_files()

    async def body() -> list[psutil.Process]:
        async with neovim() as nvim:
            await nvim("nvim_command", f"edit {file}")
            await nvim("nvim_buf_set_lines", 0, 0, -1, True, ["changed"] * 1000)
            await nvim("nvim_command", "preserve")
            assert len(swap_files(home)) == 1
            await nvim("nvim_command", "terminal sleep 600")
            await nvim.eval("jobstart(['sleep', '601'], {'detach': 1})")
            started = psutil.Process(nvim.plugin.pid)
            family = [started, *await wait_until.aio(lambda: _children(started, 2))]
            await nvim.host.stop("neovim")
            assert nvim.plugin.state is State.STOPPED
            return family

    family = run(body())
    assert [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
    assert swap_files(tmp_path) == []
    assert file.read_text() == "as it was\n"
    assert temporary_files() == before


def _children(process: psutil.Process, count: int) -> list[psutil.Process]:
    children = process.children(recursive=True)
    return children if len(children) >= count else []


def test_a_busy_one_is_stopped_within_its_time(run: Run, tmp_path: Path) -> None:
    folder = written(tmp_path, launch={**MANIFEST["launch"], "stop_timeout_s": 1})

    async def body() -> float:
        async with neovim(folder) as nvim:
            events = nvim.host.events()
            busy = asyncio.create_task(
                nvim("nvim_exec_lua", "vim.rpcnotify(1, 'busy') while true do end", [])
            )
            assert (await notified(events)).method == "busy"
            began = time.monotonic()
            await nvim.host.stop("neovim")
            took = time.monotonic() - began
            with pytest.raises(Exception, match="stopped plugin `neovim` while the call was in flight"):
                await busy
            return took

    assert run(body()) < 4


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("nvim_command", ["echo repeat('x', 5000)"]),
        ("nvim_command", ["set all"]),
        ("nvim_err_writeln", ["line\n" * 100]),
        ("nvim_exec_lua", ["print(('line\\n'):rep(100))", []]),
        ("nvim_command", ["help"]),
    ],
)
def test_output_longer_than_a_screen_waits_for_nobody(method: str, params: list[Any], run: Run) -> None:
    async def body() -> None:
        async with neovim() as nvim:
            await nvim(method, *params, timeout=5)
            assert (await nvim("nvim_get_mode"))["blocking"] is False

    run(body())


def test_a_file_another_one_has_open_is_an_error_and_no_question(run: Run, tmp_path: Path) -> None:
    written(tmp_path)
    folder = written(tmp_path, id="other")
    file = tmp_path / "text"

    async def body() -> None:
        async with PluginHost(plugin_dirs=[folder], entry_points=False) as host:
            await host.call("neovim", "nvim_command", [f"edit {file}"])
            with pytest.raises(CallFailed, match="E325"):
                await host.call("other", "nvim_command", [f"edit {file}"], timeout=5)
            assert await host.call("other", "nvim_eval", ["6*7"]) == 42

    run(body())
