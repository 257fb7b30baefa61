"""Files below some folders and nothing else: whatever names and links say, and while they change."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_host_sdk.errors import InvalidPayload, NotFile, OutsideRoots
from plugin_host_sdk.metadata.reach import Reach, path_of
from plugin_host_sdk.types.task import ArtifactRequest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a file in it, and a secret beside it."""
    (tmp_path / "root" / "inner").mkdir(parents=True)
    (tmp_path / "root" / "inner" / "file").write_text("wanted")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "root-of-another").mkdir()
    (tmp_path / "root-of-another" / "file").write_text("secret")
    return tmp_path / "root"


def content(reach: Reach, path: Path | str) -> str:
    with open(reach.open_file(os.fsencode(path))) as file:
        return file.read()


def below(root: Path) -> Reach:
    return Reach([str(root)])


@pytest.mark.parametrize(
    "path",
    [
        "inner/file",
        "./inner//file",
        "inner/../inner/file",
        "nothing/../inner/file",
        "link",
        "absolute",
        "chain",
        "up/inner/file",
        "back/inner/file",
    ],
)
def test_what_stays_below_the_root_is_read(root: Path, path: str) -> None:
    (root / "nothing").mkdir()
    (root / "link").symlink_to("inner/file")
    (root / "absolute").symlink_to(root / "inner" / "file")
    (root / "chain").symlink_to("link")
    (root / "up").symlink_to("inner/..")
    (root / "back").symlink_to(root)
    assert content(below(root), f"{root}/{path}") == "wanted"


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "inner/../../secret",
        "link",
        "absolute",
        "chain",
        "folder/secret",
        "far/../secret",
        "../root-of-another/file",
    ],
)
def test_what_leads_outside_is_refused(root: Path, path: str) -> None:
    (root / "link").symlink_to("../secret")
    (root / "absolute").symlink_to(root.parent / "secret")
    (root / "chain").symlink_to("link")
    (root / "folder").symlink_to("..")
    (root / "far").symlink_to("inner/../..")
    with pytest.raises(OutsideRoots, match="leads outside of what the plugin serves, which is") as caught:
        content(below(root), f"{root}/{path}")
    assert caught.value.path == f"{root}/{path}"


def test_name_that_begins_like_the_root_is_another(root: Path) -> None:
    with pytest.raises(OutsideRoots):
        content(below(root), root.parent / "root-of-another" / "file")


def test_no_roots_at_all_serve_nothing(root: Path) -> None:
    with pytest.raises(OutsideRoots, match="which is nothing"):
        content(Reach([]), root / "inner" / "file")


def test_without_roots_everything_is_read_that_the_user_may_read(root: Path) -> None:
    (root / "link").symlink_to("../secret")
    assert content(Reach(None), root / "link") == "secret"
    assert content(Reach(None), f"/../..{root}/inner/file") == "wanted"


def test_link_may_lead_from_one_root_to_another(root: Path) -> None:
    other = root.parent / "root-of-another"
    (root / "link").symlink_to(other / "file")
    assert content(Reach([str(root), str(other)]), root / "link") == "secret"


def test_root_may_be_a_link_of_the_operators(root: Path) -> None:
    (root.parent / "short").symlink_to(root)
    assert content(Reach([f"{root.parent}/short"]), f"{root.parent}/short/inner/file") == "wanted"


def test_links_in_a_circle_end(root: Path) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    with pytest.raises(OSError, match="symbolic links"):
        content(below(root), root / "one")


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_what_is_no_file_is_neither_opened_nor_waited_for(
    root: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / kind
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            monkeypatch.chdir(root)
            made.bind(kind)
    else:
        path = Path("/dev/null")
    with pytest.raises(NotFile):
        content(Reach(None), path)


def test_kinds_of_missing(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        content(below(root), root / "nothing")
    with pytest.raises(NotADirectoryError):
        content(below(root), root / "inner" / "file" / "x")
    with pytest.raises(IsADirectoryError):
        content(below(root), root / "inner")
    with pytest.raises(IsADirectoryError):
        content(below(root), root)
    with pytest.raises(NotADirectoryError):
        os.close(below(root).open_folder(os.fsencode(root / "inner" / "file")))


def test_names_need_not_be_text(root: Path) -> None:
    name = os.fsencode(root) + b"/\xff\xfe"
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    os.close(below(root).open_file(name))


@pytest.mark.parametrize("raw", [b"relative", b"/with\0null"])
def test_what_is_no_path_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidPayload, match="no absolute path"):
        path_of(ArtifactRequest(task="t", path="/x", stream=2, raw=raw))


@pytest.fixture
def turning(root: Path) -> Iterator[Path]:
    """A path whose folder turns into a link to the outside and back, as fast as it goes."""
    (root / "inner" / "secret").write_text("wanted")
    (root / "trap").symlink_to("..")
    os.rename(root / "inner", root / "turn")
    is_over = threading.Event()

    def turn() -> None:
        while not is_over.is_set():
            os.rename(root / "turn", root / "kept")
            os.rename(root / "trap", root / "turn")
            os.rename(root / "turn", root / "trap")
            os.rename(root / "kept", root / "turn")

    thread = threading.Thread(target=turn)
    thread.start()
    yield root / "turn" / "secret"
    is_over.set()
    thread.join()


def test_change_of_a_folder_for_a_link_never_leads_outside(root: Path, turning: Path) -> None:
    reach, seen = below(root), set()
    for _ in range(1500):
        try:
            seen.add(content(reach, turning))
        except (OutsideRoots, OSError) as error:
            seen.add(type(error).__name__)
    assert "secret" not in seen
    assert "wanted" in seen
