"""One session: what it has put out, who looks at it, and how it ended.

A session is made before its handler is asked, runs when it gets a body, and is ended by it. Reading happens
on the reactor's thread alone; everything else may come from any thread. One lock makes the join of replay
and live output exact: a viewer gets what is in the ring and then what `feed` brings. Author code never runs
under it, and nothing is written to the wire there, only queued.

Invariants: `exec.exited` is sent once, when the last byte is in the ring; a lossless viewer's backlog stops
the reading of that output; the first viewer of a session that was not opened detached misses nothing.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import (
    CallFailed,
    LocalProtocolError,
    SessionClosed,
    SessionNotFound,
    TerminalError,
)
from plugin_host_sdk.protocol import VIEWERS
from plugin_host_sdk.types.session import (
    Attached,
    Exit,
    SessionFailure,
    SessionInfo,
)

from .input import Input
from .record import Record
from .reminder import Reminder
from .viewer import Viewer, ViewerStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from plugin_host_sdk.later import Later
    from plugin_host_sdk.sink import Sink
    from plugin_host_sdk.types.session import AttachOptions, SessionOptions

    from .attention import Attention
    from .body import Body
    from .clock import Clock
    from .output import Output
    from .reactor import Reactor

__all__ = ["ENDED", "ENDING", "FIRST_LOOK_S", "RUNNING", "STARTING", "Session"]

STARTING, RUNNING, ENDING, ENDED = "starting", "running", "ending", "ended"
MOVES = {
    STARTING: frozenset({RUNNING, ENDED}),
    RUNNING: frozenset({ENDING}),
    ENDING: frozenset({ENDED}),
    ENDED: frozenset[str](),
}

# How long at least who has opened one may take to look at it for the first time.
FIRST_LOOK_S = 10.0
# How long the output that a process left is read: a grandchild may hold the descriptor for ever.
_LAST_OUTPUT_S = 0.5
# What one read may take when nobody limits it.
_UNLIMITED = 1024 * 1024
# A viewer that may lose bytes is behind by no more than the ring, and by no less than a frame.
_LEAST_LIMIT = 64 * 1024


class Session:
    """`ended(session)` is called once, on the reactor's thread, when the exit has been told."""

    def __init__(
        self,
        options: SessionOptions,
        key: str,
        replay_bytes: int,
        *,
        sink: Sink,
        reactor: Reactor,
        clock: Clock,
        attention: Attention,
        ended: Callable[[Session], None],
        event_queue: int | None = None,
        kept_s: float = 0.0,
    ) -> None:
        self.options = options
        self.id = options.id
        self.key = key
        self.input = Input(options.id, sink, reactor)
        self.body: Body | None = None
        self.created_at = clock.time()
        self.names = ("stdout",) if options.tty else ("stdout", "stderr")
        self.closed_by = ""  # why it is being closed, if it is
        self.ended_at = 0.0
        self._is_forgotten = False
        self.is_over = False  # ended, and that was told
        self.last_seen = 0.0  # when it ended, or when its last viewer left after that
        self.exit: Exit | None = None
        self._sink = sink
        self._reactor = reactor
        self._clock = clock
        self._attention = attention
        self._ended = ended
        self._event_queue = event_queue
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._state = STARTING
        self._began = clock.monotonic()
        self._size = (options.rows, options.cols)
        self._record = Record(self.names, replay_bytes, holds=not options.detached)
        self._viewers: dict[int, Viewer] = {}
        self._outputs: dict[str, Output] = {}
        self._reminder: Reminder | None = None
        if options.tty:
            self._reminder = Reminder(self.input, reactor, clock)
            self.input.on_terminal_end = self._reminder.note_output
            self.input.on_received = partial(attention.note, options.id)

    def __repr__(self) -> str:
        return f"<Session {self.id} {self._state} viewers={len(self._viewers)}>"

    # What it is.

    @property
    def state(self) -> str:
        return self._state

    @property
    def is_watched(self) -> bool:
        """Whether anybody looks at it."""
        return bool(self._viewers)

    @property
    def awaits_viewer(self) -> bool:
        """Whether who has opened it is still to look at it for the first time."""
        return self._record.awaits_viewer and self.options.handover is None

    @property
    def gives_way(self) -> bool:
        """Whether its output lets others go first: nobody looks at it, or somebody types elsewhere."""
        return not self._viewers or self._attention.is_elsewhere(self.id)

    def info(self) -> SessionInfo:
        """The session at this moment."""
        options = self.options
        with self._lock:
            rows, cols = self._size if options.tty else (None, None)
            return SessionInfo(
                id=self.id,
                handler=self.key,
                command=options.command,
                tty=options.tty,
                rows=rows,
                cols=cols,
                labels=dict(options.labels),
                params=dict(options.params),
                created_at=self.created_at,
                state=self._state,
                pid=self.body.pid if self.body is not None else None,
                viewers=len(self._viewers),
                output={name: self._record.stored(name) for name in self.names},
                exit=self.exit,
            )

    def forget_output(self) -> None:
        """Nobody can ask for it any more; its viewers have what they are still to get.

        What it is made of refers to each other, so without this the ring would stay until the collector of
        garbage comes by, which counts objects and not bytes.
        """
        with self._lock:
            self._is_forgotten = True
            if self._state == ENDED:
                self._drop_output()

    def _drop_output(self) -> None:
        self._record.drop()
        self._outputs = {}

    def has_left_nothing(self) -> bool:
        """Whether all that it ran is gone. Looks at the machine's processes."""
        return self.body is None or self.body.is_gone()

    def check_runs(self) -> None:
        """Raise SessionClosed for one that has ended."""
        if self._state in (ENDING, ENDED):
            how = f": {self.exit.reason}" if self.exit is not None and self.exit.reason else ""
            raise SessionClosed(f"it has ended{how}", session=self.id)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the terminal as it is now."""
        return self._size

    def note_size(self, rows: int, cols: int) -> None:
        """The terminal has this size now."""
        self._size = (rows, cols)

    def _move(self, state: str) -> None:
        if state not in MOVES[self._state]:
            raise AssertionError(f"session {self.id} cannot go from {self._state} to {state}")
        self._state = state

    # Running.

    def run(self, body: Body, outputs: Iterable[Output]) -> None:
        """It has a body, which puts out what is read from `outputs`."""
        with self._lock:
            self.body = body
            self._outputs = {output.name: output for output in outputs}
            self._move(RUNNING)
        self._reactor.call_soon(self._resume)

    def replace_body(self, body: Body, outputs: Iterable[Output] | None = None) -> None:
        """Go on with another body, on the same outputs or, when those have ended, on others.

        Raises SessionClosed.
        """
        with self._lock:
            if self._state == RUNNING:
                self.body = body
                if outputs is not None:
                    self._outputs = {output.name: output for output in outputs}
        self.check_runs()
        self._reactor.call_soon(self._resume)

    @property
    def has_no_output(self) -> bool:
        """Whether the outputs of its body have ended."""
        return all(output.is_over for output in self._outputs.values())

    def room(self, name: str) -> int:
        """How many bytes of an output may be read now."""
        with self._lock:
            held = self._record.room()
            if held is not None:
                return held
            for viewer in self._viewers.values():
                if viewer.blocks(name):
                    return 0
        return _UNLIMITED

    def feed(self, name: str, data: bytes) -> bool:
        """Output was read, and is queued; whether more may be read now."""
        with self._lock:
            self._record.append(name, data)
            goes_on = self._record.room() is None
            for viewer in self._viewers.values():
                stream = viewer.streams[name]
                stream.feed(data)
                if viewer.is_lossless and stream.backlog:
                    goes_on = False
        return goes_on

    def flush(self) -> None:
        """Send what was read."""
        self._sink.flush()
        if self._reminder is not None:
            self._reminder.note_output()

    def output_ended(self, name: str) -> None:
        """One of its outputs has reached its end."""
        if not self.has_no_output:
            return
        if self._state == ENDING:
            self._finish()
        elif self.body is not None:
            self.body.outputs_ended()

    def _resume(self) -> None:
        """Read on where that is allowed now. On the reactor's thread."""
        for output in list(self._outputs.values()):
            output.resume()

    # Viewers.

    def attach(self, options: AttachOptions) -> Attached:
        """Add a viewer. Raises CallFailed for an offset, number or stream that cannot be."""
        if self.options.handover is not None:
            raise TerminalError("its host reads the terminal itself, and nobody beside it", session=self.id)
        with self._lock:
            if self._is_forgotten:
                raise SessionNotFound("it was forgotten just now", session=self.id)
            if options.viewer in self._viewers or len(self._viewers) >= VIEWERS:
                problem = "is taken" if options.viewer in self._viewers else f"is one over {VIEWERS}"
                raise _invalid(f"viewer {options.viewer} of session {self.id} {problem}")
            numbers = self._numbers(options)
            record = self._record
            places = {name: record.place(name, options.offset) for name in numbers}
            streams = self._open(numbers, options)
            for name, place in places.items():
                backlog = streams[name].backlog
                if place.start > place.base:
                    backlog.push_gap(place.start - place.base)
                for piece in record.pieces(name, place.start):
                    backlog.push(piece)
                    if not options.lossless:  # or more would be lost than its credit says
                        streams[name].advance()
            record.release()
            viewer = Viewer(
                options.viewer, streams, is_lossless=options.lossless, is_read_only=options.read_only
            )
            self._viewers[viewer.number] = viewer
            for stream in streams.values():
                stream.advance()
                if self._state == ENDED:
                    stream.finish()
            self._prune()
        self._reactor.call_soon(self._resume)
        return Attached(session=self.info(), stdout=places["stdout"], stderr=places.get("stderr"))

    def _numbers(self, options: AttachOptions) -> dict[str, int]:
        numbers = {"stdout": options.stdout}
        if not self.options.tty:
            if options.stderr is None:
                raise _invalid(f"session {self.id} runs on pipes: name a stream for stderr, too")
            numbers["stderr"] = options.stderr
        return numbers

    def _open(self, numbers: dict[str, int], options: AttachOptions) -> dict[str, ViewerStream]:
        limit = None
        if not options.lossless:
            limit = self._event_queue or max(self._record.capacity, _LEAST_LIMIT)
        streams: dict[str, ViewerStream] = {}
        try:
            for name, number in numbers.items():
                stream = ViewerStream(self._sink, number, options.window, limit, self._viewer_changed)
                self._sink.open_output(number, options.window, stream)
                streams[name] = stream
        except CallFailed:
            for stream in streams.values():
                stream.end()
            raise
        return streams

    def detach(self, number: int) -> None:
        """Remove a viewer; one that is not there, or no longer, is no error."""
        with self._lock:
            viewer = self._viewers.get(number)
            if viewer is None:
                return
            self._end_viewer(viewer, "detached")
        self._reactor.call_soon(self._resume)

    def _end_viewer(self, viewer: Viewer, name: str) -> None:
        for stream in viewer.streams.values():
            stream.end({"name": name, "message": f"the viewer was {name}"})
        self._prune()

    def _viewer_changed(self, stream: ViewerStream, credit: int | None) -> None:
        if credit is not None:
            with self._lock:
                if stream.takes_on(credit):
                    return  # as by far the most: nothing has waited for it, so nobody needs to be woken
        self._reactor.call_soon(lambda: self._apply(stream, credit))

    def _apply(self, stream: ViewerStream, credit: int | None) -> None:
        with self._lock:
            if credit is None:
                stream.end()
            elif not stream.is_over:
                stream.add_credit(credit)
            self._prune()
        self._resume()
        self._sink.flush()

    def _prune(self) -> None:
        """Forget viewers whose streams have ended."""
        for number in [number for number, viewer in self._viewers.items() if viewer.is_over]:
            del self._viewers[number]
            self.last_seen = self._clock.monotonic()

    # Ending.

    def body_exited(
        self,
        *,
        code: int | None = None,
        signal: str | None = None,
        reason: str = "",
        error: SessionFailure | None = None,
    ) -> None:
        """What it ran has ended, from any thread. The first word counts."""
        exit = Exit(code=code, signal=signal, reason=reason, error=error)
        self._reactor.call_soon(lambda: self._begin_ending(exit))

    def _begin_ending(self, exit: Exit) -> None:
        with self._lock:
            if self._state != RUNNING:
                return
            self._move(ENDING)
            self.exit = self._timed(exit)
        self.input.close()
        if self.has_no_output:
            self._finish()
            return
        self._reactor.call_at(self._clock.monotonic() + _LAST_OUTPUT_S, self.cut_off)
        for output in list(self._outputs.values()):
            output.drain()

    def _timed(self, exit: Exit) -> Exit:
        return Exit(
            code=exit.code,
            signal=exit.signal,
            reason=f"{exit.reason}; {self.closed_by}" if self.closed_by else exit.reason,
            duration=self._clock.monotonic() - self._began,
            error=exit.error,
        )

    def cut_off(self) -> None:
        """Read no more. On the reactor's thread."""
        for output in list(self._outputs.values()):
            output.cut_off()

    def _finish(self) -> None:
        with self._lock:
            if self._state == ENDED:
                return
            self._move(ENDED)
            self.ended_at = self.last_seen = self._clock.monotonic()
            totals = self._record.totals()
            for viewer in self._viewers.values():
                for stream in viewer.streams.values():
                    stream.finish()
            self._prune()
            if self._is_forgotten:
                self._drop_output()
        assert self.exit is not None
        self._tell_exit(self.exit, totals)
        self.is_over = True
        self._sink.flush()
        if self.body is not None:
            self.body.release()
        self._ended(self)

    def _tell_exit(self, exit: Exit, totals: dict[str, int]) -> None:
        kept_s = max(self._kept_s, FIRST_LOOK_S if self.awaits_viewer else 0.0)
        if self.options.handover is not None:
            kept_s = 0.0  # there is nothing to look at
        params = {"session": self.id, "exit": _as_map(exit), "totals": totals, "kept_s": kept_s}
        try:
            self._sink.notify("exec.exited", params)
        except LocalProtocolError as error:  # an author's words, too many for this host
            self.exit = exit = Exit(
                code=exit.code, signal=exit.signal, reason=str(error), duration=exit.duration
            )
            self._sink.notify("exec.exited", params | {"exit": _as_map(exit)})

    def disown(self) -> None:
        """In a forked child: programs must not wait for it to close their ends, too."""
        self.input.disown()
        for output in self._outputs.values():
            output.disown()

    def abandon(self) -> None:
        """It never ran: its handler failed, or nobody wants it any more."""
        with self._lock:
            self._move(ENDED)
        self.input.forget()

    def resize(self, rows: int, cols: int) -> Later | None:
        """Give the terminal a size. Raises SessionClosed, TerminalError."""
        self.check_runs()
        assert self.body is not None
        return self.body.resize(rows, cols)


def _as_map(exit: Exit) -> dict[str, Any]:
    import msgspec

    result: dict[str, Any] = msgspec.to_builtins(exit)
    return result


def _invalid(message: str) -> CallFailed:
    return CallFailed(message, name="rpc.invalid_params")
