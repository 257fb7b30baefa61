"""What a plugin says of its calls when it is asked how it is.

Pure. Whatever a plugin sends can be read: what is not of the form that was asked for was not said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Vitals"]

_NAME_CHARACTERS = 200
_MOST_MS = 1e12  # what is more is no number of milliseconds


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a plugin's reader says of its calls; None is what it did not say.

    `running` calls have begun, `waiting` ones have not, `finished` had begun and were answered since its
    start. `oldest` is the name of the call that runs longest, for `oldest_s` seconds. `loop_s` is how long
    its event loop has not come round; 0 when it does.
    """

    running: int | None = None
    waiting: int | None = None
    finished: int | None = None
    oldest: str | None = None
    oldest_s: float | None = None
    loop_s: float | None = None

    @classmethod
    def from_wire(cls, answer: Any) -> Vitals | None:
        """Of whatever came as an answer, what can be used; None when that is nothing."""
        if not isinstance(answer, dict):
            return None
        oldest = answer.get("oldest")
        return cls(
            running=_count(answer.get("running")),
            waiting=_count(answer.get("waiting")),
            finished=_count(answer.get("finished")),
            oldest=oldest[:_NAME_CHARACTERS] if isinstance(oldest, str) else None,
            oldest_s=_seconds(answer.get("oldest_ms")),
            loop_s=_seconds(answer.get("loop_ms")),
        )


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _seconds(value: object) -> float | None:
    return value / 1000 if type(value) in (int, float) and 0 <= value < _MOST_MS else None  # type: ignore[operator]
