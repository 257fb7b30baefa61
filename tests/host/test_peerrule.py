"""Who may be at the other end of a local socket."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from plugin_host.localsocket import LocalSocket, listen, rule_of
from plugin_host.peer import Peer, groups_of
from plugin_host.peerrule import PeerRule
from tests.otheruser import needs_root

OWN = os.geteuid()
OWNER, MEMBER, OTHER = Peer(1, 1000, 100), Peer(1, 1001, 100), Peer(1, 1002, 100)
GROUP = 4242


def status(mode: int, uid: int = 1000, gid: int = GROUP) -> os.stat_result:
    return os.stat_result((stat.S_IFSOCK | mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))


def groups_of_peer(peer: Peer) -> Collection[int]:
    return [7, GROUP] if peer is MEMBER else [7]


@pytest.mark.parametrize(
    ("mode", "welcome"),
    [
        (0o600, {OWNER}),
        (0o640, {OWNER}),
        (0o660, {OWNER, MEMBER}),
        (0o606, {OWNER, MEMBER, OTHER}),
        (0o666, {OWNER, MEMBER, OTHER}),
        (0o755, {OWNER}),
        (0o000, {OWNER}),
    ],
)
def test_who_may_write_to_a_socket_may_connect(mode: int, welcome: set[Peer]) -> None:
    rule = PeerRule.of(status(mode))
    for peer in (OWNER, MEMBER, OTHER):
        assert rule.admits(peer, lambda peer=peer: groups_of_peer(peer)) is (peer in welcome)  # type: ignore[misc]


def test_root_and_the_user_of_this_process_always_may() -> None:
    rule = PeerRule.of(status(0o600))
    assert rule.admits(Peer(1, 0, 0), list)
    assert rule.admits(Peer(1, OWN, 100), list)


def test_a_primary_group_counts_as_well() -> None:
    assert PeerRule.of(status(0o660)).admits(Peer(1, 1001, GROUP), list)


def test_groups_are_asked_for_only_where_they_decide() -> None:
    def never() -> Collection[int]:
        raise AssertionError

    PeerRule.of(status(0o660)).admits(OWNER, never)
    PeerRule.of(status(0o600)).admits(OTHER, never)
    PeerRule.of(status(0o666)).admits(OTHER, never)


def test_a_rule_says_whom_it_is_for() -> None:
    assert str(PeerRule(frozenset((0,)))) == "root"
    assert str(PeerRule(frozenset((0, 1000)), GROUP)) == "uid 1000 and root and members of group 4242"
    assert str(PeerRule(frozenset((0, 1000)), is_open=True)) == "everybody"


def test_the_rule_of_a_socket_is_that_of_its_making_whatever_its_name_becomes(tmp_path: Path) -> None:
    place = tmp_path / "s"
    with listen(LocalSocket(path=str(place), mode=0o660)) as listening:
        place.chmod(0o666)
        rule = rule_of(listening)
        assert (rule.users, rule.group, rule.is_open) == (frozenset((OWN,)), place.stat().st_gid, False)


def test_a_socket_that_was_handed_over_has_the_rule_of_its_name(tmp_path: Path) -> None:
    place = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as handed:
        handed.bind(str(place))
        place.chmod(0o606)
        assert rule_of(handed).is_open
        place.unlink()
        assert rule_of(handed) == PeerRule(frozenset((OWN,)))
        place.touch()
        place.chmod(0o666)  # something else that has its name now
        assert rule_of(handed) == PeerRule(frozenset((OWN,)))


def test_a_socket_without_a_name_is_for_its_user_alone() -> None:
    with socket.socket(socket.AF_UNIX) as handed:
        handed.bind(f"\0plugin-host-test-{os.getpid()}")
        assert rule_of(handed) == PeerRule(frozenset((OWN,)))


@needs_root
@pytest.mark.parametrize("count", [0, 3, 256, 257, 1000])
def test_all_groups_of_a_peer_are_told(tmp_path: Path, count: int) -> None:
    """Python's own `getsockopt` would stop at 256 of them."""
    code = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.stdin.read()"
    groups = range(5000, 5000 + count)
    with listen(LocalSocket(path=str(tmp_path / "s"))) as listening:
        listening.settimeout(10)
        command = [sys.executable, "-c", code, str(tmp_path / "s")]
        with (
            subprocess.Popen(command, stdin=subprocess.PIPE, extra_groups=groups) as peer,
            listening.accept()[0] as connection,
        ):
            assert groups_of(connection) == set(groups)
            peer.communicate()
