"""Where a fuzzer begins: inputs made of what the project itself writes, and the words of the protocol."""

from __future__ import annotations

from collections.abc import Iterator

from plugin_host_sdk.connection import HOST, PLUGIN
from plugin_host_sdk.protocol import ERRORS, FAMILIES, INITIALIZE_ID, METHODS
from tests.fuzz.case import CASES, alone, cut, together
from tests.fuzz.intention import INTENTIONS
from tests.fuzz.start import CALLS, ROLES, STARTS
from tests.pair import ANSWER, ConnectionPair

_RUN = 12


def seeds() -> Iterator[bytes]:
    """Inputs for every case, state and role."""
    for tight in (0, 1):
        for start in range(len(STARTS)):
            for role, name in enumerate(ROLES):
                spoken = _spoken(PLUGIN if name == HOST else HOST)
                place = bytes([tight, start, role])
                yield bytes([CASES.index(cut), *place, 0, 0]) + b"".join(spoken)
                yield bytes([CASES.index(cut), *place, 1, 1, 0, 40]) + b"".join(spoken)
                steps = (bytes([0, len(part), *part]) for part in spoken)
                yield bytes([CASES.index(alone), *place, 0]) + b"".join(steps)
                steps = (bytes([1, number, 0, 0]) for number in range(len(INTENTIONS)))
                yield bytes([CASES.index(alone), *place, 0]) + b"".join(steps)
        for number in range(len(INTENTIONS)):
            for role in range(len(ROLES)):
                act = bytes([role, 0, number, 1, 1, 2, 3])
                yield bytes([CASES.index(together), tight, 0, 1]) + (bytes([role, 5, 3]) + act) * _RUN


def dictionary() -> str:
    """The words of the protocol, in libFuzzer's form."""
    words = [name.encode() for name in (*METHODS, *FAMILIES, *ERRORS, "msgid", "limits", "timeout_ms")]
    words += [bytes([0xA0 + len(word)]) + word for word in words if len(word) < 32]
    words += [b"\x94\x00", b"\x94\x01", b"\x93\x02", b"\xce" + INITIALIZE_ID.to_bytes(4, "big")]
    return "".join(
        '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in dict.fromkeys(words)
    )


def _spoken(role: str) -> list[bytes]:
    """What an end with this role writes in a life, message by message."""
    pair = ConnectionPair()
    host, plugin = pair.host, pair.plugin
    opening = host.send_initialize({"protocols": [1], "plugin": "demo"})
    pair.to_plugin(opening)
    accepted = plugin.send_response(INITIALIZE_ID, ANSWER)
    pair.to_host(accepted)
    end, other = pair.end(role), pair.end(PLUGIN if role == HOST else HOST)
    asked = other.send_request(CALLS[other.role], {"x": 1})[1]
    pair.deliver(other.role, asked)
    stream = pair.open_stream(role, 1000)
    written = [opening if role == HOST else accepted]
    written.append(end.send_request(CALLS[role], {"name": "echo", "params": {}}, {"timeout_ms": 5})[1])
    written.append(end.send_cancel(0))
    written.append(end.send_progress(0, 1, 2, "half"))
    written.append(end.send_response(0, {"status": 0, "status_message": "", "result": [1, "ü", b"x"]}))
    written.append(end.send_request("ping", {"nonce": 1})[1])
    written.append(end.send_notification("demo", {"level": "info"}))
    written.append(b"".join(end.streams.send_data(stream, b"some bytes")))
    written.append(end.streams.send_gap(stream, 7))
    written.append(end.streams.send_end(stream))
    written.append(end.streams.send_stop(stream + 1))
    written.append(end.send_failure({"code": 10, "name": "rpc.protocol", "message": "x"}))
    return written
