"""How users name tasks, and what statuses, bars and tables make of them."""

from __future__ import annotations

import click
import pytest

from plugin_host.cli.fetching import Wish, amount, bar, parse_wish
from plugin_host.cli.folderlist import entries_text, entry_map
from plugin_host.cli.taskname import chosen_task
from plugin_host.cli.taskstatus import task_status
from plugin_host.errors import CallFailed, PluginHostError, TaskNotFound
from plugin_host.task.result import TaskResult
from plugin_host_sdk.types.task import FolderEntry

IDS = ["abc", "abcdef", "abd", "b"]


@pytest.mark.parametrize(("name", "id"), [("abc", "abc"), ("abcd", "abcdef"), ("abd", "abd"), ("b", "b")])
def test_a_task_is_named_by_its_id_or_the_beginning_of_one(name: str, id: str) -> None:
    assert chosen_task(name, IDS) == id


def test_a_name_of_several_tasks_or_of_none_is_an_error() -> None:
    with pytest.raises(CallFailed, match="several tasks: abc, abcdef, abd"):
        chosen_task("ab", IDS)
    with pytest.raises(CallFailed, match="and 12 more"):
        chosen_task("t", [f"t{number}" for number in range(20)])
    for name, hint in (("abx", "did you mean `ab"), ("zzz", "task list"), ("", "task list")):
        with pytest.raises(TaskNotFound, match=hint):
            chosen_task(name, IDS)


def result(
    success: bool = False, code: int | None = None, signal: str | None = None, **more: object
) -> TaskResult:
    return TaskResult(success, code, signal, str(more.get("reason", "")), 1.0, 2.0, bool(more.get("late")))


@pytest.mark.parametrize(
    ("ended", "status"),
    [
        (result(success=True, code=0), 0),
        (result(success=True), 0),
        (result(code=3), 3),
        (result(code=0), 1),
        (result(code=4000), 255),
        (result(code=-1), 255),
        (result(signal="SIGTERM"), 143),
        (result(signal="SIGTERM", late=True), 124),
        (result(code=0, late=True), 124),
    ],
)
def test_status_stands_for_how_a_task_ended(ended: TaskResult, status: int) -> None:
    assert task_status(ended) == status


def test_failure_that_is_no_programs_is_said_in_words() -> None:
    with pytest.raises(PluginHostError, match="the task failed: no disk"):
        task_status(result(reason="no disk"))


def test_wishes_have_an_absolute_path_and_a_place() -> None:
    assert parse_wish("/a b:c:d") == Wish("/a b", "c:d")
    for word in ("a:b", "/a", "/a:", ":b", "/a:-", ""):
        with pytest.raises(click.UsageError, match="PATH:DEST"):
            parse_wish(word)


@pytest.mark.parametrize(
    ("done", "size", "full"), [(0, 10, 0), (5, 10, 12), (10, 10, 24), (11, 10, 24), (0, 0, 24)]
)
def test_bar_is_as_full_as_what_is_there(done: int, size: int, full: int) -> None:
    assert bar(done, size) == f"[{'#' * full}{'.' * (24 - full)}]"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_960, "1.0 MB"), (13_240_000, "13.2 MB")],
)
def test_amounts_are_short(size: int, text: str) -> None:
    assert amount(size) == text


def test_entries_of_folders_are_shown_as_ls_does() -> None:
    folder = FolderEntry(path="/d", type="folder", mode=0o755, mtime=0)
    odd = FolderEntry(path="/d/\\xff\x1b", type="link", size=3, mode=0o777, raw=b"/d/\xff")
    lines = entries_text([folder, odd]).splitlines()
    assert lines[0].split() == ["MODE", "SIZE", "MODIFIED", "PATH"]
    assert lines[1].startswith("drwxr-xr-x  0 ")
    assert lines[1].endswith("  /d/")
    assert lines[2].startswith("lrwxrwxrwx  3 ")
    assert lines[2].endswith("  /d/\\xff\\x1b")
    assert entries_text([]) == ""
    assert "raw" not in entry_map(folder)
    assert entry_map(odd)["raw"] == b"/d/\xff"
