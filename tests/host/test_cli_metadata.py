"""`metadata` of a host that runs, which has metadata and a port by its configuration."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from tests.host.cli_hosted import Hosted, serve
from tests.host.cli_run import Cli
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

CONFIG = """
entry_points = false
[metadata]
site = "north"
limits = { depth = 3 }
[control]
listen = "127.0.0.1:0"
psk_file = "psk"
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, sockets: str) -> Iterator[Hosted]:
    folder = tmp_path_factory.mktemp("metadata")
    one = Cli(folder)
    one.config.write_text(CONFIG)
    (folder / "psk").write_text("k" * 32)
    (folder / "psk").chmod(0o600)
    yield from serve(one, folder, f"{sockets}/metadata/control.sock")


def test_configuration_says_what_there_is_at_first_and_where_the_host_listens(host: Hosted) -> None:
    assert host.cli("metadata", "get", "/site").out == "north\n"
    assert host.cli("metadata", "get", "/limits", "--json").out == '{"depth": 3}\n'
    address = host.cli("status", "--json").json["host"]["listen"]
    assert address.startswith("127.0.0.1:")
    key = host.cli.config.parent / "psk"
    words = ("metadata", "get", "/site", "--connect", address, "--psk-file", key)
    assert host.cli(*words).out == "north\n"


def test_values_are_put_as_text_or_as_json_and_removed(host: Hosted) -> None:
    cli = host.cli
    assert cli("metadata", "set", "/task/name", "42") == cli("metadata", "set", "/task/step", ":=42")
    assert cli("metadata", "get", "/task", "--json").json == {"name": "42", "step": 42}
    assert (
        cli("metadata", "set", "/task/blob", ':={"$bytes": "/w=="}', "--json").json["path"] == "/task/blob"
    )
    assert cli("metadata", "get", "/task/blob", "--json").json == {"$bytes": "/w=="}
    assert cli("metadata", "delete", "/task").out == ""
    gone = cli("metadata", "get", "/task")
    assert (gone.status, gone.err) == (1, "plugin-host: there is no metadata /task\n")
    assert cli("metadata", "delete", "/task", "--json").error["name"] == "metadata.not_found"


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("set", "/x", ":={"), 2, "VALUE: "),
        (("set", "x", "1"), 1, "begins with /"),
        (("set", "/site/x", "1"), 1, "/site is a value"),
        (("get",), 2, "PATH"),
        (("nothing",), 2, "nothing"),
        ((), 2, "watch"),
    ],
)
def test_what_is_wrong_is_said(host: Hosted, words: tuple[str, ...], status: int, text: str) -> None:
    ended = host.cli("metadata", *words)
    assert (ended.status, text in ended.err) == (status, True), ended


def test_a_watch_prints_every_change_until_it_is_ended(host: Hosted, wait_until: WaitUntil) -> None:
    with (
        host.cli.background("metadata", "watch", "/w") as people,
        host.cli.background("metadata", "watch", "/w", "--json") as programs,
        host.cli.background("metadata", "watch", "/w", "--once") as once,
    ):
        wait_until(lambda: people.out == "-\n" and "\n" in programs.out)
        wait_until(lambda: "metadata watch" in host.cli("status", "--json").out)
        while once.process.poll() is None:  # it may not have begun yet
            host.cli("metadata", "set", "/w", "one\x1b")
            host.cli("metadata", "set", "/w", ':=["two"]')
        assert once.out in ("one\\x1b\n", '["two"]\n')
        wait_until(lambda: '["two"]\n' in people.out and "two" in programs.out)
        last = json.loads(programs.out.splitlines()[-1])
        assert (last["path"], last["exists"], last["value"]) == ("/w", True, ["two"])
        people.send(signal.SIGINT)
        assert people.end().status == 130
        assert "one\\x1b\n" in people.out


def test_names_are_completed(host: Hosted) -> None:
    env = {"_PLUGIN_HOST_COMPLETE": "bash_complete", "COMP_CWORD": "3"}
    offered = host.cli(env=env | {"COMP_WORDS": "plugin-host metadata get /"}).out
    assert [line.partition(",")[2] for line in offered.splitlines()][:2] == ["/limits", "/site"]
    offered = host.cli(env=env | {"COMP_WORDS": "plugin-host metadata get /limits/d"}).out
    assert offered == "plain,/limits/depth\n"
