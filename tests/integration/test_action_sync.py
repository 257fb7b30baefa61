"""Actions of the blocking host."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_host import action
from plugin_host.errors import ActionFailed, CallTimeout
from plugin_host.sync import PluginHost
from tests.robot import write_robot
from tests.syncstage import blocking

WHOLE = bytes(range(256)) * 8192


@pytest.fixture
def host(tmp_path: Path) -> Iterator[PluginHost]:
    with blocking("robot", dirs=[write_robot(tmp_path / "robot")]) as host:
        yield host


def test_output_and_result_of_a_script(host: PluginHost) -> None:
    run = host.actions.trigger("robot", action.RunScript(data=b"echo out; echo err >&2; exit 3"))
    came = sorted((piece.stream, piece.data) for piece in run.output())
    assert came == [("stderr", b"err\n"), ("stdout", b"out\n")]
    assert run.result().code == 3
    assert (run.is_over, run.succeeded, run.kind) == (True, False, "run_script")
    assert host.actions.get(run.id).info == run.info
    assert run.id in [one.id for one in host.actions.list()]


def test_result_waits_for_no_output_that_its_own_thread_has_left_unread(host: PluginHost) -> None:
    run = host.actions.trigger("robot", action.RunScript(data=b"head -c 4000000 /dev/zero"))
    output = run.output()
    assert next(output).data
    assert run.result().stdout_bytes == 4_000_000
    output.close()


def test_result_can_be_waited_for_for_a_time_and_the_action_cancelled(host: PluginHost) -> None:
    run = host.actions.trigger("robot", action.RunScript(data=b"exec sleep 60"))
    with pytest.raises(CallTimeout, match=r"not ended within 0.05 s"):
        run.result(timeout=0.05)
    assert run.cancel("enough", grace=0) == "cancelling"
    assert "enough" in run.result(timeout=10).reason


@pytest.mark.parametrize("kind", ["path", "iterator"])
def test_upload(host: PluginHost, tmp_path: Path, kind: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(WHOLE)
    pieces = (WHOLE[start : start + 100_000] for start in range(0, len(WHOLE), 100_000))
    told: list[int] = []
    run = host.actions.trigger(
        "robot",
        action.UploadFile(path=str(tmp_path / "arrived")),
        source if kind == "path" else pieces,
        on_progress=lambda sent, total: told.append(sent),
    )
    assert run.result().sha256 == hashlib.sha256(WHOLE).hexdigest()
    assert (tmp_path / "arrived").read_bytes() == WHOLE
    assert told[-1] == len(WHOLE)
    assert run.progress[0] == len(WHOLE)


def test_iterator_that_fails_is_the_reason(host: PluginHost, tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"some"
        raise ActionFailed("the well is dry")

    run = host.actions.trigger("robot", action.UploadFile(path=str(tmp_path / "x")), broken())
    with pytest.raises(ActionFailed, match="the well is dry"):
        run.result()


def test_threads_share_a_run(host: PluginHost, tmp_path: Path) -> None:
    gate = tmp_path / "gate"  # so that nothing is put out before somebody hears it
    os.mkfifo(gate)
    script = f"read go <{gate}; head -c 3000000 /dev/zero"
    run = host.actions.trigger("robot", action.RunScript(data=script.encode()))
    output, size = run.output(), 0
    results: list[object] = []
    waiting = threading.Thread(target=lambda: results.append(run.result()))
    waiting.start()
    gate.write_text("go\n")
    with output:
        for piece in output:
            assert piece.offset == size
            size += len(piece.data)
    waiting.join()
    assert size == 3_000_000
    assert results == [run.result()]
    assert "heartbeat" in host.actions.kinds("robot")


def test_what_an_action_was_can_be_had_behind_the_end_of_its_host(host: PluginHost) -> None:
    run = host.actions.trigger("robot", action.RunScript(data=b"echo hi"))
    output = run.output()
    result = run.result()
    host.close()
    assert run.result(timeout=1) == run.result() == result
    assert b"".join(piece.data for piece in output) == b"hi\n"
