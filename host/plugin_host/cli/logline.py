"""What the host and its plugins log, as lines on stderr for those who ask for them with `-v`.

Owns the handlers of the `plugin_host` logger in a command. Invariant: without `-v` only what failed in
the host itself reaches stderr, such as an extension; nothing of a plugin does, and nothing that logging
would put there as a last resort.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from plugin_host.notation import inline

from . import output

__all__ = ["listen", "log_line", "unheard"]

ROOT = "plugin_host"
_PLUGINS = f"{ROOT}.plugin."


def listen(verbosity: int) -> None:
    """Show the host's own errors for 0, what happens for 1, everything from 2 on."""
    logger = logging.getLogger(ROOT)
    logger.propagate = False
    handler = _Handler()
    if verbosity == 0:
        logger.setLevel(logging.ERROR)
        handler.addFilter(lambda record: not record.name.startswith(_PLUGINS))
        handler.setFormatter(_ErrorFormatter())
    else:
        logger.setLevel(logging.INFO if verbosity == 1 else logging.DEBUG)
        handler.setFormatter(_Formatter())
    logger.addHandler(handler)


@contextmanager
def unheard() -> Iterator[None]:
    """In which nothing is shown, because it has been before."""
    logging.disable()
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            output.complain(self.format(record) + "\n")
        except Exception:
            self.handleError(record)


class _Formatter(logging.Formatter):
    """As `log_line` writes it; `-` stands for the host itself."""

    def format(self, record: logging.LogRecord) -> str:
        name = record.name
        plugin = name.removeprefix(_PLUGINS) if name.startswith(_PLUGINS) else "-"
        fields = getattr(record, "plugin_fields", None)
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        text = record.getMessage()
        return log_line(record.created, record.levelname.lower(), plugin, text, fields, trace)


def log_line(
    at: float,
    level: str,
    plugin: str,
    text: str,
    fields: Mapping[str, Any] | None = None,
    trace: str = "",
    *,
    colour: str = "",
) -> str:
    """`12:03:01.123 warning  system  text`; further lines are indented. `at` is in seconds since the epoch.

    `colour` is the sequence that the level is written in, for a terminal.
    """
    clock = time.strftime("%H:%M:%S", time.localtime(at))
    text += f" {inline(fields)}{trace}" if fields else trace
    text = output.printable(text, lines=True).replace("\n", "\n    ")
    shown = f"{colour}{level:<8}\x1b[0m" if colour else f"{level:<8}"
    return f"{clock}.{int(at % 1 * 1000):03d} {shown} {plugin}  {text}"


class _ErrorFormatter(logging.Formatter):
    """As errors of commands are written; where in the code they come from is shown with `-v`."""

    def format(self, record: logging.LogRecord) -> str:
        return output.printable(f"plugin-host: {record.getMessage()}", lines=True)
