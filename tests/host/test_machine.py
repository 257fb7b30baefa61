"""Where the host may make cgroups: on machines of both versions, mixed, delegated, closed, without any."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from plugin_host import machine
from plugin_host.machine import Place, survey

pytestmark = pytest.mark.edges


class Tree:
    """A folder that looks like /sys/fs/cgroup, and what /proc would say of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mounts: list[str] = []

    def mount(self, name: str, kind: str, options: str = "", top: str = "/") -> Path:
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        escaped = str(folder).replace(" ", r"\040")
        self.mounts.append(f"31 23 0:28 {top} {escaped} rw shared:1 - {kind} {kind} {options or 'rw'}")
        return folder

    @property
    def mountinfo(self) -> str:
        return "\n".join(["22 1 8:1 / / rw,relatime - ext4 /dev/root rw", *self.mounts])


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def v2(folder: Path, *, controllers: str = "memory pids", given: str = "", procs: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"controllers": controllers, "subtree_control": given, "procs": procs}.items():
        (folder / f"cgroup.{name}").write_text(text + "\n")
    (folder / "cgroup.type").write_text("domain\n")
    (folder / "cgroup.kill").touch()
    return folder


def test_own_groups_of_version_1_are_the_places(tree: Tree) -> None:
    memory = tree.mount("memory", "cgroup", "rw,memory") / "a/own"
    pids = tree.mount("pids", "cgroup", "rw,pids,cpu")
    memory.mkdir(parents=True)
    found = survey(tree.mountinfo, "4:memory:/a/own\n3:cpu,pids:/\n1:name=systemd:/x\n")
    assert found.places == {"memory": Place(1, str(memory)), "pids": Place(1, str(pids))}
    assert found.lacking == {}
    assert found.killer is None
    assert found.own_memory == Place(1, str(memory))


def test_groups_of_a_container_are_found_below_what_is_mounted(tree: Tree) -> None:
    folder = tree.mount("with space", "cgroup", "rw,memory", top="/docker/abc") / "inner"
    folder.mkdir()
    found = survey(tree.mountinfo, "4:memory:/docker/abc/inner\n")
    assert found.places == {"memory": Place(1, str(folder))}
    lost = survey(tree.mountinfo, "4:memory:/docker/other\n")
    assert (
        "/docker/other, is in no hierarchy of the memory controller mounted here" in lost.lacking["memory"]
    )
    assert lost.own_memory is None


def test_mixed_machine_kills_by_version_2_what_version_1_counts(tree: Tree) -> None:
    tree.mount("memory", "cgroup", "rw,memory")
    unified = tree.mount("unified", "cgroup2")
    (unified / "cgroup.controllers").write_text("hugetlb\n")
    own = "4:memory:/\n0::/\n"
    found = survey(tree.mountinfo, own)
    assert found.places == {"memory": Place(1, str(tree.root / "memory"))}
    assert found.lacking["pids"].startswith("the pids controller is not given to the host's cgroup")
    assert found.killer == Place(2, str(unified))


def test_version_2_gives_its_controllers_from_the_root_of_the_machine(tree: Tree) -> None:
    root = v2(tree.mount("cgroup", "cgroup2"), procs="1 2 3")
    (root / "cgroup.type").unlink()
    found = survey(tree.mountinfo, "0::/\n")
    assert found.places == {"memory": Place(2, str(root)), "pids": Place(2, str(root))}
    assert found.killer == Place(2, str(root))


def test_version_2_cannot_divide_a_group_that_holds_processes(tree: Tree) -> None:
    own = v2(tree.mount("cgroup", "cgroup2") / "user/own", procs="17")
    found = survey(tree.mountinfo, "0::/user/own\n")
    assert found.places == {}
    for reason in found.lacking.values():
        assert f"the host's cgroup {own} holds processes" in reason
        assert "Delegate=yes" in reason
    # To kill a group at once takes no controller.
    assert found.killer == Place(2, str(own))


def test_version_2_uses_the_delegated_group_around_the_hosts_own(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = v2(tree.mount("cgroup", "cgroup2") / "unit")
    v2(unit / "host", procs="17")
    assert survey(tree.mountinfo, "0::/unit/host\n").places == {}  # anybody's, for all we know

    def getxattr(path: str, name: str) -> bytes:
        if (path, name) == (str(unit), "user.delegate"):
            return b"1"
        raise OSError

    monkeypatch.setattr(os, "getxattr", getxattr)
    found = survey(tree.mountinfo, "0::/unit/host\n")
    assert found.places == {"memory": Place(2, str(unit)), "pids": Place(2, str(unit))}
    assert found.killer == Place(2, str(unit))


def test_controller_that_is_given_already_needs_nothing_more(tree: Tree) -> None:
    own = v2(tree.mount("cgroup", "cgroup2") / "own", given="memory", procs="17")
    assert survey(tree.mountinfo, "0::/own\n").places == {"memory": Place(2, str(own))}


def test_controller_that_is_switched_off_is_said_to_be(tree: Tree) -> None:
    own = v2(tree.mount("cgroup", "cgroup2") / "own", controllers="pids")
    found = survey(tree.mountinfo, "0::/own\n")
    assert found.lacking["memory"] == f"the memory controller is not given to the host's cgroup {own}"


def test_what_may_not_be_written_is_said(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = tree.mount("memory", "cgroup", "rw,memory")
    unified = v2(tree.mount("unified", "cgroup2") / "own")
    closed = {str(memory), f"{unified}/cgroup.subtree_control"}
    monkeypatch.setattr(os, "access", lambda path, _: str(path) not in closed)
    found = survey(tree.mountinfo, "4:memory:/\n0::/own\n")
    assert found.places == {}
    assert found.lacking == {
        "memory": f"the host's cgroup {memory} may not be written",
        "pids": f"the host's cgroup {unified} may not be divided",
    }


def test_read_only_mount_is_said_to_be_one(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = tree.mount("memory", "cgroup", "rw,memory")
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((0,) * 8 + (os.ST_RDONLY, 0)))
    reason = survey(tree.mountinfo, "4:memory:/\n").lacking["memory"]
    assert reason == f"the host's cgroup {memory} is mounted read-only"


def test_group_that_is_gone_is_said_to_be(tree: Tree) -> None:
    tree.mount("memory", "cgroup", "rw,memory")
    assert survey(tree.mountinfo, "4:memory:/gone\n").lacking["memory"].endswith("/gone is not there")


@pytest.mark.parametrize("own", ["", "1:name=systemd:/\n", "nonsense\n"])
def test_machine_without_cgroups_says_so(own: str) -> None:
    found = survey("", own)
    assert found.places == {}
    assert set(found.lacking.values()) == {"this system has no cgroups"}
    assert found.killer is None


def test_this_machine_is_told_of_whole() -> None:
    found = survey()
    assert {*found.places, *found.lacking} == {"memory", "pids"}
    for place in found.places.values():
        assert os.path.exists(f"{place.folder}/cgroup.procs")
    assert set(found.ceilings) == set(machine.RESOURCES)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert found.ceilings["open_files"] == (None if hard == resource.RLIM_INFINITY else hard)
