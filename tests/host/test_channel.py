"""The host's end of the wire: what it reads and writes at every stage of the other end's life."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from plugin_host.channel import Channel, ChildEnds, open_pipes, open_socketpair

Wire = tuple[Channel, ChildEnds]

KINDS = {"socketpair": open_socketpair, "pipes": open_pipes}


@pytest.fixture(params=KINDS)
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    channel, ends = KINDS[request.param]()
    yield channel, ends
    ends.close()
    channel.close()


def receive(channel: Channel, size: int = 100) -> bytes:
    buffer = bytearray(size)
    return bytes(buffer[: channel.recv_into(buffer)])


def fill(channel: Channel) -> int:
    """Send until nothing fits any more; how much did."""
    sent = 0
    while True:
        try:
            sent += channel.send(bytes(65536))
        except BlockingIOError:
            return sent


def test_what_the_child_has_not_read_is_known_and_falls_when_it_reads(wire: Wire) -> None:
    channel, ends = wire
    assert channel.untaken() == 0
    sent = fill(channel)
    assert (full := channel.untaken()) > 0
    assert channel.untaken() == full, "nothing was read"
    while sent > 0:
        sent -= len(os.read(ends.stdin, 1 << 20))
    assert channel.untaken() == 0
    channel.close()
    assert channel.untaken() == 0


def test_descriptors_are_private_and_only_the_hosts_do_not_block(wire: Wire) -> None:
    channel, ends = wire
    for fd in (channel.read_fd, channel.write_fd, ends.stdin, ends.stdout):
        assert not os.get_inheritable(fd)
    assert not os.get_blocking(channel.read_fd)
    assert not os.get_blocking(channel.write_fd)
    assert os.get_blocking(ends.stdin)
    assert os.get_blocking(ends.stdout)


def test_one_number_on_a_socket_and_two_on_pipes() -> None:
    for open_channel, numbers in ((open_socketpair, 1), (open_pipes, 2)):
        channel, ends = open_channel()
        assert len({channel.read_fd, channel.write_fd}) == numbers
        assert len({ends.stdin, ends.stdout}) == numbers
        ends.close()
        channel.close()


def test_bytes_pass_both_ways(wire: Wire) -> None:
    channel, ends = wire
    assert channel.send(b"request") == 7
    assert os.read(ends.stdin, 100) == b"request"
    os.write(ends.stdout, b"answer")
    assert receive(channel) == b"answer"


def test_nothing_there_raises_and_does_not_wait(wire: Wire) -> None:
    with pytest.raises(BlockingIOError):
        receive(wire[0])


def test_full_channel_raises_and_goes_on_once_it_was_read(wire: Wire) -> None:
    channel, ends = wire
    sent = fill(channel)
    assert sent >= 65536
    while sent:
        sent -= len(os.read(ends.stdin, 1 << 20))
    assert channel.send(b"more") == 4


def test_end_of_file_is_zero_after_the_last_bytes(wire: Wire) -> None:
    channel, ends = wire
    os.write(ends.stdout, b"last words")
    ends.close()
    assert receive(channel) == b"last words"
    assert receive(channel) == b""
    assert receive(channel) == b""


def test_child_that_dies_with_requests_unread_is_end_of_file(wire: Wire) -> None:
    channel, ends = wire
    channel.send(b"never read")
    os.write(ends.stdout, b"last words")
    ends.close()
    assert receive(channel) == b"last words"
    with suppress(ConnectionResetError):  # a socket may say so once
        assert receive(channel) == b""
    assert receive(channel) == b""


def test_send_to_nobody_is_a_broken_pipe(wire: Wire) -> None:
    channel, ends = wire
    channel.send(b"never read")
    ends.close()
    with pytest.raises(BrokenPipeError):
        channel.send(b"hello?")


def test_closing_the_write_side_leaves_the_read_side_open(wire: Wire) -> None:
    channel, ends = wire
    channel.send(b"last request")
    channel.close_write()
    channel.close_write()
    assert os.read(ends.stdin, 100) == b"last request"
    assert os.read(ends.stdin, 100) == b""
    with pytest.raises(BrokenPipeError):
        channel.send(b"one more")
    os.write(ends.stdout, b"late answer")
    assert receive(channel) == b"late answer"


def test_closing_the_write_side_to_a_dead_child_does_nothing(wire: Wire) -> None:
    channel, ends = wire
    ends.close()
    channel.close_write()
    channel.close()
    channel.close_write()


def test_closing_twice_closes_nobody_elses_descriptor(wire: Wire) -> None:
    channel, ends = wire
    channel.close()
    ends.close()
    others = [os.dup(0) for _ in range(4)]  # these take the numbers that have become free
    channel.close()
    ends.close()
    assert (channel.read_fd, channel.write_fd) == (-1, -1)
    for fd in others:
        os.close(fd)


def test_repr_shows_the_descriptors(wire: Wire) -> None:
    assert f"fd={wire[0].read_fd}" in repr(wire[0])


def test_second_pipe_that_fails_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []

    def pipe(original: Callable[[], tuple[int, int]] = os.pipe) -> tuple[int, int]:
        if made:
            raise OSError(24, "Too many open files")
        made.append(original())
        return made[-1]

    monkeypatch.setattr(os, "pipe", pipe)
    with pytest.raises(OSError, match="Too many"):
        open_pipes()
    for fd in made[0]:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_hosts_setting_does_not_reach_the_child(wire: Wire) -> None:
    channel, ends = wire
    code = "import os; os.write(1, b'%d %d' % (os.get_blocking(0), os.get_blocking(1)))"
    command = [sys.executable, "-S", "-c", code]
    subprocess.run(command, stdin=ends.stdin, stdout=ends.stdout, check=True)
    assert receive(channel) == b"1 1"


def test_stdout_of_pipes_can_be_opened_by_name() -> None:
    channel, ends = open_pipes()
    command = ["sh", "-c", "echo by name > /dev/stdout"]
    subprocess.run(command, stdin=ends.stdin, stdout=ends.stdout, check=True)
    assert receive(channel) == b"by name\n"
    ends.close()
    channel.close()
