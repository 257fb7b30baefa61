"""Which ports a host opens: as given, else as configured."""

from __future__ import annotations

import click
import pytest

from plugin_host.cli.port import Ports
from plugin_host.configuration import Control


@pytest.mark.parametrize(
    ("given", "control", "expected"),
    [
        (Ports(), Control(), (None, None)),
        (Ports(sealed="a:1", psk_file="k"), Control(listen="b:2", psk_file="/l"), ("a:1", "k")),
        (Ports(), Control(listen="b:2", psk_file="/l"), ("b:2", "/l")),
        (Ports(sealed="a:1"), Control(psk_file="/l"), ("a:1", "/l")),
        (Ports(psk_file="k"), Control(listen="b:2"), ("b:2", "k")),
        (Ports(), Control(psk_file="/l"), (None, "/l")),
    ],
)
def test_what_is_given_wins_over_what_is_configured(
    given: Ports, control: Control, expected: tuple[str | None, str | None]
) -> None:
    ports = given.configured(control)
    assert (ports.sealed, ports.psk_file) == expected


@pytest.mark.parametrize(
    ("given", "control"), [(Ports(sealed="a:1"), Control()), (Ports(), Control(listen="b:2"))]
)
def test_a_port_needs_a_key(given: Ports, control: Control) -> None:
    with pytest.raises(click.UsageError, match=r"--listen needs --psk-file.*\[control\]"):
        given.configured(control)
