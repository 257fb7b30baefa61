"""What the page on command listeners says of statuses, limits and commands is so."""

from __future__ import annotations

import dataclasses
import re

from plugin_host.listener.builtin import BUILT_IN
from plugin_host.listener.limit import Limits
from plugin_host.listener.reply import Status
from tests.docs.test_completeness import missing, rows
from tests.source import ROOT

COMMANDS = ROOT / "docs" / "commands.md"


def test_every_limit_is_there_with_its_value() -> None:
    described = rows(COMMANDS)
    for field in dataclasses.fields(Limits):
        assert float(described[field.name][0]) == field.default, field.name


def test_every_status_is_there_and_no_other() -> None:
    shown = {int(code) for code in re.findall(r"^\| `(\d+)` \|", COMMANDS.read_text(), re.MULTILINE)}
    assert shown == {0, *Status}


def test_every_command_of_the_host_is_there() -> None:
    assert missing(BUILT_IN, COMMANDS) == []
    assert set(BUILT_IN) <= set(rows(COMMANDS))
