"""A plugin as embedders see it, and the one place where its state moves."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .constraint import is_version
from .event import StateChanged
from .metric.meter import Meter
from .state import MOVES, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .candidate import Candidate
    from .death import DeathReport
    from .manifest import Manifest

__all__ = ["Plugin"]

_log = logging.getLogger("plugin_host")


class Plugin:
    """One plugin of a host. Read-only for embedders; `PluginHost` starts and stops it.

    `pid` is None while no process runs; `capabilities` maps the name of each to what the plugin said of
    it; `error` is why it is not running, if something went wrong. `death` is the report of its last
    death, also after it was started again; `restarts` counts how often it was started again by itself.
    `healthy` is False while it does not answer, or its calls wait and none ends. `meter` counts what it
    does.
    """

    def __init__(self, candidate: Candidate, changed: Callable[[StateChanged], None]) -> None:
        self.candidate = candidate
        self.id = candidate.id
        self.version = candidate.manifest.version if candidate.manifest else ""
        self.state = State.DISCOVERED
        self.pid: int | None = None
        self.capabilities: dict[str, Any] = {}
        self.error: Exception | None = candidate.error
        self.death: DeathReport | None = None
        self.restarts = 0
        self.healthy = True
        self.meter = Meter(self.offers)
        self._changed = changed

    def __repr__(self) -> str:
        pid = f" pid={self.pid}" if self.pid else ""
        return f"<Plugin {self.id} {self.version} {self.state}{pid}>"

    @property
    def source(self) -> str:
        """Where it was found, in words."""
        return self.candidate.source

    @property
    def is_raw(self) -> bool:
        """Whether it speaks plain msgpack-RPC: parameters are positional, and nothing else is known."""
        return self.candidate.manifest is not None and self.candidate.manifest.protocol == "msgpack-rpc"

    @property
    def commands(self) -> list[str]:
        """The commands it offers, sorted; empty while it does not run."""
        offered = self.capabilities.get("command")
        commands = offered.get("commands") if isinstance(offered, dict) else None
        return sorted(name for name in commands if type(name) is str) if isinstance(commands, list) else []

    def offers(self, command: str) -> bool:
        """Whether it has a command of this name; of a raw peer nobody knows, so it may."""
        if self.is_raw:
            return True
        offered = self.capabilities.get("command")
        commands = offered.get("commands") if isinstance(offered, dict) else None
        return isinstance(commands, list) and command in commands

    def runs(
        self, candidate: Candidate, manifest: Manifest, pid: int | None, answer: Mapping[str, Any]
    ) -> None:
        """It is what runs as `pid` from now on, and `answer` is what that said of itself."""
        self.candidate = candidate
        self.pid = pid
        self.error = None
        self.healthy = True
        version = answer.get("plugin", {}).get("version")
        self.version = version if isinstance(version, str) and is_version(version) else manifest.version
        self.capabilities = dict(answer.get("capabilities", {}))

    def move(self, new: State, reason: str = "") -> None:
        """Change the state, and tell everybody. Raises ValueError for a move that is not in the table."""
        old = self.state
        if new not in MOVES[old]:
            raise ValueError(f"plugin `{self.id}` cannot go from {old} to {new}")
        self.state = new
        _log.info("plugin %s: %s -> %s%s", self.id, old, new, f" ({reason})" if reason else "")
        error = self.error if new in (State.FAILED, State.BACKOFF) else None
        event = StateChanged(plugin=self.id, old=old, new=new, reason=reason, pid=self.pid, error=error)
        self._changed(event)
