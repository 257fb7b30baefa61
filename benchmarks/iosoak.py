"""A soak of raw descriptors through the C client of `docs/open_io.c`: a GiB in, the same GiB out.

    python -m benchmarks.iosoak [--mib 1024]

The same bytes go through a bare socketpair and `cat` first, and both speeds are reported. Ends with status
1 when the checksums differ.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from plugin_host.control import ControlServer, connect
from plugin_host.localsocket import LocalSocket

from .session_host import PLUGIN, open_host

__all__ = ["main"]

_SOURCE = Path(__file__).parent.parent / "docs" / "open_io.c"
_BLOCK = os.urandom(1 << 20)


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.iosoak")
    parser.add_argument("--mib", type=int, default=1024, help="how much to send (1024)")
    mib = parser.parse_args().mib
    with tempfile.TemporaryDirectory(prefix="ph-") as folder:
        client = f"{folder}/open_io"
        subprocess.run(["cc", "-O2", "-o", client, str(_SOURCE)], check=True)
        floor = _through_socketpair(mib)
        ours, is_equal = asyncio.run(_through_host(folder, client, mib))
    print(
        f"{mib} MiB both ways: {ours:.0f} MB/s through the host, {floor:.0f} MB/s through a bare socketpair"
    )
    print(f"ratio {ours / floor:.2f}; checksums {'equal' if is_equal else 'DIFFER'}")
    return 0 if is_equal else 1


def _through_socketpair(mib: int) -> float:
    mine, theirs = socket.socketpair()
    with theirs, subprocess.Popen(["cat"], stdin=theirs.fileno(), stdout=theirs.fileno()) as child:
        theirs.close()
        with mine:
            speed, _ = _pump(mine.send, mine.recv, mib, lambda: mine.shutdown(socket.SHUT_WR))
        child.wait()
    return speed


async def _through_host(folder: str, client: str, mib: int) -> tuple[float, bool]:
    path = f"{folder}/control.sock"
    async with open_host() as host, ControlServer(host, LocalSocket(path=path)), await connect(path) as one:
        session = await one.exec(PLUGIN, ["cat"], tty=False)
        ticket = await one.open_io(session, ["stdin", "stdout"])
        command = [client, ticket.socket, ticket.token]
        return await asyncio.to_thread(_through_client, command, mib)


def _through_client(command: list[str], mib: int) -> tuple[float, bool]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        speed, is_equal = _pump(child.stdin.write, child.stdout.read, mib, child.stdin.close)
        return speed, is_equal and child.wait() == 0


def _pump(
    write: Callable[[memoryview], int | None],
    read: Callable[[int], bytes | None],
    mib: int,
    end: Callable[[], None],
) -> tuple[float, bool]:
    """MB/s of what goes in and comes out, and whether it is the same."""
    sent, came = hashlib.sha256(), hashlib.sha256()

    def feed() -> None:
        for _ in range(mib):
            view = memoryview(_BLOCK)
            sent.update(view)
            while view:
                view = view[write(view) or 0 :]
        end()

    feeder = threading.Thread(target=feed)
    began = time.perf_counter()
    feeder.start()
    while data := read(1 << 16):
        came.update(data)
    feeder.join()
    return mib * (1 << 20) / 1e6 / (time.perf_counter() - began), sent.digest() == came.digest()


if __name__ == "__main__":
    sys.exit(main())
