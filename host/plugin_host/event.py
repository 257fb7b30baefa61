"""What a running host tells about its plugins, and the streams by which listeners hear it.

A listener that is slow loses the oldest events of its own stream, and is told how many; it never slows
the host or another listener.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .ring import Ring
from .subscription import Subscription
from .weight import weigh

if TYPE_CHECKING:
    from plugin_host_sdk.types.session import Exit, SessionInfo

    from .death import DeathReport
    from .health import Cause
    from .state import State

__all__ = [
    "ActionEnded",
    "ActionStarted",
    "DeathTold",
    "EventHub",
    "EventStream",
    "EventsLost",
    "HealthChanged",
    "HostEvent",
    "PluginNotified",
    "PluginSwapped",
    "SessionEnded",
    "SessionOpened",
    "StateChanged",
    "TaskChanged",
]

RECENT = 200
RECENT_BYTES = 1 << 20
"""What is kept of the newest events for those who ask later."""

_ORDINARY_BYTES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEvent:
    """Base of all events. `at` is the wall-clock time in seconds since the epoch."""

    plugin: str
    at: float = field(default_factory=time.time, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged(HostEvent):
    """A plugin moved from one state to another; `reason` is a sentence, empty when it needs none.

    `error` is what went wrong, when the new state is FAILED or BACKOFF.
    """

    old: State
    new: State
    reason: str = ""
    pid: int | None = None
    error: Exception | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeathTold(HostEvent):
    """A plugin ended without being asked to, or did not come up; comes before the change of state."""

    report: DeathReport


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChanged(HostEvent):
    """A plugin became unresponsive, or answers again; `reason` says by which sign, and what it does.

    `cause` is that sign: its reader is `silent`, its `loop` is blocked, or its calls are `stalled`, for
    which it is never ended; None when it is well again. When the cause changes, that is told as well.
    """

    healthy: bool
    reason: str
    cause: Cause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSwapped(HostEvent):
    """A plugin that was started anew beside the running one has taken its place, without a pause."""

    old_version: str
    new_version: str
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened(HostEvent):
    """An exec session was opened, by whomever; `info` is the session as it was opened."""

    session: str
    info: SessionInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded(HostEvent):
    """An exec session has ended; `exit` is None when it was lost with its plugin."""

    session: str
    exit: Exit | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionStarted(HostEvent):
    """A plugin has taken on an action; `kind` is what it is to do."""

    action: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionEnded(HostEvent):
    """An action has ended; `success` when it did what was asked, a script with status 0."""

    action: str
    kind: str
    success: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChanged(HostEvent):
    """A task came to another state: pending, offered, running, reported, ended, lost, and closed at last.

    `plugin` is empty for one that no plugin works on.
    """

    task: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginNotified(HostEvent):
    """A notification the host has no meaning for, as raw peers send them."""

    method: str
    params: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsLost(HostEvent):
    """This many events of the stream were dropped here because nobody read them."""

    count: int


class EventStream(Subscription[HostEvent]):
    """An async iterator of the events since it was made. Ends when it or the host is closed."""

    def __init__(self, hub: EventHub) -> None:
        super().__init__(_lost, lambda: hub.forget(self))

    def put(self, event: HostEvent) -> None:
        """An event for this stream alone."""
        self.push(event, _weigh(event))


class EventHub:
    """Gives every event to every stream, and keeps the newest."""

    def __init__(self) -> None:
        self._streams: dict[EventStream, None] = {}
        self._kept: Ring[HostEvent] = Ring(RECENT, RECENT_BYTES)
        self._is_closed = False

    @property
    def recent(self) -> list[HostEvent]:
        """The newest events, the oldest first."""
        return list(self._kept)

    def open(self) -> EventStream:
        """A stream of the events from now on; one that has ended when the hub is closed."""
        stream = EventStream(self)
        self._streams[stream] = None
        if self._is_closed:
            stream.close()
        return stream

    def put(self, event: HostEvent) -> None:
        weight = _weigh(event)
        self._kept.push(event, weight)
        for stream in self._streams:
            stream.push(event, weight)

    def forget(self, stream: EventStream) -> None:
        self._streams.pop(stream, None)

    def close(self) -> None:
        """End every stream."""
        self._is_closed = True
        for stream in list(self._streams):
            stream.close()


def _lost(count: int, before: HostEvent) -> HostEvent:
    return EventsLost(plugin=before.plugin, count=count)


def _weigh(event: HostEvent) -> int:
    """The bytes it takes, roughly; only what others have given may be big."""
    if isinstance(event, PluginNotified):
        return _ORDINARY_BYTES + weigh(event.params)
    return _ORDINARY_BYTES + (weigh(event.info.command) if isinstance(event, SessionOpened) else 0)
