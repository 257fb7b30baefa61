"""Metadata on the plugin's side: what the host tells its plugins, by path.

colour = ctx.metadata.get("/paint/colour")
for entry in ctx.metadata.watch("/paint"):
    ...
"""

from __future__ import annotations

from plugin_host_sdk.errors import (
    InternalError,
    InvalidPayload,
    MetadataError,
    MetadataNotFound,
    NoSuchEndPoint,
)

from .reader import MetadataEntry, MetadataReader, Watch

__all__ = [
    "InternalError",
    "InvalidPayload",
    "MetadataEntry",
    "MetadataError",
    "MetadataNotFound",
    "MetadataReader",
    "NoSuchEndPoint",
    "Watch",
]
