"""The contents of `initialize`: what each side says of itself, and which protocol they agree on.

Pure functions over maps. Unknown keys are ignored, so either side may say more than the other knows.
"""

from __future__ import annotations

from .errors import CallFailed, RemoteProtocolError, excerpt
from .protocol import FRAME_BYTES, MESSAGE_BYTES, PROTOCOL_VERSIONS, WINDOW_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["Limits", "check_answer", "initialize_params", "negotiate"]

_SMALLEST = 1024
_LARGEST = 2**31 - 1


class Limits:
    """What one side will receive, in bytes: a message, a stream's window, a stream's frame."""

    __slots__ = ("frame_bytes", "message_bytes", "window_bytes")

    def __init__(
        self,
        message_bytes: int = MESSAGE_BYTES,
        window_bytes: int = WINDOW_BYTES,
        frame_bytes: int = FRAME_BYTES,
    ) -> None:
        self.message_bytes = message_bytes
        self.window_bytes = window_bytes
        self.frame_bytes = frame_bytes

    def to_map(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_map(cls, value: Any) -> Limits:
        """Limits as the peer wrote them; what it left out has the default."""
        if not isinstance(value, dict):
            raise RemoteProtocolError(f"limits must be a map, not {excerpt(value)}")
        limits = cls()
        for name in cls.__slots__:
            number = value.get(name, getattr(limits, name))
            if type(number) is not int or not _SMALLEST <= number <= _LARGEST:
                raise RemoteProtocolError(
                    f"limits.{name} must be {_SMALLEST} to {_LARGEST} bytes, not {excerpt(number)}"
                )
            setattr(limits, name, number)
        return limits

    def __repr__(self) -> str:
        return f"Limits({', '.join(f'{name}={getattr(self, name)}' for name in self.__slots__)})"


def initialize_params(
    *,
    plugin: str,
    host: dict[str, str],
    limits: Limits,
    settings: dict[str, Any] | None = None,
    permissions: Sequence[str] = (),
    features: Sequence[str] = (),
) -> dict[str, Any]:
    """The named arguments of `initialize`."""
    return {
        "protocols": list(PROTOCOL_VERSIONS),
        "host": host,
        "plugin": plugin,
        "limits": limits.to_map(),
        "features": list(features),
        "settings": settings or {},
        "permissions": list(permissions),
    }


def negotiate(theirs: Any, ours: Sequence[int] = PROTOCOL_VERSIONS) -> int:
    """The highest version both speak; raises CallFailed, with both lists, when there is none."""
    offered = [v for v in theirs if type(v) is int] if isinstance(theirs, list) else []
    common = set(offered) & set(ours)
    if not common:
        raise CallFailed(
            f"no common protocol version: the host speaks {_words(offered)}, this plugin {_words(ours)}",
            name="initialize.no_common_protocol",
            data={"host": offered, "plugin": list(ours)},
        )
    return max(common)


def check_answer(result: Any) -> dict[str, Any]:
    """The answer to `initialize` if it has the shape it must have; raises RemoteProtocolError."""
    if not isinstance(result, dict):
        raise RemoteProtocolError(f"the answer to initialize must be a map, not {excerpt(result)}")
    if result.get("protocol") not in PROTOCOL_VERSIONS:
        raise RemoteProtocolError(
            f"the plugin chose protocol version {excerpt(result.get('protocol'))}; "
            f"this host speaks {_words(PROTOCOL_VERSIONS)}"
        )
    plugin = result.get("plugin")
    if not isinstance(plugin, dict) or not isinstance(plugin.get("id"), str):
        raise RemoteProtocolError(f"the answer to initialize names no plugin id: {excerpt(plugin)}")
    for name in ("capabilities", "sdk"):
        if not isinstance(result.get(name, {}), dict):
            raise RemoteProtocolError(f"{name} must be a map, not {excerpt(result[name])}")
    return result


def _words(versions: Sequence[int]) -> str:
    return ", ".join(map(str, versions)) or "none"
