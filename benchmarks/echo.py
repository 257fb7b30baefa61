"""The child of both bare loops: a msgpack-RPC echo on descriptor 0 and nothing else.

Run as a script. It reads into one buffer, decodes, encodes and writes; it knows one method, checks
nothing and cannot fail gracefully. Answers to what one read delivered are joined, 16 at most, which is
the fastest of the simple ways to write them.
"""

from __future__ import annotations

import socket

import msgpack

_READ_BYTES = 64 * 1024
_BATCH = 16


def main() -> None:
    """Echo until the other end closes."""
    channel = socket.socket(fileno=0)
    buffer = bytearray(_READ_BYTES)
    view = memoryview(buffer)
    unpacker = msgpack.Unpacker(max_buffer_size=1 << 26)
    pack = msgpack.Packer().pack
    fed = 0
    while size := channel.recv_into(buffer):
        unpacker.feed(view[:size])
        fed += size
        answers = []
        while unpacker.tell() < fed:
            try:
                _, msgid, _, params = unpacker.unpack()
            except msgpack.OutOfData:
                break
            answers.append(pack([1, msgid, None, params[0]]))
            if len(answers) == _BATCH:
                channel.sendall(b"".join(answers))
                answers.clear()
        if answers:
            channel.sendall(b"".join(answers))


if __name__ == "__main__":
    main()
