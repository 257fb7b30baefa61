"""How long the host waits for a peer that takes nothing, and how much may wait for it."""

from __future__ import annotations

from plugin_host.patience import MOST_BYTES, Patience

MIB = 1024 * 1024


def looks_until_over(patience: Patience, sent: int, untaken: int) -> int:
    """How many looks it takes; at least one."""
    looks = 1
    while not patience.look(sent, untaken):
        looks += 1
        assert looks < 100
    return looks


def test_who_takes_nothing_is_given_up_after_ten_looks() -> None:
    patience = Patience()
    patience.begin(5 * MIB, 100)
    assert looks_until_over(patience, 5 * MIB, 100) == 10


def test_who_takes_what_the_kernel_holds_begins_anew() -> None:
    """A slow reader takes for a long time before there is room for more."""
    patience = Patience()
    patience.begin(5 * MIB, 200_000)
    for left in range(200_000, 0, -1000):
        for _ in range(9):
            assert not patience.look(5 * MIB, left)
    assert looks_until_over(patience, 5 * MIB, 1000) <= 10


def test_what_may_wait_grows_with_what_is_taken() -> None:
    patience = Patience()
    patience.begin(0, 0)
    assert patience.most(0) == MOST_BYTES
    assert patience.most(30 * MIB) == 300 * MIB
    patience.look(30 * MIB, 0)
    patience.look(30 * MIB, 0)
    assert patience.most(30 * MIB) == MOST_BYTES, "that was long ago"
