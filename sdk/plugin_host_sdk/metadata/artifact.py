"""Files on their way to the host: read as fast as it takes them, with their sum on the way.

A sending holds one piece of the file at a time, and a thread while it runs. Invariant: the host is told
the size and the sum of exactly the bytes that were sent, or that reading them failed.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import threading
from typing import TYPE_CHECKING, Protocol

from plugin_host_sdk.errors import CallFailed, excerpt

from .reach import Reach, path_of

if TYPE_CHECKING:
    from typing import Any

    from plugin_host_sdk.context import Context
    from plugin_host_sdk.sink import Sink
    from plugin_host_sdk.types.task import ArtifactRequest

    from .option import PluginOpts
    from .task import Task

    class Source(Protocol):
        """A binary file."""

        def read(self, size: int, /) -> bytes: ...
        def close(self) -> object: ...


__all__ = ["MOST_SENDINGS", "ArtifactDispatch"]

MOST_SENDINGS = 64


class ArtifactDispatch:
    """All sendings of a plugin."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._lock = threading.Lock()
        self._sendings: set[_Sending] = set()

    def __repr__(self) -> str:
        return f"<ArtifactDispatch {len(self._sendings)} sendings>"

    def service(self, opts: PluginOpts) -> _ArtifactService:
        """What answers `metadata.get_artifact`."""
        return _ArtifactService(opts, self)

    def send(self, source: Source, asked: ArtifactRequest) -> None:
        """Send all of `source`, which is closed then. Raises CallFailed when too many are under way."""
        with self._lock:
            is_full = len(self._sendings) >= MOST_SENDINGS
        if is_full:
            message = f"{MOST_SENDINGS} artifacts are being sent: ask again when one of them has arrived"
            raise CallFailed(message, name="rpc.busy")
        sending = _Sending(self._sink, source, asked, self._forget)
        self._sink.open_output(asked.stream, asked.window, sending)
        with self._lock:
            self._sendings.add(sending)
        threading.Thread(target=sending.run, name=f"artifact {asked.stream}", daemon=True).start()

    def close(self) -> None:
        """Let all of them end."""
        with self._lock:
            sendings = list(self._sendings)
        for sending in sendings:
            sending.stopped()

    def _forget(self, sending: _Sending) -> None:
        with self._lock:
            self._sendings.discard(sending)


class _ArtifactService:
    def __init__(self, opts: PluginOpts, dispatch: ArtifactDispatch) -> None:
        self._opts = opts
        self._dispatch = dispatch

    def serve(self, ctx: Context, task: Task, asked: ArtifactRequest) -> dict[str, Any]:
        function = self._opts.get_artifact
        if function is not None:
            return self._send(asked, _adapted(function(ctx, task, asked.path)))
        reach = Reach(self._opts.surroundings(ctx.settings).roots)
        return self._send(asked, _opened(reach.open_file(path_of(asked))))

    async def serve_async(self, ctx: Context, task: Task, asked: ArtifactRequest) -> dict[str, Any]:
        function = self._opts.get_artifact
        assert function is not None
        return self._send(asked, _adapted(await function(ctx, task, asked.path)))

    def _send(self, asked: ArtifactRequest, source: Source) -> dict[str, Any]:
        try:
            answer = _described(source)
            self._dispatch.send(source, asked)
        except BaseException:
            source.close()
            raise
        return answer


class _Sending:
    """One file on one stream."""

    def __init__(self, sink: Sink, source: Source, asked: ArtifactRequest, over: Any) -> None:
        self._sink = sink
        self._source = source
        self._asked = asked
        self._over = over
        self._credit = asked.window
        self._is_stopped = False
        self._changed = threading.Condition()

    # The sink's calls, on the reading thread.

    def credited(self, size: int) -> None:
        with self._changed:
            self._credit += size
            self._changed.notify()

    def stopped(self) -> None:
        with self._changed:
            self._is_stopped = True
            self._changed.notify()

    # On a thread of its own.

    def run(self) -> None:
        sink, asked = self._sink, self._asked
        sum = hashlib.sha256()
        total, error = 0, None
        try:
            while room := self._room():
                data = self._source.read(min(room, sink.frame_bytes))
                if not data:
                    break
                sum.update(data)
                total += len(data)
                self._credit_spent(len(data))
                sink.send(asked.stream, data)
                sink.flush()
        except Exception as problem:  # of the file system, or of an author's file
            error = {"name": "metadata.file_unreadable", "message": f"{asked.path}: {problem}"}
        finally:
            self._source.close()
        sink.end(asked.stream, error)
        if error is None and not self._is_stopped:
            told = {"task": asked.task, "stream": asked.stream, "size": total, "sha256": sum.hexdigest()}
            sink.notify("metadata.artifact_sent", told)
        sink.flush()
        self._over(self)

    def _room(self) -> int:
        """What may be sent now, waited for; 0 when nobody wants it any more."""
        with self._changed:
            while not self._credit and not self._is_stopped:
                self._changed.wait()
            return 0 if self._is_stopped else self._credit

    def _credit_spent(self, size: int) -> None:
        with self._changed:
            self._credit -= size


def _adapted(result: Any) -> Source:
    """What an author's function gave, as a file. Raises OSError, TypeError."""
    if isinstance(result, (bytes, bytearray, memoryview)):
        return io.BytesIO(result)
    if isinstance(result, (str, os.PathLike)):
        return _opened(os.open(result, os.O_RDONLY | os.O_CLOEXEC))
    if hasattr(result, "read") and hasattr(result, "close"):
        source: Source = result
        return source
    raise TypeError(f"get_artifact gives bytes, a path or a binary file, not {excerpt(result)}")


def _opened(fd: int) -> Source:
    return open(fd, "rb", buffering=0)


def _described(source: Source) -> dict[str, Any]:
    """Size, mode and time as far as they are known before it is read."""
    if isinstance(source, io.BytesIO):
        return {"size": source.getbuffer().nbytes, "mode": 0o600, "mtime": 0.0}
    try:
        status = os.fstat(source.fileno())  # type: ignore[attr-defined]  # one without is caught
    except (AttributeError, OSError, ValueError):
        return {"size": 0, "mode": 0o600, "mtime": 0.0}
    return {"size": status.st_size, "mode": stat.S_IMODE(status.st_mode), "mtime": status.st_mtime}
