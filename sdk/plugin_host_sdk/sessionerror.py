"""What a session can answer instead of what was asked of it, and what its handler raises to end it."""

from __future__ import annotations

from .trunk import CallError, PluginHostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = [
    "ExecError",
    "ExecSessionError",
    "HandlerNotFound",
    "SessionClosed",
    "SessionExists",
    "SessionNotFound",
    "TerminalError",
]


class ExecSessionError(CallError):
    """A session could not do what it was asked. `session` is its id, "" where none is meant."""

    NAME = "rpc.internal"

    def __init__(
        self,
        message: str,
        *,
        session: str = "",
        name: str = "",
        code: int | None = None,
        data: Any = None,
        retryable: bool | None = None,
    ) -> None:
        data = data if isinstance(data, dict) else {}
        session = session or (named if isinstance(named := data.get("session"), str) else "")
        if session:
            data = data | {"session": session}
        super().__init__(message, name=name or self.NAME, code=code, data=data or None, retryable=retryable)
        self.session = session

    def __str__(self) -> str:
        kind = self.name.rpartition(".")[2].upper()
        return (
            f"[{kind}] session {self.session}: {self.message}"
            if self.session
            else f"[{kind}] {self.message}"
        )


class SessionNotFound(ExecSessionError):
    """No session of that id, or no longer."""

    NAME = "exec.session_not_found"


class HandlerNotFound(ExecSessionError):
    """No handler for what was asked; `data["handlers"]` are the keys there are, sorted."""

    NAME = "exec.handler_not_found"


class SessionClosed(ExecSessionError):
    """The session has ended and can still be read, but takes no input, size or signal."""

    NAME = "exec.session_closed"


class TerminalError(ExecSessionError):
    """What a session runs on could not be made or used.

    `data` may hold `errno`, and `error`: the map of an `ExecError` that a handler raised.
    """

    NAME = "exec.terminal_error"


class SessionExists(ExecSessionError):
    """The id is taken; the handler was not asked."""

    NAME = "exec.session_exists"


class ExecError(PluginHostError):
    """Raised by an exec handler to end its session with words for the person who looks at it.

    `title` is a headline, `suggestion` what to do, `retry_commands` commands that are worth a try.
    """

    def __init__(
        self,
        title: str = "Session failed",
        message: str = "",
        suggestion: str = "The exec session terminated unexpectedly.",
        retryable: bool = True,
        retry_commands: Sequence[str] = (),
    ) -> None:
        super().__init__(f"{title}: {message}" if message else title)
        self.title = title
        self.message = message
        self.suggestion = suggestion
        self.retryable = retryable
        self.retry_commands = (
            (retry_commands,) if isinstance(retry_commands, str) else tuple(retry_commands)
        )

    def to_map(self) -> dict[str, Any]:
        """The error as it travels."""
        return {
            "title": self.title,
            "message": self.message,
            "suggestion": self.suggestion,
            "retryable": self.retryable,
            "retry_commands": list(self.retry_commands),
        }


KINDS = {
    kind.NAME: kind
    for kind in (
        SessionNotFound,
        HandlerNotFound,
        SessionClosed,
        TerminalError,
        SessionExists,
    )
}
