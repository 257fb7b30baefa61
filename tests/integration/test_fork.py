"""Plugins whose authors fork: the child has no wire, whatever it does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from plugin_host import State
from tests.run import Run
from tests.stage import stage, write_plugin
from tests.wait import WaitUntil

CODE = """
    import logging, multiprocessing, os, sys

    @plugin.command("echo")
    def echo(ctx, value=None):
        return value

    @plugin.command("fork")
    def fork(ctx):
        "The child comes back from here, too, as if it served the call."
        pid = os.fork()
        if pid == 0:
            logging.getLogger("child").warning("logged by the child")
            ctx.log.warning("told by the child")
            ctx.progress(1)
            print("printed by the child", flush=True)
            try:
                ctx.host.call("anything")
            except sdk.CallError as error:
                print(f"refused to the child: {error}", flush=True)
            return "answered by the child"
        return "answered by the parent"

    def come_back(how):
        "The status of a child that comes back from a handler."
        pid = os.fork()
        if pid:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if how == "raise":
            raise ValueError("raised by the child")
        if how == "exit":
            sys.exit(3)
        return "answered by the child"

    @plugin.command("plain_child")
    def plain_child(ctx, how):
        return come_back(how)

    @plugin.command("async_child")
    async def async_child(ctx, how):
        return come_back(how)

    @plugin.command("async_echo")
    async def async_echo(ctx, value):
        return value

    def square(number):
        logging.getLogger("worker").warning("squaring %d", number)
        return number * number

    @plugin.command("pool")
    def pool(ctx):
        with multiprocessing.get_context("fork").Pool(2) as workers:
            return workers.map(square, [1, 2, 3])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plugin(tmp_path_factory.mktemp("plugins"), "forker", CODE)


def test_child_of_a_handler_neither_answers_nor_breaks_the_wire(
    run: Run, folder: Path, logged: pytest.LogCaptureFixture, wait_until: WaitUntil
) -> None:
    async def body() -> None:
        async with stage("forker", dirs=[folder]) as host:
            assert await host.call("forker", "fork") == "answered by the parent"
            await wait_until.aio(lambda: "refused to the child" in logged.text)
            values = await asyncio.gather(*(host.call("forker", "echo", {"value": n}) for n in range(50)))
            assert values == list(range(50))
            assert host.plugins["forker"].state is State.READY

    run(body())
    assert "stderr: warning child: logged by the child" in logged.text
    assert "stderr: warning forker.fork: told by the child" in logged.text
    assert "stderr: printed by the child" in logged.text


@pytest.mark.parametrize("command", ["plain_child", "async_child"])
def test_child_that_comes_back_from_its_handler_ends_as_a_program_does(
    run: Run, folder: Path, logged: pytest.LogCaptureFixture, wait_until: WaitUntil, command: str
) -> None:
    async def body() -> None:
        async with stage("forker", dirs=[folder]) as host:
            for how, status in (("return", 0), ("raise", 1), ("exit", 3)):
                assert await host.call("forker", command, {"how": how}, timeout=10) == status
            # The loop of a child would take from the parent's what wakes it.
            calls = (host.call("forker", "async_echo", {"value": n}, timeout=10) for n in range(50))
            assert await asyncio.gather(*calls) == list(range(50))
            await wait_until.aio(lambda: "ValueError: raised by the child" in logged.text)

    run(body())


def test_pool_of_processes_works_and_its_records_arrive(
    run: Run, folder: Path, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with stage("forker", dirs=[folder]) as host:
            for _ in range(3):
                assert await host.call("forker", "pool", timeout=15) == [1, 4, 9]

    run(body())
    assert "stderr: warning worker: squaring 3" in logged.text
