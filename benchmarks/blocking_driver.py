"""The measurements, for contestants whose calls block."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

from .memory import private_mib
from .sample import latency
from .workload import BATCH, BIG, IN_FLIGHT, SMALL, THREADS, WARM_UP

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BlockingDriver", "Peer"]


class Peer(Protocol):
    """One running instance of a contestant: a child process that echoes."""

    pid: int

    def call(self, payload: bytes) -> Any:
        """The echo of the payload."""
        ...

    def submit(self, payload: bytes) -> Any:
        """Begin a call; what it returns goes to `wait`, in the same order."""
        ...

    def wait(self, ticket: Any) -> Any:
        """The echo of a call that was begun."""
        ...

    def close(self) -> None:
        """End the child."""
        ...


class BlockingDriver:
    """Measures what `open_peer` starts; `measure` takes the name of one of its measurements."""

    def __init__(self, open_peer: Callable[[], Peer]) -> None:
        self._open = open_peer
        self._peer = open_peer()
        self._warm_up()

    def measure(self, verb: str, seconds: float) -> dict[str, float]:
        if verb == "cold":
            return self._cold()
        self._warm_up()
        measurement = {
            "rtt": self._rtt,
            "threads": self._threads,
            "many": self._many,
            "flight": self._flight,
            "big": self._big,
        }[verb]
        return measurement(seconds)

    def close(self) -> None:
        self._peer.close()

    def _warm_up(self) -> None:
        for _ in range(WARM_UP):
            self._peer.call(SMALL)

    def _rtt(self, seconds: float) -> dict[str, float]:
        call, clock = self._peer.call, time.perf_counter
        times = []
        end = clock() + seconds
        while (before := clock()) < end:
            call(SMALL)
            times.append(clock() - before)
        return latency(times)

    def _flight(self, seconds: float) -> dict[str, float]:
        submit, wait, clock = self._peer.submit, self._peer.wait, time.perf_counter
        start = clock()
        waiting = deque(submit(SMALL) for _ in range(IN_FLIGHT))
        calls = 0
        while clock() - start < seconds:
            wait(waiting.popleft())
            waiting.append(submit(SMALL))
            calls += 1
        took = clock() - start
        while waiting:
            wait(waiting.popleft())
        return {"per_s": calls / took}

    def _threads(self, seconds: float) -> dict[str, float]:
        """Calls of several threads at the same time."""
        call, clock = self._peer.call, time.perf_counter
        start = clock()

        def work() -> int:
            calls = 0
            while clock() - start < seconds:
                call(SMALL)
                calls += 1
            return calls

        with ThreadPoolExecutor(THREADS) as pool:
            calls = sum(future.result() for future in [pool.submit(work) for _ in range(THREADS)])
        return {"per_s": calls / (clock() - start)}

    def _many(self, seconds: float) -> dict[str, float]:
        """Calls that are made together, of those who can."""
        call_many: Callable[[list[dict[str, bytes]]], list[Any]] = self._peer.call_many  # type: ignore[attr-defined]
        clock, calls = time.perf_counter, 0
        start = clock()
        while clock() - start < seconds:
            calls += len(call_many(BATCH))
        return {"per_s": calls / (clock() - start)}

    def _big(self, seconds: float) -> dict[str, float]:
        clock = time.perf_counter
        start = clock()
        calls = 0
        while clock() - start < seconds:
            if len(self._peer.call(BIG)) != len(BIG):
                raise ValueError("the echo has another length")
            calls += 1
        return {"mb_per_s": calls * len(BIG) / 1e6 / (clock() - start)}

    def _cold(self) -> dict[str, float]:
        """An instance of its own: from before its process exists to its first answer."""
        before = time.perf_counter()
        peer = self._open()
        try:
            peer.call(SMALL)
            return {"ms": (time.perf_counter() - before) * 1e3, "private_mib": private_mib(peer.pid)}
        finally:
            peer.close()
