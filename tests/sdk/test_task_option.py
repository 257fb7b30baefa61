"""What an author declares about tasks is checked where it is declared."""

from __future__ import annotations

from typing import Any

import pytest

import plugin_host_sdk as sdk
from plugin_host_sdk.metadata import PluginOpts, Surroundings


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"run": 3}, "run of metadata cannot be called"),
        ({"on_task": "build"}, "on_task of metadata cannot be called"),
        ({"surroundings": {}}, "surroundings of metadata cannot be called"),
        ({"at_once": 0}, "1 to 256 tasks, not 0"),
        ({"at_once": True}, "1 to 256 tasks, not True"),
        ({"at_once": 257}, "1 to 256 tasks, not 257"),
        ({"roots": "/srv"}, "list of folders"),
        ({"roots": ["srv"]}, "'srv' is no absolute path"),
        ({"roots": ["/a\0b"]}, "no absolute path"),
        ({"workdir": "build"}, "'build' is no absolute path"),
        ({"shell": "sh"}, "list of texts"),
        ({"shell": []}, "cannot be empty"),
        ({"shell": [1]}, "list of texts"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(sdk.RegistrationError, match=words):
        PluginOpts(**options)


def test_surroundings_may_depend_on_settings() -> None:
    opts = PluginOpts(
        surroundings=lambda settings: Surroundings(workdir=settings["where"]),
        at_once=lambda settings: len(settings),
    )
    assert opts.surroundings({"where": "/srv"}).workdir == "/srv"
    assert opts.width({"where": "/srv", "b": 1}) == 2
    with pytest.raises(sdk.RegistrationError, match="1 to 256"):
        opts.width({})


def test_print_shows_no_values_of_variables() -> None:
    assert "secret" not in repr(Surroundings(env={"TOKEN": "secret"}))
    assert "TOKEN" in repr(Surroundings(env={"TOKEN": "secret"}))


def test_second_registration_is_refused() -> None:
    plugin = sdk.Plugin("twice", version="1")
    sdk.metadata.register_plugin(plugin)
    with pytest.raises(sdk.RegistrationError, match="already"):
        sdk.metadata.register_plugin(plugin, PluginOpts())
    with pytest.raises(sdk.RegistrationError, match="no PluginOpts"):
        sdk.metadata.register_plugin(sdk.Plugin("other", version="1"), {"run": None})  # type: ignore[arg-type]


def test_every_name_that_is_offered_is_there() -> None:
    for name in sdk.metadata.__all__:
        assert getattr(sdk.metadata, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        getattr(sdk.metadata, "nothing")  # noqa: B009
