"""Functions of modules that are imported at their first call, so that an idle plugin stays small."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import plugin_host_sdk as sdk

__all__ = ["deferred"]


def deferred(module: str, function: str) -> Callable[[sdk.Context, Any], Any]:
    """`function` of this package's `module`."""

    def call(ctx: sdk.Context, asked: Any) -> Any:
        found = __import__(f"{__package__}.{module}", fromlist=[function])
        return getattr(found, function)(ctx, asked)

    return call
