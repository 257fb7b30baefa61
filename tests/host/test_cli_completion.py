"""Words that a shell completes: from the host that runs, quickly, and without a word when none does."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from plugin_host.cli.bashwords import joined
from tests.host.cli_hosted import Hosted, hosted, serve
from tests.host.cli_run import Cli, cli
from tests.host.tmux import tmux_window

pytestmark = [pytest.mark.edges, pytest.mark.deadline(60)]

__all__ = ["cli", "hosted"]

# What bash does when a user presses Tab, for each line of words; `_` stands for the empty word.
SCRIPT = """
eval "$(plugin-host completion bash)"
compopt() { echo "compopt $2"; }
function=$(complete -p plugin-host | sed -E 's/.*-F ([^ ]+).*/\\1/')
while read -r -a COMP_WORDS; do
    [ "${COMP_WORDS[-1]}" = _ ] && COMP_WORDS[-1]=""
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
    "$function" plugin-host
    echo "${COMPREPLY[*]}"
done
"""


def completed(cli: Cli, lines: Sequence[str]) -> list[str]:
    """What bash offers for the last word of each line."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    words = "".join(f"plugin-host {line}\n" for line in lines)
    ended = subprocess.run(
        ["bash", "-c", SCRIPT], input=words, env=cli.env, capture_output=True, text=True, check=True
    )
    assert ended.stderr == ""
    return ended.stdout.splitlines()


def test_words_come_from_the_host_that_runs(hosted: Hosted) -> None:
    id = hosted.cli("exec", "-d", "desk", "sleep", "60").out.strip()
    expected = {
        "sta": "start status",
        "call d": "desk",
        "call desk d": "double",
        "exec -it desk/": "desk/local",
        "exec --det": "--detach --detach-keys",
        "exec desk ls x": "compopt default",
        "stop desk _": "idler",
        "attach _": id,
        "kill desk/": f"desk/{id}",
        "call desk double n": "",
    }
    offered = completed(hosted.cli, list(expected))
    assert offered[5:7] == ["compopt default", ""]
    del offered[6]
    assert dict(zip(expected, offered, strict=True)) == expected
    hosted.close(id)


# Whose words hold what shells and terminals obey, and more of it than fits beside an id.
UNRULY = ["sh", "-c", "sleep 60\n\techo \x1b]0;gotcha\x07" + "x" * 500]


def asked_by(cli: Cli, shell: str, line: str) -> str:
    """What the script for this shell is told for the empty word behind the line."""
    words = f"plugin-host {line} "
    place = "" if shell == "fish" else str(len(words.split()))
    env = {"COMP_WORDS": words, "COMP_CWORD": place, "_PLUGIN_HOST_COMPLETE": f"{shell}_complete"}
    return cli(env=env).out


def test_words_beside_an_id_are_one_line_that_a_terminal_can_be_shown(hosted: Hosted) -> None:
    cli = hosted.cli
    unruly = cli("exec", "-d", "desk", *UNRULY).out.strip()
    plain = cli("exec", "-d", "desk", "sleep", "60").out.strip()
    said = asked_by(cli, "zsh", "attach").splitlines()
    assert (said[0::3], said[1::3], said[5]) == (["plain"] * 2, [unruly, plain], "desk: sleep 60")
    assert said[2].startswith("desk: sh -c sleep 60\\n\\techo \\x1b]0;gotcha\\x07xx")
    assert len(said[2]) == 80
    assert asked_by(cli, "fish", "attach").splitlines() == [
        f"plain,{unruly}\t{said[2]}",
        f"plain,{plain}\tdesk: sleep 60",
    ]
    hosted.close(unruly)
    hosted.close(plain)


def test_zsh_offers_a_session_behind_one_of_many_lines(hosted: Hosted, tmp_path: Path) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    ids = [hosted.cli("exec", "-d", "desk", *words).out.strip() for words in (UNRULY, ["sleep", "60"])]
    with tmux_window(tmp_path, hosted.cli.env, rows=20) as window:
        window.enter("PS1='zsh> ' exec zsh -f")
        window.sees("zsh>")
        window.enter(
            "autoload compinit; compinit -D; eval \"$(plugin-host completion zsh)\"; echo lo''aded"
        )
        window.sees("loaded")
        window.run("send-keys", "-l", "plugin-host attach ")
        window.type("Tab")
        window.sees(*ids, "desk: sleep 60")
    for id in ids:
        hosted.close(id)


def pressed(cli: Cli, folder: Path, lines: Sequence[str]) -> list[str]:
    """What stands on the line when a user of bash has typed each of them and pressed Tab."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    shown = []
    with tmux_window(folder, cli.env, cols=300) as window:
        window.enter("PS1='bash> ' exec bash --norc --noprofile")
        window.sees("bash>")
        window.enter("bind 'set bell-style none'; eval \"$(plugin-host completion bash)\"; echo lo''aded")
        window.sees("loaded")
        for number, line in enumerate(lines):
            end = f"#end{number}"
            window.run("send-keys", "-l", f"plugin-host {line}")
            window.type("Tab")
            # The next key is read when the words are there.
            window.run("send-keys", "-l", end)
            shown.append(window.sees(end).rpartition("plugin-host ")[2].partition(end)[0])
            window.type("C-u")
    return shown


def test_bash_completes_behind_a_value_that_stands_behind_its_option(
    hosted: Hosted, cli: Cli, tmp_path: Path
) -> None:
    id = hosted.cli("exec", "-d", "desk", "sleep", "60").out.strip()
    cli.env["PLUGIN_HOST_SOCKET"] = ""
    socket = f"--socket={hosted.socket}"
    assert pressed(
        cli, tmp_path, [f"attach {socket} ", f"open-io {id} {socket} --streams=stdout,stdi"]
    ) == [
        f"attach {socket} {id} ",
        f"open-io {id} {socket} --streams=stdout,stdi",  # stdin and stdio
    ]
    assert pressed(cli, tmp_path, [f"open-io {id} --streams=stde"]) == [f"open-io {id} --streams=stderr "]
    hosted.close(id)


@pytest.mark.parametrize(
    ("words", "incomplete", "expected"),
    [
        (["a", "--b", "=", "c", "d"], "", (["a", "--b=c", "d"], "", "")),
        (["a", "--b", "=", "h", ":", "1"], "", (["a", "--b=h:1"], "", "")),
        (["a", "--b"], "=", (["a"], "--b=", "")),
        (["a", "--b", "="], "c", (["a"], "--b=", "c")),
        (["a", "/b", ":"], "c", (["a"], "/b:", "c")),
        (["a", "x", ":=", "1"], "c", (["a", "x:=1"], "", "c")),
        (["a", "b"], "c", (["a", "b"], "", "c")),
        ([], "=", ([], "", "=")),
    ],
)
def test_words_of_bash_are_joined_at_its_marks(
    words: list[str], incomplete: str, expected: tuple[list[str], str, str]
) -> None:
    assert joined(words, incomplete) == expected


def test_words_come_from_the_host_that_the_line_or_the_environment_names(
    hosted: Hosted, cli: Cli, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text("k" * 20)
    file.chmod(0o600)
    theirs = hosted.cli("exec", "-d", "desk", "sleep", "60").out.strip()
    place = cli.env["PLUGIN_HOST_SOCKET"]
    for other in serve(cli, tmp_path, place, "--listen", "127.0.0.1:0", "--psk-file", file):
        ours = other.cli("exec", "-d", "desk", "sleep", "60").out.strip()
        address = other.cli("status", "--json").json["host"]["listen"]
        local = f"--socket {hosted.socket}"
        cli.env["PLUGIN_HOST_SOCKET"] = hosted.socket
        lines = ["attach _", f"attach --connect {address} --psk-file {file} _"]
        assert completed(cli, lines) == [theirs, ours]
        cli.env |= {"PLUGIN_HOST_CONNECT": address, "PLUGIN_HOST_PSK_FILE": str(file)}
        assert completed(cli, ["attach _", f"attach {local} _"]) == [ours, theirs]
        for name in ("PLUGIN_HOST_CONNECT", "PLUGIN_HOST_PSK_FILE"):
            del cli.env[name]
        cli.env["PLUGIN_HOST_SOCKET"] = place
    hosted.close(theirs)


def test_listeners_signals_and_streams_are_offered(hosted: Hosted, tmp_path: Path) -> None:
    folder = Path(hosted.socket).with_name("control.commands")
    expected = {
        "send h": "host",
        f"send --command-dir {folder} d": "desk",
        f"send --command-dir {tmp_path} d": "",
        "send ./": "compopt default",
        "kill -s TE": "TERM",
        "kill -s SIGUSR": "SIGUSR1 SIGUSR2",
        "open-io x --streams _": "stdin stdout stderr stdio",
        "open-io x --streams stdout,std": "stdout,stdin stdout,stderr stdout,stdio",
    }
    lines = list(expected)
    offered = completed(hosted.cli, lines)
    assert offered[3:5] == ["compopt default", ""]
    del offered[4]
    assert dict(zip(lines, offered, strict=True)) == expected


def test_plugins_are_looked_for_where_no_host_runs(hosted: Hosted, cli: Cli) -> None:
    lines = [f"call --plugin-dir {hosted.plugins} d", "call _", "attach _", "exec -w _"]
    assert completed(cli, lines) == ["desk", "", "", ""]
    cli.config.write_text("nonsense")
    assert completed(cli, ["call _"]) == [""]


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete -o nosort -F"), ("zsh", "#compdef"), ("fish", "complete --")]
)
def test_scripts_are_printed_for_shells(cli: Cli, shell: str, mark: str) -> None:
    ended = cli("completion", shell)
    assert (ended.status, ended.err, mark in ended.out) == (0, "", True)
    assert "_PLUGIN_HOST_COMPLETE" in ended.out


def test_unknown_shell_is_wrong_usage(cli: Cli) -> None:
    assert cli("completion", "sh").status == 2
    assert cli("completion", "zsh", "--json").json["shell"] == "zsh"
