"""What an exception of an author's handler becomes for the person who looks at the session."""

from __future__ import annotations

from plugin_host_sdk.errors import CallError, ExecError, TerminalError
from plugin_host_sdk.types.session import SessionFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["error_of", "failure_of", "sayable"]

_CHARACTERS = 16 * 1024
_TITLE = "Session failed"
_SUGGESTION = "The exec session terminated unexpectedly."


def failure_of(error: BaseException) -> SessionFailure:
    """The end of a session that ran: an `ExecError` anywhere in the chain of causes speaks for it."""
    told = _exec_error(error)
    if told is not None:
        # An author may have given anything, and it has to travel.
        return SessionFailure(
            title=sayable(told.title),
            message=sayable(told.message),
            suggestion=sayable(told.suggestion),
            retryable=bool(told.retryable),
            retry_commands=tuple(map(sayable, told.retry_commands)),
        )
    return SessionFailure(title=_TITLE, message=_said(error), suggestion=_SUGGESTION, retryable=True)


def error_of(error: BaseException, session: str, key: str) -> CallError:
    """The answer to a `create` whose handler raised."""
    if isinstance(error, CallError):
        return error
    failure = failure_of(error)
    data: dict[str, Any] = {
        "error": {
            "title": failure.title,
            "message": failure.message,
            "suggestion": failure.suggestion,
            "retryable": failure.retryable,
            "retry_commands": list(failure.retry_commands),
        }
    }
    if isinstance(error, OSError) and error.errno is not None:
        data["errno"] = error.errno
    answer = TerminalError(
        f"{key}: {failure.title}: {failure.message}" if failure.message else f"{key}: {failure.title}",
        session=session,
        data=data,
        retryable=failure.retryable,
    )
    answer.__cause__ = error
    return answer


def _exec_error(error: BaseException | None) -> ExecError | None:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, ExecError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _said(error: BaseException) -> str:
    if isinstance(error, CallError):
        return sayable(error.message)
    text = sayable(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def sayable(value: object) -> str:
    """`value` as a text that travels: file names may be no Unicode, and texts of any length."""
    try:
        text = str(value)
    except Exception:  # of the author's class
        text = f"({type(value).__name__} whose text cannot be had)"
    return text[:_CHARACTERS].encode("utf-8", "backslashreplace").decode()
