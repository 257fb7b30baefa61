"""What both ways of starting a program share: checks beforehand, one lock, and a clean start of the child.

Invariant: what is checked here cannot fail in the forked child, where an exception of ours would run the
plugin's own code a second time. A child has every signal's default, except that a hang-up the plugin was
started to ignore (nohup) stays ignored, and no signal blocked.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import errno
import os
import signal
import sys
import termios
import threading
import tty
import warnings
from typing import TYPE_CHECKING

from .executable import find_executable, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from plugin_host_sdk.errors import TerminalError

    from .identity import Identity

__all__ = [
    "SPAWN_LOCK",
    "Start",
    "bad_folder",
    "expect_fork",
    "has_ordinary_signals",
    "make_raw",
    "prepare",
]

# From the making of a descriptor that a child could inherit until it no longer can, and from fork to exec:
# programs start one after the other.
SPAWN_LOCK = threading.Lock()

_KEPT = frozenset({signal.SIGKILL, signal.SIGSTOP, signal.SIGHUP})
_RESTORED = sorted(signal.valid_signals() - _KEPT)
_RESTORED_BY_POPEN = frozenset({signal.SIGPIPE, signal.SIGXFSZ})


class Start:
    """A program that is ready to be started, on a terminal perhaps, and then on a `raw` one if it is to be.

    `path` is what is executed, relative to the child's folder; `file` is the same as seen from here.
    """

    __slots__ = (
        "_argv",
        "_cwd",
        "_env",
        "_ignored",
        "argv",
        "cwd",
        "env",
        "file",
        "identity",
        "path",
        "raw",
    )

    def __init__(
        self,
        argv: Sequence[str],
        cwd: str | None,
        env: Mapping[str, str],
        path: str,
        identity: Identity | None = None,
        raw: bool = False,
    ) -> None:
        self.argv = list(argv)
        self.cwd = cwd
        self.env = dict(env)
        self.path = path
        self.file = os.path.join(cwd or "", path)
        # Encoded now: the child must not raise, and does as little as it can.
        self._argv = [os.fsencode(word) for word in argv]
        self._env = {os.fsencode(name): os.fsencode(value) for name, value in env.items()}
        self._cwd = None if cwd is None else os.fsencode(cwd)
        self._ignored = _ignored_signals()
        self.identity = identity
        self.raw = raw

    def become(self) -> None:
        """In the forked child: turn into the program. Raises OSError("step number") when that fails."""
        step = "signals"
        try:
            self.restore_signals()
            if self.raw:
                step = "terminal"
                make_raw(0)
            if self.identity is not None:
                step = "identity"
                os.fchown(0, self.identity.uid, -1)  # or it could not open its own terminal by name
                self.identity.assume()
            if self._cwd is not None:
                step = "chdir"
                os.chdir(self._cwd)
            step = "exec"
            os.execve(self.path, self._argv, self._env)
        except OSError as error:
            raise OSError(f"{step} {error.errno}") from None

    def settle(self) -> None:
        """In a child that subprocess has made another user: what is left to do before the program.

        It is in the right folder; whether as that user it could have come there is not proved yet.
        """
        self.restore_signals()
        if self._cwd is not None:
            os.chdir(self._cwd)

    def restore_signals(self) -> None:
        """In the forked child: ignore and block nothing that a new program should hear."""
        for number in self._ignored:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


def make_raw(fd: int) -> None:
    """Let a terminal pass bytes on as they are: no echo, no lines, no signals. Raises OSError."""
    try:
        tty.setraw(fd, termios.TCSANOW)
    except termios.error as error:
        raise OSError(*error.args) from None


def has_ordinary_signals() -> bool:
    """Whether a child of this thread has nothing to restore beyond what every Popen does."""
    return _RESTORED_BY_POPEN.issuperset(_ignored_signals()) and not signal.pthread_sigmask(
        signal.SIG_BLOCK, ()
    )


def expect_fork(call: str, module: str) -> None:
    """Python warns where a process with threads forks. A child that becomes a program at once is meant.

    Called before each such fork: whoever set filters since the last has put theirs before ours.
    """
    if sys.version_info >= (3, 12):
        message = rf"This process \(pid=\d+\) is multi-threaded, use of {call}\(\) may lead to deadlocks"
        first = warnings.filters[0][1] if warnings.filters else None
        # Setting a filter makes Python forget which warnings it has shown.
        if getattr(first, "pattern", first) != message:
            warnings.filterwarnings("ignore", message, DeprecationWarning, rf"{module}\Z")


def _ignored_signals() -> list[int]:
    """The signals that a child would go on ignoring, and should not."""
    # Asked below `signal`, which makes a member of an enumeration of each of these sixty answers.
    return [number for number in _RESTORED if _signal.getsignal(number) == _signal.SIG_IGN]


def prepare(
    argv: Sequence[str],
    cwd: str | None,
    env: Mapping[str, str],
    identity: Identity | None = None,
    *,
    raw: bool = False,
) -> Start:
    """Check everything about a start. Raises TerminalError.

    `env` is the child's whole environment. `reason` is "invalid" for what no program can be given,
    "bad_cwd", or one of `find_executable`.
    """
    if not argv:
        raise refusal("no command was given: name a program", "not_found", errno.ENOENT, "")
    for what, text in [*(("argument", word) for word in argv), *(_texts(env)), ("folder", cwd or "")]:
        _check_text(what, text)
    if cwd is not None:
        _check_folder(cwd)
    return Start(argv, cwd, env, find_executable(argv[0], cwd, env), identity, raw)


def bad_folder(cwd: str, number: int) -> TerminalError:
    """The session cannot start in `cwd`."""
    return refusal(f"the session cannot start in {cwd!r}: {os.strerror(number)}", "bad_cwd", number, cwd)


def _texts(env: Mapping[str, str]) -> list[tuple[str, str]]:
    for name in env:
        if not name or "=" in name:
            raise refusal(
                f"{name!r} is no name of a variable: it is empty or holds '='",
                "invalid",
                errno.EINVAL,
                name,
            )
    return [
        pair for name, value in env.items() for pair in (("variable", name), (f"value of {name}", value))
    ]


def _check_text(what: str, text: str) -> None:
    try:
        if b"\0" not in os.fsencode(text):
            return
        fault = "holds a null character"
    except UnicodeEncodeError:
        fault = "holds characters that the file system's encoding has not"
    except TypeError:
        fault = "is no text"
    # A value may be secret, so only arguments and folders are shown.
    shown = "" if what.startswith("value") else f" {text!r}"
    raise refusal(f"the {what}{shown} {fault}", "invalid", errno.EINVAL, "")


def _check_folder(cwd: str) -> None:
    try:
        is_folder = os.path.isdir(cwd) if os.stat(cwd) else False
    except OSError as error:
        raise bad_folder(cwd, error.errno or errno.ENOENT) from None
    if not is_folder:
        raise bad_folder(cwd, errno.ENOTDIR)
    if not os.access(cwd, os.X_OK):
        raise bad_folder(cwd, errno.EACCES)
