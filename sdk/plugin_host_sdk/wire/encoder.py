"""Messages to bytes."""

from __future__ import annotations

from msgpack import ExtType, Packer, Timestamp

from plugin_host_sdk.errors import MessageTooLarge, NotEncodable, excerpt
from plugin_host_sdk.protocol import CONTAINER_ITEMS, FRAME_BYTES, MESSAGE_BYTES, MESSAGE_CONTAINERS

from .decoder import TOO_MANY
from .heap import keep_room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["ATOMS", "Encoder"]

# The packer keeps the room its largest message took; past this size it is replaced.
_PACKER_BYTES = 4 * 1024 * 1024


class Encoder:
    """Turns messages into bytes. `default` is called for a value msgpack does not know, to convert it.

    `encode` is the whole of it. On the way of every call its parts are used: `pack` does the work and
    raises what msgpack raises, and a result of more than `unchecked` bytes goes through `check`.
    """

    __slots__ = ("_default", "_limit", "_text_errors", "pack", "unchecked")

    def __init__(
        self,
        limit: int = MESSAGE_BYTES,
        *,
        foreign: bool = False,
        default: Callable[[Any], Any] | None = None,
    ) -> None:
        self.limit = limit  # sets `unchecked` too
        self._text_errors = "surrogateescape" if foreign else "strict"
        self._default = default
        self._renew()

    @property
    def limit(self) -> int:
        """The largest message in bytes."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self.unchecked = min(limit, FRAME_BYTES)

    def _renew(self) -> None:
        self.pack = Packer(
            default=self._default,
            unicode_errors=self._text_errors if self._text_errors != "strict" else None,
            buf_size=4096,  # it grows, and there is one for every connection
        ).pack

    def encode(self, message: list[Any]) -> bytes:
        """The bytes of a message.

        Raises NotEncodable for a value msgpack cannot carry, MessageTooLarge beyond the peer's limit.
        """
        try:
            data: bytes = self.pack(message)
        except MemoryError:
            raise
        except Exception as error:
            raise self._refusal(message, error) from None
        if len(data) > self.unchecked:
            self.check(len(data), message)
        return data

    def check(self, size: int, message: list[Any]) -> None:
        """Hold a message of more than `unchecked` bytes to the limits. Raises as `encode` does."""
        keep_room(size)
        if size > _PACKER_BYTES:
            self._renew()
        if size > self.limit:
            raise MessageTooLarge(f"a message of {size} bytes is over the peer's limit of {self.limit}")
        self.survey(message)

    def survey(self, value: Any) -> None:
        """Refuse what msgpack writes and the peer's decoder does not take; for values without cycles.

        Raises NotEncodable for a key that is a container and for what is nested too deep, of which msgpack
        writes one level more than it reads; MessageTooLarge for too many or too long containers.
        """
        if self._text_errors != "strict":
            return  # a foreign peer has limits of its own
        if type(value) is dict and len(value) < 16:
            for key, part in value.items():
                if type(key) not in ATOMS or type(part) not in ATOMS:
                    break
            else:
                return  # as most are
        count = depth = 0
        level = [value]
        while level:
            depth += 1
            if depth > _DEEPEST:
                raise NotEncodable(f"cannot send the value: nested deeper than {_DEEPEST} levels")
            below: list[Any] = []
            for one in level:
                if isinstance(one, _LEAVES):
                    count += isinstance(one, _EXTENSIONS)
                elif isinstance(one, (dict, list, tuple)):
                    count += 1 + _check_container(one)
                    inner = one.values() if isinstance(one, dict) else one
                    if not ATOMS.issuperset(map(type, inner)):
                        below += [part for part in inner if type(part) not in ATOMS]
                elif self._default is not None:
                    below.append(self._default(one))
                if count > MESSAGE_CONTAINERS:
                    raise MessageTooLarge(TOO_MANY)
            level = below

    def _refusal(self, message: list[Any], error: Exception) -> NotEncodable:
        self._renew()
        path, problem = self._find_unencodable(message) or ("", str(error) or type(error).__name__)
        where = path if len(path) <= 100 else path[:99] + "…"
        return NotEncodable(f"cannot send {where or 'the value'}: {problem}")

    def _find_unencodable(self, message: list[Any]) -> tuple[str, str] | None:
        """Where the first value lies that cannot travel, and why; the path starts in the message."""
        todo: list[Iterator[tuple[str, Any]]] = [iter([("", part) for part in message])]
        while todo:
            path, value = next(todo[-1], (None, None))
            if path is None:
                todo.pop()
                continue
            if isinstance(value, (dict, list, tuple)) and not isinstance(value, ExtType):
                inner = _parts(path, value)
            elif problem := self._problem(value, is_key=path.startswith("key ")):
                try:
                    inner = iter([(path, self._default(value))])  # type: ignore[misc]
                except Exception:  # also when there is no default
                    return path, problem
            else:
                continue
            if len(todo) > _DEPTH:
                return path, f"nested deeper than {_DEPTH} levels, or in itself"
            todo.append(inner)
        return None

    def _problem(self, value: Any, *, is_key: bool) -> str | None:
        """Why msgpack alone cannot carry this value."""
        if isinstance(value, str):
            try:
                value.encode("utf-8", self._text_errors)
            except UnicodeEncodeError as error:
                return f"text that is not Unicode: {error.reason} at {error.start}"
        elif isinstance(value, int):
            if not -(2**63) <= value < 2**64:
                sign = " and a sign" if value < 0 else ""
                return f"an integer of {value.bit_length()} bits{sign} does not fit into 64"
        elif not isinstance(value, _PLAIN):
            kind = type(value)
            hints = (_HINTS.get(_known(one), "") for one in kind.__mro__)
            hint = next(filter(None, hints), "")
            if is_key and hint == _LIST:  # no key either
                hint = ""
            return f"msgpack cannot carry a {kind.__module__}.{kind.__qualname__}{hint}"
        return None


def _known(kind: type) -> str:
    module = kind.__module__.partition(".")[0]
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


_LIST = ": make a list of it"
_TEXT = ": make a text of it with str()"
# By what a value is in the standard library, its own type or one that it descends from.
_HINTS = {
    "coroutine": ", which nobody has awaited: what gives it is to be an `async def` that awaits it",
    "generator": _LIST,
    "async_generator": _LIST,
    "set": _LIST,
    "frozenset": _LIST,
    "range": _LIST,
    "dict_keys": _LIST,
    "dict_values": _LIST,
    "dict_items": _LIST,
    "collections.deque": _LIST,
    "mappingproxy": ": make a dict of it",
    "datetime.date": ": make a text of it with isoformat()",
    "datetime.time": ": make a text of it with isoformat()",
    "datetime.timedelta": ": make a number of it with total_seconds()",
    "enum.Enum": ": give its value",
    "decimal.Decimal": _TEXT,
    "pathlib.PurePath": _TEXT,
    "uuid.UUID": _TEXT,
}

# By far the most values; those of exactly these types hold nothing and may be keys.
ATOMS = frozenset({str, int, float, bytes, bool, type(None)})
_EXTENSIONS = (ExtType, Timestamp)
_LEAVES = (str, int, float, bytes, bytearray, memoryview, type(None), *_EXTENSIONS)


def _check_container(one: dict[Any, Any] | list[Any] | tuple[Any, ...]) -> int:
    """Refuse a list or map that the peer does not take, without a look at what is in it.

    The number of keys that count like containers.
    """
    if not isinstance(one, dict):
        if len(one) > CONTAINER_ITEMS:
            raise MessageTooLarge(f"a list of {len(one)} items is over the limit of {CONTAINER_ITEMS}")
        return 0
    if len(one) > MESSAGE_CONTAINERS:
        raise MessageTooLarge(f"a map of {len(one)} keys is over the limit of {MESSAGE_CONTAINERS}")
    if not ATOMS.issuperset(map(type, one)):
        for key in one:
            if not isinstance(key, _LEAVES):
                raise NotEncodable(f"cannot send the key {excerpt(key)} of a map: it holds other values")
        return sum(isinstance(key, _EXTENSIONS) for key in one)
    return 0


_PLAIN = (bytes, bytearray, memoryview, float, bool, type(None), ExtType, Timestamp)
_DEPTH = 1000  # some 20 more can travel
_DEEPEST = 1020  # a decoder takes 1,024, with those that are around a value in its message


def _parts(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """What a list or map holds, each with its path."""
    if isinstance(value, dict):
        for key, item in value.items():
            name = key if isinstance(key, str) else excerpt(key)
            yield f"key {excerpt(key)} of {path or 'the value'}", key
            yield f"{path}.{name}" if path else name, item
    else:
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item
