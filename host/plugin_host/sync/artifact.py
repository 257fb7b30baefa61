"""Reading a file of a task from a thread."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING

from plugin_host.errors import PluginHostError

from .iteration import Iteration

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from plugin_host.task import artifact

    from .loopthread import LoopThread

__all__ = ["Artifact"]


class Artifact:
    """A file, as a context manager that closes it and an iterator of its bytes. See `plugin_host.Artifact`.

    The end raises ArtifactDamaged when something is missing or was changed on the way.
    """

    def __init__(self, thread: LoopThread, artifact: artifact.Artifact) -> None:
        self.path = artifact.path
        self.size = artifact.size
        self.mode = artifact.mode
        self.mtime = artifact.mtime
        self._thread = thread
        self._artifact = artifact
        self._iteration = Iteration(thread, artifact.__aiter__(), repr(artifact))

    def __repr__(self) -> str:
        return repr(self._artifact)

    @property
    def sha256(self) -> str:
        """Of what was read until now, in hexadecimal."""
        return self._artifact.sha256

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._iteration.next()

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, b"" at the end; all that is left for -1, however much that is."""
        return self._thread.run(self._artifact.read(size))

    def save(
        self,
        dest: str | os.PathLike[str],
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Read all that is left into the file `dest`, which is there whole or, after an error, as before.

        `on_progress(done, size)` is called now and then, on this thread. See `plugin_host.Artifact.save`.
        """
        if self._thread.is_over:
            raise PluginHostError(f"the artifact {self.path!r} can be read no more: its host is closed")
        reports: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
        saving = self._thread.submit(
            self._artifact.save(dest, on_progress=lambda done, size: reports.put((done, size))),
            lambda: reports.put(None),
        )
        try:
            while (report := reports.get()) is not None:
                if on_progress is not None:
                    on_progress(*report)
            self._thread.result(saving)
        except BaseException:
            saving.cancel()
            raise

    def close(self) -> None:
        """Read no more. Does nothing the second time."""
        self._thread.run(self._close())

    async def _close(self) -> None:
        self._artifact.close()

    def __enter__(self) -> Artifact:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
