"""Sessions of a host that runs, as a user has them at a terminal: left, found again, and what stays."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.host.cli_exec import Seat
from tests.host.cli_hosted import Hosted, alone, hosted
from tests.host.cli_run import COMMAND, cli
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

__all__ = ["alone", "cli", "hosted"]

LEAVE = "\x10\x11"
SHELL = ["desk", "env", "PS1=on> ", "sh"]


def seat(hosted: Hosted, *words: str, rows: int = 40, cols: int = 100) -> Seat:
    """A user at `plugin-host WORDS`."""
    return Seat(hosted.cli, program=[*COMMAND, *words], rows=rows, cols=cols)


def test_session_is_left_by_its_keys_and_found_again(hosted: Hosted) -> None:
    with seat(hosted, "exec", "-it", *SHELL) as first:
        first.see("on> ")
        first.type("x=7; stty size\r")
        first.see("\n40 100\r\non> ")
        first.type(LEAVE)
        first.see("it runs on: plugin-host attach ")
        assert (first.end(), first.mode) == (0, first.found)
    (id,) = hosted.sessions()
    with seat(hosted, "attach", id[:12], rows=30, cols=90) as second:
        second.see("x=7; stty size\r\n40 100\r\non> ")
        assert second.is_raw()
        second.type("stty size; echo x=$x\r")
        second.see("30 90\r\nx=7\r\non> ")
        second.resize(20, 60)
        second.type("until [ \"$(stty size)\" = '20 60' ]; do sleep 0.05; done; echo re''sized\r")
        second.see("resized\r\non> ")
        second.type("stty raw -echo; echo re''ady; head -c 2 | od -An -tx1; stty sane; exit 4\r")
        second.see("ready")
        second.type("\x10a")  # half of the keys, and another one
        second.see("10 61")
        assert (second.end(), second.mode) == (4, second.found)
    hosted.close(id)


def test_who_only_looks_cannot_type_and_leaves_with_interrupt(hosted: Hosted) -> None:
    id = hosted.cli("exec", "-d", "-i", "-t", *SHELL).out.strip()
    with seat(hosted, "attach", id, "--read-only") as looking:
        looking.see("on> ")
        looking.type("exit 9\r\x03")
        assert (looking.end(), looking.mode) == (0, looking.found)
    with seat(hosted, "attach", id, "--detach-keys", "ctrl-a,d") as typing:
        typing.see("on> ")
        typing.type("echo he''re\r")
        typing.see("\nhere\r\n")
        typing.type("\x01d")
        assert (typing.end(), typing.mode) == (0, typing.found)
    hosted.close(id)


HANDLED = [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2]
DEADLY = [signal.SIGALRM, signal.SIGABRT, signal.SIGVTALRM, signal.SIGRTMIN]


@pytest.mark.parametrize(
    ("ending", "status"),
    [*((one, 128 + one) for one in HANDLED), *((one, -one) for one in DEADLY)],
)
def test_attached_user_who_is_sent_away_leaves_the_session(
    hosted: Hosted, ending: signal.Signals, status: int
) -> None:
    id = hosted.cli("exec", "-d", "-i", "-t", *SHELL).out.strip()
    with seat(hosted, "attach", id) as user:
        user.see("on> ")
        assert user.is_raw()
        user.process.send_signal(ending)
        assert (user.end(), user.mode) == (status, user.found)
    assert hosted.cli("sessions", "--json").json[0]["state"] == "running"
    hosted.close(id)


def test_terminal_is_as_before_when_exec_dies_of_a_signal(hosted: Hosted, wait_until: WaitUntil) -> None:
    with seat(hosted, "exec", "-it", *SHELL) as user:
        user.see("on> ")
        assert user.is_raw()
        user.process.send_signal(signal.SIGALRM)
        assert (user.end(), user.mode) == (-signal.SIGALRM, user.found)
    wait_until(lambda: hosted.sessions() == [])


@pytest.mark.parametrize("keep", [False, True])
def test_terminal_that_goes_ends_the_session_unless_it_is_kept(
    hosted: Hosted, wait_until: WaitUntil, keep: bool
) -> None:
    with seat(hosted, "exec", "-it", *(["--keep"] if keep else []), *SHELL) as user:
        user.see("on> ")
        (id,) = hosted.sessions()
        user.process.send_signal(signal.SIGHUP)
        assert (user.end(), user.mode) == (128 + signal.SIGHUP, user.found)
    if keep:
        hosted.close(id)
    wait_until(lambda: hosted.sessions() == [])


def test_terminal_is_as_before_when_the_host_is_killed(alone: Hosted) -> None:
    with seat(alone, "exec", "-it", *SHELL) as user:
        user.see("on> ")
        assert user.is_raw()
        alone.process.send(signal.SIGKILL)
        user.see(f"plugin-host: the connection to the host at {alone.socket} ended")
        assert (user.end(), user.mode) == (125, user.found)


# In a terminal multiplexer, which shows what a user sees.


@pytest.fixture
def tmux(hosted: Hosted, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """`tmux(WORDS)` is what a tmux with one shell, of 80 columns and 24 rows, says to them."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")

    def ask(*words: str) -> str:
        command = ["tmux", "-S", str(tmp_path / "tmux"), "-f", "/dev/null", *words]
        return subprocess.run(
            command, env=hosted.cli.env, capture_output=True, text=True, check=True
        ).stdout

    ask("new-session", "-d", "-x", "80", "-y", "24", "exec env 'PS1=user> ' sh")
    yield ask
    ask("kill-server")


def test_in_tmux_the_screen_comes_back_and_the_terminal_is_restored(
    hosted: Hosted, tmux: Callable[..., str], tmp_path: Path, wait_until: WaitUntil
) -> None:
    def screen() -> list[str]:
        return [line.rstrip() for line in tmux("capture-pane", "-p").splitlines()]

    def run(*words: str) -> None:
        tmux("send-keys", "-l", shlex.join([*COMMAND, *words]))
        tmux("send-keys", "Enter")

    def last() -> str:
        return ["", *(line for line in screen() if line)][-1]

    wait_until(lambda: last() == "user>")
    tmux("send-keys", f"stty -a >{tmp_path}/before", "Enter")
    run("exec", "-it", *SHELL)
    wait_until(lambda: last() == "on>")
    tmux("send-keys", "clear; echo in''side; stty size", "Enter")
    wait_until(lambda: screen()[:3] == ["inside", "24 80", "on>"])
    tmux("send-keys", "C-p", "C-q")
    wait_until(lambda: last() == "user>")
    (id,) = hosted.sessions()
    tmux("send-keys", f"stty -a >{tmp_path}/after; clear", "Enter")
    wait_until(lambda: screen()[0] == "user>" and len(set(screen())) == 2)
    assert (tmp_path / "before").read_text() == (tmp_path / "after").read_text()
    run("attach", id)
    wait_until(lambda: screen()[:3] == ["inside", "24 80", "on>"])
    tmux("resize-window", "-x", "70", "-y", "20")
    tmux("send-keys", "clear; until [ \"$(stty size)\" = '20 70' ]; do sleep 0.1; done; stty size", "Enter")
    wait_until(lambda: screen()[:2] == ["20 70", "on>"])
    tmux("send-keys", "exit", "Enter")
    wait_until(lambda: last() == "user>")
    hosted.close(id)
