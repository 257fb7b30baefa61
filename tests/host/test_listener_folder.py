"""The paths of listeners: by default, beside a socket, and where the configuration says."""

from __future__ import annotations

from pathlib import Path

import pytest

from plugin_host.cli.listening import listener_folder
from plugin_host.cli.option import Options
from plugin_host.errors import SocketError
from plugin_host.listener.folder import commands_folder, endpoint_path

pytestmark = pytest.mark.edges


@pytest.mark.parametrize("name", ["host", "demo"])
def test_listener_is_in_the_runtime_folder_unless_a_socket_is_named(tmp_path: Path, name: str) -> None:
    environ = {"XDG_RUNTIME_DIR": "/run"}
    assert endpoint_path(name, environ) == f"/run/plugin-host/control.commands/{name}"
    named = {**environ, "PLUGIN_HOST_SOCKET": "/srv/my.sock"}
    assert endpoint_path(name, named) == f"/srv/my.commands/{name}"


def test_host_is_meant_when_no_name_is_given() -> None:
    assert endpoint_path(environ={"PLUGIN_HOST_SOCKET": "/x.sock"}) == "/x.commands/host"


def test_path_that_no_socket_can_have_is_refused() -> None:
    with pytest.raises(SocketError, match="at most 107"):
        endpoint_path(environ={"PLUGIN_HOST_SOCKET": "/" + "x" * 200})


@pytest.mark.parametrize(
    ("socket", "folder"),
    [("/a/b.sock", "/a/b.commands"), ("/a/b", "/a/b.commands"), ("/a.d/b", "/a.d/b.commands")],
)
def test_folder_has_the_name_of_the_socket(socket: str, folder: str) -> None:
    assert commands_folder(socket) == folder


def test_command_line_finds_the_folder_in_the_order_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run")
    config = tmp_path / "plugin-host.toml"
    config.write_text('[commands]\ndir = "c"\n[control]\nsocket = "s.sock"\n')
    options = Options(config=str(config))
    assert listener_folder(Options(config=str(config), socket="/x.sock"), "/d") == "/d"
    assert listener_folder(Options(config=str(config), socket="/x.sock"), None) == str(tmp_path / "c")
    config.write_text('[control]\nsocket = "s.sock"\n')
    assert listener_folder(Options(config=str(config), socket="/x.sock"), None) == "/x.commands"
    assert listener_folder(options, None) == str(tmp_path / "s.commands")
    config.write_text("")
    assert listener_folder(options, None) == "/run/plugin-host/control.commands"
