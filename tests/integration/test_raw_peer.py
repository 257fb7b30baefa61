"""Peers of plain msgpack-RPC: adopted by a manifest alone, never sent what they would not understand."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from plugin_host import (
    CallFailed,
    CallTimeout,
    PluginDied,
    PluginHost,
    PluginNotified,
    State,
)
from plugin_host_sdk.wire import ExtType
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

NEOVIM = Path(__file__).resolve().parents[2] / "plugins"


def test_peer_is_ready_as_soon_as_it_runs_and_parameters_are_positional(run: Run) -> None:
    async def body() -> None:
        async with stage("raw_peer") as host:
            assert host.plugins["raw_peer"].state is State.READY
            assert await host.call("raw_peer", "anything", [1, "a", None]) == [1, "a", None]
            assert await host.call("raw_peer", "anything", (1, 2)) == [1, 2]
            assert await host.call("raw_peer", "anything") == []

    run(body())


def test_nothing_is_ever_sent_but_what_the_caller_asked(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        async with stage("raw_peer") as host:
            await host.call("raw_peer", "first", [1], timeout=5)
            with pytest.raises(CallTimeout):
                await host.call("raw_peer", "ignore", timeout=0.05)
            call = asyncio.ensure_future(host.call("raw_peer", "ignore"))
            await asyncio.sleep(0.05)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            heard = await host.call("raw_peer", "heard")
            assert heard == [["first", [1]], ["ignore", []], ["ignore", []], ["heard", []]]

    run(body())


def test_named_parameters_are_refused(run: Run) -> None:
    async def body() -> None:
        async with stage("raw_peer") as host:
            with pytest.raises(CallFailed) as caught:
                await host.call("raw_peer", "anything", {"a": 1})
            assert caught.value.name == "command.bad_request"
            assert "parameters are a list, not dict" in str(caught.value)

    run(body())


def test_errors_of_any_shape_are_shown_and_kept(run: Run) -> None:
    async def body() -> None:
        async with stage("raw_peer") as host:
            with pytest.raises(CallFailed) as caught:
                await host.call("raw_peer", "fail", ["no such thing"])
            error = caught.value
            assert (error.name, error.data) == ("rpc.foreign", [0, "no such thing"])
            assert "raw_peer fail: no such thing" in str(error)

    run(body())


def test_results_of_any_shape_pass_through(run: Run) -> None:
    async def body() -> None:
        async with stage("raw_peer") as host:
            assert await host.call("raw_peer", "extension") == ExtType(5, b"\x2a")
            assert await host.call("raw_peer", "undecodable") == "\udcff\udcfe"
            sent = ["\udcff", ExtType(7, b"x")]
            assert await host.call("raw_peer", "anything", sent) == sent

    run(body())


def test_its_notifications_are_events(run: Run) -> None:
    async def body() -> None:
        async with stage("raw_peer") as host:
            events = host.events()
            await host.call("raw_peer", "notify", [1, "two"])
            event = await anext(aiter(events))
            assert event == PluginNotified(plugin="raw_peer", method="raw_event", params=[1, "two"])

    run(body())


def test_its_end_is_told_like_any_other(run: Run) -> None:
    async def body() -> None:
        async with stage("raw_peer") as host:
            with pytest.raises(PluginDied, match="exited with status 0"):
                await host.call("raw_peer", "leave")
            assert host.plugins["raw_peer"].state is State.FAILED

    run(body())


def test_its_stop_begins_with_end_of_file(run: Run, logged: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        async with stage("raw_peer"):
            pass

    run(body())
    assert "exited with status 0" in logged.text
    assert "step: close stdin" in logged.text


def test_program_that_cannot_start_is_explained(run: Run, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path, "gone", launch={"argv": ["no-such-editor"]}, protocol="msgpack-rpc")

    async def body() -> None:
        async with stage("gone", dirs=[folder]) as host:
            assert "no-such-editor" in str(host.plugins["gone"].error)

    run(body())


@pytest.fixture
def neovim() -> PluginHost:
    if shutil.which("nvim") is None:
        pytest.fail("nvim is not installed (on Debian: apt-get install neovim)")
    return PluginHost(plugin_dirs=[NEOVIM], entry_points=False, only=["neovim"])


def test_neovim_answers(run: Run, neovim: PluginHost) -> None:
    async def body() -> None:
        async with neovim as host:
            assert await host.call("neovim", "nvim_eval", ["6*7"]) == 42
            await host.call("neovim", "nvim_command", ["let g:x = [1, 2]"])
            assert await host.call("neovim", "nvim_get_var", ["x"]) == [1, 2]

    run(body())


def test_neovim_says_no_in_words(run: Run, neovim: PluginHost) -> None:
    async def body() -> None:
        async with neovim as host:
            with pytest.raises(CallFailed, match=r"Invalid expression|E15"):
                await host.call("neovim", "nvim_eval", ["6*"])
            with pytest.raises(CallFailed, match="nvim_nothing"):
                await host.call("neovim", "nvim_nothing")
            assert await host.call("neovim", "nvim_eval", ["1"]) == 1

    run(body())


def test_neovim_gives_handles_as_extension_types(run: Run, neovim: PluginHost) -> None:
    async def body() -> None:
        async with neovim as host:
            buffer = await host.call("neovim", "nvim_get_current_buf")
            assert isinstance(buffer, ExtType)
            await host.call("neovim", "nvim_buf_set_lines", [buffer, 0, -1, True, ["one", "two"]])
            assert await host.call("neovim", "nvim_buf_get_lines", [buffer, 0, -1, True]) == ["one", "two"]

    run(body())


def test_neovim_notifies(run: Run, neovim: PluginHost) -> None:
    async def body() -> None:
        async with neovim as host:
            events = host.events()
            channel = (await host.call("neovim", "nvim_get_api_info"))[0]
            await host.call("neovim", "nvim_command", [f'call rpcnotify({channel}, "hello", 1, [2])'])
            event = await anext(aiter(events))
            assert event == PluginNotified(plugin="neovim", method="hello", params=[1, [2]])

    run(body())


def test_neovim_may_not_ask_what_was_not_granted(run: Run, neovim: PluginHost) -> None:
    async def body() -> None:
        async with neovim as host:
            channel = (await host.call("neovim", "nvim_get_api_info"))[0]
            with pytest.raises(CallFailed, match=r"may not call host\.echo"):
                await host.call("neovim", "nvim_eval", [f'rpcrequest({channel}, "host.echo")'])

    run(body())
