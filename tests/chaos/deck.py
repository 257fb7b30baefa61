"""Which fault comes next: every kind once in each round, in an order drawn anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .fault import FAULTS

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from .fault import Fault
    from .part import Part

__all__ = ["Deck"]


class Deck:
    """Dealt to all victims of a run. The first round is dealt to its end, however long that takes."""

    def __init__(self, chance: random.Random, is_ended: Callable[[], bool]) -> None:
        self._chance = chance
        self._is_ended = is_ended
        self._cards = list(reversed(FAULTS))  # the slow ones first, so that they do not come last
        self._is_first_round = True
        self._undone = {fault.name for fault in FAULTS}

    @property
    def is_dealt(self) -> bool:
        """Whether every kind has been dealt once."""
        return not self._is_first_round

    @property
    def missing(self) -> list[str]:
        """Kinds that were never brought to an end."""
        return sorted(self._undone)

    def draw(self, part: Part) -> Fault | None:
        """The next that `part` can suffer; None when the run is over."""
        if not self._cards:
            self._is_first_round = False
            self._cards = list(FAULTS)
            self._chance.shuffle(self._cards)
        fitting = [fault for fault in self._cards if part.is_limited or not fault.meets_limit]
        if self._is_ended() and not (self._is_first_round and fitting):
            return None
        if not fitting:  # the others are for others, and this one does not wait for them
            return self._chance.choice([fault for fault in FAULTS if not fault.meets_limit])
        self._cards.remove(fitting[-1])
        return fitting[-1]

    def done(self, fault: Fault) -> None:
        """It has been suffered."""
        self._undone.discard(fault.name)
