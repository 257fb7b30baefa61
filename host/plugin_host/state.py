"""The states of a plugin and the one table of moves between them."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["MOVES", "State"]


class State(StrEnum):
    """Where a plugin is in its life."""

    DISCOVERED = "discovered"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    BACKOFF = "backoff"
    FAILED = "failed"
    IDLE = "idle"


# DISCOVERED -> FAILED: what was found cannot be launched. READY -> STOPPED or IDLE: it ended by itself,
# with status 0. READY -> BACKOFF or FAILED: it died. IDLE is a lazy plugin that nobody has called yet.
MOVES: dict[State, frozenset[State]] = {
    State.DISCOVERED: frozenset({State.STARTING, State.FAILED, State.IDLE}),
    State.STARTING: frozenset({State.READY, State.FAILED, State.BACKOFF, State.STOPPING}),
    State.READY: frozenset({State.STOPPING, State.STOPPED, State.IDLE, State.FAILED, State.BACKOFF}),
    State.STOPPING: frozenset({State.STOPPED, State.IDLE, State.FAILED}),
    State.STOPPED: frozenset({State.STARTING, State.IDLE}),
    State.BACKOFF: frozenset({State.STARTING, State.STOPPED, State.FAILED}),
    State.FAILED: frozenset({State.STARTING, State.STOPPED}),
    State.IDLE: frozenset({State.STARTING, State.STOPPED, State.FAILED}),
}
