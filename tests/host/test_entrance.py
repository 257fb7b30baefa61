"""The way in through a local socket, for who is refused."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from plugin_host import entrance as entrance_module
from plugin_host.entrance import Entrance
from plugin_host.peerrule import PeerRule
from tests.run import Run
from tests.wait import WaitUntil

NOBODYS = PeerRule(frozenset())
EVERYBODYS = PeerRule(frozenset(), is_open=True)


@pytest.fixture(autouse=True)
def _refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever user the tests run as, the rule of nobody refuses it."""
    monkeypatch.setattr(PeerRule, "admits", lambda self, peer, groups: self.is_open)


@contextmanager
def entered(rule: PeerRule, notes: list[str]) -> Iterator[Entrance]:
    entrance = Entrance("/run/x", rule, lambda text: f"no: {text}".encode(), notes.append)
    try:
        yield entrance
    finally:
        entrance.close()


def test_who_is_admitted_is_told_to_the_caller_and_nobody_else(run: Run) -> None:
    async def scene() -> None:
        notes: list[str] = []
        here, there = socket.socketpair()
        with here, there, entered(EVERYBODYS, notes) as entrance:
            peer = entrance.admit(there)
            assert peer is not None
            assert (peer.pid, peer.uid, notes) == (os.getpid(), os.geteuid(), [])
            assert there.fileno() >= 0

    run(scene())


def test_who_is_refused_can_finish_what_it_says_and_hears_why(
    run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrance_module, "_LINGER_S", 0.05)

    async def scene() -> None:
        notes: list[str] = []
        here, there = socket.socketpair()
        with here, entered(NOBODYS, notes) as entrance:
            assert entrance.admit(there) is None
            here.sendall(b"a request")
            text = f"process {os.getpid()} of uid {os.geteuid()} is not admitted: this socket is for root"
            assert here.recv(1000).decode().startswith(f"no: {text}")
            assert here.recv(1000) == b""
            assert notes[0].startswith(f"/run/x: {text}")
            await wait_until.aio(lambda: there.fileno() == -1)

    run(scene())


def test_few_linger_and_none_longer_than_the_entrance(run: Run) -> None:
    async def scene() -> None:
        notes: list[str] = []
        with ExitStack() as stack, entered(NOBODYS, notes) as entrance:
            theirs = []
            for _ in range(40):
                here, there = map(stack.enter_context, socket.socketpair())
                theirs.append(there)
                entrance.admit(there)
                assert here.recv(2) == b"no"
            assert [there.fileno() >= 0 for there in theirs] == [True] * 32 + [False] * 8
            entrance.close()
            assert all(there.fileno() < 0 for there in theirs)
            assert len(notes) == 40

    run(scene())


def test_who_has_gone_already_leaves_nothing(run: Run) -> None:
    async def scene() -> None:
        notes: list[str] = []
        here, there = socket.socketpair()
        with entered(NOBODYS, notes) as entrance:
            here.close()
            assert entrance.admit(there) is None
            assert there.fileno() == -1

    run(scene())
