"""One request of a client: its parameters as a type, the time it has left, and whom to tell of progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from plugin_host.errors import CallFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .desk import Desk

__all__ = ["Ask", "Method"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Ask:
    """`timeout` is in seconds, None without a deadline."""

    desk: Desk
    msgid: int
    method: str
    params: dict[str, Any]
    timeout: float | None = None

    def read(self, kind: type[_T]) -> _T:
        """The parameters. Raises CallFailed, which says where they are wrong."""
        try:
            return msgspec.convert(self.params, kind)
        except msgspec.ValidationError as error:
            raise CallFailed(f"{self.method}: {error}", name="rpc.invalid_params") from None

    def progress(self, done: float, total: float | None, message: str) -> None:
        """Tell the client how far it is."""
        self.desk.link.progress(self.msgid, done, total, message)


if TYPE_CHECKING:
    Method = Callable[[Ask], Awaitable[Any]]
else:
    Method = object
