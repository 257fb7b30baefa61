"""Looking at a session from a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .iteration import Iteration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from plugin_host.exec import viewer
    from plugin_host.exec.viewer import Gap, Output

    from .loopthread import LoopThread

__all__ = ["Viewed", "Viewer"]


class Viewed(Protocol):
    """The session that a viewer looks at."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def plugin(self) -> str:
        """The id of the plugin that runs it."""


class Viewer:
    """Iterate over it for `Output` and `Gap`; made by `Session.attach`. See `plugin_host.Viewer`.

    As a context manager it detaches at the end.
    """

    def __init__(self, thread: LoopThread, session: Viewed, viewer: viewer.Viewer) -> None:
        self.session = session
        self._thread = thread
        self._viewer = viewer
        self._iteration = Iteration(thread, viewer.__aiter__(), repr(viewer))

    def __repr__(self) -> str:
        return repr(self._viewer)

    @property
    def number(self) -> int:
        """Its number among the viewers of its plugin."""
        return self._viewer.number

    @property
    def read_only(self) -> bool:
        """Whether it may not write."""
        return self._viewer.read_only

    @property
    def start(self) -> dict[str, int]:
        """Where the copy of each stream begins."""
        return self._viewer.start

    @property
    def evicted(self) -> dict[str, int]:
        """How many of the bytes that were asked for are kept no longer, by stream."""
        return self._viewer.evicted

    def __iter__(self) -> Iterator[Output | Gap]:
        return self

    def __next__(self) -> Output | Gap:
        return self._iteration.next()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Type into the session; its size becomes this viewer's.

        Raises ViewerReadOnly, SessionClosed, SessionNotFound.
        """
        self._thread.run(self._viewer.write(data))

    def resize(self, *, rows: int, cols: int) -> None:
        """This viewer has another size.

        Raises ViewerReadOnly, SessionClosed, SessionNotFound, TerminalError.
        """
        self._thread.run(self._viewer.resize(rows=rows, cols=cols))

    def detach(self) -> None:
        """Look no longer; the session runs on. What has arrived can still be read. Idempotent."""
        self._thread.run(self._viewer.detach())

    def __enter__(self) -> Viewer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.run(self._viewer.__aexit__(kind, error, trace))
