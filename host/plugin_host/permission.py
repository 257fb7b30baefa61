"""What a plugin may ask of the host, services and metadata, and when not, who withheld it.

Pure. Invariants: the permission of a service is one exact name, and no name stands for others; one to read
metadata, `metadata.read:/path`, is for that path and all that is below it.
"""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["denial", "reading_denial"]

_READ = "metadata.read:"


def denial(plugin: str, method: str, *, asked: Collection[str], granted: Collection[str]) -> str | None:
    """Why `plugin` may not call `method`, such as `host.echo`; None when it may.

    `asked` is what its manifest lists, `granted` what is left of that by the host's configuration.
    """
    if method in granted:
        return None
    held = f"(granted: {', '.join(granted) or 'nothing'})"
    if method in asked:
        return (
            f"plugin `{plugin}` may not call {method}: its manifest asks for it, and the host's "
            f"configuration withholds it, since `permissions` of [plugins.{plugin}] does not list it {held}"
        )
    return (
        f"plugin `{plugin}` may not call {method}: its manifest does not ask for it; it must be listed in "
        f"`permissions` there {held}"
    )


def reading_denial(
    plugin: str, path: str, *, asked: Collection[str], granted: Collection[str]
) -> str | None:
    """Why `plugin` may not read the metadata at `path`, such as `/task/env`; None when it may."""
    if _covers(granted, path):
        return None
    held = f"(granted: {', '.join(granted) or 'nothing'})"
    if _covers(asked, path):
        return (
            f"plugin `{plugin}` may not read the metadata {path}: its manifest asks for it, and the host's "
            f"configuration withholds it, since `permissions` of [plugins.{plugin}] does not list it {held}"
        )
    return (
        f"plugin `{plugin}` may not read the metadata {path}: its manifest does not ask for it; "
        f"{_READ}{path} must be listed in `permissions` there, or a path above it {held}"
    )


def _covers(permissions: Collection[str], path: str) -> bool:
    tops = (one.removeprefix(_READ).rstrip("/") for one in permissions if one.startswith(f"{_READ}/"))
    return any(path == top or path.startswith(f"{top}/") for top in tops)
