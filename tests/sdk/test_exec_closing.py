"""Ending a session that somebody closes: asked, asked again, killed, and given up in the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from plugin_host_sdk.exec.closing import GRACE_S, Closing
from plugin_host_sdk.exec.session import ENDED, Session
from tests.sdk.sitting import OutputPipe, Sitting


class Exitus:
    """A session that runs, and its closing. `overs` are the sessions that are over."""

    def __init__(self) -> None:
        self.sitting = Sitting()
        self.output: OutputPipe = self.sitting.run()
        self.overs: list[Session] = []
        self.closing = self.closing_of(self.sitting)

    def closing_of(self, sitting: Sitting) -> Closing:
        return Closing(sitting.session, sitting.reactor, sitting.clock, self.overs.append)

    def begin(self, grace: float = GRACE_S) -> None:
        self.closing.begin(grace)
        self.sitting.reactor.settle()

    def pass_time(self, seconds: float) -> None:
        """In small steps, as it does."""
        for _ in range(round(seconds * 100)):
            self.sitting.reactor.pass_time(0.01)

    def exit(self) -> None:
        """Its program ends, and so does its output."""
        self.sitting.session.body_exited(signal="SIGHUP", reason="hung up")
        self.output.hang_up()
        self.sitting.reactor.settle()

    @property
    def calls(self) -> list[str]:
        """How the body was asked to end, a repetition once."""
        names = [name for name, *_ in self.sitting.body.calls if name in ("hang_up", "terminate", "kill")]
        return [name for at, name in enumerate(names) if names[at - 1 : at] != [name]]

    @property
    def is_done(self) -> bool:
        return self.closing.done.is_settled


@pytest.fixture
def exitus() -> Iterator[Exitus]:
    exitus = Exitus()
    yield exitus
    exitus.sitting.release()


def test_session_is_asked_at_once_and_its_end_is_the_end(exitus: Exitus) -> None:
    exitus.begin()
    assert exitus.calls == ["hang_up"]
    exitus.exit()
    exitus.pass_time(0.1)
    assert exitus.is_done
    assert exitus.closing.done.wait(0) == {}
    assert exitus.overs == [exitus.sitting.session]
    assert exitus.calls == ["hang_up"]
    assert [timer for timer in exitus.sitting.reactor.timers if timer.at < 1002] == []


def test_it_is_asked_again_after_half_of_the_grace_and_killed_after_all_of_it(exitus: Exitus) -> None:
    exitus.begin()
    exitus.pass_time(0.98)
    assert exitus.calls == ["hang_up"]
    exitus.pass_time(0.1)
    assert exitus.calls == ["hang_up", "terminate"]
    exitus.pass_time(0.85)
    assert exitus.sitting.body.calls == [("hang_up",), ("terminate",)]
    exitus.pass_time(0.2)
    assert exitus.calls == ["hang_up", "terminate", "kill"]
    assert exitus.sitting.body.calls[-1] == ("kill", True)
    assert not exitus.is_done
    exitus.exit()
    exitus.pass_time(0.1)
    assert exitus.is_done


def test_shorter_grace_is_kept(exitus: Exitus) -> None:
    exitus.begin(0.5)
    exitus.pass_time(0.35)
    assert exitus.calls == ["hang_up", "terminate"]
    exitus.pass_time(0.25)
    assert exitus.calls == ["hang_up", "terminate", "kill"]


def test_without_grace_it_is_killed_at_once(exitus: Exitus) -> None:
    exitus.begin(0.0)
    assert exitus.calls == ["hang_up", "kill"]


def test_longer_grace_than_there_is_is_not_given(exitus: Exitus) -> None:
    exitus.begin(100)
    exitus.pass_time(2.1)
    assert exitus.calls[-1] == "kill"


def test_what_an_ended_session_has_left_is_ended_too(exitus: Exitus) -> None:
    """Children of its program that run on in the background."""
    exitus.sitting.body.is_left = True
    exitus.begin()
    exitus.exit()
    exitus.pass_time(0.5)
    assert exitus.sitting.session.state == ENDED
    assert not exitus.is_done
    exitus.pass_time(1.6)
    assert exitus.calls == ["hang_up", "terminate", "kill"]
    exitus.sitting.body.is_left = False
    exitus.pass_time(0.1)
    assert exitus.is_done


def test_one_that_not_even_a_kill_ends_is_given_up(exitus: Exitus) -> None:
    exitus.begin()
    exitus.pass_time(3.2)
    assert exitus.is_done
    assert exitus.sitting.session.state == ENDED
    assert exitus.sitting.exit.reason == "closed, and not even a kill ended it"
    assert len(exitus.sitting.sink.notifications) == 1
    calls = list(exitus.sitting.body.calls)
    exitus.pass_time(1)
    assert exitus.sitting.body.calls == calls


def test_end_of_one_that_is_given_up_is_told_before_it_is_closed(exitus: Exitus) -> None:
    """Who closed it asks no more then."""
    told: list[int] = []
    sitting = exitus.sitting
    closing = Closing(
        sitting.session,
        sitting.reactor,
        sitting.clock,
        lambda _: told.append(len(sitting.sink.notifications)),
    )
    closing.begin(GRACE_S)
    sitting.reactor.settle()
    exitus.pass_time(3.2)
    assert told == [1]


def test_machine_that_is_late_gives_a_kill_its_time_all_the_same(exitus: Exitus) -> None:
    exitus.begin()
    exitus.sitting.reactor.pass_time(5)  # in one step
    assert exitus.calls[-1] == "kill"
    assert exitus.overs == []
    exitus.exit()
    exitus.pass_time(0.1)
    assert exitus.is_done
    assert exitus.sitting.exit.signal == "SIGHUP"


def test_stop_of_the_plugin_shortens_it(exitus: Exitus) -> None:
    exitus.begin()
    exitus.pass_time(0.1)
    exitus.closing.hasten(0.2)
    exitus.pass_time(0.1)
    assert exitus.calls == ["hang_up", "terminate"]
    exitus.pass_time(0.2)
    assert exitus.calls == ["hang_up", "terminate", "kill"]
    assert exitus.sitting.body.calls[-1] == ("kill", False)  # the host looks after what stays


def test_beginning_twice_ends_once(exitus: Exitus) -> None:
    exitus.begin()
    exitus.begin(0.0)
    exitus.exit()
    exitus.pass_time(0.5)
    assert exitus.overs == [exitus.sitting.session]


def test_session_that_never_ran_is_over_at_once(exitus: Exitus) -> None:
    sitting = Sitting()
    sitting.session.abandon()
    closing = exitus.closing_of(sitting)
    closing.begin(0.0)
    sitting.reactor.settle()
    assert closing.done.is_settled
    assert exitus.overs == [sitting.session]


def test_its_word_comes_after_it_was_forgotten(exitus: Exitus) -> None:
    """Whoever hears of it may use the id again."""
    overs: list[int] = []
    exitus.closing.done.then(lambda result, error: overs.append(len(exitus.overs)))
    exitus.begin()
    exitus.exit()
    exitus.pass_time(0.1)
    assert overs == [1]


def test_it_is_looked_at_often_at_first_and_seldom_later(exitus: Exitus) -> None:
    looks: list[float] = []
    call_at = exitus.sitting.reactor.call_at

    def record(at: float, call: object) -> object:
        looks.append(at - exitus.sitting.clock.monotonic())
        return call_at(at, call)  # type: ignore[arg-type]

    exitus.sitting.reactor.call_at = record  # type: ignore[method-assign, assignment]
    exitus.begin()
    exitus.pass_time(1.9)
    assert looks[0] == pytest.approx(0.002)
    assert looks == sorted(looks)
    assert looks[-1] == pytest.approx(0.05)
    assert len(looks) < 60
