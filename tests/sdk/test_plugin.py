"""The object an author makes: what it refuses at import, where a mistake is cheapest."""

from __future__ import annotations

from typing import Any

import pytest

import plugin_host_sdk as sdk
from plugin_host_sdk import Plugin, RegistrationError, command
from plugin_host_sdk.protocol import WORKERS
from plugin_host_sdk.version import VERSION


def demo() -> Plugin:
    return Plugin("demo", version="1.0.0")


@pytest.mark.parametrize("id", ["a", "a1", "a-b_c", "x" * 64])
def test_good_ids_are_taken(id: str) -> None:
    assert Plugin(id, version="1").id == id


@pytest.mark.parametrize("id", ["", "A", "1a", "-a", "a b", "a.b", "ä", "x" * 65, "a\n", None, 5, b"a"])
def test_bad_ids_are_refused(id: Any) -> None:
    with pytest.raises(RegistrationError, match="is no plugin id"):
        Plugin(id, version="1")


@pytest.mark.parametrize("version", ["", None, 1, 1.0, b"1"])
def test_version_is_a_text(version: Any) -> None:
    with pytest.raises(RegistrationError, match="the version of 'demo'"):
        Plugin("demo", version=version)


@pytest.mark.parametrize("workers", [0, -1, 1025, 2.5, "4", True, None])
def test_workers_are_a_sensible_number(workers: Any) -> None:
    with pytest.raises(RegistrationError, match="workers of 'demo' are 1 to 1024"):
        Plugin("demo", version="1", workers=workers)


def test_workers_are_32_when_nobody_says_otherwise() -> None:
    assert demo().workers == WORKERS == 32


def test_decorator_registers_under_the_given_or_its_own_name() -> None:
    plugin = demo()

    @plugin.command("greet", help="Say hello.")
    def one(ctx: sdk.Context) -> str:
        return "hello"

    @plugin.command()
    def own_name(ctx: sdk.Context) -> None:
        """First line.

        Second.
        """

    assert plugin.commands.names == ["greet", "own_name"]
    assert plugin.capabilities["command"].describe() == {"commands": ["greet", "own_name"]}
    handlers = plugin.commands._handlers
    assert (handlers["greet"].help, handlers["own_name"].help) == ("Say hello.", "First line.")
    assert one(None) == "hello"  # type: ignore[arg-type]  # the function is still the author's


def test_decorator_without_parentheses_is_told() -> None:
    with pytest.raises(RegistrationError, match="with parentheses"):
        demo().command(lambda ctx: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("decorator", ["exec", "action"])
def test_decorator_that_needs_a_name_is_told_without_parentheses(decorator: str) -> None:
    plugin = Plugin("demo", version="1.0.0")
    with pytest.raises(RegistrationError, match="with parentheses"):
        getattr(plugin, decorator)(lambda ctx, opts: None)
    assert plugin.capabilities == {}


def test_function_in_a_list_of_commands_is_told() -> None:
    functions: Any = [lambda ctx: 1]
    with pytest.raises(RegistrationError, match="is no command Handler: name it in a map"):
        command.register_plugin(Plugin("demo", version="1.0.0"), command.PluginOpts(functions))


def test_duplicate_registration_raises_at_import() -> None:
    plugin = demo()
    plugin.command("greet")(lambda ctx: 1)
    with pytest.raises(RegistrationError, match="'greet' is registered already"):
        plugin.command("greet")(lambda ctx: 2)


def test_capability_is_registered_once() -> None:
    plugin = demo()
    first = command.register_plugin(plugin, command.PluginOpts(handlers={"a": lambda ctx: 1}))
    again = command.register_plugin(plugin, command.PluginOpts(handlers=[command.Handler("b", print)]))
    assert first is again is plugin.commands
    assert first.names == ["a", "b"]
    with pytest.raises(RegistrationError, match="has the capability 'command' already"):
        plugin.add_capability(command.Monitor())


def test_of_several_handlers_none_is_registered_when_one_cannot_be() -> None:
    plugin = demo()
    plugin.command("b")(lambda ctx: 1)
    options = command.PluginOpts(handlers={"a": lambda ctx: 1, "b": lambda ctx: 2})
    with pytest.raises(RegistrationError, match="'b'"):
        command.register_plugin(plugin, options)
    assert plugin.commands.names == ["b"]


def test_repr_tells_what_it_is() -> None:
    plugin = demo()
    assert repr(plugin) == "Plugin('demo', version='1.0.0', capabilities=[])"
    plugin.command("a")(lambda ctx: 1)
    assert "capabilities=['command']" in repr(plugin)


def test_every_public_name_of_the_sdk_is_there() -> None:
    for name in sdk.__all__:
        assert getattr(sdk, name) is not None
    assert sdk.__version__ == VERSION
