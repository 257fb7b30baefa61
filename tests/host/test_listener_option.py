"""`host.getoption`: what is found, what is refused, and what nobody gets to see."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from plugin_host.configuration import convert
from plugin_host.errors import CommandError
from plugin_host.listener.option import HIDDEN, Options, option_tree
from plugin_host.listener.request import Request

pytestmark = pytest.mark.edges

CONFIGURATION = convert(
    {
        "plugin_dirs": ["/srv/plugins"],
        "plugins": {
            "demo": {
                "env": {"TOKEN": "secret-1"},
                "settings": {"password": "secret-2", "deep": {"key": "secret-3"}},
                "restart": {"max_failures": 7},
            }
        },
        "commands": {"mode": "660"},
    },
    file="test",
)
TREE = option_tree(CONFIGURATION, commands={"dir": "/run/x"}, version="1.2.3")


def asked(option: Any, tree: dict[str, Any] = TREE) -> Any:
    """The value, or the status."""
    fields = {} if option is None else {"Option": option}
    try:
        reply = asyncio.run(Options(tree)(Request("host.getoption", fields)))
    except CommandError as error:
        return error.status
    assert reply["Option"] == option
    return reply["Value"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("version", "1.2.3"),
        ("Version", "1.2.3"),
        ("VERSION", "1.2.3"),
        ("commands.dir", "/run/x"),
        ("commands.mode", "660"),
        ("plugin_dirs", '["/srv/plugins"]'),
        ("plugins.demo.restart.max_failures", "7"),
        ("plugins.demo.sandbox", "null"),
        ("entry_points", "true"),
    ],
)
def test_value_is_found_by_its_path_and_given_as_text(option: str, value: str) -> None:
    assert asked(option) == value


@pytest.mark.parametrize(
    "option",
    ["nothing", "commands.nothing", "version.foo", "plugins.demo.restart.max_failures.x", "plugins.x"],
)
def test_what_does_not_exist_is_status_1_also_behind_a_plain_value(option: str) -> None:
    assert asked(option) == 1


@pytest.mark.parametrize("option", [None, ""])
def test_no_option_is_status_2(option: str | None) -> None:
    assert asked(option) == 2


@pytest.mark.parametrize(
    "option",
    [".", "a.", ".a", "a..b", "1a", "a b", "a\n", "ä", "__class__", "a.__dict__", 5, None.__class__],
)
def test_name_that_can_be_none_is_status_3(option: Any) -> None:
    assert asked(str(option) if isinstance(option, type) else option) == 3


def test_error_names_what_is_alike() -> None:
    with pytest.raises(CommandError, match="did you mean `version`"):
        asyncio.run(Options(TREE)(Request("x", {"Option": "versoin"})))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("plugins.demo.env.TOKEN", HIDDEN),
        ("plugins.demo.settings.password", HIDDEN),
        ("plugins.demo.settings.deep", HIDDEN),
        ("plugins.demo.settings.deep.key", 1),
    ],
)
def test_secret_is_known_to_be_there_and_not_shown(option: str, value: Any) -> None:
    assert asked(option) == value


def test_no_path_leads_to_a_secret() -> None:
    def paths(tree: Any, before: str = "") -> list[str]:
        if not isinstance(tree, dict):
            return []
        here = [f"{before}{name}" for name in tree]
        return here + [deeper for name in tree for deeper in paths(tree[name], f"{before}{name}.")]

    every = paths(TREE)
    assert "plugins.demo.settings.password" in every
    assert not any("secret" in str(asked(path)) for path in every)


def test_host_without_a_configuration_has_options_too() -> None:
    tree = option_tree(None, commands={"dir": "/x"})
    assert asked("commands.dir", tree) == "/x"
    assert asked("plugins", tree) == 1
