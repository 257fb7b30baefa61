"""What an author sets for all sessions: refused where it is written, or in force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from plugin_host_sdk import Plugin
from plugin_host_sdk.errors import RegistrationError, TerminalError
from plugin_host_sdk.exec import Handler, PluginOpts, SessionLimits, SessionSettings, register_plugin
from plugin_host_sdk.protocol import FULL_PAYLOAD_BYTES, REPLAY_BYTES
from tests.sdk.managed import Manage, Script, gives, waits
from tests.sdk.seat import Seat

KIB = 1024


def test_defaults_are_what_the_pages_say() -> None:
    settings, limits = SessionSettings(), SessionLimits()
    assert (settings.read_chunk, settings.event_queue, settings.resize_timeout) == (None, None, 0.5)
    assert (limits.ended_sessions, limits.ended_s) == (64, 60.0)
    assert repr(settings) == "SessionSettings(read_chunk=None, event_queue=None, resize_timeout=0.5)"
    assert repr(limits) == "SessionLimits(ended_sessions=64, ended_s=60)"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SessionSettings(read_chunk=0), "read_chunk is 1 to"),
        (lambda: SessionSettings(read_chunk=FULL_PAYLOAD_BYTES + 1), "read_chunk is 1 to"),
        (lambda: SessionSettings(read_chunk=True), "not True"),
        (lambda: SessionSettings(event_queue=64 * KIB - 1), "event_queue is 65536 to"),
        (lambda: SessionSettings(event_queue=2**31), "event_queue is 65536 to"),
        (lambda: SessionSettings(resize_timeout=-1), "resize_timeout is 0 to 86400 seconds"),
        (lambda: SessionSettings(resize_timeout=float("nan")), "not nan"),
        (lambda: SessionLimits(ended_sessions=-1), "ended_sessions is 0 to"),
        (lambda: SessionLimits(ended_sessions=1.0), "ended_sessions is 0 to"),  # type: ignore[arg-type]
        (lambda: SessionLimits(ended_s=float("inf")), "ended_s is 0 to 86400 seconds"),
        (lambda: SessionLimits(ended_s="60"), "not '60'"),  # type: ignore[arg-type]
        (lambda: PluginOpts(settings={"read_chunk": 1}), "settings are SessionSettings"),  # type: ignore[arg-type]
        (lambda: PluginOpts(limits=64), "limits are SessionLimits"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_set_is_refused(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(RegistrationError, match=words):
        make()


def test_registering_more_handlers_leaves_what_was_set() -> None:
    plugin = Plugin("demo", version="1.0.0")
    settings, limits = SessionSettings(read_chunk=100), SessionLimits(ended_s=5)
    capability = register_plugin(plugin)
    assert capability.replay_bytes == REPLAY_BYTES
    register_plugin(plugin, PluginOpts([Handler("one")], 7, settings, limits))
    plugin.exec("two")(lambda ctx, opts: None)
    assert list(capability.handlers) == ["demo/one", "demo/two"]
    assert (capability.replay_bytes, capability.settings, capability.limits) == (7, settings, limits)


# Reading.


def test_pipe_is_read_by_the_chunk() -> None:
    seat = Seat(chunk=1000)
    try:
        seat.output.resume()
        seat.write(bytes(5500))
        seat.reactor.is_alone = False
        seat.reactor.turn()
        assert [len(data) for data in seat.fed] == [1000], "others have their turn after each chunk"
        seat.reactor.settle()
        assert [len(data) for data in seat.fed] == [1000] * 5 + [500]
    finally:
        seat.release()


@pytest.mark.parametrize(("chunk", "turn"), [(None, 2 * 4095), (100, 200)])
def test_turn_of_a_terminal_is_two_chunks(chunk: int | None, turn: int) -> None:
    seat = Seat(is_terminal=True, chunk=chunk)
    try:
        seat.output.resume()
        seat.reactor.is_alone = False
        seat.write(bytes(20_000))
        seat.reactor.turn()
        assert seat.output._gathered_bytes + len(b"".join(seat.fed)) == turn
    finally:
        seat.release()


def test_sessions_are_read_as_the_settings_say(manage: Manage) -> None:
    managed = manage(gives(bytes(5000)), settings=SessionSettings(read_chunk=1000))
    managed.create(tty=False)
    managed.sink.wait_for_exit("s")
    (stdout, _) = managed.manager._sessions["s"]._outputs.values()
    assert stdout._chunk == 1000


# Waiting.


def test_viewer_that_may_lose_bytes_is_behind_by_the_queue(manage: Manage) -> None:
    size, queue = 300_000, 100_000
    managed = manage(gives(bytes(size)), settings=SessionSettings(event_queue=queue))
    managed.create(tty=False, detached=True)
    managed.sink.wait_for_exit("s")
    managed.attach(number=1, window=10, lossless=False)
    managed.attach(number=2, window=size, lossless=False)
    managed.attach(number=3, window=10, lossless=True)
    for number in (1, 3):
        managed.sink.credit(4 * number, size)
    managed.turn()
    assert managed.sink.gaps(4) == [(10, size - 10 - queue)]
    assert len(managed.sink.output(4)) == 10 + queue
    for number in (2, 3):
        assert managed.sink.gaps(4 * number) == []
        assert len(managed.sink.output(4 * number)) == size


def test_deaf_handler_has_the_time_that_is_set(manage: Manage) -> None:
    deaf = Handler("deaf", tty_handler=Script().on_terminal, handles_resize=True)
    managed = manage(deaf, settings=SessionSettings(resize_timeout=3))
    managed.create()
    later = managed.manager.resize("s", 50, 132)
    assert later is not None
    managed.clock.advance(2.999)
    managed.turn()
    assert not later.is_settled
    managed.clock.advance(0.001)
    with pytest.raises(TerminalError, match="3 s"):
        later.wait(5)


# What has ended.


def test_so_many_ended_sessions_stay_as_the_limit_says(manage: Manage) -> None:
    managed = manage(gives(b"x"), waits(), limits=SessionLimits(ended_sessions=2))
    managed.create("alive", handler="wait")
    for name in "abcd":
        managed.create(name, tty=False, handler="files", detached=True)
        managed.sink.wait_for_exit(name)
        managed.turn()
        managed.clock.advance(0.01)
    assert [info.id for info in managed.manager.list()] == ["alive", "c", "d"]


@pytest.mark.parametrize("kept_s", [0.0, 5.0])
def test_ended_session_stays_as_long_as_the_limit_says(manage: Manage, kept_s: float) -> None:
    managed = manage(gives(b"xyz"), limits=SessionLimits(ended_s=kept_s))
    managed.create(tty=False)
    managed.attach(window=1, lossless=False)
    managed.sink.wait_for_exit("s")
    for _ in range(10):
        managed.clock.advance(kept_s)
        managed.turn()
    assert not managed.is_gone(), "somebody looks at it"
    managed.manager.detach("s", 1)
    if kept_s:
        managed.clock.advance(kept_s - 0.001)
        managed.turn()
        assert not managed.is_gone()
    managed.clock.advance(1.001)
    managed.wait_until(managed.is_gone)


@pytest.mark.parametrize("limits", [SessionLimits(ended_s=0), SessionLimits(ended_sessions=0)], ids=repr)
def test_ended_session_stays_for_who_has_opened_it_and_is_about_to_look(
    manage: Manage, limits: SessionLimits
) -> None:
    managed = manage(gives(b"xyz"), limits=limits)
    managed.create("seen", tty=False)
    managed.create("unseen", tty=False)
    managed.create("detached", tty=False, detached=True)
    for name in ("seen", "unseen", "detached"):
        managed.sink.wait_for_exit(name)
    managed.turn()
    assert [info.id for info in managed.manager.list()] == ["seen", "unseen"]
    managed.clock.advance(9.999)
    managed.attach("seen", number=1)
    managed.wait_until(lambda: managed.sink.output(4) == b"xyz")
    managed.clock.advance(1.001)
    managed.wait_until(lambda: not managed.manager.list())


def test_no_more_than_sixty_four_sessions_wait_for_who_has_opened_them(manage: Manage) -> None:
    managed = manage(gives(b"x"), limits=SessionLimits(ended_sessions=0))
    for number in range(66):
        managed.create(f"s{number:02}", tty=False)
        managed.sink.wait_for_exit(f"s{number:02}")
        managed.turn()
        managed.clock.advance(0.01)
    assert [info.id for info in managed.manager.list()] == [f"s{number:02}" for number in range(2, 66)]
