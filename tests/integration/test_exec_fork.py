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
