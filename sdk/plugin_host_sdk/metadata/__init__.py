"""Metadata on the plugin's side: what the host tells its plugins by path, and the tasks that it gives them.

    colour = ctx.metadata.get("/paint/colour")

    def build(ctx, task):
        return task.run(cwd="/srv/build")

    sdk.metadata.register_plugin(plugin, sdk.metadata.PluginOpts(on_task=build))

What runs tasks and serves their files and shells is loaded when a plugin that takes them is ready.
"""

from __future__ import annotations

from plugin_host_sdk.errors import (
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

from .option import PluginOpts, Surroundings
from .reader import MetadataEntry, MetadataReader, Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from plugin_host_sdk.endpoint import CapabilityHolder
    from plugin_host_sdk.exec.process import Status
    from plugin_host_sdk.types.task import FolderEntry

    from .capability import MetadataCapability
    from .task import Task

__all__ = [
    "ArtifactNotFound",
    "FileAccessDenied",
    "FileAccessError",
    "FolderEntry",
    "FolderNotFound",
    "InternalError",
    "InvalidPayload",
    "IsFolder",
    "MetadataEntry",
    "MetadataError",
    "MetadataNotFound",
    "MetadataReader",
    "MethodNotAllowed",
    "NoSuchEndPoint",
    "NotFile",
    "NotFolder",
    "OutsideRoots",
    "PluginOpts",
    "ResourceConflict",
    "Status",
    "Surroundings",
    "Task",
    "UnknownActionId",
    "Watch",
    "register_plugin",
]


def register_plugin(plugin: CapabilityHolder, opts: PluginOpts | None = None) -> MetadataCapability:
    """Give `plugin` the metadata capability, so that it can take tasks; see `PluginOpts`.

    Raises RegistrationError when it has it already.
    """
    from .capability import register_plugin

    return register_plugin(plugin, opts)


if not TYPE_CHECKING:  # a type checker would take it for leave to use any name

    def __getattr__(name):
        if name == "Task":
            from .task import Task as found
        elif name == "Status":
            from plugin_host_sdk.exec.process import Status as found
        elif name == "FolderEntry":
            from plugin_host_sdk.types.task import FolderEntry as found
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return found
