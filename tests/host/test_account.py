"""The users and groups that operators name."""

from __future__ import annotations

import os
import pwd

import pytest

from plugin_host import account
from plugin_host.account import account_of
from plugin_host.errors import LaunchError

pytestmark = pytest.mark.edges

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture(autouse=True)
def _privileged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "is_privileged", lambda: True)


@pytest.mark.parametrize("name", ["nobody", str(NOBODY.pw_uid)])
def test_user_is_found_by_name_and_by_number(name: str) -> None:
    found = account_of("a", name)
    assert (found.name, found.uid, found.gid) == ("nobody", NOBODY.pw_uid, NOBODY.pw_gid)
    assert set(found.groups) == set(os.getgrouplist("nobody", NOBODY.pw_gid))
    assert found.variables == {
        "HOME": NOBODY.pw_dir,
        "USER": "nobody",
        "LOGNAME": "nobody",
        "SHELL": NOBODY.pw_shell,
    }


@pytest.mark.parametrize("group", ["daemon", "1"])
def test_group_takes_the_place_of_the_primary_one(group: str) -> None:
    found = account_of("a", "nobody", group)
    assert found.gid == 1
    assert NOBODY.pw_gid not in found.groups


def test_number_without_a_name_needs_a_group() -> None:
    found = account_of("a", "3999999", "3999998")
    assert (found.uid, found.gid, found.groups) == (3999999, 3999998, (3999998,))
    assert found.variables["HOME"] == "/"
    with pytest.raises(LaunchError, match="a number without a name here") as caught:
        account_of("a", "3999999")
    assert caught.value.hint == "name a `group` beside `user`"


@pytest.mark.parametrize(
    ("user", "group", "words"),
    [
        ("no-such-user", None, "the user no-such-user, which does not exist here"),
        ("nobody", "no-such-group", "the group no-such-group, which does not exist here"),
        ("-1", None, "the user -1, which"),
        ("4294967295", None, "the user 4294967295, which"),  # stands for "leave it as it is"
        ("99999999999999999999", None, "which does not exist here"),
    ],
)
def test_unknown_names_are_explained(user: str, group: str | None, words: str) -> None:
    with pytest.raises(LaunchError, match=words) as caught:
        account_of("demo", user, group)
    assert caught.value.plugin == "demo"
    assert caught.value.hint is not None


def test_user_comes_with_all_groups_they_are_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [gid, 27, 44])
    assert account_of("a", "nobody").groups == (NOBODY.pw_gid, 27, 44)


def test_host_without_the_right_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "is_privileged", lambda: False)
    with pytest.raises(LaunchError, match="this host may not change users"):
        account_of("a", "nobody")


def test_right_takes_root_and_the_capabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not account.is_privileged()
