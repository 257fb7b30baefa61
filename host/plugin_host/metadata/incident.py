"""Errors as a plugin is told of them: its own in full, faults of the host by an incident id alone.

Invariant: what a fault says is in the host's log, under the id that the plugin was told, and nowhere else.
"""

from __future__ import annotations

import logging
import secrets

from plugin_host.errors import CallError, InternalError

__all__ = ["told"]

_log = logging.getLogger(__name__)


def told(error: Exception, method: str, plugin: str) -> CallError:
    """The error that answers `method`."""
    if isinstance(error, CallError):
        return error
    incident = secrets.token_hex(8)
    _log.error("%s for plugin %s failed, incident %s", method, plugin, incident, exc_info=error)
    return InternalError(f"{method}: the host failed, incident {incident}", data={"incident": incident})
