"""The wire as the runtime's threads share it: one connection, one mutex, two lanes of output.

Every touch of the connection happens under `mutex`, and what it returns is queued there too, so bytes
leave in the order they were made. Writing happens outside it, by one thread at a time: a thread that
finds another one writing leaves its message in the outbox, and the writer looks again before and after
it lets go. A blocking write cannot deadlock because a host never stops reading.
"""

from __future__ import annotations

import sys
import threading
from collections import deque

from plugin_host_sdk.connection import PLUGIN, Connection
from plugin_host_sdk.errors import CallError, CallFailed, LocalProtocolError, MessageTooLarge, NotEncodable
from plugin_host_sdk.lane import Outbox
from plugin_host_sdk.protocol import FRAME_BYTES, INITIALIZING, OPENING, READY, RESPONSE, STOPPING
from plugin_host_sdk.wire import unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .channel import Channel

__all__ = ["Wiring"]

# Bulk output that may wait before its makers do: then a flood of log records is slowed, not stored.
_BULK_BYTES = 1024 * 1024
_LOG_CHARACTERS = 64 * 1024
_EARLY_RECORDS = 1000


class Wiring:
    """Thread-safe sends over one channel. `default` converts values msgpack does not know."""

    def __init__(self, channel: Channel, default: Callable[[Any], Any] | None = None) -> None:
        # Author code runs under neither lock, with one exception that nobody can rule out: collecting
        # garbage may run a finaliser that logs. So both know their owner, and `log` asks.
        self.mutex = threading.RLock()
        self.late: deque[dict[str, Any]] = deque()  # records of such finalisers
        self.connection = Connection(PLUGIN, default=default)
        self.outbox = Outbox()
        self.is_broken = False  # the peer takes no more bytes
        self._is_child = False
        self.channel = channel
        self._early: list[dict[str, Any]] = []
        self.writing = threading.RLock()

    def disown(self) -> None:
        """In a forked child: the wire is the parent's, and none of its threads and locks are here."""
        self.mutex = threading.RLock()
        self.writing = threading.RLock()
        self.is_broken = self._is_child = True
        self.outbox.clear()
        self._early.clear()
        self.channel.close()

    def put(self, data: bytes) -> None:
        """Queue a message that was just made; with the mutex held."""
        if len(data) <= FRAME_BYTES:
            self.outbox.control.append(data)
        else:
            self.outbox.put_bulk("message", (data,))

    def answer(self, msgid: int, result: Any, encode_error: str = "rpc.not_encodable") -> None:
        """Queue the result of a request, or why it cannot travel; with the mutex held."""
        try:
            self.put(self.connection.send_response(msgid, result))
        except LocalProtocolError as error:
            self.answer_unsendable(msgid, error, encode_error)

    def answer_unsendable(self, msgid: int, error: LocalProtocolError, encode_error: str) -> None:
        """Queue why a result cannot travel; with the mutex held."""
        if msgid not in self.connection.incoming:
            return
        self.put(self.connection.send_error(msgid, _unsendable(error, encode_error).to_map()))

    def snapshot(self, value: Any, encode_error: str) -> tuple[Any, int]:
        """A value as it is now, whatever becomes of it, and how many bytes it takes.

        Raises CallFailed when no answer with it could be sent.
        """
        with self.mutex:
            try:
                data = self.connection.encoded(value)
            except LocalProtocolError as error:
                raise _unsendable(error, encode_error) from None
        return unpack(data)[0], len(data)

    def refuse(self, msgid: int, error: CallError) -> None:
        """Queue an error as the answer to a request; with the mutex held."""
        connection = self.connection
        if msgid not in connection.incoming:
            return
        try:
            data = connection.send_error(msgid, error.to_map())
        except (NotEncodable, MessageTooLarge) as problem:
            data = connection.send_error(msgid, error.reduced(problem).to_map())
        self.put(data)

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Queue a notification."""
        with self.mutex:
            if self.is_open():
                self.put(self.connection.send_notification(method, params))

    def log(self, level: str, logger: str, message: str, fields: Mapping[str, Any]) -> None:
        """Send a log record in its turn; its maker waits when much is waiting already."""
        if self._is_child:
            sys.stderr.write(f"{level} {logger}: {message}\n")
            return
        params: dict[str, Any] = {"level": level, "logger": logger, "message": message}
        if fields:
            params["fields"] = fields
        if _is_owned(self.mutex):
            self.late.append(params)  # this thread is in the middle of something: it flushes after it
            return
        with self.mutex:
            if not self.is_open():
                if self.connection.state in (OPENING, INITIALIZING) and len(self._early) < _EARLY_RECORDS:
                    self._early.append(params)
                return
            self._put_log(params)
        self.flush(wait=self.outbox.bulk_bytes > _BULK_BYTES)

    def put_early_logs(self) -> None:
        """Queue the records that were made before the host could hear them; with the mutex held."""
        early, self._early = self._early, []
        for params in early:
            self._put_log(params)

    def _put_log(self, params: dict[str, Any]) -> None:
        send = self.connection.send_notification
        try:
            data = send("log", params)
        except LocalProtocolError:  # something that cannot travel, or too large: its text can
            fields = params.get("fields", {})
            plain: dict[str, Any] = {
                name: _text_of(params[name]) for name in ("level", "logger", "message")
            }
            texts = {_text_of(name): _text_of(value) for name, value in fields.items()}
            try:
                data = send("log", plain | {"fields": texts})
            except LocalProtocolError:
                data = send("log", plain)
        self.outbox.put_bulk("log", (data,))

    def progress(self, msgid: int, done: float, total: float | None, message: str) -> None:
        """Send how far a call is; nothing once it was answered."""
        with self.mutex:
            if not self.is_open():
                return
            data = self.connection.send_progress(msgid, done, total, message)
            if data:
                self.outbox.put_bulk("progress", (data,))
        self.flush(wait=self.outbox.bulk_bytes > _BULK_BYTES)

    def is_open(self) -> bool:
        """Whether anything but answers may be sent now."""
        return not self.is_broken and self.connection.state in (READY, STOPPING)

    def flush(self, *, wait: bool = False) -> None:
        """Write what waits, unless another thread is at it. `wait` for that thread, to slow this one."""
        writing, outbox = self.writing, self.outbox
        if writing._is_owned():  # type: ignore[attr-defined]
            return  # a finaliser of this thread, which is writing and will look again
        while outbox.control or outbox.bulk or self.late:
            if not writing.acquire(wait):
                return
            try:
                while outbox.control or outbox.bulk or self.late:
                    with self.mutex:
                        if self.late:
                            self._put_late()
                        piece = outbox.take()
                    if piece is not None:
                        self.channel.write(piece)
            except OSError:  # the peer is gone
                self._lose(b"".join(piece or ()))
            finally:
                writing.release()

    def drain(self) -> None:
        """Have everything written that was made so far, by whatever thread; waits for the wire."""
        with self.mutex:
            pass  # what is being made is in the outbox now
        self.flush(wait=True)
        with self.writing:
            pass  # what another thread took out of it is written

    def begin_writing(self) -> bool:
        """Whether nothing waits and nobody writes: `write_alone` is to follow. With the mutex held."""
        outbox = self.outbox
        if outbox.control or outbox.bulk or self.late:
            return False
        return self.writing.acquire(False)

    def write_alone(self, data: bytes) -> None:
        """Write one message past the queue, after `begin_writing`; what was queued since is not written."""
        try:
            self.channel.write_one(data)
        except OSError:  # the peer is gone
            self._lose(data)
        finally:
            self.writing.release()

    def _lose(self, unwritten: bytes) -> None:
        """Nothing can be written any more."""
        if self._is_child:  # the one thing that it makes is the answer of the handler that has forked it
            from plugin_host_sdk.forkedchild import end_child

            answer = unpack(unwritten)
            end_child(answer[2] if answer[0] == RESPONSE else None)
        with self.mutex:
            self.is_broken = True
            self.outbox.clear()

    def _put_late(self) -> None:
        records = [self.late.popleft() for _ in range(len(self.late))]
        if self.is_open():
            for params in records:
                self._put_log(params)
        elif self.connection.state in (OPENING, INITIALIZING):
            self._early += records[:_EARLY_RECORDS]

    def fail(self, error: CallError) -> None:
        """Best effort: tell the host why this side is about to close."""
        with self.mutex:
            self.put(self.connection.send_failure(error.to_map()))
        self.flush()


def _unsendable(error: LocalProtocolError, encode_error: str) -> CallFailed:
    if isinstance(error, MessageTooLarge):
        return CallFailed(str(error), name="rpc.too_large")
    return CallFailed(f"the result: {error}", name=encode_error)


def _is_owned(lock: threading.RLock) -> bool:
    """Whether this thread holds `lock`."""
    return lock._is_owned()  # type: ignore[attr-defined, no-any-return]  # as threading.Condition does


def _text_of(value: Any) -> str:
    """A text that travels, whatever the value is and however it tells of itself."""
    try:
        text = str(value)
    except Exception as error:  # of the author's class
        text = f"({type(value).__name__} whose text cannot be had: {type(error).__name__})"
    return text[:_LOG_CHARACTERS].encode("utf-8", "backslashreplace").decode()
