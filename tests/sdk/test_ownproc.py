"""Whether /proc is taken for what it is: that of this PID namespace, or of another one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from plugin_host_sdk.ownproc import has_own_proc, is_blind
from tests.source import ROOT

ASK = "from plugin_host_sdk.ownproc import has_own_proc, is_blind; print(has_own_proc(), is_blind())"
HOST = """
import logging, subprocess, sys
from tests.syncstage import blocking
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
beside = subprocess.Popen(["sleep", "60"])
with blocking("steady") as host:
    assert host.call("steady", "echo", {"value": 1}) == 1
    host.restart("steady")
    assert host.call("steady", "echo", {"value": 2}) == 2
print(beside.poll())
beside.kill()
"""


def apart(code: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run it in a PID namespace of its own."""
    return subprocess.run(
        ["unshare", "--user", "--map-root-user", "--pid", "--fork", *more, sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=45,
    )


@pytest.fixture(scope="module", autouse=True)
def _namespaces() -> None:
    if apart("").returncode != 0:
        pytest.skip("no PID namespace can be made here")


def test_proc_of_this_namespace_is_its_own() -> None:
    assert (has_own_proc(), is_blind()) == (True, False)
    assert apart(ASK, "--mount-proc").stdout == "True False\n"


def test_proc_of_another_namespace_is_not() -> None:
    assert apart(ASK).stdout == "False True\n"


@pytest.mark.deadline(60)
def test_host_that_sees_the_processes_of_another_namespace_takes_none_for_its_own() -> None:
    done = apart(HOST)
    assert (done.returncode, done.stderr) == (0, "")
    assert "no /proc of this PID namespace" in done.stdout  # the keeper
    assert "survived" not in done.stdout
    assert "killed:" not in done.stdout
    assert done.stdout.endswith("None\n")
