"""Ctrl-C in the main thread: it ends a call that waits, and never tears what a call has in hand."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from plugin_host.sharedlink import SharedLink
from plugin_host.signalhold import SignalHold
from plugin_host_sdk.errors import PluginHostError
from plugin_host_sdk.events import CancelReceived
from tests.shared import Caller, shared
from tests.wait import WaitUntil


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Those of a fresh interpreter, and afterwards those that were there."""
    names = (signal.SIGINT, signal.SIGUSR1)
    before = [signal.getsignal(name) for name in names]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for name, handler in zip(names, before, strict=True):
        signal.signal(name, handler)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def when(condition: Callable[[], Any], act: Callable[[], Any]) -> threading.Thread:
    """A thread that acts as soon as the condition is true."""
    wait = WaitUntil()

    def work() -> None:
        wait(condition)
        act()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def main_leads(link: SharedLink) -> bool:
    return link._leader is not None and link._leader.thread == threading.main_thread().ident


def main_waits(link: SharedLink) -> bool:
    return any(waiter.thread == threading.main_thread().ident for waiter in list(link._sleepers))


def test_signals_are_kept_back_until_the_end() -> None:
    hold = SignalHold()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        try:
            hold.begin()
            interrupt()
            assert hold.kept is not None
        finally:
            hold.end()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_signals_are_let_through_while_it_is_open_and_only_one() -> None:
    hold = SignalHold()
    hold.begin()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        hold.is_open = True
        interrupt()
    interrupt()  # while what the first one has raised is cleared up
    with pytest.raises(KeyboardInterrupt):
        hold.end()


def test_handler_that_does_not_raise_is_called_and_the_hold_stays_open() -> None:
    called = []
    signal.signal(signal.SIGINT, lambda *_: called.append(1))
    hold = SignalHold()
    hold.begin()
    hold.is_open = True
    interrupt()
    interrupt()
    assert called == [1, 1]
    hold.end()


@pytest.mark.parametrize("handler", [signal.SIG_IGN, signal.SIG_DFL])
def test_signal_that_python_does_not_handle_is_left_alone(handler: signal.Handlers) -> None:
    signal.signal(signal.SIGINT, handler)
    hold = SignalHold()
    hold.begin()
    assert signal.getsignal(signal.SIGINT) is handler
    hold.end()


def test_interrupt_of_the_leader_cancels_its_call_and_the_others_go_on(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, _, _):
        others: list[Caller] = []

        def act() -> None:
            others.append(Caller(link))
            wait_until(lambda: link._sleepers)
            interrupt()

        thread = when(lambda: main_leads(link), act)
        with pytest.raises(KeyboardInterrupt):
            link.ask("work", {"who": "main"})
        thread.join()
        mine, others_id = plugin.request(), plugin.request().msgid
        assert plugin.expect(CancelReceived).msgid == mine.msgid
        plugin.answer(mine.msgid, "late")
        plugin.answer(others_id, "right")
        assert others[0].end() == "right"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupt_of_a_follower_cancels_its_call(wait_until: WaitUntil) -> None:
    with shared() as (link, plugin, _, _):
        other = Caller(link)
        msgid = plugin.request().msgid
        wait_until(lambda: link._leader is not None)
        thread = when(lambda: main_waits(link), interrupt)
        with pytest.raises(KeyboardInterrupt):
            link.ask("work", {})
        thread.join()
        plugin.answer(msgid, "right")
        assert other.end() == "right"
        assert link.in_flight == 0


def test_interrupt_in_on_progress_cancels_the_call() -> None:
    with shared() as (link, plugin, _, _):

        def report() -> None:
            plugin.send(plugin.connection.send_progress(plugin.request().msgid, 1, None, ""))

        thread = when(lambda: main_leads(link), report)
        with pytest.raises(KeyboardInterrupt):
            link.ask("work", {}, on_progress=lambda *_: interrupt())
        thread.join()
        plugin.expect(CancelReceived)


def test_call_from_a_handler_that_interrupts_a_call_is_refused() -> None:
    with shared() as (link, plugin, _, _):
        errors: list[Exception] = []

        def handle(*_: Any) -> None:
            try:
                link.ask("work", {})
            except PluginHostError as error:
                errors.append(error)

        signal.signal(signal.SIGUSR1, handle)

        def act() -> None:
            os.kill(os.getpid(), signal.SIGUSR1)
            WaitUntil()(lambda: errors)
            plugin.answer(plugin.request().msgid, "right")

        thread = when(lambda: main_leads(link), act)
        assert link.ask("work", {}) == "right"
        thread.join()
        assert "in the middle of another one" in str(errors[0])


def test_interrupts_at_any_moment_lose_nobodys_answer() -> None:
    with shared() as (link, plugin, owner, _), plugin.serving():
        wrong: list[Any] = []
        is_over = threading.Event()

        def work(number: int) -> None:
            turn = 0
            while not is_over.is_set():
                turn += 1
                params = {"who": number, "turn": turn}
                if link.ask("work", params) != params:
                    wrong.append(params)

        def disturb() -> None:
            for number in range(400):
                interrupt()
                is_over.wait(0.0005 * (number % 7))
            is_over.wait(0.05)  # the last one is handled where the others are
            is_over.set()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
        threads.append(threading.Thread(target=disturb))
        for thread in threads[:-1]:
            thread.start()
        interrupts = turn = 0
        while not is_over.is_set():
            try:
                if not threads[-1].ident:
                    threads[-1].start()
                while not is_over.is_set():
                    turn += 1
                    if link.ask("work", {"turn": turn}) != {"turn": turn}:
                        wrong.append(turn)
            except KeyboardInterrupt:
                interrupts += 1
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        assert wrong == []
        assert interrupts > 0
        assert not link.is_over
        assert (link.in_flight, link._leader, link._sleepers) == (0, None, {})
        assert owner.ends == []
