"""The error tree of both packages: every exception of plugin-host derives from `PluginHostError`.

Two questions are answered by type alone. Who broke the protocol: `LocalProtocolError` (this side's
code) or `RemoteProtocolError` (the peer). How a call ended otherwise than with its result: a subclass
of `CallError`, which travels as a plain map `code, name, message, data, retryable` and is rebuilt on
the other side; programs test `name`.

The branches of the capabilities are imported when one of their names is first used: a plugin that has but
commands does without.
"""

from __future__ import annotations

from .excerpt import excerpt
from .trunk import (
    CallCancelled,
    CallError,
    CallFailed,
    CallTimeout,
    CommandError,
    LocalProtocolError,
    MessageTooLarge,
    NotEncodable,
    PluginHostError,
    ProtocolError,
    RegistrationError,
    RemoteProtocolError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .actionerror import (
        ActionError,
        ActionFailed,
        ActionInvalid,
        ActionNotFound,
        ActionNotPrivileged,
        ActionNotSupported,
        ActionRefused,
        KeyRejected,
    )
    from .metadataerror import (
        ArtifactNotFound,
        FileAccessDenied,
        FileAccessError,
        FolderNotFound,
        InternalError,
        InvalidPayload,
        IsFolder,
        MetadataError,
        MetadataNotFound,
        MethodNotAllowed,
        NoSuchEndPoint,
        NotFile,
        NotFolder,
        OutsideRoots,
        ResourceConflict,
        UnknownActionId,
    )
    from .sessionerror import (
        ExecError,
        ExecSessionError,
        HandlerNotFound,
        SessionClosed,
        SessionExists,
        SessionNotFound,
        TerminalError,
    )

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

_HOMES = {
    "ActionError": "actionerror",
    "ActionFailed": "actionerror",
    "ActionInvalid": "actionerror",
    "ActionNotFound": "actionerror",
    "ActionNotPrivileged": "actionerror",
    "ActionNotSupported": "actionerror",
    "ActionRefused": "actionerror",
    "ArtifactNotFound": "metadataerror",
    "ExecError": "sessionerror",
    "ExecSessionError": "sessionerror",
    "FileAccessDenied": "metadataerror",
    "FileAccessError": "metadataerror",
    "FolderNotFound": "metadataerror",
    "HandlerNotFound": "sessionerror",
    "InternalError": "metadataerror",
    "InvalidPayload": "metadataerror",
    "IsFolder": "metadataerror",
    "KeyRejected": "actionerror",
    "MetadataError": "metadataerror",
    "MetadataNotFound": "metadataerror",
    "MethodNotAllowed": "metadataerror",
    "NoSuchEndPoint": "metadataerror",
    "NotFile": "metadataerror",
    "NotFolder": "metadataerror",
    "OutsideRoots": "metadataerror",
    "ResourceConflict": "metadataerror",
    "SessionClosed": "sessionerror",
    "SessionExists": "sessionerror",
    "SessionNotFound": "sessionerror",
    "TerminalError": "sessionerror",
    "UnknownActionId": "metadataerror",
}

if not TYPE_CHECKING:  # a type checker would take it for leave to use any name

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        home = __import__(f"{__package__}.{_HOMES[name]}", fromlist=[name])
        value = globals()[name] = getattr(home, name)  # the next use finds it at once
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
