"""What an author sets for all sessions of a plugin. Plain slotted classes that load nothing."""

from __future__ import annotations

from plugin_host_sdk.errors import RegistrationError
from plugin_host_sdk.protocol import FULL_PAYLOAD_BYTES, MOST_REPLAY_BYTES

__all__ = ["SessionLimits", "SessionSettings", "check_kinds"]

_LEAST_QUEUE = 64 * 1024  # a viewer that may lose bytes is behind by no less than a frame
_LONGEST_S = 24 * 60 * 60.0
_MOST_SESSIONS = 1_000_000


class SessionSettings:
    """How sessions work.

    `read_chunk`: the most bytes that are read of an output at once. Less gives other sessions their turn
    sooner, and costs throughput. None is 4096 for a terminal, which has no more at a time, and a full
    frame for a pipe. `event_queue`: how many bytes may wait for a viewer that may miss output, before the
    oldest become a gap; None is what the session keeps, and 64 KiB at the least. `resize_timeout`: the
    seconds in which a handler has to take a size.
    """

    __slots__ = ("event_queue", "read_chunk", "resize_timeout")

    def __init__(
        self,
        *,
        read_chunk: int | None = None,
        event_queue: int | None = None,
        resize_timeout: float = 0.5,
    ) -> None:
        if read_chunk is not None:
            read_chunk = _whole("read_chunk", read_chunk, 1, FULL_PAYLOAD_BYTES)
        if event_queue is not None:
            event_queue = _whole("event_queue", event_queue, _LEAST_QUEUE, MOST_REPLAY_BYTES)
        self.read_chunk = read_chunk
        self.event_queue = event_queue
        self.resize_timeout = _seconds("resize_timeout", resize_timeout)

    def __repr__(self) -> str:
        return (
            f"SessionSettings(read_chunk={self.read_chunk}, event_queue={self.event_queue}, "
            f"resize_timeout={self.resize_timeout:g})"
        )


class SessionLimits:
    """What sessions that have ended may take: so many of them are kept, each for so many seconds.

    The seconds count from the end, or from the last look at it.
    """

    __slots__ = ("ended_s", "ended_sessions")

    def __init__(self, *, ended_sessions: int = 64, ended_s: float = 60.0) -> None:
        self.ended_sessions = _whole("ended_sessions", ended_sessions, 0, _MOST_SESSIONS)
        self.ended_s = _seconds("ended_s", ended_s)

    def __repr__(self) -> str:
        return f"SessionLimits(ended_sessions={self.ended_sessions}, ended_s={self.ended_s:g})"


def check_kinds(settings: object, limits: object) -> None:
    """Raise RegistrationError for what is neither None nor of its class."""
    if not isinstance(settings, (SessionSettings, type(None))):
        raise RegistrationError(f"settings are SessionSettings, not {settings!r}")
    if not isinstance(limits, (SessionLimits, type(None))):
        raise RegistrationError(f"limits are SessionLimits, not {limits!r}")


def _whole(name: str, value: int, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise RegistrationError(f"{name} is {least} to {most}, not {value!r}")
    return value


def _seconds(name: str, value: float) -> float:
    if type(value) not in (int, float) or not 0 <= value <= _LONGEST_S:
        raise RegistrationError(f"{name} is 0 to {_LONGEST_S:g} seconds, not {value!r}")
    return float(value)
