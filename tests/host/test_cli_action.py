"""`plugin-host action`, on a host that runs and on one of its own."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.host.cli_exec import Seat
from tests.host.cli_fork import ForkServer
from tests.host.cli_run import COMMAND, Background, Cli, cli
from tests.robot import write_robot
from tests.source import ROOT
from tests.wait import WaitUntil

pytestmark = pytest.mark.edges

__all__ = ["cli"]

UP_S = 15.0


@dataclass(frozen=True)
class Hosted:
    """`cli` reaches a host with `robot` and `automation`; `folder` is for the test's files."""

    cli: Cli
    process: Background
    plugins: Path

    def script(self, text: str, *words: str, plugin: str = "robot") -> list[str]:
        """The words that run a script."""
        path = self.plugins.parent / f"script{time.monotonic_ns()}"
        path.write_text(text)
        return ["action", "run-script", plugin, str(path), *words]


def serve(cli: Cli, folder: Path) -> Iterator[Hosted]:
    """Run a host with both plugins until the iteration ends."""
    plugins = write_robot(folder)
    (plugins / "automation").symlink_to(ROOT / "plugins" / "automation")
    # Where others than root can read.
    cli.config.write_text('entry_points = false\n[plugins.automation.settings]\nscript_dir = "/tmp"\n')
    with cli.background("run", "--json", "--plugin-dir", plugins) as process:
        end = time.monotonic() + UP_S
        while '"event": "ready"' not in process.out:
            assert time.monotonic() < end, process.err
            time.sleep(0.02)
        yield Hosted(cli, process, plugins)
        process.process.terminate()
        process.end()


@pytest.fixture(scope="module")
def hosted(
    tmp_path_factory: pytest.TempPathFactory, sockets: str, cli_server: ForkServer | None
) -> Iterator[Hosted]:
    """The host of this file's tests."""
    folder = tmp_path_factory.mktemp("hosted")
    cli = Cli(folder, cli_server)
    cli.env["PLUGIN_HOST_SOCKET"] = f"{sockets}/cli-action/control.sock"
    yield from serve(cli, folder)


@pytest.fixture
def alone(cli: Cli, tmp_path: Path, own_socket: str) -> Iterator[Hosted]:
    """A host for a test that ends processes of it."""
    cli.env["PLUGIN_HOST_SOCKET"] = own_socket
    yield from serve(cli, tmp_path)


def test_script_is_relayed_apart_and_its_status_is_the_commands(hosted: Hosted) -> None:
    ended = hosted.cli(*hosted.script("echo out; echo err >&2; exit 3"))
    assert (ended.status, ended.out, ended.err) == (3, "out\n", "err\n")


@pytest.mark.parametrize(
    ("text", "words", "status", "out"),
    [
        ("#!/bin/cat\nwords", [], 0, "#!/bin/cat\nwords"),
        ("echo $0 $1 | sed 's,.*/,,'; pwd", ["--cwd", "/", "--", "--all"], 0, "script --all\n/\n"),
        ("echo ${FOO}-${HOME}", ["-e", "FOO=bar"], 0, "bar-\n"),
        ("print(6 * 7)", ["--executable", "python3"], 0, "42\n"),
        ("kill -TERM $$", [], 143, ""),
        ("exec sleep 60", ["--timeout", "0.1"], 124, ""),
        ("trap 'exit 0' TERM; sleep 60 & wait", ["--timeout", "0.3"], 124, ""),
        ("id -un", ["--run-as", "nobody"], 0, "nobody\n"),
    ],
)
def test_script_runs_as_it_was_asked(
    hosted: Hosted, text: str, words: list[str], status: int, out: str
) -> None:
    if "--run-as" in words and os.geteuid() != 0:
        pytest.skip("only root runs scripts as others")
    ended = hosted.cli(*hosted.script(text, *words, plugin="automation"))
    assert (ended.status, ended.out) == (status, out), ended.err


@pytest.mark.parametrize(
    ("text", "words", "status", "said"),
    [
        ("#!/no/such", [], 126, "/no/such"),
        ("true", ["--executable", "no-such-program"], 127, "no-such-program"),
        ("true", ["--cwd", "relative"], 125, "no absolute path"),
        ("true", ["--run-as", "no-such-user"], 125, "no user 'no-such-user'"),
        ("true", ["--timeout", "0"], 125, "--timeout"),
        ("true", ["--all"], 125, "stands behind --"),
    ],
)
def test_script_that_cannot_run_is_explained(
    hosted: Hosted, text: str, words: list[str], status: int, said: str
) -> None:
    ended = hosted.cli(*hosted.script(text, *words, plugin="automation"))
    assert (ended.status, ended.out) == (status, "")
    assert said in ended.err


def test_own_failures_of_run_script_are_apart_from_the_scripts(hosted: Hosted) -> None:
    assert hosted.cli(*hosted.script("true", plugin="nobody")).status == 125
    missing = hosted.cli("action", "run-script", "robot", "/no/such/file", "--json")
    assert (missing.status, missing.error["exit_code"]) == (125, 125)
    assert "No such file" in missing.error["message"]


def test_script_that_is_too_long_is_named_with_the_limit(hosted: Hosted) -> None:
    words = hosted.script("# " + "x" * 16_800_000)
    ended = hosted.cli(*words)
    assert ended.status == 125
    assert f"{words[3]} is too long: a script has at most 16711680 bytes" in ended.err
    fits = hosted.script("exit 7\n" + "#" * 16_700_000, plugin="automation")
    assert hosted.cli(*fits).status == 7


def test_script_from_stdin_as_lines_of_json(hosted: Hosted) -> None:
    ended = hosted.cli("action", "run-script", "robot", "-", "--json", stdin="echo out; printf '\\377' >&2")
    *pieces, last = map(json.loads, ended.out.splitlines())
    came = {(one["stream"], one["offset"]): one["data"] for one in pieces}
    assert came == {("stdout", 0): "out\n", ("stderr", 0): {"$bytes": "/w=="}}
    assert (last["event"], last["result"]["code"], last["result"]["stdout"]) == ("finished", 0, "out\n")


def test_output_is_whole_however_much_there_is(hosted: Hosted) -> None:
    ended = hosted.cli(*hosted.script("head -c 3000000 /dev/zero | tr '\\0' x; echo done >&2"))
    assert (ended.status, len(ended.out), ended.err) == (0, 3_000_000, "done\n")


def test_interrupt_cancels_the_script_and_waits_for_its_end(hosted: Hosted, wait_until: WaitUntil) -> None:
    text = "trap 'echo cleaning; sleep 0.2; echo clean; exit 9' TERM; echo up; while :; do sleep 0.05; done"
    with hosted.cli.background(*hosted.script(text)) as running:
        wait_until(running.says("up"))
        running.send(signal.SIGINT)
        ended = running.end()
    assert (ended.status, ended.out) == (9, "up\ncleaning\nclean\n")


def test_script_that_was_ended_is_no_success_whatever_its_status(
    hosted: Hosted, wait_until: WaitUntil
) -> None:
    text = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"
    with hosted.cli.background(*hosted.script(text)) as running:
        wait_until(running.says("up"))
        running.send(signal.SIGINT)
        assert running.end().status == 130
    with hosted.cli.background(*hosted.script(text)) as running:
        wait_until(running.says("up"))
        newest = hosted.cli("action", "list", "--json").json[-1]["id"]
        hosted.cli("action", "cancel", newest, "--reason", "maintenance")
        ended = running.end()
    assert ended.status == 125
    assert "cancelled: maintenance" in ended.err


def test_reader_that_goes_away_ends_the_script(hosted: Hosted, wait_until: WaitUntil) -> None:
    words = hosted.script("trap '' PIPE; while :; do echo more; sleep 0.02; done")
    shell = f"{' '.join(COMMAND)} {' '.join(words)} | head -n 1"
    with Seat(hosted.cli, program=["sh", "-c", shell]) as seat:
        assert seat.process.wait(15) == 0

    def all_over() -> bool:
        return all(one["state"] != "running" for one in hosted.cli("action", "list", "--json").json)

    wait_until(all_over)


def test_death_of_the_command_cancels_its_script(hosted: Hosted, wait_until: WaitUntil) -> None:
    with hosted.cli.background(*hosted.script("echo up; exec sleep 60")) as running:
        wait_until(running.says("up"))
        running.send(signal.SIGKILL)
        running.end()

    def is_cancelled() -> bool:
        newest = hosted.cli("action", "list", "robot", "--json").json[-1]
        return str(newest["state"]) == "ended"

    wait_until(is_cancelled)


def test_action_is_listed_and_cancelled_by_the_beginning_of_its_id(
    hosted: Hosted, wait_until: WaitUntil
) -> None:
    with hosted.cli.background(*hosted.script("echo up; exec sleep 60")) as running:
        wait_until(running.says("up"))
        newest = hosted.cli("action", "list", "--json").json[-1]
        assert (newest["plugin"], newest["kind"], newest["state"]) == ("robot", "run_script", "running")
        assert newest["id"] in hosted.cli("action", "list").out
        ended = hosted.cli("action", "cancel", newest["id"][:20], "--grace", "0", "--json")
        assert ended.json == [{"action": newest["id"], "state": "cancelling"}]
        assert running.end().status in (143, 137)
    again = hosted.cli("action", "cancel", newest["id"])
    assert (again.status, again.out) == (0, f"{newest['id']}: not running\n")
    unknown = hosted.cli("action", "cancel", "nothing")
    assert unknown.status == 3
    assert "no action `nothing`" in unknown.err


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_upload(hosted: Hosted, tmp_path: Path, source: str) -> None:
    whole = bytes(range(256)) * 10_000
    (tmp_path / "source").write_bytes(whole)
    dest = tmp_path / "new" / "dest"
    words = ["action", "upload", "automation", str(tmp_path / "source") if source == "file" else "-"]
    ended = hosted.cli(
        *words, str(dest), "--mode", "640", "--parents", "--json", stdin=b"" if source == "file" else whole
    )
    assert ended.json == {
        "path": str(dest),
        "size": len(whole),
        "sha256": hashlib.sha256(whole).hexdigest(),
        "replaced": False,
    }
    assert dest.read_bytes() == whole
    assert dest.stat().st_mode & 0o7777 == 0o640
    assert ended.err == ""


def test_upload_with_exit_ends_the_plugin_and_one_without_does_not(
    alone: Hosted, tmp_path: Path, wait_until: WaitUntil
) -> None:
    def states() -> list[str]:
        plugins = alone.cli("status", "--json").json["plugins"]
        return [str(one["state"]) for one in plugins if one["id"] == "robot"]

    (tmp_path / "source").write_bytes(b"new")
    words = ["action", "upload", "robot", str(tmp_path / "source"), str(tmp_path / "dest")]
    before = alone.cli("call", "robot", "pid").out
    assert alone.cli(*words).status == 0
    assert alone.cli("call", "robot", "pid").out == before
    assert alone.cli(*words, "--exit").status == 0
    wait_until(lambda: states() == ["stopped"])
    assert (tmp_path / "dest").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["relative"], "no absolute path"),
        (["/tmp/x", "--mode", "798"], "octal"),
        (["/tmp/x", "--owner", "no-such-user"], "no user"),
        (["/tmp/x", "--owner", ":"], "USER:GROUP"),
    ],
)
def test_upload_that_makes_no_sense_is_wrong_usage(
    hosted: Hosted, tmp_path: Path, words: list[str], said: str
) -> None:
    (tmp_path / "source").touch()
    ended = hosted.cli("action", "upload", "robot", str(tmp_path / "source"), *words)
    assert ended.status == 2
    assert said in ended.err


def test_upload_shows_how_far_it_is_on_a_terminal_only(hosted: Hosted, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(3_000_000))
    words = ["action", "upload", "robot", str(source), str(tmp_path / "dest")]
    with Seat(hosted.cli, program=[*COMMAND, *words]) as seat:
        seat.see(" MB of 3.0 MB")
        seat.see("dest: 3000000 bytes")
        assert seat.process.wait(15) == 0


def test_refusal_is_status_1_and_names_the_option(hosted: Hosted) -> None:
    ended = hosted.cli("action", "reboot", "robot")
    assert ended.status == 1
    assert ended.err.endswith("  hint: the plugin's setting allow_reboot would allow it\n")
    told = hosted.cli("action", "shutdown", "automation", "--json").error
    assert (told["name"], told["data"], told["exit_code"]) == (
        "action.refused",
        {"option": "allow_shutdown"},
        1,
    )


def test_orders_say_what_came_of_them(hosted: Hosted) -> None:
    assert hosted.cli("action", "reload", "automation").out == "read, and in force\n"
    assert hosted.cli("action", "reload", "automation", "--json").json == {"restart": False}
    assert "robot: 1.0.0\n" in hosted.cli("action", "heartbeat", "robot").out


def test_plugin_that_a_reload_asks_to_restart_is_restarted(alone: Hosted) -> None:
    before = alone.cli("call", "robot", "pid").out
    assert "was restarted for it" in alone.cli("action", "reload", "robot").out
    assert alone.cli("call", "robot", "pid").out != before


def test_key_is_changed_in_steps_and_a_bad_one_is_taken_back(hosted: Hosted, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a new key\n")
    changed = hosted.cli("action", "change-key", "robot", str(key))
    assert (changed.status, changed.out) == (0, "the key was changed (fingerprint f1)\n")
    rejected = hosted.cli("action", "change-key", "robot", "-", "--json", stdin="bad")
    assert (rejected.status, rejected.error["name"]) == (1, "action.key_rejected")
    for text, word in {"\n": "there is no key in it", "k" * 513: "at most, not 513"}.items():
        refused = hosted.cli("action", "change-key", "robot", "-", stdin=text)
        assert refused.status == 2
        assert word in refused.err


def test_registration_answers_a_key_that_can_be_saved_out_of_sight(hosted: Hosted, tmp_path: Path) -> None:
    words = ["action", "register", "robot", "-"]
    shown = hosted.cli(*words, "--property", "hostname=web1", stdin="let me in\n")
    assert shown.out.startswith("key: new key\nfirst-run script first-run: ScriptResult(success=True")
    saved = tmp_path / "key"
    told = hosted.cli(*words, "--save", str(saved), "--json", stdin="let me in")
    assert (told.json["scripts"][0]["name"], "key" in told.json) == ("first-run", False)
    assert (saved.read_text(), saved.stat().st_mode & 0o777) == ("new key\n", 0o600)
    assert hosted.cli(*words, "--save", str(saved), stdin="let me in").status == 2
    other = tmp_path / "other"
    assert hosted.cli(*words, "--save", str(other), stdin="wrong").status == 1
    assert not other.exists()
    assert hosted.cli(*words, "--property", "color=red", stdin="let me in").status == 2


def test_plugin_is_started_for_an_action_where_no_host_runs(
    cli: Cli, tmp_path: Path, own_socket: str
) -> None:
    cli.env["PLUGIN_HOST_SOCKET"] = own_socket
    place = ("--plugin-dir", str(write_robot(tmp_path)))
    ended = cli("action", "run-script", "robot", "-", *place, stdin="echo out; exit 4")
    assert (ended.status, ended.out, ended.err) == (4, "out\n", "")
    left = cli("action", "exit", "robot", *place)
    assert (left.status, left.out) == (0, "leaving\n")
    died = cli("action", "shutdown", "robot", *place)
    assert died.status == 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_upload_whose_stdin_is_silent_ends_with_a_signal(
    hosted: Hosted, tmp_path: Path, wait_until: WaitUntil, number: signal.Signals
) -> None:
    words = ["action", "upload", "automation", "-", str(tmp_path / "dest")]
    reading, writing = os.pipe()

    def kinds() -> list[str]:
        listed = hosted.cli("action", "list", "--json").json
        return [one["kind"] for one in listed if one["state"] == "running"]

    try:
        with subprocess.Popen(
            [*COMMAND, *words], stdin=reading, stderr=subprocess.PIPE, env=hosted.cli.env
        ) as process:
            wait_until(lambda: "upload_file" in kinds())
            process.send_signal(number)
            _, err = process.communicate(timeout=10)
            assert (process.returncode, err) == (128 + number, b"")
    finally:
        os.close(reading)
        os.close(writing)
    assert not (tmp_path / "dest").exists()
