"""What an author declares of exec: taken as it was meant, or refused where it is written."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin_host_sdk import Plugin
from plugin_host_sdk.errors import HandlerNotFound, RegistrationError
from plugin_host_sdk.exec import (
    ActionTargetBuilder,
    ExecCapability,
    ExecSpec,
    Handler,
    PluginOpts,
    register_plugin,
    takes_terminal,
)
from plugin_host_sdk.exec.handler import find_handler
from plugin_host_sdk.protocol import MOST_REPLAY_BYTES

WRONG: Any = object()


def terminal(ctx: Any, opts: Any, tty: Any, resize: Any) -> int:
    return 0


async def terminal_async(ctx: Any, opts: Any, tty: Any, resize: Any) -> int:
    return 0


def files(ctx: Any, opts: Any) -> tuple[None, None]:
    return None, None


# How targets are found.


def test_absent_part_of_a_target_builder_is_empty() -> None:
    builder = ActionTargetBuilder()
    assert builder.to_wire() == {"label": "", "label_selector": "", "paths": [], "selectors": {}}
    assert ActionTargetBuilder.from_wire({}) == builder
    assert ActionTargetBuilder.from_wire({"label": None, "label_selector": None, "paths": None}) == builder


texts = st.text(max_size=5)


@given(texts, texts, st.lists(texts, max_size=3), st.dictionaries(texts, texts, max_size=3))
def test_target_builder_travels_as_a_map(
    label: str, selector: str, paths: list[str], selectors: dict[str, str]
) -> None:
    builder = ActionTargetBuilder(label, selector, paths, selectors)
    twin = ActionTargetBuilder.from_wire(builder.to_wire())
    assert twin == builder
    assert hash(twin) == hash(builder)
    assert (twin.label, twin.label_selector, twin.paths, twin.selectors) == (
        label,
        selector,
        tuple(paths),
        selectors,
    )


def test_target_builders_differ_by_any_part() -> None:
    one = ActionTargetBuilder("pod", "app=x", ["spec.containers"], {"kind": "Pod"})
    others = [
        ActionTargetBuilder("node", "app=x", ["spec.containers"], {"kind": "Pod"}),
        ActionTargetBuilder("pod", "app=y", ["spec.containers"], {"kind": "Pod"}),
        ActionTargetBuilder("pod", "app=x", ["spec"], {"kind": "Pod"}),
        ActionTargetBuilder("pod", "app=x", ["spec.containers"], {"kind": "Job"}),
    ]
    assert all(one != other for other in others)
    assert one != one.to_wire()
    assert "app=x" in repr(one)


def test_target_builder_keeps_what_it_was_given() -> None:
    selectors = {"kind": "Pod"}
    builder = ActionTargetBuilder(selectors=selectors)
    selectors["kind"] = "Job"
    builder.to_wire()["selectors"]["kind"] = "Node"
    assert builder.selectors == {"kind": "Pod"}


# What is to be run.


def test_spec_is_a_program_where_it_starts_and_what_it_sees() -> None:
    spec = ExecSpec(["bash", "-l"], cwd="/srv", env={"TOKEN": "secret", "PAGER": None})
    assert (spec.argv, spec.cwd, spec.env) == (
        ("bash", "-l"),
        "/srv",
        {"TOKEN": "secret", "PAGER": None},
    )
    bare = ExecSpec(("true",))
    assert (bare.argv, bare.cwd, bare.env) == (("true",), None, {})


def test_spec_shows_the_names_of_variables_and_not_their_values() -> None:
    shown = repr(ExecSpec(["env"], env={"TOKEN": "secret"}))
    assert shown == "ExecSpec(['env'], cwd=None, env=['TOKEN'])"


@pytest.mark.parametrize(
    ("argv", "error", "words"),
    [
        ("ls -l", TypeError, "a list of texts, not the text 'ls -l'"),
        (b"ls", TypeError, "a list of texts, not the text b'ls'"),
        ([], ValueError, "name a program"),
        (["ls", 5], TypeError, "5 is none"),
        (["ls", b"-l"], TypeError, "b'-l' is none"),
        (["ls", "a\0b"], ValueError, "null character"),
    ],
)
def test_spec_that_is_no_command_is_refused(argv: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ExecSpec(argv)


# Handlers.


def test_handler_that_has_only_a_resource_runs_commands() -> None:
    handler = Handler("local")
    assert handler.runs_commands
    assert handler.serves_pipes
    assert handler.default_command == ()
    assert handler.key == "/local"
    assert repr(handler) == "Handler('local')"


def test_key_is_plugin_and_resource() -> None:
    handler = Handler("pod/shell", plugin="demo")
    assert handler.key == "demo/pod/shell"
    assert repr(handler) == "Handler('demo/pod/shell')"


@pytest.mark.parametrize(
    ("functions", "runs_commands", "serves_pipes"),
    [
        ({}, True, True),
        ({"tty_handler": terminal}, False, False),
        ({"command_handler": files}, False, True),
        ({"session_handler": files}, False, True),
        ({"tty_handler": terminal, "session_handler": files}, False, True),
    ],
)
def test_functions_say_what_a_handler_serves(
    functions: dict[str, Any], runs_commands: bool, serves_pipes: bool
) -> None:
    handler = Handler("local", **functions)
    assert handler.runs_commands is runs_commands
    assert handler.serves_pipes is serves_pipes
    assert handler.describe()["pipes"] is serves_pipes


def test_description_says_all_that_a_caller_can_use() -> None:
    builder = ActionTargetBuilder("pod")
    handler = Handler("pod", "demo", builder, ["sh", "-i"], terminal, files, handles_resize=True)
    assert handler.describe() == {
        "key": "demo/pod",
        "plugin": "demo",
        "resource": "pod",
        "default_command": ["sh", "-i"],
        "target_builder": builder.to_wire(),
        "tty": True,
        "pipes": True,
        "handles_resize": True,
    }
    assert Handler("bare", "demo").describe()["target_builder"] is None


@pytest.mark.parametrize("functions", [{}, {"command_handler": files}, {"session_handler": files}])
def test_handler_that_takes_no_terminal_says_so(functions: dict[str, Any]) -> None:
    assert Handler("local", **functions).describe()["tty"] is True
    assert Handler("local", **functions, tty=False).describe()["tty"] is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"resource": ""}, "resource is a text"),
        ({"resource": None}, "resource is a text"),
        ({"resource": b"local"}, "resource is a text"),
        ({"resource": "a", "plugin": ""}, "an id without '/'"),
        ({"resource": "a", "plugin": "x/y"}, "an id without '/'"),
        ({"resource": "a", "plugin": 5}, "an id without '/'"),
        ({"resource": "a", "target_builder": {"label": "pod"}}, "is an ActionTargetBuilder"),
        ({"resource": "a", "tty_handler": "terminal"}, "cannot be called"),
        ({"resource": "a", "command_handler": 5}, "cannot be called"),
        ({"resource": "a", "session_handler": b""}, "cannot be called"),
        ({"resource": "a", "handles_resize": True}, "has no tty_handler"),
        (
            {"resource": "a", "handles_resize": True, "command_handler": files},
            "has no tty_handler",
        ),
        (
            {"resource": "a", "tty": False, "tty_handler": terminal},
            "a tty_handler, and serves no terminals",
        ),
        ({"resource": "a", "tty": False, "raw": True}, "raw mode, and serves no terminals"),
        ({"resource": "a", "default_command": "bash"}, "default_command of 'a' is a list"),
        ({"resource": "a", "default_command": [5]}, "5 is none"),
        ({"resource": "a", "default_command": ["a\0"]}, "null character"),
    ],
)
def test_handler_that_cannot_be_served_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(RegistrationError, match=words):
        Handler(**arguments)


class Site:
    def terminal(self, ctx: Any, opts: Any, tty: Any, resize: Any) -> None: ...

    def files(self, ctx: Any, opts: Any, *rest: Any) -> None: ...

    def __call__(self, ctx: Any, opts: Any, tty: Any, resize: Any) -> None: ...


def wrapped(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*arguments: Any) -> Any:
        return function(*arguments)

    return wrapper


@pytest.mark.parametrize(
    ("function", "takes"),
    [
        (terminal, True),
        (terminal_async, True),
        (files, False),
        (lambda ctx, opts, tty: None, False),
        (lambda ctx, opts, tty=None, resize=None: None, True),
        (Site().terminal, True),
        (Site().files, False),
        (Site(), True),
        (wrapped(terminal), True),
        (wrapped(files), False),
        (wrapped(Site().terminal), True),
        (functools.partial(lambda site, ctx, opts, tty, resize: None, "site"), True),
        (functools.partial(terminal, "ctx"), False),
        (len, False),
    ],
)
def test_function_with_room_for_the_terminal_takes_it(function: Any, takes: bool) -> None:
    assert takes_terminal(function) is takes


# What is registered.


def test_options_have_defaults() -> None:
    opts = PluginOpts()
    assert (opts.handlers, opts.replay_bytes, opts.settings, opts.limits) == ([], None, None, None)


@pytest.mark.parametrize("size", [0, 1, MOST_REPLAY_BYTES])
def test_replay_may_be_nothing_or_much(size: int) -> None:
    assert PluginOpts(replay_bytes=size).replay_bytes == size


@pytest.mark.parametrize("size", [-1, MOST_REPLAY_BYTES + 1, 1.5, True, "1"])
def test_replay_that_is_no_size_is_refused(size: Any) -> None:
    with pytest.raises(RegistrationError, match="replay_bytes is 0 to"):
        PluginOpts(replay_bytes=size)


def test_plugin_fills_in_its_id() -> None:
    plugin = Plugin("demo", version="1.0.0")
    capability = register_plugin(
        plugin, PluginOpts([Handler("local"), Handler("pod", plugin="kubernetes")], replay_bytes=5)
    )
    assert list(capability.handlers) == ["demo/local", "kubernetes/pod"]
    assert capability.replay_bytes == 5
    assert plugin.capabilities == {"exec": capability}


def test_registering_again_adds() -> None:
    plugin = Plugin("demo", version="1.0.0")
    first = register_plugin(plugin)
    assert first.handlers == {}
    assert register_plugin(plugin, PluginOpts([Handler("one")], replay_bytes=7)) is first
    assert register_plugin(plugin, PluginOpts([Handler("two")])) is first
    assert list(first.handlers) == ["demo/one", "demo/two"]
    assert register_plugin(plugin) is first


def test_key_that_is_taken_is_refused_and_nothing_is_registered_then() -> None:
    plugin = Plugin("demo", version="1.0.0")
    capability = register_plugin(plugin, PluginOpts([Handler("local")]))
    with pytest.raises(RegistrationError, match="'demo/local' is registered already"):
        register_plugin(plugin, PluginOpts([Handler("other"), Handler("local", plugin="demo")]))
    with pytest.raises(RegistrationError, match="'demo/new' is registered already"):
        register_plugin(plugin, PluginOpts([Handler("new"), Handler("new")]))
    assert list(capability.handlers) == ["demo/local"]


def test_what_is_no_handler_is_refused() -> None:
    with pytest.raises(RegistrationError, match="is no exec Handler"):
        register_plugin(Plugin("demo", version="1.0.0"), PluginOpts([WRONG]))


def test_decorator_registers_a_function_that_takes_the_terminal() -> None:
    plugin = Plugin("demo", version="1.0.0")
    builder = ActionTargetBuilder("pod")
    decorate = plugin.exec(
        "pod", plugin="other", target_builder=builder, default_command=["sh"], handles_resize=True
    )
    assert decorate(terminal) is terminal
    handler = handlers_of(plugin)["other/pod"]
    assert handler.tty_handler is terminal
    assert (handler.target_builder, handler.default_command, handler.handles_resize) == (
        builder,
        ("sh",),
        True,
    )


def test_decorator_registers_a_function_that_gives_files() -> None:
    plugin = Plugin("demo", version="1.0.0")
    assert plugin.exec("local")(files) is files
    handler = handlers_of(plugin)["demo/local"]
    assert (handler.tty_handler, handler.session_handler) == (None, files)
    assert handler.serves_pipes


def test_decorator_refuses_a_key_that_is_taken() -> None:
    plugin = Plugin("demo", version="1.0.0")
    plugin.exec("local")(files)
    with pytest.raises(RegistrationError, match="'demo/local' is registered already"):
        plugin.exec("local")(terminal)


def handlers_of(plugin: Plugin) -> Mapping[str, Handler]:
    capability = plugin.capabilities["exec"]
    assert isinstance(capability, ExecCapability)
    return capability.handlers


# Finding one.

TABLE = {
    handler.key: handler
    for handler in (Handler("local", "demo"), Handler("pod", "demo"), Handler("pod", "other"))
}
ONLY = {"demo/local": TABLE["demo/local"]}


def test_only_handler_need_not_be_named() -> None:
    assert find_handler(ONLY, None) is ONLY["demo/local"]


@pytest.mark.parametrize(
    ("wanted", "key"), [("demo/pod", "demo/pod"), ("other/pod", "other/pod"), ("local", "demo/local")]
)
def test_handler_is_named_by_its_key_or_by_a_resource_that_is_the_only_one(wanted: str, key: str) -> None:
    assert find_handler(TABLE, wanted) is TABLE[key]


@pytest.mark.parametrize(
    ("table", "wanted", "words"),
    [
        (TABLE, None, "more than one handler: name one"),
        (TABLE, "pod", "more than one handler of 'pod'"),
        (TABLE, "demo/none", "no handler 'demo/none'"),
        (TABLE, "", "no handler ''"),
        (TABLE, 5, "no handler 5"),
        (TABLE, ["pod"], r"no handler \['pod'\]"),
        (TABLE, {"key": "pod"}, "no handler {'key': 'pod'}"),
        ({}, None, r"no handler \(there are: none\)"),
        ({}, "local", r"no handler 'local' \(there are: none\)"),
    ],
)
def test_handler_that_is_not_found_is_told_with_those_there_are(
    table: Mapping[str, Handler], wanted: object, words: str
) -> None:
    with pytest.raises(HandlerNotFound, match=words) as caught:
        find_handler(table, wanted)
    assert caught.value.data == {"handlers": sorted(table)}
    assert caught.value.name == "exec.handler_not_found"


def generator(ctx: Any, opts: Any) -> Any:
    yield opts


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda: None, "is called with ctx, opts; .* takes 0 parameters"),
        (lambda ctx: None, "is called with ctx, opts; .* takes 1 parameters"),
        (lambda ctx, opts, more: None, "is called with ctx, opts; .* takes 3 parameters"),
        (lambda a, b, c, d, e: None, "is called with ctx, opts, tty, resize; .* takes 5 parameters"),
        (generator, "is a generator: return what to run"),
    ],
)
def test_function_that_cannot_be_called_as_a_handler_is_refused(function: Any, words: str) -> None:
    plugin = Plugin("demo", version="1.0.0")
    with pytest.raises(RegistrationError, match=words):
        plugin.exec("shell")(function)
    assert plugin.capabilities == {}


@pytest.mark.parametrize(
    "function", [lambda *given: None, lambda ctx, *more: None, lambda ctx, opts, more=1: None]
)
def test_function_with_room_for_more_serves(function: Any) -> None:
    assert Handler("shell", session_handler=function).session_handler is function
