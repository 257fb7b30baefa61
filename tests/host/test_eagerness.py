"""When a lone call looks for its answer itself: what was found, what it cost, and who else calls."""

from __future__ import annotations

import asyncio
from typing import cast

from plugin_host.eagerness import ROW_S, SLOW_S, Eagerness, row_of
from tests.run import Run


def test_first_call_looks() -> None:
    assert Eagerness().pause == 0


def test_each_look_in_vain_that_follows_on_another_doubles_the_pause_up_to_a_bound() -> None:
    eagerness, pauses = Eagerness(), []
    for _ in range(13):
        eagerness.missed(1e-6)
        pauses.append(eagerness.pause)
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024, 1024]
    assert repr(eagerness) == "<Eagerness pause=1024>"


def test_look_in_vain_after_one_that_found_something_is_followed_by_a_short_pause() -> None:
    eagerness = Eagerness()
    for _ in range(8):
        eagerness.missed(1e-6)
    eagerness.next = 1  # as who finds an answer does
    eagerness.missed(1e-6)
    assert eagerness.pause == 1
    eagerness.missed(1e-6)
    assert eagerness.pause == 2


def test_price_of_a_look_in_vain_is_spread_over_calls() -> None:
    eagerness = Eagerness()
    eagerness.missed(SLOW_S)
    assert eagerness.pause == 20
    eagerness.missed(0.003)  # others had the processor
    assert eagerness.pause == 3000


def test_all_links_of_a_loop_share_a_row_and_loops_do_not(run: Run) -> None:
    async def body() -> object:
        loop = asyncio.get_running_loop()
        assert row_of(loop) is row_of(loop)
        return row_of(loop)

    assert run(body()) is not run(body())


def test_row_is_open_until_the_loop_has_a_turn(run: Run) -> None:
    async def body() -> None:
        loop = asyncio.get_running_loop()
        row = row_of(loop)
        assert not row.is_open
        assert len(row.ready) == 0
        row.begin(loop, 7.0)
        assert (row.is_open, row.until, len(row.ready)) == (True, 7.0 + ROW_S, 1)
        await asyncio.sleep(0)
        assert not row.is_open

    run(body())


def test_loop_that_does_not_tell_what_is_ready_always_has_something() -> None:
    class Loop:
        pass

    assert len(row_of(cast(asyncio.AbstractEventLoop, Loop())).ready) > 1
