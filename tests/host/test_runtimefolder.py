"""Where a user's sockets lie: which folder is taken, and which is not trusted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from plugin_host.errors import SocketError
from plugin_host.runtimefolder import default_socket, runtime_folder
from tests.otheruser import needs_root


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in a temporary one, as for a user without a runtime folder; not made."""
    monkeypatch.setattr("plugin_host.runtimefolder._SYSTEM", "/nonexistent")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return tmp_path / f"plugin-host-{os.geteuid()}"


def test_folder_of_the_user_comes_first(tmp_path: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert runtime_folder(environ) == f"{tmp_path}/plugin-host"
    assert default_socket(environ) == f"{tmp_path}/plugin-host/control.sock"
    assert not (tmp_path / "plugin-host").exists()


@needs_root
@pytest.mark.parametrize("given", ["", "relative", "/nonexistent", "/etc/passwd"])
def test_root_has_one_of_the_system(given: str) -> None:
    assert runtime_folder({"XDG_RUNTIME_DIR": given}) == "/run/plugin-host"


@needs_root
def test_folder_of_another_user_left_over_from_su_is_not_taken(tmp_path: Path) -> None:
    os.chown(tmp_path, 1, 1)
    assert runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path)}) == "/run/plugin-host"


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_folder_in_which_everybody_may_make_one_is_not_taken(
    tmp_path: Path, temporary: Path, mode: int
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    given.chmod(mode)
    environ = {"XDG_RUNTIME_DIR": str(given), "TMPDIR": str(tmp_path)}
    assert runtime_folder(environ) == str(temporary)


def test_else_it_is_in_the_temporary_folder(temporary: Path) -> None:
    assert runtime_folder() == str(temporary)
    temporary.mkdir(mode=0o700)
    assert runtime_folder() == str(temporary)


def test_temporary_folder_that_others_may_enter_is_not_trusted(temporary: Path) -> None:
    temporary.mkdir()
    temporary.chmod(0o755)
    with pytest.raises(SocketError, match=r"mode 0755, not 0700.*set XDG_RUNTIME_DIR"):
        runtime_folder()


@needs_root
def test_temporary_folder_that_somebody_else_made_is_not_trusted(temporary: Path) -> None:
    temporary.mkdir(mode=0o700)
    os.chown(temporary, 1, 1)
    with pytest.raises(SocketError, match="belongs to"):
        runtime_folder()


def test_link_in_its_place_is_not_followed(temporary: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    temporary.symlink_to("elsewhere")
    with pytest.raises(SocketError, match="expected a folder"):
        runtime_folder()
