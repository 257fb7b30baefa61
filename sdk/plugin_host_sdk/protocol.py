"""Protocol 1 on one page: its numbers, names and limits, and who may say what.

This module is data. It sends nothing, checks nothing and imports nothing of the package; `connection`
obeys these tables and `docs/protocol.md` prints them.
"""

from __future__ import annotations

PROTOCOL_VERSIONS = (1,)

# Message kinds of msgpack-RPC.
REQUEST, RESPONSE, NOTIFICATION = 0, 1, 2

# The two ends of a connection.
HOST, PLUGIN = "host", "plugin"
PEER_OF = {HOST: PLUGIN, PLUGIN: HOST}

MAX_MSGID = 2**32 - 1
# The id of `initialize`. Its five-byte encoding is what the host looks for between stray output, so it
# is large enough that every encoder writes it the same way and no text contains it by accident.
INITIALIZE_ID = 0x706C7567

# What one side refuses to receive. Others: LSP servers have no limit, ttrpc 4 MiB, Grafana 16 MiB.
MESSAGE_BYTES = 16 * 1024 * 1024
FRAME_BYTES = 64 * 1024
# With the header that this package writes before it, such a payload has the size of what either side reads
# at once, and arrives in one piece.
FULL_PAYLOAD_BYTES = FRAME_BYTES - 34
WINDOW_BYTES = 1024 * 1024
# Full frames alone: none is cut for the last of the credit, and after it every other one in halves.
OUTPUT_WINDOW_BYTES = WINDOW_BYTES // FULL_PAYLOAD_BYTES * FULL_PAYLOAD_BYTES
TERMINAL_WINDOW_BYTES = 256 * 1024
# A small message can hold a huge tree, so lists, maps and extension values are counted too.
MESSAGE_CONTAINERS = 100_000
# The longest single list or map: its header alone makes the decoder allocate eight bytes an item.
CONTAINER_ITEMS = 1024 * 1024
PENDING_REQUESTS = 16_384
CONTROL_QUEUE_BYTES = 4 * 1024 * 1024
STRAY_OUTPUT_BYTES = 64 * 1024
CHAIN_DEPTH = 16
WORKERS = 32

# Exec sessions.
REPLAY_BYTES = 1_000_000  # what a session keeps of its newest output
MOST_REPLAY_BYTES = 1024 * 1024 * 1024
DEFAULT_ROWS, DEFAULT_COLS = 27, 72
LARGEST_SIZE = 65_535  # of rows and of columns: the kernel keeps them in 16 bits
SESSION_ID_CHARACTERS = 128
VIEWERS = 1024  # of one session

# Connection states, and the one table that moves between them.
OPENING = "opening"
INITIALIZING = "initializing"
READY = "ready"
STOPPING = "stopping"
CLOSED = "closed"
FAILED = "failed"

TRANSITIONS: dict[str, dict[str, str]] = {
    OPENING: {"initialize": INITIALIZING, "eof": CLOSED, "fail": FAILED},
    INITIALIZING: {"accept": READY, "refuse": FAILED, "eof": CLOSED, "fail": FAILED},
    READY: {"shutdown": STOPPING, "eof": CLOSED, "fail": FAILED},
    STOPPING: {"shutdown": STOPPING, "eof": CLOSED, "fail": FAILED},
    CLOSED: {},
    FAILED: {},
}
ENDED = frozenset({CLOSED, FAILED})

BOTH = frozenset({HOST, PLUGIN})
# method -> (roles that may send it, kind). Families of the capabilities are in FAMILIES.
METHODS: dict[str, tuple[frozenset[str], int]] = {
    "initialize": (frozenset({HOST}), REQUEST),
    "ping": (BOTH, REQUEST),
    "vitals": (frozenset({HOST}), REQUEST),
    "stacks": (frozenset({HOST}), REQUEST),
    "cancel": (BOTH, NOTIFICATION),
    "progress": (BOTH, NOTIFICATION),
    "log": (frozenset({PLUGIN}), NOTIFICATION),
    "reconfigure": (frozenset({HOST}), REQUEST),
    "shutdown": (frozenset({HOST}), REQUEST),
    "failure": (BOTH, NOTIFICATION),
    "stream.data": (BOTH, NOTIFICATION),
    "stream.credit": (BOTH, NOTIFICATION),
    "stream.end": (BOTH, NOTIFICATION),
    "stream.stop": (BOTH, NOTIFICATION),
    "stream.gap": (BOTH, NOTIFICATION),
    "command.changed": (frozenset({PLUGIN}), NOTIFICATION),
    "command.split": (frozenset({PLUGIN}), NOTIFICATION),
}
FAMILIES: dict[str, frozenset[str]] = {
    "command.": frozenset({HOST}),
    "exec.": BOTH,
    "metadata.": BOTH,
    "action.": BOTH,
    # Of whoever is the host: a plugin asks for services, a client of the control socket for the rest.
    "host.": BOTH,
}
# The methods that may be sent and received in each state; None is "every method but INITIAL".
INITIAL = frozenset({"initialize"})
LEGAL: dict[str, frozenset[str] | None] = {
    OPENING: frozenset({"initialize", "failure"}),
    INITIALIZING: frozenset({"failure"}),
    READY: None,
    STOPPING: None,
    CLOSED: frozenset(),
    FAILED: frozenset({"failure"}),
}

# Error names, their number inside the family, and whether the same call may succeed later.
ERRORS: dict[str, tuple[int, bool]] = {
    "rpc.method_not_found": (1, False),
    "rpc.invalid_params": (2, False),
    "rpc.busy": (3, True),
    "rpc.cancelled": (4, True),
    "rpc.deadline_exceeded": (5, True),
    "rpc.too_large": (6, False),
    "rpc.not_encodable": (7, False),
    "rpc.chain_too_deep": (8, False),
    "rpc.internal": (9, False),
    "rpc.protocol": (10, False),
    "initialize.no_common_protocol": (1, False),
    "initialize.wrong_plugin": (2, False),
    "reconfigure.refused": (1, False),
    "host.service_not_found": (1, False),
    "host.permission_denied": (2, False),
    "host.service_failed": (3, False),
    "command.not_found": (101, False),
    "command.bad_request": (102, False),
    "command.connection": (103, True),
    "command.timeout": (104, True),
    "command.handler_failed": (105, False),
    "command.not_encodable": (106, False),
    "exec.session_not_found": (1, False),
    "exec.handler_not_found": (2, False),
    "exec.session_closed": (3, False),
    "exec.terminal_error": (4, False),
    "exec.session_exists": (5, False),
    "metadata.method_not_allowed": (1, False),
    "metadata.no_such_end_point": (2, False),
    "metadata.internal_error": (3, False),
    "metadata.resource_conflict": (4, False),
    "metadata.unknown_action_id": (5, False),
    "metadata.invalid_payload": (6, False),
    "metadata.not_found": (7, False),
    "action.not_supported": (1, False),
    "action.refused": (2, False),
    "action.not_privileged": (3, False),
    "action.not_found": (4, False),
    "action.invalid": (5, False),
    "action.failed": (6, False),
    "action.key_rejected": (7, False),
    "metadata.artifact_not_found": (8, False),
    "metadata.folder_not_found": (9, False),
    "metadata.permission": (10, False),
    "metadata.is_folder": (11, False),
    "metadata.not_folder": (12, False),
    "metadata.not_file": (13, False),
    "metadata.outside_roots": (14, False),
    "metadata.file_unreadable": (15, False),
}
