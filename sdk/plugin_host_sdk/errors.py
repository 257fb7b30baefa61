"""The error tree of both packages: every exception of plugin-host derives from `PluginHostError`.

Two questions are answered by type alone. Who broke the protocol: `LocalProtocolError` (this side's
code) or `RemoteProtocolError` (the peer). How a call ended otherwise than with its result: a subclass
of `CallError`, which travels as a plain map `code, name, message, data, retryable` and is rebuilt on
the other side; programs test `name`.
"""

from __future__ import annotations

from .excerpt import excerpt, readable
from .protocol import ERRORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = [
    "ActionError",
    "ActionFailed",
    "ActionInvalid",
    "ActionNotFound",
    "ActionNotPrivileged",
    "ActionNotSupported",
    "ActionRefused",
    "ArtifactNotFound",
    "CallCancelled",
    "CallError",
    "CallFailed",
    "CallTimeout",
    "CommandError",
    "ExecError",
    "ExecSessionError",
    "FileAccessDenied",
    "FileAccessError",
    "FolderNotFound",
    "HandlerNotFound",
    "InternalError",
    "InvalidPayload",
    "IsFolder",
    "KeyRejected",
    "LocalProtocolError",
    "MessageTooLarge",
    "MetadataError",
    "MetadataNotFound",
    "MethodNotAllowed",
    "NoSuchEndPoint",
    "NotEncodable",
    "NotFile",
    "NotFolder",
    "OutsideRoots",
    "PluginHostError",
    "ProtocolError",
    "RegistrationError",
    "RemoteProtocolError",
    "ResourceConflict",
    "SessionClosed",
    "SessionExists",
    "SessionNotFound",
    "TerminalError",
    "UnknownActionId",
    "excerpt",
]


class PluginHostError(Exception):
    """Base of every exception that plugin-host raises."""


class ProtocolError(PluginHostError):
    """The protocol was broken; the subclass says by whom."""


class LocalProtocolError(ProtocolError):
    """This side asked for something the protocol does not allow; nothing was sent."""


class MessageTooLarge(LocalProtocolError):
    """A message of this side is over the peer's limit; that message alone was refused."""


class NotEncodable(LocalProtocolError):
    """A value that msgpack cannot carry; the message says where in the value it lies."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol does not allow; the connection is in FAILED."""


class RegistrationError(PluginHostError):
    """An author registered something twice, or something that cannot be served."""


class CallError(PluginHostError):
    """A call that ended otherwise than with its result.

    `name` is what programs test (`command.not_found`), `code` its number inside the family, `data`
    whatever the sender added, `retryable` whether the same call may succeed later.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str = "rpc.internal",
        code: int | None = None,
        data: Any = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        known_code, known_retryable = ERRORS.get(name, (0, False))
        self.message = message
        self.name = name
        self.code = known_code if code is None else code
        self.data = data
        self.retryable = known_retryable if retryable is None else retryable

    def to_map(self) -> dict[str, Any]:
        """The error as it travels."""
        return {
            "code": self.code,
            "name": self.name,
            # Messages quote file names, and those may be no Unicode.
            "message": self.message.encode("utf-8", "backslashreplace").decode(),
            "data": self.data,
            "retryable": self.retryable,
        }

    @staticmethod
    def from_map(error: Any) -> CallError:
        """The exception for an error map; any other value becomes a `CallFailed` that shows it."""
        if not isinstance(error, dict):
            return CallFailed(readable(error), name="rpc.foreign", data=error)
        name = error.get("name")
        code = error.get("code")
        name = name if isinstance(name, str) else "rpc.foreign"
        kind = _KINDS.get(name, CallFailed)
        return kind(
            message if isinstance(message := error.get("message", name), str) else excerpt(message),
            name=name,
            code=code if isinstance(code, int) else None,
            data=error.get("data"),
            retryable=bool(error.get("retryable", False)),
        )


class CallFailed(CallError):
    """The peer answered with an error, or a command ended with a status other than 0."""


class CallTimeout(CallError):
    """The call's deadline passed before its answer came."""


class CallCancelled(CallError):
    """The peer, or a host that is stopping, cancelled the call."""


class CommandError(PluginHostError):
    """Raised by a command handler to end with a status of its own.

    `status` is 1 to 99; `fields` travel beside it and reach the caller as `CallFailed.data`.
    """

    def __init__(self, status: int, message: str = "", **fields: Any) -> None:
        if type(status) is not int or not 1 <= status <= 99:
            raise ValueError(f"a handler's status is 1 to 99, not {excerpt(status)}")
        super().__init__(message)
        self.status = status
        self.message = message
        self.fields: Mapping[str, Any] = fields


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


class ActionError(CallError):
    """An action was refused, or failed; the subclass says why."""

    NAME = "action.failed"

    def __init__(
        self,
        message: str,
        *,
        name: str = "",
        code: int | None = None,
        data: Any = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, name=name or self.NAME, code=code, data=data, retryable=retryable)


class ActionNotSupported(ActionError):
    """The plugin has no such kind of action; `data["kinds"]` are those it has, sorted."""

    NAME = "action.not_supported"


class ActionRefused(ActionError):
    """The operator has not allowed it."""

    NAME = "action.refused"

    @property
    def option(self) -> str:
        """The setting that would allow it; empty when the peer named none."""
        found = self.data.get("option") if isinstance(self.data, dict) else None
        return found if isinstance(found, str) else ""


class ActionNotPrivileged(ActionError):
    """It takes rights that the plugin's process has not, such as to run as another user."""

    NAME = "action.not_privileged"


class ActionNotFound(ActionError):
    """No action of that id, or no longer."""

    NAME = "action.not_found"


class ActionInvalid(ActionError):
    """The request is not what this kind of action takes; nothing was done."""

    NAME = "action.invalid"


class ActionFailed(ActionError):
    """It was begun and could not be done; `data` may hold `errno`."""

    NAME = "action.failed"


class KeyRejected(ActionError):
    """A key, or the proof of one, is not right; what was valid before is still valid."""

    NAME = "action.key_rejected"


class MetadataError(CallError):
    """A request about metadata or a task was refused; the subclass says why."""

    NAME = "metadata.internal_error"

    def __init__(
        self,
        message: str,
        *,
        name: str = "",
        code: int | None = None,
        data: Any = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, name=name or self.NAME, code=code, data=data, retryable=retryable)


class MethodNotAllowed(MetadataError):
    """The method exists and cannot be used this way: a request was sent as a notification, or otherwise."""

    NAME = "metadata.method_not_allowed"


class NoSuchEndPoint(MetadataError):
    """There is no such method."""

    NAME = "metadata.no_such_end_point"


class InternalError(MetadataError):
    """A fault of the side that answered; its log has the details under `incident`."""

    NAME = "metadata.internal_error"

    @property
    def incident(self) -> str:
        """The id of the log record; empty when the peer gave none."""
        found = self.data.get("incident") if isinstance(self.data, dict) else None
        return found if isinstance(found, str) else ""


class ResourceConflict(MetadataError):
    """It was concluded already, and otherwise; what was said first holds."""

    NAME = "metadata.resource_conflict"


class UnknownActionId(MetadataError):
    """There is no task of that id, or no longer."""

    NAME = "metadata.unknown_action_id"


class InvalidPayload(MetadataError):
    """The parameters are not what the method takes; nothing was changed."""

    NAME = "metadata.invalid_payload"


class MetadataNotFound(MetadataError):
    """There is nothing at that path."""

    NAME = "metadata.not_found"


class FileAccessError(MetadataError):
    """A file or folder beside a task cannot be had; the subclass says why. `path` is what was asked for."""

    NAME = "metadata.file_unreadable"

    @property
    def path(self) -> str:
        """The path; empty when the peer gave none."""
        found = self.data.get("path") if isinstance(self.data, dict) else None
        return found if isinstance(found, str) else ""


class ArtifactNotFound(FileAccessError):
    """There is no such file."""

    NAME = "metadata.artifact_not_found"


class FolderNotFound(FileAccessError):
    """There is no such folder."""

    NAME = "metadata.folder_not_found"


class FileAccessDenied(FileAccessError):
    """The worker's user may not read it."""

    NAME = "metadata.permission"


class IsFolder(FileAccessError):
    """It is a folder, and a file was asked for."""

    NAME = "metadata.is_folder"


class NotFolder(FileAccessError):
    """It is no folder, and one was asked for."""

    NAME = "metadata.not_folder"


class NotFile(FileAccessError):
    """It is neither a file nor a folder: a device, a socket, a pipe or a link that is not followed."""

    NAME = "metadata.not_file"


class OutsideRoots(FileAccessError):
    """It lies, by its path or by a link on the way, outside the folders that the worker serves."""

    NAME = "metadata.outside_roots"


_KINDS: dict[str, type[CallError]] = {
    "rpc.cancelled": CallCancelled,
    "rpc.deadline_exceeded": CallTimeout,
    "command.timeout": CallTimeout,
    **{
        kind.NAME: kind
        for kind in (SessionNotFound, HandlerNotFound, SessionClosed, TerminalError, SessionExists)
    },
    **{
        kind.NAME: kind
        for kind in (
            MethodNotAllowed,
            NoSuchEndPoint,
            InternalError,
            ResourceConflict,
            UnknownActionId,
            InvalidPayload,
            MetadataNotFound,
            FileAccessError,
            ArtifactNotFound,
            FolderNotFound,
            FileAccessDenied,
            IsFolder,
            NotFolder,
            NotFile,
            OutsideRoots,
        )
    },
    **{
        kind.NAME: kind
        for kind in (
            ActionNotSupported,
            ActionRefused,
            ActionNotPrivileged,
            ActionNotFound,
            ActionInvalid,
            ActionFailed,
            KeyRejected,
        )
    },
}
