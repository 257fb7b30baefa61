"""What a link knows of who puts calls together that are made in the same turn of the loop; see `joint`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Gatherer"]


class Gatherer(Protocol):
    """Calls are added while the link gathers, and sent when it tells."""

    def add(self, command: str, params: Any) -> asyncio.Future[Any] | None: ...

    def flush(self) -> None: ...

    def give_up(self) -> None: ...

    async def settle(self, timeout_s: float) -> None: ...

    def is_busy(self) -> bool: ...

    def count(self, msgid: int) -> int: ...

    def fail(self, make_error: Callable[[], Exception]) -> None: ...
