"""Who may call which service, and whom a denial blames."""

from __future__ import annotations

import pytest

from plugin_host.permission import denial, reading_denial

pytestmark = pytest.mark.edges


def test_what_is_granted_is_not_denied() -> None:
    assert denial("a", "host.echo", asked=["host.echo"], granted=["host.echo"]) is None


def test_denial_blames_the_manifest_that_does_not_ask() -> None:
    reason = denial("a", "host.echo", asked=["host.now"], granted=["host.now"])
    assert reason is not None
    assert reason.startswith("plugin `a` may not call host.echo: its manifest does not ask for it")
    assert "configuration" not in reason
    assert reason.endswith("(granted: host.now)")


def test_denial_blames_the_configuration_that_withholds() -> None:
    reason = denial("a", "host.echo", asked=["host.echo"], granted=[])
    assert reason is not None
    assert "its manifest asks for it, and the host's configuration withholds it" in reason
    assert "[plugins.a]" in reason
    assert reason.endswith("(granted: nothing)")


@pytest.mark.parametrize(
    "pattern", ["host.*", "host.", "host", "*", "host.echo.*", "HOST.ECHO", "host.ech"]
)
def test_no_permission_stands_for_another(pattern: str) -> None:
    assert denial("a", "host.echo", asked=[pattern], granted=[pattern]) is not None


@pytest.mark.parametrize(
    ("permission", "path"),
    [("/task", "/task"), ("/task", "/task/env/HOME"), ("/", "/task"), ("/", "/"), ("/task/", "/task/env")],
)
def test_permission_to_read_is_for_a_path_and_all_below_it(permission: str, path: str) -> None:
    granted = [f"metadata.read:{permission}"]
    assert reading_denial("a", path, asked=granted, granted=granted) is None


@pytest.mark.parametrize(
    ("permission", "path"),
    [
        ("metadata.read:/task", "/"),
        ("metadata.read:/task", "/tasks"),
        ("metadata.read:/task/env", "/task"),
        ("metadata.read:task", "/task"),
        ("metadata.read", "/task"),
        ("metadata.read:", "/task"),
        ("metadata.write:/", "/task"),
        ("host.metadata.read:/", "/task"),
    ],
)
def test_permission_to_read_is_for_nothing_beside_or_above_it(permission: str, path: str) -> None:
    assert reading_denial("a", path, asked=[permission], granted=[permission]) is not None


def test_denial_to_read_says_who_withholds() -> None:
    wanted = ["metadata.read:/task"]
    withheld = reading_denial("a", "/task/env", asked=wanted, granted=[])
    assert withheld is not None
    assert "configuration withholds it" in withheld
    not_asked = reading_denial("a", "/other", asked=wanted, granted=wanted)
    assert not_asked is not None
    assert "metadata.read:/other must be listed in `permissions`" in not_asked
