"""Who may call which service, and whom a denial blames."""

from __future__ import annotations

import pytest

from plugin_host.permission import denial


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
