"""Writes the tables of the documentation from the code they describe.

A page marks a region with `<!-- table: NAME -->` and `<!-- end -->`; what stands between them is
replaced. Owns the words beside each row, and fails when a row has none or words have no row.

    python docs/tables.py            writes the pages of this folder
    python docs/tables.py --check    writes nothing; status 1 when a page is out of date
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import msgspec

from plugin_host_sdk import protocol
from plugin_host_sdk.types import session

FOLDER = Path(__file__).resolve().parent
REGION = re.compile(r"(<!-- table: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)

LIMITS = {
    "MESSAGE_BYTES": "bytes in one message. Each side may say another limit in `initialize`",
    "FRAME_BYTES": "bytes in one frame of a stream. Each side may say another limit",
    "WINDOW_BYTES": "bytes of a stream that may be on the way. Each side may say another limit",
    "MESSAGE_CONTAINERS": "lists, maps and extension values in one message; also entries in one map",
    "CONTAINER_ITEMS": "items in one list",
    "PENDING_REQUESTS": "requests that one side may have open. More are answered `rpc.busy`",
    "CONTROL_QUEUE_BYTES": "bytes of answers and notifications that wait for a plugin; "
    "then its requests are not begun, and when it takes nothing for 10 s, the host ends the connection",
    "STRAY_OUTPUT_BYTES": "bytes that may come with the first seven of the answer to `initialize`",
    "CHAIN_DEPTH": "plugins in the chain of one call",
    "REPLAY_BYTES": "bytes that a session keeps of its newest output, unless somebody says otherwise",
    "MOST_REPLAY_BYTES": "bytes that it may be told to keep",
    "VIEWERS": "viewers of one session",
}
ERRORS = {
    "rpc.method_not_found": "the method is unknown",
    "rpc.invalid_params": "the parameters are not one map, or the call's metadata has the wrong types",
    "rpc.busy": "too many requests are open",
    "rpc.cancelled": "the caller cancelled, or the answering side is stopping",
    "rpc.deadline_exceeded": "the call's time was over before it started",
    "rpc.too_large": "the answer, or the request, is over the other side's limit",
    "rpc.not_encodable": "a value cannot be written as msgpack",
    "rpc.chain_too_deep": "the call came through too many plugins",
    "rpc.internal": "a fault of the answering side itself",
    "rpc.protocol": "in `failure` only: the other side broke the protocol",
    "initialize.no_common_protocol": "no version of the protocol is known to both",
    "initialize.wrong_plugin": "the host asked for a plugin of another id",
    "reconfigure.refused": "the plugin does not take the new settings and keeps the old ones",
    "host.service_not_found": "the embedder offers no such service",
    "host.permission_denied": "the plugin was not granted this service",
    "host.service_failed": "the service raised",
    "command.not_found": "the plugin has no such command",
    "command.bad_request": "the command does not take these parameters; `data.path` is the place",
    "command.connection": "the plugin, or its connection, ended before the answer",
    "command.timeout": "the caller's time was over before the answer came",
    "command.handler_failed": "the handler raised; `data` has `type`, `message` and `traceback`",
    "command.not_encodable": "the handler's result cannot be written as msgpack",
    "exec.session_not_found": "there is no such session, or no longer",
    "exec.handler_not_found": "nothing serves what was asked for; `data.handlers` is the list of keys",
    "exec.session_closed": "the session has ended; it can only be read",
    "exec.terminal_error": "what the session runs could not be started or used; `data` says why",
    "exec.session_exists": "the id is taken",
    "metadata.method_not_allowed": "the method cannot be used this way",
    "metadata.no_such_end_point": "there is no such method",
    "metadata.internal_error": "a fault of the side that answered; `data.incident` is the id in its log",
    "metadata.resource_conflict": "a task was concluded already, and otherwise",
    "metadata.invalid_payload": "the parameters are not what the method takes; nothing was changed",
    "metadata.unknown_action_id": "there is no such task, or no longer",
    "metadata.not_found": "there is nothing at that path",
    "metadata.artifact_not_found": "there is no such file; `data.path` is what was asked for, here and on",
    "metadata.folder_not_found": "there is no such folder",
    "metadata.permission": "the worker's user may not read it",
    "metadata.is_folder": "it is a folder, and a file was asked for",
    "metadata.not_folder": "it is no folder, and one was asked for",
    "metadata.not_file": "it is a device, a socket, a pipe, or a link that is not followed",
    "metadata.outside_roots": "it lies outside the folders that the worker serves",
    "metadata.file_unreadable": "the system refuses it otherwise; `data.errno` is its number",
    "action.not_supported": "the plugin has no such kind; `data.kinds` is the list of those it has",
    "action.refused": "the operator has not allowed it; `data.option` is the setting that would",
    "action.not_privileged": "it takes rights that the plugin's process has not",
    "action.not_found": "there is no action of that id, or no longer",
    "action.invalid": "the request is not what this kind takes; nothing was done",
    "action.failed": "it was begun and could not be done; `data` may hold `errno`",
    "action.key_rejected": "a key, or its proof, is not right; what was valid before still is",
}
FAMILIES = {
    "command.": "commands, see [below](#commands)",
    "exec.": "sessions, see [below](#sessions)",
    "metadata.": "what the host tells its plugins, see [below](#metadata), and [tasks](#tasks)",
    "action.": "scripts, files and orders, see [below](#actions)",
    "host.": "services of the host, see [below](#calling-the-host); over a"
    " [control socket](control.md) a client asks the host",
}
STEPS = {
    "initialize": "the host sends `initialize`",
    "accept": "the plugin answers it with a result",
    "refuse": "the plugin answers it with an error",
    "shutdown": "the host sends `shutdown`",
    "eof": "end of file arrives",
    "fail": "the other side breaks the protocol",
}
CREATE = {
    "id": "the session's id, 1 to 128 printable ASCII characters without blanks. The host chooses it",
    "handler": "a key `plugin/resource`, a resource, or nil: the only handler there is",
    "command": "list of the program and its arguments; empty for the handler's default",
    "tty": "whether it runs on a terminal; otherwise on pipes, with stderr apart",
    "rows": "height of the terminal, 1 to 65535",
    "cols": "width of the terminal, 1 to 65535",
    "cwd": "where the program starts; nil for the handler's choice",
    "env": "map of variables that are added to its environment",
    "labels": "map of texts that come back in `exec.get` and `exec.list`",
    "params": "map of whatever the handler takes; comes back, too",
    "resource_data": "map that describes what is opened, for the handler",
    "replay_bytes": "how much of its newest output it keeps; nil for the plugin's own choice",
    "detached": "whether it runs on although nobody has attached yet",
    "handover": "a map of `socket` and `token`: where the terminal itself is sent, "
    "[see below](#handing-the-terminal-over)",
}
ATTACH = {
    "viewer": "number of the viewer, unique in the session. The host chooses it",
    "stdout": "id of the stream that brings the terminal's output, or stdout",
    "stderr": "id of the stream that brings stderr. Required when the session runs on pipes",
    "window": "first credit of each of these streams",
    "offset": "where to start: nil for the oldest byte that is kept, -1 for the next one that comes, or an "
    "offset in the session. A number counts for the terminal or stdout, and stderr starts at its oldest "
    "kept byte; a map says it for each",
    "lossless": "whether the session waits for this viewer. Otherwise the viewer may get gaps",
    "read_only": "whether the viewer only looks. Comes back in nothing; the host keeps to it",
}
ATTACHED = {
    "base": "the session's offset of the stream's offset 0",
    "start": "the session's offset of the first byte that is sent",
    "end": "the session's offset at which live output joins",
    "evicted": "how many of the bytes that were asked for are kept no longer",
}
SESSION = {
    "id": "its id",
    "handler": "the key of its handler",
    "command": "the command that was asked for, or the handler's default",
    "tty": "whether it runs on a terminal",
    "rows": "the terminal's height now; nil on pipes",
    "cols": "the terminal's width now; nil on pipes",
    "labels": "as in `exec.create`",
    "params": "as in `exec.create`",
    "created_at": "seconds since the epoch",
    "state": "`starting`, `running`, `ending` (the process is gone, its last output is read) or `ended`",
    "pid": "its process; nil when it runs none",
    "viewers": "how many are attached",
    "output": "map of `stdout` and, on pipes, `stderr` to maps of `start` and `end`: what is kept",
    "exit": "nil, or the map below",
}
EXIT = {
    "code": "the exit code, nil when there is none",
    "signal": "name of the signal that ended it, such as `SIGKILL`, or nil",
    "reason": "the same in words",
    "duration": "seconds from `exec.create` to the end",
    "error": "nil, or a map of `title`, `message`, `suggestion`, `retryable` and `retry_commands`: what "
    "the handler has to say to the person in front of it",
}
HANDLER = {
    "key": "`plugin/resource`",
    "plugin": "the first part of the key; the plugin's own id unless it serves for another",
    "resource": "the rest of the key",
    "default_command": "what runs when no command is named; empty when the handler decides",
    "target_builder": "nil, or a map of `label`, `label_selector`, `paths`, `selectors`: how a caller "
    "finds what to open",
    "tty": "whether it serves terminals; who asks for one all the same gets `exec.handler_not_found`",
    "pipes": "whether it serves pipes; likewise",
    "handles_resize": "whether sizes go to the handler instead of the terminal",
}
KINDS = {protocol.REQUEST: "request", protocol.NOTIFICATION: "notification"}


def limits() -> list[str]:
    """The limits, in the order in which their words are written here."""
    rows = [(f"{getattr(protocol, name):,}", words) for name, words in LIMITS.items()]
    return table(("limit", "of what"), rows)


def states() -> list[str]:
    """Where a connection goes from each state, on what."""
    moves = protocol.TRANSITIONS
    expect_words(STEPS, {step for steps in moves.values() for step in steps})
    rows = [
        (f"`{state}`", STEPS[step], f"`{new}`")
        for state, steps in moves.items()
        for step, new in steps.items()
    ]
    rows += [(f"`{state}`", "the connection is over", "") for state, steps in moves.items() if not steps]
    return table(("state", "what happens", "next state"), rows)


def legal() -> list[str]:
    """The methods that may be sent in each state."""
    rows = []
    for state, methods in protocol.LEGAL.items():
        names = code(sorted(methods or ()))
        every = f"all but {code(protocol.INITIAL)}"
        rows.append((f"`{state}`", every if methods is None else names or "none"))
    return table(("state", "methods"), rows)


def methods() -> list[str]:
    """Every method with who may send it and as what."""
    rows = [(f"`{name}`", side(roles), KINDS[kind]) for name, (roles, kind) in protocol.METHODS.items()]
    return table(("method", "sent by", "kind"), rows)


def families() -> list[str]:
    """The prefixes of all further methods."""
    expect_words(FAMILIES, protocol.FAMILIES)
    rows = [(f"`{name}`", side(roles), FAMILIES[name]) for name, roles in protocol.FAMILIES.items()]
    return table(("prefix", "sent by", "what"), rows)


def errors() -> list[str]:
    """Every error name with its number and when it is sent."""
    expect_words(ERRORS, protocol.ERRORS)
    rows = [
        (f"`{name}`", str(number), "yes" if retryable else "no", ERRORS[name])
        for name, (number, retryable) in protocol.ERRORS.items()
    ]
    return table(("name", "code", "retryable", "when"), rows)


def fields(
    kind: type[msgspec.Struct], words: dict[str, str], head: str = "argument"
) -> Callable[[], list[str]]:
    """The fields of a map that travels, each with what it is when absent."""

    def rows() -> list[str]:
        known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
        expect_words(words, known)
        told = [(f"`{name}`", absent(field), words[name]) for name, field in known.items()]
        return table((head, "when absent", "what"), told)

    return rows


def keys(kind: type[msgspec.Struct], words: dict[str, str]) -> Callable[[], list[str]]:
    """The keys of a map that is answered."""

    def rows() -> list[str]:
        names = [field.encode_name for field in msgspec.structs.fields(kind)]
        expect_words(words, names)
        return table(("key", "what"), [(f"`{name}`", words[name]) for name in names])

    return rows


def absent(field: msgspec.structs.FieldInfo) -> str:
    """What a field is when the map does not have it."""
    if field.required:
        return "required"
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return f"`{json.dumps(value)}`".replace("`null`", "nil")


TABLES: dict[str, Callable[[], list[str]]] = {
    "limits": limits,
    "states": states,
    "legal": legal,
    "methods": methods,
    "families": families,
    "errors": errors,
    "create": fields(session.SessionOptions, CREATE),
    "attach": fields(session.AttachOptions, ATTACH),
    "attached": keys(session.AttachedStream, ATTACHED),
    "session": keys(session.SessionInfo, SESSION),
    "exit": keys(session.Exit, EXIT),
    "handler": keys(session.HandlerInfo, HANDLER),
}


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """The lines of a Markdown table."""
    return ["| " + " | ".join(row) + " |" for row in [head, ("---",) * len(head), *rows]]


def code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def side(roles: Collection[str]) -> str:
    return "both" if len(roles) > 1 else next(iter(roles))


def expect_words(words: Collection[str], rows: Collection[str]) -> None:
    """Exit unless every row has its words and the other way round."""
    if wrong := set(words) ^ set(rows):
        sys.exit(f"docs/tables.py: words without a row, or a row without words: {', '.join(sorted(wrong))}")


def filled(page: str) -> str:
    """The text of a page with its regions written anew. Raises KeyError for a name that is no table."""
    return REGION.sub(lambda found: found[1] + "\n".join(TABLES[found[2]]()) + "\n" + found[3], page)


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    stale = []
    for path in [Path(name) for name in arguments if name != "--check"] or sorted(FOLDER.glob("*.md")):
        before = path.read_text()
        after = filled(before)
        if before != after:
            stale.append(path.name)
            if not check:
                path.write_text(after)
    if check and stale:
        print(f"out of date: {', '.join(stale)}; run: python docs/tables.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
