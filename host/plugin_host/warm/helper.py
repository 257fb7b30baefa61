"""One forkserver process and what the host holds of it: its socket, its spare children, its answers.

Owns these until `close`. Invariants: every child that it made was handed out or is discarded; whoever asks
for a child or a status is answered, at the latest when the process has ended; `childless` is done only when
nobody will ask any more, or nobody could answer. Used from the loop that it was started in.
"""

from __future__ import annotations

import array
import asyncio
import os
import socket
import subprocess
import sys
from collections import deque
from resource import struct_rusage
from signal import SIGKILL
from typing import TYPE_CHECKING, Any

from plugin_host.reaper import Reaper
from plugin_host.stderr import StderrReader
from plugin_host_sdk.forkorder import ENVIRONMENT_ROOM, MOST_BYTES, MOST_FDS, TITLE_ROOM, pack, unpack

from .childreaper import Record
from .spare import Spare

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from plugin_host.exitstatus import ExitStatus

    from .childreaper import ChildReaper

__all__ = ["Helper"]

# The main module has the same names as that of a plugin which is started by itself.
_CODE = (
    "from plugin_host_sdk.__main__ import main; "
    "main(__import__('plugin_host_sdk.runtime.forkserver', fromlist=['main']).main())"
)
_ROOM_NAME = "PLUGIN_HOST_ROOM"
# How long after a child was taken the next one is forked: a start that nobody shares the processors with is
# quicker, and over by then.
_REST_S = 0.02
_END_S = 1.0
_KILL_S = 2.0


class Helper:
    """A forkserver that is started at once.

    `environ` is its environment, `imports` what it imports besides the SDK. `on_line` gets what it writes
    on its stderr, `on_end` is called when it has ended by itself. `room` is -1 until it is up, `problems`
    what it could not import, `threads` how many it has; it is `sound` when it may be asked for children.
    `childless` is done when it is retired and has none left.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        imports: Sequence[str],
        *,
        on_line: Callable[[str], None],
        on_end: Callable[[Helper, ExitStatus], None],
    ) -> None:
        """Raises OSError."""
        self.environ = dict(environ)
        self.room = -1
        self.problems: list[str] = []
        self.threads = 0
        self._loop = asyncio.get_running_loop()
        self.started = self._loop.time()
        self._on_end = on_end
        self._spares: deque[Spare] = deque()
        self._waiting: deque[asyncio.Future[Spare | None]] = deque()
        self._coming = 0
        self._rest: asyncio.TimerHandle | None = None
        self._is_late = False
        self._children: set[int] = set()  # of whose end nobody was told
        self._asked: dict[int, Callable[[Record | None], None]] = {}
        self._unsent: list[int] = []
        self._buried: set[asyncio.Future[ExitStatus]] = set()
        self._is_retired = False
        self._is_over = False
        self._closing: asyncio.Task[None] | None = None
        self.up: asyncio.Future[bool] = self._loop.create_future()
        self.childless: asyncio.Future[None] = self._loop.create_future()
        self._control, pid, stderr = _spawn(self.environ, imports)
        self._stderr = StderrReader(stderr, self._loop, on_line)
        self._reaper = Reaper(pid, self._ended)
        self._loop.add_reader(self._control.fileno(), self._listen)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._reaper.pid

    @property
    def is_sound(self) -> bool:
        """Whether it is up, and may fork: with a second thread that would not be safe."""
        return self._reaper.status is None and self.room > 0 and self.threads == 1

    async def spare(self, timeout_s: float) -> Spare | None:
        """A child that nobody else has; None when there is none within so many seconds, or when one that
        was waited for so long has not come yet."""
        if self._spares:
            if self._rest is None:
                self._rest = self._loop.call_later(_REST_S, self._order_more)
            return self._spares.popleft()
        if self._is_late or self._is_retired:
            return None
        waiter: asyncio.Future[Spare | None] = self._loop.create_future()
        self._waiting.append(waiter)
        self._order_more()
        try:
            await asyncio.wait((waiter,), timeout=timeout_s)
        except asyncio.CancelledError:
            if waiter.done() and (spare := waiter.result()) is not None:
                self._give_back(spare)
            raise
        finally:
            waiter.cancel()
            if waiter in self._waiting:
                self._waiting.remove(waiter)
        self._is_late = waiter.cancelled() and bool(self._coming)
        return None if waiter.cancelled() else waiter.result()

    def _give_back(self, spare: Spare) -> None:
        """Who it was for does not want it any more; another may, unless this has ended meanwhile."""
        if self._is_retired:
            spare.discard()
        else:
            self._spares.append(spare)

    def take(self, pid: int, told: Callable[[Record | None], None]) -> None:
        """See `Parent`."""
        self._asked[pid] = told
        if self._is_over:
            self._answer(pid, None)
        elif not self._send("take", pid):
            self._unsent.append(pid)

    def bury(self, child: ChildReaper) -> None:
        """See `Parent`."""
        self._buried.add(child.exited)
        child.exited.add_done_callback(self._buried.discard)
        child.send_signal(SIGKILL)  # its socket may be held open by a child of the embedder's own
        child.close()

    def retire(self) -> None:
        """Make no more children, and let those go that are nothing yet. It still tells how others end."""
        if self._is_retired:
            return
        self._is_retired = True
        if self._rest is not None:
            self._rest.cancel()
        if not self.up.done():
            self.up.set_result(False)
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        spares, self._spares = self._spares, deque()
        for spare in spares:
            spare.discard()
        self._count()

    async def close(self) -> None:
        """End it, within a second or a little more; its children that are plugins go on."""
        if self._closing is None:
            self._closing = self._loop.create_task(self._close(), name="end of a forkserver")
        await asyncio.wait((self._closing,))

    async def _close(self) -> None:
        self.retire()
        if not self._is_over:
            await asyncio.wait((self.childless,), timeout=_END_S)
        if not self._is_over and self.childless.done():
            self._control.shutdown(socket.SHUT_WR)
            await asyncio.wait((self._reaper.exited,), timeout=_END_S)
        if self._reaper.status is None:
            self._reaper.send_signal(SIGKILL)
            await asyncio.wait((self._reaper.exited,), timeout=_KILL_S)
        self._give_over()
        if self._buried:
            await asyncio.wait(self._buried, timeout=_KILL_S)
        self._stderr.close()
        self._reaper.close()

    def _order_more(self) -> None:
        """So many that everybody who waits gets one, and one stays."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        if self._is_retired or not self.is_sound:
            return
        while self._coming + len(self._spares) < len(self._waiting) + 1:
            if not self._send("fork", self._coming < len(self._waiting)):
                return
            self._coming += 1

    def _send(self, *message: Any) -> bool:
        try:
            self._control.send(pack(*message))
        except OSError:  # it has ended, or does not read
            return False
        return True

    def _listen(self) -> None:
        """Hear what there is to hear."""
        unsent, self._unsent = self._unsent, []
        self._unsent = [pid for pid in unsent if not self._send("take", pid)]
        size = socket.CMSG_SPACE(MOST_FDS * array.array("i").itemsize)
        while not self._is_over:
            try:
                data, ancillary, _, _ = self._control.recvmsg(MOST_BYTES, size, socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            except OSError:
                data, ancillary = b"", []
            if not data:
                self._loop.remove_reader(self._control.fileno())
                return
            fds = array.array("i")
            for level, kind, raw in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(raw)
            self._is_late = False
            name, *rest = unpack(data)
            getattr(self, f"_on_{name}")(*rest, *fds)

    def _on_hello(self, room: int, problems: list[str], threads: int) -> None:
        self.room, self.problems, self.threads = room, problems, threads
        if not self.up.done():
            self.up.set_result(self.is_sound)
        self._order_more()

    def _on_spare(self, pid: int, *fds: int) -> None:
        if len(fds) < 2:
            # The kernel dropped what this process has no room for. Nobody holds the socket of that child
            # any more, so it ends.
            for fd in fds:
                os.close(fd)
            self._on_stuck("too many open descriptors")
            return
        self._coming -= 1
        self._children.add(pid)
        pidfd, orders = fds
        spare = Spare(pid, pidfd, socket.socket(fileno=orders), self)
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(spare)
                return
        self._give_back(spare)

    def _on_stuck(self, text: str) -> None:
        self._coming -= 1
        if self._waiting and not (waiter := self._waiting.popleft()).done():
            waiter.set_result(None)
        self._count()

    def _on_ended(self, pid: int, status: int | None, usage: tuple[float, ...]) -> None:
        self._answer(pid, None if status is None else Record(status, struct_rusage(usage)))

    def _answer(self, pid: int, record: Record | None) -> None:
        told = self._asked.pop(pid, None)
        self._children.discard(pid)
        if told is not None:
            told(record)
        self._count()

    def _count(self) -> None:
        """See whether the last child is gone, and was told of."""
        is_last = self._is_retired and not self._children and not self._coming
        if (is_last or self._is_over) and not self.childless.done():
            self.childless.set_result(None)

    def _ended(self, status: ExitStatus) -> None:
        if self._is_over:
            return
        self._listen()  # what it said last
        self._stderr.drain()
        self._give_over()
        if self._closing is None:
            self._on_end(self, status)

    def _give_over(self) -> None:
        """Nothing is asked of it any more, and nobody waits for it any more."""
        if self._is_over:
            return
        self._is_over = True
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        self.retire()
        for pid in list(self._asked):
            self._answer(pid, None)
        self._count()


def _spawn(environ: Mapping[str, str], imports: Sequence[str]) -> tuple[socket.socket, int, int]:
    """The socket to it, its pid, the reading end of its stderr. Raises OSError."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with far:
        stderr, stderr_child = os.pipe()
        try:
            child = subprocess.Popen(
                [sys.executable, "-P", "-c", _CODE, str(os.getpid()), ",".join(imports), "-" * TITLE_ROOM],
                stdin=far.fileno(),
                stdout=stderr_child,
                stderr=stderr_child,
                cwd="/",
                env={**environ, _ROOM_NAME: "-" * ENVIRONMENT_ROOM},
                start_new_session=True,
            )
        except BaseException:
            near.close()
            os.close(stderr)
            raise
        finally:
            os.close(stderr_child)
    # Popen has done its part: the reaper waits for the pid, and this keeps Popen from doing so too.
    child.returncode = 0
    near.setblocking(False)
    return near, child.pid, stderr
