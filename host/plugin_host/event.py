"""What a running host tells about its plugins, and the streams by which listeners hear it.

A listener that is slow loses the oldest events of its own stream, and is told how many; it never slows
the host or another listener.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .death import DeathReport
    from .state import State

__all__ = [
    "DeathTold",
    "EventHub",
    "EventStream",
    "EventsLost",
    "HealthChanged",
    "HostEvent",
    "PluginNotified",
    "PluginSwapped",
    "StateChanged",
]

_KEPT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEvent:
    """Base of all events. `at` is the wall-clock time in seconds since the epoch."""

    plugin: str
    at: float = field(default_factory=time.time, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged(HostEvent):
    """A plugin moved from one state to another; `reason` is a sentence, empty when it needs none."""

    old: State
    new: State
    reason: str = ""
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeathTold(HostEvent):
    """A plugin ended without being asked to, or did not come up; comes before the change of state."""

    report: DeathReport


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChanged(HostEvent):
    """A plugin became unresponsive, or answers again; `reason` says by which sign, and what it does."""

    healthy: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSwapped(HostEvent):
    """A plugin that was started anew beside the running one has taken its place, without a pause."""

    old_version: str
    new_version: str
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginNotified(HostEvent):
    """A notification the host has no meaning for, as raw peers send them."""

    method: str
    params: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsLost(HostEvent):
    """This many events of the stream were dropped here because nobody read them."""

    count: int


class EventStream:
    """An async iterator of the events since it was made. Ends when it or the host is closed."""

    def __init__(self, hub: EventHub) -> None:
        self._hub = hub
        self._events: deque[HostEvent] = deque()
        self._lost = 0
        self._is_closed = False
        self._wake: asyncio.Event = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[HostEvent]:
        return self

    async def __anext__(self) -> HostEvent:
        while not self._events:
            if self._is_closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        if self._lost:
            count, self._lost = self._lost, 0
            return EventsLost(plugin=self._events[0].plugin, count=count)
        return self._events.popleft()

    def put(self, event: HostEvent) -> None:
        """Called by the hub."""
        self._events.append(event)
        if len(self._events) > _KEPT:
            self._events.popleft()
            self._lost += 1
        self._wake.set()

    def close(self) -> None:
        """No more events come; those that wait can still be read."""
        self._is_closed = True
        self._hub.forget(self)
        self._wake.set()


class EventHub:
    """Gives every event to every stream."""

    def __init__(self) -> None:
        self._streams: set[EventStream] = set()
        self._is_closed = False

    def open(self) -> EventStream:
        """A stream of the events from now on; one that has ended when the hub is closed."""
        stream = EventStream(self)
        self._streams.add(stream)
        if self._is_closed:
            stream.close()
        return stream

    def put(self, event: HostEvent) -> None:
        for stream in self._streams:
            stream.put(event)

    def forget(self, stream: EventStream) -> None:
        self._streams.discard(stream)

    def close(self) -> None:
        """End every stream."""
        self._is_closed = True
        for stream in list(self._streams):
            stream.close()
