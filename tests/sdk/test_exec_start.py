"""Starting programs, on terminals and on pipes alike: what they get, and why they cannot be started."""

from __future__ import annotations

import errno
import gc
import os
import signal
import stat
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.exec import spawning
from plugin_host_sdk.exec.process import spawn_pipes
from plugin_host_sdk.exec.terminal import RealTerminalFactory
from tests.sdk.ends import ENV, descriptors, end_of, handling, has_children, outcome, read_all, signal_set

pytestmark = pytest.mark.edges

Said = Callable[..., bytes]
"""Starts a program and gives all it says, once it has ended."""


def on_terminal(argv: Sequence[str], cwd: str | None = None, env: Mapping[str, str] = ENV) -> bytes:
    terminal = RealTerminalFactory().spawn(argv, cwd=cwd, env=env, rows=27, cols=72)
    assert terminal.pid is not None
    said = read_all(terminal.master_fd)
    end_of(terminal.pid)
    terminal.close()
    return said.replace(b"\r\n", b"\n")


def on_pipes(argv: Sequence[str], cwd: str | None = None, env: Mapping[str, str] = ENV) -> bytes:
    said, complained, _ = outcome(spawn_pipes(argv, cwd=cwd, env=env))
    return said + complained


@pytest.fixture(params=[on_terminal, on_pipes])
def run_it(request: pytest.FixtureRequest) -> Said:
    said: Said = request.param
    return said


def executable(path: Path, text: str, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_arguments_arrive_as_given_the_name_too(run_it: Said) -> None:
    arguments = ["cat", "/proc/self/cmdline"]
    assert run_it(arguments) == b"cat\0/proc/self/cmdline\0"
    odd = ["printf", "%s", "a b'\"$x\n\u00e9\udcff"]
    assert run_it(odd) == "a b'\"$x\n\u00e9".encode() + b"\xff"


def test_environment_is_the_whole_environment(run_it: Said) -> None:
    assert run_it(["/usr/bin/env"], env={"A": "1", "B": "x=y\udcff"}) == b"A=1\nB=x=y\xff\n"
    assert run_it(["/usr/bin/env"], env={}) == b""


def test_program_starts_in_its_folder(run_it: Said, tmp_path: Path) -> None:
    assert run_it(["pwd", "-P"], cwd=str(tmp_path)) == os.fsencode(tmp_path.resolve()) + b"\n"


def test_folder_relative_to_the_plugins_is_entered_once(
    run_it: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "in" / "tool", "#!/bin/sh\necho $0 in $(pwd -P)\n")
    monkeypatch.chdir(tmp_path)
    place = os.fsencode((tmp_path / "in").resolve())
    assert run_it(["./tool"], cwd="in") == b"./tool in " + place + b"\n"
    assert run_it(["in/tool"]) == b"in/tool in " + os.fsencode(tmp_path.resolve()) + b"\n"


def test_program_is_searched_in_the_childs_path_from_its_folder(
    run_it: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "its" / "tool", "#!/bin/sh\necho its\n")
    executable(tmp_path / "ours" / "tool", "#!/bin/sh\necho ours\n")
    monkeypatch.setenv("PATH", str(tmp_path / "ours"))
    assert run_it(["tool"], env={"PATH": str(tmp_path / "its")}) == b"its\n"
    assert run_it(["tool"], cwd=str(tmp_path), env={"PATH": "nowhere:its"}) == b"its\n"
    assert run_it(["tool"], cwd=str(tmp_path / "its"), env={"PATH": ""}) == b"its\n"
    monkeypatch.chdir(tmp_path / "its")
    assert run_it(["tool"], env={"PATH": ""}) == b"its\n"
    with pytest.raises(TerminalError) as caught:
        run_it(["tool"], env={"PATH": "/nowhere"})
    assert "/nowhere" in str(caught.value)


def test_without_a_path_the_systems_is_searched(run_it: Said) -> None:
    assert run_it(["echo", "hi"], env={}) == b"hi\n"


def test_search_goes_on_after_what_cannot_be_executed(run_it: Said, tmp_path: Path) -> None:
    (tmp_path / "folder" / "tool").mkdir(parents=True)
    executable(tmp_path / "plain" / "tool", "", 0o644)
    executable(tmp_path / "good" / "tool", "#!/bin/sh\necho good\n")
    path = ":".join(str(tmp_path / name) for name in ("folder", "plain", "good"))
    assert run_it(["tool"], env={"PATH": path}) == b"good\n"
    for folder, reason in (("folder", "not_found"), ("plain", "not_executable")):
        with pytest.raises(TerminalError) as caught:
            run_it(["tool"], env={"PATH": str(tmp_path / folder)})
        assert caught.value.data["reason"] == reason


@pytest.mark.parametrize(
    ("name", "text", "mode", "expected"),
    [
        ("absent", None, 0, (errno.ENOENT, "not_found", None)),
        ("folder/", None, 0, (errno.EACCES, "not_executable", "directory")),
        ("plain", "#!/bin/sh\n", 0o644, (errno.EACCES, "not_executable", "permission")),
        ("alien", "#!/no/such/shell -e\n", 0o755, (errno.ENOENT, "not_executable", "interpreter")),
        ("dos", "#!/bin/sh\r\necho\r\n", 0o755, (errno.ENOENT, "not_executable", "interpreter")),
        ("guarded", "#!/etc/passwd\n", 0o755, (errno.EACCES, "not_executable", "permission")),
        ("text", "echo hi\n", 0o755, (errno.ENOEXEC, "not_executable", "format")),
        ("empty", "", 0o755, (errno.ENOEXEC, "not_executable", "format")),
    ],
)
def test_what_cannot_be_executed_is_told_apart(
    run_it: Said,
    tmp_path: Path,
    name: str,
    text: str | None,
    mode: int,
    expected: tuple[int, str, str | None],
) -> None:
    path = tmp_path / name
    if text is not None:
        executable(path, text, mode)
    elif name.endswith("/"):
        path.mkdir()
    before = descriptors()
    with pytest.raises(TerminalError) as caught:
        run_it([str(path)])
    data = caught.value.data
    assert (data["errno"], data["reason"], data.get("detail")) == expected
    assert data["file"] == str(path)
    assert str(path) in caught.value.message
    assert not caught.value.retryable
    assert not has_children()
    assert descriptors() == before


def test_messages_name_the_interpreter_and_what_is_wrong_with_it(run_it: Said, tmp_path: Path) -> None:
    alien = executable(tmp_path / "alien", "#! /no/such/shell -e\n")
    with pytest.raises(TerminalError, match="'/no/such/shell', which does not exist: mend"):
        run_it([str(alien)])
    dos = executable(tmp_path / "dos", "#!/bin/sh\r\necho\r\n")
    with pytest.raises(TerminalError, match="ends like those of Windows"):
        run_it([str(dos)])


@pytest.mark.parametrize(
    ("argv", "env", "reason"),
    [
        ([], ENV, "not_found"),
        ([""], ENV, "not_found"),
        (["no-such-program-anywhere"], ENV, "not_found"),
        (["echo", "a\0b"], ENV, "invalid"),
        (["echo", "\ud800"], ENV, "invalid"),
        (["echo"], {"": "x"}, "invalid"),
        (["echo"], {"A=B": "x"}, "invalid"),
        (["echo"], {"A": "secret\0"}, "invalid"),
        (["echo"], {"A\0": "x"}, "invalid"),
        (["echo"], {"A": "\ud800"}, "invalid"),
    ],
)
def test_what_no_program_can_be_given_is_refused_beforehand(
    run_it: Said, argv: list[str], env: dict[str, str], reason: str
) -> None:
    with pytest.raises(TerminalError) as caught:
        run_it(argv, env=env)
    assert caught.value.data["reason"] == reason
    assert "secret" not in str(caught.value)
    assert not has_children()


def test_folder_that_cannot_be_entered_is_named(run_it: Said, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, number in [("absent", errno.ENOENT), ("file", errno.ENOTDIR), ("file/in", errno.ENOTDIR)]:
        with pytest.raises(TerminalError) as caught:
            run_it(["echo"], cwd=str(tmp_path / name))
        data = caught.value.data
        assert (data["reason"], data["errno"], data["file"]) == ("bad_cwd", number, str(tmp_path / name))
    with pytest.raises(TerminalError, match="null character"):
        run_it(["echo"], cwd="/tmp\0")


def test_folder_that_has_just_gone_leaves_no_second_plugin_running(
    run_it: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spawning, "_check_folder", lambda cwd: None)
    before = descriptors()
    with pytest.raises(TerminalError) as caught:
        run_it(["/bin/echo"], cwd=str(tmp_path / "gone"))
    assert (caught.value.data["reason"], caught.value.data["errno"]) == ("bad_cwd", errno.ENOENT)
    assert not has_children()
    assert descriptors() == before


def test_program_that_has_just_gone_is_not_found(
    run_it: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "gone")
    monkeypatch.setattr(spawning, "find_executable", lambda name, cwd, env: path)
    with pytest.raises(TerminalError) as caught:
        run_it([path])
    assert (caught.value.data["reason"], caught.value.data["errno"]) == ("not_found", errno.ENOENT)
    assert not has_children()


def test_arguments_beyond_the_systems_limit_are_explained(run_it: Said) -> None:
    with pytest.raises(TerminalError, match="too long") as caught:
        run_it(["echo", "x" * 1_000_000])
    assert (caught.value.data["reason"], caught.value.data["errno"]) == ("system", errno.E2BIG)
    assert not has_children()


def test_program_inherits_no_ignored_and_no_blocked_signals(run_it: Said) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
    try:
        # Python itself ignores SIGPIPE.
        with handling(signal.SIGINT, signal.SIG_IGN):
            status = run_it(["cat", "/proc/self/status"])
        blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1, signal.SIGTERM})
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1, signal.SIGTERM})
    assert signal_set(status, "SigIgn") == set()
    assert signal_set(status, "SigBlk") == set()
    assert {signal.SIGUSR1, signal.SIGTERM} <= blocked, "the plugin's own mask is as it was"


def test_hang_up_is_default_unless_the_plugin_was_started_to_ignore_it(run_it: Said) -> None:
    with handling(signal.SIGHUP, lambda number, frame: None):
        assert signal_set(run_it(["cat", "/proc/self/status"]), "SigIgn") == set()
    with handling(signal.SIGHUP, signal.SIG_IGN), handling(signal.SIGINT, signal.SIG_IGN):
        assert signal_set(run_it(["cat", "/proc/self/status"]), "SigIgn") == {signal.SIGHUP}


def test_program_leads_a_session_and_holds_nothing_of_the_plugin(run_it: Said) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        said = run_it(["sh", "-c", "ls /proc/$$/fd; cut -d' ' -f6 /proc/$$/stat; echo $$"])
    finally:
        os.close(reading)
        os.close(writing)
    *fds, session, pid = said.split()
    assert session == pid
    # dash keeps none of its own while it runs a list of commands.
    assert set(fds) == {b"0", b"1", b"2"}


def test_fork_beside_threads_warns_nobody(run_it: Said) -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with warnings.catch_warnings(), handling(signal.SIGINT, signal.SIG_IGN):
            warnings.simplefilter("error")
            assert run_it(["echo", "hi"]) == b"hi\n"
            filters = list(warnings.filters)
            assert run_it(["echo", "hi"]) == b"hi\n"
            assert warnings.filters == filters, "Python would show again what it has shown"
            with pytest.raises(DeprecationWarning):
                warnings.warn("others are still heard", DeprecationWarning, stacklevel=1)
    finally:
        done.set()
        thread.join()


def test_signals_that_the_plugin_blocks_stay_blocked_while_it_starts_a_program(run_it: Said) -> None:
    # One that waits with sigwait dies of what is unblocked for a moment only.
    unblocked: list[object] = []
    real = signal.pthread_sigmask

    def observed(how: int, mask: Iterable[int]) -> set[int | signal.Signals]:
        if how == signal.SIG_SETMASK:
            unblocked.append(mask)
        return real(how, mask)

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(signal, "pthread_sigmask", observed)
            assert signal_set(run_it(["cat", "/proc/self/status"]), "SigBlk") == set()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    assert unblocked == [], "only the child's"


def test_script_and_device_are_told_apart(run_it: Said) -> None:
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(TerminalError) as caught:
        run_it(["/dev/null"])
    assert caught.value.data["reason"] == "not_executable"


def test_nothing_complains_when_a_start_is_forgotten(run_it: Said) -> None:
    run_it(["true"])
    gc.collect()  # a dropped Popen would warn, which is an error here
