"""How a command ends when something failed: its words on stderr, and its exit code.

Invariant: every exception of the project has exactly one exit code, decided here and nowhere else.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import click

from plugin_host.errors import (
    ActionNotFound,
    ActionNotPrivileged,
    ActionRefused,
    CallError,
    CallTimeout,
    ConfigurationError,
    CrashLoop,
    HostLost,
    HostUnreachable,
    LaunchError,
    ListenerUnreachable,
    ManifestError,
    PluginDied,
    PluginHostError,
    PluginNotFound,
    PluginNotReady,
    SessionNotFound,
    SocketError,
    SpawnError,
    TaskLost,
    TaskNotFound,
)
from plugin_host.failuremap import as_map
from plugin_host.notation import plain, to_json
from plugin_host_sdk.errors import TerminalError

from . import output
from .execfailure import in_words

__all__ = [
    "Interrupted",
    "ProgramUsageError",
    "ReadFailed",
    "as_map",
    "exit_code",
    "report_usage",
    "reported",
    "sentence",
    "standard_input",
    "tell",
]

OK = 0
REFUSED = 1
USAGE = 2
UNAVAILABLE = 3
DIED = 4
TIMED_OUT = 124

# Of commands that end with the status of a program that they ran.
OWN_FAILURE = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127

# The first that fits counts.
_CODES: tuple[tuple[type[PluginHostError], int], ...] = (
    (PluginDied, DIED),
    (HostLost, DIED),
    (HostUnreachable, UNAVAILABLE),
    (CallTimeout, TIMED_OUT),
    (SessionNotFound, UNAVAILABLE),
    (ActionNotFound, UNAVAILABLE),
    (TaskNotFound, UNAVAILABLE),
    (TaskLost, DIED),
    (ListenerUnreachable, UNAVAILABLE),
    (CallError, REFUSED),
    (ConfigurationError, USAGE),
    (ManifestError, UNAVAILABLE),
    (PluginNotFound, UNAVAILABLE),
    (PluginNotReady, UNAVAILABLE),
    (LaunchError, UNAVAILABLE),
    (CrashLoop, UNAVAILABLE),
    (SocketError, UNAVAILABLE),
)


class ProgramUsageError(click.UsageError):
    """Wrong usage of a command that ends with the status of a program."""

    exit_code = OWN_FAILURE


class ReadFailed(Exception):
    """Stdin cannot be read."""


def standard_input() -> BinaryIO:
    """Raises ReadFailed where it is closed, which is not the same as an end."""
    if sys.stdin is None:
        raise ReadFailed("cannot read stdin: it is closed")
    return sys.stdin.buffer


class Interrupted(Exception):
    """The command ended because of this signal."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def exit_code(error: Exception, *, runs_program: bool = False) -> int:
    """The status a command ends with because of `error`; of one that runs a program, see `OWN_FAILURE`."""
    if runs_program and not isinstance(error, (ActionRefused, ActionNotPrivileged)):
        data = error.data if isinstance(error, TerminalError) else None
        reason = data.get("reason") if isinstance(data, dict) else None
        return {"not_found": NOT_FOUND, "not_executable": NOT_EXECUTABLE}.get(str(reason), OWN_FAILURE)
    return next((code for kind, code in _CODES if isinstance(error, kind)), REFUSED)


def sentence(error: Exception, *, verbose: bool = False) -> str:
    """What went wrong, for a person; with `verbose` also the data and traceback the plugin sent."""
    text = in_words(error)
    if isinstance(error, CallError) and error.name == "command.failed":
        text += f" (status {error.code})"
    if isinstance(error, ActionRefused) and error.option not in text:
        text += f"\n  hint: the plugin's setting {error.option} would allow it"
    if verbose and isinstance(error, CallError) and error.data is not None:
        text += _details(error.data)
    return output.printable(text, lines=True)


@contextmanager
def reported(*, as_json: bool, verbose: bool, runs_program: bool = False) -> Iterator[None]:
    """Turn what the body raises into words on stderr and an exit code.

    With `as_json` the words are one JSON object on one line. Ctrl-C and a reader that went away are no
    news to whoever caused them, so nothing is said.
    """
    try:
        yield
    except RuntimeError as error:
        from plugin_host.diagnosis import is_scarcity

        if not is_scarcity(error):
            raise
        lack = SpawnError(
            f"{error}: this user may have no more processes (ulimit -u), or there is no memory"
        )
        code = tell(lack, as_json=as_json, verbose=verbose, runs_program=runs_program)
        raise click.exceptions.Exit(code) from None
    except (PluginHostError, output.WriteFailed, ReadFailed) as error:
        code = tell(error, as_json=as_json, verbose=verbose, runs_program=runs_program)
        raise click.exceptions.Exit(code) from None
    except click.UsageError as error:
        message = error.format_message()
        if not as_json:
            raise ProgramUsageError(message) if runs_program else error from None
        code = OWN_FAILURE if runs_program else USAGE
        _report_json({"type": "UsageError", "message": message}, code)
        raise click.exceptions.Exit(code) from None
    except Interrupted as interrupted:
        raise click.exceptions.Exit(128 + interrupted.signum) from None
    except KeyboardInterrupt:  # before or after the loop that listens for it
        raise click.exceptions.Exit(128 + signal.SIGINT) from None
    except BrokenPipeError:
        output.silence()
        raise click.exceptions.Exit(128 + signal.SIGPIPE) from None


def tell(
    error: Exception, *, as_json: bool, verbose: bool, runs_program: bool = False, about: str = ""
) -> int:
    """Say on stderr what went wrong, for people with `about` in front; the exit code for it."""
    code = exit_code(error, runs_program=runs_program)
    if as_json:
        _report_json(as_map(error), code)
    else:
        subject = f"{output.printable(about)}: " if about else ""
        output.complain(f"plugin-host: {subject}{sentence(error, verbose=verbose)}\n")
    return code


def report_usage(error: click.ClickException) -> None:
    """Say what is wrong with a command line, and where its help is, or all as JSON after --json."""
    context: click.Context | None = getattr(error, "ctx", None)
    if context is not None and _wants_json(context):
        _report_json({"type": "UsageError", "message": error.format_message()}, error.exit_code)
        return
    text = f"plugin-host: {error.format_message()}\n"
    if context is not None:
        text += f"Try '{context.command_path} --help' for help.\n"
    output.complain(output.printable(text, lines=True))


def _wants_json(context: click.Context) -> bool:
    """Also when the command line was found wrong before all of it had been read."""
    has_option = any(param.name == "as_json" for param in context.command.params)
    return has_option and (bool(context.params.get("as_json")) or "--json" in sys.argv[1:])


def _report_json(error: dict[str, Any], code: int) -> None:
    output.complain(to_json({"error": {**error, "exit_code": code}}, ascii_only=True) + "\n")


def _details(data: Any) -> str:
    traceback = data.get("traceback") if isinstance(data, dict) else None
    if isinstance(traceback, str):
        return f"\n{traceback.rstrip()}"
    return f"\n{plain(data)}" if data else ""
