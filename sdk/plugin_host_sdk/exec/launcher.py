"""What a session is given to run: a program, a terminal for an author's function, or an author's files.

Reads what a handler returned and turns it into a body with outputs and an input. Everything that was
opened on the way is closed again when something fails.
"""

from __future__ import annotations

import os
import secrets
from functools import partial
from typing import TYPE_CHECKING

from plugin_host_sdk.errors import SessionClosed, TerminalError, excerpt

from .custody import close_quietly
from .family import Family
from .file import adapt_files, adapt_popen, is_popen, popen_status
from .filebody import FileBody
from .handler import ExecSpec
from .handover import PassedOutput, pass_on, refuse_to_pass_on
from .hold import Hold
from .identity import find_identity
from .output import Output
from .performance import Performance
from .pipesize import PipeSizes
from .process import spawn_pipes
from .program import Program, discard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from plugin_host_sdk.context import Context

    from .body import Body
    from .clock import Clock
    from .configuration import SessionSettings
    from .file import ReadEnd
    from .handler import Handler
    from .identity import Identity
    from .performance import RunAsync
    from .process import PipeProcess, Status
    from .reactor import Reactor
    from .session import Session
    from .terminal import Terminal, TerminalFactory

__all__ = ["MARK", "Launcher", "close_result"]

# Every process of a session finds its id here; what left the session's tree is found by it.
MARK = "PLUGIN_HOST_SESSION"
_TERM = "xterm-256color"


class Launcher:
    """Starts what sessions run."""

    def __init__(
        self,
        reactor: Reactor,
        clock: Clock,
        terminals: TerminalFactory,
        run_async: RunAsync,
        settings: SessionSettings,
    ) -> None:
        self._reactor = reactor
        self._clock = clock
        self._terminals = terminals
        self._run_async = run_async
        self._settings = settings
        self._sizes = PipeSizes()
        # Ids are the callers', so another plugin's session may have the same.
        self._nonce = secrets.token_hex(4)

    def run_command(self, session: Session, handler: Handler) -> None:
        """Run the command that was asked for. Raises TerminalError."""
        if not session.options.command:
            raise TerminalError(f"{session.key} has no default command: name one", session=session.id)
        self._run_spec(session, handler, ExecSpec(session.options.command), session.run)

    def perform(self, session: Session, handler: Handler, ctx: Context) -> None:
        """Call `handler.tty_handler` with a terminal. Raises TerminalError."""
        options = session.options
        if options.handover is not None:
            raise refuse_to_pass_on(session.id, session.key)
        terminal = self._terminals.open(options.rows, options.cols, raw=handler.raw)
        try:
            performance = Performance(
                session,
                handler,
                ctx,
                terminal,
                reactor=self._reactor,
                clock=self._clock,
                run_async=self._run_async,
                go_on=lambda result: self._go_on(session, handler, terminal, result),
                resize_timeout=self._settings.resize_timeout,
            )
            outputs = self._connect(session, terminal)
        except BaseException:
            terminal.close()
            raise
        session.run(performance, outputs)
        performance.start(options)

    def run(self, session: Session, handler: Handler, result: Any) -> None:
        """Run what a handler returned. Raises TerminalError."""
        if isinstance(result, ExecSpec):
            self._run_spec(session, handler, result, session.run)
        elif session.options.tty:
            close_result(result)
            raise TerminalError(
                f"{session.key} gave {excerpt(result)}, which is no terminal: ask with tty=False, and "
                "register it with tty=False in its plugin",
                session=session.id,
            )
        else:
            self._run_files(session, result)

    def _go_on(self, session: Session, handler: Handler, terminal: Terminal, result: Any) -> None:
        """A terminal handler has named what is to take its place."""
        if is_popen(result):
            status = partial(popen_status, result)
            program = self._popen_program(session, result.pid, status, terminal)
            session.replace_body(program)
            program.start()
        elif isinstance(result, ExecSpec):
            self._run_spec(session, handler, result, session.replace_body)
        else:
            raise TypeError(
                f"a tty_handler returns an exit code, None, an ExecSpec or a Popen, not {excerpt(result)}"
            )

    def _popen_program(
        self,
        session: Session,
        pid: int,
        status: Callable[[], Status | None],
        terminal: Terminal | None = None,
    ) -> Program:
        return Program(
            session,
            self._reactor,
            pid,
            Family(pid, f"{MARK}={session.id}:{self._nonce}"),
            terminal=terminal,
            leads=_leads_group(pid),
            status_of=lambda pid: status(),
        )

    def _run_spec(
        self,
        session: Session,
        handler: Handler,
        spec: ExecSpec,
        run: Callable[[Body, Iterable[Output]], None],
    ) -> None:
        options = session.options
        cwd = options.cwd if options.cwd is not None else spec.cwd
        identity = find_identity(spec.user)
        env = self._environment(session, spec.env, identity)
        if options.tty:
            rows, cols = session.size  # of now: another may have had the terminal before
            raw = handler.raw if spec.raw is None else spec.raw
            terminal = self._terminals.spawn(
                spec.argv, cwd=cwd, env=env, rows=rows, cols=cols, identity=identity, raw=raw
            )
            assert terminal.pid is not None
            hold = Hold(terminal)
            self._run_process(
                session,
                terminal.pid,
                env,
                run,
                [terminal.close],
                lambda: self._connect(session, terminal, hold),
                terminal,
                hold,
            )
            _catch_up(session, (rows, cols))
        else:
            process = spawn_pipes(spec.argv, cwd=cwd, env=env, identity=identity)
            closers = [partial(os.close, fd) for fd in process[1:]]
            self._run_process(
                session, process.pid, env, run, closers, lambda: self._connect_pipes(session, process)
            )

    def _run_process(
        self,
        session: Session,
        pid: int,
        env: Mapping[str, str],
        run: Callable[[Body, Iterable[Output]], None],
        closers: Sequence[Callable[[], object]],
        connect: Callable[[], list[Output]],
        terminal: Terminal | None = None,
        hold: Hold | None = None,
    ) -> None:
        """A process that was just started becomes the body of its session, or is ended again."""
        let_go = hold.release if hold is not None else _nothing
        try:
            outputs = connect()
            family = Family(pid, f"{MARK}={env[MARK]}")
            program = Program(session, self._reactor, pid, family, terminal=terminal, let_go=let_go)
        except BaseException:
            discard(pid)
            let_go()
            for close in closers:
                close()
            raise
        try:
            run(program, outputs)
        except SessionClosed:  # meanwhile
            program.abandon()
            for output in outputs:
                output.abandon()
            raise
        program.start()

    def _connect_pipes(self, session: Session, process: PipeProcess) -> list[Output]:
        session.input.connect(process.stdin_fd, partial(os.close, process.stdin_fd))
        return [
            self._pipe(session, "stdout", process.stdout_fd),
            self._pipe(session, "stderr", process.stderr_fd),
        ]

    def _connect(self, session: Session, terminal: Terminal, hold: Hold | None = None) -> list[Output]:
        """Both directions of a terminal; each has a descriptor of its own, because one may end first."""
        handover = session.options.handover
        if handover is not None:
            if hold is not None:
                hold.take()  # nobody is here to notice when its program closes it and runs on
            pass_on(terminal.master_fd, handover)
        into = os.dup(terminal.master_fd)
        session.input.connect(into, partial(os.close, into), terminal.end_of_file)
        return [
            (Output if handover is None else PassedOutput)(
                "stdout",
                terminal.master_fd,
                self._reactor,
                session,
                is_terminal=True,
                sizes=self._sizes,
                chunk=self._settings.read_chunk,
                close=terminal.close,
                revive=hold.take if hold is not None else None,
            )
        ]

    def _pipe(self, session: Session, name: str, fd: int) -> Output:
        return Output(
            name,
            fd,
            self._reactor,
            session,
            is_terminal=False,
            close=partial(os.close, fd),
            sizes=self._sizes,
            chunk=self._settings.read_chunk,
        )

    def _environment(
        self, session: Session, own: Mapping[str, str | None], identity: Identity | None
    ) -> dict[str, str]:
        """The plugin's, then that of another user, then the handler's, then the caller's."""
        env = dict(os.environ)
        if identity is not None:
            env |= identity.variables()
        for name, value in own.items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = value
        env |= session.options.env
        if session.options.tty and env.get("TERM", "dumb") == "dumb" and "TERM" not in session.options.env:
            env["TERM"] = _TERM
        env[MARK] = f"{session.id}:{self._nonce}"
        return env

    # An author's files.

    def _run_files(self, session: Session, result: Any) -> None:
        if is_popen(result):
            ends = adapt_popen(result)
            stdin, stdout, stderr = ends.stdin, ends.stdout, ends.stderr
        else:
            ends = None
            stdin, stdout, stderr = adapt_files(*_three(session, result))
        session.input.connect(stdin.fd, stdin.close)
        outputs = [self._read_end(session, "stdout", stdout), self._read_end(session, "stderr", stderr)]
        if ends is None or ends.pid is None:
            body = FileBody(session, self._reactor, (stdout, stderr), ends and ends.status)
            session.run(body, outputs)
            return
        try:
            program = self._popen_program(session, ends.pid, ends.status)
        except BaseException:
            for output in outputs:
                output.abandon()
            result.kill()
            result.wait()
            raise
        session.run(program, outputs)
        program.start()

    def _read_end(self, session: Session, name: str, end: ReadEnd) -> Output:
        return Output(
            name,
            end.fd,
            self._reactor,
            session,
            is_terminal=False,
            close=end.close,
            before=end.buffered,
            sizes=self._sizes,
            chunk=self._settings.read_chunk,
        )


def _three(session: Session, result: Any) -> tuple[Any, Any, Any]:
    """stdin, stdout and stderr of what a handler returned. Raises TerminalError."""
    is_argv = type(result) is list and all(isinstance(part, str) for part in result)
    if isinstance(result, (tuple, list)) and not is_argv:
        if len(result) == 3:
            return result[0], result[1], result[2]
        if len(result) == 2:
            return None, result[0], result[1]
    close_result(result)
    raise TerminalError(
        f"{session.key} returned {excerpt(result)}: give an ExecSpec, (stdout, stderr), "
        "(stdin, stdout, stderr) or a Popen",
        session=session.id,
        data={"reason": "bad_result"},
    )


def _catch_up(session: Session, begun: tuple[int, int]) -> None:
    """Give a program that began with one size the one that was asked for while it was started."""
    if session.size != begun:
        try:
            session.resize(*session.size)
        except (SessionClosed, TerminalError):
            pass  # it has ended already


def _nothing() -> None:
    pass


def _leads_group(pid: int) -> bool:
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def close_result(result: Any) -> None:
    """Close the files of a result that cannot be used; a process among them is the author's to end."""
    if is_popen(result):
        result = (result.stdin, result.stdout, result.stderr)
    if isinstance(result, (tuple, list)):
        for one in result:
            close_quietly(one)
    elif type(result) is not int:  # which is meant as an exit code, and somebody else's descriptor
        close_quietly(result)
