"""Why a request about metadata, or about a task and the files beside it, was refused."""

from __future__ import annotations

from .trunk import NamedError

__all__ = [
    "ArtifactNotFound",
    "FileAccessDenied",
    "FileAccessError",
    "FolderNotFound",
    "InternalError",
    "InvalidPayload",
    "IsFolder",
    "MetadataError",
    "MetadataNotFound",
    "MethodNotAllowed",
    "NoSuchEndPoint",
    "NotFile",
    "NotFolder",
    "OutsideRoots",
    "ResourceConflict",
    "UnknownActionId",
]


class MetadataError(NamedError):
    """A request about metadata or a task was refused; the subclass says why."""

    NAME = "metadata.internal_error"


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


KINDS = {
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
}
