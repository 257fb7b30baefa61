"""What clients follow: `host.logs` and `host.events`, each told on a stream that the client names.

The stream carries one JSON object a line, under the client's credit. Its end, by either side, ends the
subscription: the host ends it after what is kept unless it is to `follow`, and when the host stops.
Invariant: a client that does not read costs its connection's credit and one bounded queue, whose loss it is
told of as a record of its own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct

from plugin_host.admittance import not_found
from plugin_host.errors import CallFailed, LocalProtocolError
from plugin_host.eventmap import event_map
from plugin_host.logbook import LogRecord, level_number
from plugin_host.outbound import Outbound

from .jsonline import json_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from plugin_host.event import HostEvent
    from plugin_host.host import PluginHost
    from plugin_host.stream import Streams
    from plugin_host.subscription import Subscription

    from .ask import Ask, Method

__all__ = ["FeedMethods"]

# Subscriptions of one client at once.
_FEEDS = 64
# What one write holds, if so much is there.
_WRITE_BYTES = 32 << 10


class _Feed(Struct, kw_only=True):
    stream: Annotated[int, Meta(ge=0, lt=2**32)]
    window: Annotated[int, Meta(ge=1, lt=2**31)]
    follow: bool = False
    tail: Annotated[int, Meta(ge=0)] | None = None


class _Logs(_Feed, kw_only=True):
    plugin: str | None = None
    level: str = "info"


class _Out(Outbound):
    """The stream of one subscription; `on_stop` is called when the client gives it up."""

    def __init__(self, streams: Streams, number: int, on_stop: Callable[[], None]) -> None:
        super().__init__(streams, number)
        self._on_stop = on_stop

    def stopped(self) -> None:
        super().stopped()
        self._on_stop()


class _Press:
    """Makes lines of records and events. The last is kept: many clients follow the same."""

    def __init__(self) -> None:
        self._last: tuple[object, bytes] = (None, b"")

    async def line(self, one: LogRecord | HostEvent) -> bytes:
        if self._last[0] is one:
            return self._last[1]
        line = await json_line(one.to_map() if isinstance(one, LogRecord) else event_map(one))
        self._last = one, line
        return line


class FeedMethods:
    """The methods of one host."""

    def __init__(self, host: PluginHost) -> None:
        self._host = host
        self._press = _Press()
        self._running: Counter[int] = Counter()  # by the number of the client

    def table(self) -> dict[str, Method]:
        """The methods by name."""
        return {"host.logs": self._logs, "host.events": self._events}

    async def _logs(self, ask: Ask) -> Any:
        asked, host = ask.read(_Logs), self._host
        try:
            level_number(asked.level)
        except ValueError as error:
            raise CallFailed(f"host.logs: {error}", name="rpc.invalid_params") from None
        if asked.plugin is not None and asked.plugin not in host.plugins:
            raise not_found(asked.plugin, host.plugins)
        kept = host.logs.records(asked.plugin, level=asked.level, tail=asked.tail)
        live = host.logs.follow(asked.plugin, level=asked.level) if asked.follow else None
        return self._begin(ask, asked, kept, live)

    async def _events(self, ask: Ask) -> Any:
        asked = ask.read(_Feed)
        kept = self._host.recent_events
        kept = kept if asked.tail is None else kept[max(0, len(kept) - asked.tail) :]
        return self._begin(ask, asked, kept, self._host.events() if asked.follow else None)

    def _begin(
        self,
        ask: Ask,
        asked: _Feed,
        kept: Iterable[LogRecord | HostEvent],
        live: Subscription[LogRecord] | Subscription[HostEvent] | None,
    ) -> dict[str, Any]:
        client, running = ask.client, self._running
        stop = live.close if live is not None else lambda: None
        try:
            if running[client.number] >= _FEEDS:
                raise CallFailed(f"this client follows {_FEEDS} streams already", name="rpc.busy")
            out = _open(client.link.streams, asked, stop)
        except BaseException:
            stop()
            raise
        task = asyncio.get_running_loop().create_task(
            _tell(self._press, out, kept, live), name=f"{ask.method} for client {client.number}"
        )
        running[client.number] += 1

        def over(_: object) -> None:
            stop()  # also of a task that never began
            running[client.number] -= 1
            if not running[client.number]:
                del running[client.number]

        task.add_done_callback(over)
        client.feed(task)
        return {}


def _open(streams: Streams, asked: _Feed, stop: Callable[[], None]) -> _Out:
    out = _Out(streams, asked.stream, stop)
    try:
        out.open(asked.window)
    except LocalProtocolError as error:
        raise CallFailed(str(error), name="rpc.invalid_params") from None
    return out


async def _tell(
    press: _Press,
    out: _Out,
    kept: Iterable[LogRecord | HostEvent],
    live: Subscription[LogRecord] | Subscription[HostEvent] | None,
) -> None:
    """Write what is kept and what comes, until either side has enough."""
    lines = bytearray()
    try:
        for one in kept:
            lines += await press.line(one)
            if len(lines) >= _WRITE_BYTES:
                await out.write(bytes(lines))
                lines.clear()
        await out.write(bytes(lines))
        while live is not None:
            try:
                lines = bytearray(await press.line(await anext(live)))
            except StopAsyncIteration:
                break
            while live.has_more and len(lines) < _WRITE_BYTES:
                lines += await press.line(live.take())
            await out.write(bytes(lines))
    except BrokenPipeError:
        pass  # the client wants no more
    finally:
        out.refuse("it has ended")
