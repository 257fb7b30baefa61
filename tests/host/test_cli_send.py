"""`plugin-host send` and the listeners of `plugin-host run`: one running host, asked in every way."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from plugin_host.cli.listening import listener_names
from plugin_host.cli.option import Options
from plugin_host.cli.send import _place
from plugin_host.errors import ListenerUnreachable
from tests.host.cli_run import Background, Cli, cli
from tests.stage import write_plugin
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

__all__ = ["cli"]

CODE = """
import time

@plugin.command()
def greet(ctx, name: str = "world"): return {"text": f"hello {name}"}

@plugin.command()
def own(ctx): raise sdk.CommandError(42, "too hot")

@plugin.command()
def wait(ctx, seconds: float): time.sleep(seconds)
"""


@dataclass(frozen=True)
class Running:
    """A host that runs, and the command line beside it."""

    cli: Cli
    run: Background
    folder: Path

    def send(self, listener: str, request: Any, *options: str, **others: Any) -> Any:
        text = request if isinstance(request, str) else json.dumps(request)
        return self.cli("send", listener, text, *options, **others)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, wait_until: WaitUntil) -> Iterator[Running]:
    home = tmp_path_factory.mktemp("cli")
    cli = Cli(home)
    plugins = write_plugin(home / "plugins", "greeter", CODE)
    with cli.background("run", "--plugin-dir", plugins) as run:
        folder = Path(cli.env["PLUGIN_HOST_SOCKET"]).with_name("control.commands")
        # Its socket is there before the plugin is, whose process is to be known before the first test.
        wait_until(run.says("ready (pid"))
        assert (folder / "greeter").is_socket()
        yield Running(cli, run, folder)
        run.send(signal.SIGTERM)
        assert run.end().status == 0
        assert not folder.exists()


def test_reply_is_printed_and_the_status_is_that_of_the_reply(running: Running) -> None:
    sent = running.send("greeter", {"Command": "greet", "name": "Ada"}, "--json")
    assert (sent.status, sent.err) == (0, "")
    assert sent.out.count("\n") == 1
    assert sent.json == {"Status": 0, "StatusMessage": "", "text": "hello Ada"}
    own = running.send("greeter", {"Command": "own"}, "--json")
    assert (own.status, own.json) == (1, {"Status": 42, "StatusMessage": "too hot"})


def test_without_json_it_is_for_people(running: Running) -> None:
    sent = running.send("greeter", {"Command": "greet"})
    assert sent.out == '{\n  "Status": 0,\n  "StatusMessage": "",\n  "text": "hello world"\n}\n'


def test_host_tells_of_itself(running: Running) -> None:
    sent = running.send("host", {"Command": "host.status"}, "--json")
    assert sent.json["Pid"] == running.run.process.pid
    option = running.send("host", {"Command": "host.getoption", "Option": "commands.dir"}, "--json")
    assert option.json["Value"] == str(running.folder)


def test_sockets_are_for_the_user_alone(running: Running) -> None:
    assert stat.S_IMODE(running.folder.stat().st_mode) == 0o700
    for name in ("host", "greeter"):
        assert stat.S_IMODE((running.folder / name).stat().st_mode) == 0o600


def test_request_comes_from_a_file_or_from_stdin(running: Running, tmp_path: Path) -> None:
    request = '{"Command": "greet", "name": "Bob"}'
    (tmp_path / "request.json").write_text(request)
    for sent in (
        running.send("greeter", f"@{tmp_path / 'request.json'}", "--json"),
        running.send("greeter", "-", "--json", stdin=request),
    ):
        assert sent.json["text"] == "hello Bob"


def test_listener_is_found_by_the_socket_by_the_folder_and_by_its_path(
    running: Running, tmp_path: Path
) -> None:
    request = {"Command": "greet"}
    socket = str(running.folder.with_name("control.sock"))
    elsewhere = {"XDG_RUNTIME_DIR": str(tmp_path), "PLUGIN_HOST_SOCKET": ""}
    assert running.send("greeter", request, "--socket", socket, env=elsewhere).status == 0
    assert running.send("greeter", request, env={**elsewhere, "PLUGIN_HOST_SOCKET": socket}).status == 0
    assert running.send("greeter", request, "--command-dir", str(running.folder), env=elsewhere).status == 0
    assert running.send(str(running.folder / "greeter"), request, env=elsewhere).status == 0


def test_listener_that_is_not_there_is_status_3_and_told_what_is(running: Running, tmp_path: Path) -> None:
    wrong = running.send("greter", {"Command": "greet"})
    assert (wrong.status, wrong.out) == (3, "")
    assert "did you mean `greeter`?" in wrong.err
    assert "there are: greeter, host" in wrong.err
    nowhere = running.send("host", {}, "--socket", str(tmp_path / "x.sock"), "--json")
    assert nowhere.status == 3
    assert nowhere.error["type"] == "ListenerUnreachable"
    assert nowhere.error["code"] == 103
    gone = running.send(str(tmp_path / "socket"), {})
    assert gone.status == 3
    assert "no listener is there" in gone.err


@pytest.mark.parametrize(
    "request_text", ["", "nonsense", "[1]", "5", "{", "@/nonexistent", '{"$bytes": ""}']
)
def test_what_is_no_request_is_not_sent(running: Running, request_text: str) -> None:
    sent = running.send("host", request_text)
    assert (sent.status, sent.out) == (2, "")


@pytest.mark.parametrize(
    ("request_text", "problem"),
    [
        ('{"a": 1, "a": 2}', 'expected each name of a map once, found "a" again'),
        ('{"b": {"a": 1, "a": 2}}', 'expected each name of a map once, found "a" again'),
        ('{"command": "x", "Command": "y"}', "expected `Command` once, found `command` and `Command`"),
        ('{"a": NaN}', "column 7 (byte 6): expected a value, found 'N'"),
        ('{"Command": 5}', "$.Command: expected text, found"),
        ('{"a": "\udcff"}', "expected UTF-8 text, found byte 0xff"),
        ('{"a": 1', "the request ends in the middle"),
        ("{} {}", "expected a newline before the next request"),
        ("{}\n{}", "expected one JSON object, found more behind it"),
        ("null", "expected a JSON object, as in"),
    ],
)
def test_request_that_a_listener_could_not_read_is_refused_before_it_is_sent(
    running: Running, request_text: str, problem: str
) -> None:
    data = os.fsencode(request_text)
    for sent in (running.send("host", request_text, env={}), running.send("host", "-", stdin=data)):
        assert (sent.status, sent.out) == (2, "")
        assert problem in sent.err
        assert "parameters" not in sent.err


def test_request_is_sent_as_it_was_given(running: Running, tmp_path: Path, sockets: str) -> None:
    text = '{ "n": 1.50E+2,"u": "\\u00e9\\ud800 \u00e9",\n "Command":"x"}'
    seen: list[bytes] = []

    def once(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            seen.append(b"".join(iter(lambda: connection.recv(65536), b"")))
            connection.sendall(b'{"Status": 0}')

    place = f"{sockets}/once"
    (tmp_path / "request").write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\n")
    for given, expected in ((text, text), (f"@{tmp_path / 'request'}", text + "\n")):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(place)
            server.listen()
            thread = threading.Thread(target=once, args=(server,))
            thread.start()
            assert running.send(place, given).status == 0
            thread.join()
        os.unlink(place)
        assert seen.pop() == expected.encode()


def test_path_of_no_socket_is_told_from_one_that_an_option_changes(running: Running) -> None:
    sent = running.send("/" + "x" * 120, {})
    assert sent.status == 3
    assert "choose a shorter one with a symbolic link to its folder" in sent.err
    assert "--socket" not in sent.err


def test_reply_that_does_not_come_is_status_124(running: Running) -> None:
    sent = running.send("greeter", {"Command": "wait", "seconds": 20}, "--timeout", "0.3")
    assert sent.status == 124
    assert "no reply within 0.3 s" in sent.err


@pytest.mark.parametrize("end", ["", "\n"])
def test_one_line_with_socat_is_enough(running: Running, end: str) -> None:
    text = json.dumps({"Command": "greet", "name": "socat"})
    began = time.monotonic()
    ran = subprocess.run(
        ["socat", "-t", "60", "-", f"UNIX-CONNECT:{running.folder / 'greeter'}"],
        input=text + end,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert json.loads(ran.stdout)["text"] == "hello socat"
    assert time.monotonic() - began < 10


def test_second_host_at_the_same_place_is_told_of_the_first(running: Running) -> None:
    second = running.cli("run", "--plugin-dir", running.cli.config.parent / "plugins")
    assert second.status == 3
    assert f"process {running.run.process.pid} (uid {os.geteuid()}) already listens here" in second.err
    assert "--socket" in second.err
    assert running.send("host", {"Command": "host.status"}).status == 0


def test_configuration_says_where_and_for_whom(cli: Cli, tmp_path: Path, wait_until: WaitUntil) -> None:
    room = Path(cli.env["PLUGIN_HOST_SOCKET"]).parent
    cli.config.write_text(f'entry_points = false\n[commands]\ndir = "{room}/c"\nmode = "666"\n')
    plugins = write_plugin(tmp_path, "greeter", CODE)
    with cli.background("run", "--plugin-dir", plugins) as run:
        wait_until((room / "c" / "greeter").is_socket)
        assert stat.S_IMODE((room / "c" / "greeter").stat().st_mode) == 0o666
        assert stat.S_IMODE((room / "c").stat().st_mode) == 0o711
        assert cli("send", "greeter", '{"Command": "greet"}').status == 0
        run.send(signal.SIGINT)
        assert run.end().status == 0
    assert not (room / "c").exists()


def test_path_that_is_too_long_ends_run_with_an_explanation(cli: Cli, tmp_path: Path) -> None:
    plugins = write_plugin(tmp_path, "greeter", CODE)
    ended = cli("run", "--plugin-dir", plugins, "--command-dir", tmp_path / ("x" * 90))
    assert ended.status == 3
    assert "at most 107; choose a shorter one with --command-dir" in ended.err


def test_what_a_killed_host_left_is_swept_away_by_the_next(
    cli: Cli, tmp_path: Path, wait_until: WaitUntil
) -> None:
    folder = Path(cli.env["PLUGIN_HOST_SOCKET"]).with_name("control.commands")
    plugins = write_plugin(tmp_path / "plugins", "greeter", CODE)
    write_plugin(tmp_path / "plugins", "other", CODE)
    with cli.background("run", "--plugin-dir", plugins) as run:
        wait_until((folder / "other").is_socket)
        run.send(signal.SIGKILL)
        run.process.wait()
    assert (folder / "other").is_socket()
    with cli.background("run", "--plugin-dir", plugins, "--only", "greeter") as run:
        wait_until(lambda: cli("send", "greeter", '{"Command": "greet"}').status == 0)
        assert sorted(one.name for one in folder.iterdir()) == ["greeter", "host"]
        run.send(signal.SIGTERM)
        assert run.end().status == 0
    assert not folder.exists()


def test_listener_in_a_folder_that_may_be_passed_through_and_not_listed_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As members of the sockets' group may."""
    folder = str(tmp_path)
    assert listener_names(folder) == []
    with pytest.raises(ListenerUnreachable, match="there are no listeners in"):
        _place(Options(), "greeter", folder)

    def refuse(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "listdir", refuse)
    assert _place(Options(), "greeter", folder) == f"{folder}/greeter"
