"""What becomes of signals, before, during and after a session."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from plugin_host.cli.failure import Interrupted
from plugin_host.cli.forwarding import Forwarder, Patience, run
from plugin_host_sdk.errors import SessionClosed, TerminalError
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

ALL = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
ENDING = ALL[:4]


@pytest.fixture(autouse=True)
def _nothing_is_ignored() -> Iterator[None]:
    """Whoever runs the tests may ignore some of them; nohup and `&` do."""
    before = {signum: signal.getsignal(signum) for signum in ALL}
    for signum in ALL:
        signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


class Target:
    """Takes signals, or refuses them with `error`."""

    def __init__(self, error: Exception | None = None) -> None:
        self.names: list[str] = []
        self.error = error

    async def signal(self, signal: str) -> None:
        self.names.append(signal)
        if self.error is not None:
            raise self.error


def send(signum: signal.Signals) -> None:
    os.kill(os.getpid(), signum)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def fence() -> None:
    """Returns when the signals sent so far have been dealt with."""
    loop, passed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGCONT, passed.set)
    send(signal.SIGCONT)
    await passed.wait()
    loop.remove_signal_handler(signal.SIGCONT)


# Patience.


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def patience_at(steps: str) -> list[bool]:
    """Asks for every `!`; digits pass seconds, `.` tenths of them, `o` is output."""
    clock = Clock()
    patience = Patience(clock)
    answers = []
    for step in steps:
        if step == "!":
            answers.append(patience.asked())
        elif step == "o":
            patience.reacted()
        else:
            clock.now += 0.1 if step == "." else int(step)
    return answers


@pytest.mark.parametrize(
    ("steps", "answers"),
    [
        ("!9!9!", [False, False, True]),
        ("!1!1!", [False, False, True]),
        ("!.!.!", [False, False, False]),
        ("!.!.!.!1!", [False, False, False, False, True]),
        ("!o9!o9!o9!", [False, False, False, False]),
        ("!o1!o1!o1!", [False, False, True, True]),
        ("!o9!9!9!", [False, False, False, True]),
        ("!9!o9!9!", [False, False, False, False]),
    ],
)
def test_patience_ends_with_the_third_signal_that_is_not_reacted_to(
    steps: str, answers: list[bool]
) -> None:
    assert patience_at(steps) == answers


# Forwarding.


@pytest.mark.parametrize("signum", ALL)
def test_signals_go_to_the_target_by_name(signum: signal.Signals, wait_until: WaitUntil) -> None:
    async def body(forwarder: Forwarder) -> None:
        target = Target()
        forwarder.forward_to(target)
        send(signum)
        await wait_until.aio(lambda: target.names == [signum.name])
        assert forwarder.ended_by is None

    run(body)


@pytest.mark.parametrize("signum", ENDING)
@pytest.mark.parametrize("phase", ["before", "after", "keys"])
def test_signals_end_the_command_where_they_are_for_it(signum: signal.Signals, phase: str) -> None:
    target = Target()

    async def body(forwarder: Forwarder) -> None:
        if phase != "before":
            forwarder.forward_to(target, has_keys=phase == "keys")
        if phase == "after":
            forwarder.forward_to(None)
        send(signum)
        await for_ever()

    with pytest.raises(Interrupted) as caught:
        run(body)
    assert caught.value.signum == signum
    assert target.names == []


def test_messages_to_the_program_are_forwarded_with_keys_too(wait_until: WaitUntil) -> None:
    async def body(forwarder: Forwarder) -> None:
        target = Target()
        send(signal.SIGUSR1)  # to nobody
        await fence()
        forwarder.forward_to(target, has_keys=True)
        send(signal.SIGUSR2)
        await wait_until.aio(lambda: target.names == ["SIGUSR2"])

    run(body)


@pytest.mark.parametrize("ignored", ENDING)
def test_signals_that_were_ignored_stay_so(ignored: signal.Signals) -> None:
    target = Target()

    async def body(forwarder: Forwarder) -> None:
        forwarder.forward_to(target)
        send(ignored)
        await fence()

    signal.signal(ignored, signal.SIG_IGN)
    run(body)
    assert target.names == []


def test_third_one_without_effect_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Patience, "LEAST_S", 0.0)
    target = Target()

    async def body(forwarder: Forwarder) -> None:
        forwarder.forward_to(target)
        for _ in range(3):
            send(signal.SIGINT)
            await fence()
        await for_ever()

    with pytest.raises(Interrupted) as caught:
        run(body)
    assert caught.value.signum == signal.SIGINT
    assert target.names == ["SIGINT"] * 3


def test_session_that_takes_no_signals_is_ended() -> None:
    async def body(forwarder: Forwarder) -> None:
        forwarder.forward_to(Target(TerminalError("no process")))
        send(signal.SIGTERM)
        await for_ever()

    with pytest.raises(Interrupted):
        run(body)


def test_signals_are_for_the_command_again_once_the_session_has_ended(wait_until: WaitUntil) -> None:
    target = Target(SessionClosed("it has ended"))

    async def body(forwarder: Forwarder) -> None:
        forwarder.forward_to(target)
        send(signal.SIGTERM)
        await wait_until.aio(lambda: target.names)
        await fence()
        assert forwarder.ended_by is None
        send(signal.SIGINT)
        await for_ever()

    with pytest.raises(Interrupted) as caught:
        run(body)
    assert caught.value.signum == signal.SIGINT
    assert target.names == ["SIGTERM"]


def test_second_signal_cuts_the_cleaning_up_short() -> None:
    cut = []

    async def body(forwarder: Forwarder) -> None:
        try:
            send(signal.SIGTERM)
            await for_ever()
        finally:
            try:
                send(signal.SIGTERM)
                await for_ever()
            finally:
                cut.append(True)

    with pytest.raises(Interrupted):
        run(body)
    assert cut == [True]
