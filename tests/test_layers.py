"""The shape of the project: imports by floor, small files and functions, honest ``__all__``."""

from __future__ import annotations

import ast
import functools
import gc
import graphlib
import importlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests import source
from tests.floor import BARRED_FROM_SANS_IO, HOST, SANS_IO, SDK, SOLE_IMPORTERS, Wing
from tests.source import ROOT, Import, Module

pytestmark = [pytest.mark.edges, pytest.mark.deadline(120)]  # reads every file of the project

PACKAGES = {
    "plugin_host_sdk": ROOT / "sdk" / "plugin_host_sdk",
    "plugin_host": ROOT / "host" / "plugin_host",
}
FLOORS = {"plugin_host_sdk": SDK, "plugin_host": HOST}

MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_A_FUNCTION = 60

# Words of the place where this is written, which mean nothing to its readers. Each is split here,
# so that this file does not hold them.
FOREIGN_WORDS = ["/wo|rk/", "DESI|GN.md", "SEE|DS.md", "ANCH|ORS.md", "SPE|ED.md", "STY|LE.md"]

each_package = pytest.mark.parametrize("name", PACKAGES)


@pytest.fixture(autouse=True)
def _uncollected() -> Iterator[None]:
    """Nothing in a syntax tree is garbage, and looking for some takes as long as making the tree."""
    gc.disable()
    yield
    gc.enable()


@functools.cache
def modules(name: str) -> dict[str, Module]:
    """The modules of a package; read once, by the first test that needs them."""
    return source.package(PACKAGES[name])


def known() -> dict[str, Module]:
    """The modules of both packages."""
    return modules("plugin_host_sdk") | modules("plugin_host")


@functools.cache
def edges(name: str) -> list[Import]:
    """Every import that a module of the package makes."""
    return [edge for module in modules(name).values() for edge in source.imports(module, known())]


def expect_none(found: Iterable[str]) -> None:
    __tracebackhide__ = True
    if lines := list(found):
        pytest.fail("\n".join(lines), pytrace=False)


def inner(dotted: str) -> str:
    return dotted.partition(".")[2]


def wing_of(dotted: str, floors: Mapping[str, Wing]) -> str:
    homes = [name for name, wing in floors.items() if wing.covers(inner(dotted))]
    return homes[0] if homes else "no wing"


def belongs(dotted: str, package: str) -> bool:
    return dotted == package or dotted.startswith(f"{package}.")


def circle_in(graph: Mapping[str, Iterable[str]]) -> list[str]:
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [str(node) for node in error.args[1]]
    return []


def wrong_floor(name: str, found: Iterable[Import]) -> list[str]:
    """The imports inside one package that do not lead downwards."""
    wrong = []
    for edge in found:
        if belongs(edge.target, name):
            here, there = (wing_of(end, FLOORS[name]) for end in (edge.importer, edge.target))
            if there != here and there not in FLOORS[name].get(here, Wing("")).below.split():
                wrong.append(f"{edge} ({there}), but {here} may not")
    return wrong


@each_package
def test_every_module_is_on_exactly_one_floor(name: str) -> None:
    wrong = []
    for module in modules(name).values():
        homes = [wing for wing, what in FLOORS[name].items() if what.covers(module.inner)]
        if len(homes) != 1:
            wrong.append(f"{module.name}: {' and '.join(homes) or 'in no wing'} of tests/floor.py")
    expect_none(wrong)


@each_package
def test_wings_look_down_on_wings_that_exist_and_in_no_circle(name: str) -> None:
    below = {wing: what.below.split() for wing, what in FLOORS[name].items()}
    assert {there for wings in below.values() for there in wings} <= set(below)
    assert circle_in(below) == []
    assert {wing for what in HOST.values() for wing in what.sdk.split()} <= set(SDK)


@each_package
def test_imports_lead_down(name: str) -> None:
    expect_none(wrong_floor(name, edges(name)))


@each_package
def test_imports_make_no_cycle(name: str) -> None:
    graph: dict[str, set[str]] = {}
    for edge in edges(name):
        if belongs(edge.target, name):
            graph.setdefault(edge.importer, set()).add(edge.target)
    if circle := circle_in(graph):
        pytest.fail(f"modules that need each other: {' <- '.join(circle)}", pytrace=False)


def test_import_targets_are_modules_that_exist() -> None:
    missing = [
        str(edge)
        for name in PACKAGES
        for edge in edges(name)
        if edge.target.split(".")[0] in PACKAGES and edge.target not in known()
    ]
    expect_none(missing)


def test_sdk_never_imports_the_host() -> None:
    up = [edge for edge in edges("plugin_host_sdk") if belongs(edge.target, "plugin_host")]
    expect_none(map(str, up))


def test_host_imports_only_the_core_and_the_types_of_the_sdk() -> None:
    wrong = []
    for edge in edges("plugin_host"):
        if belongs(edge.target, "plugin_host_sdk"):
            here, there = wing_of(edge.importer, HOST), wing_of(edge.target, SDK)
            if there not in HOST.get(here, Wing("")).sdk.split():
                wrong.append(f"{edge} ({there} of the sdk), but {here} may not")
    expect_none(wrong)


def test_neither_package_imports_a_plugin() -> None:
    plugins = {"plugins"}
    for file in source.project_files("plugins/**/__init__.py"):
        plugins.add(file.parent.name)
    every = [edge for name in PACKAGES for edge in edges(name)]
    expect_none(str(edge) for edge in every if edge.target.split(".")[0] in plugins)


def test_core_has_no_clock_and_no_input_or_output() -> None:
    barred = BARRED_FROM_SANS_IO.split()
    found = [
        str(edge)
        for edge in edges("plugin_host_sdk")
        if wing_of(edge.importer, SDK) in SANS_IO.split() and edge.target.split(".")[0] in barred
    ]
    expect_none(found)


@pytest.mark.parametrize(("name", "library"), SOLE_IMPORTERS)
def test_library_has_one_door(name: str, library: str) -> None:
    door = Wing(SOLE_IMPORTERS[name, library])
    others = [
        str(edge)
        for edge in edges(name)
        if belongs(edge.target, library) and not door.covers(inner(edge.importer))
    ]
    expect_none(others)


@each_package
def test_public_lists_are_correct_and_complete(name: str) -> None:
    wrong = []
    for module in modules(name).values():
        listed = source.listed_names(module.tree)
        if listed is None:
            continue
        live = importlib.import_module(module.name)
        wrong += [f"{module.name} has no {name}" for name in listed if not hasattr(live, name)]
        unlisted = source.public_names(module) - set(listed)
        wrong += [f"{module.name}.{name} is not in __all__" for name in sorted(unlisted)]
        wrong += [f"{module.name}.{name} twice" for name in listed if listed.count(name) > 1]
    expect_none(wrong)


def faults(file: Module) -> Iterator[str]:
    """What is wrong with the shape of one file."""
    if not ast.get_docstring(file.tree):
        yield f"{file.name} does not say what it is"
    if file.lines > MOST_LINES_OF_A_FILE:
        yield f"{file.name}: {file.lines} lines"
    for function in source.functions(file.tree):
        lines = (function.end_lineno or 0) - function.lineno + 1
        if lines > MOST_LINES_OF_A_FUNCTION:
            yield f"{file.name}:{function.lineno} {function.name}: {lines} lines"


def test_files_and_functions_are_short_and_modules_say_what_they_are() -> None:
    # One test, because reading every file takes seconds.
    paths = source.project_files("*.py")
    files = [source.parse(path, str(path.relative_to(ROOT))) for path in paths]
    expect_none(fault for file in files for fault in faults(file))


def test_project_speaks_of_itself_alone() -> None:
    words = [word.replace("|", "") for word in FOREIGN_WORDS]
    found = []
    for path in source.project_files():
        data = path.read_bytes()
        text = "" if b"\0" in data else data.decode(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {word}" for word in words if word in text]
    expect_none(found)


# The tests above see nothing when the reading of imports is blind, so that is tested too.


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ("import plugin_host.host", "plugin_host.host"),
        ("import plugin_host.host as above", "plugin_host.host"),
        ("from plugin_host import host", "plugin_host.host"),
        ("from plugin_host.host import PluginHost", "plugin_host.host"),
        ("from . import host", "plugin_host.host"),
        ("from .host import PluginHost", "plugin_host.host"),
        ("def late():\n    from .host import PluginHost", "plugin_host.host"),
        ("if TYPE_CHECKING:\n    from .host import PluginHost", "plugin_host.host"),
        ("import_module('plugin_host.host')", "plugin_host.host"),
        ("importlib.import_module('.host', __package__)", "plugin_host.host"),
        ("from plugin_host import PluginHost", "plugin_host"),
    ],
)
def test_import_upwards_is_seen_however_it_is_written(line: str, target: str) -> None:
    module = Module("plugin_host.channel", Path("channel.py"), ast.parse(line), 1)
    host = Module("plugin_host.host", Path("host.py"), ast.parse(""), 1)
    found = source.imports(module, {"plugin_host.channel": module, "plugin_host.host": host})
    assert [edge.target for edge in found] == [target]
    assert len(wrong_floor("plugin_host", found)) == 1
