"""An author's files as the body of a session: it ends when all of them have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_host_sdk.errors import TerminalError

from .failure import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from plugin_host_sdk.later import Later

    from .file import ReadEnd
    from .process import Status
    from .processtable import ProcessTable
    from .reactor import Reactor
    from .session import Session

__all__ = ["FileBody"]


class FileBody:
    """`ends` are the outputs. `status` is that of a process which had ended before, None for no process."""

    def __init__(
        self,
        session: Session,
        reactor: Reactor,
        ends: tuple[ReadEnd, ...],
        status: Callable[[], Status | None] | None = None,
    ) -> None:
        self._session = session
        self._reactor = reactor
        self._ends = ends
        self._status = status

    @property
    def pid(self) -> int | None:
        return None

    def outputs_ended(self) -> None:
        error = next((end.error for end in self._ends if end.error is not None), None)
        status = self._status() if self._status is not None else None
        if error is not None:
            failure = failure_of(error)
            self._session.body_exited(reason=f"{failure.title}: {failure.message}", error=failure)
        elif status is not None:
            self._session.body_exited(code=status.code, signal=status.signal, reason=status.reason)
        else:
            self._session.body_exited(code=0, reason="its output has ended")

    def resize(self, rows: int, cols: int) -> Later | None:
        raise TerminalError("it runs on files, which have no size", session=self._session.id)

    def signal(self, number: int) -> None:
        raise TerminalError(
            "it runs on files of its plugin, which take no signals", session=self._session.id
        )

    def hang_up(self, table: ProcessTable | None = None) -> None:
        self._session.input.close()

    def terminate(self) -> None:
        self._reactor.call_soon(self._session.cut_off)

    def kill(self, thoroughly: bool = True) -> None:
        self._session.body_exited(reason="its files were closed")
        self._reactor.call_soon(self._session.cut_off)

    def is_gone(self) -> bool:
        return True  # once its session has ended

    def release(self) -> None:
        pass  # outputs and input own the files
