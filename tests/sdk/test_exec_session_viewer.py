"""The viewers of a session: where they join, what they get, and when the session is read for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from plugin_host_sdk.errors import CallFailed
from plugin_host_sdk.exec import session as session_module
from plugin_host_sdk.exec.session import RUNNING
from plugin_host_sdk.testing import StreamEnd
from plugin_host_sdk.types.session import AttachedStream, Stored
from tests.sdk.sitting import Sit

if TYPE_CHECKING:
    from plugin_host_sdk.sink import OutputListener


def place(base: int, start: int, end: int, evicted: int = 0) -> AttachedStream:
    return AttachedStream(base=base, start=start, end=end, evicted=evicted)


# The answer to attach.


@pytest.mark.parametrize(
    ("offset", "stdout", "stderr"),
    [
        (None, place(6, 6, 12, 6), place(2, 2, 6, 2)),
        (-1, place(12, 12, 12), place(6, 6, 6)),
        (9, place(9, 9, 12), place(2, 2, 6, 2)),
        (12, place(12, 12, 12), place(2, 2, 6, 2)),
        (6, place(6, 6, 12), place(2, 2, 6, 2)),
        (4, place(4, 6, 12, 2), place(2, 2, 6, 2)),
        (0, place(0, 6, 12, 6), place(2, 2, 6, 2)),
        ({}, place(6, 6, 12, 6), place(2, 2, 6, 2)),
        ({"stdout": 11}, place(11, 11, 12), place(2, 2, 6, 2)),
        ({"stderr": 1}, place(6, 6, 12, 6), place(1, 2, 6, 1)),
        ({"stdout": -1, "stderr": None}, place(12, 12, 12), place(2, 2, 6, 2)),
        ({"stdout": 7, "stderr": 5}, place(7, 7, 12), place(5, 5, 6)),
    ],
)
def test_offset_says_where_a_viewer_joins(
    sit: Sit, offset: Any, stdout: AttachedStream, stderr: AttachedStream
) -> None:
    sitting = sit(tty=False, detached=True, replay_bytes=10)
    sitting.run()
    for name, data in (("stdout", b"abcdef"), ("stderr", b"ABCDEF"), ("stdout", b"ghijkl")):
        sitting.session.feed(name, data)
    attached = sitting.attach(offset=offset)
    assert (attached.stdout, attached.stderr) == (stdout, stderr)
    assert attached.session.viewers == 1
    for number, where, data in ((4, stdout, b"abcdefghijkl"), (6, stderr, b"ABCDEF")):
        assert sitting.sink.output(number) == data[where.start :]
        expected = [(0, where.start - where.base)] if where.start > where.base else []
        assert sitting.sink.gaps(number) == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"offset": 4}, "offset 4 is beyond the end of stdout, 3"),
        ({"offset": {"stderr": 2}}, "offset 2 is beyond the end of stderr, 1"),
        ({"offset": {"stdin": 0}}, "has no output 'stdin'"),
        ({"stderr": None}, "name a stream for stderr, too"),
        ({"viewer": 1}, "viewer 1 of session s is taken"),
        ({"stdout": 4}, "stream 4 is or was open"),
        ({"stdout": 100, "stderr": 100}, "stream 100 is or was open"),
    ],
)
def test_viewer_that_cannot_be_is_refused_and_leaves_nothing(
    sit: Sit, options: dict[str, Any], words: str
) -> None:
    sitting = sit(tty=False)
    sitting.run()
    sitting.attach()  # viewer 1, streams 4 and 6
    sitting.session.feed("stdout", b"abc")
    sitting.session.feed("stderr", b"x")
    with pytest.raises(CallFailed, match=words) as caught:
        sitting.attach(**options)
    assert caught.value.name == "rpc.invalid_params"
    assert sitting.session.info().viewers == 1
    sitting.session.feed("stdout", b"def")
    assert sitting.sink.output(4) == b"abcdef"
    if options.get("stdout") == 100:
        assert sitting.sink.end_of(100) == StreamEnd(0, None)  # it had been opened


def test_first_viewer_that_is_refused_costs_the_next_nothing(sit: Sit) -> None:
    sitting = sit(replay_bytes=10)
    sitting.run()
    sitting.session.feed("stdout", b"0123456789abcdef")
    with pytest.raises(CallFailed):
        sitting.attach(offset=17)
    sitting.attach()
    assert sitting.sink.output(4) == b"0123456789abcdef"


def test_terminal_has_one_stream_and_ignores_a_second(sit: Sit) -> None:
    sitting = sit()
    sitting.run()
    attached = sitting.attach(stderr=8)
    assert attached.stderr is None
    with pytest.raises(KeyError):
        sitting.sink.output(8)
    with pytest.raises(CallFailed, match="has no output 'stderr'"):
        sitting.attach(offset={"stderr": 0})


def test_there_are_so_many_viewers_and_no_more(sit: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "VIEWERS", 3)
    sitting = sit()
    sitting.run()
    for _ in range(3):
        sitting.attach()
    with pytest.raises(CallFailed, match="viewer 4 of session s is one over 3"):
        sitting.attach()
    sitting.session.detach(2)
    assert sitting.attach().session.viewers == 3


# Viewers come and go.


def test_viewers_get_the_same_each_from_its_place(sit: Sit) -> None:
    sitting = sit()
    sitting.run()
    sitting.attach()
    sitting.session.feed("stdout", b"one ")
    sitting.attach(offset=2)
    sitting.session.feed("stdout", b"two ")
    sitting.attach(offset=-1)
    sitting.session.feed("stdout", b"three")
    assert [sitting.sink.output(number) for number in (4, 8, 12)] == [
        b"one two three",
        b"e two three",
        b"three",
    ]


def test_detached_viewer_is_told_and_the_session_runs_on(sit: Sit) -> None:
    sitting = sit()
    sitting.run()
    sitting.attach()
    sitting.attach()
    sitting.session.feed("stdout", b"both")
    sitting.session.detach(1)
    sitting.session.feed("stdout", b" one")
    assert sitting.sink.end_of(4) == StreamEnd(
        4, {"name": "detached", "message": "the viewer was detached"}
    )
    assert (sitting.sink.output(4), sitting.sink.output(8)) == (b"both", b"both one")
    assert (sitting.session.state, sitting.session.info().viewers) == (RUNNING, 1)
    assert sitting.session.info().output["stdout"] == Stored(0, 8)


def test_detaching_who_is_not_there_is_no_error(sit: Sit) -> None:
    sitting = sit()
    sitting.session.detach(1)
    sitting.run()
    sitting.attach()
    sitting.session.detach(1)
    sitting.session.detach(1)
    sitting.session.detach(77)
    assert not sitting.session.is_watched


def test_number_of_a_viewer_that_left_may_be_used_again(sit: Sit) -> None:
    sitting = sit()
    sitting.run()
    sitting.attach()
    sitting.session.detach(1)
    assert sitting.attach(viewer=1).session.viewers == 1


def test_viewer_that_gave_up_all_its_streams_is_gone(sit: Sit) -> None:
    sitting = sit(tty=False)
    sitting.run()
    sitting.attach()
    sitting.sink.stop_output(4)
    sitting.reactor.settle()
    assert sitting.session.is_watched
    sitting.session.feed("stdout", b"not wanted")
    sitting.session.feed("stderr", b"wanted")
    assert (sitting.sink.output(4), sitting.sink.output(6)) == (b"", b"wanted")
    assert sitting.sink.end_of(4) == StreamEnd(0, None)
    sitting.sink.stop_output(6)
    sitting.reactor.settle()
    assert not sitting.session.is_watched


def test_stream_that_was_stopped_before_it_was_opened_ends_at_once(sit: Sit) -> None:
    sitting = sit()
    sitting.run()
    open_output = sitting.sink.open_output

    def open_stopped(stream: int, credit: int, listener: OutputListener) -> None:
        open_output(stream, credit, listener)
        listener.stopped()

    sitting.sink.open_output = open_stopped  # type: ignore[method-assign]
    sitting.attach()
    sitting.reactor.settle()
    assert not sitting.session.is_watched
    assert sitting.sink.end_of(4) == StreamEnd(0, None)


def test_credit_that_comes_after_the_end_is_nothing(sit: Sit) -> None:
    sitting = sit()
    sitting.run()
    sitting.attach(window=1)
    sitting.session.feed("stdout", b"abc")
    sitting.sink.credit(4, 1)
    sitting.session.detach(1)
    sitting.reactor.settle()
    assert sitting.sink.output(4) == b"a"


# What is read, and when.


def test_nothing_is_read_beyond_the_ring_before_the_first_viewer(sit: Sit) -> None:
    sitting = sit(tty=False, replay_bytes=10)
    stdout, stderr = sitting.run(), sitting.outputs["stderr"]
    stdout.write(b"0123456")
    sitting.reactor.settle()
    stderr.write(b"ABCDEFGHIJ")
    sitting.reactor.settle()
    stdout.write(b"789")
    sitting.reactor.settle()
    assert sitting.session.info().output == {"stdout": Stored(0, 7), "stderr": Stored(0, 3)}
    assert sitting.reactor.watched == {}
    sitting.attach()
    sitting.reactor.settle()
    assert (sitting.sink.output(4), sitting.sink.output(6)) == (b"0123456789", b"ABCDEFGHIJ")


def test_session_without_a_ring_is_not_read_before_the_first_viewer(sit: Sit) -> None:
    sitting = sit(replay_bytes=0)
    output = sitting.run()
    output.write(b"all of it")
    sitting.reactor.settle()
    assert sitting.session.info().output == {"stdout": Stored(0, 0)}
    sitting.attach()
    sitting.reactor.settle()
    output.write(b" and more")
    sitting.reactor.settle()
    assert sitting.sink.output(4) == b"all of it and more"
    assert sitting.session.info().output == {"stdout": Stored(18, 18)}


def test_detached_session_runs_on_into_its_ring(sit: Sit) -> None:
    sitting = sit(detached=True, replay_bytes=10)
    output = sitting.run()
    output.write(b"0123456789abcdef")
    sitting.reactor.settle()
    assert sitting.session.info().output == {"stdout": Stored(6, 16)}
    assert sitting.session.room("stdout") > 0


def test_session_runs_on_when_its_first_viewer_has_left(sit: Sit) -> None:
    sitting = sit(replay_bytes=10)
    output = sitting.run()
    sitting.attach()
    sitting.session.detach(1)
    output.write(b"0123456789abcdef")
    sitting.reactor.settle()
    assert sitting.session.info().output == {"stdout": Stored(6, 16)}


def test_lossless_viewer_stops_the_output_it_does_not_take_and_no_other(sit: Sit) -> None:
    sitting = sit(tty=False)
    stdout, stderr = sitting.run(), sitting.outputs["stderr"]
    sitting.attach(window=4)
    stdout.write(b"0123456789")
    sitting.reactor.settle()
    stdout.write(b"abc")
    stderr.write(b"ABCD")
    sitting.reactor.settle()
    assert sitting.session.info().output == {"stdout": Stored(0, 10), "stderr": Stored(0, 4)}
    assert list(sitting.reactor.watched) == [stderr.reading]
    sitting.sink.credit(4, 6)
    sitting.reactor.settle()
    assert sitting.session.info().output["stdout"] == Stored(0, 13)
    sitting.sink.credit(4, 3)
    sitting.reactor.settle()
    assert (sitting.sink.output(4), sitting.sink.output(6)) == (b"0123456789abc", b"ABCD")


def test_one_slow_lossless_viewer_holds_the_others_who_lose_nothing(sit: Sit) -> None:
    sitting = sit()
    output = sitting.run()
    sitting.attach(window=2)
    sitting.attach()
    output.write(b"abc")
    sitting.reactor.settle()
    output.write(b"def")
    sitting.reactor.settle()
    assert sitting.sink.output(8) == b"abc"
    sitting.session.detach(1)
    sitting.reactor.settle()
    assert sitting.sink.output(8) == b"abcdef"


@pytest.mark.parametrize("leave", ["detach", "stop"])
def test_reading_goes_on_when_who_held_it_leaves(sit: Sit, leave: str) -> None:
    sitting = sit()
    output = sitting.run()
    sitting.attach(window=1)
    output.write(b"abc")
    sitting.reactor.settle()
    output.write(b"def")
    sitting.reactor.settle()
    assert sitting.session.info().output["stdout"].end == 3
    if leave == "detach":
        sitting.session.detach(1)
    else:
        sitting.sink.stop_output(4)
    sitting.reactor.settle()
    assert sitting.session.info().output["stdout"].end == 6


def test_lossy_viewer_holds_nobody_and_learns_what_it_missed(sit: Sit) -> None:
    sitting = sit(replay_bytes=0)  # it may be behind by a frame, whatever the ring is
    output = sitting.run()
    sitting.attach(window=10, lossless=False)
    for _ in range(3):
        output.write(bytes(50_000))
        sitting.reactor.settle()
    assert sitting.session.info().output["stdout"].end == 150_000
    sitting.sink.credit(4, 1 << 20)
    sitting.reactor.settle()
    (gap,) = sitting.sink.gaps(4)
    assert gap == (10, 150_000 - 10 - 64 * 1024)
    assert len(sitting.sink.output(4)) == 10 + 64 * 1024


def test_replay_that_a_lossless_viewer_has_not_taken_stops_the_reading(sit: Sit) -> None:
    sitting = sit(detached=True)
    output = sitting.run()
    output.write(b"before")
    sitting.reactor.settle()
    sitting.attach(window=3)
    output.write(b" after")
    sitting.reactor.settle()
    assert (sitting.sink.output(4), sitting.session.info().output["stdout"].end) == (b"bef", 6)
    sitting.sink.credit(4, 100)
    sitting.reactor.settle()
    assert sitting.sink.output(4) == b"before after"
