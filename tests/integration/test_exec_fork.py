"""Sessions in plugins whose authors fork: the child holds none of their pipes and terminals."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.run import Run
from tests.session import PATIENCE_S, is_alive, runner, sh
from tests.wait import WaitUntil

FORKS = """
    import os, signal

    @plugin.command("fork")
    def fork(ctx):
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        return pid

    @plugin.command("reap")
    def reap(ctx, pid):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
"""


@pytest.mark.parametrize("tty", [False, True])
def test_forked_child_of_the_plugin_holds_no_input_open(run: Run, tmp_path: Path, tty: bool) -> None:
    async def body() -> None:
        async with runner(tmp_path, FORKS) as host:
            session = await host.exec("desk", ["cat"], tty=tty, detached=True)
            child = await host.call("desk", "fork")
            await session.close_stdin()
            exit = await asyncio.wait_for(session.wait(), PATIENCE_S)
            assert exit.code == 0
            await host.call("desk", "reap", {"pid": child})

    run(body())


def test_forked_child_of_the_plugin_does_not_keep_a_terminal_from_hanging_up(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with runner(tmp_path, FORKS) as host:
            # What is left of it waits for its terminal to hang up.
            script = "trap '' HUP; cat <&0 >/dev/null & echo $!; exit 0"
            session = await host.exec("desk", sh(script))
            child = await host.call("desk", "fork")
            async with await session.attach() as viewer:
                told = b"".join([item.data async for item in viewer])  # type: ignore[union-attr]
            assert (await session.wait()).code == 0
            await wait_until.aio(lambda: not is_alive(int(told)))
            await host.call("desk", "reap", {"pid": child})

    run(body())


COMES_BACK = """
    import asyncio, os, sys

    def come_back(opts):
        "The status of a child that comes back from a handler; nothing of the session is for it to do."
        pid = os.fork()
        if pid:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if opts.params["how"] == "raise":
            raise ValueError("raised by the child")
        if opts.params["how"] == "exit":
            sys.exit(3)

    def written(status):
        return sdk.exec.ExecSpec(["sh", "-c", "exit $0", str(status)])

    @plugin.exec("plain")
    def plain(ctx, opts):
        return written(come_back(opts))

    @plugin.exec("async")
    async def coroutine(ctx, opts):
        return written(come_back(opts))

    @plugin.exec("terminal")
    def terminal(ctx, opts, tty, resize):
        return come_back(opts)

    @plugin.exec("async_terminal")
    async def async_terminal(ctx, opts, tty, resize):
        return come_back(opts)

    @plugin.command("async_echo")
    async def async_echo(ctx, value):
        return value
"""


@pytest.mark.parametrize("resource", ["plain", "async", "terminal", "async_terminal"])
def test_child_that_comes_back_from_a_handler_of_sessions_ends_as_a_program_does(
    run: Run, tmp_path: Path, resource: str
) -> None:
    async def body() -> None:
        async with runner(tmp_path, COMES_BACK) as host:
            for how, status in (("return", 0), ("raise", 1), ("exit", 3)):
                session = await host.exec("desk", resource=resource, params={"how": how}, detached=True)
                exit = await asyncio.wait_for(session.wait(), PATIENCE_S)
                assert exit.code == status
            calls = (host.call("desk", "async_echo", {"value": n}, timeout=10) for n in range(50))
            assert await asyncio.gather(*calls) == list(range(50))

    run(body())
