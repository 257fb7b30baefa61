"""What a registration whose scripts take their time holds up, and what not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plugin_host_sdk.action import KeyResult, Register, UpdateKey
from plugin_host_sdk.errors import CallCancelled
from tests.plugins.automation import Serve, serve
from tests.wait import WaitUntil

__all__ = ["serve"]  # fixture


def test_a_key_can_be_offered_while_scripts_of_a_first_run_take_their_time(
    serve: Serve, tmp_path: Path, wait_until: WaitUntil
) -> None:
    secret, begun, gate = tmp_path / "secret", tmp_path / "begun", tmp_path / "gate"
    secret.write_text("let me in")
    secret.chmod(0o600)
    os.mkfifo(gate)
    (tmp_path / "one").write_text(f"#!/bin/sh\ntouch {begun}; cat {gate}\n")
    first_run = [{"name": "one", "file": str(tmp_path / "one")}]
    bench = serve(registration_key_file=str(secret), first_run=first_run)
    registering = bench.trigger(Register(key="let me in"))
    wait_until(begun.exists)
    offered = bench.trigger(UpdateKey(phase="offer", key="the new key " * 3)).result()
    assert isinstance(offered, KeyResult)
    second = bench.trigger(Register(key="let me in"))
    second.cancel("enough")
    with pytest.raises(CallCancelled):
        second.result()
    gate.write_text("")
    assert registering.result().scripts[0].result.success
