"""The plugin's stdlib `logging`, sent to the host as `log` notifications with level and logger name.

logging is installed into only when something imports it: a plugin that never does pays nothing.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Send = Callable[[str, str, str, Mapping[str, Any]], None]

__all__ = ["bridge_logging"]


def bridge_logging(send: Send) -> None:
    """Send every record of the root logger, as soon as logging is there.

    `send(level, logger, message, fields)`; the root logger's level becomes INFO.
    """
    if "logging" in sys.modules:
        _install(sys.modules["logging"], send)
    else:
        sys.meta_path.insert(0, _LoggingFinder(send))


class _LoggingFinder:
    """Waits for the import of logging, then lets the ordinary finders find it and goes away."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                self._hook(spec.loader)
                return spec
        return None

    def _hook(self, loader: Any) -> None:
        execute, send = loader.exec_module, self._send

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _install(module, send)

        loader.exec_module = exec_module


def _install(logging: Any, send: Send) -> None:
    class HostHandler(logging.Handler):  # type: ignore[misc]
        """Sends records to the host."""

        def emit(self, record: logging.LogRecord) -> None:
            try:
                fields: dict[str, Any] = {}
                message = record.getMessage()
                if record.exc_info and record.exc_info[0] is not None:
                    fields["traceback"] = logging.Formatter().formatException(record.exc_info)
                send(record.levelname.lower(), record.name, message, fields)
            except Exception:
                self.handleError(record)

    logging.root.addHandler(HostHandler())
    logging.root.setLevel(logging.INFO)
