"""`metadata` of a host that runs, which has metadata and a port by its configuration."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from tests.host.cli_hosted import Hosted, serve
from tests.host.cli_run import Cli, cli
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

__all__ = ["cli"]

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


@pytest.fixture
def there(cli: Cli, host: Hosted) -> Cli:
    """The command line, for which that host runs."""
    cli.env["PLUGIN_HOST_SOCKET"] = host.socket
    return cli


def test_configuration_says_what_there_is_at_first_and_where_the_host_listens(
    host: Hosted, there: Cli
) -> None:
    assert there("metadata", "get", "/site").out == "north\n"
    assert there("metadata", "get", "/limits", "--json").out == '{"depth": 3}\n'
    address = there("status", "--json").json["host"]["listen"]
    assert address.startswith("127.0.0.1:")
    key = host.cli.config.parent / "psk"
    words = ("metadata", "get", "/site", "--connect", address, "--psk-file", key)
    assert there(*words).out == "north\n"


def test_values_are_put_as_text_or_as_json_and_removed(host: Hosted, there: Cli) -> None:
    assert there("metadata", "set", "/task/name", "42") == there("metadata", "set", "/task/step", ":=42")
    assert there("metadata", "get", "/task", "--json").json == {"name": "42", "step": 42}
    assert (
        there("metadata", "set", "/task/blob", ':={"$bytes": "/w=="}', "--json").json["path"]
        == "/task/blob"
    )
    assert there("metadata", "get", "/task/blob", "--json").json == {"$bytes": "/w=="}
    assert there("metadata", "delete", "/task").out == ""
    gone = there("metadata", "get", "/task")
    assert (gone.status, gone.err) == (1, "plugin-host: there is no metadata /task\n")
    assert there("metadata", "delete", "/task", "--json").error["name"] == "metadata.not_found"


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("set", "/x", ":={"), 2, "VALUE: "),
        (("set", "x", "1"), 1, "begins with /"),
        (("set", "/site/x", "1"), 1, "/site is a value"),
        (("set", "/x", f":={10**29}"), 1, "plugin-host: cannot send value: an integer of 97 bits"),
        (("set", "/x", f':={{"y": [{10**29}]}}'), 1, "plugin-host: cannot send value.y[0]: an integer"),
        (("get",), 2, "PATH"),
        (("nothing",), 2, "nothing"),
        ((), 2, "watch"),
    ],
)
def test_what_is_wrong_is_said(there: Cli, words: tuple[str, ...], status: int, text: str) -> None:
    ended = there("metadata", *words)
    assert (ended.status, text in ended.err) == (status, True), ended


def test_a_watch_prints_every_change_until_it_is_ended(
    host: Hosted, there: Cli, wait_until: WaitUntil
) -> None:
    def change(value: object) -> None:
        host._ask("metadata.set", {"path": "/w", "value": value})

    with (
        there.background("metadata", "watch", "/w") as people,
        there.background("metadata", "watch", "/w", "--once", "--json") as programs,
    ):
        wait_until(people.says("-\n"))
        change("one\x1b")
        wait_until(people.says("one\\x1b\n"))
        change([b"\xff"])
        wait_until(people.says('[{"$bytes": "/w=="}]\n'))
        people.send(signal.SIGINT)
        assert people.end().status == 130
        number = 0
        while programs.process.poll() is None:  # it may not have begun when the others were made
            change(number := number + 1)
        told = json.loads(programs.end().out)
        assert (told["path"], told["exists"], told["version"] > 0) == ("/w", True, True)


def test_names_are_completed(there: Cli) -> None:
    words = "plugin-host metadata get /limits/"
    there.env.update(_PLUGIN_HOST_COMPLETE="bash_complete", COMP_CWORD="3", COMP_WORDS=words)
    assert there().out == "plain,/limits/depth\n"
