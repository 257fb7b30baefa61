"""What a service manager hears, and that its absence is nobody's trouble."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_host import readiness


@pytest.fixture
def manager() -> Iterator[tuple[socket.socket, str]]:
    folder = Path(tempfile.mkdtemp())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(folder / "notify"))
        heard.setblocking(False)
        yield heard, str(folder / "notify")
    shutil.rmtree(folder)


def test_manager_hears_ready_status_and_stopping(manager: tuple[socket.socket, str]) -> None:
    heard, path = manager
    environ = {"NOTIFY_SOCKET": path}
    assert readiness.ready("3 plugins", environ)
    assert readiness.status("two\nlines", environ)
    assert readiness.stopping(environ=environ)
    told = [heard.recv(1000) for _ in range(3)]
    assert told == [b"READY=1\nSTATUS=3 plugins", b"STATUS=two lines", b"STOPPING=1"]


def test_abstract_address_works() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind("")
        name = heard.getsockname()[1:].decode()
        assert readiness.ready(environ={"NOTIFY_SOCKET": f"@{name}"})
        assert heard.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    "address", ["", "vsock:2:1234", "relative", "/nonexistent/socket", "/" + "x" * 200]
)
def test_nothing_raises_when_nobody_can_hear(address: str) -> None:
    assert not readiness.ready(environ={"NOTIFY_SOCKET": address})


def test_nothing_raises_without_a_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not readiness.ready()


def test_nothing_waits_for_a_manager_that_does_not_read(manager: tuple[socket.socket, str]) -> None:
    _, path = manager
    told = [readiness.status("x" * 1000, {"NOTIFY_SOCKET": path}) for _ in range(2000)]
    assert told[0]
    assert not told[-1]
