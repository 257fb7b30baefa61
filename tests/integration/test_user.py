"""Plugins that run as another user, with another umask, and without new privileges."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from plugin_host import LaunchError, PluginHost, account
from plugin_host.configuration import convert
from tests.otheruser import NOBODY, lend_copies, needs_root, open_folder, reachable_python
from tests.run import Run
from tests.stage import stage, write_plugin

__all__ = ["open_folder"]

pytestmark = pytest.mark.edges

CODE = """
    import os, sys

    @plugin.command("facts")
    def facts(ctx):
        with open("/proc/self/status") as status:
            lines = {name: value.strip() for name, _, value in (line.partition(":") for line in status)}
        umask = os.umask(0)
        os.umask(umask)
        return {
            "ids": [os.getresuid(), os.getresgid(), sorted(os.getgroups())],
            "env": dict(os.environ),
            "cwd": os.getcwd(),
            "umask": umask,
            "no_new_privs": lines["NoNewPrivs"] == "1",
        }

    @plugin.command("speak")
    def speak(ctx):
        with open("/dev/stderr", "w") as stream:
            stream.write("opened by name\\n")

    @plugin.command("make")
    def make(ctx, path):
        open(path, "w").close()
"""


def host(folder: Path, **entry: Any) -> PluginHost:
    lent = folder / "lent"
    if not lent.exists():
        lend_copies(lent)
        launch = {"interpreter": reachable_python(), "env": {"PYTHONPATH": str(lent)}}
        write_plugin(folder / "plugins", "other", CODE, launch=launch)
    return stage(
        "other", dirs=[folder / "plugins"], config=convert({"plugins": {"other": entry}}, file="test")
    )


@needs_root
def test_plugin_runs_as_the_user_with_groups_and_variables_of_theirs(
    run: Run, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/0")

    async def body() -> None:
        async with host(open_folder, user="nobody") as one:
            facts = await one.call("other", "facts")
            uid, gid = NOBODY.pw_uid, NOBODY.pw_gid
            groups = sorted(os.getgrouplist("nobody", gid))
            assert facts["ids"] == [[uid] * 3, [gid] * 3, groups]
            env = facts["env"]
            assert (env["HOME"], env["USER"], env["LOGNAME"]) == (NOBODY.pw_dir, "nobody", "nobody")
            assert env["SHELL"] == NOBODY.pw_shell
            assert not {"XDG_RUNTIME_DIR", "TMPDIR"} & set(env)
            assert facts["cwd"] == "/"

    run(body())


@needs_root
def test_configured_variables_and_group_win(run: Run, open_folder: Path) -> None:
    async def body() -> None:
        entry = {
            "user": str(NOBODY.pw_uid),
            "group": "daemon",
            "env": {"HOME": "/tmp", "TMPDIR": "/var/tmp"},
        }
        async with host(open_folder, **entry) as one:
            facts = await one.call("other", "facts")
            assert facts["ids"][1] == [1] * 3
            assert (facts["env"]["HOME"], facts["env"]["TMPDIR"]) == ("/tmp", "/var/tmp")
            assert facts["env"]["USER"] == "nobody"

    run(body())


@needs_root
def test_its_descriptors_can_be_opened_by_name(
    run: Run, open_folder: Path, logged: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        async with host(open_folder, user="nobody") as one:
            await one.call("other", "speak")

    run(body())
    assert "stderr: opened by name" in logged.text


@needs_root
def test_root_stops_what_it_started_as_another(
    run: Run, open_folder: Path, logged: pytest.LogCaptureFixture
) -> None:
    write_plugin(
        open_folder / "plugins",
        "peer",
        protocol="msgpack-rpc",
        launch={"argv": ["sleep", "600"], "stop_timeout_s": 0.2},
    )
    config = convert({"plugins": {"peer": {"user": "nobody"}}}, file="test")

    async def body() -> None:
        async with stage("peer", dirs=[open_folder / "plugins"], config=config) as one:
            assert os.stat(f"/proc/{one.plugins['peer'].pid}").st_uid == NOBODY.pw_uid

    run(body())
    assert "plugin peer stopped: killed by SIGTERM" in logged.text


@needs_root
def test_folder_the_user_cannot_reach_is_named_before_anything_runs(run: Run, open_folder: Path) -> None:
    plugins = open_folder / "plugins"

    async def body() -> None:
        host(open_folder)
        plugins.chmod(0o700)
        async with host(open_folder, user="nobody") as one:
            error = one.plugins["other"].error
            assert isinstance(error, LaunchError)
            assert f"user nobody, who may not search {plugins} (mode 0700, owner root)" in str(error)
            assert error.file == str(plugins)
            assert error.hint is not None
            assert "allow nobody to search it" in error.hint

    run(body())


@needs_root
def test_interpreter_the_user_cannot_reach_is_named(run: Run, open_folder: Path) -> None:
    hidden = open_folder / "hidden"
    hidden.mkdir(mode=0o700)
    shutil.copy(reachable_python(), hidden / "python3")
    write_plugin(open_folder / "plugins", "peer", launch={"interpreter": str(hidden / "python3")})
    config = convert({"plugins": {"peer": {"user": "nobody"}}}, file="test")

    async def body() -> None:
        async with stage("peer", dirs=[open_folder / "plugins"], config=config) as one:
            text = str(one.plugins["peer"].error)
            assert f"may not search {hidden} (mode 0700, owner root), which is on the way to" in text

    run(body())


@needs_root
@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"user": "no-such-user"}, "the user no-such-user, which does not exist here"),
        ({"user": "nobody", "group": "no-such-group"}, "the group no-such-group, which does not exist"),
        ({"user": "4000000"}, "a number without a name here"),
    ],
)
def test_unknown_names_are_explained(
    run: Run, open_folder: Path, entry: dict[str, str], words: str
) -> None:
    async def body() -> None:
        async with host(open_folder, **entry) as one:
            error = one.plugins["other"].error
            assert isinstance(error, LaunchError)
            assert words in str(error)

    run(body())


def test_host_without_the_right_says_so_before_anything_runs(
    run: Run, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "is_privileged", lambda: False)

    async def body() -> None:
        async with host(open_folder, user="nobody") as one:
            error = one.plugins["other"].error
            assert isinstance(error, LaunchError)
            assert "run as user nobody, and this host may not change users" in str(error)
            assert error.hint == "run the host as root, or remove `user` from the plugin's configuration"

    run(body())


def test_umask_is_the_operators_word_or_the_manifests(run: Run, open_folder: Path, tmp_path: Path) -> None:
    write_plugin(open_folder / "plugins", "own", CODE, launch={"umask": "027", "no_new_privs": True})

    async def body() -> None:
        for entry, umask, gives_up in (
            ({}, 0o027, True),
            ({"umask": "077", "no_new_privs": False}, 0o077, False),
            ({"umask": 0}, 0, True),
        ):
            config = convert({"plugins": {"own": entry}}, file="test")
            async with stage("own", dirs=[open_folder / "plugins"], config=config) as one:
                facts = await one.call("own", "facts")
                assert (facts["umask"], facts["no_new_privs"]) == (umask, gives_up)
                await one.call("own", "make", {"path": str(tmp_path / "made")})
                assert stat.S_IMODE(os.stat(tmp_path / "made").st_mode) == 0o666 & ~umask
                os.unlink(tmp_path / "made")

    run(body())


def test_program_without_the_sdk_gives_new_privileges_up_too(run: Run, open_folder: Path) -> None:
    said = open_folder / "said"
    script = f"grep NoNewPrivs /proc/self/status >{said}; exec cat"
    launch = {"argv": ["sh", "-c", script]}
    write_plugin(open_folder / "plugins", "peer", protocol="msgpack-rpc", launch=launch)
    config = convert({"plugins": {"peer": {"no_new_privs": True}}}, file="test")

    async def body() -> None:
        async with stage("peer", dirs=[open_folder / "plugins"], config=config):
            pass

    run(body())
    assert said.read_text().split() == ["NoNewPrivs:", "1"]


def test_without_a_word_nothing_changes(run: Run, open_folder: Path) -> None:
    write_plugin(open_folder / "plugins", "own", CODE)
    umask = os.umask(0o022)
    os.umask(umask)

    async def body() -> None:
        async with stage("own", dirs=[open_folder / "plugins"]) as one:
            facts = await one.call("own", "facts")
            assert (facts["umask"], facts["no_new_privs"], facts["cwd"]) == (umask, False, os.getcwd())
            assert facts["ids"][0] == list(os.getresuid())

    run(body())
