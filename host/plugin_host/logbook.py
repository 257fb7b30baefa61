"""The newest of what plugins have logged, for those who ask afterwards, and live for those who follow.

Kept in memory, in bounds of its own for each plugin, so that one that logs much drives out nothing of the
others. From the level info on everything is kept, whatever `logging` shows; records of the level debug only
while `logging` shows them or somebody follows them. Used from the loop's thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .level import LEVELS, level_number
from .ring import Ring
from .subscription import Subscription
from .weight import weigh

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["LEVELS", "LogRecord", "LogStream", "Logbook", "level_number"]

RECORDS = 1000
RING_BYTES = 1 << 20
"""What is kept of one plugin."""

RECORD_BYTES = 64 << 10
"""What one record may take; more of it is cut."""

_INFO = LEVELS["info"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One record. `at` is in seconds since the epoch; `level` is a name of LEVELS.

    `source` says where it is from: "log" is the plugin's logging, with the name of its `logger` and further
    `fields`; "stderr" a line of its stderr; "stdout" what it wrote there before it spoke the protocol;
    "host" what the host says about it. With "lost" it stands for `lost` records that are missing here,
    because whoever follows did not read in time.
    """

    at: float
    plugin: str
    level: str
    message: str
    logger: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    source: Literal["log", "stderr", "stdout", "host", "lost"] = "log"
    lost: int = 0

    def to_map(self) -> dict[str, Any]:
        """It as values of the wire; `lost` only where some are."""
        shown = {
            "at": self.at,
            "plugin": self.plugin,
            "level": self.level,
            "logger": self.logger,
            "message": self.message,
            "fields": dict(self.fields),
            "source": self.source,
        }
        return shown | {"lost": self.lost} if self.lost else shown

    @classmethod
    def from_map(cls, told: Mapping[str, Any]) -> LogRecord:
        """The record that `to_map` was made from; what it does not know is left out."""
        return cls(**{name: told[name] for name in cls.__slots__ if name in told})


class LogStream(Subscription[LogRecord]):
    """An async iterator of records; made by `Logbook.follow`. Ends when it or the host is closed."""

    def __init__(self, book: Logbook, plugin: str | None, level: int) -> None:
        super().__init__(_lost, lambda: book.forget(self))
        self._plugin = plugin
        self._level = level

    def wants(self, plugin: str, level: int) -> bool:
        """Whether such a record belongs to it."""
        return level >= self._level and self._plugin in (None, plugin)


class Logbook:
    """What the plugins of one host log."""

    def __init__(self, *, records: int = RECORDS, size: int = RING_BYTES) -> None:
        self._bounds = records, size
        self._rings: dict[str, Ring[tuple[int, LogRecord]]] = {}
        self._streams: dict[LogStream, None] = {}
        self._count = 0
        self._is_closed = False

    def __repr__(self) -> str:
        kept = sum(map(len, self._rings.values()))
        return f"<Logbook records={kept} followed={len(self._streams)}>"

    # Reading.

    def records(
        self, plugin: str | None = None, *, level: str = "debug", tail: int | None = None
    ) -> list[LogRecord]:
        """What is kept, the oldest first: of one plugin or of all, from `level` on, the last `tail` of it.

        Raises ValueError for a level that there is not.
        """
        least = level_number(level)
        rings: Iterable[Ring[tuple[int, LogRecord]]] = self._rings.values()
        if plugin is not None:
            rings = [self._rings[plugin]] if plugin in self._rings else []
        kept = (one for ring in rings for one in ring if LEVELS[one[1].level] >= least)
        found = [record for _, record in sorted(kept, key=lambda one: one[0])]
        return found if tail is None else found[max(0, len(found) - tail) :]

    def follow(self, plugin: str | None = None, *, level: str = "info") -> LogStream:
        """What is logged from now on, of one plugin or of all, from `level` on.

        While a stream of the level debug is open, such records are kept as well. A stream that is not read
        drops its oldest records and says how many. Raises ValueError for a level that there is not.
        """
        stream = LogStream(self, plugin, level_number(level))
        self._streams[stream] = None
        if self._is_closed:
            stream.close()
        return stream

    # Writing.

    def wants(self, plugin: str, level: int) -> bool:
        """Whether a record of such a number is kept here, though nobody else wants it."""
        return level >= _INFO or any(stream.wants(plugin, level) for stream in self._streams)

    def put(self, record: LogRecord) -> None:
        """Keep a record, and give it to those who follow; a big one is cut first."""
        weight = _weigh(record)
        if weight > RECORD_BYTES:
            record = _cut(record)
            weight = _weigh(record)
        ring = self._rings.get(record.plugin)
        if ring is None:
            ring = self._rings[record.plugin] = Ring(*self._bounds)
        self._count += 1
        ring.push((self._count, record), weight)
        if self._streams:
            level = LEVELS[record.level]
            for stream in self._streams:
                if stream.wants(record.plugin, level):
                    stream.push(record, weight)

    def forget(self, stream: LogStream) -> None:
        """Called by a stream that was closed."""
        self._streams.pop(stream, None)

    def close(self) -> None:
        """End every stream; what is kept can still be read."""
        self._is_closed = True
        for stream in list(self._streams):
            stream.close()


def _weigh(record: LogRecord) -> int:
    fields = weigh(record.fields, RECORD_BYTES) if record.fields else 0
    return 400 + len(record.message) + len(record.logger) + fields


def _cut(record: LogRecord) -> LogRecord:
    """Its message cut, and its fields left out if they are much of it."""
    half = RECORD_BYTES // 2
    text, fields = record.message, record.fields
    notes = []
    if len(text) > half:
        notes.append(f"{len(text) - half // 2} more characters")
        text = text[: half // 2]
    if fields and weigh(fields, half) > half:
        notes.append("its fields")
        fields = {}
    return LogRecord(
        at=record.at,
        plugin=record.plugin,
        level=record.level,
        message=f"{text} … (left out: {', '.join(notes)})",
        logger=record.logger[:1000],
        fields=fields,
        source=record.source,
    )


def _lost(count: int, before: LogRecord) -> LogRecord:
    return LogRecord(
        at=before.at,
        plugin="",
        level="warning",
        message=f"{count} records are missing here: they were not read in time",
        source="lost",
        lost=count,
    )
