"""What a plugin says for the log: its records, the lines of its stderr, what it writes where it should not.

Owns the logger `plugin_host.plugin.ID`. Invariant: whatever shape a record has, one line of the log comes
out of it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from plugin_host_sdk.errors import excerpt

from .death import Phase
from .floodgate import Floodgate

if TYPE_CHECKING:
    from .death import DeathReport

__all__ = ["Journal"]

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
# A program that is no plugin may write tens of thousands of lines before it is ended.
_STRAY_LINES = 20


class Journal:
    """The log of one plugin."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.logger = logging.getLogger(f"plugin_host.plugin.{plugin}")
        self._gate: Floodgate | None = None

    @property
    def gate(self) -> Floodgate:
        """What its records and the lines of its stderr pass; the same for all its launches."""
        if self._gate is None:
            self._gate = Floodgate(lambda text: self.logger.warning("plugin %s: %s", self.plugin, text))
        return self._gate

    @property
    def dropped(self) -> int:
        """How much of what it said was dropped, because there was too much of it."""
        return 0 if self._gate is None else self._gate.dropped

    def flush(self) -> None:
        """The plugin has ended: tell of what was dropped and not told of yet."""
        if self._gate is not None:
            self._gate.flush()

    def record(self, params: dict[str, Any]) -> bool:
        """A `log` notification of the plugin; False when there are too many of them."""
        level = _LEVELS.get(_text(params.get("level")), logging.INFO)
        if not self.logger.isEnabledFor(level):
            return True
        if not self.gate.admit(level):
            return False
        extra: dict[str, Any] = {
            "plugin_id": self.plugin,
            "plugin_logger": _text(params.get("logger", "")),
        }
        fields = params.get("fields")
        text = _text(params.get("message", ""))
        if isinstance(fields, dict):
            if isinstance(traceback := fields.pop("traceback", None), str):
                text += f"\n{traceback}"  # where logging itself puts one
            extra["plugin_fields"] = fields
        self.logger.log(level, "%s: %s", extra["plugin_logger"], text, extra=extra)
        return True

    def stderr(self, line: str) -> None:
        """A line of its stderr."""
        self.logger.info("stderr: %s", line)

    def failure(self, params: dict[str, Any]) -> None:
        """It says that it closes because of an error."""
        self.logger.error("plugin %s says: %s", self.plugin, _text(params.get("message")))

    def death(self, report: DeathReport) -> None:
        """It ended without being asked to."""
        # What ends a call, a session or a launch is told to who waits for that.
        is_unheard = report.is_failure and report.phase is Phase.IDLE
        level = logging.ERROR if is_unheard else logging.INFO
        self.logger.log(level, "%s", report.describe(), extra={"plugin_death": report.to_map()})

    def stray(self, data: bytes) -> None:
        """What came on the wire before the protocol."""
        lines = data.decode("utf-8", "replace").splitlines()
        for line in lines[:_STRAY_LINES]:
            self.logger.warning("stdout before it was ready: %s", line)
        if len(lines) > _STRAY_LINES:
            self.logger.warning("stdout before it was ready: %d more lines", len(lines) - _STRAY_LINES)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else excerpt(value)
