"""A request as handlers get it: its command, its free fields, who sent it.

Invariant: names are matched without regard to case, and of two fields that are then the same neither is
taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from plugin_host.wording import shown, type_of

from .framing import BadRequest

if TYPE_CHECKING:
    from plugin_host.peer import Peer

__all__ = ["Request"]

_COMMAND = "Command"


class Request(Mapping[str, Any]):
    """A map of the free fields, spelled as the client did; `request["option"]` finds `Option`, too.

    `command` is "" when none was given; `peer` is who connected, by the kernel's word. Looking up a name
    that the client has given twice, in two spellings, raises BadRequest.
    """

    __slots__ = ("_fields", "_spellings", "command", "peer")

    def __init__(self, command: str, fields: Mapping[str, Any], peer: Peer | None = None) -> None:
        self.command = command
        self.peer = peer
        self._fields = dict(fields)
        self._spellings: dict[str, list[str]] = {}
        for name in self._fields:
            self._spellings.setdefault(name.casefold(), []).append(name)

    @classmethod
    def of(cls, value: Any, peer: Peer | None = None) -> Request:
        """The request that a JSON value stands for; null is an empty one. Raises BadRequest."""
        if value is None:
            value = {}
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise BadRequest(f"expected a JSON object, found {type_of(value)}", path="$")
        whole = cls("", value, peer)
        command = whole.get(_COMMAND, "")
        if not isinstance(command, str):
            raise BadRequest(f"expected text, found {type_of(command)}", path=f"$.{_COMMAND}")
        fields = {name: one for name, one in value.items() if name.casefold() != _COMMAND.casefold()}
        return cls(command, fields, peer)

    def __getitem__(self, name: str) -> Any:
        spellings = self._spellings[name.casefold()]
        if len(spellings) > 1:
            given = " and ".join(f"`{shown(one[:60])}`" for one in spellings[:3])
            raise BadRequest(f"expected `{shown(name)}` once, found {given}", path="$")
        return self._fields[spellings[0]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"<Request {self.command!r} with {', '.join(self._fields) or 'nothing else'}>"

    def to_map(self) -> dict[str, Any]:
        """The free fields as the client wrote them."""
        return dict(self._fields)
