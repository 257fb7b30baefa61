"""Floor of sessions on pipes: a child, a relay and this process, which reads or writes and does no more."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from .flow import Meter, child

__all__ = ["BareRelay", "driver"]

_RELAY = [sys.executable, "-I", "-S", str(Path(__file__).with_name("relay.py"))]
_BLOCK = bytes(64 * 1024)


class BareRelay:
    """Each measurement starts its processes anew."""

    def measure(self, verb: str, seconds: float) -> dict[str, float]:
        return {"pipe_out": self._output, "pipe_in": self._input}[verb](seconds)

    def close(self) -> None:
        pass

    def _output(self, seconds: float) -> dict[str, float]:
        """Child to pipe to relay to socketpair to this process."""
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        source = subprocess.Popen(child("blocks"), stdout=writing)
        relay = subprocess.Popen(_RELAY, stdin=reading, stdout=theirs.fileno())
        for fd in (reading, writing):
            os.close(fd)
        theirs.close()
        meter = Meter(seconds, is_terminal=False)
        buffer = bytearray(64 * 1024)
        with ours:
            while meter.add(ours.recv_into(buffer)):
                pass
        relay.wait()
        source.wait()
        return {"mb_per_s": meter.mb_per_s}

    def _input(self, seconds: float) -> dict[str, float]:
        """This process to socketpair to relay to pipe to child, until the child has read the last byte."""
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        relay = subprocess.Popen(_RELAY, stdin=theirs.fileno(), stdout=writing)
        sink = subprocess.Popen(child("sink"), stdin=reading)
        for fd in (reading, writing):
            os.close(fd)
        theirs.close()
        clock, sent = time.perf_counter, 0
        with ours:
            ours.sendall(_BLOCK)
            start = clock()
            while clock() - start < seconds:
                ours.sendall(_BLOCK)
                sent += len(_BLOCK)
        sink.wait()
        took = clock() - start
        relay.wait()
        return {"mb_per_s": sent / 1e6 / took}


def driver() -> BareRelay:
    return BareRelay()
