"""A task at one moment, for lists: plain values, and nothing that may be secret."""

from __future__ import annotations

from msgspec import Struct, field

from .result import TaskResult

__all__ = ["TaskInfo"]


class TaskInfo(Struct, frozen=True, kw_only=True):
    """`plugin` is empty for a task that no plugin works on; `state` is that of `Task.state`.

    `timeout` is in seconds; `created`, `started` and `ended` are seconds since the epoch; `log_bytes`
    counts the whole log, of which `log_start` is the oldest byte that is kept. The environment is not told.
    """

    id: str
    plugin: str
    state: str
    command: tuple[str, ...] = ()
    cwd: str | None = None
    tty: bool = True
    labels: dict[str, str] = field(default_factory=dict)
    timeout: float | None = None
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    log_start: int = 0
    log_bytes: int = 0
    result: TaskResult | None = None
