"""Whom a program runs as: the account that is named, or a refusal that says why not."""

from __future__ import annotations

import errno
import os
import pwd

import pytest

from plugin_host_sdk.errors import TerminalError
from plugin_host_sdk.exec import ExecSpec, Handler
from plugin_host_sdk.exec.identity import find_identity
from tests.otheruser import NOBODY, needs_root
from tests.sdk.managed import Manage


def test_nobody_in_particular_is_the_plugins_user() -> None:
    assert find_identity(None) is None
    assert find_identity(os.geteuid()) is None
    assert find_identity(pwd.getpwuid(os.geteuid()).pw_name) is None


@pytest.mark.parametrize("user", ["no-such-user", 2**31 - 5, -7, 2**70])
def test_user_that_is_not_there_is_named(user: str | int) -> None:
    with pytest.raises(TerminalError, match="there is no user") as caught:
        find_identity(user)
    assert caught.value.data["reason"] == "no_user"


def test_plugin_that_is_not_privileged_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(
        TerminalError, match="runs as user 12345 and may not run programs as 'root'"
    ) as caught:
        find_identity("root")
    assert caught.value.data["reason"] == "not_privileged"
    assert caught.value.data["errno"] == errno.EPERM


@needs_root
def test_account_has_its_own_groups_and_variables() -> None:
    identity = find_identity("nobody")
    assert identity is not None
    assert (identity.uid, identity.gid) == (NOBODY.pw_uid, NOBODY.pw_gid)
    assert 0 not in identity.groups
    assert identity.variables()["USER"] == "nobody"
    assert os.path.isdir(identity.folder)


@needs_root
@pytest.mark.parametrize("tty", [True, False])
def test_session_runs_as_the_user_of_its_spec(manage: Manage, tty: bool) -> None:
    spec = ExecSpec(["sh", "-c", "id -u; echo $USER $OWN"], cwd="/", env={"OWN": "own"}, user="nobody")
    managed = manage(Handler("who", session_handler=lambda ctx, opts: spec))
    managed.terminals.open = managed.terminals._real.open  # type: ignore[method-assign,assignment]
    managed.terminals.spawn = managed.terminals._real.spawn  # type: ignore[method-assign,assignment]
    managed.create(tty=tty)
    managed.attach()
    managed.sink.wait_for_exit("s")
    assert managed.sink.output(4).decode().split() == [str(NOBODY.pw_uid), "nobody", "own"]
