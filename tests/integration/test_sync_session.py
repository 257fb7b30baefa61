"""Sessions of the blocking host: opened, watched, written to and ended by threads."""

from __future__ import annotations

import os
import signal
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_host import (
    CallTimeout,
    Gap,
    HandlerNotFound,
    Output,
    PluginDied,
    SessionClosed,
    SessionNotFound,
    TerminalError,
    ViewerReadOnly,
)
from plugin_host.sync import PluginHost
from tests.session import DESK, sh
from tests.stage import write_plugin
from tests.syncstage import blocking
from tests.wait import WaitUntil


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluginHost]:
    folder: Path = write_plugin(tmp_path_factory.mktemp("plugins"), "desk", textwrap.dedent(DESK))
    with blocking("desk", dirs=[folder]) as host:
        yield host


def test_program_is_fed_watched_and_waited_for(host: PluginHost) -> None:
    session = host.exec("desk", sh("read name; echo hello $name; exit 3"), tty=False)
    assert (session.plugin, session.tty, session.exit) == ("desk", False, None)
    session.write(b"Ada\n")
    with session.attach() as viewer:
        assert [item for item in viewer] == [Output("stdout", 0, b"hello Ada\n")]  # noqa: C416
    ended = session.wait()
    assert ended.code == 3
    assert session.exit == ended
    assert session.totals()["stdout"] == 10
    session.close()


def test_output_is_followed_by_a_thread_while_another_types(host: PluginHost) -> None:
    session = host.exec("desk", ["cat"], tty=False)
    seen: list[bytes] = []

    def watch() -> None:
        with session.attach() as viewer:
            seen.extend(item.data for item in viewer if isinstance(item, Output))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(50):
        session.write(b"%d\n" % number)
        assert host.call("desk", "echo", {"value": number}) == number
    session.close_stdin()
    watcher.join(10)
    assert b"".join(seen) == b"".join(b"%d\n" % number for number in range(50))
    session.close()


def test_viewer_goes_on_where_the_last_one_was(host: PluginHost) -> None:
    session = host.exec("desk", ["printf", "0123456789"], tty=False, replay_bytes=4, detached=True)
    session.wait()
    with session.attach(offset=0) as viewer:
        assert list(viewer) == [Gap("stdout", 0, 6), Output("stdout", 6, b"6789")]
        assert viewer.session is session
        assert (viewer.start["stdout"], viewer.evicted["stdout"]) == (6, 6)
    session.close()


def test_terminal_has_the_size_it_is_given(host: PluginHost) -> None:
    session = host.exec("desk", sh("stty size; read line; stty size"), rows=24, cols=80)
    with session.attach() as viewer:
        assert next(viewer) == Output("stdout", 0, b"24 80\r\n")
        viewer.resize(rows=50, cols=132)
        viewer.write(b"\n")
        rest = b"".join(item.data for item in viewer if isinstance(item, Output))
    assert rest.endswith(b"50 132\r\n")
    session.close()


def test_wait_ends_with_its_time_and_the_session_runs_on(host: PluginHost) -> None:
    session = host.exec("desk", ["sleep", "600"], tty=False)
    with pytest.raises(CallTimeout, match="has not ended within"):
        session.wait(timeout=0.05)
    session.signal("SIGTERM")
    assert session.wait(timeout=10).signal == "SIGTERM"
    session.close()


def test_errors_are_those_of_the_asyncio_host(host: PluginHost) -> None:
    with pytest.raises(TerminalError):
        host.exec("desk", ["no-such-program"])
    with pytest.raises(HandlerNotFound):
        host.exec("desk", resource="nothing")
    with pytest.raises(TypeError, match="list of words"):
        host.exec("desk", "true")
    session = host.exec("desk", ["true"], tty=False)
    session.wait()
    with pytest.raises(SessionClosed):
        session.write(b"x")
    with session.attach(read_only=True) as viewer, pytest.raises(ViewerReadOnly):
        viewer.write(b"x")
    session.close()
    acts = (lambda: session.write(b"x"), lambda: session.signal("SIGTERM"), session.close_stdin)
    for act in (*acts, session.attach, session.close):
        with pytest.raises(SessionNotFound):
            act()


def test_sessions_are_listed_and_one_session_is_one_object(host: PluginHost) -> None:
    session = host.exec("desk", ["sleep", "600"], id="nap")
    assert session in host.sessions()
    assert session.get().state == "running"
    assert [handler.key for handler in host.exec_handlers("desk")] == ["desk/local"]
    session.close()


def test_viewer_that_two_threads_iterate_over_refuses_the_second(
    host: PluginHost, wait_until: WaitUntil
) -> None:
    session = host.exec("desk", ["cat"], tty=False)
    viewer = session.attach()
    first = threading.Thread(target=lambda: list(viewer))
    first.start()
    wait_until(lambda: viewer._iteration._turn.locked())
    with pytest.raises(RuntimeError, match="two threads"):
        next(viewer)
    session.close_stdin()
    first.join(10)
    assert not first.is_alive()
    viewer.detach()
    session.close()


def test_plugin_that_dies_ends_waits_and_iterations(tmp_path: Path, wait_until: WaitUntil) -> None:
    folder = write_plugin(tmp_path, "desk", textwrap.dedent(DESK))
    with blocking("desk", dirs=[folder]) as own:
        session = own.exec("desk", ["sleep", "600"], tty=False)
        viewer = session.attach()
        ends: list[BaseException] = []

        def follow(step: object) -> None:
            try:
                list(viewer) if step == "iterate" else session.wait()
            except PluginDied as error:
                ends.append(error)

        threads = [threading.Thread(target=follow, args=(step,)) for step in ("iterate", "wait")]
        for thread in threads:
            thread.start()
        wait_until(lambda: viewer._iteration._turn.locked())

        pid = own.plugins["desk"].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        for thread in threads:
            thread.join(10)
    assert [type(end) for end in ends] == [PluginDied, PluginDied]
    with pytest.raises(PluginDied):  # also when nobody is there to ask any more
        session.get()
