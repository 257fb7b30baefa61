"""Many sessions that are closed together: they share what they learn of the machine's processes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from plugin_host_sdk.exec import Handler
from plugin_host_sdk.exec import program as program_module
from plugin_host_sdk.exec.lookout import Lookout
from plugin_host_sdk.exec.manager import Manager
from plugin_host_sdk.exec.processtable import ProcessTable
from plugin_host_sdk.testing import RecordingSink
from plugin_host_sdk.types.session import SessionOptions

COUNT = 60
LOOK_S = 0.02
"""What a look takes, as on a machine with some thousand processes."""


@pytest.fixture
def manager() -> Iterator[Manager]:
    handler = Handler("local", default_command=["sleep", "60"])
    handler.plugin = "demo"
    manager = Manager([handler], sink=RecordingSink())
    yield manager
    manager.shutdown(5)


def test_looks_at_the_machine_do_not_grow_with_the_sessions(
    manager: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []

    def read() -> ProcessTable:
        looks.append(time.monotonic())
        time.sleep(LOOK_S)
        return ProcessTable.read()

    monkeypatch.setattr(program_module, "LOOKOUT", Lookout(read))
    for number in range(COUNT):
        manager.create(SessionOptions(id=f"s{number}", handler="demo/local", tty=False))
    looks.clear()
    began = time.monotonic()
    for closed in [manager.close(f"s{number}") for number in range(COUNT)]:
        assert closed is not None
        closed.wait(15)
    # One before the first signal, one when they have ended, one to be sure; and a fifth of the time.
    assert len(looks) <= 4 + (time.monotonic() - began) / (5 * LOOK_S)
    assert len(looks) < COUNT / 2
    assert manager.list() == []
