"""Why a plugin did not become ready, in words: one place that turns what is known into a LaunchError.

Pure: it is given the facts (exit status, last lines, first bytes, what was waited for) and knows what
they usually mean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plugin_host_sdk.errors import excerpt
from plugin_host_sdk.protocol import PROTOCOL_VERSIONS

from .echo import NOTICE, without_echo
from .errors import (
    BadAnswer,
    IncompatibleProtocol,
    InitializeFailed,
    InitializeTimeout,
    LaunchError,
    PluginExited,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .errors import CallError
    from .exitstatus import ExitStatus

__all__ = ["LaunchFacts", "exited", "refused", "timed_out", "unsendable", "wrong_answer", "wrong_plugin"]

_SHOWN_LINES = 5
_SHOWN_BYTES = 80


@dataclass(slots=True)
class LaunchFacts:
    """What the host saw of one launch."""

    plugin: str
    argv: Sequence[str]
    stray: bytes = b""  # first bytes on the wire that are not of the protocol
    stderr: Sequence[str] = ()
    doing: str | None = None  # what it was found doing when its time was over
    gone: str | None = None  # the folder of its code, if that is not there

    def __post_init__(self) -> None:
        self.stray = without_echo(self.stray)


def exited(facts: LaunchFacts, status: ExitStatus, how: str | None = None) -> LaunchError:
    """The process ended before it was ready; `how` says it better than its status, if given."""
    text = f"{status.describe()} before it was ready" if how is None else f"did not get ready: {how}"
    error = _build(PluginExited, facts, text, _exit_hint(facts, status))
    error.status, error.limit = status, how
    return error


def timed_out(facts: LaunchFacts, timeout_s: float) -> LaunchError:
    """The process lives and said nothing in time."""
    text = f"did not answer initialize within {timeout_s:g} s and was killed"
    if facts.doing:
        text += f"; {facts.doing}"
    return _build(InitializeTimeout, facts, text, _timeout_hint(facts))


def refused(facts: LaunchFacts, error: CallError) -> LaunchError:
    """The plugin answered with an error."""
    if error.name == "initialize.no_common_protocol":
        theirs = error.data.get("plugin") if isinstance(error.data, dict) else None
        text = f"speaks protocol {_versions(theirs)}; this host speaks {_versions(PROTOCOL_VERSIONS)}"
        return _build(IncompatibleProtocol, facts, text, "install matching versions of host and SDK")
    return _build(InitializeFailed, facts, f"refused to start: {error.message}", None)


def unsendable(plugin: str, error: Exception) -> LaunchError:
    """The settings an embedder made for it cannot be told to it; those of a file were checked."""
    text = f"plugin `{plugin}` was not started: {error}; its settings must be plain values"
    return InitializeFailed(text, plugin=plugin)


def wrong_plugin(facts: LaunchFacts, found: str) -> LaunchError:
    """It is ready, and another one than was asked for."""
    text = f"answered as plugin {excerpt(found)}: its manifest and its code must have the same id"
    return _build(InitializeFailed, facts, text, None)


def wrong_answer(facts: LaunchFacts, error: Exception) -> LaunchError:
    """What came is not an answer."""
    kind = IncompatibleProtocol if "protocol version" in str(error) else BadAnswer
    return _build(kind, facts, f"gave no usable answer to initialize: {error}", _stray_hint(facts))


def _build(kind: type[LaunchError], facts: LaunchFacts, text: str, hint: str | None) -> LaunchError:
    parts = [f"plugin `{facts.plugin}` {text}"]
    if facts.stray:
        parts.append(f"first bytes that are not of the protocol: {_excerpt(facts.stray)}")
    if hint:
        parts.append(f"hint: {hint}")
    lines = [line for line in facts.stderr if line.strip()][-_SHOWN_LINES:]
    if lines:
        parts.append("last lines of its stderr:" + "".join(f"\n    {line}" for line in lines))
    separator = "; " if len(parts) < 3 and not lines else "\n  "
    return kind(separator.join(parts), plugin=facts.plugin, stderr=facts.stderr, hint=hint)


def _exit_hint(facts: LaunchFacts, status: ExitStatus) -> str | None:
    text = "\n".join(facts.stderr)
    if facts.gone is not None:
        return f"its folder {facts.gone} is gone"
    if refused := re.search(r"^bwrap: (.+)$", text, re.MULTILINE):
        return (
            f"its sandbox says: {refused[1]}; what the plugin needs must be there, and must be listed in "
            "`readable` or `writable` of its sandbox where it is not shown anyway"
        )
    if re.search(r"No module named '?plugin_host_sdk\b", text):
        return f"{facts.argv[0]} has no plugin-host-sdk: install it there, or name another interpreter"
    if missing := re.search(r"No module named '([^']+)'", text):
        return f"{facts.argv[0]} cannot import {missing[1]}: install it there, or name another interpreter"
    if re.search(r"^unknown option:? -P", text, re.IGNORECASE | re.MULTILINE):
        return f"{facts.argv[0]} is older than Python 3.11"
    if last := _exception_line(facts.stderr):
        return f"its code raised {last}"
    if status.code == 0:
        return "it ended by itself without reading from its stdin: is this program a plugin?"
    return None


def _timeout_hint(facts: LaunchFacts) -> str | None:
    if facts.stray:
        return _stray_hint(facts)
    return "its import takes longer than launch.start_timeout_s, or it does not read its stdin"


def _stray_hint(facts: LaunchFacts) -> str | None:
    if not facts.stray:
        return None
    if facts.stray.endswith(NOTICE):
        return "it sends back what it is sent: is this program a plugin?"
    return "it writes text to stdout: is this program a plugin?"


def _exception_line(stderr: Sequence[str]) -> str | None:
    """The last line of the last traceback."""
    lines = list(stderr)
    starts = [i for i, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if not starts:
        return None
    for line in lines[starts[-1] + 1 :]:
        if line and not line[0].isspace():
            return line[:500]
    return None


def _versions(versions: Any) -> str:
    if isinstance(versions, (list, tuple)):
        return ", ".join(map(str, versions)) or "none"
    return repr(versions)


def _excerpt(data: bytes) -> str:
    shown = repr(data[:_SHOWN_BYTES])[1:]
    return shown + ("…" if len(data) > _SHOWN_BYTES else "")
