"""Whether a plugin may call a service of the host, and when not, who withheld it.

Pure. Invariant: a permission is one exact name; no name stands for others.
"""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["denial"]


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
