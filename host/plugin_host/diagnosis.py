"""Why a program could not be started, in words that name the file at fault and what to do about it.

Looks at the file system and changes nothing. The error the kernel gave decides where to look; what is
found there decides the words. Invariant: every OSError and ValueError of a spawn becomes a SpawnError.
"""

from __future__ import annotations

import errno
import os
import resource
from typing import TYPE_CHECKING, NamedTuple

from .access import may, mode_and_owner, name_of, obstacle
from .errors import SpawnError
from .executable import ElfProgram, Script, first_bytes, identify, our_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .account import Account

__all__ = ["diagnose", "foresee", "is_scarcity"]

_SCARCE = (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_STRING_BYTES = 128 * 1024  # the longest single argument or variable on Linux (MAX_ARG_STRLEN)


def is_scarcity(error: Exception) -> bool:
    """Whether processes, threads, descriptors or memory were lacking, which passes."""
    if isinstance(error, OSError):
        return error.errno in _SCARCE
    return str(error) == "can't start new thread"  # the interpreter's words


class _Finding(NamedTuple):
    """`file` is at fault (None: no file is), `why` completes "cannot start X: "."""

    file: str | None
    why: str
    hint: str


class _Attempt(NamedTuple):
    argv: Sequence[str]
    cwd: str | None
    env: Mapping[str, str]
    account: Account | None = None

    @property
    def program(self) -> str:
        return self.argv[0] if self.argv else ""

    @property
    def user(self) -> str:
        """Whom the program was to run as."""
        return self.account.name if self.account else name_of(os.geteuid())

    def may_run(self, path: str) -> bool:
        """Run a file, or search a folder."""
        return may(path, os.X_OK, self.account)

    def located(self) -> str | None:
        """The file that argv[0] means, from the folder and with the PATH the child would have had."""
        folder = self.cwd or ""
        if "/" in self.program:
            return os.path.join(folder, self.program)
        places = [os.path.join(folder, place, self.program) for place in os.get_exec_path(self.env)]
        found = [place for place in places if os.path.lexists(place)]
        runnable = [place for place in found if os.path.isfile(place) and self.may_run(place)]
        return next(iter(runnable or found), None)


def diagnose(
    error: OSError | ValueError,
    argv: Sequence[str],
    cwd: str | None,
    env: Mapping[str, str],
    account: Account | None = None,
) -> SpawnError:
    """What `error`, raised by spawning `argv` in `cwd` with `env`, means here. Never raises.

    `account` is whom it was to run as, None this process's own user.
    """
    attempt = _Attempt(argv, cwd, env, account)
    try:
        finding = _bad_arguments(attempt) or _by_number(error, attempt)
    except (OSError, ValueError):  # the place changed while we looked: the kernel's words will do
        finding = _unknown(attempt)
    detail = (error.strerror if isinstance(error, OSError) else None) or str(error)
    message = f"cannot start {attempt.program!r}: {finding.why or detail}"
    problem = SpawnError(message, file=finding.file, hint=finding.hint or None)
    problem.is_scarce = is_scarcity(error)
    return problem


def foresee(
    argv: Sequence[str], cwd: str | None, env: Mapping[str, str], account: Account | None = None
) -> SpawnError | None:
    """What `diagnose` would say if `argv` were spawned, as far as that can be seen without trying.

    None when nothing speaks against it. Blocks for a look at a few files.
    """
    attempt = _Attempt(argv, cwd, env, account)
    try:
        number = _expected(attempt)
    except (OSError, ValueError):  # NUL bytes, or a place that changed while we looked
        number = errno.ENOENT
    return diagnose(OSError(number, os.strerror(number)), argv, cwd, env, account) if number else None


def _expected(attempt: _Attempt) -> int:
    """The number of the error that a spawn would end with; 0 for none."""
    if _bad_arguments(attempt) or _bad_folder(attempt):
        return errno.ENOENT
    path = attempt.located()
    if path is None or not os.path.exists(path):
        return errno.ENOENT
    if os.path.isdir(path) or obstacle(path, os.X_OK, attempt.account):
        return errno.EACCES
    head = first_bytes(path)
    program = identify(head) if head is not None else None
    if isinstance(program, str):
        return errno.ENOEXEC
    needed = program.interpreter if isinstance(program, Script) else program.loader if program else None
    if needed is None:
        return 0
    if not os.path.exists(needed):
        return errno.ENOENT
    return 0 if attempt.may_run(needed) else errno.EACCES


def _by_number(error: OSError | ValueError, attempt: _Attempt) -> _Finding:
    number = error.errno if isinstance(error, OSError) else None
    return _bad_folder(attempt) or _EXPLANATIONS.get(number or 0, _unknown)(attempt)


def _unknown(attempt: _Attempt) -> _Finding:
    return _Finding(attempt.program, "", "")


def _bad_arguments(attempt: _Attempt) -> _Finding | None:
    """What can be seen without the file system: nothing to run, NUL bytes, impossible names."""
    if not attempt.program:
        return _Finding(None, "the command is empty", "name a program in `launch`")
    for place, text in enumerate(attempt.argv):
        if "\0" in text:
            return _Finding(None, f"argument {place} holds a NUL byte: {text!r}", "remove it")
    if attempt.cwd is not None and "\0" in attempt.cwd:
        return _Finding(None, f"the working folder holds a NUL byte: {attempt.cwd!r}", "remove it")
    for name, value in attempt.env.items():
        if "\0" in name or "\0" in value:
            return _Finding(None, f"environment variable {name!r} holds a NUL byte", "remove it")
        if not name or "=" in name:
            why = f"{name!r} cannot be the name of an environment variable"
            return _Finding(None, why, "a name is not empty and has no '=' in it")
    return None


def _bad_folder(attempt: _Attempt) -> _Finding | None:
    folder = attempt.cwd
    if folder is None:
        return None
    if not os.path.lexists(folder):
        return _Finding(folder, f"its working folder {folder!r} does not exist", "correct `cwd`")
    if not os.path.isdir(folder):
        return _Finding(folder, f"its working folder {folder!r} is not a folder", "correct `cwd`")
    closed = obstacle(folder, os.X_OK, attempt.account)
    if closed is None:
        return None
    if closed.is_folder_on_the_way:
        return _closed(closed.path, attempt)
    why = f"its working folder {folder!r} may not be entered ({mode_and_owner(folder)})"
    return _Finding(folder, why, f"allow {attempt.user} to enter it")


def _closed(folder: str, attempt: _Attempt) -> _Finding:
    why = f"the folder {folder!r} may not be searched by {attempt.user} ({mode_and_owner(folder)})"
    return _Finding(folder, why, f"allow {attempt.user} to search it")


def _missing(attempt: _Attempt) -> _Finding:
    """ENOENT, ENOTDIR: the file, or what is needed to run it."""
    path = attempt.located()
    if path is None:
        search = os.pathsep.join(os.get_exec_path(attempt.env))
        hint = "install it, or name it with its whole path"
        return _Finding(attempt.program, f"it is in no folder of PATH ({search})", hint)
    if os.path.islink(path) and not os.path.exists(path):
        why = f"{path!r} is a symbolic link to {os.path.realpath(path)!r}, which does not exist"
        return _Finding(path, why, "if this is a virtual environment, make it anew: its Python is gone")
    if not os.path.exists(path):
        return _nothing_there(path)
    program = identify(first_bytes(path) or b"")
    if isinstance(program, Script):
        return _bad_interpreter(path, program, attempt)
    if isinstance(program, ElfProgram) and program.loader and not os.path.exists(program.loader):
        why = f"{path!r} needs the loader {program.loader!r}, which does not exist"
        return _Finding(path, why, "it was built for another C library: use a build for this system")
    return _Finding(path, "", "")


def _nothing_there(path: str) -> _Finding:
    folder = os.path.dirname(path)
    while folder != os.path.dirname(folder) and not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    hint = "correct the path, or install what should be there"
    if not os.path.isdir(folder):
        return _Finding(path, f"{path!r} cannot exist: {folder!r} is not a folder", hint)
    if folder != os.path.dirname(path):
        return _Finding(path, f"{path!r} does not exist; the path ends at {folder!r}", hint)
    return _Finding(path, f"{path!r} does not exist", hint)


def _bad_interpreter(path: str, script: Script, attempt: _Attempt) -> _Finding:
    name = script.interpreter
    first_line = f"the first line of {path!r} is {script.line!r}"
    if name.endswith("\r"):
        hint = "it has Windows line endings: save it with Unix ones (dos2unix)"
        return _Finding(path, f"{first_line}, and no interpreter has that name", hint)
    if not os.path.exists(name):
        why = f"{first_line}, and {name!r} does not exist"
        return _Finding(path, why, "install that interpreter or correct the line")
    if not attempt.may_run(name):
        why = f"{first_line}, and {name!r} is not executable ({mode_and_owner(name)})"
        return _Finding(name, why, f"chmod +x {name}")
    return _Finding(path, first_line, "start it by its interpreter, not by that line")


def _forbidden(attempt: _Attempt) -> _Finding:
    """EACCES, EPERM: mode, owner, the folders above, the mount, or the interpreter."""
    path = attempt.located()
    if path is None:
        return _Finding(attempt.program, "a folder of PATH may not be searched", "correct PATH")
    if os.path.isdir(path):
        return _Finding(path, f"{path!r} is a folder", "name the program inside it")
    closed = obstacle(path, os.X_OK, attempt.account)
    if closed is not None and closed.is_folder_on_the_way:
        return _closed(closed.path, attempt)
    if closed is not None:
        why = f"{path!r} is not executable ({mode_and_owner(path)})"
        return _Finding(path, why, f"chmod +x {path}")
    program = identify(first_bytes(path) or b"")
    if isinstance(program, Script) and not attempt.may_run(program.interpreter):
        return _bad_interpreter(path, program, attempt)
    if os.statvfs(path).f_flag & getattr(os, "ST_NOEXEC", 0):
        why = f"{path!r} lies on a file system mounted noexec"
        return _Finding(path, why, "move it elsewhere or mount that file system with exec")
    why = f"the system refuses to execute {path!r} ({mode_and_owner(path)})"
    return _Finding(path, why, f"see which security policy forbids it to {attempt.user}")


def _wrong_format(attempt: _Attempt) -> _Finding:
    """ENOEXEC: not a program of this machine."""
    path = attempt.located() or attempt.program
    head = first_bytes(path)
    if head is None:
        hint = "make sure it is a program that may be read"
        return _Finding(path, f"{path!r} is not a program this system can execute", hint)
    program = identify(head)
    if isinstance(program, ElfProgram):
        return _wrong_machine(path, program)
    if isinstance(program, Script):
        return _bad_interpreter(path, program, attempt)
    hint = "a script needs a first line such as #!/usr/bin/env python3, a program a build for this system"
    return _Finding(path, f"{path!r} is {program}", hint)


def _wrong_machine(path: str, program: ElfProgram) -> _Finding:
    ours = our_machine()
    if program.machine == ours:
        why = f"{path!r} is damaged, or a {program.bits}-bit program this kernel does not run"
        return _Finding(path, why, "install it again")
    why = f"{path!r} was built for {program.machine}, and this machine is {ours}"
    return _Finding(path, why, f"install the build for {ours}")


def _too_long(attempt: _Attempt) -> _Finding:
    """E2BIG: the total, or one string."""
    sizes = {f"argument {n}": len(os.fsencode(text)) + 1 for n, text in enumerate(attempt.argv)}
    for name, value in attempt.env.items():
        sizes[f"variable {name}"] = len(os.fsencode(f"{name}={value}")) + 1
    largest = max(sizes, key=lambda name: sizes[name])
    why = (
        f"its arguments and environment are too long: {sum(sizes.values())} bytes, of which {largest} has"
        f" {sizes[largest]} (allowed: about {os.sysconf('SC_ARG_MAX')} in all, {_STRING_BYTES} for one)"
    )
    return _Finding(None, why, "pass large values in a file, in settings, or by a call")


def _no_descriptor(_: _Attempt) -> _Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    why = f"this process may open no more files (its limit is {soft}, it may be raised to {hard})"
    return _Finding(None, why, "raise `ulimit -n` for the host, or run fewer plugins")


def _no_descriptor_anywhere(_: _Attempt) -> _Finding:
    return _Finding(None, "the whole system may open no more files", "raise fs.file-max")


def _no_process(attempt: _Attempt) -> _Finding:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NPROC)
    limit = "unlimited" if soft == resource.RLIM_INFINITY else str(soft)
    why = f"no more processes may be made (limit for {attempt.user}: {limit}, or that of its cgroup)"
    return _Finding(None, why, "raise `ulimit -u` or pids.max, or run fewer plugins")


def _no_memory(_: _Attempt) -> _Finding:
    return _Finding(None, "there is not enough memory for another process", "free some memory")


def _busy(attempt: _Attempt) -> _Finding:
    path = attempt.located() or attempt.program
    return _Finding(path, f"{path!r} is open for writing", "wait until it is fully written")


def _loop(attempt: _Attempt) -> _Finding:
    path = attempt.located() or attempt.program
    why = f"the way to {path!r} is a circle of symbolic links or #! lines"
    return _Finding(path, why, "correct the link or the line")


_EXPLANATIONS: dict[int, Callable[[_Attempt], _Finding]] = {
    errno.ENOENT: _missing,
    errno.ENOTDIR: _missing,
    errno.EACCES: _forbidden,
    errno.EPERM: _forbidden,
    errno.ENOEXEC: _wrong_format,
    errno.E2BIG: _too_long,
    errno.EMFILE: _no_descriptor,
    errno.ENFILE: _no_descriptor_anywhere,
    errno.EAGAIN: _no_process,
    errno.ENOMEM: _no_memory,
    errno.ETXTBSY: _busy,
    errno.ELOOP: _loop,
}
