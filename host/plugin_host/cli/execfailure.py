"""What went wrong with a session, in words for the person in front of it.

An `ExecError` has a headline, a message, what to do, and commands worth a try; it may come inside the
error of the session that it ended. Invariant: what a plugin sent may be of any shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugin_host_sdk.errors import ExecError, ExecSessionError

__all__ = ["in_words"]


def in_words(error: Exception) -> str:
    """The text of any error; for a session's, without its id and code, which say nothing to a person."""
    if isinstance(error, ExecError):
        return _explained(error.to_map())
    if not isinstance(error, ExecSessionError):
        return str(error)
    inner = error.data.get("error") if isinstance(error.data, dict) else None
    return _explained(inner) if isinstance(inner, dict) else error.message


def _explained(said: Mapping[str, Any]) -> str:
    title, message, suggestion = (_text(said.get(name)) for name in ("title", "message", "suggestion"))
    lines = [f"{title}: {message}" if title and message else title or message or ExecError().title]
    if suggestion:
        lines.append(f"hint: {suggestion}")
    commands = said.get("retry_commands")
    if isinstance(commands, (list, tuple)):
        lines += [f"try: {_text(one)}" for one in commands if one]
    return "\n".join(lines).replace("\n", "\n  ")


def _text(value: Any) -> str:
    return "" if value is None else str(value)
