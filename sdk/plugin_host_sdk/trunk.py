"""The trunk of the error tree: its root, who broke the protocol, and how a call ends.

What a capability can answer is a branch of its own and stands on this one. Invariant: an error that came
as a map is of the kind that its name says, whether that branch was in use before or not.
"""

from __future__ import annotations

from .excerpt import excerpt, readable
from .protocol import ERRORS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = [
    "CallCancelled",
    "CallError",
    "CallFailed",
    "CallTimeout",
    "CommandError",
    "LocalProtocolError",
    "MessageTooLarge",
    "NamedError",
    "NotEncodable",
    "PluginHostError",
    "ProtocolError",
    "RegistrationError",
    "RemoteProtocolError",
]


class PluginHostError(Exception):
    """Base of every exception that plugin-host raises."""

    def __reduce__(self) -> tuple[Any, ...]:
        """For copies and pickles: as it is, and not by another call with its text alone."""
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[PluginHostError], args: tuple[Any, ...]) -> PluginHostError:
    return kind.__new__(kind, *args)


class ProtocolError(PluginHostError):
    """The protocol was broken; the subclass says by whom."""


class LocalProtocolError(ProtocolError):
    """This side asked for something the protocol does not allow; nothing was sent."""


class MessageTooLarge(LocalProtocolError):
    """A message of this side is over the peer's limit; that message alone was refused."""


class NotEncodable(LocalProtocolError):
    """A value that msgpack cannot carry; the message says where in the value it lies."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol does not allow; the connection is in FAILED."""


class RegistrationError(PluginHostError):
    """An author registered something twice, or something that cannot be served."""


class CallError(PluginHostError):
    """A call that ended otherwise than with its result.

    `name` is what programs test (`command.not_found`), `code` its number inside the family, `data`
    whatever the sender added, `retryable` whether the same call may succeed later.
    """

    def __init__(
        self,
        message: str,
        *,
        name: str = "rpc.internal",
        code: int | None = None,
        data: Any = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        known_code, known_retryable = ERRORS.get(name, (0, False))
        self.message = message
        self.name = name
        self.code = known_code if code is None else code
        self.data = data
        self.retryable = known_retryable if retryable is None else retryable

    def to_map(self) -> dict[str, Any]:
        """The error as it travels."""
        return {
            "code": self.code,
            "name": self.name,
            # Messages quote file names, and those may be no Unicode.
            "message": self.message.encode("utf-8", "backslashreplace").decode(),
            "data": self.data,
            "retryable": self.retryable,
        }

    def reduced(self, why: object) -> CallFailed:
        """The same without what cannot travel, and why that cannot."""
        return CallFailed(f"{self.message[:1000]} ({why})", name=self.name, code=self.code)

    @staticmethod
    def from_map(error: Any) -> CallError:
        """The exception for an error map; any other value becomes a `CallFailed` that shows it."""
        if not isinstance(error, dict):
            return CallFailed(readable(error), name="rpc.foreign", data=error)
        name = error.get("name")
        code = error.get("code")
        name = name if isinstance(name, str) else "rpc.foreign"
        kind = _kind(name)
        return kind(
            message if isinstance(message := error.get("message", name), str) else excerpt(message),
            name=name,
            code=code if isinstance(code, int) else None,
            data=error.get("data"),
            retryable=bool(error.get("retryable", False)),
        )


class NamedError(CallError):
    """A `CallError` of a kind that has a name of its own."""

    NAME = "rpc.internal"

    def __init__(
        self,
        message: str,
        *,
        name: str = "",
        code: int | None = None,
        data: Any = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message, name=name or self.NAME, code=code, data=data, retryable=retryable)


class CallFailed(CallError):
    """The peer answered with an error, or a command ended with a status other than 0."""


class CallTimeout(NamedError):
    """The call's deadline passed before its answer came."""

    NAME = "rpc.deadline_exceeded"


class CallCancelled(NamedError):
    """The peer, or a host that is stopping, cancelled the call."""

    NAME = "rpc.cancelled"


class CommandError(PluginHostError):
    """Raised by a command handler to end with a status of its own.

    `status` is 1 to 99; `fields` travel beside it and reach the caller as `CallFailed.data`.
    """

    def __init__(self, status: int, message: str = "", /, **fields: Any) -> None:
        if type(status) is not int or not 1 <= status <= 99:
            raise ValueError(f"a handler's status is 1 to 99, not {excerpt(status)}")
        super().__init__(message)
        self.status = status
        self.message = message
        self.fields: Mapping[str, Any] = fields


_KINDS: dict[str, type[CallError]] = {
    "rpc.cancelled": CallCancelled,
    "rpc.deadline_exceeded": CallTimeout,
    "command.timeout": CallTimeout,
}
_BRANCHES = {"exec": "sessionerror", "action": "actionerror", "metadata": "metadataerror"}
"""By the family of a name the module that has the kinds of that family."""


def _kind(name: str) -> type[CallError]:
    if name in _KINDS:
        return _KINDS[name]
    branch = _BRANCHES.get(name.partition(".")[0])
    if branch is None:
        return CallFailed
    try:  # these stand on this module, and few plugins ever need them
        kinds: dict[str, type[CallError]] = __import__(f"{__package__}.{branch}", fromlist=["KINDS"]).KINDS
    except (ImportError, OSError):  # no descriptor is left to read them with
        return CallFailed
    return kinds.get(name, CallFailed)
