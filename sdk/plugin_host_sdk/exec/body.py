"""What a session runs, seen from the session: a process, an author's function, or an author's files.

A body tells its session by `Session.body_exited` when it has ended. Its methods are called from any
thread, do not wait, and do nothing once it has.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from plugin_host_sdk.later import Later

    from .processtable import ProcessTable

    class Body(Protocol):
        @property
        def pid(self) -> int | None:
            """The process, if it is one."""

        def outputs_ended(self) -> None:
            """Everything it writes to has reached its end."""

        def resize(self, rows: int, cols: int) -> Later | None:
            """Give its terminal a size; later, when it has to agree. Raises TerminalError."""

        def signal(self, number: int) -> None:
            """Send a signal. Raises TerminalError when there is nothing to send it to."""

        def hang_up(self, table: ProcessTable | None = None) -> None:
            """Ask it to end: the user is gone. `table` is one of just now, if there is one."""

        def terminate(self) -> None:
            """Ask it again, in a way that is harder to miss."""

        def kill(self, thoroughly: bool = True) -> None:
            """End it, and all that belongs to it; not thoroughly when somebody else looks after us."""

        def is_gone(self) -> bool:
            """Whether nothing is left of it."""

        def release(self) -> None:
            """Give back what it holds: the session has ended."""


__all__: list[str] = []
