"""Taking connections when there are no descriptors for them."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from plugin_host.control import admission
from plugin_host.control.admission import Admission
from tests.run import Run
from tests.wait import WaitUntil


class Scarce:
    """A listening socket that cannot accept until `left` tries have failed."""

    def __init__(self, listening: socket.socket, left: int) -> None:
        self._listening = listening
        self.left = left

    def fileno(self) -> int:
        return self._listening.fileno()

    def accept(self) -> tuple[socket.socket, object]:
        if self.left:
            self.left -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listening.accept()


def test_connections_that_must_wait_are_spoken_of_once_and_taken_later(
    own_socket: str,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    wait_until: WaitUntil,
) -> None:
    monkeypatch.setattr(admission, "_PAUSE_S", 0.01)
    taken: list[socket.socket] = []
    told: list[str] = []

    async def body() -> None:
        with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
            os.makedirs(os.path.dirname(own_socket), exist_ok=True)
            listening.bind(own_socket)
            listening.listen()
            listening.setblocking(False)
            client.connect(own_socket)
            door = Admission(own_socket, told.append)
            door.open(Scarce(listening, 5), taken.append)  # type: ignore[arg-type]
            await wait_until.aio(lambda: taken)
            door.close()
            taken[0].close()

    run(body())
    assert told == [f"{own_socket}: connections wait: Too many open files"]
