"""Settings on their way from the configuration to a plugin: checked, completed, refused in plain words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from plugin_host import Candidate, Manifest, ManifestError
from plugin_host import configuration as configurations
from plugin_host.discovery import discover
from plugin_host.errors import ConfigurationError
from plugin_host.manifest import convert
from plugin_host.schemacheck import plain, process
from plugin_host.schemacheck.task import Task
from plugin_host.settings import check_schema, settle, settled
from tests.effort import by_effort, examples
from tests.source import ROOT
from tests.stage import write_plugin

pytestmark = pytest.mark.edges

PORT: dict[str, Any] = {
    "type": "object",
    "properties": {"port": {"type": "integer", "default": 80}, "host": {"not": {"type": "null"}}},
}
PLAIN = {"type": "object", "properties": {"port": {"type": "integer", "default": 80}}}
FOREVER = {"type": "object", "properties": {"name": {"pattern": "^(a+)+$"}}}
FOR_EVER = {"name": "a" * 60 + "!"}


def manifest(schema: dict[str, Any] | None, id: str = "demo") -> Manifest:
    raw = {"id": id, "version": "1", "launch": {"entry_point": "a:b"}, "settings_schema": schema}
    return convert(raw, file="m.json")


def candidate(id: str, schema: dict[str, Any] | None, settings: dict[str, Any]) -> Candidate:
    made = manifest(schema, id)
    file = Path(f"/plugins/{id}/plugin_manifest.json")
    return Candidate(id=id, source="test", manifest=made, manifest_file=file, settings=settings)


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails whoever has something checked."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started for it")

    monkeypatch.setattr(subprocess, "run", refuse)


def test_settings_are_completed() -> None:
    assert settled(manifest(PORT), {"host": "x"}) == {"host": "x", "port": 80}


@pytest.mark.usefixtures("no_process")
def test_without_a_schema_settings_stay_as_they_are() -> None:
    given = {"clock": object(), "bytes": b"x"}
    assert settled(manifest(None), given) == given
    sound = candidate("demo", None, given)
    assert settle([sound]) == [sound]


@pytest.mark.usefixtures("no_process")
def test_settings_that_plainly_fit_take_no_process() -> None:
    assert settled(manifest(PLAIN), {"host": "x"}) == {"host": "x", "port": 80}
    (sound,) = settle([candidate("demo", PLAIN, {})])
    assert sound.settings == {"port": 80}
    check_schema(manifest(PLAIN), file="m.json")


@pytest.mark.parametrize(("file", "where"), [("/etc/p.toml", "/etc/p.toml"), (None, "the given settings")])
def test_setting_that_does_not_fit_names_file_and_path(file: str | None, where: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settled(manifest(PORT), {"port": "secret"}, file=file)
    path = "$.plugins.demo.settings.port"
    assert str(caught.value) == f"{where}: {path}: expected a whole number, found text"
    assert (caught.value.file, caught.value.path) == (file, path)


@pytest.mark.usefixtures("no_process")
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"secret", "$.plugins.demo.settings.x: expected a value of a kind that JSON has, found bytes"),
        ({1: "secret"}, "$.plugins.demo.settings.x: expected keys that are text, found a whole number"),
        (
            [{"y": {1, 2}}],
            "$.plugins.demo.settings.x[0].y: expected a value of a kind that JSON has, found set",
        ),
    ],
)
def test_value_that_no_schema_applies_to_is_refused(value: Any, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settled(manifest(PORT), {"x": value})
    assert str(caught.value) == f"the given settings: {text}"


def test_settings_that_never_end_are_refused() -> None:
    endless: dict[str, Any] = {}
    endless["x"] = endless
    with pytest.raises(ConfigurationError, match="at most 100 levels"):
        settled(manifest(PORT), endless)


def test_broken_schema_is_the_manifests_fault() -> None:
    broken = manifest({"properties": {"a": {"type": "strnig"}}})
    with pytest.raises(ManifestError) as caught:
        settled(broken, {}, file="p.toml", manifest_file="m.json")
    path = "$.settings_schema.properties.a.type"
    assert str(caught.value).startswith(f"m.json: {path}: expected one of ")
    assert (caught.value.file, caught.value.path) == ("m.json", path)
    with pytest.raises(ManifestError, match=r"^the manifest of plugin `demo`: "):
        settled(broken, {})
    with pytest.raises(ManifestError, match=r"^m\.json: \$\.settings_schema\.properties\.a\.type: "):
        check_schema(broken, file="m.json")
    check_schema(manifest(PORT), file="m.json")


def test_schema_that_is_nested_too_deeply_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(5000):
        schema = {"not": schema}
    with pytest.raises(ManifestError, match="nested too deeply"):
        settled(replace_schema(manifest({}), schema), {})


def replace_schema(made: Manifest, schema: dict[str, Any]) -> Manifest:
    """As only a program can make it."""
    import msgspec

    return msgspec.structs.replace(made, settings_schema=schema)


@pytest.mark.deadline(60)  # it uses up seconds of processor time
def test_pattern_that_never_ends_costs_its_plugin_alone() -> None:
    outcome = settle(
        [
            candidate("first", PORT, {}),
            candidate("greedy", FOREVER, FOR_EVER),
            candidate("last", PORT, {"port": 1}),
        ]
    )
    assert [one.settings for one in outcome if one.error is None] == [{"port": 80}, {"port": 1}]
    error = outcome[1].error
    assert isinstance(error, ManifestError)
    assert str(error).startswith("/plugins/greedy/plugin_manifest.json: $.settings_schema: takes too long")


def test_each_candidate_is_settled_or_broken() -> None:
    skipped = replace(candidate("skipped", PORT, {"port": "x"}), skipped="blocked")
    broken = Candidate(id="broken", source="test", error=ManifestError("no"))
    plain = candidate("plain", None, {"x": 1})
    given = [candidate("good", PORT, {}), candidate("bad", PORT, {"port": ""}), skipped, broken, plain]
    odd = candidate("odd", PORT, {"x": b""})
    good, bad, *others, refused = settle([*given, odd], file="p.toml")
    assert (good.settings, good.manifest) == ({"port": 80}, given[0].manifest)
    assert bad.manifest is None
    assert str(bad.error) == "p.toml: $.plugins.bad.settings.port: expected a whole number, found text"
    assert others == [skipped, broken, plain]
    assert isinstance(refused.error, ConfigurationError)


def lost(code: int, stdout: bytes = b"", stderr: bytes = b"") -> Any:
    def run(command: Sequence[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(command, code, stdout, stderr)

    return run


def test_crash_of_the_check_is_the_schemas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lost(-11))
    with pytest.raises(ManifestError, match="cannot be checked: the process that did ended by SIGSEGV"):
        settled(manifest(PORT), {})


def test_check_that_outlives_all_patience_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_PATIENCE_S", 0.001)
    with pytest.raises(ManifestError, match="takes too long"):
        settled(manifest(PORT), {})


def test_machine_that_cannot_check_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lost(1, stderr=b"Traceback\nModuleNotFoundError: no x\n"))
    with pytest.raises(ConfigurationError, match="settings cannot be checked: ModuleNotFoundError: no x"):
        settled(manifest(PORT), {})
    found, other = settle([candidate("demo", PORT, {}), candidate("plain", None, {})])
    assert (str(found.error), other.error) == (
        "settings cannot be checked: ModuleNotFoundError: no x",
        None,
    )
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(ConfigurationError, match="its own interpreter"):
        settled(manifest(PORT), {})
    monkeypatch.undo()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ConfigurationError, match="No such file"):
        settled(manifest(PORT), {})


def test_checking_process_gets_no_secrets_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    real = subprocess.run

    def run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        seen.update(options, command=command)
        return real(command, **options)

    monkeypatch.setenv("TOKEN", "x")
    monkeypatch.setattr(subprocess, "run", run)
    settled(manifest(PORT), {"host": "secret"})
    assert "TOKEN" not in seen["env"]
    assert not any("secret" in part for part in seen["command"])


def configured(tmp_path: Path, settings: Mapping[str, Mapping[str, Any]]) -> Path:
    file = tmp_path / "plugin-host.toml"
    lines = ['plugin_dirs = ["plugins"]', "entry_points = false"]
    for id, values in settings.items():
        lines += [
            f"[plugins.{id}.settings]",
            *(f"{key} = {json.dumps(one)}" for key, one in values.items()),
        ]
    file.write_text("\n".join(lines))
    return file


def test_discovery_names_the_configurations_file(tmp_path: Path) -> None:
    for id in ("one", "two"):
        write_plugin(tmp_path / "plugins", id, settings_schema=PORT)
    file = configured(tmp_path, {"one": {"port": "secret"}, "two": {"host": "x"}})
    loaded = configurations.load(file)
    assert loaded.file == str(file)
    one, two = discover(configuration=loaded)
    assert str(one.error) == f"{file}: $.plugins.one.settings.port: expected a whole number, found text"
    assert dict(two.settings) == {"host": "x", "port": 80}
    (one, two) = discover(configuration=loaded, only=["two"])
    assert (one.error, one.skipped is None, dict(two.settings)) == (None, False, {"host": "x", "port": 80})


@pytest.mark.parametrize("schema", [None, PLAIN, PORT])
def test_host_never_imports_what_checks(tmp_path: Path, schema: dict[str, Any] | None) -> None:
    """It is slow to import; what has no schema, or plainly fits, does not even have a process started."""
    write_plugin(tmp_path / "plugins", "demo", settings_schema=schema)
    code = (
        "import sys; from plugin_host.discovery import discover;"
        f"(found,) = discover(plugin_dirs=[{str(tmp_path / 'plugins')!r}], entry_points=False);"
        "print(found.error, *(name for name in ('jsonschema', 'plugin_host.schemacheck.process')"
        " if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = ["plugin_host.schemacheck.process"] if schema is PORT else []
    assert done.stdout.split() == ["None", *expected]


# The quick answer is never another one than the library's.

keywords = {
    "type": st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null"]),
    "enum": st.lists(st.sampled_from("abc"), unique=True) | st.just([1]),
    "minimum": st.integers(-2, 2) | st.just(0.5),
    "maximum": st.integers(-2, 2) | st.just("x"),
    "minLength": st.integers(-1, 2),
    "maxLength": st.integers(0, 2),
    "minItems": st.integers(0, 2) | st.just(1.0),
    "maxItems": st.integers(0, 2),
    "exclusiveMinimum": st.integers(-2, 2) | st.just(0.5),
    "exclusiveMaximum": st.integers(-2, 2) | st.just(None),
    "pattern": st.sampled_from(
        ["^a", "b$", "[", "a|b", "(?i)A", "a+", "^[/~]", "^[^b]*$", r"^[^=\u0000]+$"]
    ),
    "additionalProperties": st.booleans() | st.just({"type": "null"}),
    "required": st.lists(st.sampled_from("abc"), max_size=2),
    "title": st.just("x") | st.just(1),
    "deprecated": st.booleans(),
    "const": st.just(1),
}
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0, "a", "ab", "", "B", float("nan")]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=4,
)
schemas = st.recursive(
    st.fixed_dictionaries({}, optional=keywords),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            **keywords,
            "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
            "items": inner | st.booleans(),
            "additionalProperties": inner,
            "propertyNames": inner | st.just({"pattern": "^[^b]+$"}),
            "anyOf": st.lists(inner, max_size=2),
            "default": values,
        },
    ),
    max_leaves=4,
)


@pytest.mark.parametrize("name", ["automation", "runner", "shell"])
def test_schemas_of_the_plugins_here_are_quickly_answered(name: str) -> None:
    manifest = json.loads((ROOT / "plugins" / name / "plugin_manifest.json").read_bytes())
    assert plain.answer(Task(manifest["settings_schema"], {})) is not None


@pytest.mark.parametrize(
    ("pattern", "is_quick"),
    [
        ("^[^=\\u0000]+$", True),
        ("^a[bc]*d", True),
        ("^[]a]*$", False),
        ("[ab]*$", False),
        ("^a*a*$", False),
        ("^(a+)+$", False),
        ("^(a|a)*$", False),
        ("^a{1,9}$", False),
        (r"^\d+$", False),
        (r"^[\w]+$", False),
        ("^a.c$", True),
        ("a|b", False),
        ("a?" * 30 + "a" * 30, False),
        ("^" + "(a|a)" * 30 + "$", False),
        ("^" + "[^a]" * 45 + "*(b)", False),
        ("^" + "a*" * 90, False),
    ],
)
def test_pattern_is_left_to_the_library_unless_at_most_one_thing_repeats(
    pattern: str, is_quick: bool
) -> None:
    schema = {"properties": {"a": {"type": "string", "pattern": pattern}}}
    assert (plain.answer(Task(schema, None)) is not None) == is_quick


@pytest.mark.parametrize("bound", ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"])
@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_number_without_a_size_is_left_to_the_library(bound: str, value: float) -> None:
    schema = {"properties": {"a": {bound: 5}}}
    assert plain.answer(Task(schema, {"a": value})) is None
    assert plain.answer(Task({"properties": {"a": {bound: 5, "default": value}}}, None)) is None


def test_default_with_too_much_in_it_breaks_its_plugin_alone() -> None:
    inner = {f"p{number}": {"type": "integer", "default": 1} for number in range(1200)}
    heavy = {"properties": {"a": {"type": "object", "properties": inner, "default": {}}}}
    outcome = settle([candidate("heavy", heavy, {}), candidate("sound", PORT, {})])
    assert isinstance(outcome[0].error, ManifestError)
    assert outcome[1].settings == {"port": 80}


@pytest.mark.deadline(by_effort(60, 600))
@example(schema={}, value={"a": {"b": 1}})
@hypothesis_settings(max_examples=examples(100), suppress_health_check=[HealthCheck.too_slow])
@given(
    schema=st.fixed_dictionaries(
        {"properties": st.dictionaries(st.sampled_from("abc"), schemas, max_size=3)}
    ),
    value=st.dictionaries(st.sampled_from("abcd"), values, max_size=3),
)
def test_quick_answer_is_the_librarys(schema: dict[str, Any], value: dict[str, Any]) -> None:
    from plugin_host.schemacheck.check import check
    from plugin_host.schemacheck.check import settle as judged

    quick = plain.answer(Task(schema, value))
    if quick is not None:
        assert repr(judged(schema, value)) == repr(quick.settings)
    if plain.answer(Task(schema, None)) is not None:
        assert check(schema) is None
