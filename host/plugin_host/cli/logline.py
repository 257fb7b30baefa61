"""What the host and its plugins log, as lines on stderr for those who ask for them with `-v`.

Owns the handlers of the `plugin_host` logger in a command. Invariant: without `-v` only what failed in
the host itself reaches stderr, such as an extension; nothing of a plugin does, and nothing that logging
would put there as a last resort.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from plugin_host.notation import inline

from . import output

__all__ = ["listen", "unheard"]

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


class _ErrorFormatter(logging.Formatter):
    """As errors of commands are written; where in the code they come from is shown with `-v`."""

    def format(self, record: logging.LogRecord) -> str:
        return output.printable(f"plugin-host: {record.getMessage()}", lines=True)
