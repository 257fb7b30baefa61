"""Nothing public is missing from the pages, and what they say of defaults and codes is so."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

import plugin_host
import plugin_host.action
import plugin_host.sync
import plugin_host_sdk
from plugin_host import hookspecs
from plugin_host.cli import failure, program
from plugin_host.configuration import Configuration, PluginConfiguration
from plugin_host.control import ControlServer
from plugin_host.environment import ALLOWED
from plugin_host.localsocket import LocalSocket
from plugin_host.manifest import Health, Launch, Manifest
from plugin_host_sdk.types.session import SessionOptions
from tests.docs.page import prose
from tests.source import ROOT

pytestmark = pytest.mark.edges

AUTHOR, EMBEDDER, TASKS, ACTIONS, OPERATOR, MANIFEST, PROTOCOL, CONTROL = (
    ROOT / "docs" / f"{name}.md"
    for name in ("author", "embedder", "tasks", "actions", "operator", "manifest", "protocol", "control")
)


# What other parts of the host call, and embedders do not.
ACTION_INSIDE = {
    "accept",
    "alive",
    "check_plugin",
    "ended",
    "finish",
    "forget_reader",
    "lose",
    "name",
    "received",
    "skipped",
    "wake",
    "when_over",
}


def missing(names: Iterable[str], *pages: Path) -> list[str]:
    """The names that none of the pages has as code."""
    text = "\n".join(page.read_text() for page in pages)
    return [name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)]


def rows(page: Path) -> dict[str, list[str]]:
    """The rows of all tables whose first cell is code, by that code."""
    found = {}
    for line in prose(page):
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `"):
            found[cells[0].strip("| ").strip("`")] = [cell.strip("| ") for cell in cells[1:]]
    return found


@pytest.mark.parametrize(
    ("package", "pages"),
    [
        (plugin_host, [EMBEDDER, TASKS, ACTIONS]),
        (plugin_host.sync, [EMBEDDER, TASKS, ACTIONS]),
        (plugin_host.action, [ACTIONS]),
        (plugin_host_sdk, [AUTHOR]),
        (plugin_host_sdk.exec, [AUTHOR]),
        (plugin_host_sdk.action, [AUTHOR]),
        (plugin_host_sdk.testing, [AUTHOR]),
    ],
    ids=["host", "sync", "actions", "sdk", "exec", "action", "testing"],
)
def test_every_public_name_is_on_its_page(package: Any, pages: list[Path]) -> None:
    assert missing(set(package.__all__) - {"__version__"}, *pages) == []


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        (plugin_host.Tasks, "host.tasks."),
        (plugin_host.Task, "task."),
        (plugin_host.LogReader, ""),
        (plugin_host.Artifact, "artifact."),
        (plugin_host.TaskInfo, ""),
        (plugin_host.TaskResult, ""),
        (plugin_host.FolderEntry, ""),
        (plugin_host.TaskWorker, ""),
    ],
)
def test_everything_about_tasks_is_on_the_page_about_them(kind: type, prefix: str) -> None:
    names = {name for name in vars(kind) if not name.startswith("_")}
    names |= {name for name in getattr(kind, "__annotations__", {}) if not name.startswith("_")}
    inside = (
        {"close"} if kind is plugin_host.Tasks else {"key"} if kind is plugin_host.FolderEntry else set()
    )
    assert missing([prefix + name for name in sorted(names - inside)], TASKS) == []


@pytest.mark.parametrize("function", [plugin_host.Tasks.run, plugin_host.Task.open_shell])
def test_every_argument_about_tasks_is_on_the_page_about_them(function: Any) -> None:
    shared = set(inspect.signature(plugin_host.PluginHost.exec).parameters)
    names = [name for name in inspect.signature(function).parameters if name not in ("self", "plugin")]
    if function is plugin_host.Task.open_shell:  # the others are those of a session
        assert set(names) <= shared
        names = ["command", "tty"]
    assert [name for name in names if f"{name}=" not in TASKS.read_text()] == []


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        (plugin_host.Actions, "host.actions."),
        (plugin_host.ActionRun, "run."),
        (plugin_host.action.ActionInfo, ""),
    ],
)
def test_everything_about_actions_is_on_the_page_about_them(kind: type, prefix: str) -> None:
    names = {name for name in vars(kind) if not name.startswith("_")}
    shown = {"sent", "total"} if kind is plugin_host.action.ActionInfo else ACTION_INSIDE
    assert missing([prefix + name for name in sorted(names - shown)], ACTIONS) == []


def test_every_argument_about_actions_is_on_the_page_about_them() -> None:
    arguments = inspect.signature(plugin_host.Actions.trigger).parameters
    assert missing([name for name in arguments if name != "self"], ACTIONS) == []


def test_every_method_of_the_host_is_on_the_page_for_embedders() -> None:
    methods = [name for name in vars(plugin_host.PluginHost) if not name.startswith("_")]
    assert missing([f"host.{name}" for name in methods], EMBEDDER) == []


@pytest.mark.parametrize("function", [plugin_host.PluginHost.exec, plugin_host.Session.attach])
def test_every_argument_about_sessions_is_on_the_page_for_embedders(function: Any) -> None:
    arguments = [name for name in inspect.signature(function).parameters if name not in ("self", "plugin")]
    assert [name for name in arguments if f"`{name}=" not in EMBEDDER.read_text()] == []


SESSION_INSIDE = {
    "check_kept",
    "check_plugin",
    "consume",
    "detach_viewer",
    "failure",
    "forget",
    "is_over",
    "is_read",
    "join",
    "looked_at",
    "lose",
    "next_viewer",
    "note_exit",
    "open_input",
    "opened",
    "precedes",
    "resize_as",
    "stop",
    "write_as",
}
VIEWER_INSIDE = {"attached", "ended", "has_all", "joined", "name", "received", "skipped", "streams", "wake"}


@pytest.mark.parametrize(
    ("kind", "word", "inside"),
    [
        (plugin_host.Session, "session", SESSION_INSIDE),
        (plugin_host.Viewer, "viewer", VIEWER_INSIDE),
        (plugin_host.DirectTerminal, "terminal", {"wake"}),
    ],
    ids=["session", "viewer", "terminal"],
)
def test_every_attribute_of_sessions_is_on_the_page_for_embedders(
    kind: type, word: str, inside: set[str]
) -> None:
    code = inspect.getsource(kind)
    names = {name for name in vars(kind) if not name.startswith("_")}
    names |= set(re.findall(r"^        self\.([a-z]\w*)\b.* = ", code, re.MULTILINE))
    assert inside <= names
    assert missing([f"{word}.{name}" for name in sorted(names - inside)], EMBEDDER) == []


@pytest.mark.parametrize("kind", [plugin_host.Exit, plugin_host.SessionInfo, plugin_host.SessionFailure])
def test_every_field_about_sessions_is_on_the_page_for_embedders(kind: type) -> None:
    names = [field.name for field in msgspec.structs.fields(kind)]
    assert missing([f"`{name}`" for name in names], EMBEDDER) == []


def test_every_attribute_of_the_context_is_on_the_page_for_authors() -> None:
    names = {name for name in dir(plugin_host_sdk.Context) if not name.startswith("_")}
    inner = {"arrived", "awaits", "begin", "bundle", "has_begun", "is_async", "msgid", "parts"}
    inner |= {"serve_action", "trace"}
    assert missing([f"ctx.{name}" for name in names - inner], AUTHOR) == []


def test_every_option_of_a_session_is_on_the_page_for_authors() -> None:
    names = [field.name for field in msgspec.structs.fields(SessionOptions)]
    assert missing([f"`{name}`" for name in names], AUTHOR) == []


def test_every_hook_is_on_the_page_for_embedders() -> None:
    hooks = [name for name in vars(hookspecs) if name.startswith("plugin_host_")]
    assert hooks
    assert missing(hooks, EMBEDDER) == []


@pytest.mark.parametrize(("kind", "prefix"), [(Manifest, ""), (Launch, "launch."), (Health, "health.")])
def test_every_key_of_a_manifest_is_on_its_page_with_its_default(kind: type, prefix: str) -> None:
    described = rows(MANIFEST)
    text = MANIFEST.read_text()
    for field in msgspec.structs.fields(kind):
        name = field.encode_name
        if name not in described:
            assert f"`{prefix}{name}`" in text, name
            continue
        default = described[name][0]
        if field.required:
            assert default == "required", name
        elif field.default is not None and field.default is not msgspec.NODEFAULT:
            assert msgspec.convert(json.loads(default.strip("`")), field.type) == field.default, name


@pytest.mark.parametrize("kind", [Configuration, PluginConfiguration])
def test_every_key_of_the_configuration_is_on_the_page_for_operators(kind: type) -> None:
    assert missing([field.encode_name for field in msgspec.structs.fields(kind)], OPERATOR) == []


def test_every_command_and_option_is_on_the_page_for_operators() -> None:
    hidden = {"--help", "--version", "--verbose", "--socket"}
    names = set()
    for name, command in commands(program.program):
        names.add(name)
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                names.update(option for option in parameter.opts if option not in hidden)
    assert missing(sorted(names), OPERATOR) == []


def commands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """Every command with its words, also those inside of others."""
    for name, command in group.commands.items():
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", one) for inner, one in commands(command))


def test_every_request_of_a_client_is_on_the_page_about_the_control_socket() -> None:
    server = ControlServer(plugin_host.PluginHost(entry_points=False), LocalSocket(path="/nowhere"))
    assert missing([f"`{name}`" for name in server.methods], CONTROL) == []


def test_every_exit_code_is_on_the_page_for_operators() -> None:
    known = {value for name, value in vars(failure).items() if name.isupper() and isinstance(value, int)}
    shown = {int(match) for match in re.findall(r"^\| (\d+) \|", OPERATOR.read_text(), re.MULTILINE)}
    assert shown == known | {130}


@pytest.mark.parametrize("page", [MANIFEST, PROTOCOL], ids=["manifest", "protocol"])
def test_every_variable_that_a_plugin_inherits_is_named(page: Path) -> None:
    assert [name for name in ALLOWED if f"`{name}`" not in page.read_text()] == []


def test_every_name_about_tasks_is_on_a_page_for_authors() -> None:
    worker = ROOT / "docs" / "worker.md"
    names = missing(plugin_host_sdk.metadata.__all__, AUTHOR)
    assert missing(names, worker) == []
    task = [name for name in dir(plugin_host_sdk.metadata.Task) if not name.startswith("_")]
    inside = {"abandon", "clear", "kill", "lose"}
    assert missing([f"task.{name}" for name in task if name not in inside], worker) == ["task.is_over"]
    options = inspect.signature(plugin_host_sdk.metadata.PluginOpts).parameters
    assert missing(options, worker) == []
