"""An event loop in a thread of its own, and how other threads have it do something.

The thread is a daemon, started by the first who needs it. Invariants: whoever waits for something on the
loop is not left waiting when it ends; in a forked child nothing of the parent's is touched.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, TypeVar

from plugin_host import fork
from plugin_host.errors import CallCancelled, PluginHostError

from .epilogue import do_apart
from .errand import Errand

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = ["LoopThread"]

_T = TypeVar("_T")


class LoopThread:
    """One loop and its thread."""

    def __init__(self, name: str, on_begin: Callable[[], object]) -> None:
        """`on_begin` is called before the thread is started."""
        self._name = name
        self._on_begin = on_begin
        self._generation = fork.generation
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None  # once it runs
        self._applicants: list[threading.Thread] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._is_up = threading.Event()
        self._is_over = False
        self._failure: Exception | None = None
        self._waiting: set[Errand[Any]] = set()

    @property
    def is_foreign(self) -> bool:
        """Whether this process is a fork of the one that has the thread."""
        return fork.generation != self._generation

    @property
    def is_begun(self) -> bool:
        """Whether there is, or was, a thread."""
        return self._thread is not None

    @property
    def is_over(self) -> bool:
        """Whether the loop has ended."""
        return self._is_over

    def check(self) -> None:
        """Raise PluginHostError where nobody may wait for the loop."""
        if self.is_foreign:
            raise PluginHostError(fork.MESSAGE)
        if threading.current_thread() is self._thread:
            raise PluginHostError(
                "the host's own thread cannot wait for itself: async services and hooks run there, and "
                "plain functions are services, too"
            )

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Have the loop do it; what it returns or raises. An interrupt of the wait cancels it.

        Raises CallCancelled when the loop ends meanwhile, PluginHostError when it has ended.
        """
        errand = self.submit(work)
        try:
            return self.result(errand)
        except BaseException:
            errand.cancel()
            raise

    def result(self, errand: Errand[_T]) -> _T:
        """What came of something that was submitted; an interrupt of the wait leaves it as it is."""
        try:
            return errand.result()
        except CancelledError:
            raise CallCancelled("the host was closed meanwhile", name="rpc.cancelled") from None

    def submit(
        self, work: Coroutine[Any, Any, _T], on_done: Callable[[], object] = lambda: None
    ) -> Errand[_T]:
        """Have the loop do it, and call `on_done` then, there or here. Raises PluginHostError."""

        def over() -> None:
            self._waiting.discard(errand)
            on_done()

        errand: Errand[_T] = Errand(work, over)
        try:
            self.check()
            with self._lock:
                is_over = self._is_over
                if not is_over:
                    loop = self._running()
                    self._waiting.add(errand)
                    errand.begin(loop)
            if is_over:
                do_apart(errand)
        except BaseException:  # an interrupt may come when it is on its way already
            self._waiting.discard(errand)
            errand.give_up()
            raise
        return errand

    def _running(self) -> asyncio.AbstractEventLoop:
        """The loop, which runs from now on. Raises PluginHostError where it cannot."""
        if self._thread is None:
            self._on_begin()
            thread = threading.Thread(target=self._live, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no threads left
                raise PluginHostError(f"the host's loop cannot run: {error}") from None
        if not self._is_up.is_set():  # which takes no lock, unlike `wait`
            self._is_up.wait()
        if self._loop is None:
            raise PluginHostError(f"the host's loop cannot run: {self._failure}")
        return self._loop

    def close(self) -> None:
        """End the loop and its thread; what still runs there is cancelled. A second call does nothing."""
        if self.is_foreign:
            return
        with self._lock:
            thread, loop, stop = self._thread, self._loop, self._stop
            if thread is None:
                self._is_over = True
        if thread is None or thread is threading.current_thread():
            return
        if loop is not None and stop is not None and not self._is_over:
            try:
                loop.call_soon_threadsafe(stop.set)
            except RuntimeError:
                pass  # it has ended at this moment
        thread.join()

    def _live(self) -> None:
        me = threading.current_thread()
        self._applicants.append(me)
        if self._applicants[0] is not me:  # an interrupt came while the first was started
            return
        self._thread = me
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve())
        except OSError as error:  # no descriptors for it
            self._failure = error
            self._is_up.set()
        except RuntimeError:
            # At the interpreter's end the loop finds its helpers gone, and cannot start a thread to say so.
            if threading.main_thread().is_alive():
                raise
        finally:
            with self._lock:
                self._is_over = True
                waiting = list(self._waiting)
            for errand in waiting:
                errand.lose()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._is_up.set()
        await self._stop.wait()
