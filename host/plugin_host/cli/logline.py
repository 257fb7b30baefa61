"""What the host and its plugins log, as lines on stderr for those who ask for them with `-v`.

Owns the handlers of the `plugin_host` logger in a command. Invariant: without `-v` no record reaches
stderr, also none that logging itself would put there as a last resort.
"""

from __future__ import annotations

import logging
import time

from . import output
from .notation import inline

__all__ = ["listen"]

ROOT = "plugin_host"
_PLUGINS = f"{ROOT}.plugin."


def listen(verbosity: int) -> None:
    """Show nothing for 0, what happens for 1, everything from 2 on."""
    logger = logging.getLogger(ROOT)
    logger.propagate = False
    if verbosity == 0:
        logger.addHandler(logging.NullHandler())
        return
    logger.setLevel(logging.INFO if verbosity == 1 else logging.DEBUG)
    handler = _Handler()
    handler.setFormatter(_Formatter())
    logger.addHandler(handler)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            output.complain(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


class _Formatter(logging.Formatter):
    """`12:03:01.123 warning  system  text`; `-` stands for the host itself."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        name = record.name
        plugin = name.removeprefix(_PLUGINS) if name.startswith(_PLUGINS) else "-"
        text = record.getMessage()
        if fields := getattr(record, "plugin_fields", None):
            text += f" {inline(fields)}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        text = output.printable(text, lines=True).replace("\n", "\n    ")
        return f"{clock}.{int(record.msecs):03d} {record.levelname.lower():<8} {plugin}  {text}"
