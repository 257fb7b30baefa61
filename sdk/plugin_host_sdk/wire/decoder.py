"""Bytes to messages.

Invariant: any bytes fed to a `Decoder` give messages or set `error`; once `error` is set, nothing is
fed to the unpacker again.
"""

from __future__ import annotations

from msgpack import ExtType, Unpacker, unpackb
from msgpack.exceptions import OutOfData, UnpackException

from plugin_host_sdk.errors import RemoteProtocolError
from plugin_host_sdk.frame import FrameReader
from plugin_host_sdk.protocol import CONTAINER_ITEMS, FRAME_BYTES, MESSAGE_BYTES, MESSAGE_CONTAINERS

from .heap import keep_room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Decoder", "unpack"]

# What an Unpacker raises on bytes it cannot take: bad formats, depth and text are ValueErrors, keys that
# cannot be hashed a TypeError, a header that claims too much memory a MemoryError.
_REFUSALS = (ValueError, TypeError, OverflowError, MemoryError, RecursionError, UnpackException)

# A message can hold no more containers than it has bytes. So one of which _PLAIN_BYTES were read when
# its last slice comes is below MESSAGE_CONTAINERS without counting, and only larger ones pay for it.
_SLICE_BYTES = FRAME_BYTES
_PLAIN_BYTES = MESSAGE_CONTAINERS - _SLICE_BYTES - 1
TOO_MANY = f"more than {MESSAGE_CONTAINERS} lists, maps and extension values in one message"
# The unpacker that counts keeps the room its largest message took; past this size, or after so many small
# messages in a row, it is replaced.
_KEPT_ROOM = 4 * 1024 * 1024
_CALM_MESSAGES = 64
# What begins a text, bytes or an extension value whose size takes 32 bits. Every other value waits for at
# most _SLICE_BYTES of its own.
_LONG_VALUES = (0xDB, 0xC6, 0xC9)
_LONG_HEADER_BYTES = 5


def unpack(data: bytes | bytearray | memoryview) -> Any:
    """The message that `data` is, whole and alone, for who knows that it is no larger than `Decoder.alone`.

    Raises an exception of any kind for everything else.
    """
    return unpackb(data, strict_map_key=False)


class Decoder:
    """Turns the bytes of one direction into messages.

    `limit` is the largest message in bytes. `foreign` decodes for peers that are not of the SDK: text
    that is not UTF-8 is kept with surrogate escapes instead of being refused.

    Between messages, bytes of at most `alone` may be given to `unpack` instead of `feed`, which costs less;
    what it takes was a message, and what it does not is for `feed`, as if nothing had happened. Otherwise
    `alone` is -1.
    """

    __slots__ = (
        "_checked",
        "_clear_bytes",
        "_containers",
        "_counting",
        "_fed",
        "_foreign",
        "_frames",
        "_is_clear",
        "_is_doubted",
        "_kept",
        "_last",
        "_plain_in_row",
        "_start",
        "_unpacker",
        "_waits_at",
        "alone",
        "error",
        "limit",
    )

    def __init__(self, limit: int = MESSAGE_BYTES, *, foreign: bool = False) -> None:
        self.limit = limit
        self.error: RemoteProtocolError | None = None
        self._foreign = foreign
        self._frames = FrameReader(limit)
        self._clear_bytes = min(limit, _SLICE_BYTES)  # no message in a read of so much is too large
        self._reset()

    def _reset(self) -> None:
        """Start at a message boundary with a plain unpacker."""
        self._unpacker = self._new_unpacker(counting=False)
        self._counting = False
        self._containers = self._plain_in_row = 0
        self._kept: list[bytes] = []
        self._fed = 0  # bytes given to this unpacker
        self._start = 0  # where in them the message in progress began
        self._look()
        self._forget_wait()

    def _forget_wait(self) -> None:
        """No message is in progress."""
        self._waits_at = -1  # up to where the message in progress was read
        self._last = b""  # the newest bytes of it
        self._is_doubted = False  # whether these look like the header of a value that cannot be
        self._checked = 0  # how many bytes of it were read again for that

    @property
    def pending(self) -> int:
        """Bytes that have arrived of a message that is not complete."""
        return self._fed - self._start + self._frames.pending

    def feed(self, data: bytes | bytearray | memoryview) -> list[Any]:
        """The messages that `data` completes. After a refusal `error` is set and the rest is dropped."""
        size = len(data)
        if not self._is_clear or not 0 < size <= self._clear_bytes or data[0] == 0x93:
            return self._feed_anything(data)
        # As most reads are: they begin where a message begins, and with one that is no frame.
        unpacker = self._unpacker
        try:
            unpacker.feed(data)
            message = unpacker.unpack()
        except OutOfData:
            self._fed += size
            self._muddy()
            self._keep(data)
            return []
        except _REFUSALS as error:
            self._refuse(error)
            return []
        # Knowing where the message ended spares the exception that ends an exhausted iteration.
        end = unpacker.tell()
        self._fed = fed = self._fed + size
        self._start = end
        if end == fed:
            return [message]
        messages = [message]
        self._take_out(messages, data)
        return messages

    def _feed_anything(self, data: bytes | bytearray | memoryview) -> list[Any]:
        if len(data) > _SLICE_BYTES:
            return self._feed_slices(memoryview(data))
        messages: list[Any] = []
        if self.error is not None:
            return messages
        # Where a message begins, it may be a frame; those begin as notifications do.
        if self._start == self._fed and data and (data[0] == 0x93 or self._frames.pending):
            data = self._frames.read(data, messages)
            if not data:
                self._look()
                return messages
        try:
            self._unpacker.feed(data)
            self._fed += len(data)
        except _REFUSALS as error:
            self._refuse(error)
        else:
            self._take_out(messages, data)
        return messages

    def _take_out(self, messages: list[Any], data: bytes | bytearray | memoryview) -> None:
        """Append the messages that are complete; `data` was fed last."""
        unpacker, start, fed = self._unpacker, self._start, self._fed
        try:
            while start < fed:
                message = unpacker.unpack()
                end = unpacker.tell()
                size, start = end - start, end
                if size > self.limit:
                    self._refuse_size()
                    break
                self._start = end
                messages.append(message)
                if self._counting and self._is_calm(size):
                    messages += self._stop_counting()
                    break
        except OutOfData:
            self._keep(data)
        except _REFUSALS as error:
            self._refuse(error)
        self._look()

    def _look(self) -> None:
        """Find out whether a message begins here, and nothing is special about it."""
        if self._start != self._fed or self._counting or self._frames.pending or self.error is not None:
            self._muddy()
        else:
            self._is_clear = True
            self._kept = []  # of the message that is complete
            self.alone = -1 if self._foreign else self._clear_bytes

    def _muddy(self) -> None:
        """A message is in progress, or something is special."""
        self._is_clear = False
        self.alone = -1

    def _feed_slices(self, view: memoryview) -> list[Any]:
        messages: list[Any] = []
        for at in range(0, len(view), _SLICE_BYTES):
            messages += self.feed(view[at : at + _SLICE_BYTES])
        return messages

    def _keep(self, data: bytes | bytearray | memoryview) -> None:
        """A message is incomplete: hold it to its limit, and count its containers if it grows large."""
        pending = self._fed - self._start
        if pending > _SLICE_BYTES:
            keep_room(pending)
        if pending > self.limit:
            self._refuse_size()
        elif not self._counting:
            if pending <= len(data):
                if self._frames.begins(data[-pending:]):
                    self._reset()
                    return
                self._kept = [bytes(data[-pending:])]
                self._forget_wait()
            else:
                self._kept.append(bytes(data))
            if self._announces_too_much(data):
                self._refuse_size("announced")
                return
            # What waits behind the part that was read is one value and holds no containers.
            if pending > 2 * _SLICE_BYTES or self._unpacker.tell() - self._start > _PLAIN_BYTES:
                self._start_counting()
        elif self._announces_too_much(data):
            self._refuse_size("announced")

    def _announces_too_much(self, data: bytes | bytearray | memoryview) -> bool:
        """Whether the message waits for one value that is larger than a message may be.

        Said at once in a small message, otherwise when _SLICE_BYTES more have come.
        """
        at = self._unpacker.tell()
        behind = self._fed - at
        if at != self._waits_at:
            self._waits_at = at
            end = len(data) - behind
            head = bytes(data[max(0, end - _LONG_HEADER_BYTES) : end])
            self._is_doubted = self._is_too_long((self._last + head)[-_LONG_HEADER_BYTES:], at)
        last = bytes(data[-_LONG_HEADER_BYTES:])
        self._last = last if len(last) == _LONG_HEADER_BYTES else (self._last + last)[-_LONG_HEADER_BYTES:]
        return self._is_doubted and (behind > _SLICE_BYTES or self._is_in_long_value())

    def _is_too_long(self, head: bytes, at: int) -> bool:
        """Whether these bytes before `at` look like the header of a value that is too large."""
        before = at - self._start
        if before < _LONG_HEADER_BYTES or head[0] not in _LONG_VALUES:
            return False
        return before + int.from_bytes(head[1:], "big") > self.limit

    def _is_in_long_value(self) -> bool:
        """Whether what looks like a header is one: it may be the end of another value.

        The message is read again for that, and only when it has doubled since the last time.
        """
        pending = self._fed - self._start
        if self._counting or pending < 2 * self._checked:
            return False
        self._checked = pending
        scout = self._new_unpacker(counting=False)
        for piece in self._kept:
            scout.feed(piece)
        try:
            try:
                scout.unpack()
            except OutOfData:
                before = scout.tell()
            scout.feed(bytes(_SLICE_BYTES + 1))  # enough for whatever else it may wait for
            scout.unpack()
        except OutOfData:
            return bool(scout.tell() == before)
        except _REFUSALS:
            pass
        return False

    def _start_counting(self) -> None:
        """Read the message in progress again, from its first byte, with an unpacker that counts."""
        kept, self._kept = self._kept, []
        self._unpacker = self._new_unpacker(counting=True)
        self._counting = True
        self._forget_wait()
        self._containers = self._plain_in_row = self._fed = self._start = 0
        for data in kept:
            self.feed(data)

    def _is_calm(self, size: int) -> bool:
        """A counted message is complete; whether it is time to go back to a plain unpacker.

        Not after each: large messages come in series, and room made anew for each costs ten times what
        counting does. After a very large one at once, so that its room is given back.
        """
        self._containers = 0
        self._plain_in_row = self._plain_in_row + 1 if size <= _SLICE_BYTES else 0
        return self._plain_in_row >= _CALM_MESSAGES or size > _KEPT_ROOM

    def _stop_counting(self) -> list[Any]:
        """Go on behind the message that is complete with a plain unpacker."""
        rest = self._unpacker.read_bytes(self._fed - self._start)
        self._reset()
        return self.feed(rest) if rest else []

    def _new_unpacker(self, *, counting: bool) -> Any:
        hooks: dict[str, Any] = {}
        if counting:
            hooks = {"list_hook": self._count, "object_hook": self._count, "ext_hook": self._count_ext}
        return Unpacker(
            read_size=_SLICE_BYTES,
            strict_map_key=False,
            unicode_errors="surrogateescape" if self._foreign else "strict",
            max_buffer_size=self.limit + 2 * _SLICE_BYTES,
            max_array_len=CONTAINER_ITEMS,
            max_map_len=MESSAGE_CONTAINERS,
            **hooks,
        )

    def _count(self, container: Any) -> Any:
        self._containers += 1
        if self._containers > MESSAGE_CONTAINERS:
            raise ValueError(TOO_MANY)
        return container

    def _count_ext(self, code: int, data: bytes) -> Any:
        # Three bytes make one of these, which take more memory than any other value of their size.
        return self._count(ExtType(code, data))

    def _refuse_size(self, how: str = "sent") -> None:
        self._end(f"the peer {how} a message of more than {self.limit} bytes")

    def _refuse(self, error: BaseException) -> None:
        reason = str(error) or type(error).__name__
        self._end(f"the peer sent bytes that are no message: {reason}")

    def _end(self, text: str) -> None:
        self.error = RemoteProtocolError(text)
        self._muddy()
        # What was made of the message so far may be large.
        self._unpacker = None
        self._kept = []
