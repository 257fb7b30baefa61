"""What `doctor` says of the places where a host would listen, and that it changes nothing there."""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from plugin_host.checkup.finding import Finding
from plugin_host.checkup.listening import find
from plugin_host.configuration import Commands, Configuration, Control
from plugin_host.localsocket import LONGEST_PATH

pytestmark = pytest.mark.edges

SUBJECTS = ["control socket", "descriptors", "command listeners"]


@pytest.fixture
def control(own_socket: str) -> str:
    """The path of a control socket, in a folder of its own that is there."""
    Path(own_socket).parent.mkdir(parents=True, mode=0o700)
    return own_socket


@contextmanager
def listening(*paths: str) -> Iterator[None]:
    with ExitStack() as stack:
        for path in paths:
            bound = stack.enter_context(socket.socket(socket.AF_UNIX))
            bound.bind(path)
            bound.listen()
        yield


def levels(found: list[Finding]) -> list[str]:
    assert {one.section for one in found} == {"sockets"}
    return [one.level for one in found]


def test_free_places_are_named(control: str) -> None:
    found = list(find(Configuration(), control))
    assert [one.subject for one in found] == SUBJECTS
    assert [one.text for one in found] == [
        f"{path}: free" for path in (control, f"{control}.io", f"{control[:-5]}.commands/host")
    ]
    assert levels(found) == ["ok"] * 3
    assert os.listdir(os.path.dirname(control)) == []


def test_host_that_listens_is_named_and_not_looked_at_further(control: str) -> None:
    with listening(control):
        (one,) = find(Configuration(), control)
    assert (one.level, one.text) == (
        "ok",
        f"{control}: process {os.getpid()} (uid {os.getuid()}) listens here",
    )


def test_names_that_a_dead_host_left_are_notes_with_the_command_that_removes_them(control: str) -> None:
    folder = Path(f"{control[:-5]}.commands")
    folder.mkdir()
    left = [control, f"{control}.io", f"{folder}/greeter", f"{folder}/host"]
    with listening(*left):
        pass
    (folder / "notes.txt").touch()
    found = list(find(Configuration(), control))
    assert levels(found) == ["note"] * 3
    assert [shlex.split(one.advice) for one in found] == [
        ["rm", *left[:1]],
        ["rm", left[1]],
        ["rm", *left[2:]],
    ]
    assert all(os.path.lexists(path) for path in left)


def test_listener_of_a_plugin_that_is_alive_is_nothing_left(control: str) -> None:
    folder = Path(f"{control[:-5]}.commands")
    folder.mkdir()
    with listening(f"{folder}/greeter"):
        found = list(find(Configuration(), control))
    assert levels(found) == ["ok"] * 3


def test_what_stands_in_the_way_is_a_fault(control: str) -> None:
    Path(control).write_text("precious")
    first, last = find(Configuration(), control)
    assert (first.level, last.subject) == ("fault", "command listeners")
    assert first.text == f"{control}: a file stands here and is not removed"
    assert first.advice.startswith("move it, or choose another path with --socket")
    assert Path(control).read_text() == "precious"


def test_path_that_leaves_no_room_for_the_socket_of_descriptors_is_a_fault(control: str) -> None:
    longest = control + "x" * (LONGEST_PATH - len(control))
    first, second, _ = find(Configuration(), longest)
    assert (first.level, second.level) == ("ok", "fault")
    assert f"{LONGEST_PATH + 3} bytes" in second.text
    (only,) = find(Configuration(), longest + "x")
    assert only.level == "fault"
    assert "choose a shorter one" in only.advice


def test_folder_that_others_may_change_and_one_that_cannot_be_made_are_faults(control: str) -> None:
    folder = Path(control).parent
    file = folder / "file"
    file.touch()
    (only, _) = find(Configuration(), str(file / "deeper" / "control.sock"))
    assert "cannot be made" in only.text
    folder.chmod(0o777)
    assert next(iter(find(Configuration(), control))).text.endswith("in this folder (mode 0777)")


def test_configuration_says_where_unless_a_socket_is_named(control: str, tmp_path: Path) -> None:
    taken = tmp_path / "host"
    taken.touch()
    settled = Configuration(
        control=Control(socket=control, group="no-such-group"),
        commands=Commands(dir=str(tmp_path)),
    )
    first, last = find(settled, None)
    assert first.text.startswith(f"{control}: group no-such-group does not exist here")
    assert last.text == f"{taken}: a file stands here and is not removed"
    assert last.advice == "move it, or choose another path with `dir` under [commands] in the configuration"
    assert next(iter(find(settled, f"{control}2"))).text.startswith(f"{control}2: group")
