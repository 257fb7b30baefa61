"""What is laid on a process before the plugin's own code runs in it: limits, a gate, and the like.

Two use it. The SDK's start-up calls `restrain` before it imports the author's module. For a program that
knows nothing of the SDK the host runs an interpreter without its site, in which this module, found by its
folder, imports nothing but what belongs to the interpreter:

    python -I -S -c "…; shim.main(sys.argv[2:])" FOLDER [OPTION]... -- PROGRAM [ARGUMENT]...

It lays the same on itself and becomes the program. Invariant: the program gets the environment, the
standard descriptors and the signals that it would have had without the shim, and no other descriptor.

    --limit NAME=VALUE   open_files, cpu_s or address_space_bytes, for this process and those it starts
    --umask MASK         in octal digits
    --no-new-privs       no program that it executes gets more rights than it has (Linux)
    --gate FD            wait until FD is readable or at its end; nothing is read from it
    --report FD          tell there why there is no program: `ERRNO TEXT`, nothing when all went well
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

__all__ = ["Refused", "main", "restrain", "split"]

LEAST_OPEN_FILES = 16
_NOT_STARTED = 127
_RESOURCES = {
    "open_files": "RLIMIT_NOFILE",
    "cpu_s": "RLIMIT_CPU",
    "address_space_bytes": "RLIMIT_AS",
}
_PR_SET_NO_NEW_PRIVS = 38
_WITH_VALUE = ("--limit", "--umask", "--gate", "--report")
_ALONE = ("--no-new-privs",)


class Refused(Exception):
    """What was asked for cannot be laid on this process; the message says what."""


def split(arguments: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """The options at the beginning of `arguments`, as name and value, and the rest.

    Raises `Refused` for an option without its value.
    """
    options: list[tuple[str, str]] = []
    rest = list(arguments)
    while rest and (rest[0] in _WITH_VALUE or rest[0] in _ALONE):
        name = rest.pop(0)
        if name in _WITH_VALUE and not rest:
            raise Refused(f"{name} needs a value")
        options.append((name, rest.pop(0) if name in _WITH_VALUE else ""))
    return options, rest


def restrain(options: Sequence[tuple[str, str]]) -> None:
    """Lay `options` on this process, in their order. Raises `Refused`."""
    for name, value in options:
        try:
            if name == "--gate":
                _await(int(value))
            elif name == "--limit":
                _limit(*value.split("=", 1))
            elif name == "--umask":
                os.umask(int(value, 8))
            elif name == "--no-new-privs":
                _forbid_new_privileges()
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise Refused(f"{name} {value}".rstrip() + f": {error}") from None


def _await(fd: int) -> None:
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll()


def _limit(name: str, text: str) -> None:
    """Never more than what this process may have already: that bound somebody else has set."""
    import resource

    value = int(text)
    if name == "open_files" and value < LEAST_OPEN_FILES:
        raise ValueError(f"at least {LEAST_OPEN_FILES} are needed to start at all")
    kind = getattr(resource, _RESOURCES[name])
    # One second lies between the signal that can be handled, and says what it is for, and SIGKILL.
    hard = value + 1 if name == "cpu_s" else value
    ceiling = resource.getrlimit(kind)[1]
    if ceiling != resource.RLIM_INFINITY:
        hard = min(hard, ceiling)
    resource.setrlimit(kind, (min(value, hard), hard))
    if name == "cpu_s":
        _to_default("SIGXCPU")


def _to_default(*names: str) -> None:
    import _signal  # type: ignore[import-not-found]  # `signal` costs more than all that is done here

    for name in names:
        if hasattr(_signal, name):
            _signal.signal(getattr(_signal, name), _signal.SIG_DFL)


def _forbid_new_privileges() -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    one, zero = ctypes.c_ulong(1), ctypes.c_ulong(0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, one, zero, zero, zero):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main(arguments: Sequence[str]) -> NoReturn:
    """Become the program that `arguments` name after their options; ends the process when it cannot."""
    number, text = 0, ""
    options: list[tuple[str, str]] = []
    try:
        options, rest = split(arguments)
        for fd in _numbers(options, "--report"):
            os.set_inheritable(fd, False)
        if rest[:1] != ["--"] or len(rest) < 2:
            raise Refused("no `--` and program after the options")
        restrain(options)
        for fd in _numbers(options, "--gate"):
            os.close(fd)
        # The interpreter ignores these for itself, and what is ignored stays so in the program.
        _to_default("SIGPIPE", "SIGXFSZ", "SIGXFZ")
        number = _execute([os.fsencode(one) for one in rest[1:]], _first_environment())
    except Refused as error:
        text = str(error)
    _tell(f"{number} {text}", _numbers(options, "--report"))
    os._exit(_NOT_STARTED)


def _numbers(options: Sequence[tuple[str, str]], wanted: str) -> list[int]:
    return [int(value) for name, value in options if name == wanted]


def _first_environment() -> Mapping[bytes, bytes]:
    """What this process was given. In the C locale the interpreter sets LC_CTYPE for itself."""
    try:
        with open("/proc/self/environ", "rb", buffering=0) as file:
            pairs = file.readall().split(b"\0")
    except OSError:
        return dict(os.environb)
    return dict(pair.split(b"=", 1) for pair in pairs if b"=" in pair)


def _execute(argv: list[bytes], environment: Mapping[bytes, bytes]) -> int:
    """Does not return when it works; otherwise why not, in the order in which PATH was searched."""
    program = argv[0]
    path = environment.get(b"PATH", os.fsencode(os.defpath))
    folders = [b""] if b"/" in program else path.split(b":")
    first = last = 0
    for folder in folders:
        try:
            os.execve(os.path.join(folder, program), argv, environment)
        except OSError as error:
            last = error.errno or 0
            if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                first = first or last
    return first or last


def _tell(text: str, fds: list[int]) -> None:
    """Where the host reads it; on stderr when nobody asked for a report."""
    for fd in fds or [2]:
        try:
            os.write(fd, f"{text}\n".encode(errors="backslashreplace"))
        except OSError:
            pass  # nobody is there to be told
