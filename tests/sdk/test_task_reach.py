"""Files below some folders and nothing else: whatever names and links say, and while they change."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_host_sdk.errors import InvalidPayload, NotFile, OutsideRoots
from plugin_host_sdk.metadata.reach import Reach, path_of
from plugin_host_sdk.types.task import ArtifactRequest

PATIENCE_S = 15.0


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
    for end in ("/", "//", "/."):
        with pytest.raises(NotADirectoryError):
            content(below(root), f"{root}/inner/file{end}")
    with pytest.raises(IsADirectoryError):
        content(below(root), root / "inner")
    with pytest.raises(IsADirectoryError):
        content(below(root), f"{root}/inner/")
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
    """For 1500 rounds, and more where the one who turns it has had no luck yet."""
    reach, seen, rounds, end = below(root), Counter[str](), 0, time.monotonic() + PATIENCE_S
    while rounds < 1500 or (not {"wanted", "OutsideRoots"} <= seen.keys() and time.monotonic() < end):
        rounds += 1
        try:
            seen[content(reach, turning)] += 1
        except (OutsideRoots, OSError) as error:
            seen[type(error).__name__] += 1
    assert "secret" not in seen
    assert {"wanted", "OutsideRoots"} <= seen.keys()


class Turn:
    """What stands at a place turns into what lies in wait and back, right before certain system calls."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.calls = 0
        self.moments: tuple[int, ...] = ()
        for name in ("stat", "open", "readlink"):
            monkeypatch.setattr(os, name, self._counting(getattr(os, name)))

    def turn(self) -> None:
        os.rename(self.root / "turn", self.root / "kept")
        os.rename(self.root / "trap", self.root / "turn")
        os.rename(self.root / "kept", self.root / "trap")

    def _counting(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            if self.calls in self.moments:
                self.turn()
            self.calls += 1
            return call(*args, **options)

        return counted

    def seen(self, reach: Reach, path: Path, moments: tuple[int, ...]) -> str:
        """What is found at the path when it turns at these moments."""
        self.calls, self.moments = 0, moments
        try:
            return content(reach, path)
        except (OutsideRoots, NotFile, OSError) as error:
            return type(error).__name__
        finally:
            self.moments = ()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_change_at_any_moment_never_leads_outside(
    root: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "folder":
        (root / "turn").mkdir()
        (root / "turn" / "secret").write_text("wanted")
        (root / "trap").symlink_to("..")
        path = root / "turn" / "secret"
    else:
        (root / "turn").write_text("wanted")
        (root / "trap").symlink_to("../secret")
        path = root / "turn"
    place, reach = Turn(root, monkeypatch), below(root)
    seen: Counter[str] = Counter()
    for undisturbed in ("wanted", "OutsideRoots"):
        assert place.seen(reach, path, ()) == undisturbed
        calls = place.calls + 2
        for first, second in itertools.product(range(calls), range(calls)):
            before = os.path.islink(root / "turn")
            seen[place.seen(reach, path, (first, second))] += 1
            if os.path.islink(root / "turn") != before:
                place.turn()
        place.turn()
    assert "secret" not in seen
    assert {"wanted", "OutsideRoots"} <= seen.keys()
