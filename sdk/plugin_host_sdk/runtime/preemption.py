"""Whether a run that lasted was slow itself, or the system had other work to do on its processor.

On a busy machine any run may last longer than a scheduler's slice. Owns what each thread was told last.
"""

from __future__ import annotations

from _thread import get_ident

__all__ = ["Preemptions"]

# Who is slow again after fewer requests than this is so by itself.
_APART = 32


class Preemptions:
    """The involuntary switches of the threads of a plugin. From any thread; for slow runs alone."""

    __slots__ = ("_answered", "_seen")

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._answered = -_APART

    def excuse(self, answered: int | None = None) -> bool:
        """Whether the processor was taken from this thread since it asked last.

        `answered` counts the requests so far, where two slow runs close to each other are no accident.
        """
        thread, switches = get_ident(), _switches()
        before = self._seen.get(thread, 0)
        self._seen[thread] = switches
        if answered is not None:
            is_alone = answered - self._answered >= _APART
            self._answered = answered
            return is_alone and switches > before
        return switches > before


def _switches() -> int:
    """How often the system has taken the processor from this thread; 0 where it does not tell."""
    try:
        import resource  # most plugins never need it
    except (ImportError, OSError):  # no descriptor is left to read it with
        return 0
    which = getattr(resource, "RUSAGE_THREAD", None)
    return 0 if which is None else resource.getrusage(which).ru_nivcsw
