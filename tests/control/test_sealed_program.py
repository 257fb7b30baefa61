"""`plugin-host run --listen` and `--connect`, as programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.control.test_run_socket import is_up, status_at
from tests.control.test_sealed_port import key_file
from tests.host.cli_plugin import plugins
from tests.host.cli_run import Cli, cli
from tests.run import Run
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

__all__ = ["cli", "plugins"]


def test_commands_use_a_host_over_tcp(
    cli: Cli, plugins: Path, own_socket: str, wait_until: WaitUntil, run: Run, tmp_path: Path
) -> None:
    file = key_file(tmp_path)
    options = ("--plugin-dir", plugins, "--listen", "127.0.0.1:0", "--psk-file", file)
    with cli.background("run", "--json", *options) as host:
        wait_until(lambda: is_up(host))
        address = run(status_at(own_socket))["listen"]
        shown = cli("status", "--json", "--connect", address, "--psk-file", file)
        assert json.loads(shown.out)["host"]["socket"] == f"tcp://{address}"
        other = key_file(tmp_path, "x" * 20, "other")
        refused = cli("status", "--connect", address, "--psk-file", other)
        assert refused.status == 3
        assert "compare the two key files" in refused.err
        other.rename(file)  # which is the key from then on
        changed = cli("call", "odd", "echo", "value=there", "--connect", address, "--psk-file", file)
        assert (changed.status, changed.out) == (0, "there\n"), changed.err
        both = cli("call", "--connect", address, "--socket", own_socket, "demo", "greet")
        assert both.status == 2
        assert "--connect names the host" in both.err


def test_a_port_without_a_key_or_with_one_that_all_can_read_is_refused(
    cli: Cli, plugins: Path, own_socket: str, tmp_path: Path
) -> None:
    bare = cli("run", "--plugin-dir", plugins, "--listen", "127.0.0.1:0")
    assert bare.status == 2
    assert "--listen needs --psk-file" in bare.err
    file = key_file(tmp_path)
    file.chmod(0o644)
    loose = cli("run", "--plugin-dir", plugins, "--listen", "127.0.0.1:0", "--psk-file", file)
    assert loose.status == 2
    assert "chmod 600" in loose.err
