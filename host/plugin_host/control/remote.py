"""A host elsewhere, as those need it who are parts of its client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from plugin_host.link import Link

    from .follower import Follower

__all__ = ["Remote"]

_T = TypeVar("_T")


class Remote(Protocol):
    """The client's connection."""

    link: Link

    async def ask(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """A request, and its answer."""

    async def follow(self, method: str, asked: dict[str, Any], read: Callable[[Any], _T]) -> Follower[_T]:
        """What a request makes the host tell, as lines on a stream of their own."""
