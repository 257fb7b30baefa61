"""Many calls of one command in one request: which go together, and what the answer says of each.

Pure. Invariant: every call of a bundle has its outcome or is named as not run, whatever the plugin answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plugin_host_sdk.errors import excerpt

from .command import own_failure
from .errors import CallError, CallFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from .plugin import Plugin

__all__ = ["CALLS", "FEATURE", "METHOD", "Pace", "Portion", "outcomes"]

METHOD = FEATURE = "command.call_many"
CALLS = 64  # at most in one bundle: with more, a call costs hardly less
# With more in one request the host would wait for the plugin, and the plugin for the host, in turns.
_SHARED = 32
_LEAST = 4
_FIRST_PAUSE = 32
_LONGEST_PAUSE = 4096


class Pace:
    """Whether calls go in bundles of `most`: not so many after each time that a plugin ran none of one.

    A plugin does that as long as the command has not proved quick.
    """

    __slots__ = ("_most", "_pause", "singles")

    def __init__(self, most: int = CALLS) -> None:
        self._most = most
        self._pause = _FIRST_PAUSE
        self.singles = 0  # calls that go singly before the next bundle

    def size(self) -> int:
        """How many calls the next request may be for."""
        return self._most if not self.singles else 1

    def note_single(self) -> None:
        """A call went by itself."""
        if self.singles:
            self.singles -= 1

    def note_answer(self, ran: int) -> None:
        """A bundle is back, of which so many calls were run."""
        if ran:
            self._pause = _FIRST_PAUSE
        elif not self.singles:
            self.singles = self._pause
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)


class Portion:
    """How many calls are sent without waiting for more: `most`.

    Half of those in flight, for then the host makes new ones while the plugin runs the others. On one
    processor they take turns anyway, and where other plugins are busy each has its turn while another
    answers: there the more go together the better.
    """

    __slots__ = ("_peak", "_processors", "most")

    def __init__(self, processors: int) -> None:
        self._processors = processors
        self._peak = 2 * _SHARED
        self.most = _SHARED if processors > 1 else CALLS

    def note_sent(self, waiting: int, busy: int) -> int:
        """A request was sent: now so many calls wait for answers, and so many plugins are busy. `most`."""
        # What wait are fewer for a moment when several answers have come at once.
        self._peak = max(waiting, self._peak - 1)
        if self._processors < 2 or busy > 1:
            self.most = CALLS
        else:
            self.most = min(_SHARED, max(_LEAST, (self._peak + 1) // 2))
        return self.most


def outcomes(
    plugin: Plugin, command: str, answer: Any, count: int, explain: Callable[[CallError], CallError]
) -> list[Any]:
    """Of the first calls of a bundle of `count` what each ended with: its result, or a CallError.

    `explain` makes an error of the plugin's side say of which call it is.

    Raises CallFailed named `rpc.foreign` for an answer that is none; it is not explained.
    """
    try:
        results, failures = answer["results"], answer["failures"]
        if type(results) is not list or len(results) > count:
            raise TypeError
        for index, how in failures:
            if type(index) is not int or not 0 <= index < len(results):
                raise TypeError
            is_own = "status" in how
            results[index] = (
                own_failure(plugin, command, how) if is_own else explain(CallError.from_map(how))
            )
    except (TypeError, ValueError, LookupError):
        text = f"answered {excerpt(answer)} to many calls"
        raise CallFailed(text, name="rpc.foreign") from None
    return results
