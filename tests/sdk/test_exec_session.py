"""One session: who is told what of it, when it is read, and how it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from plugin_host_sdk.errors import CallFailed, MessageTooLarge, SessionClosed, SessionNotFound
from plugin_host_sdk.exec import session as session_module
from plugin_host_sdk.exec.session import ENDED, ENDING, RUNNING, STARTING
from plugin_host_sdk.later import Later
from plugin_host_sdk.testing import StreamEnd
from plugin_host_sdk.types.session import AttachedStream, Exit, SessionFailure, Stored
from tests.sdk.sitting import OutputPipe, Sitting

if TYPE_CHECKING:
    from plugin_host_sdk.sink import OutputListener

Make = Callable[..., Sitting]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes sittings, and lets go of what they hold."""
    made: list[Sitting] = []

    def make_one(**options: Any) -> Sitting:
        made.append(Sitting(**options))
        return made[-1]

    yield make_one
    for sitting in made:
        sitting.release()
        assert sitting.sink.faults == []


def place(base: int, start: int, end: int, evicted: int = 0) -> AttachedStream:
    return AttachedStream(base=base, start=start, end=end, evicted=evicted)


# States.

STATES = [STARTING, RUNNING, ENDING, ENDED]
ALLOWED = {(STARTING, RUNNING), (STARTING, ENDED), (RUNNING, ENDING), (ENDING, ENDED)}


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
def test_states_move_by_the_table_alone(make: Make, before: str, after: str) -> None:
    session = make().session
    session._state = before
    if (before, after) in ALLOWED:
        session._move(after)
        assert session.state == after
    else:
        with pytest.raises(AssertionError, match=f"session s cannot go from {before} to {after}"):
            session._move(after)
        assert session.state == before


def test_session_starts_runs_and_ends(make: Make) -> None:
    sitting = make()
    session, states = sitting.session, [sitting.session.info().state]
    output = sitting.run()
    states.append(session.info().state)
    session.body_exited(code=0)
    sitting.reactor.settle()
    states.append(session.info().state)
    output.hang_up()
    sitting.reactor.settle()
    states.append(session.info().state)
    assert states == STATES
    assert sitting.ended == [session]


def test_repr_tells_the_state(make: Make) -> None:
    sitting = make()
    sitting.run()
    assert repr(sitting.session) == "<Session s running viewers=0>"


def test_info_is_what_was_asked_for_and_how_it_is(make: Make) -> None:
    sitting = make(labels={"team": "x"}, params={"n": 1}, command=("bash",))
    sitting.run()
    sitting.session.feed("stdout", b"12345")
    info = sitting.session.info()
    assert (info.id, info.handler, info.command, info.tty) == ("s", "demo/local", ("bash",), True)
    assert (info.rows, info.cols, info.created_at) == (27, 72, sitting.clock.time())
    assert (info.labels, info.params, info.viewers, info.attached) == ({"team": "x"}, {"n": 1}, 0, False)
    assert (info.pid, info.exit, info.output) == (4711, None, {"stdout": Stored(0, 5)})
    info.labels["team"] = "y"
    assert sitting.session.info().labels == {"team": "x"}


def test_pipes_have_no_size_and_two_outputs(make: Make) -> None:
    info = make(tty=False).session.info()
    assert (info.rows, info.cols) == (None, None)
    assert list(info.output) == ["stdout", "stderr"]


def test_size_is_that_of_the_last_resize(make: Make) -> None:
    sitting = make()
    sitting.run()
    later = Later()
    sitting.body.resize_answer = later
    assert sitting.session.resize(50, 132) is later
    assert sitting.body.calls == [("resize", 50, 132)]
    sitting.session.note_size(50, 132)
    info = sitting.session.info()
    assert (info.rows, info.cols) == (50, 132)


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
    make: Make, offset: Any, stdout: AttachedStream, stderr: AttachedStream
) -> None:
    sitting = make(tty=False, detached=True, replay_bytes=10)
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
    make: Make, options: dict[str, Any], words: str
) -> None:
    sitting = make(tty=False)
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


def test_first_viewer_that_is_refused_costs_the_next_nothing(make: Make) -> None:
    sitting = make(replay_bytes=10)
    sitting.run()
    sitting.session.feed("stdout", b"0123456789abcdef")
    with pytest.raises(CallFailed):
        sitting.attach(offset=17)
    sitting.attach()
    assert sitting.sink.output(4) == b"0123456789abcdef"


def test_terminal_has_one_stream_and_ignores_a_second(make: Make) -> None:
    sitting = make()
    sitting.run()
    attached = sitting.attach(stderr=8)
    assert attached.stderr is None
    with pytest.raises(KeyError):
        sitting.sink.output(8)
    with pytest.raises(CallFailed, match="has no output 'stderr'"):
        sitting.attach(offset={"stderr": 0})


def test_there_are_so_many_viewers_and_no_more(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "VIEWERS", 3)
    sitting = make()
    sitting.run()
    for _ in range(3):
        sitting.attach()
    with pytest.raises(CallFailed, match="viewer 4 of session s is one over 3"):
        sitting.attach()
    sitting.session.detach(2)
    assert sitting.attach().session.viewers == 3


# Viewers come and go.


def test_viewers_get_the_same_each_from_its_place(make: Make) -> None:
    sitting = make()
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


def test_detached_viewer_is_told_and_the_session_runs_on(make: Make) -> None:
    sitting = make()
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


def test_detaching_who_is_not_there_is_no_error(make: Make) -> None:
    sitting = make()
    sitting.session.detach(1)
    sitting.run()
    sitting.attach()
    sitting.session.detach(1)
    sitting.session.detach(1)
    sitting.session.detach(77)
    assert not sitting.session.is_watched


def test_number_of_a_viewer_that_left_may_be_used_again(make: Make) -> None:
    sitting = make()
    sitting.run()
    sitting.attach()
    sitting.session.detach(1)
    assert sitting.attach(viewer=1).session.viewers == 1


def test_viewer_that_gave_up_all_its_streams_is_gone(make: Make) -> None:
    sitting = make(tty=False)
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


def test_stream_that_was_stopped_before_it_was_opened_ends_at_once(make: Make) -> None:
    sitting = make()
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


def test_credit_that_comes_after_the_end_is_nothing(make: Make) -> None:
    sitting = make()
    sitting.run()
    sitting.attach(window=1)
    sitting.session.feed("stdout", b"abc")
    sitting.sink.credit(4, 1)
    sitting.session.detach(1)
    sitting.reactor.settle()
    assert sitting.sink.output(4) == b"a"


# What is read, and when.


def test_nothing_is_read_beyond_the_ring_before_the_first_viewer(make: Make) -> None:
    sitting = make(tty=False, replay_bytes=10)
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


def test_session_without_a_ring_is_not_read_before_the_first_viewer(make: Make) -> None:
    sitting = make(replay_bytes=0)
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


def test_detached_session_runs_on_into_its_ring(make: Make) -> None:
    sitting = make(detached=True, replay_bytes=10)
    output = sitting.run()
    output.write(b"0123456789abcdef")
    sitting.reactor.settle()
    assert sitting.session.info().output == {"stdout": Stored(6, 16)}
    assert sitting.session.room("stdout") > 0


def test_session_runs_on_when_its_first_viewer_has_left(make: Make) -> None:
    sitting = make(replay_bytes=10)
    output = sitting.run()
    sitting.attach()
    sitting.session.detach(1)
    output.write(b"0123456789abcdef")
    sitting.reactor.settle()
    assert sitting.session.info().output == {"stdout": Stored(6, 16)}


def test_lossless_viewer_stops_the_output_it_does_not_take_and_no_other(make: Make) -> None:
    sitting = make(tty=False)
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


def test_one_slow_lossless_viewer_holds_the_others_who_lose_nothing(make: Make) -> None:
    sitting = make()
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
def test_reading_goes_on_when_who_held_it_leaves(make: Make, leave: str) -> None:
    sitting = make()
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


def test_lossy_viewer_holds_nobody_and_learns_what_it_missed(make: Make) -> None:
    sitting = make(replay_bytes=0)  # it may be behind by a frame, whatever the ring is
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


def test_replay_that_a_lossless_viewer_has_not_taken_stops_the_reading(make: Make) -> None:
    sitting = make(detached=True)
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


# The end.


def test_exit_is_told_once_with_all_there_is_to_say(make: Make) -> None:
    sitting = make(tty=False)
    sitting.run()
    sitting.attach()
    sitting.outputs["stdout"].write(b"abc")
    sitting.outputs["stderr"].write(b"x")
    sitting.clock.advance(2.5)
    sitting.session.body_exited(code=3, reason="exited with 3")
    sitting.session.body_exited(code=4, reason="a later word")
    sitting.hang_up()
    sitting.reactor.settle()
    assert sitting.sink.notifications == [
        (
            "exec.exited",
            {
                "session": "s",
                "exit": {
                    "code": 3,
                    "signal": None,
                    "reason": "exited with 3",
                    "duration": 2.5,
                    "error": None,
                },
                "totals": {"stdout": 3, "stderr": 1},
            },
        )
    ]
    assert sitting.session.info().exit == Exit(code=3, reason="exited with 3", duration=2.5)
    assert (sitting.sink.end_of(4), sitting.sink.end_of(6)) == (StreamEnd(3, None), StreamEnd(1, None))
    assert (sitting.body.calls, sitting.ended) == ([("release",)], [sitting.session])
    sitting.session.body_exited(code=5)
    sitting.reactor.settle()
    assert len(sitting.sink.notifications) == 1


def test_signal_and_failure_travel(make: Make) -> None:
    sitting = make()
    sitting.run()
    failure = SessionFailure(title="No pod", message="it is gone", retry_commands=("get pods",))
    sitting.session.body_exited(signal="SIGKILL", reason="killed", error=failure)
    sitting.hang_up()
    sitting.reactor.settle()
    exit = sitting.sink.notifications[0][1]["exit"]
    assert (exit["code"], exit["signal"]) == (None, "SIGKILL")
    assert exit["error"] == {
        "title": "No pod",
        "message": "it is gone",
        "suggestion": "",
        "retryable": True,
        "retry_commands": ("get pods",),
    }


def test_who_closed_it_is_part_of_the_reason(make: Make) -> None:
    sitting = make()
    sitting.run()
    sitting.session.closed_by = "the host closed the session"
    sitting.session.body_exited(signal="SIGHUP", reason="hung up")
    sitting.hang_up()
    sitting.reactor.settle()
    assert sitting.exit.reason == "hung up; the host closed the session"


def test_exit_comes_behind_the_last_byte_and_before_the_end_of_streams_that_wait(make: Make) -> None:
    sitting = make()
    output = sitting.run()
    sitting.attach(window=3)
    output.write(b"abcdef")
    output.hang_up()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    assert [event for event in sitting.told if event != "flush"] == ["open 4", "send 4", "notify"]
    assert sitting.sink.notifications[0][1]["totals"] == {"stdout": 6}
    assert sitting.sink.end_of(4) is None
    sitting.sink.credit(4, 100)
    sitting.reactor.settle()
    assert sitting.sink.output(4) == b"abcdef"
    assert sitting.sink.end_of(4) == StreamEnd(6, None)


def test_what_was_queued_is_flushed_at_the_end(make: Make) -> None:
    sitting = make()
    sitting.run()
    sitting.session.body_exited(code=0)
    sitting.hang_up()
    sitting.reactor.settle()
    assert sitting.told[-2:] == ["notify", "flush"]


def test_output_that_ends_first_ends_nothing_but_is_told_to_the_body(make: Make) -> None:
    sitting = make(tty=False)
    sitting.run()
    sitting.outputs["stdout"].hang_up()
    sitting.reactor.settle()
    assert sitting.body.calls == []
    sitting.outputs["stderr"].hang_up()
    sitting.reactor.settle()
    assert sitting.body.calls == [("outputs_ended",)]
    assert (sitting.session.state, sitting.session.has_no_output) == (RUNNING, True)
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    assert sitting.session.state == ENDED


def test_last_output_of_a_process_is_read_without_waiting_for_viewers(make: Make) -> None:
    sitting = make()
    output = sitting.run()
    sitting.attach(window=1)
    output.write(b"abc")
    sitting.reactor.settle()
    output.write(b"the rest")
    sitting.reactor.settle()
    assert sitting.session.info().output["stdout"].end == 3
    sitting.session.body_exited(code=0)
    output.hang_up()
    sitting.reactor.settle()
    assert (sitting.session.state, sitting.session.info().output["stdout"]) == (ENDED, Stored(0, 11))
    sitting.sink.credit(4, 100)
    sitting.reactor.settle()
    assert sitting.sink.output(4) == b"abcthe rest"


def test_last_output_is_kept_for_the_first_viewer_beyond_the_ring(make: Make) -> None:
    sitting = make(replay_bytes=4)
    output = sitting.run()
    output.write(b"0123456789")
    sitting.reactor.settle()
    sitting.session.body_exited(code=0)
    output.hang_up()
    sitting.reactor.settle()
    assert sitting.session.info().output["stdout"] == Stored(0, 10)
    attached = sitting.attach()
    assert attached.stdout == place(0, 0, 10, 0)
    assert sitting.sink.output(4) == b"0123456789"
    assert sitting.attach().stdout == place(6, 6, 10, 6)  # the second has the ring


def test_grandchild_that_keeps_the_output_open_is_read_for_half_a_second(make: Make) -> None:
    sitting = make()
    output = sitting.run()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    output.write(b"by the grandchild")
    sitting.reactor.pass_time(0.499)
    assert sitting.session.state == ENDING
    assert sitting.sink.notifications == []
    sitting.reactor.pass_time(0.001)
    assert sitting.session.state == ENDED
    assert sitting.sink.notifications[0][1]["totals"] == {"stdout": 17}
    with pytest.raises(BrokenPipeError):
        output.write(b"too late")


def test_cut_off_that_is_due_after_the_end_does_nothing(make: Make) -> None:
    sitting = make()
    output = sitting.run()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    output.hang_up()
    sitting.reactor.settle()
    sitting.reactor.pass_time(5)
    assert len(sitting.sink.notifications) == 1


def test_input_takes_no_more_once_the_body_has_exited(make: Make) -> None:
    sitting = make()
    sitting.session.input.open(2, 100)
    sitting.run()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    assert sitting.sink.stops() == [2]


@pytest.mark.parametrize("is_over", [False, True])
def test_ended_session_takes_nothing_and_says_why(make: Make, is_over: bool) -> None:
    sitting = make()
    sitting.run()
    sitting.session.check_runs()
    sitting.session.body_exited(code=1, reason="exited with 1")
    if is_over:
        sitting.hang_up()
    sitting.reactor.settle()
    assert sitting.session.state == (ENDED if is_over else ENDING)
    with pytest.raises(SessionClosed, match="it has ended: exited with 1"):
        sitting.session.check_runs()
    with pytest.raises(SessionClosed):
        sitting.session.resize(10, 10)


def test_ended_session_is_read_and_ends_at_once(make: Make) -> None:
    sitting = make()
    output = sitting.run()
    output.write(b"kept")
    output.hang_up()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    attached = sitting.attach(window=2)
    assert (attached.session.state, attached.session.viewers) == (ENDED, 1)
    assert sitting.sink.output(4) == b"ke"
    sitting.sink.credit(4, 2)
    sitting.reactor.settle()
    assert (sitting.sink.output(4), sitting.sink.end_of(4)) == (b"kept", StreamEnd(4, None))
    assert not sitting.session.is_watched


def test_last_look_is_noted(make: Make) -> None:
    sitting = make()
    sitting.run()
    sitting.hang_up()
    sitting.clock.advance(1)
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    assert sitting.session.last_seen == sitting.session.ended_at == 1001
    sitting.clock.advance(5)
    sitting.attach()
    assert (sitting.session.ended_at, sitting.session.last_seen) == (1001, 1006)


def test_session_that_never_ran_forgets_its_input(make: Make) -> None:
    sitting = make()
    sitting.session.input.open(2, 100)
    sitting.session.abandon()
    assert sitting.session.state == ENDED
    with pytest.raises(KeyError):
        sitting.sink.consumed_bytes(2)
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    assert (sitting.sink.notifications, sitting.ended) == ([], [])


def test_exit_that_cannot_travel_is_told_without_its_words(make: Make) -> None:
    sitting = make()
    sitting.run()
    notify = sitting.sink.notify

    def refuse_many_words(method: str, params: dict[str, Any]) -> None:
        if params["exit"]["error"] is not None:
            raise MessageTooLarge("a message of 9 bytes is over the peer's limit of 8")
        notify(method, params)

    sitting.sink.notify = refuse_many_words  # type: ignore[method-assign]
    sitting.session.body_exited(code=None, reason="long", error=SessionFailure(message="x" * 1000))
    sitting.hang_up()
    sitting.reactor.settle()
    ((_, params),) = sitting.sink.notifications
    assert "over the peer's limit" in params["exit"]["reason"]
    assert "over the peer's limit" in sitting.exit.reason
    assert sitting.ended == [sitting.session]


def test_forgotten_session_keeps_nothing_but_what_its_viewers_wait_for(make: Make) -> None:
    sitting = make()
    output = sitting.run()
    output.write(b"kept")
    output.hang_up()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    sitting.attach(window=2)
    sitting.session.forget_output()
    assert sitting.session._record.stored("stdout") == Stored(0, 0)
    with pytest.raises(SessionNotFound, match="it was forgotten just now"):
        sitting.attach()
    sitting.sink.credit(4, 2)
    sitting.reactor.settle()
    assert (sitting.sink.output(4), sitting.sink.end_of(4)) == (b"kept", StreamEnd(4, None))


def test_session_that_is_forgotten_while_it_runs_still_tells_its_exit(make: Make) -> None:
    sitting = make()
    output = sitting.run()
    sitting.attach()
    sitting.session.forget_output()
    output.write(b"to the end")
    output.hang_up()
    sitting.reactor.settle()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    assert sitting.sink.notifications[0][1]["totals"] == {"stdout": 10}
    assert sitting.sink.output(4) == b"to the end"
    assert sitting.session._record.stored("stdout") == Stored(0, 0)


# Another body.


def test_another_body_takes_the_place_of_the_first(make: Make) -> None:
    sitting = make()
    first = sitting.run()
    sitting.attach()
    first.write(b"one ")
    first.hang_up()
    sitting.reactor.settle()
    second = OutputPipe(sitting, "stdout")
    body = sitting.body.twin(4712)
    sitting.session.replace_body(body, [second.output])
    second.write(b"two")
    sitting.reactor.settle()
    assert sitting.sink.output(4) == b"one two"
    assert sitting.session.info().pid == 4712
    sitting.session.body_exited(code=7)
    sitting.reactor.settle()
    second.hang_up()
    sitting.reactor.settle()
    assert (sitting.exit.code, body.calls) == (7, [("release",)])


def test_ended_session_takes_no_other_body(make: Make) -> None:
    sitting = make()
    sitting.run()
    sitting.hang_up()
    sitting.session.body_exited(code=0)
    sitting.reactor.settle()
    with pytest.raises(SessionClosed):
        sitting.session.replace_body(sitting.body.twin(1), [])
    assert sitting.session.body is sitting.body


def test_all_byte_values_reach_the_viewer(make: Make) -> None:
    sitting = make()
    output = sitting.run()
    sitting.attach()
    output.write(bytes(range(256)))
    sitting.reactor.settle()
    assert sitting.sink.output(4) == bytes(range(256))
