"""The user's terminal: raw and restored, and its size."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import struct
import termios
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from fcntl import ioctl
from typing import Any

import pytest

from plugin_host.cli.localterminal import LocalTerminal
from tests.run import Run
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges


@contextmanager
def terminal(rows: int = 40, cols: int = 100) -> Iterator[tuple[int, int]]:
    """A terminal: the user's side and the program's."""
    screen, own = pty.openpty()
    resize(screen, rows, cols)
    try:
        yield screen, own
    finally:
        os.close(own)
        os.close(screen)


def resize(fd: int, rows: int, cols: int) -> None:
    ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def is_raw(mode: list[Any]) -> bool:
    return not mode[1] & termios.OPOST and not mode[3] & (termios.ICANON | termios.ECHO | termios.ISIG)


def test_terminal_is_raw_while_it_is_held(run: Run) -> None:
    async def body() -> None:
        with terminal() as (_, own):
            before = termios.tcgetattr(own)
            with LocalTerminal((own,)).held(raw=True):
                assert is_raw(termios.tcgetattr(own))
            assert termios.tcgetattr(own) == before

    run(body())


def test_terminal_is_restored_when_the_body_raises(run: Run) -> None:
    async def body() -> None:
        with terminal() as (_, own):
            before = termios.tcgetattr(own)
            with pytest.raises(ZeroDivisionError), LocalTerminal((own,)).held(raw=True):
                raise ZeroDivisionError
            assert termios.tcgetattr(own) == before

    run(body())


def test_terminal_is_left_alone_unless_it_is_to_be_raw(run: Run) -> None:
    async def body() -> None:
        with terminal() as (_, own):
            before = termios.tcgetattr(own)
            with LocalTerminal((own,)).held(raw=False):
                assert termios.tcgetattr(own) == before

    run(body())


def test_terminal_that_goes_away_is_no_error(run: Run) -> None:
    async def body() -> None:
        screen, own = pty.openpty()
        with LocalTerminal((own,)).held(raw=True):
            os.close(screen)
            os.close(own)

    run(body())


def test_what_is_no_terminal_has_no_size_and_no_keys(run: Run) -> None:
    async def body() -> None:
        read_end, write_end = os.pipe()
        local = LocalTerminal((read_end,))
        assert (local.has_keys, local.size) == (False, None)
        with local.held(raw=True):
            pass
        os.close(read_end)
        os.close(write_end)

    run(body())


def test_size_is_that_of_the_first_terminal_that_has_one(run: Run) -> None:
    async def body() -> None:
        read_end, write_end = os.pipe()
        with terminal(0, 0) as (_, unsized), terminal() as (_, own):
            local = LocalTerminal((read_end, unsized, own))
            assert (local.has_keys, local.size) == (False, (40, 100))
        os.close(read_end)
        os.close(write_end)

    run(body())


def test_changes_of_the_size_are_seen_and_the_latest_counts(run: Run) -> None:
    async def body() -> None:
        with terminal() as (screen, own):
            local = LocalTerminal((own,))
            with local.held(raw=False):
                async with aclosing(local.sizes((24, 80))) as sizes:
                    assert await anext(sizes) == (40, 100)
                    following = asyncio.ensure_future(anext(sizes))
                    await asyncio.sleep(0)
                    resize(screen, 40, 100)
                    os.kill(os.getpid(), signal.SIGWINCH)
                    resize(screen, 50, 100)
                    resize(screen, 60, 100)
                    os.kill(os.getpid(), signal.SIGWINCH)
                    assert await following == (60, 100)

    run(body())


def test_terminal_is_made_raw_again_after_a_stop(run: Run, wait_until: WaitUntil) -> None:
    async def body() -> None:
        with terminal() as (_, own):
            local = LocalTerminal((own,))
            with local.held(raw=True):
                # As a shell leaves it that has stopped and continued the program.
                mode = termios.tcgetattr(own)
                mode[3] |= termios.ECHO | termios.ICANON
                termios.tcsetattr(own, termios.TCSANOW, mode)
                os.kill(os.getpid(), signal.SIGCONT)
                await wait_until.aio(lambda: is_raw(termios.tcgetattr(own)))

    run(body())


def test_signals_are_given_back(run: Run) -> None:
    async def body() -> None:
        with terminal() as (_, own), LocalTerminal((own,)).held(raw=True):
            pass

    run(body())
    for signum in (signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP):
        assert signal.getsignal(signum) is signal.SIG_DFL
