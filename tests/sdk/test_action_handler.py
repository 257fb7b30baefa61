"""Declaring actions: what is no handler is refused at import, and nothing heavy is loaded for one."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import Any

import pytest

import plugin_host_sdk as sdk
from plugin_host_sdk import action
from plugin_host_sdk.errors import RegistrationError


def answer(ctx: Any, request: Any) -> None: ...


def generator(ctx: Any, request: Any) -> Any:
    yield request


@pytest.fixture
def plugin() -> sdk.Plugin:
    return sdk.Plugin("demo", version="1.0.0")


def test_kinds_are_told_sorted(plugin: sdk.Plugin) -> None:
    opts = action.PluginOpts(reboot=answer, exit=action.Handler("exit", answer, check=answer))
    capability = action.register_plugin(plugin, opts)
    plugin.action("heartbeat")(answer)
    assert capability.describe() == {"kinds": ["exit", "heartbeat", "reboot"]}
    assert plugin.capabilities["action"] is capability


def test_a_kind_has_one_handler(plugin: sdk.Plugin) -> None:
    plugin.action("reboot")(answer)
    with pytest.raises(RegistrationError, match="registered already"):
        plugin.action("reboot")(answer)
    with pytest.raises(RegistrationError, match="registered already"):
        action.register_plugin(plugin, action.PluginOpts(exit=answer, reboot=answer))
    assert list(action.register_plugin(plugin).handlers) == ["reboot"]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (None, "cannot be called"),
        (lambda ctx: None, "takes a context and the request"),
        (lambda: None, "cannot serve"),
        (lambda ctx, request, more: None, "takes a context and the request, not request, more"),
        (generator, "is a generator: return the result instead"),
    ],
)
def test_what_cannot_serve_is_refused(plugin: sdk.Plugin, function: Any, words: str) -> None:
    with pytest.raises(RegistrationError, match=words):
        action.Handler("exit", function)
    if function is not None:
        with pytest.raises(RegistrationError, match=words):
            action.Handler("exit", answer, check=function)


def test_what_is_callable_in_other_ways_serves() -> None:
    class Caller:
        async def __call__(self, ctx: Any, request: Any) -> None: ...

    assert action.Handler("exit", Caller()).is_async
    assert not action.Handler("exit", functools.partial(lambda a, ctx, request: None, 1)).is_async


def test_an_unknown_kind_is_refused_with_the_known_ones(plugin: sdk.Plugin) -> None:
    with pytest.raises(RegistrationError, match=r"'rebot' is no kind of action.*reboot"):
        plugin.action("rebot")(answer)
    with pytest.raises(RegistrationError, match="given for 'exit'"):
        action.PluginOpts(exit=action.Handler("reboot", answer))


@pytest.mark.parametrize("keepalive", [0, -1, "10"])
def test_a_keepalive_is_a_time(keepalive: Any) -> None:
    with pytest.raises(RegistrationError, match="keepalive"):
        action.PluginOpts(keepalive=keepalive)


def test_a_context_without_an_action_says_so() -> None:
    with pytest.raises(RuntimeError, match="'greet' is no action"):
        _ = sdk.Context(None, "greet").action  # type: ignore[arg-type]


def test_declaring_actions_loads_few_small_modules() -> None:
    code = """if True:
        import sys
        import plugin_host_sdk as sdk
        before = set(sys.modules)
        plugin = sdk.Plugin("demo", version="1")
        @plugin.action("run_script", check=lambda ctx, request: None)
        async def run(ctx, request: sdk.action.RunScript): ...
        print(" ".join(sorted(set(sys.modules) - before)))
    """
    done = subprocess.run(
        [sys.executable, "-c", "from __future__ import annotations\n" + code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        f"plugin_host_sdk.action{name}" for name in ("", ".capability", ".handler", "error")
    ]


def test_every_public_name_is_there() -> None:
    for name in action.__all__:
        assert getattr(action, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'RunScripts'"):
        _ = action.RunScripts  # type: ignore[attr-defined]
