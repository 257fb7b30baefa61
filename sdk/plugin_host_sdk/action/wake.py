"""Rousing a thread that waits for descriptors, from any other thread and after its end, too."""

from __future__ import annotations

import os
import threading

__all__ = ["Wake"]


class Wake:
    """`fd` is readable after `rouse`, until `clear`. To be closed by the thread that waits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.fd, self._writing = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._writing, False)

    def rouse(self) -> None:
        with self._lock:  # or its number may be another's by now
            if self._writing >= 0:
                try:
                    os.write(self._writing, b"\0")
                except BlockingIOError:
                    pass  # it has not yet heard of the last ones

    def clear(self) -> None:
        try:
            os.read(self.fd, 4096)
        except BlockingIOError:
            pass

    def close(self) -> None:
        with self._lock:
            os.close(self.fd)
            os.close(self._writing)
            self._writing = -1
