"""Programs that fork while they have an asyncio host, or before they enter one."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from tests.source import ROOT

pytestmark = [pytest.mark.edges, pytest.mark.deadline(60)]

HEAD = """
import asyncio, multiprocessing, os, sys, warnings
from tests.stage import stage
warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
ctx = multiprocessing.get_context("fork")
"""


def program(code: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [sys.executable, "-c", HEAD + textwrap.dedent(code)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=45,
    )


def test_children_that_use_the_hosts_of_their_parent_are_told_and_do_not_disturb_it() -> None:
    done = program(
        """
        async def use():
            for work in (
                lambda: host.call("steady", "echo", {"value": "child"}),
                lambda: host.call_many("steady", "echo", [{"value": "child"}]),
                lambda: host.stop("steady"),
                lambda: host.exec("steady"),
                lambda: host.tasks.run("steady", ["work"]),
                host.sessions,
                host.__aenter__,
            ):
                try:
                    await work()
                except Exception as error:
                    assert "forked from: make a host after the fork" in str(error), error
                else:
                    print("it was done")
            await host.close()  # does nothing here

        async def main():
            global host
            async with stage("steady") as host:
                pid = host.plugins["steady"].pid
                children = [ctx.Process(target=lambda: asyncio.run(use())) for _ in range(3)]
                for child in children:
                    child.start()
                for _ in range(300):
                    assert await host.call("steady", "echo", {"value": "parent"}, timeout=5) == "parent"
                for child in children:
                    await asyncio.to_thread(child.join)
                print([child.exitcode for child in children], await host.call("steady", "pid") == pid)

        asyncio.run(main())
        """
    )
    assert (done.stdout, done.stderr, done.returncode) == ("[0, 0, 0] True\n", "", 0)


@pytest.mark.parametrize(
    ("end", "status"), [("sys.exit(7)", 7), ("return", 0), ("raise LookupError", 1), ("os._exit(3)", 3)]
)
def test_child_that_leaves_the_host_in_the_middle_of_a_call_ends_nothing(end: str, status: int) -> None:
    done = program(
        f"""
        async def main():
            async with stage("steady") as host:
                call = asyncio.create_task(host.call("steady", "sleep", {{"seconds": 0.5}}))
                while not host.recent_events or await host.call("steady", "echo", {{"value": 1}}) != 1:
                    pass
                child = os.fork()
                if child == 0:
                    sys.stderr = open(os.devnull, "w")
                    {end}
                _, ended = os.waitpid(child, 0)  # asyncio loses its waker to the other loop
                print(os.waitstatus_to_exitcode(ended), await asyncio.wait_for(call, 20))
                print(await host.call("steady", "echo", {{"value": 2}}), host.plugins["steady"].death)

        asyncio.run(main())
        """
    )
    assert (done.stdout, done.stderr, done.returncode) == (f"{status} False\n2 None\n", "", 0)


def test_host_that_was_made_before_a_fork_can_be_entered_in_the_parent_alone() -> None:
    done = program(
        """
        host = stage("steady")

        async def main():
            async with host:
                return await host.call("steady", "echo", {"value": 1})

        def work():
            try:
                asyncio.run(main())
            except Exception as error:
                assert "make a host after the fork" in str(error), error
                sys.exit(9)

        child = ctx.Process(target=work)
        child.start()
        child.join()
        print(child.exitcode, asyncio.run(main()))
        """
    )
    assert (done.stdout, done.stderr, done.returncode) == ("9 1\n", "", 0)


def test_child_may_have_a_host_of_its_own_beside_that_of_its_parent() -> None:
    done = program(
        """
        async def own():
            async with stage("steady") as another:
                return await another.call("steady", "pid")

        def work(say):
            say.send(asyncio.run(own()))

        async def main():
            async with stage("steady") as host:
                heard, say = ctx.Pipe()
                child = ctx.Process(target=work, args=(say,))
                child.start()
                theirs = await asyncio.to_thread(heard.recv)
                await asyncio.to_thread(child.join)
                ours = await host.call("steady", "pid")
                print(theirs != ours, child.exitcode, host.plugins["steady"].death)

        asyncio.run(main())
        """
    )
    assert (done.stdout, done.stderr, done.returncode) == ("True 0 None\n", "", 0)


def test_sockets_of_the_parent_stay_when_a_child_closes_what_made_them(own_socket: str) -> None:
    done = program(
        f"""
        from plugin_host.localsocket import LocalSocket, listen, unlink_own
        listening = listen(LocalSocket(path={own_socket!r}))
        child = os.fork()
        if child == 0:
            os._exit(unlink_own(listening))
        print(os.waitpid(child, 0)[1], os.path.exists({own_socket!r}), unlink_own(listening))
        """
    )
    assert (done.stdout, done.stderr, done.returncode) == ("0 True True\n", "", 0)


def test_wire_leads_nowhere_in_a_child_that_has_no_descriptor_left() -> None:
    done = program(
        """
        import resource

        async def main():
            async with stage("steady") as host:
                supervisor = host._supervisors["steady"]
                wire = supervisor.link._channel.read_fd
                before = os.fstat(wire)
                _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
                taken = []
                try:
                    while True:
                        taken.append(os.open(os.devnull, os.O_RDONLY))
                except OSError:
                    pass
                child = os.fork()
                if child == 0:
                    os._exit(os.fstat(wire) == before)
                status = os.waitpid(child, 0)[1]
                for fd in taken:
                    os.close(fd)
                print(status, await host.call("steady", "echo", {"value": 1}))

        asyncio.run(main())
        """
    )
    assert (done.stdout, done.stderr, done.returncode) == ("0 1\n", "", 0)
