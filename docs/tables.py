"""Writes the tables of the documentation from the code they describe.

A page marks a region with `<!-- table: NAME -->` and `<!-- end -->`; what stands between them is
replaced. Owns the words beside each row, and fails when a row has none or words have no row.

    python docs/tables.py            writes the pages of this folder
    python docs/tables.py --check    writes nothing; status 1 when a page is out of date
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from plugin_host_sdk import protocol

FOLDER = Path(__file__).resolve().parent
REGION = re.compile(r"(<!-- table: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)

LIMITS = {
    "MESSAGE_BYTES": "bytes in one message. Each side may say another limit in `initialize`",
    "FRAME_BYTES": "bytes in one frame of a stream. Each side may say another limit",
    "WINDOW_BYTES": "bytes of a stream that may be on the way. Each side may say another limit",
    "MESSAGE_CONTAINERS": "lists, maps and extension values in one message; also entries in one map",
    "CONTAINER_ITEMS": "items in one list",
    "PENDING_REQUESTS": "requests that one side may have open. More are answered `rpc.busy`",
    "CONTROL_QUEUE_BYTES": "bytes of answers and notifications that wait for a plugin that does not read; "
    "then the host ends the connection",
    "STRAY_OUTPUT_BYTES": "bytes that may come before the answer to `initialize`",
    "CHAIN_DEPTH": "plugins in the chain of one call",
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
    "host.service_not_found": "the embedder offers no such service",
    "host.permission_denied": "the plugin was not granted this service",
    "host.service_failed": "the service raised",
    "command.not_found": "the plugin has no such command",
    "command.bad_request": "the command does not take these parameters; `data.path` is the place",
    "command.connection": "the plugin, or its connection, ended before the answer",
    "command.timeout": "the caller's time was over before the answer came",
    "command.handler_failed": "the handler raised; `data` has `type`, `message` and `traceback`",
    "command.not_encodable": "the handler's result cannot be written as msgpack",
}
FAMILIES = {
    "command.": "commands, see [below](#commands)",
    "exec.": "reserved",
    "metadata.": "reserved",
    "action.": "reserved",
    "host.": "services of the host, see [below](#calling-the-host)",
}
STEPS = {
    "initialize": "the host sends `initialize`",
    "accept": "the plugin answers it with a result",
    "refuse": "the plugin answers it with an error",
    "shutdown": "the host sends `shutdown`",
    "eof": "end of file arrives",
    "fail": "the other side breaks the protocol",
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


TABLES: dict[str, Callable[[], list[str]]] = {
    "limits": limits,
    "states": states,
    "legal": legal,
    "methods": methods,
    "families": families,
    "errors": errors,
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
