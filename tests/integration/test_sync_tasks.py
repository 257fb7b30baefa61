"""Tasks of the blocking host: given, watched, asked about and ended by threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_host import ArtifactNotFound, CallTimeout, PluginHostError, ResourceConflict, TaskNotFound
from plugin_host.sync import PluginHost
from tests.stage import write_plugin
from tests.syncstage import blocking

WORKER = """
    def work(ctx, task):
        return task.run()

    sdk.metadata.register_plugin(plugin, sdk.metadata.PluginOpts(on_task=work, at_once=2))
"""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[PluginHost]:
    folder = write_plugin(tmp_path / "plugins", "worker", WORKER)
    with blocking("worker", dirs=[folder]) as host:
        yield host


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def test_task_is_followed_and_its_files_are_saved(host: PluginHost, tmp_path: Path) -> None:
    made = tmp_path / "made"
    with host.tasks.run("worker", sh(f"echo hello; seq 1 300000 > {made}; exit 3"), tty=False) as task:
        assert host.tasks.get(task.id) is task
        assert host.tasks.list() == [task]
        assert b"".join(task.log()) == b"hello\n"
        result = task.result()
        assert (result.success, result.code, task.state) == (False, 3, "ended")
        assert str(made) in [entry.path for entry in task.list_folder(str(tmp_path), recursive=False)]
        with task.get_artifact(str(made)) as file:
            assert file.read(4) == b"1\n2\n"
            assert sum(map(len, file)) == file.size - 4
        seen: list[tuple[int, int, threading.Thread]] = []

        def note(done: int, size: int) -> None:
            seen.append((done, size, threading.current_thread()))

        task.get_artifact(str(made)).save(tmp_path / "kept", on_progress=note)
        data = made.read_bytes()
        assert (tmp_path / "kept").read_bytes() == data
        assert seen[-1] == (len(data), len(data), threading.current_thread())
        with pytest.raises(ArtifactNotFound):
            task.get_artifact(str(tmp_path / "no"))
    with pytest.raises(TaskNotFound):
        host.tasks.get(task.id)
    with pytest.raises(ResourceConflict):
        task.list_folder("/")


def test_wait_for_a_result_has_an_end_and_a_kill_gives_one(host: PluginHost) -> None:
    task = host.tasks.run("worker", sh("echo up; sleep 1000"))
    with task.log() as log:
        assert next(log) == b"up\r\n"
    with pytest.raises(CallTimeout, match="within"):
        task.result(timeout=0.05)
    shell = task.open_shell(["cat"], tty=False)
    assert task.kill() == "killed"
    assert not task.result().success
    shell.write(b"still here")
    task.close()
    assert shell.wait().code != 0


def test_error_in_what_hears_of_progress_leaves_no_file(host: PluginHost, tmp_path: Path) -> None:
    with host.tasks.run("worker", sh(f"seq 1 500000 > {tmp_path}/made"), tty=False) as task:
        task.result()

        def fail(done: int, size: int) -> None:
            raise RuntimeError("enough")

        with pytest.raises(RuntimeError, match="enough"):
            task.get_artifact(f"{tmp_path}/made").save(tmp_path / "kept", on_progress=fail)
    assert not (tmp_path / "kept").exists()


def test_what_a_task_was_can_be_had_behind_the_end_of_its_host(host: PluginHost, tmp_path: Path) -> None:
    task = host.tasks.run("worker", sh("echo hi"), tty=False)
    whole = task.result()
    begun = task.log()
    closed = host.tasks.run("worker", sh("echo hi"), tty=False)
    closed.result()
    artifact = closed.get_artifact(str(Path(__file__)))
    closed.close()
    host.close()
    assert task.result(timeout=1) == whole
    assert b"".join(begun) == b"hi\n"
    for one in (task, closed):
        assert one.result().success
        assert b"".join(one.log()) == b"hi\n"
        one.close()
        one.close()
    with pytest.raises(PluginHostError, match="its host is closed"):
        artifact.save(tmp_path / "kept")


def test_result_does_not_wait_for_a_reader_of_the_same_thread(host: PluginHost) -> None:
    with host.tasks.run("worker", ["head", "-c", "5000000", "/dev/zero"], tty=False) as task:
        log = task.log()
        next(log)
        assert task.result(timeout=30).success
        assert sum(map(len, log)) < 5_000_000
        assert log.evicted > 0
