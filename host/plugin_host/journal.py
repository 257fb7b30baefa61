"""What a plugin says for the log: its records, the lines of its stderr, what it writes where it should not.

Owns the logger `plugin_host.plugin.ID`, and what of it goes into the logbook. Invariant: whatever shape a
record has, one line of the log comes out of it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Literal

from plugin_host_sdk.errors import excerpt

from .death import Phase
from .floodgate import Floodgate
from .logbook import LEVELS, Logbook, LogRecord

if TYPE_CHECKING:
    from .death import DeathReport

__all__ = ["Journal", "failure_text"]

_NAMES = {number: name for name, number in LEVELS.items()}
# A program that is no plugin may write tens of thousands of lines before it is ended.
_STRAY_LINES = 20
_SHOWN_FAILURE = 300


class Journal:
    """The log of one plugin; `book` keeps the newest of it."""

    def __init__(self, plugin: str, book: Logbook | None = None) -> None:
        self.plugin = plugin
        self._logger = logging.getLogger(f"plugin_host.plugin.{plugin}")
        self._book = book if book is not None else Logbook()
        self._gate: Floodgate | None = None

    @property
    def gate(self) -> Floodgate:
        """What its records and the lines of its stderr pass; the same for all its launches."""
        if self._gate is None:
            self._gate = Floodgate(lambda text: self.tell(logging.WARNING, f"plugin {self.plugin}: {text}"))
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
        level = LEVELS.get(_text(params.get("level")), logging.INFO)
        is_shown = self._logger.isEnabledFor(level)
        if not is_shown and not self._book.wants(self.plugin, level):
            return True
        if not self.gate.admit(level):
            return False
        text, name = _text(params.get("message", "")), _text(params.get("logger", ""))
        fields = params.get("fields")
        if not isinstance(fields, dict):
            fields = None
        elif isinstance(traceback := fields.pop("traceback", None), str):
            text += f"\n{traceback}"  # where logging itself puts one
        self._keep(level, text, "log", name, fields)
        if is_shown:
            extra: dict[str, Any] = {"plugin_id": self.plugin, "plugin_logger": name}
            if fields is not None:
                extra["plugin_fields"] = fields
            self._logger.log(level, "%s: %s", name, text, extra=extra)
        return True

    def stderr(self, line: str) -> None:
        """A line of its stderr."""
        self._keep(logging.INFO, line, "stderr")
        self._logger.info("stderr: %s", line)

    def failure(self, params: dict[str, Any]) -> bool:
        """It says that it closes because of an error; False as of `complain`."""
        return self.complain(f"plugin {self.plugin} says: {_text(params.get('message'))}")

    def complain(self, text: str) -> bool:
        """What the host has to say of something that the plugin sent; False when that is too much."""
        if not self.gate.admit(logging.ERROR):
            return False
        self.tell(logging.ERROR, text)
        return True

    def death(self, report: DeathReport) -> None:
        """It ended without being asked to."""
        # What ends a call, a session or a launch is told to who waits for that.
        is_unheard = report.is_failure and report.phase is Phase.IDLE
        level = logging.ERROR if is_unheard else logging.INFO
        self.tell(level, report.describe(), {"plugin_death": report.to_map()})

    def stray(self, data: bytes) -> None:
        """What came on the wire before the protocol."""
        lines = data.decode("utf-8", "replace").splitlines()
        for line in lines[:_STRAY_LINES]:
            self._stray(line)
        if len(lines) > _STRAY_LINES:
            self._stray(f"{len(lines) - _STRAY_LINES} more lines")

    def _stray(self, line: str) -> None:
        self._keep(logging.WARNING, line, "stdout")
        self._logger.warning("stdout before it was ready: %s", line)

    def tell(self, level: int, text: str, extra: dict[str, Any] | None = None) -> None:
        """What the host has to say about the plugin."""
        self._keep(level, text, "host")
        self._logger.log(level, "%s", text, extra=extra)

    def _keep(
        self,
        level: int,
        text: str,
        source: Literal["log", "stderr", "stdout", "host"],
        logger: str = "",
        fields: dict[str, Any] | None = None,
    ) -> None:
        self._book.put(
            LogRecord(
                at=time.time(),
                plugin=self.plugin,
                level=_NAMES[level],
                message=text,
                logger=logger,
                fields=fields or {},
                source=source,
            )
        )


def failure_text(params: dict[str, Any]) -> str:
    """Why a plugin closes, as it says in its notification `failure`, in one line."""
    text = " ".join(_text(params.get("message")).split())
    return text if len(text) <= _SHOWN_FAILURE else text[: _SHOWN_FAILURE - 1] + "…"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else excerpt(value)
