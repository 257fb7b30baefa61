"""What another user may do with a file, by owners and modes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plugin_host.access import Obstacle, may, mode_and_owner, name_of, obstacle
from plugin_host.account import Account

pytestmark = pytest.mark.edges

OTHER = Account("other", 3999999, 3999998, (3999998,))
OWNER = Account("owner", os.getuid(), 3999998, (3999998,))
MEMBER = Account("member", 3999999, 3999998, (os.getgid(),))
ROOT = Account("root", 0, 0, (0,))


@pytest.fixture
def open_path(tmp_path: Path) -> Path:
    """Without obstacles on the way from the first folder that is ours."""
    return tmp_path


def granted(path: Path, who: Account) -> str:
    bits = (("r", os.R_OK), ("w", os.W_OK), ("x", os.X_OK))
    return "".join(letter for letter, bit in bits if may(str(path), bit, who))


@pytest.mark.skipif(os.geteuid() != 0, reason="whom this process belongs to is to be nobody below")
@pytest.mark.parametrize(
    ("mode", "of_member", "of_other"),
    [(0o640, "r", ""), (0o755, "rx", "rx"), (0o604, "", "r"), (0o071, "rwx", "x"), (0o000, "", "")],
)
def test_first_class_that_fits_decides(tmp_path: Path, mode: int, of_member: str, of_other: str) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(mode)
    assert granted(file, MEMBER) == of_member
    assert granted(file, OTHER) == of_other


def test_owner_has_the_first_three_bits_even_if_others_have_more(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    os.chown(file, 12345, -1) if os.geteuid() == 0 else None
    file.chmod(0o177)
    owner = Account("owner", file.stat().st_uid, 3999998, (3999998,))
    assert granted(file, owner) == "x"


def test_root_may_all_but_run_what_nobody_may(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(0o000)
    assert granted(file, ROOT) == "rw"
    file.chmod(0o001)
    assert granted(file, ROOT) == "rwx"
    tmp_path.chmod(0o700)
    assert granted(tmp_path, ROOT) == "rwx"


def opened(*folders: Path) -> None:
    for folder in folders:
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)


@pytest.fixture
def way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without obstacles before it, whatever those of pytest are."""
    real = os.stat
    outside = set(map(str, tmp_path.parents))

    def stat(path: str, **options: bool) -> os.stat_result:
        found = real(path, **options)
        return os.stat_result((0o40755, *found[1:])) if path in outside else found

    monkeypatch.setattr(os, "stat", stat)
    opened(tmp_path)
    return tmp_path


def test_first_closed_folder_on_the_way_is_the_obstacle(way: Path) -> None:
    opened(way / "a", way / "a" / "b", way / "a" / "b" / "c")
    assert obstacle(str(way / "a/b/c"), os.R_OK | os.X_OK, OTHER) is None
    (way / "a" / "b").chmod(0o700)
    (way / "a" / "b" / "c").chmod(0o700)
    assert obstacle(str(way / "a/b/c"), os.X_OK, OTHER) == Obstacle(str(way / "a/b"), True)
    (way / "a" / "b").chmod(0o711)
    assert obstacle(str(way / "a/b/c"), os.X_OK, OTHER) == Obstacle(str(way / "a/b/c"), False)


def test_links_lead_on_to_where_they_point(way: Path) -> None:
    opened(way / "seen", way / "hidden", way / "hidden" / "in")
    (way / "seen" / "absolute").symlink_to(way / "hidden" / "in")
    (way / "seen" / "relative").symlink_to("../hidden/in")
    (way / "hidden").chmod(0o700)
    for name in ("absolute", "relative", "../hidden/in"):
        found = obstacle(str(way / "seen" / name), os.R_OK, OTHER)
        assert found == Obstacle(str(way / "hidden"), True), name


def test_what_is_not_there_is_no_obstacle(way: Path) -> None:
    assert obstacle(str(way / "nothing" / "here"), os.R_OK, OTHER) is None
    (way / "circle").symlink_to("circle")
    assert obstacle(str(way / "circle"), os.R_OK, OTHER) is None


def test_file_with_an_access_control_list_gets_the_benefit_of_the_doubt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(0o600)
    assert not may(str(file), os.R_OK, OTHER)
    monkeypatch.setattr(os, "getxattr", lambda path, name: b"\x02\0\0\0")
    assert may(str(file), os.R_OK, OTHER)


def test_own_process_is_judged_by_the_kernel(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch(mode=0o644)
    assert may(str(file), os.R_OK, None)
    assert not may(str(file), os.X_OK, None)


def test_mode_and_owner_are_said_in_words(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    assert mode_and_owner(str(tmp_path)) == f"mode 0750, owner {name_of(os.getuid())}"
    assert mode_and_owner(str(tmp_path / "none")) == "No such file or directory"
    assert name_of(3999999) == "uid 3999999"
