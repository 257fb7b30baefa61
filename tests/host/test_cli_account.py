"""Whom a script runs as and whose a file is, as operators write it."""

from __future__ import annotations

import click
import pytest

from plugin_host.cli.account import run_as
from plugin_host_sdk.types.action import RunAs


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (None, RunAs()),
        ("root", RunAs(uid=0)),
        ("0:0", RunAs(uid=0, gid=0)),
        ("12345", RunAs(uid=12345)),
        (":root", RunAs(gid=0)),
        ("root:7", RunAs(uid=0, gid=7)),
    ],
)
def test_users_and_groups_are_named_or_numbered(text: str | None, meant: RunAs) -> None:
    assert run_as("--owner", text) == meant


@pytest.mark.parametrize(
    "text", ["", ":", "no-such-user", "root:no-such-group", "4294967295", "-1", "\u0966"]
)
def test_who_is_nobody_here_is_wrong_usage(text: str) -> None:
    with pytest.raises(click.UsageError, match="--owner"):
        run_as("--owner", text)
